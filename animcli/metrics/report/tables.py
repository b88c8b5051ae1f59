"""A report for other programs, for spreadsheets, for a text, and for a terminal."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from animcli.metrics.measurement import METRICS, Measurement
from animcli.metrics.report.record import (
    EvaluatedResult,
    EvaluationReport,
    not_measured,
    rows,
)
from animcli.metrics.verdict import show_span, show_value

_SCHEMA = 1


def report_json(report: EvaluationReport) -> str:
    """All of a report but its pictures, as one JSON object."""
    table = {
        "schema": _SCHEMA,
        "truth": report.truth or None,
        "about": dict(report.about),
        "notes": list(report.notes),
        "results": [_result(each) for each in report.evaluations],
    }
    return json.dumps(table, indent=1, allow_nan=False) + "\n"


def to_csv(report: EvaluationReport) -> str:
    """A line for each metric, protocol and result."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("result", "metric", "value", "unit", "better", "best", "driving", "frames",
             "samples", "protocol", "notes")  # fmt: skip
    writer.writerow(names)
    for row in rows(report):
        for place, each in enumerate(row.values):
            if each is not None:
                writer.writerow(
                    [
                        report.evaluations[place].name,
                        row.metric.key,
                        repr(each.value),
                        row.metric.unit,
                        row.metric.better,
                        "yes" if place in row.best else "",
                        "" if each.floor is None else repr(each.floor),
                        each.frames,
                        ""
                        if each.samples is None
                        else " and ".join(map(str, each.samples)),
                        row.protocol,
                        "; ".join(each.notes),
                    ]
                )
    return text.getvalue()


def to_markdown(report: EvaluationReport) -> str:
    """The verdicts and the table; the best value of a row in bold."""
    lines = []
    for each in report.evaluations:
        lines += [f"## {_cell(each.name)}", "", each.verdict.headline, ""]
        for finding in each.verdict.findings:
            when = "".join(f" ({show_span(span)})" for span in finding.when)
            lines.append(f"- **{finding.severity}**: {finding.what}{when} {finding.advice}")
        lines += [""] if each.verdict.findings else []
    names = [_cell(each.name) for each in report.evaluations]
    floors = any(
        v is not None and v.floor is not None for r in rows(report) for v in r.values
    )
    head = ["metric", *names, *(["driving video"] if floors else []), "better", "protocol"]
    lines += [_line(head), _line(["---"] * len(head))]
    for row in rows(report):
        cells = [_cell(row.metric.title)]
        for place, found in enumerate(row.values):
            text = "" if found is None else show_value(found)
            if found is not None and found.samples is not None:
                text += f" (n = {min(found.samples)})"
            cells.append(f"**{text}**" if place in row.best else text)
        if floors:
            known = [v for v in row.values if v is not None and v.floor is not None]
            cells.append(show_value(known[0], known[0].floor) if known else "")
        better = "" if row.metric.better == "neither" else row.metric.better
        lines.append(_line([*cells, better, _cell(row.protocol)]))
    absent = {
        metric.title: why for e in report.evaluations for metric, why in not_measured(e)
    }
    if absent:
        lines += ["", "Left out:", ""]
        lines += [f"- {title}: {why}" for title, why in absent.items()]
    lines += ["", *(f"{note[:1].upper()}{note[1:]}." for note in report.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _result(evaluation: EvaluatedResult) -> Mapping[str, object]:
    verdict = evaluation.verdict
    return {
        "name": evaluation.name,
        "frames": evaluation.frames,
        "rate": str(evaluation.rate),
        "size": list(evaluation.size),
        "made": dict(evaluation.made),
        "verdict": {
            "headline": verdict.headline,
            "findings": [
                {
                    "metric": finding.metric,
                    "severity": finding.severity,
                    "what": finding.what,
                    "seconds": [list(span) for span in finding.when],
                    "advice": finding.advice,
                }
                for finding in verdict.findings
            ],
            "fine": list(verdict.fine),
        },
        "worst": [
            {"frame": each.frame, "seconds": each.seconds, "why": each.why}
            for each in evaluation.worst
        ],
        "metrics": {each.metric.key: to_table(each) for each in evaluation.measurements},
    }


def to_table(found: Measurement) -> Mapping[str, object]:
    """A measurement ready for JSON; what isn't known of it is left out."""
    if found.value is None:
        return {"value": None, "left_out": "; ".join(found.notes)}
    told: dict[str, object] = {
        "value": found.value,
        "unit": found.metric.unit,
        "better": found.metric.better,
        "protocol": found.protocol,
        "frames": found.frames,
        "samples": None if found.samples is None else list(found.samples),
        "driving": found.floor,
        "over_videos": found.over_videos,
        "per_video": dict(found.per_video),
        "per_frame": list(found.per_frame),
        "borders": list(found.marks),
        "notes": list(found.notes),
    }
    return {key: value for key, value in told.items() if value not in (None, [], {})}


def from_table(key: str, table: Mapping[str, Any]) -> Measurement:
    """The measurement that `to_table` told."""
    if table["value"] is None:
        return Measurement(METRICS[key], None, "", notes=(table["left_out"],))
    samples = table.get("samples")
    return Measurement(
        METRICS[key],
        table["value"],
        table["protocol"],
        frames=table["frames"],
        samples=None if samples is None else (samples[0], samples[1]),
        per_frame=tuple(table.get("per_frame", ())),
        per_video=tuple(table.get("per_video", {}).items()),
        over_videos=table.get("over_videos"),
        floor=table.get("driving"),
        marks=tuple(table.get("borders", ())),
        notes=tuple(table.get("notes", ())),
    )


def to_text(report: EvaluationReport) -> str:
    """The verdicts and the table for a terminal, and under it the protocols."""
    lines: list[str] = []
    for each in report.evaluations:
        lines += [f"{each.name}: {each.verdict.headline}"]
        for finding in each.verdict.findings:
            when = ", ".join(show_span(span) for span in finding.when)
            what = f"{finding.what} ({when})" if when else finding.what
            word = "wrong" if finding.severity == "bad" else "look"
            lines += [f"  {word:<6} {what}", f"         {finding.advice}"]
        lines.append("")
    found = rows(report)
    names = [each.name for each in report.evaluations]
    grid = [["", *(names if len(names) > 1 else ["value"]), "driving", "better"]]
    for row in found:
        cells = []
        for place, value in enumerate(row.values):
            text = "-" if value is None else show_value(value)
            if value is not None and value.samples is not None:
                text += f" (n = {min(value.samples)})"
            cells.append(text + (" *" if place in row.best else ""))
        known = [v for v in row.values if v is not None and v.floor is not None]
        floor = show_value(known[0], known[0].floor) if known else ""
        better = "" if row.metric.better == "neither" else row.metric.better
        grid.append([row.metric.title, *cells, floor, better])
    widths = [max(len(row[place]) for row in grid) for place in range(len(grid[0]))]
    for cells in grid if found else []:
        padded = [f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    absent = {
        metric.title: why for e in report.evaluations for metric, why in not_measured(e)
    }
    if absent:
        lines += ["", "left out:", *(f"  {title}: {why}" for title, why in absent.items())]
    lines += ["", "measured as:", *(f"  {row.protocol}" for row in found)] if found else []
    lines += ["", *(f"{note[:1].upper()}{note[1:]}." for note in report.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
