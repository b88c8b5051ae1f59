"""Measures of a render without a truth, from its frames and from its record.

Each measure is of one fault: a pose that isn't the one asked for, frames that don't follow
each other, a background that flickers or drifts or isn't the reference's, a seam where one
context window ends and another begins, a figure that has lost its detail, another face.
Which of them moves with which fault, and how much, is measured on drawn dancers whose truth
is known: `tests/unit/metrics/test_faults.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.metrics.clips import Clip
from animcli.metrics.identity import (
    LEAST_WIDTH,
    Embed,
    Points,
    Template,
    compare_faces,
    face_width,
)
from animcli.metrics.measurement import METRICS, Measurement, left_out, values_or_none
from animcli.metrics.pixels import Pixels, gradient_energy
from animcli.metrics.pose_error import Keypoints, PoseComparison, body_mask, compare_poses
from animcli.metrics.temporal import (
    GROWN,
    LONGEST,
    SMOOTHED,
    Mask,
    Steps,
    background,
    background_psnr,
    cuts,
    largest_step,
    seam_ratio,
    steps,
)

_Values = NDArray[np.float64]

FLOW: Final = f"DIS medium flow of the result itself, longest side {LONGEST} px at most"


_AROUND: Final = f"figure grown by {GROWN} px"


@dataclass(frozen=True, eq=False)
class Reference:
    """The picture that the figure is from, at the size of the result.

    figure: `(h, w)`, where the figure is in it. face: right eye, left eye and nose tip
    `(3, 2)` in `original`, the picture before it was fitted, in which a face has more
    pixels; NaN where no face is.
    """

    picture: Pixels
    figure: Mask
    original: Pixels
    face: Points


@dataclass(frozen=True, eq=False)
class RenderedResult:
    """A result, and what its record tells.

    wanted: the joints that it was to have, in its pixels. found: those found in it, by the
        detector that reads driving videos. Without a pose to compare with both are None.
    masks: gives where the figure is in each frame, `(h, w)`; by default it is taken from
        the joints, on the safe side.
    faces: right eye, left eye and nose tip of each frame, `(frames, 3, 2)`.
    borders: frames at which context windows of the last step begin or end; none where the
        renderer has no windows; None where that isn't known.
    cuts: frames before which the driving video is cut.
    moving: whether the camera moves, so that there is no background to judge.
    floor: what the driving video has, by metric, measured in the same way.
    """

    clip: Clip
    wanted: Keypoints | None = None
    found: Keypoints | None = None
    masks: Callable[[], Iterator[Mask]] | None = None
    reference: Reference | None = None
    faces: Points | None = None
    _: KW_ONLY
    borders: tuple[int, ...] | None = None
    cuts: tuple[int, ...] = ()
    moving: bool = False
    floor: Mapping[str, float] = field(default_factory=dict)

    def figure(self) -> Callable[[], Iterator[Mask]] | None:
        """Gives the figure's masks, from the joints where there are no better ones."""
        pose = self.wanted or self.found
        if self.masks is not None or pose is None:
            return self.masks
        known, size = pose, self.clip.size
        return lambda: (body_mask(known, f, size) for f in range(self.clip.frames))


def measure(
    render: RenderedResult, embeddings: Mapping[str, tuple[Embed, Template]] | None = None
) -> list[Measurement]:
    """All that can be measured of a render; what can't says why.

    embeddings: of faces, by metric: `identity` for distances, `identity_sface` for cosines.
    """
    figure = render.figure()
    changes = steps(render.clip.read(), figure() if figure else None)
    found = [
        *_pose(render),
        *_time(render, changes),
        *_background(render, changes, figure),
        _sharpness(render, figure),
        *_faces(render, embeddings or {}),
    ]
    return [_with_floor(each, render.floor) for each in found]


@dataclass(frozen=True, eq=False)
class Floor:
    """Measures of a driving video, to stand beside a result: its own detector and flow.

    values: by metric. cuts: frames before which it is cut.
    """

    values: Mapping[str, float]
    cuts: tuple[int, ...]


def floor_of(driving: RenderedResult) -> Floor:
    """Measure a driving video as its results are measured."""
    figure = driving.figure()
    changes = steps(driving.clip.read(), figure() if figure else None)
    found = [*_pose(driving), *_time(replace(driving, borders=None), changes)]
    if figure is not None and not driving.moving:
        found.append(_flicker(changes))
    values = {each.metric.key: each.value for each in found if each.value is not None}
    return Floor(values, tuple(cuts(changes.difference)))


def _pose(render: RenderedResult) -> list[Measurement]:
    keys = ("pose_error", "pck_10", "pose_found", "sides_swapped")
    if render.wanted is None or render.found is None:
        return [left_out(key, "no pose to compare with; --pose names one") for key in keys]
    compared: PoseComparison = compare_poses(render.wanted, render.found)
    return [
        _measured(
            "pose_error",
            compared.error,
            "mean distance of 12 joints, shoulders to ankles, that were asked for and "
            "found, % of crown to ankle",
            f"median {compared.median:.2f} %, worst in frame {_worst(compared.error)}; the "
            f"figure is {compared.height:.0f} px high",
        ),
        _measured(
            "pck_10",
            compared.pck,
            "share of the joints asked for that were found within 10 % of the torso",
            f"the torso is {compared.torso:.0f} px long",
        ),
        _measured(
            "pose_found",
            100.0 * compared.found.astype(np.float64),
            "any of 12 joints found",
        ),
        _measured(
            "sides_swapped",
            100.0 * compared.swapped.astype(np.float64),
            "frames in which exchanging left and right would halve the error",
            "the detector itself takes sides for each other, on backs above all",
        ),
    ]


def _time(render: RenderedResult, changes: Steps) -> list[Measurement]:
    found = [
        _measured(
            "warp_error",
            _later(1e4 * changes.warp_error),
            f"Lai 2018, mean of 3 channels in 0..1, times 1e4; {FLOW}",
            "compare only with the driving video's; a blurred or frozen video has less",
        ),
        _measured("kept", _later(100 * changes.kept), f"not occluded; {FLOW}"),
        _measured(
            "motion",
            _later(100 * changes.motion),
            f"mean length of the flow, % of the picture's height; {FLOW}",
        ),
        _measured(
            "temporal_flickering",
            _later(changes.flickering),
            "VBench: (255 - mean |difference|) / 255",
            "VBench asks for a static scene: of a dancer this measures the dance",
        ),
    ]
    seams = f"residual at window borders by the median elsewhere; {FLOW}"
    inside = f"smoothed over {SMOOTHED:g} px inside the figure"
    borders = [border for border in render.borders or () if border not in render.cuts]
    for key, residual, how in (
        ("seam", changes.residual, seams),
        ("seam_figure", changes.figure_residual, f"{inside}; {seams}"),
    ):
        if render.borders is None:
            found.append(left_out(key, "it isn't known where context windows end"))
        elif not render.borders:
            found.append(
                left_out(key, "no borders: a single window, or a renderer without")
            )
        elif not borders:
            found.append(left_out(key, "every border is at a cut of the driving video"))
        else:
            value = seam_ratio(residual, borders)
            at = ", ".join(str(frame) for frame in borders[:8])
            more = ", ..." if len(borders) > 8 else ""
            told = _single(key, value, _later(residual), how, f"borders: {at}{more}")
            found.append(replace(told, marks=render.borders))
    value, frame = largest_step(changes.residual, render.cuts)
    without = f"{len(render.cuts)} cuts of the driving video left out"
    found.append(
        _single(
            "largest_step",
            value,
            _later(changes.residual),
            f"largest residual by the median; {FLOW}",
            f"before frame {frame}",
            *([without] if render.cuts else []),
        )
    )
    return found


def _background(
    render: RenderedResult, changes: Steps, figure: Callable[[], Iterator[Mask]] | None
) -> list[Measurement]:
    keys = ("flicker", "background", "background_psnr")
    if render.moving:
        return [left_out(key, "the camera moves") for key in keys]
    if figure is None:
        return [left_out(key, "it isn't known where the figure is") for key in keys]
    found = [_flicker(changes)]
    rest = background(render.clip.read(), figure())
    if rest is None:
        return [*found, *(left_out(key, "the figure is everywhere") for key in keys[1:])]
    share = f"{100 * rest.free.mean():.0f} % of the picture is background"
    how = f"mean deviation over time where the figure never is, {_AROUND}"
    found.append(_single("background", rest.drift, np.empty(0), how, share))
    if render.reference is None:
        return [*found, left_out("background_psnr", "no reference picture")]
    value = background_psnr(rest, render.reference.picture, render.reference.figure)
    how = "median over time against the reference, outside of both figures"
    return [*found, _single("background_psnr", value, np.empty(0), how, share)]


def _flicker(changes: Steps) -> Measurement:
    how = f"mean |change| where neither frame has the figure, {_AROUND}"
    return _measured("flicker", _later(changes.flicker), how)


def _sharpness(
    render: RenderedResult, figure: Callable[[], Iterator[Mask]] | None
) -> Measurement:
    if render.reference is None or figure is None:
        return left_out("sharpness", "no reference picture, or no figure in it")
    whole = gradient_energy(render.reference.picture, render.reference.figure)
    if not whole > 0:
        return left_out("sharpness", "no figure in the reference picture")
    values = [
        gradient_energy(frame, mask) / whole
        for frame, mask in zip(render.clip.read(), figure(), strict=True)
    ]
    return _measured(
        "sharpness",
        np.array(values),
        "mean squared grey gradient inside the figure by the reference's, at one size",
    )


def _faces(
    render: RenderedResult, embeddings: Mapping[str, tuple[Embed, Template]]
) -> list[Measurement]:
    found = []
    for key in ("identity", "identity_sface"):
        if key not in embeddings:
            entry = METRICS[key].weights[0]
            found.append(left_out(key, f"get it with: anim weights pull {entry}"))
        elif render.reference is None or render.faces is None:
            found.append(left_out(key, "no reference picture, or no faces looked for"))
        else:
            found.append(
                _face(key, render, render.reference, render.faces, *embeddings[key])
            )
    return found


def _face(
    key: str,
    render: RenderedResult,
    reference: Reference,
    faces: Points,
    embed: Embed,
    template: Template,
) -> Measurement:
    cosine = METRICS[key].better == "high"
    own = (reference.original, reference.face)
    found = compare_faces(own, render.clip.read(), faces, embed, template, cosine=cosine)
    if found is None:
        return left_out(key, _no_face("the reference picture", reference.face))
    if np.isnan(found.median):
        return left_out(key, _no_face("any frame", faces))
    return _single(
        key,
        found.median,
        found.values,
        f"median over frames with a face; {'cosine' if cosine else 'distance'}",
        f"{found.share:.0f} % of the frames have a face; one in twenty is beyond "
        f"{found.worst:.2f}",
        "measured here and not kept; thresholds are of photographs, not of drawings",
    )


def _no_face(where: str, faces: Points) -> str:
    """Reason that no face counts: there is none, or it is too small."""
    widths = face_width(faces)
    if np.isnan(widths).all():
        return f"no face from the front was found in {where}"
    return (
        f"the face in {where} is {np.nanmax(widths):.0f} pixels wide at most; "
        f"{LEAST_WIDTH:.0f} are wanted"
    )


def _measured(key: str, values: _Values, protocol: str, *notes: str) -> Measurement:
    """The mean over frames that have a value."""
    there = values[~np.isnan(values)]
    if not len(there):
        return left_out(key, "no frame has a value")
    return _single(key, float(there.mean()), values, protocol, *notes)


def _single(
    key: str, value: float, values: _Values, protocol: str, *notes: str
) -> Measurement:
    if np.isnan(value):
        return left_out(key, "no frame has a value")
    return Measurement(
        METRICS[key],
        value,
        f"{key}: {protocol}",
        frames=int((~np.isnan(values)).sum()),
        per_frame=values_or_none(values.tolist()),
        notes=notes,
    )


def _later(values: _Values) -> _Values:
    """Values of pairs at the later frame of each; the first frame has none."""
    return np.concatenate([[np.nan], values])


def _worst(values: _Values) -> int:
    return 0 if np.isnan(values).all() else int(np.nanargmax(values))


def _with_floor(found: Measurement, floor: Mapping[str, float]) -> Measurement:
    if found.value is None or found.metric.key not in floor:
        return found
    return replace(found, floor=floor[found.metric.key])
