"""Networks from files of the weights store, strictly, and where they run.

A network takes all that fits, and nothing else. It is built without memory (on torch's meta
device) and takes the tensors of its file over, so that nothing is initialised only to be
overwritten. Also here: devices, precision, and what to say when memory ends.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from animcli.errors import DeviceError, WeightsError
from animcli.rendering.kept import kept_tensors
from animcli.weights.inspect import Shapes, not_weights, read_tensors
from animcli.weights.lora import Change, Lora, LoraPart, changes_for, merged

Precision = Literal["auto", "float32", "bfloat16", "float16"]

OnDevice: TypeAlias = Callable[[nn.Module], AbstractContextManager[object]]
"""A stretch in which a network works, and is on the device."""

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

USABLE: Final = 0.8
"""Share of what is free that is planned with; the rest is for libraries and gaps."""

AMPERE: Final = (8, 0)
"""Compute capability of the first cards with arithmetic in bfloat16."""

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"

OUT_OF_MEMORY: Final = (
    "out of memory",
    "can't allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "unable to find an engine",
)
"""Parts of what torch says when memory ends, in small letters: only the allocator's error
has a type of its own, and libraries find no room for their workspace either."""


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
                "no CUDA device here, or a torch without CUDA"
                if VISIBLE not in os.environ
                else f"no CUDA device is left by {VISIBLE}={os.environ[VISIBLE]}",
                "`anim doctor` says what is missing; --device cpu works everywhere",
            )
        if int(number or 0) >= count:
            raise DeviceError(f"no device {name}: there are {count}", "--device cuda:0")
        device = torch.device(name)
        if number:  # or pinned memory and streams would take room on the first card, too
            torch.cuda.set_device(device)
        return device
    if kind == "mps" and torch.backends.mps.is_available():
        return torch.device("mps")
    raise DeviceError(f"no device {name} here", "--device cpu works everywhere")


def best_device() -> str:
    """The fastest kind of device that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def dtype_on(device: torch.device, precision: str) -> torch.dtype:
    """The dtype of a precision, `auto` among them, on a device.

    Raises DeviceError where the device can't work in it: a CPU in float16, a card
    before Ampere in bfloat16, which it only emulates, with attention that needs gigabytes.
    """
    if device.type == "cpu" and precision == "float16":
        raise DeviceError(
            "float16 isn't supported on the CPU", "--dtype bfloat16 or float32"
        )
    if device.type == "cuda" and precision == "bfloat16":
        major, minor = torch.cuda.get_device_capability(device)
        if (major, minor) < AMPERE:
            raise DeviceError(
                f"this card (compute capability {major}.{minor}) has no arithmetic in "
                "bfloat16",
                "--dtype float16, or auto",
            )
    return dtype_for(device.type, precision)


def dtype_for(kind: str, precision: str) -> torch.dtype:
    """The dtype of a precision on a kind of device, such as `cuda` or `cuda:1`.

    `auto` is float16 on CUDA and MPS, as all published systems run, and float32 on a
    CPU, which has no arithmetic in float16.
    """
    if precision == "auto":
        return torch.float32 if kind == "cpu" else torch.float16
    return DTYPES[precision]


def vae_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The dtype of an autoencoder beside networks in `dtype`: never bfloat16.

    Its 8 bits of fraction alone move one pixel in twelve by a shade.
    """
    if dtype == torch.bfloat16:
        return torch.float32 if device.type == "cpu" else torch.float16
    return dtype


def use_tensor_cores(device: torch.device, dtype: torch.dtype) -> None:
    """Let a CUDA device multiply float32 matrices in TF32, twice to eight times as fast,
    where that is asked for; in no other render of the same process.
    """
    wanted = device.type == "cuda" and dtype == torch.float32
    torch.set_float32_matmul_precision("high" if wanted else "highest")


def memory_remedy(device: torch.device, dtype: torch.dtype) -> str:
    """Settings that need less memory than those of a render, on its device."""
    if device.type == "cpu":
        return (
            "a smaller --window or --size, or --dtype bfloat16, needs less memory"
            if dtype == torch.float32
            else "a smaller --window or --size needs less memory"
        )
    half = "--dtype float16, " if dtype == torch.float32 else ""
    return (
        f"a smaller --window or --size, {half}--cfg-batch off or --offload networks needs "
        "less memory"
    )


def pinned(tensor: Tensor) -> Tensor:
    """A tensor in host memory that a GPU reads by itself, as long as there is such."""
    if tensor.is_pinned():
        return tensor
    try:
        return tensor.pin_memory()
    except RuntimeError as error:  # WSL and containers give little of it
        if not is_out_of_memory(error):
            raise
        return tensor


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
    """Tell if an error of torch's is about memory; only CUDA's has a type of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(part in str(error).lower() for part in OUT_OF_MEMORY)


def free_on(device: torch.device) -> int | None:
    """Bytes that this process can still have on the device; None where it shares the
    machine's memory. Other programs' are not among them.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return 1 << 62 if device.type == "meta" else None  # where nothing takes any


@contextmanager
def on_device(device: torch.device, network: nn.Module) -> Iterator[None]:
    """Have copies of a network's weights on the device while it works.

    Those in the machine's memory stay, pinned after the first visit, so that nothing is
    copied back. What the copies took is kept for the next visitor.
    """
    home = network.state_dict()
    if device.type == "cuda":
        home = {name: pinned(x) for name, x in home.items()}
    away = {name: x.to(device, non_blocking=True) for name, x in home.items()}
    network.load_state_dict(away, assign=True)
    del away
    try:
        yield
    finally:
        network.load_state_dict(home, assign=True)


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


_N = TypeVar("_N", bound=nn.Module)

NO_CHANGES: Final[Mapping[str, Sequence[Change]]] = {}


def load_network(
    build: Callable[[], _N],
    files: Mapping[str, Path],
    device: torch.device,
    dtype: torch.dtype,
    unused: tuple[str, ...] = (),
    prefix: str = "",
    loras: Sequence[Lora] = (),
    part: LoraPart = "unet",
) -> _N:
    """Build a network with the weights in `files`, ready for inference.

    files: where the tensors are whose names contain the key; the first that fits counts, so
        that an empty key at the end stands for all others.
    unused: how the names begin of what the files hold and the network doesn't want.
    prefix: how names begin in the files; the network may leave it out.
    loras: added to the weights in float32, before these are brought to `dtype`.
    part: which of the networks in them this one is.

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
    changes = changes_for(loras, part, wanted)
    for file, shapes in split_shapes(wanted, files).items():
        read = partial(read_tensors, files[file], shapes, unused=unused)
        tensors = kept_tensors(
            files[file],
            device,
            dtype,
            f"{sorted(shapes.items())} {unused} {[lora.state for lora in loras]}",
            partial(placed, read, device, dtype, changes),
            user=network,
        )
        for name, tensor in tensors.items():
            state[stored[name]] = tensor
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False)
    return network.eval()


def placed(
    read: Callable[[], dict[str, Tensor]],
    device: torch.device,
    dtype: torch.dtype,
    changes: Mapping[str, Sequence[Change]] = NO_CHANGES,
) -> dict[str, Tensor]:
    """The tensors of a file, where and as a network wants them.

    changes: added to some of them.

    Reading maps the file, and all of its pages that were looked at are in memory for as
    long as any tensor lies in them. So what has to be copied comes from a mapping of its
    own, which goes, and only what fits as it is stays in the file: otherwise a UNet's
    convolutions are there twice, 2.2 GB more.
    """
    copies = {}
    for name, tensor in read().items():
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        rows = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
        whole = merged(tensor, changes.get(name, ()))
        copy = whole.to(device, kind, memory_format=rows)
        if copy is not tensor:
            copies[name] = copy
    return read() | copies


def shapes_of_network(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a network has to be given."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def split_shapes(
    shapes: Shapes, parts: Mapping[str, object]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """`shapes` by the first part whose key is in the name."""
    found: dict[str, dict[str, tuple[int, ...]]] = {part: {} for part in parts}
    for name, shape in shapes.items():
        found[next(part for part in parts if part in name)][name] = shape
    return found


def build_autoencoder(config: Mapping[str, object]) -> nn.Module:
    """An AutoencoderKL by its configuration."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    network: nn.Module = AutoencoderKL.from_config(config)
    return network


def load_autoencoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The autoencoder in an entry of the store that diffusers' layout has."""
    config = read_config(folder / "config.json")
    return load_network(
        lambda: build_autoencoder(config),
        {"": folder / "diffusion_pytorch_model.safetensors"},
        device,
        dtype,
    )


def build_image_encoder(config: Mapping[str, object]) -> nn.Module:
    """CLIP's network for pictures, with its projection, by its configuration."""
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config)))


def load_image_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """CLIP's network for pictures, with its projection."""
    config = read_config(folder / "config.json")
    network = load_network(
        lambda: build_image_encoder(config),
        {"": folder / "model.safetensors"},
        device,
        dtype,
    )
    _number_places(network.get_submodule("vision_model.embeddings"), device)
    return network


CLIP_TOKENS: Final = 77
"""Tokens that CLIP reads at once, a start and an end among them."""

TEXT_PREFIX: Final = "text_model."
"""Beginning of each name in a published text encoder; transformers 5 leaves it out."""


def build_text_encoder(config: Mapping[str, object]) -> nn.Module:
    """CLIP's network for text, by its configuration."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    return CLIPTextModel(CLIPTextConfig.from_dict(dict(config)))


def load_text_encoder(
    folder: Path, device: torch.device, dtype: torch.dtype, loras: Sequence[Lora] = ()
) -> nn.Module:
    """CLIP's network for text."""
    config = read_config(folder / "config.json")
    network = load_network(
        lambda: build_text_encoder(config),
        {"": folder / "model.safetensors"},
        device,
        dtype,
        prefix=TEXT_PREFIX,
        loras=loras,
        part="text",
    )
    inside = "embeddings" if hasattr(network, "embeddings") else "text_model.embeddings"
    _number_places(network.get_submodule(inside), device)
    return network


def _number_places(embeddings: nn.Module, device: torch.device) -> None:
    """Give CLIP's embeddings the numbers of their places, which are in no file."""
    table = embeddings.get_parameter("position_embedding.weight")
    places = torch.arange(len(table), device=device)[None]
    embeddings.register_buffer("position_ids", places, persistent=False)


def read_config(path: Path) -> dict[str, object]:
    """A network's settings as published beside it."""
    try:
        config: object = json.loads(path.read_bytes())
        if not isinstance(config, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        what = f"{path} can't be read: {error}"
        if path.is_file() and (kind := not_weights(path)) is not None:
            what = f"{path} is {kind}"
        raise WeightsError(what, "get it again") from error
    return config
