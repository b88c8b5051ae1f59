"""A report for other programs, for spreadsheets, and for a text."""

import csv
import io
import json
from collections.abc import Mapping

from animcli.metrics.measurement import Measurement
from animcli.metrics.report.record import Evaluation, Report, left_out, rows
from animcli.metrics.verdict import show_span, show_value

SCHEMA = 1


def to_json(progress: Report) -> str:
    """All of a report but its pictures, as one JSON object."""
    table = {
        "schema": SCHEMA,
        "truth": progress.truth or None,
        "about": dict(progress.about),
        "notes": list(progress.notes),
        "results": [_result(each) for each in progress.evaluations],
    }
    return json.dumps(table, indent=1, allow_nan=False) + "\n"


def to_csv(progress: Report) -> str:
    """A line for each metric, protocol and result."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("result", "metric", "value", "unit", "better", "best", "driving", "frames",
             "samples", "protocol", "notes")  # fmt: skip
    writer.writerow(names)
    for row in rows(progress):
        for place, each in enumerate(row.values):
            if each is not None:
                writer.writerow(
                    [
                        progress.evaluations[place].name,
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


def to_markdown(progress: Report) -> str:
    """The verdicts and the table; the best value of a row in bold."""
    lines = []
    for each in progress.evaluations:
        lines += [f"## {_cell(each.name)}", "", each.verdict.headline, ""]
        for finding in each.verdict.findings:
            when = "".join(f" ({show_span(span)})" for span in finding.when)
            lines.append(f"- **{finding.severity}**: {finding.what}{when} {finding.advice}")
        lines += [""] if each.verdict.findings else []
    names = [_cell(each.name) for each in progress.evaluations]
    floors = any(
        v is not None and v.floor is not None for r in rows(progress) for v in r.values
    )
    head = ["metric", *names, *(["driving video"] if floors else []), "better", "protocol"]
    lines += [_line(head), _line(["---"] * len(head))]
    for row in rows(progress):
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
        metric.title: why for e in progress.evaluations for metric, why in left_out(e)
    }
    if absent:
        lines += ["", "Left out:", ""]
        lines += [f"- {title}: {why}" for title, why in absent.items()]
    lines += ["", *(f"{note}." for note in progress.notes)] if progress.notes else []
    return "\n".join(lines) + "\n"


def _result(evaluation: Evaluation) -> Mapping[str, object]:
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
        "metrics": {each.metric.key: _metric(each) for each in evaluation.measurements},
    }


def _metric(found: Measurement) -> Mapping[str, object]:
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
        "notes": list(found.notes),
    }
    return {key: value for key, value in told.items() if value not in (None, [], {})}


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
