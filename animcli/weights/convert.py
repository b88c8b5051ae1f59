"""From the names that a published file gives its tensors to the names that networks use.

Networks here name their parts as the published checkpoints do, so most names stay. What
differs between the public variants of one file stands in one table per system, below.

Many files are pickles, and a pickle is a program. Torch's restricted reader runs none of it
but the rebuilding of tensors. It doesn't stop a small file from claiming to be a huge one;
that is checked here.
"""

import pickle
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from animcli.errors import WeightsError
from animcli.networks.reference_net import unused_keys
from animcli.networks.unet_blocks import UNetConfig
from animcli.weights.dlib_file import read_dlib
from animcli.weights.inspect import Shapes, check_shapes, not_weights, shapes_of

GARBLED = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    AssertionError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
)
"""Errors of torch's reader and of Python's on bytes that aren't what they take them for."""

UNSAFE = re.compile(r"GLOBAL ([\w.]+)")
"""Name of what torch's reader refused; for old files, which it can't list."""

ELSEWHERE = "get these weights as .safetensors, or from their published source"

WRAPPINGS = ("ema", "state_dict", "model")
"""Keys under which a training run's file keeps its tensors, the best first."""


BOOKKEEPING = re.compile(
    r"argparse\.Namespace"  # its command line
    r"|numpy(\._?core\.multiarray\.scalar|\.dtype|\.dtypes\.\w+)"  # its counters, losses
)
"""Contents of training files beside their tensors: callbacks, settings, counters."""


class Passed:
    """Stands for an object of a training run's bookkeeping; takes anything, is nothing."""

    def __init__(self, *given: object, **named: object) -> None:
        """Nothing is kept of what is given."""

    def __new__(cls, *given: object, **named: object) -> "Passed":
        """Nothing is made of it either."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Nothing is set."""


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickle by name, taken out of a training run's wrapping.

    They stay on the disk until they are used, where the file's format allows it. Objects of
    a training run's bookkeeping beside its `state_dict` are passed over: none is made.
    Raises WeightsError for code, for tensors larger than their data, for anything else.
    """
    foreign: list[str] = []
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _refuse_inflation(path)
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            _refuse_code(path, [x for x in foreign if not BOOKKEEPING.fullmatch(x)])
        passed = torch.serialization.safe_globals([(Passed, name) for name in foreign])
        with warnings.catch_warnings(), passed:
            warnings.simplefilter("ignore")  # about what is refused below anyway
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except GARBLED as error:
        _refuse_code(path, UNSAFE.findall(str(error)))
        raise WeightsError(f"{path} is damaged, or holds no weights", ELSEWHERE) from error
    tensors = _tensors(path, content)
    _refuse_claims(path, tensors)
    return tensors


def _refuse_inflation(path: Path) -> None:
    """Torch stores without compressing; what is larger inside than outside is a trap."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    inside = sum(member.file_size for member in members)
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or inside > path.stat().st_size:
        raise WeightsError(
            f"{path} unpacks to {inside:,} bytes from {path.stat().st_size:,}, which no "
            "file of weights does",
            ELSEWHERE,
        )


def _refuse_code(path: Path, names: list[str]) -> None:
    if names:
        raise WeightsError(
            f"{path} would run code when read ({', '.join(sorted(names))}); refused",
            ELSEWHERE,
        )


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    for wrapping in WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(wrapping), dict):
            content = content[wrapping]
            break
    if not isinstance(content, dict) or not content:
        kind = type(content).__name__
        raise WeightsError(f"{path} holds no tensors by name, but a {kind}", ELSEWHERE)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise WeightsError(f"{path} holds a {kind} as {name!r}", ELSEWHERE)
    return content


def _refuse_claims(path: Path, tensors: dict[str, Tensor]) -> None:
    """A tensor that repeats its data, or has none, can claim any size."""
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        claimed = tensor.numel() * tensor.element_size()
        if not plain or claimed > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"{path}: {name} claims {tensor.numel():,} values that aren't in the file",
                ELSEWHERE,
            )
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > 2 * path.stat().st_size:  # some share a tensor; none are all the same one
        raise WeightsError(
            f"{path} claims {total:,} bytes of tensors in {path.stat().st_size:,}",
            ELSEWHERE,
        )


TRAINING_PREFIX: Final = re.compile(r"^(?:.*\.)?module\.")
"""Prefix that a distributed training run puts before its names."""

UNET_PREFIX: Final = re.compile(r"^unet\.")


@dataclass(frozen=True)
class Naming:
    """Names that the tensors of one kind of file may have.

    renames: (pattern, replacement), applied to each name in turn.
    copies: (pattern, replacement); a tensor that fits is kept under both names.
    only: names without this are of another file and left out.
    without: names with one of these are of another file, or of layers that nothing here
        looks through, and left out.
    unused: names that end so are constants that no network here stores.
    """

    renames: tuple[tuple[str, str], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    only: str = ""
    without: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


_MODULE = r"(motion_modules\.\d+\.)"
_BLOCK = r"(motion_modules\.\d+\.temporal_transformer\.transformer_blocks\.\d+\.)"

MOTION: Final = Naming(
    renames=(
        (_MODULE + r"(?!temporal_transformer\.)", r"\1temporal_transformer."),
        (_BLOCK + r"pos_embed\.pe$", r"\1attention_blocks.0.pos_encoder.pe"),
        (_BLOCK + r"attn1\.", r"\1attention_blocks.0."),
        (_BLOCK + r"attn2\.", r"\1attention_blocks.1."),
        (_BLOCK + r"norm1\.", r"\1norms.0."),
        (_BLOCK + r"norm2\.", r"\1norms.1."),
        (_BLOCK + r"norm3\.", r"\1ff_norm."),
    ),
    copies=(
        (_BLOCK + r"attention_blocks\.0\.pos_encoder\.pe$",
         r"\1attention_blocks.1.pos_encoder.pe"),
    ),
)  # fmt: skip
"""Motion modules of Animate Anyone and MagicAnimate. They are published as AnimateDiff's
authors named them; diffusers has names of its own, and one positional table for both."""

_OLD_ATTENTION = r"(mid_block\.attentions\.\d+\.)"

NAMINGS: Final[Mapping[str, Naming]] = {
    "spatial": Naming(),
    # A fine-tune's denoising network may be saved with its motion modules, whose file is
    # another one; upstream passes over them as well.
    "spatial-only": Naming(without=("motion_modules.",)),
    # A reference network is published as a whole UNet, and trained without its last layers.
    "reference": Naming(without=unused_keys(UNetConfig())),
    "motion": MOTION,
    # MagicAnimate's file may hold the rest of the training run's network as well.
    "motion-only": Naming(MOTION.renames, MOTION.copies, only="motion_modules."),
    "cinemo": Naming(unused=("rotary_emb.freqs",)),
    "vae": Naming(
        renames=(
            (_OLD_ATTENTION + r"query\.", r"\1to_q."),
            (_OLD_ATTENTION + r"key\.", r"\1to_k."),
            (_OLD_ATTENTION + r"value\.", r"\1to_v."),
            (_OLD_ATTENTION + r"proj_attn\.", r"\1to_out.0."),
        )
    ),
    "clip": Naming(unused=("embeddings.position_ids",)),
    # Of what metrics are computed with, only what they read is kept.
    "published": Naming(),
    "features": Naming(only="features."),
    "no-classifier": Naming(unused=("fc.weight", "fc.bias")),
}


def new_names(path: Path, names: Iterable[str], naming: Naming) -> dict[str, str]:
    """The name here of every tensor wanted -> its name in the file.

    Raises WeightsError where two tensors of the file come to the same name.
    """
    new: dict[str, str] = {}
    for name in names:
        short = UNET_PREFIX.sub("", TRAINING_PREFIX.sub("", name))
        if naming.only not in short or short.endswith(naming.unused):
            continue
        if any(part in short for part in naming.without):
            continue
        for pattern, replacement in naming.renames:
            short = re.sub(pattern, replacement, short)
        if short in new:
            raise WeightsError(
                f"{path} holds both {new[short]} and {name}, which are the same tensor",
                "one of the two files that were joined in it is enough",
            )
        new[short] = name
    for pattern, replacement in naming.copies:
        for short, name in list(new.items()):
            if re.search(pattern, short):
                new.setdefault(re.sub(pattern, replacement, short), name)
    return new


def to_safetensors(
    source: Path,
    target: Path,
    naming: Naming,
    expected: Shapes | None = None,
    *,
    half: bool = False,
) -> bool:
    """Write the tensors of a published file, of whatever kind, under the names used here.

    expected: what the network says that it needs; anything else is refused.
    half: bring them to float16.

    Returns False, and writes nothing, for a safetensors file that is right as it is.
    """
    if source.suffix == ".safetensors":
        found = shapes_of(source)
        names = new_names(source, found, naming)
        _check(source, {new: found[old] for new, old in names.items()}, expected)
        kept = list(names) == list(found) and all(a == b for a, b in names.items())
        if kept and not half:
            return False
        _save(source, dict(_read(source, names)), target, half=half)
        return True
    if source.suffix == ".dat":
        tensors = read_dlib(source)
    elif _is_pickle(source):
        tensors = read_pickle(source)
    else:
        what = not_weights(source) or "no file of weights"
        raise WeightsError(f"{source} is {what}", "get it from its published source")
    names = new_names(source, tensors, naming)
    _check(source, {new: tuple(tensors[old].shape) for new, old in names.items()}, expected)
    _save(source, {new: tensors[old] for new, old in names.items()}, target, half=half)
    return True


def _check(source: Path, found: Shapes, expected: Shapes | None) -> None:
    if not found:
        raise WeightsError(f"{source} holds no tensors of this kind", "is it another file?")
    if expected is not None:
        check_shapes(source, found, expected)


def _read(source: Path, names: Mapping[str, str]) -> Iterable[tuple[str, Tensor]]:
    try:
        with safe_open(source, framework="pt") as file:
            for new, old in names.items():
                yield new, file.get_tensor(old)
    except SafetensorError as error:
        raise WeightsError(f"{source} is damaged: {error}", "get it again") from error


def _save(source: Path, tensors: dict[str, Tensor], target: Path, *, half: bool) -> None:
    """Write tensors, each with its own memory: safetensors refuses shared ones."""
    if half:
        tensors = {name: _halved(source, name, x) for name, x in tensors.items()}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
        if storage in seen or not whole or not tensor.is_contiguous():
            tensors[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
        seen.add(storage)
    target.touch()
    mode = stat.S_IMODE(target.stat().st_mode)  # as the user's umask has it
    save_file(tensors, target, metadata={"format": "pt"})
    target.chmod(mode)  # the library lets nobody else read what it writes


def _halved(source: Path, name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not torch.isfinite(half).all():
        raise WeightsError(
            f"{source}: {name} has numbers beyond float16", "leave --half out"
        )
    return half


def _is_pickle(path: Path) -> bool:
    """A zip archive, as torch writes since 1.6, or a bare pickle, as it did before."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02")
