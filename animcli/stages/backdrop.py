"""Backgrounds of a result: a colour, a picture, a video, or the driving video without its
person, in whose place the character then performs.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
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
from animcli.rendering.cutout.background import inpaint_background
from animcli.rendering.cutout.inpaint import push_pull
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
_ROWS: Final = 64  # at once, so that memory doesn't grow with the picture
_PATH_FRAMES: Final = 2.0  # sigma of the character's way, and of its size
_SIZE_FRAMES: Final = 12.0


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
    and otherwise what surrounds the person. masks: the person `(h, w)` in a frame, by its
    number and picture.
    """

    def hole_of(frame: int, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return grown(masks(frame, picture), _GROW_PX * len(picture) / OF_HEIGHT)

    sampled = np.unique(np.linspace(0, driving.frames - 1, _SAMPLES).astype(int)).tolist()
    pictures = [next(driving.footage(range(frame, frame + 1))) for frame in sampled]
    holes = [hole_of(frame, x) for frame, x in zip(sampled, pictures, strict=True)]
    room, known = empty_room(np.stack(pictures), np.stack(holes))
    moved = [
        _moved(x, ~hole & known, room) for x, hole in zip(pictures, holes, strict=True)
    ]
    still = float(np.median(moved)) < _MOVED
    if not still:
        warn(MOVING_CAMERA)

    def frames(span: range) -> Iterator[NDArray[np.uint8]]:
        for frame, picture in zip(span, driving.footage(span), strict=True):
            hole = hole_of(frame, picture)
            behind = room if still else push_pull(picture.astype(np.float32), ~hole)
            share = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), _FEATHER_PX)
            share = np.maximum(share, hole)[..., None]
            mixed = picture + share * (behind - picture.astype(np.float32))
            empty = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
            yield fit_picture(empty, size, Fit.CROP)

    return frames


def empty_room(
    pictures: NDArray[np.uint8], holes: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The room behind somebody, by the median of the frames that show it.

    pictures: `(n, h, w, 3)`. holes: `(n, h, w)`, where the person is. Returns the room
    `(h, w, 3)`, 0..255, and `(h, w)`: what any frame shows of it; the rest is filled in.
    """
    known = np.asarray(~holes.all(axis=0))
    room = np.zeros(pictures.shape[1:], np.float32)
    for top in range(0, len(room), _ROWS):
        rows = slice(top, top + _ROWS)
        seen = np.where(holes[:, rows, :, None], np.nan, pictures[:, rows])
        seen[:, ~known[rows]] = 0
        room[rows] = np.nanmedian(seen, axis=0)
    if known.all():
        return room, known
    never = np.asarray(~known, np.float32)
    filled = inpaint_background(np.rint(room).astype(np.uint8), never)
    return np.where(known[..., None], room, filled).astype(np.float32), known


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
