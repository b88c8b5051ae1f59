"""DensePose videos are found, drawn, recognised, and fitted to a render."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders import dancer
from builders.densepose_models import BandParts, figure, write_torchscript
from builders.stages import executor, gradient_preset, register, spot_motion, spot_pictures

from animcli.errors import InputError, WeightsError
from animcli.pipeline.executor import Executor
from animcli.pose.detectors.densepose import FILE, DensePoseNetwork
from animcli.pose.draw import ControlKind, draw_pose
from animcli.pose.draw_densepose import BACKGROUND, draw_parts, paint
from animcli.pose.io_pose import read_pose, write_pose
from animcli.pose.lifting import lift
from animcli.registry import RENDERERS, Conditioning, RendererEntry
from animcli.stages.detection import kind_of_clip
from animcli.stages.extract import DensePoseStage, ExtractStage
from animcli.stages.fitting import Fit, fit_picture
from animcli.stages.frames import FrameFolder, open_frames
from animcli.stages.inspect import CompareStage
from animcli.stages.reference import FitClip
from animcli.stages.render import RenderStage
from animcli.video.images import write_picture
from animcli.weights.store import WeightsStore

register()

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
PICTURES = [np.roll(figure(), 8 * index, axis=1) for index in range(5)]


def folder_of(path: Path, pictures: list[np.ndarray]) -> Path:
    path.mkdir()
    for number, picture in enumerate(pictures):
        write_picture(path / f"{number:03d}.png", picture)
    return path


def frames_in(folder: FrameFolder) -> np.ndarray:
    return np.stack(list(folder.read()))


@pytest.fixture
def at(tmp_path: Path) -> Executor:
    """A workshop whose store has a network that was put there by hand."""
    (tmp_path / "weights" / "densepose").mkdir(parents=True)
    write_torchscript(tmp_path / "weights" / "densepose" / FILE, BandParts())
    return replace(executor(tmp_path), weights=WeightsStore(tmp_path / "weights"))


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        RENDERERS,
        "echo",
        RendererEntry("builders.stages:Echo", 1, ("numpy",), Conditioning.DENSEPOSE),
    )


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "ref.png"
    write_picture(path, next(spot_pictures(1)))
    return path


def test_the_parts_of_every_frame_are_found_and_painted(
    at: Executor, tmp_path: Path
) -> None:
    video = folder_of(tmp_path / "dance", PICTURES)
    found = open_frames(at.make(DensePoseStage(video)).path)
    assert (found.size, found.rate, found.frames) == ((224, 224), Fraction(24), 5)
    network = DensePoseNetwork(tmp_path / "weights" / "densepose")
    wanted = [paint(network.parts(picture)) for picture in PICTURES]
    np.testing.assert_array_equal(frames_in(found), wanted)
    assert (frames_in(found) != BACKGROUND).any(axis=3).mean() > 0.2


def test_without_the_network_the_command_that_gets_it_is_named(tmp_path: Path) -> None:
    video = folder_of(tmp_path / "dance", PICTURES)
    bare = replace(executor(tmp_path), weights=WeightsStore(tmp_path / "empty"))
    with pytest.raises(WeightsError) as raised:
        bare.make(DensePoseStage(video))
    assert "anim weights pull densepose" in raised.value.hint


def test_frames_that_a_stage_made_are_fitted_like_a_video(
    at: Executor, tmp_path: Path
) -> None:
    found = DensePoseStage(folder_of(tmp_path / "dance", PICTURES))
    fitted = open_frames(at.make(FitClip(found, (64, 96))).path)
    wanted = [
        fit_picture(frame, (64, 96), Fit.PAD)
        for frame in open_frames(at.make(found).path).read()
    ]
    np.testing.assert_array_equal(frames_in(fitted), wanted)


def test_a_renderer_of_densepose_gets_keypoints_drawn_as_parts(
    at: Executor, tmp_path: Path, reference: Path, echo: None
) -> None:
    motion = spot_motion(12)
    write_pose(tmp_path / "dance.pose", motion)
    notes: list[str] = []
    preset = replace(gradient_preset(), renderer="echo")  # type: ignore[arg-type]
    stage = RenderStage(
        reference, tmp_path / "dance.pose", preset, retarget=False, detector="bright-spot"
    )
    made = open_frames(replace(at, warn=notes.append).make(stage).path)
    bodies = lift(motion)
    wanted = [paint(draw_parts(bodies, index, (64, 96))) for index in range(12)]
    np.testing.assert_array_equal(frames_in(made), wanted)
    assert sum("drawing DensePose parts over the keypoints" in line for line in notes) == 1


def test_a_drawn_clip_is_paced_like_a_motion(
    at: Executor, tmp_path: Path, reference: Path, echo: None
) -> None:
    clip = folder_of(tmp_path / "dense", list(spot_pictures(9)))  # at 24 a second
    preset = replace(gradient_preset(), renderer="echo")  # type: ignore[arg-type]
    stage = RenderStage(reference, None, preset, control=clip, rate=Fraction(12))
    made = open_frames(at.make(stage).path)
    assert made.rate == 12
    np.testing.assert_array_equal(frames_in(made), list(spot_pictures(9))[::2])
    faster = replace(stage, rate=Fraction(48), frames=6)
    frames = frames_in(open_frames(at.make(faster).path))
    np.testing.assert_array_equal(frames, np.repeat(list(spot_pictures(3)), 2, axis=0))


def test_the_comparison_shows_the_clip_at_the_pace_of_the_result(
    at: Executor, tmp_path: Path, reference: Path, echo: None
) -> None:
    clip = folder_of(tmp_path / "dense", list(spot_pictures(9)))
    preset = replace(gradient_preset(), renderer="echo")  # type: ignore[arg-type]
    stage = RenderStage(reference, None, preset, control=clip, rate=Fraction(12))
    row = frames_in(open_frames(at.make(CompareStage(stage)).path))
    np.testing.assert_array_equal(row[:, :, 64:128], row[:, :, 128:])


def test_clips_are_known_by_what_they_show(tmp_path: Path) -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1, 8)), dancer.STAGE)
    bodies = lift(motion)
    parts = [paint(draw_parts(bodies, index, motion.size)) for index in range(8)]
    keypoints = [
        draw_pose(motion.points[i], motion.scores[i], motion.size) for i in range(8)
    ]
    clips = {
        ControlKind.DENSEPOSE: parts,
        ControlKind.SKELETON: keypoints,
        ControlKind.FOOTAGE: list(spot_pictures(8)),
    }
    for kind, pictures in clips.items():
        assert kind_of_clip(folder_of(tmp_path / kind.value, pictures)) is kind


def test_footage_that_looks_drawn_is_doubted_and_read(tmp_path: Path) -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1, 4)), dancer.STAGE)
    drawings = [
        draw_pose(motion.points[i], motion.scores[i], motion.size) for i in range(4)
    ]
    for drawing in drawings:
        drawing[4:8, 4:8] = 250  # somebody, to the detector
    clip = folder_of(tmp_path / "skeleton", drawings)
    notes: list[str] = []
    made = executor(tmp_path, warn=notes.append).make(ExtractStage(clip, "bright-spot"))
    assert len(read_pose(made.path)) == 4
    (doubt,) = [warn for warn in notes if "looks like a drawn video (skeleton)" in warn]
    assert "--preset animate-anyone" in doubt


def test_where_nobody_is_found_in_a_drawn_video_its_renderer_is_named(
    tmp_path: Path,
) -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1, 4)), dancer.STAGE)
    drawings = [
        draw_pose(motion.points[i], motion.scores[i], motion.size) for i in range(4)
    ]
    clip = folder_of(tmp_path / "skeleton", drawings)
    with pytest.raises(InputError) as refusal:
        executor(tmp_path).make(ExtractStage(clip, "bright-spot"))
    assert "--preset animate-anyone follows such a video" in refusal.value.hint


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("densepose_dancing.mp4", ControlKind.DENSEPOSE),
        ("densepose_running.mp4", ControlKind.DENSEPOSE),
        ("skeleton_video.mp4", ControlKind.SKELETON),
        ("dance_stage.mp4", ControlKind.FOOTAGE),
        ("street_walk_audio.avi", ControlKind.FOOTAGE),
    ],
)
def test_real_clips_are_known(media: Path, name: str, kind: ControlKind) -> None:
    assert kind_of_clip(media / name) is kind


def test_what_cant_be_read_is_left_to_the_stage_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 50)
    assert kind_of_clip(tmp_path / "broken.mp4") is ControlKind.FOOTAGE
    assert kind_of_clip(tmp_path / "absent.mp4") is ControlKind.FOOTAGE
