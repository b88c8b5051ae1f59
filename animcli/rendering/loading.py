"""Networks from files of the weights store, strictly, and where they run.

A network takes all that fits, and nothing else. It is built without memory (on torch's meta
device) and takes the tensors of its file over, so that nothing is initialised only to be
overwritten. Also here: devices, precision, what to say when memory ends, and features of
single frames, worked out when they are first wanted, in bounded memory.
"""

import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from animcli.errors import DeviceError, WeightsError
from animcli.weights.inspect import Shapes, read_tensors

Precision = Literal["float32", "bfloat16", "float16"]

AtWork: TypeAlias = Callable[[nn.Module], AbstractContextManager[object]]
"""A stretch in which a network works, and is on the device."""

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def open_device(name: str) -> torch.device:
    """The device called `cuda`, `cuda:1`, `mps` or `cpu`.

    Raises DeviceError if this machine has none; there is no quiet fall back to another.
    """
    kind, _, number = name.partition(":")
    if kind == "cpu":
        return torch.device("cpu")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError(
                "no CUDA device here, or a torch without CUDA",
                "`anim doctor` says what is missing; --device cpu works everywhere",
            )
        if int(number or 0) >= count:
            raise DeviceError(f"no device {name}: there are {count}", "--device cuda:0")
        return torch.device(name)
    if kind == "mps" and torch.backends.mps.is_available():
        return torch.device("mps")
    raise DeviceError(f"no device {name} here", "--device cpu works everywhere")


def best_device() -> str:
    """The fastest kind of device that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def dtype_on(device: torch.device, precision: str) -> torch.dtype:
    """The dtype of a precision. Raises DeviceError where the device can't work in it."""
    if device.type == "cpu" and precision == "float16":
        raise DeviceError(
            "a processor has no arithmetic in float16", "--dtype bfloat16 or float32"
        )
    return DTYPES[precision]


@contextmanager
def enough_memory(doing: str, remedy: str) -> Iterator[None]:
    """Turn running out of memory in the block into a DeviceError with a remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(f"out of memory while {doing}", remedy) from error


def is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether an error of torch's is about memory; only CUDA's has a type of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def memory_of(device: torch.device) -> int | None:
    """Bytes that the device has in all; None where it shares the machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return None


@contextmanager
def visit(device: torch.device, network: nn.Module) -> Iterator[None]:
    """Have a network on the device, and afterwards in the machine's memory again."""
    network.to(device)
    try:
        yield
    finally:
        network.to("cpu")
        free_memory(device)


def check_compiler(device: torch.device) -> None:
    """Raise DeviceError where nothing can compile a network for the device."""
    if device.type == "cuda":
        found, wanted = find_spec("triton") is not None, "the package triton"
    else:
        names = (os.environ.get("CXX"), "g++", "clang++", "cl")
        found = any(shutil.which(name) for name in names if name)
        wanted = "a C++ compiler"
    if not found:
        raise DeviceError(
            f"compiling a network for {device.type} takes {wanted}, which isn't here",
            "--no-compiled renders without",
        )


def free_memory(device: torch.device) -> None:
    """Give back what no tensor uses any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


N = TypeVar("N", bound=nn.Module)


def load_network(
    build: Callable[[], N],
    files: Mapping[str, Path],
    device: torch.device,
    dtype: torch.dtype,
    unused: tuple[str, ...] = (),
    prefix: str = "",
) -> N:
    """What `build` builds, with the weights in `files`, ready for inference.

    files: where the tensors are whose names contain the key; the first that fits counts, so
        that an empty key at the end stands for all others.
    unused: how the names begin of what the files hold and the network doesn't want.
    prefix: how names begin in the files; the network may leave it out.

    Raises WeightsError, naming the file and what is missing, unexpected or mis-shaped.
    """
    with torch.device("meta"):
        network = build()
    stored = {
        name if name.startswith(prefix) else prefix + name: name
        for name in network.state_dict()
    }
    own, state = shapes_of_network(network), {}
    wanted = {there: own[here] for there, here in stored.items()}
    for part, shapes in split(wanted, files).items():
        read = partial(read_tensors, files[part], shapes, unused=unused)
        for name, tensor in placed(read, device, dtype).items():
            state[stored[name]] = tensor
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False)
    return network.eval()


def placed(
    read: Callable[[], dict[str, Tensor]], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """The tensors of a file, where and as a network wants them.

    Reading maps the file, and all of its pages that were looked at are in memory for as
    long as any tensor lies in them. So what has to be copied comes from a mapping of its
    own, which goes, and only what fits as it is stays in the file: otherwise a UNet's
    convolutions are there twice, 2.2 GB more.
    """
    copies = {}
    for name, tensor in read().items():
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        rows = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
        copy = tensor.to(device, kind, memory_format=rows)
        if copy is not tensor:
            copies[name] = copy
    return read() | copies


def shapes_of_network(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a network has to be given."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def split(
    shapes: Shapes, parts: Mapping[str, object]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """`shapes` by the first part whose key is in the name."""
    found: dict[str, dict[str, tuple[int, ...]]] = {part: {} for part in parts}
    for name, shape in shapes.items():
        found[next(part for part in parts if part in name)][name] = shape
    return found


def load_autoencoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The autoencoder in an entry of the store that diffusers' layout has."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    config = read_config(folder / "config.json")
    return load_network(
        lambda: AutoencoderKL.from_config(config),
        {"": folder / "diffusion_pytorch_model.safetensors"},
        device,
        dtype,
    )


def load_image_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """CLIP's network for pictures, with its projection."""
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

    config = CLIPVisionConfig.from_dict(read_config(folder / "config.json"))
    network = load_network(
        lambda: CLIPVisionModelWithProjection(config),
        {"": folder / "model.safetensors"},
        device,
        dtype,
    )
    embeddings = network.vision_model.embeddings  # its table of places is in no file
    places = torch.arange(embeddings.num_positions, device=device)[None]
    embeddings.register_buffer("position_ids", places, persistent=False)
    return network


def load_text_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """CLIP's network for text."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    config = CLIPTextConfig.from_dict(read_config(folder / "config.json"))
    network = load_network(
        lambda: CLIPTextModel(config),
        {"": folder / "model.safetensors"},
        device,
        dtype,
        prefix="text_model.",  # which transformers 5 leaves out
    )
    embeddings = network.get_submodule(
        "embeddings" if hasattr(network, "embeddings") else "text_model.embeddings"
    )  # its table of places is in no file
    places = torch.arange(config.max_position_embeddings, device=device)[None]
    embeddings.register_buffer("position_ids", places, persistent=False)
    return network


def read_config(path: Path) -> dict[str, object]:
    """A network's settings as published beside it."""
    try:
        config: dict[str, object] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} can't be read: {error}", "get it again") from error
    return config


BUDGET: Final = 1 << 30
"""Bytes of host memory. At 512 by 784 pixels in float32, 1 GiB is the pose features of 133
frames; those of longer clips are worked out again in each step, for 2 % of its time."""


class FrameFeatures:
    """Frame -> features, remembered for as many frames as the budget holds.

    Each frame is worked out by itself, so that what is remembered never changes a bit.
    """

    def __init__(self, work_out: Callable[[int], Tensor], budget: int = BUDGET) -> None:
        self._work_out = work_out
        self._budget = budget
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

    def stack(self, frames: Iterable[int]) -> Tensor:
        """The features of `frames`, in a new first dimension."""
        return torch.stack([self._of(frame) for frame in frames])

    def _of(self, frame: int) -> Tensor:
        if frame in self._kept:
            self._kept.move_to_end(frame)
            return self._kept[frame]
        features = self._work_out(frame)
        self._kept[frame] = features
        size = features.numel() * features.element_size()
        while len(self._kept) * size > self._budget:
            self._kept.popitem(last=False)
        return features
