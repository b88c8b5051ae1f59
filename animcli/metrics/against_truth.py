"""A result against its truth: the columns of the papers' tables, one pass over the frames.

What a metric is stands in `pixels`, `frechet` and `networks`; here they are applied to
pairs of videos, averaged, and told with their protocol.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, get_args
from typing import Protocol as Interface

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.errors import WeightsError
from animcli.metrics import pixels
from animcli.metrics.clips import Clip, Pair, Protocol
from animcli.metrics.features import KINDS, FeatureStore, Progress, SetMetric, features_of
from animcli.metrics.frechet import FEWEST, TRUSTED, frechet_distance
from animcli.metrics.measurement import METRICS, Measurement, averaged, left_out
from animcli.metrics.pixels import IDENTICAL_DB, Pixels

NetworkName = Literal["lpips_vgg", "lpips_alex", "fid", "fid_vid", "fvd"]


class Networks(Interface):
    """Source of networks; each is loaded when it is first asked for."""

    def network(self, name: NetworkName) -> nn.Module:
        """The network, ready for inference. Raises WeightsError if it's absent."""

    def digest(self, name: NetworkName) -> str:
        """A digest of its weights."""


PAIRWISE: Final[Mapping[str, tuple[Callable[[Pixels, Pixels], float], str]]] = {
    "l1": (pixels.l1, "mean |p-q|, 0..255"),
    "l1_disco": (pixels.l1_disco, "mean |p-q| in levels / (h w)"),
    "psnr": (pixels.psnr, "float64, per frame, equal frames 100 dB"),
    "psnr_published": (pixels.psnr_published, "difference and square in uint8, per frame"),
    "ssim": (pixels.ssim_wang, "Gaussian 11x11 sigma 1.5, per channel, range 255"),
    "ssim_disco": (pixels.ssim_disco, "grey uint8, uniform 7x7, sample covariance"),
}
"""Metrics of one pair of pictures: function, and what is particular to its protocol."""

PERCEPTUAL: Final[Mapping[str, tuple[NetworkName, bool, str]]] = {
    "lpips": ("lpips_vgg", True, "VGG16, heads 0.1, inputs -1..1"),
    "lpips_disco": ("lpips_vgg", False, "VGG16, heads 0.1, inputs 0..1"),
    "lpips_alex": ("lpips_alex", True, "AlexNet, heads 0.1, inputs -1..1"),
}
"""LPIPS: network, whether pictures are brought to -1..1, particulars."""

USUAL_METRICS: Final[Mapping[str, tuple[str, ...]]] = {
    "disco": (
        "l1", "l1_disco", "psnr", "ssim_disco", "lpips_disco", "dtssd", "fid", "fid_vid",
        "fvd",
    ),
    "sound": ("l1", "psnr", "ssim", "lpips", "dtssd", "fid", "fid_vid", "fvd"),
}  # fmt: skip
"""Metrics that a protocol measures unless it is told otherwise."""

NOT_COMPARABLE: Final = (
    "the clips that the papers' tables are made of are not public, so no number here can "
    "be put beside theirs"
)


def no_report(what: str, done: int, total: int) -> None:
    """Report nothing."""


def compare(
    pairs: Sequence[Pair],
    protocol: Protocol,
    networks: Networks,
    *,
    metrics: Sequence[str] | None = None,
    as_published: bool = False,
    store: FeatureStore | None = None,
    progress: Progress = no_report,
) -> list[Measurement]:
    """Measure one or several results against their truths.

    metrics: keys, None for the protocol's own. as_published: the wrong PSNR as well.
    store: where features are kept; None keeps them for this call only.

    A metric whose weights are absent is left out and says so; the others are measured.
    """
    wanted = list(USUAL_METRICS[protocol.name] if metrics is None else metrics)
    if as_published and "psnr_published" not in wanted:
        wanted.append("psnr_published")
    values = _over_frames(pairs, protocol, networks, wanted, progress)
    kept: FeatureStore = {} if store is None else store
    found = []
    for key in wanted:
        if key in get_args(SetMetric):
            found.append(_set_distance(key, pairs, protocol, networks, kept, progress))
        else:
            found.append(_told(key, values[key], pairs, protocol))
    return found


_Values = list[tuple[str, list[float]]] | WeightsError
"""The values of each video's frames, or why there are none."""


def _over_frames(
    pairs: Sequence[Pair],
    protocol: Protocol,
    networks: Networks,
    wanted: Sequence[str],
    progress: Progress,
) -> dict[str, _Values]:
    """Everything that has a value for each frame, in one pass over each pair."""
    found: dict[str, _Values] = {}
    lpips: dict[str, nn.Module] = {}
    for key in wanted:
        found[key] = []
        if key in PERCEPTUAL:
            try:
                lpips[key] = networks.network(PERCEPTUAL[key][0])
            except WeightsError as error:
                found[key] = error
    for pair in pairs:
        rows: dict[str, list[float]] = {
            key: [] for key in wanted if key in PAIRWISE or key in lpips or key == "dtssd"
        }
        before: tuple[Pixels, Pixels] | None = None
        for index, (result, truth) in enumerate(pair.sides(protocol)):
            for key, row in rows.items():
                if key in PAIRWISE:
                    row.append(PAIRWISE[key][0](result, truth))
                elif key in lpips:
                    row.append(_lpips(lpips[key], PERCEPTUAL[key][1], result, truth))
            if "dtssd" in rows and before is not None:
                rows["dtssd"].append(pixels.dtssd(before, (result, truth)))
            before = (result, truth)
            progress(f"comparing {pair.result.name}", index + 1, pair.result.frames)
        for key, row in rows.items():
            values = found[key]
            if not isinstance(values, WeightsError):
                values.append((pair.result.name, row))
    return found


def _lpips(network: nn.Module, signed: bool, result: Pixels, truth: Pixels) -> float:
    device = next(network.parameters()).device
    both = torch.from_numpy(np.stack([result, truth])).permute(0, 3, 1, 2).float() / 255
    both = (2 * both - 1 if signed else both).to(device)
    with torch.inference_mode():
        distance: Tensor = network(both[:1], both[1:])
    return float(distance)


def _told(
    key: str, values: _Values, pairs: Sequence[Pair], protocol: Protocol
) -> Measurement:
    if isinstance(values, WeightsError):
        return left_out(key, _absent(values))
    particulars = {
        **{name: words for name, (_, words) in PAIRWISE.items()},
        **{name: words for name, (*_, words) in PERCEPTUAL.items()},
        "dtssd": "all neighbouring pairs",
    }
    notes = [note for pair in pairs for note in pair.notes(protocol)]
    if key == "psnr":
        equal = sum(value == IDENTICAL_DB for _, row in values for value in row)
        if equal:
            notes.append(f"{equal} frames are identical and count as {IDENTICAL_DB:g} dB")
    if key == "psnr_published":
        notes.append("the mistake of the papers' tables; never below the right value")
    if key == "l1_disco" and protocol.size != (256, 256):
        notes.append("the tables' L1 is of 256x256 and no other size compares with it")
    text = f"{key}/{protocol.name}: {protocol.pictures()}; {particulars[key]}"
    return averaged(key, values, text, tuple(notes))


def _set_distance(
    key: str,
    pairs: Sequence[Pair],
    protocol: Protocol,
    networks: Networks,
    store: FeatureStore,
    progress: Progress,
) -> Measurement:
    metric: SetMetric = key  # type: ignore[assignment]
    try:
        network, digest = networks.network(metric), networks.digest(metric)
    except WeightsError as error:
        return left_out(key, _absent(error))

    def crowd(clips: Sequence[Clip]) -> NDArray[np.float32]:
        found = [
            features_of(metric, clip, protocol, network, digest, store, progress)
            for clip in clips
        ]
        return np.concatenate([each for each in found if len(each)] or found)

    results, truths = crowd([p.result for p in pairs]), crowd([p.truth for p in pairs])
    samples = (len(results), len(truths))
    unit = "frames" if metric == "fid" else f"clips of {protocol.length} frames"
    if min(samples) < FEWEST:
        return left_out(
            key, f"{samples[0]} and {samples[1]} {unit}: a distance of sets wants {FEWEST}"
        )
    notes = []
    if min(samples) < TRUSTED:
        notes.append(
            f"only {min(samples)} {unit}: below {TRUSTED} the value says more about their "
            "number than about the pictures"
        )
    if metric != "fid" and protocol.stride < protocol.length:
        notes.append(
            f"clips begin every {protocol.stride} frames and overlap: {min(samples)} of "
            f"them are far fewer independent ones, out of {len(pairs)} videos"
        )
    cut = (
        "" if metric == "fid" else f"; windows of {protocol.length} every {protocol.stride}"
    )
    text = (
        f"{key}/{protocol.name}: {protocol.pictures()}; {KINDS[metric].protocol}{cut}; n-1"
    )
    frames = sum(pair.result.frames - protocol.first for pair in pairs)
    value = frechet_distance(results, truths)
    return Measurement(
        METRICS[key], value, text, frames=frames, samples=samples, notes=tuple(notes)
    )


def _absent(error: WeightsError) -> str:
    return f"{error.message}; {error.hint}"
