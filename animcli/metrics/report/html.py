"""A report as one page that needs nothing else: no network, no scripts, no other files.

The verdict comes first, in words; then what it rests on: the worst frames, curves over
time, the table with the protocol of every number, and how the result was made.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Final

from PIL import Image

from animcli.metrics.measurement import Better, Measurement, Topic
from animcli.metrics.pixels import Pixels
from animcli.metrics.report.charts import Series, curve
from animcli.metrics.report.record import (
    EvaluatedResult,
    EvaluationReport,
    MetricRow,
    WorstFrame,
    not_measured,
    rows,
)
from animcli.metrics.verdict import Finding, show_span, show_value

_LONGEST: Final = 520  # pixels of a picture in the page
_QUALITY: Final = 85  # of JPEG

BETTER: Final[dict[Better, str]] = {"low": "less", "high": "more", "neither": ""}

_COLOURS: Final = 6
"""Lines that can be told apart; further results come without one."""

TOPICS: Final[dict[Topic, str]] = {
    "truth": "Against the truth",
    "pose": "The figure",
    "time": "From frame to frame",
    "background": "The background",
    "face": "The face",
}


@dataclass(frozen=True)
class _Curve:
    """A metric with a curve, and the curve's name where it isn't the metric's."""

    key: str
    title: str = ""
    unit: str = ""


CURVES: Final = (
    _Curve("pose_error"),
    _Curve("seam", "unexplained change", "levels"),
    _Curve("largest_step", "unexplained change", "levels"),
    _Curve("seam_figure", "the same in the figure", "levels"),
    _Curve("flicker"),
    _Curve("identity"),
    _Curve("identity_sface"),
    _Curve("sharpness"),
    _Curve("motion"),
    _Curve("psnr"),
    _Curve("ssim"),
    _Curve("ssim_disco"),
    _Curve("lpips"),
    _Curve("lpips_disco"),
    _Curve("l1"),
)


def to_html(report: EvaluationReport) -> str:
    """The page of a report."""
    many = len(report.evaluations) > 1
    title = " · ".join(each.name for each in report.evaluations)
    style = (
        files("animcli.metrics.report").joinpath("style.css").read_text(encoding="utf-8")
    )
    body = [
        f"<header><p class='soft small'>anim evaluate</p><h1>{escape(title)}</h1>",
        f"<p class='soft'>{escape(_subtitle(report))}</p></header>",
        *(_verdict(each, named=many) for each in report.evaluations),
        *_worst(report.evaluations, named=many),
        *_curves(report.evaluations),
        *_table(report),
        *_left_out(report.evaluations),
        *_made(report.evaluations, named=many),
        *_footer(report),
    ]
    return (
        "<!doctype html>\n"
        "<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n"
    )


def _subtitle(report: EvaluationReport) -> str:
    parts = []
    for each in report.evaluations[:1] if len(report.evaluations) == 1 else ():
        rate = float(each.rate)
        parts += [
            "{} x {}".format(*each.size),
            f"{each.frames} frames",
            f"{each.seconds:.1f} s at {rate:.4g} frames per second",
        ]
    if len(report.evaluations) > 1:
        parts.append(f"{len(report.evaluations)} results")
    if report.truth:
        parts.append(f"compared with {report.truth}")
    return ", ".join(parts)


def _verdict(evaluation: EvaluatedResult, *, named: bool) -> str:
    verdict = evaluation.verdict
    severities = {finding.severity for finding in verdict.findings}
    state = "bad" if "bad" in severities else "notable" if severities else "fine"
    name = f"<h3 class='soft'>{escape(evaluation.name)}</h3>" if named else ""
    found = "".join(_finding(finding) for finding in verdict.findings)
    findings = f"<ul class='findings'>{found}</ul>" if found else ""
    fine = ""
    if verdict.fine:
        items = "".join(f"<li>{escape(text)}</li>" for text in verdict.fine)
        fine = (
            f"<details class='fine'{'' if findings else ' open'}><summary>In order "
            f"({len(verdict.fine)})</summary><ul>{items}</ul></details>"
        )
    return (
        f"<section class='panel verdict is-{state}'>{name}"
        f"<p class='headline'>{escape(verdict.headline)}</p>{findings}{fine}</section>"
    )


def _finding(finding: Finding) -> str:
    word = "wrong" if finding.severity == "bad" else "worth a look"
    chips = "".join(f"<span class='chip'>{show_span(span)}</span>" for span in finding.when)
    when = f"<div>{chips}</div>" if chips else ""
    return (
        f"<li><span class='badge {finding.severity}'>{word}</span>{escape(finding.what)}"
        f"{when}<p class='advice soft'><b>Try:</b> {_code(finding.advice)}</p></li>"
    )


def _worst(evaluations: Sequence[EvaluatedResult], *, named: bool) -> Iterator[str]:
    frames = [(each, frame) for each in evaluations for frame in each.worst]
    if not frames:
        return
    yield "<h2>Worst frames</h2><div class='frames'>"
    for evaluation, frame in frames:
        name = f"<b>{escape(evaluation.name)}</b><br>" if named else ""
        caption = (
            f"{name}{escape(_capital(frame.why))}<br><span class='soft'>frame "
            f"{frame.frame}, {frame.seconds:.2f} s</span>"
        )
        kind = " class='pair'" if frame.beside else ""
        yield f"<figure{kind}>{_pictures(frame)}<figcaption>{caption}</figcaption></figure>"
    yield "</div>"


def _pictures(frame: WorstFrame) -> str:
    shown = []
    if frame.beside is not None:
        what, picture = frame.beside
        shown.append(f"<div>{_image(picture, what)}<span>{escape(what)}</span></div>")
    label = f"<span>frame {frame.frame}</span>" if shown else ""
    shown.append(f"<div>{_image(frame.picture, f'frame {frame.frame}')}{label}</div>")
    return f"<div class='pictures'>{''.join(shown)}</div>"


def _curves(evaluations: Sequence[EvaluatedResult]) -> Iterator[str]:
    panels = [panel for kind in CURVES if (panel := _panel(kind, evaluations))]
    if not panels:
        return
    yield "<h2>Over time</h2>"
    if len(evaluations) > 1:
        keys = "".join(
            f"<span class='key s{place}'>{escape(each.name)}</span>"
            for place, each in enumerate(evaluations[:_COLOURS])
        )
        yield f"<p class='keys small'>{keys}</p>"
    signs = {
        "class='floor'": "Dashed: the driving video.",
        "class='mark'": "Dotted: borders of context windows.",
        "class='span'": "Shaded: where something is wrong.",
    }
    drawn = "".join(panels).replace('"', "'")
    legend = " ".join(words for sign, words in signs.items() if sign in drawn)
    if legend:
        yield f"<p class='soft small keys'>{legend}</p>"
    yield f"<div class='grid'>{''.join(panels)}</div>"


def _panel(kind: _Curve, evaluations: Sequence[EvaluatedResult]) -> str:
    shown = evaluations[:_COLOURS]
    found = [_of(each, kind.key) for each in shown]
    known = [each for each in found if each is not None and each.per_frame]
    if not known or (kind.key == "largest_step" and _has_seams(shown)):
        return ""
    first = known[0]
    single = len(evaluations) == 1
    series = [
        Series(evaluation.name, each.per_frame if each is not None else ())
        for evaluation, each in zip(shown, found, strict=True)
    ]
    title = kind.title or first.metric.title
    own_unit = kind.unit or first.metric.unit
    seconds = max(each.seconds for each in shown)
    finding = next(
        (f for f in shown[0].verdict.findings if single and f.metric == kind.key), None
    )
    drawing, bottom, top = curve(
        series,
        f"{title} over {seconds:.1f} seconds",
        floor=first.floor if not kind.unit else None,
        marks=first.marks if single else (),
        spans=finding.when if finding else (),
        seconds=seconds,
    )
    value = show_value(first) if single else ""
    if single and kind.title:  # the curve is of what the value is worked out from
        value = f"<span class='soft small'>{escape(first.metric.title)}</span> {value}"
    if single and first.floor is not None:
        value += (
            f" <span class='soft small'>driving {show_value(first, first.floor)}</span>"
        )
    unit = f", {own_unit}" if own_unit and own_unit != "x" else ""
    return (
        f"<section class='panel chart'><div class='head'><h3>{escape(_capital(title))}"
        f"<span class='soft small'>{escape(unit)}</span></h3>"
        f"<span class='value'>{value}</span></div>"
        f"<div class='plot'>{drawing}<span class='top'>{_short(top)}</span>"
        f"<span class='bottom'>{_short(bottom)}</span></div>"
        f"<div class='axis'><span>0 s</span><span>{seconds:.1f} s</span></div></section>"
    )


def _table(report: EvaluationReport) -> Iterator[str]:
    table = rows(report)
    if not table:
        return
    floors = any(v is not None and v.floor is not None for row in table for v in row.values)
    names = [each.name for each in report.evaluations]
    if len(names) == 1:
        names = ["value"]
    heads = [*names, *(["driving"] if floors else [])]
    cells = "".join(f"<th>{escape(head)}</th>" for head in heads)
    yield "<h2>All measures</h2><div class='panel scroll'><table>"
    yield f"<thead><tr><th>measure</th>{cells}<th>better</th></tr></thead><tbody>"
    topic: Topic | None = None
    for row in table:
        if row.metric.topic != topic:
            topic = row.metric.topic
            span = len(report.evaluations) + 2 + int(floors)
            yield f"<tr class='topic'><th colspan='{span}'>{TOPICS[topic]}</th></tr>"
        yield _row(row, names, floors=floors)
    yield "</tbody></table></div>"
    for note in report.notes:
        yield f"<p class='soft small'>{escape(_capital(note))}.</p>"


def _row(row: MetricRow, names: Sequence[str], *, floors: bool) -> str:
    notes = [note for each in row.values if each is not None for note in each.notes]
    notes = list(dict.fromkeys(notes))
    how = "".join(f"<br>{escape(_capital(note))}." for note in notes)
    cells = []
    for place, each in enumerate(row.values):
        best = " class='best'" if place in row.best else ""
        cells.append(f"<td{best} data-head='{escape(names[place])}'>{_value(each)}</td>")
    if floors:
        known = [each for each in row.values if each is not None and each.floor is not None]
        text = show_value(known[0], known[0].floor) if known else ""
        cells.append(f"<td class='soft' data-head='driving'>{text}</td>")
    return (
        f"<tr><th>{escape(_capital(row.metric.title))}"
        f"<details class='how'><summary>{escape(row.metric.about)}</summary>"
        f"{escape(row.protocol)}.{how}</details></th>{''.join(cells)}"
        f"<td class='soft' data-head='better'>{BETTER[row.metric.better]}</td></tr>"
    )


def _value(found: Measurement | None) -> str:
    if found is None:
        return "<span class='soft'>&ndash;</span>"
    lines = [show_value(found)]
    if found.samples is not None:
        lines.append(f"n = {min(found.samples)}")
    if found.over_videos is not None:
        lines.append(f"{show_value(found, found.over_videos)} over videos")
    rest = "".join(f"<br><span class='soft small'>{line}</span>" for line in lines[1:])
    return f"{lines[0]}{rest}"


def _left_out(evaluations: Sequence[EvaluatedResult]) -> Iterator[str]:
    absent = {
        metric.title: why for each in evaluations for metric, why in not_measured(each)
    }
    if absent:
        items = "".join(
            f"<li><b>{escape(_capital(title))}</b>: {escape(why)}</li>"
            for title, why in absent.items()
        )
        yield "<h2>Left out</h2>"
        yield f"<div class='panel small'><ul class='plain'>{items}</ul></div>"


def _made(evaluations: Sequence[EvaluatedResult], *, named: bool) -> Iterator[str]:
    for number, each in enumerate(
        evaluation for evaluation in evaluations if evaluation.made
    ):
        if number == 0:
            yield "<h2>How it was made</h2>"
        name = f"<h3>{escape(each.name)}</h3>" if named else ""
        files = [(what, value) for what, value in each.made if "/" in what]
        rest = [(k.replace("_", " "), v) for k, v in each.made if (k, v) not in files]
        weights = (
            f"<details class='how'><summary>weights ({len(files)})</summary>"
            f"{_pairs(files)}</details>"
            if files
            else ""
        )
        yield f"<section class='panel'>{name}{_pairs(rest)}{weights}</section>"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in pairs
    )
    return f"<dl>{items}</dl>"


def _footer(report: EvaluationReport) -> Iterator[str]:
    about = ", ".join(f"{what} {value}" for what, value in report.about)
    yield (
        "<footer><p>A value means nothing without its protocol, which stands under each "
        f"measure.</p><p>{escape(about)}</p></footer>"
    )


def _image(picture: Pixels, alt: str) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=_QUALITY)
    data = base64.b64encode(kept.getvalue()).decode()
    width, height = image.size
    return (
        f"<img src='data:image/jpeg;base64,{data}' alt='{escape(alt, quote=True)}' "
        f"width='{width}' height='{height}'>"
    )


def _of(evaluation: EvaluatedResult, key: str) -> Measurement | None:
    for each in evaluation.measurements:
        if each.metric.key == key and each.value is not None:
            return each
    return None


def _has_seams(evaluations: Sequence[EvaluatedResult]) -> bool:
    return any(_of(each, "seam") is not None for each in evaluations)


def _short(value: float) -> str:
    return f"{value:.3g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _code(text: str) -> str:
    """Escaped text, with what stands in backticks as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts))
