"""Pictures to look at a motion by show what is in it."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.figure_models import FIGURE
from builders.poses import random_pose
from builders.stages import executor
from builders.videos import moving_picture, tiny_clip

from animcli.errors import InputError
from animcli.pose.io_pose import write_pose
from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.stages.charts import GAP, PAPER, body_speed, contact_sheet, pose_curves
from animcli.stages.frames import open_frames
from animcli.stages.inspect import (
    FILLED,
    SHEET_TILE,
    TALL,
    CurvesStage,
    OverlayStage,
    ProportionsStage,
    SheetStage,
)
from animcli.stages.retarget import RetargetStage
from animcli.video.images import read_picture


def walking(frames: int, step_px: float) -> PoseSequence:
    """A stiff figure, 100 px high, that moves `step_px` to the right every frame."""
    points = np.zeros((frames, KEYPOINTS, 2), np.float32)
    points[:, :, 1] = np.linspace(20, 120, 18)[np.arange(KEYPOINTS) % 18]
    points[:, :, 0] = 30 + step_px * np.arange(frames)[:, None]
    scores = np.ones((frames, KEYPOINTS), np.float32)
    ticks, base = even_ticks(frames, Fraction(25))
    return PoseSequence(points, scores, ticks, base, (200, 150))


def test_speed_is_in_figure_heights_a_second() -> None:
    speed = body_speed(walking(5, 2))
    np.testing.assert_allclose(speed[1:], 0.5, rtol=1e-6)  # points are float32
    assert np.isnan(speed[0])


def test_there_is_no_speed_into_or_out_of_a_gap() -> None:
    pose = walking(7, 2)
    pose.scores[3] = 0
    assert (
        np.isnan(body_speed(pose)).tolist()
        == [True] + [False] * 2 + [True] * 2 + [False] * 2
    )


def test_frames_without_anybody_are_shaded() -> None:
    pose = walking(60, 1)
    assert not (pose_curves(pose, "x") == GAP).all(axis=2).any()
    pose.scores[20:30] = 0
    shaded = (pose_curves(pose, "x") == GAP).all(axis=2)
    columns = np.flatnonzero(shaded.any(axis=0))
    white = (pose_curves(pose, "x") == 255).all(axis=2).mean(axis=0)
    left, *_, right = np.flatnonzero(white > 0.5)  # px, of the diagrams
    expected = np.array([19.5, 29.5]) / 59 * (right - left) + left
    assert columns[[0, -1]] == pytest.approx(expected, abs=4)  # px: edges are smoothed


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_curves_of_hardly_anything_are_drawn(frames: int) -> None:
    assert pose_curves(walking(frames, 1), "short").shape == (720, 1200, 3)


def test_a_sheet_has_a_tile_for_each_picture() -> None:
    tiles = [np.full((20, 10, 3), shade, np.uint8) for shade in (0, 100, 200)]
    sheet = contact_sheet(tiles, ["a", "b", "c"], columns=2, tile=50)
    assert sheet.shape == (8 + 2 * (100 + 20 + 8), 8 + 2 * (50 + 8), 3)
    assert sheet[50, 30].tolist() == [0, 0, 0]
    assert sheet[50, 90].tolist() == [100, 100, 100]
    assert sheet[180, 30].tolist() == [200, 200, 200]
    assert sheet[180, 90].tolist() == list(PAPER)


def test_a_pose_is_drawn_on_its_video(tmp_path: Path) -> None:
    write_pose(tmp_path / "a.pose", walking(6, 1))
    clip = tiny_clip(tmp_path / "a.mp4", 6)
    stage = OverlayStage(tmp_path / "a.pose", clip)
    folder = open_frames(executor(tmp_path).make(stage).path)
    assert (folder.frames, folder.size, folder.rate) == (6, (200, 150), 25)
    frames = list(folder.read())
    # Where no limb is, the video shows at three quarters of its light; H.264 is lossy.
    far = frames[0][140, 190].astype(int)
    np.testing.assert_allclose(far, moving_picture(0)[45, 61].astype(int) * 3 // 4, atol=12)
    black = open_frames(executor(tmp_path).make(OverlayStage(tmp_path / "a.pose")).path)
    drawn = (next(black.read()) > 0).any(axis=2)
    same = frames[0][drawn] == next(black.read())[drawn]
    assert same.all()


def test_a_sheet_of_a_clip_shows_its_first_and_last_frame(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 9)
    stage = SheetStage(clip, tiles=3, columns=3, tile=64)
    sheet = read_picture(executor(tmp_path).make(stage).path).pixels
    for column, index in enumerate((0, 4, 8)):
        tile = sheet[8:56, 8 + column * 72 : 72 + column * 72].astype(int)
        assert np.abs(tile - moving_picture(index)).mean() < 6  # of 255; H.264 is lossy


def test_a_clip_that_ends_in_its_first_frame_is_told(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.avi", 8)
    data = clip.read_bytes()
    packet = data.index(b"movi") + 4  # its name, its size, its bytes
    size = int.from_bytes(data[packet + 4 : packet + 8], "little")
    clip.write_bytes(data[: packet + 8 + size - 40])
    with pytest.raises(InputError, match=r"a\.avi.*decoded"):
        executor(tmp_path).make(SheetStage(clip))


def test_curves_are_made_once(tmp_path: Path) -> None:
    write_pose(tmp_path / "a.pose", random_pose(5))
    made = executor(tmp_path).make(CurvesStage(tmp_path / "a.pose", "a"))
    again = executor(tmp_path).make(CurvesStage(tmp_path / "a.pose", "a"))
    assert made.record == again.record


def test_skeletons_of_a_retargeting_are_shown_side_by_side(tmp_path: Path) -> None:
    sizes = {"motion": (1920, 1080), "other": (300, 400)}
    for name, size in sizes.items():
        frames = 30 if name == "motion" else 1
        points = np.zeros((frames, KEYPOINTS, 2), np.float32)
        points[:, :24] = FIGURE[:24] * (0.5 * size[1]) + (size[0] / 2, 0.9 * size[1])
        scores = np.ones((frames, KEYPOINTS), np.float32)
        scores[:, 24:] = 0
        ticks, base = even_ticks(frames, Fraction(25))
        pose = PoseSequence(points, scores, ticks, base, size)
        write_pose(tmp_path / f"{name}.pose", pose)
    fitted = RetargetStage(tmp_path / "motion.pose", tmp_path / "other.pose")
    sheet = read_picture(executor(tmp_path).make(ProportionsStage(fitted)).path).pixels
    gap, label = 8, 20  # px, of the sheet
    assert sheet.shape[1] == gap + 7 * (SHEET_TILE + gap)
    tall = []
    for row, column in ((0, 0), (0, 1), (1, 1)):  # reference, source, target
        top, left = gap + row * (TALL + label + gap), gap + column * (SHEET_TILE + gap)
        tile = sheet[top : top + TALL, left : left + SHEET_TILE]
        tall.append(np.ptp(np.flatnonzero(tile.any(axis=(1, 2)))))
    # 9 px: the dots of the outermost keypoints.
    np.testing.assert_allclose(tall, FILLED * TALL, atol=9)
