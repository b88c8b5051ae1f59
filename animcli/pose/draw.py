"""Skeleton pictures, as the pose guiders saw them in training; and telling drawn clips.

Source: the drawing of DWPose's own demo (Yang et al., "Effective Whole-Body Pose
Estimation", arXiv:2307.15880, code 3dca5db), which Animate Anyone's re-implementations and
ControlNet share. Its strokes are in pixels of a picture whose short side is 512; here they
grow and shrink with the short side. Feet are known and not drawn, as there.

Wan-Animate has a style of its own: thinner strokes, toes, no face. Source: its authors'
preprocessing (Wan-Video/Wan2.2, human_visualization.py), written anew from its numbers.

Clips that somebody drew are told from clips that somebody filmed by their colours. A
skeleton clip is black with thin, saturated strokes of many hues: people on a dark stage are
broad, and the light on them has few. A DensePose clip has the darkest purple of the palette
viridis behind bodies in its other colours. Such clips are conditions already: a renderer
that follows them needs nobody to be looked for.
"""

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.pose.keypoints import (
    BODY,
    BODY_LIMBS,
    FACE,
    HAND_LIMBS,
    KEYPOINT_COLOURS,
    LEFT_ANKLE,
    LEFT_BIG_TOE,
    LEFT_HAND,
    LEFT_SMALL_TOE,
    RIGHT_ANKLE,
    RIGHT_BIG_TOE,
    RIGHT_HAND,
    RIGHT_SMALL_TOE,
)

SHORT_SIDE: Final = 512  # px, of the pictures that the strokes below are for
LIMB_SHADE: Final = 0.6  # of a limb's colour is left
MAX_COORDINATE: Final = (
    30_000  # px; OpenCV counts in fixed point, and nothing out there is seen
)

_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class DrawnFigure:
    """Keypoints and limbs of a drawn body, and their colours in RGB.

    limbs: pairs of rows, in the order of drawing. colours: of the limbs, before the shade.
    dots: of the keypoints.
    """

    limbs: tuple[tuple[int, int], ...]
    colours: tuple[_Colour, ...]
    dots: tuple[_Colour, ...]

    @property
    def shaded(self) -> list[tuple[int, ...]]:
        """The colours of the limbs as they are drawn."""
        return [tuple(int(c * LIMB_SHADE) for c in colour) for colour in self.colours]


OPENPOSE: Final = DrawnFigure(
    BODY_LIMBS, KEYPOINT_COLOURS[: len(BODY_LIMBS)], KEYPOINT_COLOURS
)
WITH_TOES: Final = (
    DrawnFigure(  # the limb to a toe has another colour than its dot: so published
        (*BODY_LIMBS, (LEFT_ANKLE, 18), (RIGHT_ANKLE, 19)),
        (*OPENPOSE.colours, (255, 0, 85), (200, 200, 0)),
        (*KEYPOINT_COLOURS, (200, 200, 0), (100, 100, 0)),
    )
)
"""Rows 18 and 19 are the left and the right toe."""
TOES: Final = ((LEFT_BIG_TOE, LEFT_SMALL_TOE), (RIGHT_BIG_TOE, RIGHT_SMALL_TOE))

HAND_COLOURS: Final = tuple(
    tuple(channel * 255 for channel in colorsys.hsv_to_rgb(limb / len(HAND_LIMBS), 1, 1))
    for limb in range(len(HAND_LIMBS))
)
HAND_DOT: Final = (0, 0, 255)
FACE_DOT: Final = (255, 255, 255)


@dataclass(frozen=True)
class Strokes:
    """Sizes in pixels: half-width of a limb, radii of dots, width of a finger's line."""

    limb: int
    joint: int
    finger: int
    hand_dot: int
    face_dot: int

    @classmethod
    def for_size(cls, size: tuple[int, int]) -> "Strokes":
        """The strokes for a picture of `(width, height)`; none is thinner than a pixel."""
        scale = min(size) / SHORT_SIDE
        limb, joint, finger, hand_dot, face_dot = (
            max(1, round(px * scale)) for px in (4, 4, 2, 4, 3)
        )
        return cls(limb, joint, finger, hand_dot, face_dot)

    @classmethod
    def of_wan(cls, size: tuple[int, int]) -> "Strokes":
        """Wan-Animate's: 1 px for a short side of 480 or 512, 2 for 720, 4 for 1080."""
        stroke = max(min(size) // 200 - 1, 1)
        finger = max(stroke // 2, 1)
        return cls(stroke, stroke, finger, finger, 0)


def draw_pose(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    size: tuple[int, int],
    *,
    threshold: float = 0.3,
    body: bool = True,
    hands: bool = True,
    face: bool = True,
) -> NDArray[np.uint8]:
    """One skeleton on black, `(height, width, 3)` uint8 RGB.

    points: `(134, 2)` in pixels of a picture of `size`, `(width, height)`.
    scores: `(134,)`; keypoints with a score up to `threshold` are left out.
    """
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    strokes = Strokes.for_size(size)
    places = np.nan_to_num(points).clip(-MAX_COORDINATE, MAX_COORDINATE)
    visible = scores > threshold
    if body:
        draw_body(canvas, places[BODY], visible[BODY], strokes, OPENPOSE)
    # Limbs may reach in from the left or from above; hands and faces may not, as there.
    pixels = places.astype(np.int64)
    visible = visible & (pixels >= 1).all(axis=1)
    if hands:
        draw_hands(canvas, pixels, visible, strokes)
    if face:
        for place, shown in zip(pixels[FACE].tolist(), visible[FACE].tolist(), strict=True):
            if shown:
                cv2.circle(canvas, place, strokes.face_dot, FACE_DOT, -1)
    return canvas


def draw_wan_pose(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    size: tuple[int, int],
    *,
    threshold: float,
) -> NDArray[np.uint8]:
    """One skeleton as Wan-Animate learnt to follow it; arguments as of `draw_pose`.

    A toe is the middle of the big and the small one; where only the big one was seen, as
    by a detector that knows no other, it is that.
    """
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    strokes = Strokes.of_wan(size)
    places = np.nan_to_num(points).clip(-MAX_COORDINATE, MAX_COORDINATE)
    visible = scores > threshold
    toes = np.stack(
        [places[[big, small] if visible[small] else [big]].mean(0) for big, small in TOES]
    )
    body = np.concatenate([places[BODY], toes]).astype(np.float32)
    shown = np.concatenate([visible[BODY], visible[[big for big, _ in TOES]]])
    draw_body(canvas, body, shown, strokes, WITH_TOES)
    pixels = places.astype(np.int64)
    draw_hands(canvas, pixels, visible & (pixels >= 1).all(axis=1), strokes)
    return canvas


def draw_body(
    canvas: NDArray[np.uint8],
    points: NDArray[np.float32],
    visible: NDArray[np.bool_],
    strokes: Strokes,
    figure: DrawnFigure,
) -> None:
    """Limbs as slim ellipses, then keypoints as dots; `points` is `(keypoints, 2)`."""
    start, end = points[[a for a, _ in figure.limbs]], points[[b for _, b in figure.limbs]]
    centres = ((start + end) / 2).astype(np.int64)
    way = start - end
    halves = (np.hypot(way[:, 0], way[:, 1]) / 2).astype(np.int64)
    angles = np.degrees(np.arctan2(way[:, 1], way[:, 0])).astype(np.int64)
    colours = figure.shaded
    for limb, (a, b) in enumerate(figure.limbs):
        if visible[a] and visible[b]:
            axes = (int(halves[limb]), strokes.limb)
            ellipse = cv2.ellipse2Poly(
                centres[limb].tolist(), axes, int(angles[limb]), 0, 360, 1
            )
            # Upstream darkens the canvas between limbs and keypoints: the same, as limbs
            # cover one another and don't mix.
            cv2.fillConvexPoly(canvas, np.asarray(ellipse), colours[limb])
    for joint, place in enumerate(points.astype(np.int64).tolist()):
        if visible[joint]:
            cv2.circle(canvas, place, strokes.joint, figure.dots[joint], -1)


def draw_hands(
    canvas: NDArray[np.uint8],
    pixels: NDArray[np.int64],
    visible: NDArray[np.bool_],
    strokes: Strokes,
) -> None:
    """Both hands, the left first; `pixels` is `(134, 2)`."""
    for hand in (LEFT_HAND, RIGHT_HAND):
        draw_hand(canvas, pixels[hand].tolist(), visible[hand].tolist(), strokes)


def draw_hand(
    canvas: NDArray[np.uint8],
    pixels: list[list[int]],
    visible: list[bool],
    strokes: Strokes,
) -> None:
    """Fingers as lines in the colours of the rainbow, then blue dots."""
    for (a, b), colour in zip(HAND_LIMBS, HAND_COLOURS, strict=True):
        if visible[a] and visible[b]:
            cv2.line(canvas, pixels[a], pixels[b], colour, strokes.finger)
    for place, shown in zip(pixels, visible, strict=True):
        if shown:
            cv2.circle(canvas, place, strokes.hand_dot, HAND_DOT, -1)


VIRIDIS: Final = np.array(
    [
        *[(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142)],
        *[(31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37)],
    ],
    np.int16,
)
"""RGB of ten even steps; the first is the background."""
LIKE: Final = 40  # levels from the nearest of the ten: about half a step
COLOUR_TOLERANCE: Final = 24  # levels that compression may shift a plain colour by
BRIGHT: Final = 60  # level of the strongest channel from which a pixel is a stroke
_PLAIN: Final = 0.6  # of the picture's pixels are background
SATURATED: Final = 0.5  # of the other pixels have the colours; soft edges, white faces not
STEP: Final = 4  # px: every fourth pixel across and down is looked at
BROAD: Final = 0.045  # of the short side; strokes are narrower, two thirds of a body not
THIN: Final = 0.2  # of what is lit may be in the middle of something broad
HUES: Final = 5  # of twelve; drawn limbs have 8 to 10, a stage in coloured light 1 to 3
SHARE: Final = 0.02  # of the saturated pixels, for a hue to count


class ControlKind(Enum):
    """Kind of pictures in a clip."""

    FOOTAGE = "footage"
    SKELETON = "skeleton"
    DENSEPOSE = "densepose"


def recognise(pictures: Iterable[NDArray[np.uint8]]) -> ControlKind:
    """Kind of a clip, by some of its pictures, each `(h, w, 3)` uint8 RGB.

    It is drawn only if all of the pictures are, blank ones aside; those after one that
    isn't are not asked for.
    """
    found = None
    for kind in map(kind_of_picture, pictures):
        if kind is ControlKind.FOOTAGE or (found and kind and kind is not found):
            return ControlKind.FOOTAGE
        found = kind or found
    return found or ControlKind.FOOTAGE


def kind_of_picture(picture: NDArray[np.uint8]) -> ControlKind | None:
    """Kind of one picture; None if it is black all over, which anything can begin with."""
    pixels = picture[::STEP, ::STEP].reshape(-1, 3).astype(np.int16)
    strongest = pixels.max(axis=1)
    black = strongest < COLOUR_TOLERANCE
    if black.all():
        return None
    if black.mean() >= _PLAIN and has_strokes(picture):
        return ControlKind.SKELETON
    off = np.abs(pixels[:, None] - VIRIDIS).max(axis=2)
    purple = off[:, 0] < COLOUR_TOLERANCE
    bodies = off[~purple].min(axis=1) < LIKE
    if purple.mean() >= _PLAIN and (not len(bodies) or bodies.mean() >= SATURATED):
        return ControlKind.DENSEPOSE
    return ControlKind.FOOTAGE


def has_strokes(picture: NDArray[np.uint8]) -> bool:
    """Tell if what is lit in `(h, w, 3)` is thin, saturated and of many hues."""
    strongest = picture.max(axis=2)
    lit = strongest >= BRIGHT
    saturated = lit & (picture.min(axis=2) < np.ceil(strongest / np.float32(4)))
    if not lit.any() or saturated.sum() < SATURATED * lit.sum():
        return False
    side = max(3, round(min(lit.shape) * BROAD))
    broad = cv2.erode(lit.astype(np.uint8), np.ones((side, side), np.uint8))
    hues = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 0][saturated] // 15
    shares = np.bincount(hues, minlength=12) / len(hues)
    thin = broad.sum() < THIN * lit.sum()
    return bool(thin and (shares > SHARE).sum() >= HUES)
