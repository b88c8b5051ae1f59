"""Features of frames and clips, for distances of sets, kept by what they are made of.

A video's features depend on its frames, on how they are prepared and on the network, and
not on what they are compared with. They are kept under a key of these three, so that a
second comparison with the same truth costs nothing.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from animcli.metrics.clips import Clip, Protocol, prepared
from animcli.metrics.frechet import windows
from animcli.metrics.networks.video import I3D_SIDE, RESNET_SIDE
from animcli.metrics.pixels import Pixels

FeatureStore = MutableMapping[str, NDArray[np.float32]]
"""Key -> features `(n, d)`; a dict will do, or a folder."""

Progress = Callable[[str, int, int], None]
"""(what is being done, done so far, in all)"""

SetMetric = Literal["fid", "fid_vid", "fvd"]

_AT_ONCE: Final = 8  # frames in a batch; more gain nothing on a CPU


@dataclass(frozen=True)
class FeatureKind:
    """Input format of a network for videos.

    side: pixels that frames are squashed to before; None leaves it to the network.
    protocol: the same in words.
    """

    side: int | None
    protocol: str


KINDS: Final[dict[SetMetric, FeatureKind]] = {
    "fid": FeatureKind(
        None,
        "Inception 2015-12-05 pool3, 299x299 bilinear without antialiasing",
    ),
    "fid_vid": FeatureKind(
        RESNET_SIDE,
        "3D ResNet-50 Kinetics-400, squashed to 112x112 bicubic, mean subtracted",
    ),
    "fvd": FeatureKind(
        I3D_SIDE,
        "I3D Kinetics-400 logits, batch norm 1e-3, squashed to 224x224 bicubic, -1..1",
    ),
}


def squash(picture: Pixels, side: int) -> NDArray[np.float32]:
    """A picture `(h, w, 3)` at `(side, side, 3)` float32 levels, whatever its shape was.

    Bicubic on float channels and neither rounded nor clipped, as DisCo's evaluation does
    it: values overshoot 0..255 a little, and clipping them would change FVD.
    """
    channels = [
        np.asarray(
            Image.fromarray(picture[..., channel].astype(np.float32)).resize(
                (side, side), Image.Resampling.BICUBIC
            )
        )
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)


def feature_key(metric: SetMetric, clip: Clip, protocol: Protocol, network: str) -> str:
    """The SHA-256 of everything that a clip's features depend on.

    network: digest of the network's weights.
    """
    made_of = {
        "metric": metric,
        "how": KINDS[metric].protocol,
        "clip": clip.digest,
        "size": protocol.size,
        "square": protocol.square,
        "windows": [protocol.length, protocol.stride] if metric != "fid" else None,
        "skip_first": protocol.skip_first,
        "network": network,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def features_of(
    metric: SetMetric,
    clip: Clip,
    protocol: Protocol,
    network: nn.Module,
    digest: str,
    store: FeatureStore,
    progress: Progress,
) -> NDArray[np.float32]:
    """The features `(n, d)` of a clip: of each frame for FID, else of each window.

    A video shorter than a window has none. digest: of the network's weights.
    """
    key = feature_key(metric, clip, protocol, digest)
    if key not in store:
        size = protocol.size or clip.size
        frames = (
            prepared(picture, protocol, size)
            for picture in islice(clip.read(), protocol.first, None)
        )
        told = f"{metric} of {clip.name}"
        if metric == "fid":
            found = list(_frame_features(frames, network, clip.frames, told, progress))
        else:
            found = list(
                _clip_features(
                    metric, frames, clip.frames, protocol, network, told, progress
                )
            )
        store[key] = np.concatenate(found) if found else np.empty((0, 0), np.float32)
    return store[key]


def _frame_features(
    frames: Iterable[Pixels], network: nn.Module, count: int, told: str, progress: Progress
) -> Iterator[NDArray[np.float32]]:
    done, source = 0, iter(frames)
    while batch := list(islice(source, _AT_ONCE)):
        pictures = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 255
        yield _run(network, pictures)
        done += len(batch)
        progress(told, done, count)


def _clip_features(
    metric: SetMetric,
    frames: Iterable[Pixels],
    count: int,
    protocol: Protocol,
    network: nn.Module,
    told: str,
    progress: Progress,
) -> Iterator[NDArray[np.float32]]:
    side = KINDS[metric].side or 0
    held: deque[NDArray[np.float32]] = deque(maxlen=protocol.length)
    count -= protocol.first
    ends = {w.stop for w in windows(count, protocol.length, protocol.stride)}
    done = 0
    for index, picture in enumerate(frames):
        held.append(squash(picture, side))
        if index + 1 not in ends:
            continue
        clip = torch.from_numpy(np.stack(held)).permute(3, 0, 1, 2)[None]  # (1, 3, t, h, w)
        yield _run(network, clip / 127.5 - 1 if metric == "fvd" else clip)
        done += 1
        progress(told, done, len(ends))


def _run(network: nn.Module, inputs: Tensor) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    with torch.inference_mode():
        answer: Tensor = network(inputs.to(device))
    return np.asarray(answer.cpu().numpy(), np.float32)
