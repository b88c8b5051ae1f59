"""What commands come to: stages, names of results, and the preset that is used unasked."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.poses import random_pose
from builders.videos import tiny_clip

from animcli.cli.choices import usual_preset
from animcli.cli.config import ConfigSources, Options
from animcli.cli.detector import detector_device
from animcli.cli.encode import Encode
from animcli.cli.extract import ExtractPose
from animcli.cli.motion import video_of
from animcli.cli.options import read_flags
from animcli.cli.plan import (
    Context,
    FrameSource,
    GlobalOptions,
    Motion,
    PipelineState,
    name_of,
)
from animcli.cli.render import Render
from animcli.cli.retarget import Retarget
from animcli.cli.weights import Pull
from animcli.errors import DeviceError, UsageError
from animcli.pipeline.output import Step
from animcli.pipeline.project import find_project
from animcli.pipeline.record import hash_file
from animcli.pose.io_pose import write_pose
from animcli.pose.sequence import Origin
from animcli.presets import load_preset
from animcli.stages.convert import ReadBvh, ReadOpenPose, WriteKeypoints
from animcli.stages.encode import EncodeStage
from animcli.stages.extract import ExtractStage
from animcli.stages.inspect import OverlayStage
from animcli.stages.reference import FitClip
from animcli.stages.render import RenderStage
from animcli.stages.retarget import RetargetStage
from animcli.video.images import write_picture
from animcli.weights.store import WeightsStore

REFERENCE = Path("ref.png")


@pytest.fixture(autouse=True)
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of 64 x 96 pixels by the names that these tests use."""
    monkeypatch.chdir(tmp_path)
    for name in (REFERENCE, Path("b.png")):
        write_picture(name, np.zeros((96, 64, 3), np.uint8))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(
        find_project(tmp_path),
        WeightsStore(tmp_path / "weights"),
        ConfigSources({}, {}, (), tmp_path),
        GlobalOptions(),
        lambda what, done, of: None,
    )


def rendering(overrides: Mapping[str, object] | None = None, **changes: object) -> Render:
    plain = Render(
        REFERENCE,
        Path("dance.mp4"),
        None,
        None,
        False,
        True,
        compare=False,
        keep_going=False,
        motion_from=None,
        motion_like=None,
        overrides=overrides or {},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def steps(entries: tuple[object, ...]) -> list[Step]:
    return [entry for entry in entries if isinstance(entry, Step)]


def test_a_video_is_extracted_on_the_way_and_gives_its_sound(context: Context) -> None:
    (step,) = steps(rendering().plan(context, PipelineState()).tasks)
    assert step.out == Path("ref-dance.mp4")
    assert isinstance(step.stage, EncodeStage)
    assert step.stage.sound == Path("dance.mp4")
    assert isinstance(step.stage.frames, RenderStage)
    assert step.stage.frames.motion == ExtractStage(Path("dance.mp4"))


def test_a_motion_fitted_to_the_same_picture_is_not_fitted_again(context: Context) -> None:
    retarget = Retarget(REFERENCE, Path("dance.mp4"), None, {}).plan(
        context, PipelineState()
    )
    assert steps(retarget.tasks)[0].out == Path("ref-dance.pose")
    rendered = rendering(motion=None).plan(context, retarget.state)
    frames = steps(rendered.tasks)[0].stage.inputs()["frames"]
    assert isinstance(frames, RenderStage)
    assert isinstance(frames.motion, RetargetStage)
    assert frames.retarget is False
    other = rendering(motion=None, reference=Path("b.png")).plan(context, retarget.state)
    assert steps(other.tasks)[0].out == Path("b-dance.mp4")
    frames = steps(other.tasks)[0].stage.inputs()["frames"]
    assert isinstance(frames, RenderStage)
    assert frames.retarget is True


def test_flags_reach_the_stage(context: Context) -> None:
    overrides = {"width": 64, "height": 96, "seed": 7, "fps": Fraction(12), "fit": "crop"}
    render = rendering(overrides, frames=5, loop=True, retarget=False)
    (step,) = steps(render.plan(context, PipelineState()).tasks)
    stage = step.stage.inputs()["frames"]
    assert isinstance(stage, RenderStage)
    preset = stage.preset
    assert (preset.width, preset.height, preset.seed) == (64, 96, 7)
    assert (stage.frames, stage.loop, stage.rate) == (5, True, 12)
    assert (stage.retarget, stage.fit.value, stage.device) == (False, "crop", "cpu")


@pytest.mark.parametrize(
    ("codec", "name"),
    [("vp9", "ref-dance.webm"), ("prores4444", "ref-dance.mov"), ("png", "ref-dance")],
)
def test_a_codec_decides_about_the_suffix(context: Context, codec: str, name: str) -> None:
    plan = rendering({"codec": codec}, compare=True).plan(context, PipelineState())
    result, row = steps(plan.tasks)
    assert result.out == Path(name)
    assert row.out == result.out.with_name(f"ref-dance-compare{result.out.suffix}")


def test_a_folder_takes_the_usual_name(context: Context, tmp_path: Path) -> None:
    plan = rendering(out=tmp_path).plan(context, PipelineState())
    assert steps(plan.tasks)[0].out == tmp_path / "ref-dance.mp4"


def test_choices_of_dwpose_reach_the_stage(context: Context) -> None:
    overrides = {"detector": "dwpose", "person": "2", "detect_every": 4, "device": "cpu"}
    overrides = {**overrides, "bgr_input": True}
    (step,) = steps(
        ExtractPose((Path("a.mp4"),), None, False, overrides)
        .plan(context, PipelineState())
        .tasks
    )
    assert step.stage == ExtractStage(
        Path("a.mp4"), "dwpose", person="2", detect_every=4, bgr_input=True
    )


def test_choices_that_mean_nothing_to_the_detector_are_refused(context: Context) -> None:
    for overrides, message in (
        ({"detect_every": 5}, "--detect-every has no effect with the detector blazepose"),
        ({"device": "cuda"}, "the detector blazepose runs on the CPU only"),
    ):
        with pytest.raises(UsageError, match=message):
            ExtractPose((Path("a.mp4"),), None, False, overrides).plan(
                context, PipelineState()
            )
    on_mps = ExtractPose(
        (Path("a.mp4"),), None, False, {"detector": "dwpose", "device": "mps"}
    )
    with pytest.raises(DeviceError, match="dwpose doesn't run on mps"):
        on_mps.plan(context, PipelineState())


def test_one_of_several_cards_can_be_chosen(context: Context) -> None:
    assert read_flags({"device": "cuda:1"}) == {"device": "cuda:1"}
    for wrong in ("cuda1", "cuda:", "gpu", "cuda:-1"):
        with pytest.raises(UsageError, match="auto, cpu, cuda, cuda:N, mps"):
            read_flags({"device": wrong})


def test_a_render_on_any_card_is_the_same_work() -> None:
    stages = [
        RenderStage(REFERENCE, None, load_preset("cinemo"), device=f"cuda{number}")
        for number in ("", ":0", ":1")
    ]
    first, *others = (stage.settings() for stage in stages)
    assert all(other == first for other in others)
    assert replace(stages[0], device="cpu").settings() != first


def test_a_detector_may_have_a_device_of_its_own(context: Context) -> None:
    options = Options(detector="dwpose", device="cuda:1")
    assert detector_device(options) == "cuda:1"
    assert detector_device(replace(options, detector_device="cpu")) == "cpu"
    assert detector_device(replace(options, detector="blazepose")) == "cpu"


def diffused(context: Context, **changes: object) -> RenderStage:
    overrides = {"preset": "animate-anyone", "device": "cpu", "strength": 0.4}
    plan = rendering(overrides, **changes).plan(context, PipelineState())
    stage = steps(plan.tasks)[0].stage.inputs()["frames"]
    assert isinstance(stage, RenderStage)
    return stage


def test_denoising_starts_from_a_video_or_from_the_cut_out(context: Context) -> None:
    from_video = diffused(context, start_from="earlier.mp4")
    assert from_video.start == Path("earlier.mp4")
    assert from_video.preset.strength == 0.4
    from_cutout = diffused(context, start_from="cutout").start
    assert isinstance(from_cutout, RenderStage)
    assert from_cutout.preset.renderer == "cutout"
    assert from_cutout.size == from_video.size
    assert from_cutout.motion == from_video.motion
    fitted = from_video.inputs()["start"]
    assert isinstance(fitted, FitClip)
    assert (fitted.video, fitted.size) == (Path("earlier.mp4"), from_video.size)


def test_a_strength_changes_nothing_without_frames_to_start_from(context: Context) -> None:
    with pytest.raises(UsageError, match="--strength is for frames to start from"):
        diffused(context)
    plain = RenderStage(REFERENCE, None, load_preset("animate-anyone"))
    assert "strength" not in plain.settings()["preset"]
    with pytest.raises(
        UsageError, match="--start-from has no effect with the preset cutout"
    ):
        rendering(start_from="a.mp4").plan(context, PipelineState())


def test_steps_that_are_left_out_are_not_counted() -> None:
    plain = RenderStage(REFERENCE, None, load_preset("animate-anyone"), device="cuda")
    whole, part = plain.cost(48), replace(plain, start=Path("a.mp4")).cost(48)
    assert whole is not None
    assert part is not None
    assert (whole.steps, part.steps) == (30, 15)
    assert part.calls == whole.calls / 2


def test_pulling_takes_along_what_the_same_work_needs(context: Context) -> None:
    assert Pull(("animate-anyone",)).wanted(context) == [
        "animate-anyone", "sd-vae-ft-mse", "clip-image-encoder",
    ]  # fmt: skip
    assert Pull(("cinemo", "cinemo")).wanted(context) == ["cinemo"]


def test_a_person_can_be_chosen_only_where_keypoints_are_found(context: Context) -> None:
    overrides = {"person": "2"}
    pose, picture = Path("a.pose"), Path("ref.png")
    for request in (
        ExtractPose((pose,), Path("b.json"), False, overrides),
        Retarget(picture, pose, None, overrides),
        rendering(motion=pose, overrides=overrides),
    ):
        with pytest.raises(UsageError, match="--person is for footage, and a holds one"):
            request.plan(context, PipelineState())


def test_a_motion_is_written_as_its_name_says(context: Context) -> None:
    for out, stage in (
        (Path("b_keypoints"), WriteKeypoints(Path("a.pose"), "b")),
        (Path("b.mp4"), EncodeStage(OverlayStage(Path("a.pose"), longest=None), ".mp4")),
    ):
        plan = ExtractPose((Path("a.pose"),), out, False, {}).plan(context, PipelineState())
        assert steps(plan.tasks) == [Step(stage, out)]


def test_motion_capture_is_seen_from_where_it_is_said(context: Context) -> None:
    capture = Path("dance.bvh")
    extract = ExtractPose((capture,), None, False, {}, (30, 10))
    assert steps(extract.plan(context, PipelineState()).tasks) == [
        Step(ReadBvh(capture, 30, 10), Path("dance.pose"))
    ]
    with pytest.raises(UsageError, match="--view is for motion capture"):
        replace(extract, videos=(Path("a.mp4"),)).plan(context, PipelineState())


def test_retargeting_to_a_pose_looks_for_nobody(context: Context) -> None:
    overrides = {"camera": "zoom", "keep_in_frame": False}
    plan = Retarget(Path("other.pose"), Path("dance.pose"), None, overrides).plan(
        context, PipelineState()
    )
    (step,) = steps(plan.tasks)
    assert step.stage.inputs() == {
        "motion": Path("dance.pose"),
        "reference": Path("other.pose"),
    }
    assert step.stage.settings() == {
        "detector": "blazepose",
        "camera": "zoom",
        "keep_in_frame": False,
    }


def test_encoding_again_wants_a_name_or_a_codec(context: Context) -> None:
    state = PipelineState(source=FrameSource(Path("frames"), "ref-dance"))
    with pytest.raises(UsageError, match="encoded as what"):
        Encode(None, None, None, None, {}).plan(context, state)
    plan = Encode(None, None, None, None, {"codec": "h265"}).plan(context, state)
    assert steps(plan.tasks)[0].out == Path("ref-dance-h265.mp4")


def test_several_videos_are_independent_and_hand_nothing_on(context: Context) -> None:
    videos = (Path("clips/a.mp4"), Path("clips/b.mp4"))
    plan = ExtractPose(videos, None, True, {}).plan(context, PipelineState())
    assert [step.out for step in steps(plan.tasks)] == [Path("a.pose"), Path("b.pose")]
    assert plan.independent
    assert plan.state == PipelineState()


def test_cutout_renders_until_the_weights_of_animate_anyone_are_here(
    context: Context,
) -> None:
    assert usual_preset(context, "auto") == (
        "cutout",
        "rendering with the preset cutout; to render with animate-anyone: "
        "anim weights pull animate-anyone sd-vae-ft-mse clip-image-encoder",
    )
    for name in ("animate-anyone", "sd-vae-ft-mse", "clip-image-encoder"):
        for file in context.weights.entry(name).files:
            path = context.weights.root / name / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert usual_preset(context, "cuda")[0] == "animate-anyone"
    overrides, note = usual_preset(context, "cpu")
    assert overrides == "cutout"  # nobody is to start days of work unasked
    assert "takes hours on a CPU; --preset animate-anyone" in note


def test_a_preset_that_was_said_is_taken_without_a_word(context: Context) -> None:
    assert rendering({"preset": "cutout"}).plan(context, PipelineState()).note == ""
    assert rendering().plan(context, PipelineState()).note != ""


def test_a_pose_finds_the_video_beside_it_that_it_was_taken_from(tmp_path: Path) -> None:
    video = tiny_clip(tmp_path / "dance.mp4", 3)
    pose = tmp_path / "dance.pose"
    write_pose(pose, random_pose(3, origin=Origin(source={"sha256": hash_file(video)})))
    assert video_of(pose) == (video, 0)
    video.write_bytes(b"another")
    assert video_of(pose)[0] is None


def test_things_are_called_after_their_files() -> None:
    assert name_of(Path("clips/dance.take2.mp4")) == "dance.take2"
    assert name_of(Path()) == Path.cwd().name


def test_a_motion_without_its_video_has_no_sound(context: Context) -> None:
    state = PipelineState(motion=Motion(Path("dance.pose"), "dance"))
    (step,) = steps(rendering(motion=None).plan(context, state).tasks)
    assert isinstance(step.stage, EncodeStage)
    assert step.stage.sound is None


def test_openposes_files_are_a_motion_without_a_rate(
    context: Context, tmp_path: Path
) -> None:
    (tmp_path / "dance").mkdir()
    (tmp_path / "dance" / "dance_000000000000_keypoints.json").touch()
    plan = ExtractPose((tmp_path / "dance",), None, False, {"fps": Fraction(25)})
    (step,) = steps(plan.plan(context, PipelineState()).tasks)
    assert step == Step(ReadOpenPose(tmp_path / "dance", Fraction(25)), Path("dance.pose"))


def test_pictures_take_the_rate_that_is_said(context: Context, tmp_path: Path) -> None:
    plan = ExtractPose((tmp_path,), None, False, {"fps": Fraction(12)})
    (step,) = steps(plan.plan(context, PipelineState()).tasks)
    assert step.stage == ExtractStage(tmp_path, picture_rate=Fraction(12))
