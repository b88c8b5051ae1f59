"""Results compared with their truths, one video or a set of them.

Features of frames and clips, which networks take minutes for, are stages of their own: a
truth that was compared once costs nothing when another result is compared with it.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from animcli.files import atomic_path
from animcli.pipeline.stage import NO_SETTING, Progress, RunContext, Source, Stage
from animcli.stages.evaluate import GivenWeights, open_measured, rate_of
from animcli.stages.report import Measured, write_measured

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from animcli.metrics.clips import Clip, Pair, Protocol
    from animcli.metrics.features import SetMetric

_LIBRARIES = ("animcli.metrics", "av", "numpy", "opencv-python-headless", "pillow", "torch")


@dataclass(frozen=True)
class Manner:
    """All that one may choose about a comparison.

    name, size, square, length, stride, skip_first: of `animcli.metrics.clips.Protocol`.
    shortest: compare as many frames as both have. span: these frames alone.
    at_rate: take the truth's frames by their time.
    """

    name: Literal["disco", "sound"] = "disco"
    size: tuple[int, int] | None = (256, 256)
    square: bool = False
    length: int = 16
    stride: int = 1
    skip_first: bool = False
    _: KW_ONLY
    shortest: bool = False
    span: tuple[int, int] | None = None
    at_rate: bool = False

    @property
    def protocol(self) -> "Protocol":
        """The part that all metrics share."""
        from animcli.metrics.clips import Protocol

        return Protocol(
            self.name, self.size, self.square, self.length, self.stride, self.skip_first
        )

    @property
    def depends_on_both(self) -> bool:
        """True where the frames of one side are chosen by the other."""
        return self.shortest or self.at_rate

    def pair(self, result: "Clip", truth: "Clip") -> "Pair":
        """A result and its truth. Raises InputError where they don't go together."""
        from animcli.metrics.clips import frame_at_times, paired

        if self.at_rate and result.rate is not None:
            truth = frame_at_times(truth, result.rate, result.frames)
        return paired(result, truth, shortest=self.shortest, span=self.span)


@dataclass(frozen=True)
class MeasureFeatures(Stage):
    """Features of a clip's frames, or of the clips it is cut into; makes a `.npy` file.

    partner: the other side of the pair, where that decides which frames count.
    is_truth: whether the video is the truth of the two.
    """

    name: ClassVar[str] = "features"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".npy"
    libraries: ClassVar[tuple[str, ...]] = _LIBRARIES

    metric: str
    video: Source
    manner: Manner
    networks: tuple[str, ...]
    partner: Source | None = None
    is_truth: bool = False
    _: KW_ONLY
    device: str = "cpu"

    @property
    def weights(self) -> tuple[str, ...]:
        return self.networks

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.metrics.edges import StoredNetworks
        from animcli.metrics.features import features_of

        metric = cast("SetMetric", self.metric)
        networks = StoredNetworks(GivenWeights(context), self.device)
        found = features_of(
            metric,
            self._clip(context),
            self.manner.protocol,
            networks.network(metric),
            networks.digest(metric),
            {},
            _told(context),
        )
        with atomic_path(context.out) as part, part.open("wb") as file:
            np.lib.format.write_array(file, found, allow_pickle=False)

    def _clip(self, context: RunContext) -> "Clip":
        clip = open_measured(context.inputs["video"], context.inputs["video"].name)
        if self.partner is None:
            return clip if self.manner.span is None else clip.cut(*self.manner.span)
        other = open_measured(context.inputs["partner"], context.inputs["partner"].name)
        sides = (other, clip) if self.is_truth else (clip, other)
        pair = self.manner.pair(*sides)
        return pair.truth if self.is_truth else pair.result


@dataclass(frozen=True)
class CompareTruths(Stage):
    """Compares results with their truths.

    results, truths: in pairs. names: of each result and its truth.
    metrics: keys, None for the protocol's own.
    networks: entries of the weights catalog that may be used; what wants another is left
        out, and says so.
    """

    name: ClassVar[str] = "compare-truth"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = _LIBRARIES

    results: tuple[Source, ...] = field(metadata=NO_SETTING)
    truths: tuple[Source, ...] = field(metadata=NO_SETTING)
    names: tuple[tuple[str, str], ...]
    manner: Manner
    metrics: tuple[str, ...] | None = None
    as_published: bool = False
    _: KW_ONLY
    networks: tuple[str, ...] = ()
    device: str = "cpu"

    @property
    def weights(self) -> tuple[str, ...]:
        return self.networks

    def inputs(self) -> Mapping[str, Source]:
        found: dict[str, Source] = {}
        for number, (result, truth) in enumerate(
            zip(self.results, self.truths, strict=True)
        ):
            found[f"result {number}"], found[f"truth {number}"] = result, truth
            for metric in self._sets():
                ours = MeasureFeatures(
                    metric, result, self.manner, _entries(metric), device=self.device
                )
                theirs = replace(ours, video=truth, is_truth=True)
                if self.manner.depends_on_both:
                    ours = replace(ours, partner=truth)
                    theirs = replace(theirs, partner=result)
                else:
                    theirs = replace(theirs, is_truth=False)  # the same, whoever asks
                found[f"{metric} of result {number}"] = ours
                found[f"{metric} of truth {number}"] = theirs
        return found

    def run(self, context: RunContext) -> None:

        from animcli.metrics.against_truth import compare
        from animcli.metrics.edges import StoredNetworks
        from animcli.metrics.features import feature_key
        from animcli.metrics.report.record import worst_frames

        protocol = self.manner.protocol
        networks = StoredNetworks(GivenWeights(context), self.device)
        pairs: list[Pair] = []
        store: dict[str, NDArray[np.float32]] = {}
        for number, (name, truth) in enumerate(self.names):
            pair = self.manner.pair(
                open_measured(context.inputs[f"result {number}"], name),
                open_measured(context.inputs[f"truth {number}"], truth),
            )
            pairs.append(pair)
            for metric in self._sets():
                digest = networks.digest(metric)
                for side, clip in (("result", pair.result), ("truth", pair.truth)):
                    path = context.inputs[f"{metric} of {side} {number}"]
                    key = feature_key(metric, clip, protocol, digest)
                    store[key] = _read_features(path)
        found = compare(
            pairs,
            protocol,
            networks,
            metrics=self.metrics,
            as_published=self.as_published,
            store=store,
            progress=_told(context),
        )
        first = pairs[0]
        alone = len(pairs) == 1
        keys = ("psnr", "lpips", "lpips_disco")
        worst = worst_frames(first.result, found, keys, first.truth) if alone else []
        write_measured(
            context.out,
            Measured(
                sum(pair.result.frames for pair in pairs),
                rate_of(context.inputs["result 0"], first.result),
                first.result.size,
                first.result.origin,
                tuple(found),
                tuple(worst),
            ),
        )

    def _sets(self) -> "list[SetMetric]":
        """Distances of sets that are wanted, and whose networks are here."""
        from animcli.metrics.against_truth import USUAL_METRICS
        from animcli.metrics.features import KINDS

        wanted = USUAL_METRICS[self.manner.name] if self.metrics is None else self.metrics
        return [
            metric
            for metric in KINDS
            if metric in wanted and set(_entries(metric)) <= set(self.networks)
        ]


def _entries(metric: str) -> tuple[str, ...]:
    from animcli.metrics.measurement import METRICS

    return METRICS[metric].weights


def _read_features(path: "Path") -> "NDArray[np.float32]":
    import numpy as np

    with path.open("rb") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False), np.float32)


def _told(context: RunContext) -> Progress:
    """Progress that lets the run be stopped."""

    def progress(what: str, done: int, total: int) -> None:
        context.progress(what, done, total)
        context.check_cancelled()

    return progress
