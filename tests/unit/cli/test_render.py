"""Cinemo from the command line: words and clips instead of a motion."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import dancer
from builders.videos import tiny_clip

from animcli.cli.config import ConfigSources
from animcli.cli.inspect import VideoFacts
from animcli.cli.main import parse_line
from animcli.cli.plan import Context, GlobalOptions, Motion, PipelineState
from animcli.cli.render import Render
from animcli.errors import UsageError
from animcli.pipeline.output import Step
from animcli.pipeline.project import find_project
from animcli.pose.draw import draw_pose
from animcli.stages.encode import EncodeStage
from animcli.stages.extract import ExtractStage
from animcli.stages.fitting import Fit
from animcli.stages.render import RenderStage
from animcli.video.images import write_picture
from animcli.video.ssim import motion_bucket, motion_strength
from animcli.weights.store import WeightsStore


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(
        find_project(tmp_path),
        WeightsStore(tmp_path / "weights"),
        ConfigSources({}, {}, (), tmp_path),
        GlobalOptions(),
        lambda what, done, of: None,
    )


def rendering(overrides: Mapping[str, object], **changes: object) -> Render:
    plain = Render(
        Path("ref.png"),
        Path("dance.mp4"),
        None,
        None,
        False,
        True,
        compare=False,
        keep_going=False,
        motion_from=None,
        motion_like=None,
        overrides=overrides,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def plan(
    context: Context, overrides: Mapping[str, object] | None = None, **changes: object
) -> tuple[RenderStage, Path]:
    asked = rendering({"preset": "cinemo", **(overrides or {})}, motion=None, **changes)
    (step,) = asked.plan(context, PipelineState()).tasks
    assert isinstance(step, Step)
    assert isinstance(step.stage, EncodeStage)
    assert isinstance(step.stage.frames, RenderStage)
    return step.stage.frames, step.out


@pytest.fixture
def skeletons(tmp_path: Path) -> Path:
    """A video of drawn skeletons."""
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1)), dancer.STAGE)
    drawing = draw_pose(motion.points[0], motion.scores[0], motion.size)
    picture = cv2.resize(drawing, (320, 180), interpolation=cv2.INTER_AREA)
    return tiny_clip(tmp_path / "a.mp4", width=320, height=180, picture=lambda *_: picture)


@pytest.mark.parametrize(
    ("overrides", "followed"),
    [
        ({"preset": "animate-anyone"}, True),
        ({"preset": "animate-anyone", "detector": "dwpose"}, False),
        ({"preset": "magic-animate"}, False),
        ({"preset": "cutout", "width": 64, "height": 96}, False),
    ],
)
def test_drawings_are_followed_by_what_follows_such_unless_called_footage(
    context: Context,
    skeletons: Path,
    overrides: dict[str, object],
    followed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(context.project.root)
    write_picture(context.project.root / "ref.png", np.zeros((96, 64, 3), np.uint8))
    asked = rendering({**overrides, "device": "cpu"}, motion=skeletons)
    step = asked.plan(context, PipelineState()).tasks[0]
    assert isinstance(step, Step)
    assert isinstance(step.stage, EncodeStage)
    stage = step.stage.frames
    assert isinstance(stage, RenderStage)
    assert (stage.control == skeletons) is followed
    assert isinstance(stage.motion, ExtractStage) is not followed


def test_a_prompt_and_a_strength_need_no_motion(context: Context) -> None:
    overrides = {"prompt": "people walking", "motion_strength": 12}
    stage, out = plan(context, overrides)
    assert (stage.motion, stage.control, stage.fit) == (None, None, Fit.COVER)
    assert (stage.preset.prompt, stage.preset.motion_strength) == ("people walking", 12)
    assert out == Path("ref-cinemo.mp4")


def test_the_motion_of_a_clip_is_a_control(context: Context) -> None:
    stage, out = plan(context, motion_from=Path("clip.mp4"))
    assert stage.control == Path("clip.mp4")
    assert out == Path("ref-clip.mp4")


def test_a_motion_is_refused_with_a_hint(context: Context) -> None:
    with pytest.raises(UsageError, match="follows words") as refused:
        rendering({"preset": "cinemo"}).plan(context, PipelineState())
    assert "--motion-from" in (refused.value.hint or "")
    left = PipelineState(Motion(Path("dance.pose"), "dance"))
    with pytest.raises(UsageError, match="follows words"):
        rendering({"preset": "cinemo"}, motion=None).plan(context, left)


@pytest.mark.parametrize("name", ["motion_from", "motion_like"])
def test_other_presets_take_no_such_clip(context: Context, name: str) -> None:
    asked = replace(rendering({"preset": "cutout"}), **{name: Path("clip.mp4")})
    with pytest.raises(UsageError, match=r"--motion-.* is for presets that follow words"):
        asked.plan(context, PipelineState())


def test_how_much_moves_is_said_once(context: Context) -> None:
    with pytest.raises(UsageError, match="--motion-like says how much moves"):
        plan(context, {"motion_strength": 3}, motion_like=Path("clip.mp4"))


def test_two_strengths_on_one_line_are_refused(context: Context) -> None:
    with pytest.raises(UsageError, match=r"--motion-strength says .* does --motion-bucket"):
        plan(context, {"motion_strength": 3, "motion_bucket": 95.0})


def test_a_strength_on_the_line_outdoes_a_motion_id_from_elsewhere(
    context: Context,
) -> None:
    config = ConfigSources(
        {"motion_bucket": 95.0}, {"motion_bucket": "anim.toml:1"}, (), Path()
    )
    elsewhere = replace(context, config=config)
    assert plan(elsewhere)[0].preset.motion_bucket == 95.0
    stage, _ = plan(elsewhere, {"motion_strength": 3})
    assert (stage.preset.motion_bucket, stage.preset.motion_strength) == (None, 3)


@pytest.mark.parametrize(
    ("overrides", "changes", "said"),
    [
        ({"detector": "dwpose"}, {}, "--detector is about keypoints"),
        ({}, {"retarget": False}, "--no-retarget is about keypoints"),
        ({}, {"loop": True}, "--loop is about the clip whose motion is taken"),
        ({"source_prompt": "a dog"}, {}, "--source-prompt is about the clip"),
    ],
    ids=["detector", "retarget", "loop", "source-prompt"],
)
def test_what_nothing_would_hear_is_refused(
    context: Context,
    overrides: Mapping[str, object],
    changes: Mapping[str, object],
    said: str,
) -> None:
    with pytest.raises(UsageError, match=said):
        plan(context, overrides, **changes)


def test_a_picture_without_words_goes_as_it_likes_and_that_is_said(
    context: Context,
) -> None:
    def note(overrides: Mapping[str, object], **changes: object) -> str:
        asked = rendering({"preset": "cinemo", **overrides}, motion=None, **changes)
        return asked.plan(context, PipelineState()).note

    assert "no --prompt" in note({})
    assert note({"prompt": "rain"}) == ""
    assert note({}, motion_from=Path("clip.mp4")) == ""


@pytest.mark.parametrize("strength", ["0", "21"])
def test_a_strength_is_1_to_20(strength: str) -> None:
    line = f"render ref.png --preset cinemo --motion-strength {strength}"
    assert parse_line(line.split()).mistakes


@pytest.mark.parametrize(
    ("ssim", "number", "strength"),
    [(0.945, 94, 6), (1.0, 99, 1), (0.5, 50, 20), (-0.2, 0, 20)],
)
def test_a_likeness_falls_into_a_bucket(ssim: float, number: int, strength: int) -> None:
    assert (motion_bucket(ssim), motion_strength(ssim)) == (number, strength)


def test_inspect_says_how_much_a_clip_moves(context: Context, tmp_path: Path) -> None:
    (facts,) = VideoFacts(tiny_clip(tmp_path / "clip.mkv")).answer(context).data
    assert isinstance(facts, dict)
    assert -1 <= facts["neighbour_ssim"] <= 1
    assert 1 <= facts["motion_strength"] <= 20
    assert 0 <= facts["motion_bucket"] <= 99


def test_a_prompt_alone_renders_into_a_measured_clip(context: Context) -> None:
    stage, _ = plan(context, motion_like=Path("clip.mp4"))
    assert set(stage.inputs()) == {"reference", "like"}


def preview_of(context: Context, preset: str, wanted: str) -> Path | None:
    """Where a preset's preview would lie, whatever this machine could render."""
    asked = rendering({"preset": preset, "preview": wanted})
    stage, _ = plan(context)
    settings = context.config.resolve(asked.overrides, preset)
    return asked.previewed(stage, Path("out.mp4"), settings, context).preview


def test_colours_are_shown_of_windows_and_taesd_of_stable_diffusion(
    context: Context,
) -> None:
    stage, out = plan(context, {"preview": "colours"})
    assert stage.preview == out.with_name(f"{out.stem}.preview.png").absolute()
    with pytest.raises(UsageError, match=r"--preview taesd has no effect .* tiny"):
        rendering({"preset": "tiny", "preview": "taesd"}).plan(context, PipelineState())


@pytest.mark.parametrize("preset", ["tiny", "ipa-controlnet", "wan-animate"])
def test_colours_are_shown_of_everything_that_denoises(
    context: Context, preset: str
) -> None:
    assert preview_of(context, preset, "colours") == Path("out.preview.png").absolute()
    with pytest.raises(UsageError, match=rf"--preview taesd has no effect .* {preset}"):
        preview_of(context, preset, "taesd")


def test_of_a_cut_out_there_are_no_latents_to_show(context: Context) -> None:
    with pytest.raises(UsageError, match=r"--preview colours has no effect .* cutout"):
        preview_of(context, "cutout", "colours")
