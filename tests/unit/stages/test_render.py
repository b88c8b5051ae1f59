"""A render asks its renderer for the right thing, and keeps what it gives bit for bit."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.faults import Fault
from builders.stages import (
    Gradient,
    executor,
    gradient_preset,
    gradient_render,
    register,
    spot_motion,
    spot_pictures,
)
from numpy.typing import NDArray

from animcli import files
from animcli.errors import InputError, PresetError, StorageError, UsageError
from animcli.pipeline.checkpoint import FileCheckpoint
from animcli.pose.draw import draw_pose
from animcli.pose.io_pose import read_pose, write_pose
from animcli.presets import Preset, find_presets, load_preset
from animcli.registry import RENDERERS, Conditioning, RendererEntry
from animcli.rendering.renderer import RenderRequest
from animcli.stages.extract import ExtractStage
from animcli.stages.frames import SEGMENT, open_frames
from animcli.stages.inspect import CompareStage
from animcli.stages.render import OFFLOAD_ON_CPU, RenderStage
from animcli.video.images import write_picture
from animcli.weights.catalog import load_catalog

register()


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "ref.png"
    write_picture(path, next(spot_pictures(1)))
    return path


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    path = tmp_path / "dance.pose"
    write_pose(path, spot_motion(100))
    return path


def drawn(tmp_path: Path, frames: int) -> Iterator[NDArray[np.uint8]]:
    """What the renderer gives when it is asked directly."""
    request = RenderRequest(
        reference=next(spot_pictures(1)),
        reference_alpha=None,
        reference_pose=None,
        motion=spot_motion(100),
        control=None,
        frames=frames,
        size=(64, 96),
        preset=gradient_preset(),
        weights={},
        device="cpu",
    )
    checkpoint = FileCheckpoint(tmp_path / "alone.npz")
    return Gradient().prepare(request, checkpoint, lambda *_: None)(range(frames))


def test_frames_come_back_bit_for_bit(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    made = executor(tmp_path).make(gradient_render(reference, motion))
    folder = open_frames(made.path)
    assert (folder.size, folder.rate, folder.frames) == ((64, 96), 24, 100)
    assert len(folder.segments) == 3
    for ours, theirs in zip(folder.read(), drawn(tmp_path, 100), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_reading_may_begin_anywhere(tmp_path: Path, reference: Path, motion: Path) -> None:
    folder = open_frames(
        executor(tmp_path).make(gradient_render(reference, motion, frames=60)).path
    )
    whole = list(folder.read())
    for start in (0, 1, SEGMENT - 1, SEGMENT, 59, 60):
        np.testing.assert_array_equal(list(folder.read(start)), whole[start:])


def test_progress_counts_frames(tmp_path: Path, reference: Path, motion: Path) -> None:
    told: list[tuple[str, int, int]] = []
    at = executor(tmp_path, progress=lambda *progress: told.append(progress))
    at.make(gradient_render(reference, motion, frames=50))
    rendered = [done for what, done, of in told if (what, of) == ("rendering", 50)]
    assert rendered == sorted(rendered)
    assert set(rendered) == set(range(1, 51))


def test_a_presets_name_changes_nothing_and_its_seed_everything(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    one = gradient_render(reference, motion)
    renamed = replace(one, preset=replace(one.preset, name="other", about="words"))
    reseeded = replace(one, preset=replace(one.preset, seed=43))
    assert renamed.settings() == one.settings()
    assert reseeded.settings() != one.settings()


def test_offloading_changes_no_frame_and_on_a_cpu_says_so(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    notes: list[str] = []
    usual = gradient_render(reference, motion, frames=3)
    offloaded = replace(usual, offload="networks")
    made = executor(tmp_path, warn=notes.append).make(offloaded)
    assert OFFLOAD_ON_CPU in notes
    assert executor(tmp_path).make(usual).path == made.path


def test_an_uneven_motion_is_resampled_and_it_is_said(
    tmp_path: Path, reference: Path
) -> None:
    uneven = tmp_path / "uneven.pose"
    ticks = np.cumsum([0, *[40, 41, 39, 40, 40, 80] * 4]).astype(np.int64)
    write_pose(uneven, replace(spot_motion(25), ticks=ticks, time_base=Fraction(1, 1000)))
    notes: list[str] = []
    made = executor(tmp_path, warn=notes.append).make(gradient_render(reference, uneven))
    folder = open_frames(made.path)
    assert (folder.rate, folder.frames) == (25, 29)
    assert "the motion is unevenly spaced; it is resampled to 25 a second" in notes


def test_a_pose_to_hold_is_not_called_uneven(tmp_path: Path, reference: Path) -> None:
    still = tmp_path / "still.pose"
    write_pose(still, spot_motion(1))
    notes: list[str] = []
    executor(tmp_path, warn=notes.append).make(gradient_render(reference, still, frames=1))
    assert not [note for note in notes if "unevenly" in note]


def test_another_rate_keeps_the_length_in_seconds(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    stage = gradient_render(reference, motion, rate=Fraction(12))
    folder = open_frames(executor(tmp_path).make(stage).path)
    assert (folder.rate, folder.frames) == (12, 50)


@pytest.mark.parametrize(("speed", "frames"), [(Fraction(2), 50), (Fraction(1, 2), 199)])
def test_a_motion_at_another_speed_keeps_its_rate_and_its_places(
    tmp_path: Path, reference: Path, motion: Path, speed: Fraction, frames: int
) -> None:
    stage = replace(gradient_render(reference, motion), speed=speed)
    usual = executor(tmp_path).make(gradient_render(reference, motion))
    folder = open_frames(executor(tmp_path).make(stage).path)
    assert (folder.rate, folder.frames) == (24, frames)
    usual_frames, made = list(open_frames(usual.path).read()), list(folder.read())
    for number in (0, 10, 40):
        was, at = (number, 2 * number) if speed < 1 else (2 * number, number)
        np.testing.assert_array_equal(made[at], usual_frames[was])


def test_keypoints_of_the_reference_are_taken_where_they_are_given(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    """Nobody is looked for, so that a picture of nothing is fine, too."""
    write_picture(reference, np.zeros((96, 64, 3), np.uint8))
    given, pose = tmp_path / "by-hand.pose", spot_motion(3)
    write_pose(given, pose)
    stage = gradient_render(reference, motion)
    with pytest.raises(InputError, match="found 0 persons"):
        executor(tmp_path).make(stage)
    at = executor(tmp_path)
    kept = read_pose(at.make(replace(stage, keypoints=given).reference_pose).path)
    assert len(kept) == 1
    np.testing.assert_array_equal(kept.points, pose.points[:1])
    write_pose(given, replace(pose, size=(128, 128)))
    with pytest.raises(InputError, match=r"a picture of 128x128, and .* is 64x96"):
        at.make(replace(stage, keypoints=given).reference_pose)


def test_too_many_frames_are_refused_after_the_motion_is_known(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    with pytest.raises(UsageError, match="has 100 frames, 101 were asked for"):
        executor(tmp_path).make(gradient_render(reference, motion, frames=101))


def test_a_renderer_that_wants_a_motion_says_so(tmp_path: Path, reference: Path) -> None:
    stage = RenderStage(reference, None, gradient_preset())
    with pytest.raises(UsageError, match="gradient wants a motion"):
        executor(tmp_path).make(stage)


def test_a_renderer_that_there_is_not_is_named(tmp_path: Path, reference: Path) -> None:
    preset = replace(gradient_preset(), renderer="magic")  # type: ignore[arg-type]
    with pytest.raises(PresetError, match="no renderer 'magic'"):
        executor(tmp_path).make(RenderStage(reference, None, preset))


def test_a_comparison_shows_reference_motion_and_result(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    render = gradient_render(reference, motion, frames=3)
    at = executor(tmp_path)
    frames = list(open_frames(at.make(CompareStage(render)).path).read())
    result = list(open_frames(at.make(render).path).read())
    moves = spot_motion(100)
    for index in range(3):
        pose = draw_pose(
            moves.points[index],
            moves.scores[index],
            (64, 96),
            threshold=moves.draw_threshold,
        )
        np.testing.assert_array_equal(
            frames[index], np.hstack([next(spot_pictures(1)), pose, result[index]])
        )


def test_a_drawn_video_reaches_its_renderer_at_the_size_of_the_result(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        RENDERERS,
        "echo",
        RendererEntry("builders.stages:Echo", 1, ("numpy",), Conditioning.DENSEPOSE),
    )
    folder = tmp_path / "densepose"
    folder.mkdir()
    for number, picture in enumerate(spot_pictures(60)):
        write_picture(folder / f"{number:03d}.png", picture)
    preset = replace(gradient_preset(), renderer="echo")  # type: ignore[arg-type]
    stage = RenderStage(reference, None, preset, frames=70, loop=True, control=folder)
    at = executor(tmp_path)
    frames = list(open_frames(at.make(stage).path).read())
    wanted = [*spot_pictures(60), *spot_pictures(10)]
    np.testing.assert_array_equal(frames, wanted)
    row = next(open_frames(at.make(CompareStage(stage)).path).read(65))
    np.testing.assert_array_equal(row[:, 64:128], wanted[65])
    with pytest.raises(UsageError, match="60 frames, 70 were asked for"):
        at.make(replace(stage, loop=False))


def test_a_renderer_that_wants_densepose_says_so(
    tmp_path: Path, reference: Path, motion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        RENDERERS,
        "echo",
        RendererEntry("builders.stages:Echo", 1, ("numpy",), Conditioning.DENSEPOSE),
    )
    preset = replace(gradient_preset(), renderer="echo")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="echo wants a motion or a DensePose video"):
        executor(tmp_path).make(RenderStage(reference, None, preset))
    both = gradient_render(reference, motion, preset=preset, control=reference.parent)
    with pytest.raises(UsageError, match="a motion and a drawn video were given"):
        both.check_conditioning()


def test_a_full_disk_while_rendering_is_named_and_the_render_goes_on(
    tmp_path: Path, reference: Path, motion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, stage = executor(tmp_path), gradient_render(reference, motion)
    for source in stage.inputs().values():
        if not isinstance(source, Path):
            at.make(source)
    monkeypatch.setattr(files, "about_to", Fault("any", 30, "ENOSPC"))
    with pytest.raises(StorageError, match=r"No space left on device \([\d,]+ bytes free"):
        at.make(stage)
    kept = {path.name for path in tmp_path.glob(".anim/work/*/entry/render/frames-*")}
    assert kept
    monkeypatch.undo()
    assert kept < {path.name for path in at.make(stage).path.iterdir()}


def test_damaged_frames_that_are_left_out_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(spot_pictures(50)):
        path = folder / f"{number:03d}.png"
        write_picture(path, picture)
        if number in (3, 10, 11, 49):
            path.write_bytes(path.read_bytes()[:-30])
    notes: list[str] = []
    stage = ExtractStage(folder, "bright-spot", keep_going=True)
    found = read_pose(executor(tmp_path, warn=notes.append).make(stage).path)
    told = "left out 4 of 50 frames, which could not be decoded: 3, 10-11, 49"
    assert (len(found), told in notes) == (46, True)


def test_extraction_gives_the_exact_times_and_keypoints(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(spot_pictures(50)):
        write_picture(folder / f"{number:03d}.png", picture)
    stage = ExtractStage(folder, "bright-spot", clean=False, picture_rate=Fraction(25))
    found = read_pose(executor(tmp_path).make(stage).path)
    wanted = spot_motion(50, Fraction(25))
    np.testing.assert_array_equal(found.points, wanted.points)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.rate == 25
    assert found.origin.source["frames"] == 50


@pytest.mark.parametrize(
    ("seen", "message"),
    [(0, "nobody was found in any of its 20"), (9, "a person is in 9 of 20 frames only")],
)
def test_a_clip_without_enough_of_a_person_is_refused(
    tmp_path: Path, seen: int, message: str
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(spot_pictures(20)):
        dark = picture // 2
        write_picture(folder / f"{number:03d}.png", picture if number < seen else dark)
    with pytest.raises(InputError, match=message):
        executor(tmp_path).make(ExtractStage(folder, "bright-spot"))


def test_a_picture_without_a_person_is_named_as_the_user_knows_it(
    tmp_path: Path, motion: Path
) -> None:
    dark = tmp_path / "dark.png"
    write_picture(dark, np.zeros((96, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"dark\.png: found 0 persons"):
        executor(tmp_path).make(gradient_render(dark, motion))


def test_loras_count_by_content_and_weight_and_a_preview_not_at_all(
    tmp_path: Path, reference: Path, motion: Path
) -> None:
    preset = Preset("p", renderer="animate-anyone", lora="style.safetensors:0.5,b.sft")
    stage = RenderStage(reference, motion, preset)
    inputs = stage.inputs()
    assert (inputs["lora0"], inputs["lora1"]) == (Path("style.safetensors"), Path("b.sft"))
    renamed = replace(stage, preset=replace(preset, lora="c.safetensors:0.5,d.sft"))
    assert renamed.settings() == stage.settings()
    weaker = replace(stage, preset=replace(preset, lora="style.safetensors:0.4,b.sft"))
    assert weaker.settings() != stage.settings()
    shown = replace(stage, preview=tmp_path / "p.png", taesd=tmp_path)
    assert shown.settings() == stage.settings()
    assert shown.inputs().keys() == inputs.keys()


def test_animate_anyone_gets_the_picture_as_it_was_given_too(
    reference: Path, motion: Path
) -> None:
    stage = RenderStage(reference, motion, Preset("p", renderer="animate-anyone"))
    assert stage.inputs()["original"] == reference
    assert stage.picture.by_lanczos
    other = RenderStage(reference, motion, Preset("p", renderer="cutout"))
    assert "original" not in other.inputs()
    assert not other.picture.by_lanczos


@pytest.mark.parametrize("name", find_presets())
def test_the_weights_of_a_preset_are_in_the_catalog(name: str) -> None:
    assert set(load_preset(name).weights) <= load_catalog().keys()


def test_keys_of_a_preset_ask_for_further_weights() -> None:
    plain = load_preset("wan-animate-replace")
    assert plain.weights == ("wan-animate", "blazepose")
    fuller = replace(plain, quantise="gguf", relight=1.0)
    assert fuller.weights == (*plain.weights, "wan-animate-gguf", "wan-relight")
    alone = replace(load_preset("wan-animate"), relight=1.0)  # it is for the replaced
    assert alone.weights == ("wan-animate",)
