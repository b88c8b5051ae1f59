"""Encoding for delivery: what is said about sound that can't go along."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from builders.stages import executor, gradient_render, register, spot_motion, spot_pictures
from builders.videos import clip_with_tone, tiny_clip

from animcli.pose.io_pose import write_pose
from animcli.stages.encode import EncodeStage
from animcli.video.images import write_picture


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (
            lambda path: clip_with_tone(path, Fraction(0)),
            [".gif: there is no room for the sound"],
        ),
        (tiny_clip, []),
    ],
)
def test_only_sound_that_is_there_is_missed(
    tmp_path: Path, sound: Callable[[Path], object], told: list[str]
) -> None:
    register()
    write_pose(tmp_path / "dance.pose", spot_motion(4))
    write_picture(tmp_path / "ref.png", next(spot_pictures(1)))
    sound(tmp_path / "dance.mp4")
    notes: list[str] = []
    frames = gradient_render(tmp_path / "ref.png", tmp_path / "dance.pose")
    stage = EncodeStage(frames, ".gif", sound=tmp_path / "dance.mp4")
    executor(tmp_path, warn=notes.append).make(stage)
    assert [line for line in notes if "upside down" not in line] == told
