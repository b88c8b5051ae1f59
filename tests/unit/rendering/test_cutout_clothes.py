"""Drawn people in all sorts of clothes lift their arms as if they were drawn so."""

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from animcli.pose.keypoints import BODY, KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.rendering.cutout.renderer import Cutout
from animcli.rendering.renderer import RenderRequest
from animcli.synthetic.body import at_rest, pose_figure
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.draw import Drawing, draw

SIZE = (320, 480)

Way = tuple[float, float, float]
"""Where a left limb points: to the viewer's right, up, and towards the viewer."""

APART: tuple[Way, Way] = ((0.35, -0.94, 0), (0.35, -0.94, 0))  # upper arm, forearm
HANGING: tuple[Way, Way] = ((0.1, -0.99, 0), (0.03, -0.99, 0.12))
ON_HIPS: tuple[Way, Way] = ((0.62, -0.78, 0), (-0.72, -0.55, 0.35))
OUT: tuple[Way, Way] = ((0.95, -0.1, 0), (0.98, 0.1, 0))
UP: tuple[Way, Way] = ((0.6, 0.75, 0), (0.3, 0.95, 0))


class Nothing:
    """A checkpoint of a run that isn't stopped."""

    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        raise AssertionError("cutout has nothing to save")


def posed(figure: Character, arms: tuple[Way, Way]) -> Drawing:
    """The figure before its backdrop, both arms alike."""

    def both(way: Way) -> NDArray[np.float32]:
        x, up, near = way
        pair = np.array([[[-x, up, near], [x, up, near]]], np.float32)
        return pair / np.linalg.norm(pair, axis=-1, keepdims=True)

    angles = replace(at_rest(), upper_arms=both(arms[0]), forearms=both(arms[1]))
    (pose,) = pose_figure(angles, figure.proportions)
    return draw(figure, pose, CameraShot(backdrop=figure.seed), SIZE)


def motion(*drawings: Drawing, off: NDArray[np.float32]) -> PoseSequence:
    """Their joints, all `off` by as much as a detector would be."""
    points = np.zeros((len(drawings), KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(drawings), KEYPOINTS), np.float32)
    points[:, BODY] = np.stack([drawing.keypoints for drawing in drawings]) + off
    scores[:, BODY] = 1
    ticks, base = even_ticks(len(drawings), Fraction(24))
    return PoseSequence(points, scores, ticks, base, SIZE)


def wrong(frame: NDArray[np.uint8], true: Drawing) -> float:
    """Pixels of nothing's colour that is near, in per cent of the figure's.

    Near is within 4 px, so that the shift of an edge isn't wrong, and of a colour within 50
    levels, so that folds and shades aren't.
    """
    around = np.ones((9, 9), np.uint8)
    least = cv2.erode(true.picture, around).astype(int)
    most = cv2.dilate(true.picture, around).astype(int)
    beyond = np.maximum(least - frame, frame - most).max(axis=-1)
    return 100 * float((beyond > 50).sum() / (true.mask > 128).sum())


@pytest.mark.parametrize("seed", [1, 2, 5])
@pytest.mark.parametrize(
    ("top", "bottom", "sleeve", "pattern", "arms"),
    [
        ("t-shirt", "trousers", 0.45, "stripes", APART),
        ("t-shirt", "dress", 0.3, "plain", APART),
        ("coat", "trousers", 1.0, "checks", APART),
        ("sweater", "trousers", 1.0, "checks", HANGING),
        ("sweater", "skirt", 1.0, "plain", ON_HIPS),
        ("tank", "dress", 0.0, "dots", HANGING),
    ],
    ids=["t-shirt", "dress", "coat", "hanging-sweater", "hands-on-hips", "bare-arms"],
)
def test_arms_leave_the_body_whole_and_take_their_sleeves_along(
    top: str, bottom: str, sleeve: float, pattern: str, arms: tuple[Way, Way], seed: int
) -> None:
    figure = Character.from_seed(seed)
    upper = replace(figure.outfit.upper, pattern=pattern)
    worn = replace(figure.outfit, top=top, bottom=bottom, sleeve=sleeve, upper=upper)
    figure = replace(figure, outfit=worn)
    shown, out, up = (posed(figure, way) for way in (arms, OUT, UP))
    off = np.random.default_rng(seed).normal(0, 2.5, (18, 2)).astype(np.float32)
    wanted = RenderRequest(
        reference=shown.picture,
        reference_alpha=shown.mask,
        reference_pose=motion(shown, off=off),
        motion=motion(out, up, off=off),
        control=None,
        frames=2,
        size=SIZE,
        preset=Preset("test"),
        weights={},
        device="cpu",
    )
    frames = Cutout().prepare(wanted, Nothing(), lambda *_: None)(range(2))
    for frame, true in zip(frames, (out, up), strict=True):
        # 4.2 at most as it is; a sleeve that stays behind, or a piece of a coat that goes
        # along, costs 4.9 to 8.3
        assert wrong(frame, true) < 4.6
