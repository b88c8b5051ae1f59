"""Drawn clips are told from filmed ones."""

from pathlib import Path

import cv2
import dancer
import numpy as np
import pytest

from animcli.pose.draw import draw_pose
from animcli.pose.drawn import Kind, recognise


def some_of(clip: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(clip))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return pictures[:: max(1, len(pictures) // 8)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("skeleton_video.mp4", Kind.SKELETON),
        ("densepose_dancing.mp4", Kind.DENSEPOSE),
        ("densepose_running.mp4", Kind.DENSEPOSE),
        ("dance_stage.mp4", Kind.FOOTAGE),  # on a black stage
        ("talking_head_audio.mp4", Kind.FOOTAGE),
        ("cinemo_people_walking_result.mp4", Kind.FOOTAGE),
        ("street_walk_audio.avi", Kind.FOOTAGE),
    ],
)
def test_real_clips(media: Path, name: str, kind: Kind) -> None:
    assert recognise(some_of(media / name)) is kind


def test_our_own_drawings_are_skeletons() -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1)), dancer.STAGE)
    drawings = [draw_pose(motion.points[t], motion.scores[t], motion.size) for t in (0, 90)]
    blank = np.zeros((720, 1280, 3), np.uint8)
    assert recognise([blank, *drawings]) is Kind.SKELETON


def test_one_filmed_picture_makes_it_footage() -> None:
    motion = dancer.film(dancer.perform(dancer.Body(), dancer.dance(1)), dancer.STAGE)
    drawing = draw_pose(motion.points[0], motion.scores[0], motion.size)
    filmed = np.random.default_rng(0).integers(60, 200, (720, 1280, 3), np.uint8)
    assert recognise([drawing, filmed]) is Kind.FOOTAGE


def test_black_pictures_alone_are_footage() -> None:
    assert recognise([np.zeros((64, 64, 3), np.uint8)]) is Kind.FOOTAGE
