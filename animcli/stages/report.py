"""Measurements of results as they are kept, and the reports on them.

Measurements are kept as a folder, so that a report in another form, or with another result
beside, costs nothing:

    measured.json           frames, rate, size, and every metric
    worst-<n>.png           a frame that is worth a look
    worst-<n>-beside.png    the frame to see it against
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from animcli.errors import InputError
from animcli.files import atomic_path, make_folder, write_file
from animcli.pipeline.record import canonical
from animcli.pipeline.stage import NO_SETTING, RunContext, Source, Stage, to_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.metrics.measurement import Measurement
    from animcli.metrics.report.record import EvaluatedResult, WorstFrame
    from animcli.pipeline.stage import Stage

TABLE: Final = "measured.json"


@dataclass(frozen=True, eq=False)
class Measured:
    """One result, or a set of them, as it was measured.

    frames: of all videos together. origin: whether lossless frames were measured or those
    of the encoded file.
    """

    frames: int
    rate: Fraction
    size: tuple[int, int]
    origin: str
    measurements: "tuple[Measurement, ...]"
    worst: "tuple[WorstFrame, ...]" = ()


def write_measured(folder: Path, found: Measured) -> None:
    """Keep what was measured in a folder."""
    from animcli.metrics.report.tables import to_table
    from animcli.video.images import write_picture

    make_folder(folder)

    def keep(name: str, picture: "NDArray[np.uint8]") -> str:
        with atomic_path(folder / name) as part:
            write_picture(part, picture)
        return name

    worst = []
    for number, each in enumerate(found.worst):
        row: dict[str, object] = {
            "metric": each.metric,
            "frame": each.frame,
            "seconds": each.seconds,
            "why": each.why,
            "picture": keep(f"worst-{number}.png", each.picture),
        }
        if each.beside is not None:
            row["what"] = each.beside[0]
            row["beside"] = keep(f"worst-{number}-beside.png", each.beside[1])
        worst.append(row)
    table = {
        "frames": found.frames,
        "rate": str(found.rate),
        "size": list(found.size),
        "origin": found.origin,
        "metrics": {each.metric.key: to_table(each) for each in found.measurements},
        "order": [each.metric.key for each in found.measurements],
        "worst": worst,
    }
    write_file(folder / TABLE, canonical(table))


def read_measured(folder: Path) -> Measured:
    """Read what `write_measured` kept."""
    from animcli.metrics.report.record import WorstFrame
    from animcli.metrics.report.tables import from_table
    from animcli.video.images import read_picture

    table: dict[str, Any] = json.loads((folder / TABLE).read_bytes())

    def picture(name: str) -> "NDArray[np.uint8]":
        return read_picture(folder / name).pixels

    return Measured(
        table["frames"],
        Fraction(table["rate"]),
        (table["size"][0], table["size"][1]),
        table["origin"],
        tuple(from_table(key, table["metrics"][key]) for key in table["order"]),
        tuple(
            WorstFrame(
                row["metric"],
                row["frame"],
                row["seconds"],
                row["why"],
                picture(row["picture"]),
                (row["what"], picture(row["beside"])) if "beside" in row else None,
            )
            for row in table["worst"]
        ),
    )


def shown_evaluation(
    name: str,
    compared: Measured | None,
    alone: Mapping[str, Measured],
    made: tuple[tuple[str, str], ...],
    metrics: tuple[str, ...] | None,
) -> "EvaluatedResult":
    """All that was measured of one result, or of a set of videos by name, judged."""
    from animcli.metrics.measurement import over_videos
    from animcli.metrics.report.record import EvaluatedResult
    from animcli.metrics.verdict import judge

    found = [] if compared is None else list(compared.measurements)
    worst = [] if compared is None else list(compared.worst)
    each = list(alone.values())
    if len(each) == 1:
        found += each[0].measurements
        frames = {frame.frame for frame in worst}
        worst += [frame for frame in each[0].worst if frame.frame not in frames]
    elif each:
        columns = zip(*(one.measurements for one in each), strict=True)
        found += [over_videos(list(zip(alone, column, strict=True))) for column in columns]
    if metrics is not None:
        found = [one for one in found if one.metric.key in metrics]
    first = each[0] if compared is None else compared
    frames_told = {
        "cache": "lossless, from the cache",
        "file": "of the encoded file",
    }
    origins = {one.origin for one in each} | ({first.origin})
    told = " and ".join(frames_told[origin] for origin in sorted(origins))
    total = first.frames if compared is not None else sum(one.frames for one in each)
    return EvaluatedResult(
        name,
        total,
        first.rate,
        first.size,
        tuple(found),
        judge(found, first.rate),
        worst=tuple(worst),
        made=(*made, ("frames measured", told)),
    )


@dataclass(frozen=True)
class Subject:
    """One result in a report, or a set of them.

    videos: name and measurements without a truth of each video.
    compared: what comparing all of them with their truths found.
    made: how it was made, as (what, value).
    """

    name: str
    videos: tuple[tuple[str, Source], ...]
    compared: Source | None
    made: tuple[tuple[str, str], ...] = ()

    @property
    def stages(self) -> "list[Stage]":
        """Stages that measure it."""
        sources = [self.compared, *(source for _, source in self.videos)]
        return [each for each in sources if each is not None and not isinstance(each, Path)]


@dataclass(frozen=True)
class MakeReport(Stage):
    """Writes a report: by its suffix a page, JSON, CSV, Markdown, text, or a sheet of the
    worst frames.

    truth: the name of what results were compared with. metrics: those that are told, None
        for all that were measured.
    """

    name: ClassVar[str] = "report"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("animcli.metrics", "pillow")

    subjects: tuple[Subject, ...] = field(metadata=NO_SETTING)
    kind: str
    truth: str = ""
    metrics: tuple[str, ...] | None = None

    @property
    def suffix(self) -> str:
        return self.kind

    def inputs(self) -> Mapping[str, Source]:
        found: dict[str, Source] = {}
        for place, subject in enumerate(self.subjects):
            if subject.compared is not None:
                found[f"{place} truth"] = subject.compared
            for number, (_, source) in enumerate(subject.videos):
                found[f"{place} video {number}"] = source
        return found

    def settings(self) -> Mapping[str, object]:
        told = [
            {"name": s.name, "videos": [n for n, _ in s.videos], "made": to_json(s.made)}
            for s in self.subjects
        ]
        return {**super().settings(), "subjects": told}

    def run(self, context: RunContext) -> None:
        import animcli
        from animcli.metrics.against_truth import NOT_COMPARABLE
        from animcli.metrics.report.html import to_html
        from animcli.metrics.report.record import EvaluationReport
        from animcli.metrics.report.tables import report_json, to_csv, to_markdown, to_text

        evaluations = []
        for place, subject in enumerate(self.subjects):
            truth = context.inputs.get(f"{place} truth")
            alone = {
                name: read_measured(context.inputs[f"{place} video {number}"])
                for number, (name, _) in enumerate(subject.videos)
            }
            compared = None if truth is None else read_measured(truth)
            evaluations.append(
                shown_evaluation(subject.name, compared, alone, subject.made, self.metrics)
            )
        if self.suffix == ".png":
            write_sheet(context.out, evaluations)
            return
        report = EvaluationReport(
            tuple(evaluations),
            self.truth,
            (("animcli", animcli.__version__),),
            (NOT_COMPARABLE,) if self.truth else (),
        )
        forms = {
            ".html": to_html,
            ".json": report_json,
            ".csv": to_csv,
            ".md": to_markdown,
            ".txt": to_text,
        }
        write_file(context.out, forms[self.suffix](report).encode())


FORMS: Final = (".html", ".json", ".csv", ".md", ".txt", ".png")


def write_sheet(out: Path, evaluations: "list[EvaluatedResult]") -> None:
    """The worst frames of all results on one picture, each with what it is the worst of."""
    from animcli.stages.charts import contact_sheet
    from animcli.video.images import write_picture

    worst = [(each, frame) for each in evaluations for frame in each.worst]
    if not worst:
        raise InputError(
            "no single frame stands out in what was measured",
            "measure videos one by one, with --metrics that have a value for each frame",
        )
    labels = [f"{frame.seconds:.2f} s, {frame.why}" for _, frame in worst]
    with atomic_path(out) as part:
        write_picture(part, contact_sheet([f.picture for _, f in worst], labels, 4, 320))
