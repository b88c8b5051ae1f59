"""Renders of drawn dancers that are known in everything, and what may be wrong with them.

A clean one is the drawing itself. Every fault changes one thing, as a renderer might.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.metrics.clips import Clip
from animcli.metrics.pixels import Pixels, gradient_energy
from animcli.metrics.pose_error import Keypoints, compare_poses
from animcli.metrics.temporal import (
    Mask,
    Steps,
    background,
    background_psnr,
    largest_step,
    seam_ratio,
    steps,
)
from animcli.metrics.without_truth import Reference, RenderedResult
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.scene import Scene

FRAMES = 24
SIZE = (192, 192)
FACE_SIZE = (256, 256)
BORDERS = (8, 16)
"""Frames at which context windows of 12 with an overlap of 4 begin or end."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Frames of a render with all that is known of them.

    wanted: the keypoints asked for. found: those that are there. reference: a picture of
    the figure alone at its first pose.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    wanted: Keypoints
    found: Keypoints
    reference: Pixels
    figure: Mask
    borders: tuple[int, ...] = BORDERS


def shot(seed: int) -> CameraShot:
    return CameraShot(azimuth=0.2, backdrop=seed)


def close_up(seed: int) -> CameraShot:
    """Head and chest, from the front: a face of 50 to 80 pixels."""
    return CameraShot(azimuth=0.0, tilt=0.0, fill=2.8, floor=2.95, backdrop=seed)


@cache
def drawn(seed: int, start: float = 0.0) -> Drawn:
    """A dancer as drawn, with keypoints as a good detector finds them (1 % of the
    height).
    """
    scene = Scene.from_seed(seed)
    scene = Scene(scene.figure, scene.dance, shot(seed))
    drawings = list(scene.drawings(FRAMES, SIZE, start=start))
    keypoints = np.stack([drawing.keypoints for drawing in drawings])
    scores = np.stack([drawing.visible for drawing in drawings]).astype(float)
    trembling = np.random.default_rng(seed).normal(0, 1.35, keypoints.shape)
    frames = np.stack([drawing.picture for drawing in drawings])
    masks = np.stack([drawing.mask > 0 for drawing in drawings])
    return Drawn(
        frames,
        masks,
        Keypoints(keypoints, np.ones_like(scores), 0.5),
        Keypoints(keypoints + trembling, scores, 0.5),
        frames[0],
        masks[0],
    )


def late(seed: int) -> Drawn:
    """The dance a quarter of a second behind what was asked for."""
    return replace(drawn(seed, 0.25), wanted=drawn(seed).wanted)


def mirrored(seed: int) -> Drawn:
    """A figure that does with its left what the right was to do."""
    render = drawn(seed)
    order = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    turned = Keypoints(render.wanted.points[:, order], render.wanted.scores, 0.5)
    return replace(render, wanted=turned)


def absent(seed: int) -> Drawn:
    """Nobody in a third of the frames."""
    render = drawn(seed)
    scores = render.found.scores.copy()
    scores[FRAMES // 3 : 2 * FRAMES // 3] = 0
    return replace(render, found=replace(render.found, scores=scores))


def shuffled(seed: int) -> Drawn:
    """Every six frames in another order."""
    render = drawn(seed)
    order = (np.arange(FRAMES).reshape(-1, 6)[:, [3, 0, 4, 1, 5, 2]]).ravel()
    found = Keypoints(render.found.points[order], render.found.scores[order], 0.5)
    return replace(
        render, frames=render.frames[order], masks=render.masks[order], found=found
    )


def pumped(seed: int) -> Drawn:
    """A background that is 8 levels brighter in every other frame."""
    render = drawn(seed)
    outside = np.repeat(~render.masks[..., None], 3, -1)
    lighter = 8 * (np.arange(FRAMES) % 2)[:, None, None, None] * outside
    return replace(render, frames=_levels(render.frames + lighter))


def drifting(seed: int) -> Drawn:
    """A background that grows 24 levels brighter by and by."""
    render = drawn(seed)
    outside = np.repeat(~render.masks[..., None], 3, -1)
    lighter = np.linspace(0, 24, FRAMES)[:, None, None, None] * outside
    return replace(render, frames=_levels(render.frames + lighter))


def repainted(seed: int) -> Drawn:
    """Another background than the reference's, though a still one."""
    render = drawn(seed)
    picture = cv2.GaussianBlur(render.frames[0], (0, 0), 12)
    frames = np.where(render.masks[..., None], render.frames, picture)
    return replace(render, frames=frames)


def seamed(seed: int) -> Drawn:
    """Another texture over everything from a window's border on."""
    render = drawn(seed)
    return replace(render, frames=_patched(seed, np.ones_like(render.masks)))


def retextured(seed: int) -> Drawn:
    """Clothes and skin that have another texture from a window's border on."""
    return replace(drawn(seed), frames=_patched(seed, drawn(seed).masks))


def blurred(seed: int) -> Drawn:
    """A figure without detail."""
    render = drawn(seed)
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in render.frames])
    return replace(render, frames=np.where(render.masks[..., None], soft, render.frames))


FAULTS: dict[str, Callable[[int], Drawn]] = {
    "none": drawn,
    "late": late,
    "mirrored": mirrored,
    "absent": absent,
    "shuffled": shuffled,
    "pumped": pumped,
    "drifting": drifting,
    "repainted": repainted,
    "seamed": seamed,
    "retextured": retextured,
    "blurred": blurred,
}


@cache
def faces(seed: int, other: int | None = None) -> tuple[list[Pixels], NDArray[np.float64]]:
    """Six frames of a close up, and right eye, left eye and nose in each.

    other: whose face the figure has from the middle on.
    """
    scene = Scene.from_seed(seed)
    pictures, points = [], []
    for index in range(6):
        figure = scene.figure
        if other is not None and index >= 3:
            looks = Character.from_seed(other).looks
            figure = replace(figure, looks=looks)
        shown = Scene(figure, scene.dance, close_up(seed))
        (drawing,) = shown.drawings(1, FACE_SIZE, start=index / 6)
        pictures.append(drawing.picture)
        points.append(drawing.keypoints[[14, 15, 0]])
    return pictures, np.array(points, np.float64)


@cache
def changes(frames: bytes, masks: bytes, shape: tuple[int, ...]) -> Steps:
    """Several faults leave the frames as they are."""
    pictures = np.frombuffer(frames, np.uint8).reshape(shape)
    return steps(pictures, np.frombuffer(masks, bool).reshape(shape[:-1]))


def measured(render: Drawn) -> dict[str, float]:
    """Every measure of a render by its key."""
    frames, masks = render.frames, render.masks
    pose = compare_poses(render.wanted, render.found)
    found = changes(frames.tobytes(), masks.tobytes(), frames.shape)
    rest = background(frames, masks)
    whole = gradient_energy(render.reference, render.figure)
    detail = [gradient_energy(f, m) for f, m in zip(frames, masks, strict=True)]
    return {
        "pose_error": float(np.nanmean(pose.error)),
        "pck_10": float(np.nanmean(pose.pck)),
        "pose_found": 100 * pose.found.mean(),
        "sides_swapped": 100 * pose.swapped.mean(),
        "warp_error": 1e4 * found.warp_error.mean(),
        "kept": 100 * found.kept.mean(),
        "motion": 100 * found.motion.mean(),
        "flicker": float(np.nanmean(found.flicker)),
        "background": rest.drift,
        "background_psnr": background_psnr(rest, render.reference, render.figure),
        "seam": seam_ratio(found.residual, render.borders),
        "seam_figure": seam_ratio(found.figure_residual, render.borders),
        "largest_step": largest_step(found.residual)[0],
        "sharpness": float(np.mean(detail) / whole),
    }


def clip_of(frames: Sequence[Pixels], name: str = "a.mp4") -> Clip:
    """Frames as a video at 24 frames per second."""

    def read() -> Iterator[Pixels]:
        yield from frames

    height, width = frames[0].shape[:2]
    digest = hashlib.sha256(np.stack(frames).tobytes()).hexdigest()
    return Clip(
        name, len(frames), (width, height), Fraction(24), read, digest, origin="cache"
    )


def recorded(source: Drawn) -> RenderedResult:
    """A render and its record, as they are measured; its faces weren't looked for."""

    def masks() -> Iterator[Mask]:
        yield from source.masks

    nowhere = np.full((3, 2), np.nan)
    return RenderedResult(
        clip_of(source.frames),
        wanted=source.wanted,
        found=source.found,
        masks=masks,
        reference=Reference(source.reference, source.figure, source.reference, nowhere),
        faces=np.full((len(source.frames), 3, 2), np.nan),
        borders=source.borders,
    )


def _patched(seed: int, where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Frames with soft patches of about 12 levels from a border on."""
    frames = drawn(seed).frames
    rng = np.random.default_rng(seed)
    patches = cv2.resize(
        rng.normal(0, 12, (32, 32, 3)), SIZE, interpolation=cv2.INTER_CUBIC
    )
    changed = frames + patches * where[..., None]
    changed[: BORDERS[0]] = frames[: BORDERS[0]]
    return _levels(changed)


def _levels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
