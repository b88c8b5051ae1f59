"""`anim evaluate`: is it good?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from animcli.cli.options import Overrides, options, read_output
from animcli.cli.plan import (
    Command,
    Context,
    FrameSource,
    PipelineState,
    Plan,
    Report,
    Survey,
    Tell,
    name_of,
)
from animcli.cli.recorded import (
    FACES,
    Recorded,
    measure_of,
    of_film,
    picture_size_of,
    recorded,
)
from animcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from animcli.cli.config import Options
    from animcli.pipeline.output import Step
    from animcli.pipeline.stage import Source
    from animcli.stages.against_truth import Manner
    from animcli.stages.evaluate import MeasureRender
    from animcli.stages.report import MakeReport, Subject

_VIDEOS: Final = (
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif", ".webp", ".apng"
)  # fmt: skip
"""Suffixes by which a folder is known for one of videos, and not of pictures."""

_FORMS: Final = (".html", ".json", ".csv", ".md", ".txt", ".png")


@options("detector", "device", "camera")
def evaluate(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RESULT", help="Videos, or folders of them; after `then` none."
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The true video, or a folder of them."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=read_output,
            help="A report: .html, .json, .csv, .md, .txt; .png shows the worst frames.",
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="NAMES", help="These alone, such as l1,psnr,fid.")
    ] = None,
    protocol: Annotated[
        Literal["disco", "sound"],
        typer.Option(help="As most papers measure, or as each metric's authors do."),
    ] = "disco",
    as_published: Annotated[
        bool,
        typer.Option("--as-published", help="Also the wrong PSNR of the papers' tables."),
    ] = False,
    reference: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="The character, if not as made.")
    ] = None,
    pose: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The .pose that it was to have.")
    ] = None,
    motion: Annotated[
        Path | None,
        typer.Option(metavar="VIDEO", help="The driving video, to compare with."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Compared at; disco takes 256x256."),
    ] = None,
    square: Annotated[
        bool, typer.Option("--square", help="Compare the middle square alone.")
    ] = False,
    clip: Annotated[
        int, typer.Option(metavar="N", min=10, max=256, help="Frames in a clip of FVD.")
    ] = 16,
    stride: Annotated[
        int, typer.Option(metavar="N", min=1, max=256, help="From one clip to the next.")
    ] = 1,
    skip_first: Annotated[
        bool,
        typer.Option("--skip-first", help="Leave out the first frame, the reference."),
    ] = False,
    shortest: Annotated[
        bool, typer.Option("--shortest", help="Compare as many frames as both have.")
    ] = False,
    frames: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Compare frames A to B - 1, counted from 0."),
    ] = None,
    at_rate: Annotated[
        bool, typer.Option("--at-rate", help="Take the truth's frames by their time.")
    ] = False,
    *,
    overrides: Overrides,
) -> Command:
    """Tell whether a result is good.

    ref-dance.mp4 alone: pose, flicker, seams, background and more, by its record. With
    --truth: the papers' numbers, done right. Several results are compared; folders are
    paired by the names of their videos. One of several that can't be measured is left
    out; the exit code is then 9.
    """
    from animcli.stages.against_truth import Manner

    usual = (256, 256) if protocol == "disco" else None
    manner = Manner(
        protocol,
        read_sides(size) or usual,
        square,
        clip,
        stride,
        skip_first,
        shortest=shortest,
        span=read_span(frames),
        at_rate=at_rate,
    )
    if truth is None:
        check_needs_truth(manner, as_published=as_published)
    return Evaluate(
        tuple(results or ()), truth, output, read_metrics(metrics, truth), as_published,
        reference, pose=pose, motion=motion, manner=manner, overrides=overrides,
    )  # fmt: skip


def read_sides(word: str | None) -> tuple[int, int] | None:
    """Width and height, of any pixels, from `256x256`."""
    if word is None:
        return None
    sides = word.lower().split("x")
    if len(sides) != 2 or not all(s.isascii() and s.isdigit() for s in sides):
        raise UsageError(f"--size {word}: a size is WIDTHxHEIGHT, such as 256x256")
    width, height = (int(side) for side in sides)
    if not (16 <= width <= 4096 and 16 <= height <= 4096):
        raise UsageError(f"--size {word}: both sides are 16 to 4096 pixels")
    return width, height


def read_span(word: str | None) -> tuple[int, int] | None:
    """First frame, and the one after the last, from `10:34`."""
    if word is None:
        return None
    ends = word.split(":")
    if len(ends) == 2 and all(end.isascii() and end.isdigit() for end in ends):
        start, stop = (int(end) for end in ends)
        if start < stop:
            return start, stop
    raise UsageError(f"--frames {word}: it is A:B, such as 0:48, and A is less than B")


def read_metrics(word: str | None, truth: Path | None) -> tuple[str, ...] | None:
    """Keys of metrics. Raises UsageError for what is none, or wants a truth."""
    if word is None:
        return None
    from animcli.metrics.measurement import METRICS
    from animcli.settings import suggest

    names = tuple(dict.fromkeys(name.strip() for name in word.split(",") if name.strip()))
    if not names:
        raise UsageError("--metrics names none", f"there are {', '.join(METRICS)}")
    for name in names:
        if name not in METRICS:
            hint = suggest(name, METRICS) or f"there are {', '.join(METRICS)}"
            raise UsageError(f"--metrics {name}: no metric is called so", hint)
        if METRICS[name].topic == "truth" and truth is None:
            raise UsageError(
                f"--metrics {name} compares with a truth", "--truth VIDEO says which"
            )
    return names


def check_needs_truth(manner: Manner, *, as_published: bool) -> None:
    """Raise UsageError where something was said of a comparison and nothing is compared."""
    usual = type(manner)()
    said = {
        "--as-published": as_published,
        "--square": manner.square,
        "--clip": manner.length != usual.length,
        "--stride": manner.stride != usual.stride,
        "--skip-first": manner.skip_first,
        "--shortest": manner.shortest,
        "--frames": manner.span is not None,
        "--at-rate": manner.at_rate,
        "--protocol": manner.name != usual.name,
        "--size": manner.name == usual.name and manner.size != usual.size,
    }
    for name, given in said.items():
        if given:
            raise UsageError(
                f"{name} is about a comparison", "--truth VIDEO says with what"
            )


@dataclass(frozen=True)
class Evaluate:
    """`anim evaluate`."""

    results: tuple[Path, ...]
    truth: Path | None
    out: Path | None
    metrics: tuple[str, ...] | None
    as_published: bool
    reference: Path | None
    _: KW_ONLY
    pose: Path | None
    motion: Path | None
    manner: Manner
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """A report of all results, as a file or told at once."""
        if not self.results and state.source is None:
            raise UsageError("there is no result", "say which: anim evaluate VIDEO")
        names = [name_in_report(path, self.results) for path in self.results]
        if not self.results and state.source is not None:
            subjects = [self.subject(of_film(state.source), context)]
        else:
            subjects = [
                self.subjects_of(path, name, context)
                for path, name in zip(self.results, names, strict=True)
            ]
        suffix = self.out.suffix.lower() if self.out else ""
        if len(subjects) == 1:
            report = self.report(subjects, context, suffix)
            return Plan((report_task(report, self.out),), state)

        def of(places: tuple[int, ...]) -> Step | Tell:
            left = [subjects[place] for place in places]
            return report_task(self.report(left, context, suffix), self.out)

        parts = tuple(tuple(subject.stages) for subject in subjects)
        return Plan((Survey(parts, of),), state, independent=True)

    def report(
        self, subjects: Sequence[Subject], context: Context, suffix: str
    ) -> MakeReport:
        """The report's stage. Raises UsageError for a form that there isn't."""
        from animcli.stages.report import MakeReport

        if self.out is not None and suffix not in _FORMS:
            raise UsageError(f"{self.out}: a report is one of {', '.join(_FORMS)}")
        told = ".json" if context.options.as_json else ".txt"
        truth = "" if self.truth is None else self.truth.name or str(self.truth)
        metrics = self.metrics
        if metrics is not None and self.as_published:
            metrics = (*metrics, "psnr_published")
        return MakeReport(tuple(subjects), suffix or told, truth, metrics)

    def subjects_of(self, path: Path, name: str, context: Context) -> Subject:
        """A result, or a folder of them. Raises InputError for what isn't there."""
        if is_set(path):
            videos = videos_in(path)
            for said, flag in (
                (self.reference, "--reference"), (self.pose, "--pose"),
                (self.motion, "--motion"),
            ):  # fmt: skip
                if said is not None:
                    raise UsageError(f"{flag} is of one result, and {path} has several")
            results = [recorded(video, context) for video in videos]
            return self.subject_of_set(name, results, context)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        return self.subject(replace(recorded(path, context), name=name), context)

    def subject(self, result: Recorded, context: Context) -> Subject:
        """One result, and the truth that it has."""
        from animcli.stages.report import Subject

        compared = None
        if self.truth is not None and self._wants("truth"):
            if is_set(self.truth):
                result_name = result.path.name if result.path else result.name
                truths = match_truths([result_name], videos_in(self.truth))
            else:
                truths = [self.truth]
            compared = self._compare([result], truths, context)
        alone = compared is None or result.record is not None
        videos = ((result.name, self._measure(result, context)),) if alone else ()
        if not self._wants("alone"):
            videos = ()
        return Subject(result.name, videos, compared, result.made)

    def subject_of_set(
        self, name: str, results: Sequence[Recorded], context: Context
    ) -> Subject:
        """Several results as one, each with the truth of its name."""
        from animcli.stages.report import Subject

        compared = None
        if self.truth is not None and self._wants("truth"):
            if not is_set(self.truth):
                raise UsageError(
                    f"{self.truth} is one truth for {len(results)} results",
                    "give a folder of them",
                )
            names = [result.name for result in results]
            truths = match_truths(names, videos_in(self.truth))
            compared = self._compare(results, truths, context)
        alone = compared is None or all(result.record is not None for result in results)
        videos: tuple[tuple[str, Source], ...] = ()
        if alone and self._wants("alone"):
            videos = tuple((each.name, self._measure(each, context)) for each in results)
        return Subject(name, videos, compared, (("videos", str(len(results))),))

    def _wants(self, kind: Literal["truth", "alone"]) -> bool:
        from animcli.metrics.measurement import METRICS

        if self.metrics is None or (kind == "truth" and self.as_published):
            return True
        of_truth = {METRICS[name].topic == "truth" for name in self.metrics}
        return (kind == "truth") in of_truth

    def _compare(
        self, results: Sequence[Recorded], truths: Sequence[Path], context: Context
    ) -> Source:
        from animcli.metrics.measurement import METRICS
        from animcli.stages.against_truth import CompareTruths

        wanted = self.metrics and tuple(
            name for name in self.metrics if METRICS[name].topic == "truth"
        )
        named = [entry for key in wanted or () for entry in METRICS[key].weights]
        for entry in dict.fromkeys(named):
            context.weights.path(entry)  # asked for by name: absent is an error
        known = dict.fromkeys(
            entry
            for key, metric in METRICS.items()
            if metric.topic == "truth" and (wanted is None or key in wanted)
            for entry in metric.weights
        )
        return CompareTruths(
            tuple(result.source for result in results),
            tuple(truths),
            tuple((r.name, t.name) for r, t in zip(results, truths, strict=True)),
            self.manner,
            wanted,
            self.as_published,
            networks=tuple(entry for entry in known if context.weights.has(entry)),
            device=device_of(context.config.options(self.overrides), known),
        )

    def _measure(self, result: Recorded, context: Context) -> MeasureRender:
        """The stage that measures a result alone; flags go before its record."""
        options = context.config.options(self.overrides)
        for name in self.metrics or ():
            check_faces(name, context)
        measure = measure_of(
            result, options, context, detector_said="detector" in self.overrides
        )
        if self.pose is not None:
            measure = replace(measure, motion=self.pose)
        if self.motion is not None:
            measure = replace(measure, driving=self.motion, driving_pose=None)
        if self.reference is not None:
            from animcli.stages.fitting import Fit
            from animcli.stages.reference import FindPose, FitPicture

            size = picture_size_of(result)
            fit = Fit((result.record or {}).get("fit", "pad"))
            measure = replace(
                measure,
                picture=FitPicture(self.reference, size, fit),
                original=self.reference,
                pose=FindPose(self.reference, measure.detector, size, fit),
            )
        if "camera" in self.overrides:
            measure = replace(measure, moving=options.camera == "moving")
        return measure


def report_task(report: MakeReport, out: Path | None) -> Step | Tell:
    """A report as a file, or told at once."""
    from animcli.pipeline.output import Step

    return Tell(Step(report), told) if out is None else Step(report, out)


def report_on(
    film: FrameSource, name: str, options: Options, context: Context
) -> MakeReport:
    """The page about a render that the same line makes; name: of its video."""
    from animcli.stages.report import MakeReport, Subject

    result = of_film(film)
    measure = measure_of(result, options, context)
    return MakeReport((Subject(name, ((name, measure),), None, result.made),), ".html")


def told(path: Path) -> Report:
    """The text of a report for people, or its JSON object."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        return Report(tuple(text.splitlines()), ())
    import json

    return Report((), (json.loads(text),))


def check_faces(metric: str, context: Context) -> None:
    """Raise WeightsError where a face metric was asked for by name and can't be had."""
    from animcli.metrics.measurement import METRICS

    for entry in METRICS[metric].weights:
        if entry in FACES:
            context.weights.path(entry)


def device_of(options: Options, networks: Mapping[str, object]) -> str:
    """The device of networks; without any, torch isn't loaded to find out."""
    if not networks or options.device == "cpu":
        return "cpu"
    from animcli.rendering.loading import best_device, open_device

    chosen = best_device() if options.device == "auto" else options.device
    open_device(chosen)
    return chosen


def is_set(path: Path) -> bool:
    """True for a folder of videos; one of pictures is a single video."""
    return path.is_dir() and any(each.suffix.lower() in _VIDEOS for each in path.iterdir())


def videos_in(folder: Path) -> list[Path]:
    """The videos of a folder, by name."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in _VIDEOS)


def match_truths(results: Sequence[str], truths: Sequence[Path]) -> list[Path]:
    """The truth of each result, by name but for the suffix."""
    from animcli.metrics.clips import match_by_stem

    return [truths[n] for n in match_by_stem(results, [path.name for path in truths])]


def name_in_report(path: Path, others: Sequence[Path]) -> str:
    """The name of a result, with its folder where another has the same."""
    name = path.name or name_of(path)
    alike = [each for each in others if (each.name or name_of(each)) == name]
    return name if len(alike) == 1 else str(path)
