"""Identity: does a face stay that of the reference? Embeddings of aligned faces, compared.

A face is brought to the place where an embedding wants it by its eyes and the tip of its
nose. Frames without a face that is large enough, and from before, don't count; how many do
is part of the answer. Embeddings are biometric data: they are compared and dropped, and
nothing but the distance is kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animcli.metrics.networks.face import FACE_SIDE, FaceEmbedding
from animcli.metrics.pixels import Pixels

Points = NDArray[np.float64]

_FACE: Final = 24
"""The first of 68 face landmarks in a pose, in iBUG's order, where it has them."""

RIGHT_EYE: Final = tuple(range(_FACE + 36, _FACE + 42))
LEFT_EYE: Final = tuple(range(_FACE + 42, _FACE + 48))
NOSE_TIP: Final = _FACE + 30
BODY_FACE: Final = (14, 15, 0)
"""Right eye, left eye and nose of a pose that has no face landmarks."""

_AT_ONCE: Final = 8  # faces in a batch

EYES_APART: Final = 0.526
"""Of a face's width, by dlib's mean face."""

LEAST_WIDTH: Final = 40.0  # pixels; embeddings of smaller faces say nothing
LEAST_FRONT: Final = 0.25
"""Of the distance of the eyes, by which the nose must lie between them, from either."""

SAME_DLIB: Final = 0.6
"""Distance below which dlib's authors take two faces for one person's; other people of
photographs are at 0.7 and more."""

SAME_SFACE: Final = 0.363
"""Cosine above which SFace's authors do."""


@dataclass(frozen=True)
class Template:
    """The place of right eye, left eye and nose tip in a face `side` pixels wide."""

    side: int
    points: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


PADDING: Final = 0.25


def _padded(x: float, y: float) -> tuple[float, float]:
    scale = FACE_SIDE / (1 + 2 * PADDING)
    return ((x + PADDING) * scale, (y + PADDING) * scale)


DLIB: Final = Template(
    FACE_SIDE, (_padded(0.2274, 0.2213), _padded(0.7528, 0.2212), _padded(0.4901, 0.5156))
)
"""dlib's mean face (its `get_face_chip_details`): middles between the corners of the eyes,
and the tip of the nose, with a quarter of a face around it."""

ARCFACE: Final = Template(112, ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366)))
"""The usual place of faces for ArcFace and its like, SFace among them."""


Embed = Callable[[Sequence[Pixels]], NDArray[np.float32]]
"""Aligned faces -> embeddings `(n, d)`."""


@dataclass(frozen=True, eq=False)
class Identity:
    """The face of a result against that of the reference.

    values: `(frames,)` distance or cosine, NaN for a frame without a face.
    share: percent of the frames that have one. median, worst: over these; `worst` is the
    end at which one frame in twenty lies.
    """

    values: NDArray[np.float64]
    share: float
    median: float
    worst: float


def face_points(
    points: NDArray[np.floating], scores: NDArray[np.floating], threshold: float
) -> Points:
    """Right eye, left eye and nose tip `(frames, 3, 2)` of a pose; NaN for no face.

    points: `(frames, joints, 2)` pixels. Faces that look aside, or whose eyes are on the
    wrong sides (the back of a head) are none.
    """
    if points.shape[1] > LEFT_EYE[-1]:
        seen = (scores[:, [*RIGHT_EYE, *LEFT_EYE, NOSE_TIP]] > threshold).all(1)
        right = points[:, RIGHT_EYE].mean(1)
        left = points[:, LEFT_EYE].mean(1)
        found = np.stack([right, left, points[:, NOSE_TIP]], 1)
    else:
        seen = (scores[:, BODY_FACE] > threshold).all(1)
        found = points[:, BODY_FACE]
    found = found.astype(np.float64)
    across = found[:, 1] - found[:, 0]
    apart = np.linalg.norm(across, axis=1)
    unit = across / np.maximum(apart, 1e-9)[:, None]
    nose = found[:, 2] - found[:, 0]
    along = (nose * unit).sum(1) / np.maximum(apart, 1e-9)
    below = unit[:, 0] * nose[:, 1] - unit[:, 1] * nose[:, 0]
    good = seen & (below > 0)
    good &= (along > LEAST_FRONT) & (along < 1 - LEAST_FRONT)
    return np.where(good[:, None, None], found, np.nan)


def face_width(points: Points) -> NDArray[np.float64]:
    """Width of faces `(...)` in pixels, by their points `(..., 3, 2)`; NaN for none."""
    across = points[..., 1, :] - points[..., 0, :]
    return np.asarray(np.linalg.norm(across, axis=-1) / EYES_APART, np.float64)


def align(picture: Pixels, points: Points, template: Template) -> Pixels:
    """The face of a picture, `(side, side, 3)`, turned, scaled and moved to the template.

    points: `(3, 2)`. The similarity is the one of least squares (Umeyama, 1991).
    """
    goal = np.array(template.points)
    mean, mean_goal = points.mean(0), goal.mean(0)
    x, y = points - mean, goal - mean_goal
    u, spread, vt = np.linalg.svd(y.T @ x)
    sign = np.sign(np.linalg.det(u @ vt))
    turn = u @ np.diag([1, sign]) @ vt
    scale = (spread * (1, sign)).sum() / np.square(x).sum()
    share = min(2 * scale, 1.0)
    if share < 1:  # shrink first, or pixels are skipped
        size = (round(picture.shape[1] * share), round(picture.shape[0] * share))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        mean = (mean + 0.5) * share - 0.5  # the middle of a pixel is at its number
    similarity = scale / share * turn
    matrix = np.column_stack([similarity, mean_goal - similarity @ mean])
    side = (template.side, template.side)
    face = cv2.warpAffine(picture, matrix, side, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(face, np.uint8)


def compare_faces(
    reference: tuple[Pixels, Points],
    frames: Iterable[Pixels],
    points: Points,
    embed: Embed,
    template: Template,
    *,
    cosine: bool,
) -> Identity | None:
    """Compare the face in every frame with the reference's; None if that has no face.

    Faces of less than LEAST_WIDTH are none.
    reference: a picture and its three points. points: `(frames, 3, 2)`, NaN for no face.
    cosine: compare by cosine, 1 for the same, instead of by distance, 0 for the same.
    """
    picture, own = reference
    large = face_width(points) >= LEAST_WIDTH
    if not face_width(own) >= LEAST_WIDTH:  # NaN isn't
        return None
    (goal,) = embed([align(picture, own, template)])
    values = np.full(len(points), np.nan)
    shown = (
        (index, align(frame, points[index], template))
        for index, frame in enumerate(frames)
        if large[index]
    )
    while batch := list(islice(shown, _AT_ONCE)):
        for (index, _), found in zip(
            batch, embed([face for _, face in batch]), strict=True
        ):
            values[index] = _cosine(found, goal) if cosine else np.linalg.norm(found - goal)
    there = values[~np.isnan(values)]
    if not len(there):
        return Identity(values, 0.0, float("nan"), float("nan"))
    return Identity(
        values,
        100 * len(there) / len(values),
        float(np.median(there)),
        float(np.percentile(there, 5 if cosine else 95)),
    )


def dlib_embedding(network: FaceEmbedding) -> Embed:
    """Embeddings by dlib's network; compared by distance."""

    def embed(faces: Sequence[Pixels]) -> NDArray[np.float32]:
        device = network.fc.weight.device
        batch = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float().to(device)
        with torch.inference_mode():
            return np.asarray(network(batch).cpu().numpy(), np.float32)

    return embed


def sface_embedding(model: Path) -> Embed:
    """Embeddings by SFace, which OpenCV runs; compared by cosine."""
    recognizer = cv2.FaceRecognizerSF.create(str(model), "")

    def embed(faces: Sequence[Pixels]) -> NDArray[np.float32]:
        found = [recognizer.feature(cv2.cvtColor(f, cv2.COLOR_RGB2BGR))[0] for f in faces]
        return np.array(found, np.float32)

    return embed


def _cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(
        left @ right / max(float(np.linalg.norm(left) * np.linalg.norm(right)), 1e-9)
    )
