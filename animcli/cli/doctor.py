"""`anim doctor`: what works on this machine, and what to do about the rest.

Each check tries the thing itself: an ONNX provider is asked for and what came is compared,
a file is written to the cache, a model is loaded.
"""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import animcli
from animcli.cli.cache import megabytes
from animcli.cli.plan import Command, Context, Report
from animcli.errors import DeviceError, WeightsError


def doctor() -> Command:
    """Check what works on this machine, and say what to do about the rest."""
    from animcli.cli.plan import Action

    return Action(examine)


LIBRARIES: Final = (
    "torch", "diffusers", "transformers", "av", "numpy", "opencv-python-headless",
    "ai-edge-litert", "pose-format",
)  # fmt: skip
CUDA_BUILDS: Final = "https://download.pytorch.org/whl/cu128"
CUDA_BUILDS_FOR_OLD_CARDS: Final = "https://download.pytorch.org/whl/cu126"
"""PyTorch's own index of builds for CUDA. The package index has one for CPUs on Windows; of
those for CUDA, 12.6's still has kernels for cards before Turing."""

LITTLE_ROOM: Final = 2_000_000_000
"""Bytes. A minute of lossless frames at 512x768 takes about half of it."""


class CheckState(str, Enum):
    """Outcome of a check."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Check:
    """Result of a check. advice: what to do, where it isn't ok."""

    name: str
    state: CheckState
    fact: str
    advice: str = ""


def examine(context: Context) -> Report:
    """Run every check; the exit code is 0 unless something needed is broken."""
    checks: tuple[Callable[[Context], Iterator[Check]], ...] = (
        versions, device, onnx, litert, encoders, weights, disk_space,
    )  # fmt: skip
    findings = [finding for check in checks for finding in check(context)]
    lines = []
    for finding in findings:
        lines.append(f"{finding.state.value:<5} {finding.name:<13} {finding.fact}")
        if finding.advice:
            lines.append(f"{'':<19} -> {finding.advice}")
    broken = any(finding.state is CheckState.BAD for finding in findings)
    names = [finding.name for finding in findings]
    data = tuple(
        {"id": finding_id(finding, names), **asdict(finding)} for finding in findings
    )
    return Report(tuple(lines), data, DeviceError.exit_code if broken else 0)


def finding_id(finding: Check, names: list[str]) -> str:
    """Identifier of a check: its name, and what it is about where several have that."""
    if names.count(finding.name) == 1:
        return finding.name
    about = re.sub(r"\W+", "-", finding.fact.split(" ")[0]).strip("-")
    return f"{finding.name}/{about}"


def versions(context: Context) -> Iterator[Check]:
    """animcli, Python, and the libraries that decide about bits."""
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    old = sys.version_info < (3, 10)
    yield Check("animcli", CheckState.OK, animcli.__version__)
    yield Check("python", CheckState.BAD if old else CheckState.OK, python)
    found = {name: _version(name) for name in LIBRARIES}
    here = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    absent = [name for name, number in found.items() if not number]
    yield Check("libraries", CheckState.OK, here)
    if absent:
        fact = f"not installed: {', '.join(absent)}"
        yield Check("libraries", CheckState.BAD, fact, f"pip install {' '.join(absent)}")


def device(context: Context) -> Iterator[Check]:
    """Device that torch runs on."""
    try:
        import torch
    except ImportError as error:
        yield Check(
            "device", CheckState.WARN, f"torch can't be loaded: {error}", "cutout works"
        )
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield card(number)
    elif torch.backends.mps.is_available():
        yield Check("device", CheckState.OK, "mps")
    else:
        fact = f"cpu, {torch.get_num_threads()} threads; no CUDA device"
        advice = "cutout renders in seconds here; diffusion takes minutes for each frame"
        if torch.version.cuda is None and shutil.which("nvidia-smi"):
            fact = (
                f"there is an NVIDIA driver, but torch {torch.__version__} is built for cpu"
            )
            advice = f"pip install --force-reinstall torch --index-url {CUDA_BUILDS}"
        yield Check("device", CheckState.WARN, fact, advice)


def card(number: int) -> Check:
    """A CUDA device, and whether this torch has kernels for it."""
    import torch

    about = torch.cuda.get_device_properties(number)
    fact = f"cuda:{number}: {about.name}, {megabytes(about.total_memory).strip()}"
    mine = about.major * 10 + about.minor
    # Kernels run on later cards of the same generation, and PTX on all later ones.
    made_for = [name.partition("_")[::2] for name in torch.cuda.get_arch_list()]
    runs = any(
        int(re.sub(r"\D", "", arch) or 0) <= mine
        and (kind == "compute" or int(re.sub(r"\D", "", arch)) // 10 == about.major)
        for kind, arch in made_for
    )
    if runs:
        return Check("device", CheckState.OK, fact)
    fact += f"; torch {torch.__version__} has no kernels for compute capability {mine / 10}"
    advice = f"pip install --force-reinstall torch --index-url {CUDA_BUILDS_FOR_OLD_CARDS}"
    return Check("device", CheckState.BAD, fact, advice)


def onnx(context: Context) -> Iterator[Check]:
    """The provider that ONNX Runtime really uses: it falls back without a word."""
    try:
        import onnxruntime

        from animcli.pose.detectors.onnx import provider_for
    except ImportError:
        yield Check(
            "onnx",
            CheckState.WARN,
            "ONNX Runtime isn't installed",
            "pip install 'animcli[cpu]'",
        )
        return
    wish = "CUDAExecutionProvider" if _has_cuda() else "CPUExecutionProvider"
    got = provider_for(wish)
    fact = f"{got} (ONNX Runtime {onnxruntime.__version__})"
    if got == wish:
        yield Check("onnx", CheckState.OK, fact)
    else:
        here = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        advice = (
            "pip install 'onnxruntime-gpu[cuda,cudnn]' brings the libraries that it wants"
            if here
            else "pip uninstall onnxruntime, then pip install 'animcli[gpu]'"
        )
        yield Check("onnx", CheckState.WARN, f"{fact}, though {wish} was asked for", advice)


def litert(context: Context) -> Iterator[Check]:
    """LiteRT, and the pose models in it."""
    try:
        from animcli.pose.detectors.blazepose.tracker import BlazePose
    except ImportError as error:
        fact = f"LiteRT can't be loaded: {error}"
        yield Check("litert", CheckState.BAD, fact, "pip install ai-edge-litert")
        return
    if not context.weights.has("blazepose"):
        yield Check("litert", CheckState.OK, "loads")
        return
    try:
        BlazePose(context.weights.path("blazepose"))
    except WeightsError as error:
        yield Check("litert", CheckState.BAD, error.message, error.hint)
    else:
        yield Check("litert", CheckState.OK, "loads, and the pose models with it")


def encoders(context: Context) -> Iterator[Check]:
    """Codecs that videos can be encoded with."""
    from animcli.video.codecs import available_encoders

    found = available_encoders()
    here = [codec.value for codec, there in found.items() if there]
    absent = [codec.value for codec, there in found.items() if not there]
    yield Check("encoders", CheckState.OK, ", ".join(here))
    if absent:
        state = CheckState.BAD if "h264" in absent else CheckState.WARN
        fact = f"not in this build of FFmpeg: {', '.join(absent)}"
        yield Check("encoders", state, fact, "pip install --force-reinstall av")


def weights(context: Context) -> Iterator[Check]:
    """Model files that are here."""
    for name, entry in context.weights.catalog.items():
        if context.weights.has(name):
            yield Check(
                "weights", CheckState.OK, f"{name} is here, {entry.licence} ({entry.terms})"
            )
        else:
            fact = f"{name} isn't here ({megabytes(entry.bytes).strip()}): {entry.about}"
            when = " (or by itself, on first use)" if entry.on_first_use else ""
            yield Check("weights", CheckState.WARN, fact, f"anim weights pull {name}{when}")


def disk_space(context: Context) -> Iterator[Check]:
    """Cache and weights: can they be written, and how much fits?"""
    for name, folder in (
        ("cache", context.project.cache),
        ("weights", context.weights.root),
    ):
        above = next(each for each in (folder, *folder.parents) if each.is_dir())
        reason = _unwritable(above)
        free = shutil.disk_usage(above).free
        fact = f"{folder}: {megabytes(free).strip()} free"
        if reason:
            variable = "--cache-dir" if name == "cache" else "ANIM_WEIGHTS"
            advice = f"choose another place with {variable}"
            yield Check(
                name, CheckState.BAD, f"{folder} can't be written: {reason}", advice
            )
        elif free < LITTLE_ROOM:
            yield Check(name, CheckState.WARN, fact, "`anim cache clear` makes room")
        else:
            yield Check(name, CheckState.OK, fact)


def _unwritable(folder: Path) -> str:
    """Reason that nothing can be written there, or nothing."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"anim")
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()
