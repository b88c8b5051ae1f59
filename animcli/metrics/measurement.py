"""The metrics by name, and one measured value with all that it needs to be understood.

A value means nothing without its protocol: the same two videos have a different FVD at
another clip length and another L1 at another size. So a measurement carries it along, and
values of different protocols are never put into one row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal

import numpy as np

Better = Literal["low", "high", "neither"]
Topic = Literal["truth", "pose", "time", "background", "face"]


@dataclass(frozen=True)
class Metric:
    """One metric that can be measured.

    key: its name in options, JSON and tables. title: for people. unit: of its values.
    better: which end of the scale is the good one; neither for what only explains others.
    topic: what it is about; `truth` for all that compares with one.
    about: one sentence on what it says.
    weights: entries of the weights catalog that it can't do without.
    """

    key: str
    title: str
    unit: str
    better: Better
    topic: Topic
    about: str
    _: KW_ONLY
    weights: tuple[str, ...] = ()


_TRUTH: Final = (
    Metric("l1", "L1", "levels", "low", "truth", "mean difference of a pixel's channel"),
    Metric("l1_disco", "L1 (tables)", "", "low", "truth",
           "mean difference in levels, divided by the number of pixels"),
    Metric("psnr", "PSNR", "dB", "high", "truth", "signal to noise ratio"),
    Metric("psnr_published", "PSNR, uint8 mistake", "dB", "high", "truth",
           "what the papers' tables call PSNR: differences and squares wrap modulo 256, "
           "and two unrelated pictures score 27.9 dB"),
    Metric("ssim", "SSIM", "", "high", "truth", "structural similarity, per channel"),
    Metric("ssim_disco", "SSIM (tables)", "", "high", "truth",
           "structural similarity of grey pictures, window 7 x 7"),
    Metric("lpips", "LPIPS VGG", "", "low", "truth",
           "distance in the features of VGG16", weights=("vgg16", "lpips-heads")),
    Metric("lpips_disco", "LPIPS VGG (tables)", "", "low", "truth",
           "the same with pictures in 0..1, which makes all values smaller",
           weights=("vgg16", "lpips-heads")),
    Metric("lpips_alex", "LPIPS Alex", "", "low", "truth",
           "distance in the features of AlexNet", weights=("alexnet", "lpips-heads")),
    Metric("dtssd", "temporal change (dtSSD)", "levels^2", "low", "truth",
           "how unlike the changes from frame to frame are"),
    Metric("fid", "FID", "", "low", "truth",
           "distance of all frames from all true frames as two crowds of pictures",
           weights=("fid-inception",)),
    Metric("fid_vid", "FID-VID", "", "low", "truth",
           "the same for clips, by a 3D ResNet", weights=("fid-vid-resnet3d",)),
    Metric("fvd", "FVD", "", "low", "truth",
           "the same for clips, by I3D", weights=("fvd-i3d",)),
)  # fmt: skip

_ALONE: Final = (
    Metric("pose_error", "pose error", "% of height", "low", "pose",
           "distance of the joints found in the result from those asked for"),
    Metric("pck_10", "PCK at 10 % of the torso", "%", "high", "pose",
           "joints found within a tenth of the torso of where they were asked for"),
    Metric("pose_found", "person found", "%", "high", "pose",
           "frames in which a person is found at all"),
    Metric("sides_swapped", "sides swapped", "%", "low", "pose",
           "frames that would be half as wrong with left and right exchanged"),
    Metric("sharpness", "sharpness", "x", "high", "pose",
           "gradient energy of the figure by that of the reference's"),
    Metric("warp_error", "warp error", "1e-4", "low", "time",
           "change that the optical flow doesn't explain, squared, in 0..1"),
    Metric("kept", "pixels compared", "%", "neither", "time",
           "pixels that the warp error counts: neither hidden nor outside, by the flow"),
    Metric("motion", "motion", "% of height", "neither", "time",
           "mean length of the optical flow; a frozen video has none"),
    Metric("seam", "seam ratio", "x", "low", "time",
           "unexplained change at the borders of context windows, 1 is nobody sees them"),
    Metric("seam_figure", "seam ratio in the figure", "x", "low", "time",
           "the same inside the figure, smoothed: its colours and textures"),
    Metric("largest_step", "largest step", "x", "low", "time",
           "largest unexplained change between two frames, by the usual one"),
    Metric("temporal_flickering", "temporal flickering (VBench)", "", "neither", "time",
           "1 less the mean change between frames; of a dancer it measures the dance"),
    Metric("flicker", "background flicker", "levels", "low", "background",
           "change from frame to frame where no figure is"),
    Metric("background", "background drift", "levels", "low", "background",
           "spread over time of pixels that the figure never covers"),
    Metric("background_psnr", "background kept", "dB", "high", "background",
           "likeness of the usual background to that of the reference picture"),
    Metric("identity", "face distance (dlib)", "", "low", "face",
           "distance of the face from the reference's; one person stays below 0.6",
           weights=("dlib-face",)),
    Metric("identity_sface", "face likeness (SFace)", "", "high", "face",
           "cosine of the face with the reference's; one person stays above 0.36",
           weights=("sface",)),
)  # fmt: skip

METRICS: Final[Mapping[str, Metric]] = {each.key: each for each in (*_TRUTH, *_ALONE)}
"""Every metric by its key: those that want a truth first."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """One metric of one result.

    value: None where it was left out; the first note says why.
    protocol: all that would change the value: version, size, colours, clips.
    frames: how many frames, or pairs of neighbours, the value is of.
    samples: how many samples of the result and of the truth a distance of sets is of.
    per_frame: of one video, a value for each frame, None where there is none.
    per_video: (name, value) of each video of a set.
    over_videos: the mean over videos, where it isn't the mean over frames.
    floor: what the driving video has, measured alike: no result can be asked for less.
    marks: frames that the value is about, such as the borders of context windows.
    """

    metric: Metric
    value: float | None
    protocol: str
    frames: int = 0
    samples: tuple[int, int] | None = None
    per_frame: tuple[float | None, ...] = ()
    _: KW_ONLY
    per_video: tuple[tuple[str, float], ...] = ()
    over_videos: float | None = None
    floor: float | None = None
    marks: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def left_out(key: str, why: str) -> Measurement:
    """A metric that couldn't be measured, and the reason."""
    return Measurement(METRICS[key], None, "", notes=(why,))


def averaged(
    key: str,
    videos: Sequence[tuple[str, Sequence[float]]],
    protocol: str,
    notes: tuple[str, ...] = (),
) -> Measurement:
    """The mean over the frames of all videos, and the mean over videos if it differs.

    videos: (name, value of each frame), NaN where a frame has none. A paper's mean is that
    over frames; with videos of unequal lengths the two are different numbers.
    """
    counted = [(name, _numbers(values)) for name, values in videos]
    full = [(name, values) for name, values in counted if len(values)]
    if not full:
        return left_out(key, "no frame has a value")
    means = [(name, float(values.mean())) for name, values in full]
    together = np.concatenate([values for _, values in full])
    unequal = len({len(values) for _, values in full}) > 1
    return Measurement(
        METRICS[key],
        float(together.mean()),
        protocol,
        frames=len(together),
        per_frame=values_or_none(videos[0][1]) if len(videos) == 1 else (),
        per_video=tuple(means) if len(videos) > 1 else (),
        over_videos=float(np.mean([mean for _, mean in means])) if unequal else None,
        notes=notes,
    )


RATIOS: Final = frozenset(
    ("seam", "seam_figure", "largest_step", "background", "background_psnr", "identity",
     "identity_sface")
)  # fmt: skip
"""Metrics whose value isn't the mean over its frames."""


def over_videos(videos: Sequence[tuple[str, Measurement]]) -> Measurement:
    """One metric of a set: the mean over its videos' frames, and that over the videos.

    videos: (name, the metric there). A metric that has no mean over frames gets the mean
    over videos alone.
    """
    there = [(name, each) for name, each in videos if each.value is not None]
    if not there:
        return videos[0][1]
    first = there[0][1]
    values = np.array([each.value for _, each in there], np.float64)
    frames = np.array([each.frames for _, each in there])
    pooled = first.metric.key not in RATIOS and frames.min() > 0
    floors = [each.floor for _, each in there if each.floor is not None]
    notes = [f"mean over {len(there)} of {len(videos)} videos"]
    notes += [f"{n}: {each.notes[0]}" for n, each in videos if each.value is None][:1]
    return Measurement(
        first.metric,
        float(np.average(values, weights=frames)) if pooled else float(values.mean()),
        first.protocol,
        frames=int(frames.sum()),
        per_video=tuple((n, float(each.value or 0)) for n, each in there),
        over_videos=float(values.mean()) if pooled and len(set(frames)) > 1 else None,
        floor=float(np.mean(floors)) if len(floors) == len(there) else None,
        notes=tuple(notes),
    )


def values_or_none(values: Sequence[float]) -> tuple[float | None, ...]:
    """Values with None for NaN, which JSON doesn't have."""
    return tuple(None if np.isnan(value) else float(value) for value in values)


def _numbers(values: Sequence[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    flat = np.asarray(values, np.float64).reshape(-1)
    return flat[~np.isnan(flat)]
