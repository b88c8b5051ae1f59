"""Backgrounds of a result: a colour, a picture, a video, or the driving video without its
person, in whose place the character then performs.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from animcli.errors import UsageError
from animcli.pipeline.stage import RunContext
from animcli.pose import keypoints as s
from animcli.pose.person_mask import OF_HEIGHT, PersonMasks, grown
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.inpaint import inpaint_rows, push_pull
from animcli.rendering.cutout.patch_fill import patch_fill
from animcli.rendering.renderer import FrameFn
from animcli.stages.fitting import Fit, fit_motion, fit_picture
from animcli.stages.footage import Driving
from animcli.stages.frames import is_lossless, looped, open_frames
from animcli.video.images import on_white, read_picture

if TYPE_CHECKING:
    from animcli.stages.render import RenderStage

DRIVING: Final = "driving"
"""Name of the driving video's own background."""

MOVING_CAMERA: Final = (
    "the camera of the driving video moves: behind its person the picture is filled from "
    "around, and not from other frames"
)

_SAMPLES: Final = 24  # frames that the empty room is put together from
_GROW_PX: Final = 12  # of a picture 720 high, around a person's mask
_FEATHER_PX: Final = 2.0  # sigma of the seam
_MOVED: Final = 12.0  # levels, median: from there on the camera isn't where it was
_LIMB: Final = 0.09  # trunk lengths, half of a limb's thickness: masks miss dark trousers
_SHADOW: Final = (1.3, 0.7)  # trunk lengths about a foot in which its shadow may lie
_SHADED: Final = 0.96  # light that a shadow leaves at most
_LIGHTER: Final = 0.85  # of the frames are darker than a floor without the shadow
_SEEN: Final = 0.125  # share of the frames that have to show a place
_ROWS: Final = 64  # at once, so that memory doesn't grow with the picture
_PATH_FRAMES: Final = 2.0  # sigma of the character's way, and of its size
_SIZE_FRAMES: Final = 12.0


_LIMBS: Final = (
    (s.RIGHT_SHOULDER, s.RIGHT_ELBOW, s.RIGHT_WRIST),
    (s.LEFT_SHOULDER, s.LEFT_ELBOW, s.LEFT_WRIST),
    (s.RIGHT_HIP, s.RIGHT_KNEE, s.RIGHT_ANKLE),
    (s.LEFT_HIP, s.LEFT_KNEE, s.LEFT_ANKLE),
)


def motion_and_background(
    stage: "RenderStage",
    context: RunContext,
    motion: PoseSequence | None,
    driving: Driving | None,
    rate: Fraction,
) -> tuple[PoseSequence | None, FrameFn]:
    """The motion of a render where its background has it, and that background.

    rate: frames per second of the result. Raises UsageError without a video where its own
    background is wanted.
    """
    if stage.background == DRIVING:
        if motion is None or driving is None or driving.motion is None:
            raise UsageError(f"--background {DRIVING} wants a video", "--motion VIDEO")
        dancer = fit_motion(driving.motion, stage.size, Fit.CROP)
        masks = PersonMasks(driving.motion, context.weights["blazepose"])
        room = without_person(driving, stage.size, masks, context.warn)
        return in_place_of(motion, dancer), room
    if isinstance(stage.background, str):
        rgb = [int(stage.background[at : at + 2], 16) for at in (1, 3, 5)]
        picture = np.full((stage.size[1], stage.size[0], 3), rgb, np.uint8)
    elif is_lossless(source := context.inputs["background"]):
        return motion, looped(open_frames(source), rate)[0]
    else:
        picture = on_white(read_picture(source))
    return motion, lambda span: iter([picture] * len(span))


def without_person(
    driving: Driving,
    size: tuple[int, int],
    masks: Callable[[int, NDArray[np.uint8]], NDArray[np.bool_]],
    warn: Callable[[str], None],
) -> FrameFn:
    """Frames of a driving video at `size`, with its person taken out.

    Behind the person it shows what other frames show there, where the camera stands still,
    and otherwise what surrounds the person. Where it stands still, the shadow about the
    person's feet goes as well. masks: the person `(h, w)` in a frame, by its number and
    picture.
    """

    def hole_of(frame: int, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        found = masks(frame, picture)
        if driving.motion is not None:
            found = found | limbs(driving.motion, frame, found.shape)
        return grown(found, _GROW_PX * len(picture) / OF_HEIGHT)

    def ground_of(frame: int, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        if driving.motion is None:
            return np.zeros(picture.shape[:2], bool)
        return about_feet(driving.motion, frame, picture.shape[:2])

    sampled = np.unique(np.linspace(0, driving.frames - 1, _SAMPLES).astype(int)).tolist()
    pictures = [next(driving.footage(range(frame, frame + 1))) for frame in sampled]
    holes = [hole_of(frame, x) for frame, x in zip(sampled, pictures, strict=True)]
    grounds = [ground_of(frame, x) for frame, x in zip(sampled, pictures, strict=True)]
    ground = np.logical_or.reduce(grounds)
    room, known = empty_room(np.stack(pictures), np.stack(holes), ground)
    moved = [
        _moved(x, ~hole & known, room) for x, hole in zip(pictures, holes, strict=True)
    ]
    still = float(np.median(moved)) < _MOVED
    if not still:
        warn(MOVING_CAMERA)

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        for frame, picture in zip(span, driving.footage(span), strict=True):
            hole = hole_of(frame, picture)
            if still:
                hole |= shaded(picture, room) & ground_of(frame, picture)
            behind = room if still else push_pull(picture.astype(np.float32), ~hole)
            share = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), _FEATHER_PX)
            share = np.maximum(share, hole)[..., None]
            mixed = picture + share * (behind - picture.astype(np.float32))
            empty = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
            yield fit_picture(empty, size, Fit.CROP)

    return frames


def limbs(motion: PoseSequence, frame: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`shape` `(h, w)`: arms and legs in a frame of `motion`, as thick lines."""
    drawn = np.zeros(shape[:2], np.uint8)
    wide = max(1, round(2 * _LIMB * _trunk(motion, frame)))
    for line in _LIMBS:
        for ends in pairwise(line):
            if motion.visible[frame, list(ends)].all():
                near, far = np.rint(motion.points[frame, list(ends)]).astype(int).tolist()
                cv2.line(drawn, near, far, 1, wide)
    return drawn > 0


def about_feet(
    motion: PoseSequence, frame: int, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """`shape` `(h, w)`: the ground about the feet in a frame of `motion`."""
    drawn = np.zeros(shape[:2], np.uint8)
    trunk = _trunk(motion, frame)
    across, down = (round(share * trunk) for share in _SHADOW)
    for foot in (s.RIGHT_ANKLE, s.LEFT_ANKLE):
        if motion.visible[frame, foot]:
            place = np.rint(motion.points[frame, foot]).astype(int).tolist()
            cv2.ellipse(drawn, place, (across, down), 0, 0, 360, 1, -1)
    return drawn > 0


def _trunk(motion: PoseSequence, frame: int) -> float:
    """Px from the neck to the hips in a frame; 0 where they aren't seen."""
    hips = [s.RIGHT_HIP, s.LEFT_HIP]
    if not motion.visible[frame, [s.NECK, *hips]].all():
        return 0.0
    points = motion.points[frame]
    return float(np.linalg.norm(points[s.NECK] - points[hips].mean(axis=0)))


def shaded(picture: NDArray[np.uint8], room: NDArray[np.float32]) -> NDArray[np.bool_]:
    """`(h, w)`: where a picture is darker than the empty room, and a little around."""
    even = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.5)
    most = cv2.GaussianBlur(room, (0, 0), 1.5) * _SHADED - 1
    darker = np.ascontiguousarray((even < most).all(axis=-1)).astype(np.uint8)
    opened = cv2.morphologyEx(darker, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.dilate(opened, np.ones((9, 9), np.uint8)) > 0)


def empty_room(
    pictures: NDArray[np.uint8], holes: NDArray[np.bool_], ground: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The room behind somebody, by the median of the frames that show it.

    pictures: `(n, h, w, 3)`. holes: `(n, h, w)`, where the person is. ground: `(h, w)`,
    where its shadow passes, and lighter frames count. Returns the room `(h, w, 3)`, 0..255,
    and `(h, w)`: what enough frames show of it; the rest is filled in.
    """
    # what very few frames show may be what a mask missed
    known: NDArray[np.bool_] = np.asarray(
        (~holes).sum(axis=0) >= max(1, round(_SEEN * len(holes)))
    )
    room = np.zeros(pictures.shape[1:], np.float32)
    for top in range(0, len(room), _ROWS):
        rows = slice(top, top + _ROWS)
        hidden = holes[:, rows, :, None]
        seen = np.sort(np.where(hidden, np.int16(256), pictures[:, rows]), axis=0)
        last = np.maximum(len(seen) - hidden.sum(axis=0, keepdims=True), 1) - 1
        share = np.where(np.expand_dims(ground[rows], (0, -1)), _LIGHTER, 0.5)
        at = (np.floor(share * last), np.ceil(share * last))
        below, above = (np.take_along_axis(seen, x.astype(np.intp), axis=0) for x in at)
        room[rows] = (below[0] + above[0]) / np.float32(2)
    if known.all():
        return room, known
    # floors and walls go on along rows; by a smooth fill alone a floor would climb the wall
    beside = inpaint_rows(room, known, ~known, len(room[0]))
    return patch_fill(room, ~known, beside), known


def _moved(
    picture: NDArray[np.uint8], free: NDArray[np.bool_], room: NDArray[np.float32]
) -> float:
    """Levels by which a picture differs from the room where nobody stands."""
    if not free.any():
        return 0.0
    return float(np.median(np.abs(picture[free] - room[free])))


def in_place_of(motion: PoseSequence, dancer: PoseSequence) -> PoseSequence:
    """A retargeted motion where its dancer is, on the same ground and as tall.

    Both have the same frames, and lie in pixels of one picture.
    """
    own, theirs = _stance(motion), _stance(dancer)
    both = own[2] & theirs[2]
    if not both.any():
        return motion
    at, every = np.flatnonzero(both), np.arange(len(motion))
    ratio = np.interp(every, at, theirs[1][at] / own[1][at])
    scale = gaussian_filter1d(ratio, _SIZE_FRAMES, mode="nearest")
    shift = theirs[0] - scale[:, None] * own[0]
    path = np.stack([np.interp(every, at, shift[at, axis]) for axis in (0, 1)], axis=1)
    path = gaussian_filter1d(path, _PATH_FRAMES, axis=0, mode="nearest")
    points = motion.points * scale[:, None, None] + path[:, None]
    return replace(motion, points=points.astype(np.float32))


def _stance(
    motion: PoseSequence,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """`(frames, 2)` px on the ground, `(frames,)` px from there to the neck, and where both
    are seen; the hips stand for ankles that are hardly ever seen.
    """
    points, visible = motion.points.astype(np.float64), motion.visible
    feet, hips = [s.RIGHT_ANKLE, s.LEFT_ANKLE], [s.RIGHT_HIP, s.LEFT_HIP]
    low = feet if visible[:, feet].all(axis=1).mean() > 0.5 else hips
    ground = points[:, low].mean(axis=1)
    waist = points[:, hips].mean(axis=1)
    tall = np.linalg.norm(points[:, s.NECK] - waist, axis=1)
    tall = tall + np.linalg.norm(waist - ground, axis=1)
    seen = visible[:, [*low, *hips, s.NECK]].all(axis=1) & (tall > 1)
    return ground, np.where(seen, tall, 1.0), seen
