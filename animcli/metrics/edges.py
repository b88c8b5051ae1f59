"""Connection of metrics to the rest: networks from the weights store, video files.

Everything else in this package works on arrays.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, cast

import torch
from torch import nn

from animcli.errors import InputError
from animcli.metrics.against_truth import NetworkName
from animcli.metrics.clips import Clip
from animcli.metrics.networks.face import FaceEmbedding
from animcli.metrics.networks.inception import FIDInception
from animcli.metrics.networks.lpips import LPIPS
from animcli.metrics.networks.video import I3D, ResNet3D
from animcli.metrics.pixels import Pixels
from animcli.video.reader import Reader, open_footage
from animcli.weights.inspect import Shapes, read_tensors, sha256_of


@dataclass(frozen=True)
class _Part:
    """A part of a network that has a file of its own; `inside` is empty for all of it."""

    entry: str
    file: str
    inside: str = ""


_PARTS: Final[Mapping[str, tuple[Callable[[], nn.Module], tuple[_Part, ...]]]] = {
    "lpips_vgg": (
        lambda: LPIPS("vgg"),
        (
            _Part("vgg16", "features.safetensors", "trunk"),
            _Part("lpips-heads", "vgg.safetensors", "heads"),
        ),
    ),
    "lpips_alex": (
        lambda: LPIPS("alex"),
        (
            _Part("alexnet", "features.safetensors", "trunk"),
            _Part("lpips-heads", "alex.safetensors", "heads"),
        ),
    ),
    "fid": (FIDInception, (_Part("fid-inception", "inception.safetensors"),)),
    "fid_vid": (ResNet3D, (_Part("fid-vid-resnet3d", "resnet3d.safetensors"),)),
    "fvd": (I3D, (_Part("fvd-i3d", "i3d.safetensors"),)),
    "dlib-face": (FaceEmbedding, (_Part("dlib-face", "resnet.safetensors"),)),
}


def expected_tensors(entry: str) -> dict[str, Shapes]:
    """For each file of a weights entry, what the network wants of it."""
    expected: dict[str, Shapes] = {}
    for build, parts in _PARTS.values():
        for part in parts:
            if part.entry == entry:
                with torch.device("meta"):
                    expected[part.file] = _shapes(build().get_submodule(part.inside))
    return expected


class Weights(Protocol):
    """The part of a weights store that networks are loaded from."""

    def path(self, name: str) -> Path:
        """The folder of an entry. Raises WeightsError if it's absent."""

    def digests(self, name: str) -> Mapping[str, str]:
        """The SHA-256 of each file of an entry. Raises WeightsError if it's absent."""


class StoredNetworks:
    """Networks from the weights store, each loaded when it is first asked for."""

    def __init__(self, store: Weights, device: str = "cpu") -> None:
        self._store, self._device = store, device
        self._loaded: dict[str, nn.Module] = {}

    def network(self, name: NetworkName) -> nn.Module:
        """The network, ready for inference. Raises WeightsError if it's absent."""
        return self._load(name)

    def digest(self, name: NetworkName) -> str:
        """The digests of its weights."""
        return " ".join(
            self._store.digests(part.entry)[part.file] for part in _PARTS[name][1]
        )

    def faces(self) -> FaceEmbedding:
        """dlib's face embedding. Raises WeightsError if it's absent."""
        return cast(FaceEmbedding, self._load("dlib-face"))

    def sface(self) -> Path:
        """The file of OpenCV's SFace. Raises WeightsError if it's absent."""
        return self._store.path("sface") / "face_recognition_sface_2021dec.onnx"

    def _load(self, name: str) -> nn.Module:
        if name not in self._loaded:
            build, parts = _PARTS[name]
            folders = [self._store.path(part.entry) for part in parts]
            network = build()
            for part, folder in zip(parts, folders, strict=True):
                inside = network.get_submodule(part.inside)
                path = folder / part.file
                inside.load_state_dict(read_tensors(path, _shapes(inside)))
            self._loaded[name] = network.eval().requires_grad_(False).to(self._device)
        return self._loaded[name]


def open_clip(
    path: Path,
    name: str = "",
    opened: Callable[[Path], Reader] = open_footage,
    origin: Literal["cache", "file"] = "file",
) -> Clip:
    """A video, animation or folder of pictures as a clip.

    name: what people know it by, the file's own if none is given. opened: how it is opened
    for reading. origin: whether these are the lossless frames of a cache.

    It is read through once, to count its frames: what a file says of their number may be
    wrong. Raises InputError for what can't be read.
    """

    def read() -> Iterator[Pixels]:
        with opened(path) as reader:
            for frame in reader.frames():
                yield frame.picture

    with opened(path) as reader:
        info = reader.info
        frames = sum(1 for _ in reader.frames())
    if not frames:
        raise InputError(f"{path} has no frames")
    return Clip(
        name=name or path.name,
        frames=frames,
        size=(info.width, info.height),
        rate=info.rate if info.even else None,
        read=read,
        digest=_digest(path),
        origin=origin,
    )


def _digest(path: Path) -> str:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        return " ".join(f"{file.name}:{sha256_of(file)}" for file in files)
    return sha256_of(path)


def _shapes(network: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}
