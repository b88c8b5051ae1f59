"""The reference: found in the whole picture, without what its alpha hides, and doubted."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders.stages import executor, register
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.detectors.registry import Bbox
from animcli.pose.io_pose import read_pose
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.pose.tracking import Detection
from animcli.stages import detection
from animcli.stages.doubt import doubt_of_figure
from animcli.stages.fitting import Fit
from animcli.stages.reference import FindPose, FitPicture
from animcli.video.images import read_picture, write_picture

register()


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A landscape with somebody small near its right side."""
    picture = np.full((288, 768, 3), 40, np.uint8)
    picture[100:104, 700:704] = 250
    write_picture(tmp_path / "wide.png", picture)
    return tmp_path / "wide.png"


@pytest.mark.parametrize(
    ("fit", "x", "y"),
    [
        # 64 / 768 of the size, 36 rows of room above
        (Fit.PAD, 701.5 / 12, 101.5 / 12 + 36),
        # 96 / 288 of the size, of which the middle 64 columns of 256 stay
        (Fit.CROP, 701.5 / 3 - 96, 101.5 / 3),
    ],
)
def test_somebody_small_at_the_side_is_found_before_the_picture_is_fitted(
    tmp_path: Path, wide: Path, fit: Fit, x: float, y: float
) -> None:
    notes: list[str] = []
    at = executor(tmp_path, warn=notes.append)
    made = at.make(FindPose(wide, "bright-spot", (64, 96), fit))
    pose = read_pose(made.path)
    assert pose.size == (64, 96)
    assert np.abs(pose.points[0].mean(axis=0) - (x, y)).max() < 0.6
    cut = [note for note in notes if "the result cuts off" in note]
    assert bool(cut) is (fit is Fit.CROP)


def test_somebody_whom_the_detector_does_not_see_can_be_shown_by_a_box(
    tmp_path: Path, wide: Path
) -> None:
    found = r"wide\.png: there is no person 2: 1 was found"
    with pytest.raises(InputError, match=found) as refusal:
        executor(tmp_path).make(FindPose(wide, "bright-spot", person="2"))
    assert "--reference-person left,top,right,bottom" in refusal.value.hint


def test_a_picture_of_another_shape_is_told_with_a_size_that_fits(
    tmp_path: Path, wide: Path
) -> None:
    notes: list[str] = []
    at = executor(tmp_path, warn=notes.append)
    at.make(FitPicture(wide, (512, 768)))
    assert "768x288" in notes[0]
    assert "--size 1024x384" in notes[0]
    at.make(FitPicture(wide, (1024, 384)))
    assert len(notes) == 1


def test_what_lies_under_alpha_is_white_to_everybody(tmp_path: Path) -> None:
    checker = (np.indices((96, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    hidden = np.dstack([checker] * 3 + [np.zeros_like(checker)])
    hidden[30:60, 20:40] = (200, 30, 60, 255)
    hidden[60:70, 20:40] = (200, 30, 60, 128)
    Image.fromarray(hidden).save(tmp_path / "ref.png")
    fitted = read_picture(executor(tmp_path).make(FitPicture(tmp_path / "ref.png")).path)
    assert fitted.alpha is not None
    np.testing.assert_array_equal(fitted.alpha, hidden[..., 3])
    assert (fitted.pixels[fitted.alpha == 0] == 255).all()
    assert (fitted.pixels[30:60, 20:40] == (200, 30, 60)).all()
    assert np.abs(fitted.pixels[60:70, 20:40].astype(int) - (227, 142, 157)).max() <= 1


class Hasty:
    """Takes a part of whatever it sees for the figure, unless it's told a box."""

    state = ()

    def __init__(self, first: PoseSequence | None, told: PoseSequence) -> None:
        self.first, self.told = first, told

    def restore(self, state: Sequence[float]) -> None:
        pass

    def count(self, picture: NDArray[np.uint8]) -> int:
        return int(self.first is not None)

    def people(self, picture: NDArray[np.uint8]) -> list[Detection]:
        one = self.first
        return [] if one is None else [Detection(one.points[0], one.scores[0])]

    def person_in(self, picture: NDArray[np.uint8], bbox: Bbox) -> Detection:
        self.asked = bbox
        return Detection(self.told.points[0], self.told.scores[0])


@pytest.mark.parametrize("first", [(160, 220), (260, 40), None])
@pytest.mark.parametrize(("second", "good"), [((40, 260), True), ((150, 200), False)])
def test_a_figure_that_is_doubted_or_overlooked_is_looked_for_in_the_drawing_as_a_whole(
    first: tuple[float, float] | None,
    second: tuple[float, float],
    good: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasty = Hasty(first and standing(*first), standing(*second))
    monkeypatch.setattr(detection, "open_for", lambda *_: hasty)
    write_picture(tmp_path / "cone.png", drawing())
    notes: list[str] = []
    at = executor(tmp_path, warn=notes.append)
    if first is None and not good:
        with pytest.raises(InputError, match="found 0 persons"):
            at.make(FindPose(tmp_path / "cone.png", "bright-spot"))
        return
    pose = read_pose(at.make(FindPose(tmp_path / "cone.png", "bright-spot")).path)
    assert np.abs(np.array(hasty.asked) - (60, 20, 141, 281)).max() <= 1
    kept = hasty.told if good else hasty.first
    assert kept is not None
    np.testing.assert_array_equal(pose.points, kept.points)
    assert ("by a look at all that stands out" in notes[0]) is good


GROUND = (240, 235, 225)
LENGTHS = {s.NOSE: 0, s.NECK: 0.2, s.RIGHT_HIP: 0.5, s.LEFT_HIP: 0.5, s.LEFT_ANKLE: 1}


def drawing() -> NDArray[np.uint8]:
    """A figure that fills 260 of 300 rows of a plain picture."""
    picture = np.full((300, 200, 3), GROUND, np.uint8)
    cv2.ellipse(picture, (100, 150), (40, 130), 0, 0, 360, (200, 90, 40), -1)
    return picture


def standing(head: float, feet: float) -> PoseSequence:
    """Somebody in the middle of it, from one row to the other."""
    points = np.zeros((1, s.KEYPOINTS, 2), np.float32)
    scores = np.zeros((1, s.KEYPOINTS), np.float32)
    for joint, part in LENGTHS.items():
        points[0, joint], scores[0, joint] = (100, head + part * (feet - head)), 1
    ticks, time_base = even_ticks(1, Fraction(1))
    return PoseSequence(points, scores, ticks, time_base, (200, 300))


def test_a_figure_that_stands_in_its_drawing_is_not_doubted() -> None:
    assert doubt_of_figure(standing(40, 260), drawing(), None) == ""


def test_a_figure_upside_down_is_doubted() -> None:
    assert "upside down" in doubt_of_figure(standing(260, 40), drawing(), None)


@pytest.mark.parametrize("by_alpha", [False, True])
def test_a_figure_in_a_part_of_a_drawing_is_doubted(by_alpha: bool) -> None:
    picture = drawing()
    alpha = ((picture != GROUND).any(axis=2) * 255).astype(np.uint8)
    doubt = doubt_of_figure(standing(160, 220), picture, alpha if by_alpha else None)
    assert "spans 22%" in doubt or "spans 23%" in doubt
    assert "is that the character?" in doubt


def test_a_busy_picture_gives_no_ground_for_doubt() -> None:
    busy = np.random.default_rng(0).integers(0, 255, (300, 200, 3)).astype(np.uint8)
    assert doubt_of_figure(standing(160, 220), busy, None) == ""
