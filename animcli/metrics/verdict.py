"""Verdict on a result in words: what is wrong, at which seconds, and what to try.

A limit is either absolute or counts from what the driving video has, measured alike. Limits
come from drawn dancers and real clips: `notable` lies above everything that a clean drawing
or an untouched video showed, `bad` where a fault was plain to see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from animcli.metrics.identity import SAME_DLIB, SAME_SFACE
from animcli.metrics.measurement import Measurement

Severity = Literal["bad", "notable"]
BadSpan = tuple[float, float]

GAP_S: Final = 0.25  # seconds; bad spans that are nearer are told as one
_TOLD: Final = 3  # spans


@dataclass(frozen=True)
class Rule:
    """Threshold from which a measure's value is a fault, and the words for it.

    from_floor: `minus`, `times` to judge what lies above the driving video's value, which
        without one isn't judged for `times`; None judges the value itself.
    moment: the same for one frame; `usual` by the median of all frames.
    what: the sentence; `{value}` and `{floor}` stand for themselves.
    """

    notable: float
    bad: float
    what: str
    advice: str
    from_floor: Literal["minus", "times"] | None = None
    moment: Literal["value", "usual"] | None = "value"
    _: KW_ONLY
    fine: str = ""


RULES: Final[Mapping[str, Rule]] = {
    "pose_found": Rule(
        98, 85,  # clean drawings: 100
        "Nobody is found in some frames: a person is in {value} of them",
        "look at these frames; if the figure is whole there, the detector is at fault",
        fine="A person is found in every frame",
    ),
    "pose_error": Rule(
        2, 5,  # above the floor, % of the height; a quarter of a second late: 0.5 to 8
        "The figure isn't where the motion wants it: its keypoints are {value} of its "
        "height off{floor}",
        "look at the motion with `anim inspect`; more steps hold the pose closer",
        from_floor="minus",
        fine="The pose is the one asked for",
    ),
    "sides_swapped": Rule(
        10, 40,
        "Left and right are exchanged in {value} of the frames{floor}",
        "look at the motion with `anim inspect`: sides are often exchanged there already, "
        "where somebody turns their back",
        from_floor="minus",
        fine="Left and right are where they belong",
    ),
    "warp_error": Rule(
        2, 4,
        "Frames don't follow each other: change that no movement explains is {value}"
        "{floor}",
        "more overlap between context windows, or more steps",
        from_floor="times",
        fine="Frames follow each other as in the driving video",
    ),
    "flicker": Rule(
        1, 3,  # levels of 255: contrast is seen from about one in a hundred on (Weber)
        "The background flickers by {value} from frame to frame",
        "more overlap between context windows; `cutout` keeps a still background still",
        fine="The background doesn't flicker",
    ),
    "background": Rule(
        3, 8,
        "The background drifts by {value}",
        "a shorter render, or one whose windows overlap more",
        moment=None,
        fine="The background stays as it is",
    ),
    "background_psnr": Rule(
        27, 20,  # dB; blurred beyond recognition: 25 to 31
        "The background isn't the reference's: {value}",
        "a reference whose figure is where the dance begins leaves less to be made up",
        moment=None,
        fine="The background is the reference's",
    ),
    "seam": Rule(
        1.8, 3,  # clean: 0.8 to 1.5; a texture that changes by 12 levels: 4.6 to 15
        "Context windows show: at their borders the picture changes {value} as much as "
        "elsewhere",
        "`windows = \"moving\"`, or a larger `overlap`",
        moment="usual",
        fine="Context windows leave no seams",
    ),
    "seam_figure": Rule(
        2.2, 3.5,  # clean: 0.6 to 1.6; clothes of another texture: 1.8 to 6
        "The figure's looks change where context windows meet: {value} as much as "
        "elsewhere",
        "`windows = \"moving\"`, or a larger `overlap`",
        moment="usual",
        fine="The figure's looks stay over the windows' borders",
    ),
    "largest_step": Rule(
        4, 8,  # real clips: 1.6 to 3.8
        "One frame jumps: its change is {value} the usual one",
        "look at that frame; a jump of the motion shows with `anim inspect`, too",
        moment="usual",
        fine="No frame jumps",
    ),
    "sharpness": Rule(
        0.6, 0.3,  # a figure blurred by 2 pixels: 0.04 to 0.17
        "The figure has lost detail: its gradients are {value} the reference's",
        "a larger render, or a picture that is nearer to it in size",
        fine="The figure is as sharp as the reference",
    ),
    "identity": Rule(
        0.5, SAME_DLIB,  # of photographs; other people are at 0.7 and more
        "The face isn't the reference's: its distance is {value}",
        "a reference that shows the face larger and from the front",
        fine="The face is the reference's",
    ),
    "identity_sface": Rule(
        0.45, SAME_SFACE,
        "The face isn't the reference's: its cosine is {value}",
        "a reference that shows the face larger and from the front",
        fine="The face is the reference's",
    ),
}  # fmt: skip


ECHOES: Final = {"seam_figure": ("seam",), "largest_step": ("seam", "seam_figure")}
"""Measures whose fault is told already where one of these has it at the same time."""

UNITS: Final = {
    "% of height": " %",
    "x": " times",
    "1e-4": "e-4",
    "levels^2": " levels\u00b2",
}
"""Units as they follow a number, where that isn't a space and themselves."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    what, advice: a sentence each. when: spans in seconds, the worst ones; empty where it
    is all the time, or at no time of its own.
    """

    metric: str
    severity: Severity
    what: str
    when: tuple[BadSpan, ...]
    advice: str


@dataclass(frozen=True)
class Verdict:
    """Findings on a result, the worst first. fine: what was measured and is in order."""

    headline: str
    findings: tuple[Finding, ...]
    fine: tuple[str, ...]


def judge(measurements: Sequence[Measurement], rate: Fraction) -> Verdict:
    """Judge a result by its measures without a truth.

    rate: frames per second. Comparisons with a truth aren't judged: they tell of two
    results which is nearer, and not of one whether it's good.
    """
    findings, fine = [], []
    for each in measurements:
        rule = RULES.get(each.metric.key)
        if rule is None or each.value is None:
            continue
        found = _finding(each, rule, rate)
        if found is not None:
            findings.append(found)
        elif _judged(each, rule) is not None:
            fine.append(rule.fine)
    told = sorted(
        (found for found in findings if not _is_echo(found, findings)),
        key=lambda found: found.severity != "bad",
    )
    headline = _headline(told, len(findings) + len(fine))
    if not findings and not fine and any(m.metric.topic == "truth" for m in measurements):
        headline = "Compared with the truth; a number alone doesn't say whether it is good."
    return Verdict(headline, tuple(told), tuple(fine))


def show_value(found: Measurement, value: float | None = None) -> str:
    """A value with its unit, as short as it may be."""
    number = found.value if value is None else value
    if number is None:
        return ""
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    digits += int(not found.metric.unit and abs(number) < 10)  # SSIM, LPIPS, distances
    unit = UNITS.get(
        found.metric.unit, f" {found.metric.unit}" if found.metric.unit else ""
    )
    if found.metric.key == "l1_disco":
        return f"{number:.2E}"  # as the tables print it
    return f"{number:.{digits}f}{unit}"


def show_span(span: BadSpan) -> str:
    """A span of time as people say it."""
    start, stop = span
    return f"{start:.2f} s" if stop - start < 0.1 else f"{start:.1f} to {stop:.1f} s"


def _is_echo(found: Finding, others: Sequence[Finding]) -> bool:
    """True if a fault is told already by one that is as bad, and at the same time."""
    spans = {
        span
        for other in others
        if other.metric in ECHOES.get(found.metric, ())
        if other.severity in ("bad", found.severity)
        for span in other.when
    }
    return bool(found.when) and set(found.when) <= spans


def _judged(found: Measurement, rule: Rule) -> float | None:
    """The value that limits hold for; None where it can't be judged."""
    value, floor = found.value, found.floor
    if value is None:
        return None
    if rule.from_floor == "minus":
        return value - (floor or 0.0)
    if rule.from_floor == "times":
        return None if not floor else value / floor
    return value


def _finding(found: Measurement, rule: Rule, rate: Fraction) -> Finding | None:
    value = _judged(found, rule)
    low = rule.bad < rule.notable
    if value is None or (value >= rule.notable if low else value <= rule.notable):
        return None
    severe = value < rule.bad if low else value > rule.bad
    floor = "" if found.floor is None else (
        f", where the driving video itself has {show_value(found, found.floor)}"
    )  # fmt: skip
    return Finding(
        found.metric.key,
        "bad" if severe else "notable",
        rule.what.format(value=show_value(found), floor=floor) + ".",
        _when(found, rule, rate, low=low),
        rule.advice[0].upper() + rule.advice[1:] + ".",
    )


def _when(
    found: Measurement, rule: Rule, rate: Fraction, *, low: bool
) -> tuple[BadSpan, ...]:
    """The spans in which single frames are beyond the limit, the longest first."""
    if rule.moment is None or not found.per_frame:
        return ()
    values = np.array([np.nan if v is None else v for v in found.per_frame], np.float64)
    if np.isnan(values).all():
        return ()
    if rule.moment == "usual":
        values = values / max(float(np.nanmedian(values)), 1e-9)
    elif rule.from_floor == "minus":
        values = values - (found.floor or 0.0)
    elif rule.from_floor == "times":
        values = values / (found.floor or 1.0)
    with np.errstate(invalid="ignore"):
        beyond = values < rule.notable if low else values > rule.notable
    runs = _runs(np.flatnonzero(beyond), max(round(GAP_S * rate), 1))
    if len(runs) == 1 and runs[0][1] - runs[0][0] + 1 >= 0.9 * len(values):
        return ()  # all the time
    depth = np.nan_to_num(np.abs(values - np.nanmedian(values)))
    worst = sorted(runs, key=lambda run: -depth[run[0] : run[1] + 1].sum())[:_TOLD]
    return tuple((float(a / rate), float((b + 1) / rate)) for a, b in sorted(worst))


def _runs(frames: NDArray[np.intp], gap: int) -> list[tuple[int, int]]:
    """First and last of frames that are at most `gap` apart."""
    runs: list[tuple[int, int]] = []
    for frame in frames.tolist():
        if runs and frame - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def _headline(findings: Sequence[Finding], judged: int) -> str:
    if not judged:
        return "Nothing here can be judged without a truth."
    bad = sum(found.severity == "bad" for found in findings)
    notable = len(findings) - bad
    if not findings:
        return f"Nothing wrong was found in {judged} measures."
    parts = []
    if bad:
        parts.append(
            "One thing is wrong" if bad == 1 else f"{_count(bad)} things are wrong"
        )
    if notable:
        many = "one is" if notable == 1 else f"{_count(notable).lower()} are"
        alone = "One thing is" if notable == 1 else f"{_count(notable)} things are"
        parts.append(f"{many} worth a look" if bad else f"{alone} worth a look")
    return ", ".join(parts) + "."


def _count(number: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return words[number] if number < len(words) else str(number)
