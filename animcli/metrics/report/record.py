"""All that a report tells, before it is written in any form."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction

import numpy as np

from animcli.metrics.clips import Clip
from animcli.metrics.measurement import METRICS, Measurement, Metric
from animcli.metrics.pixels import Pixels
from animcli.metrics.verdict import Verdict, show_value
from animcli.registry import DEFAULT_RATE


@dataclass(frozen=True, eq=False)
class WorstFrame:
    """A frame that is worth a look.

    why: what it is the worst of, with the value. picture: RGB. beside: what it should look
    like, the truth or the frame before, and what that is.
    """

    metric: str
    frame: int
    seconds: float
    why: str
    picture: Pixels
    beside: tuple[str, Pixels] | None = None


@dataclass(frozen=True, eq=False)
class EvaluatedResult:
    """Everything known of one result.

    name: file name. rate: frames per second. size: `(width, height)`.
    made: how it was made, as (what, value), out of its record.
    """

    name: str
    frames: int
    rate: Fraction
    size: tuple[int, int]
    measurements: tuple[Measurement, ...]
    verdict: Verdict
    _: KW_ONLY
    worst: tuple[WorstFrame, ...] = ()
    made: tuple[tuple[str, str], ...] = ()

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return float(self.frames / self.rate)


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """One or several results, measured alike.

    truth: the name of what they were compared with, or nothing. about: what made the
    report, and when it was wanted, as (what, value). notes: what holds for all numbers.
    """

    evaluations: tuple[EvaluatedResult, ...]
    truth: str = ""
    about: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MetricRow:
    """One metric under one protocol, over all results.

    values: of each result, None where it wasn't measured so. best: places of the best
    values, empty with fewer than two to choose from.
    """

    metric: Metric
    protocol: str
    values: tuple[Measurement | None, ...]
    best: tuple[int, ...]


def rows(report: EvaluationReport) -> list[MetricRow]:
    """The table of a report. Values of different protocols never share a row."""
    keys: dict[tuple[str, str], Metric] = {}
    for evaluation in report.evaluations:
        for each in evaluation.measurements:
            if each.value is not None:
                keys.setdefault((each.metric.key, each.protocol), each.metric)
    order = list(METRICS)
    found = []
    for (key, protocol), metric in sorted(keys.items(), key=lambda k: order.index(k[0][0])):
        values = tuple(
            next(
                (
                    each
                    for each in evaluation.measurements
                    if (each.metric.key, each.protocol) == (key, protocol)
                    and each.value is not None
                ),
                None,
            )
            for evaluation in report.evaluations
        )
        found.append(MetricRow(metric, protocol, values, _best(metric, values)))
    return found


def not_measured(evaluation: EvaluatedResult) -> list[tuple[Metric, str]]:
    """The metrics that one result has no value for, and why."""
    return [
        (each.metric, "; ".join(each.notes))
        for each in evaluation.measurements
        if each.value is None
    ]


def worst_frames(
    clip: Clip,
    measurements: Iterable[Measurement],
    keys: Sequence[str] = ("pose_error", "largest_step", "psnr", "identity"),
    truth: Clip | None = None,
) -> list[WorstFrame]:
    """The worst frame of each of these metrics, with its picture: one pass over the clip.

    Beside it is the truth's frame, or for a step the frame before.
    """
    wanted: dict[int, list[tuple[Measurement, float]]] = {}
    for each in measurements:
        if each.metric.key not in keys or each.value is None or not each.per_frame:
            continue
        values = np.array([np.nan if v is None else v for v in each.per_frame])
        low = each.metric.better == "high"
        place = int(np.nanargmin(values) if low else np.nanargmax(values))
        wanted.setdefault(place, []).append((each, float(values[place])))
    if not wanted:
        return []
    near = {frame for place in wanted for frame in (place - 1, place)}
    pictures = {f: p for f, p in enumerate(clip.read()) if f in near}
    true = {} if truth is None else {f: p for f, p in enumerate(truth.read()) if f in near}
    rate = clip.rate or DEFAULT_RATE
    found = []
    for place, reasons in sorted(wanted.items()):
        keyed = {each.metric.key for each, _ in reasons}
        beside = None
        if place in true:
            beside = ("truth", true[place])
        elif "largest_step" in keyed and place - 1 in pictures:
            beside = ("the frame before", pictures[place - 1])
        found.append(
            WorstFrame(
                reasons[0][0].metric.key,
                place,
                float(place / rate),
                ", ".join(_reason(each, value) for each, value in reasons),
                pictures[place],
                beside,
            )
        )
    return found


def _reason(found: Measurement, value: float) -> str:
    if found.metric.key in ("largest_step", "seam", "seam_figure"):
        return found.metric.title
    extreme = "lowest" if found.metric.better == "high" else "largest"
    return f"{extreme} {found.metric.title}: {show_value(found, value)}"


def _best(metric: Metric, values: Sequence[Measurement | None]) -> tuple[int, ...]:
    """Places of the best values. One beyond the driving video's is no better than it."""
    there = {}
    for place, each in enumerate(values):
        if each is not None and each.value is not None:
            floor = each.value if each.floor is None else each.floor
            high = metric.better == "high"
            there[place] = min(each.value, floor) if high else max(each.value, floor)
    if len(there) < 2 or metric.better == "neither":
        return ()
    best = max(there.values()) if metric.better == "high" else min(there.values())
    return tuple(place for place, value in there.items() if value == best)
