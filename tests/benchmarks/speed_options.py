"""What each way to render faster does, on one CPU, in one run.

    python tests/benchmarks/speed_options.py [STEPS]

Networks of a few thousand random weights go through the whole renderer. For each option:
operations of denoising and decoding, calls of the large network, bytes copied to a device
and back (one that is pretended: see `builders.far_device`), and CPU time; all but the last
column exact, and each also as a share of the plain render's. Small networks spend much of
their time outside of arithmetic, so that time falls less than operations.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders.far_device import COPIES, FAR, FarTensor, two_devices
from builders.tiny_systems import clip_of, draw, noise, system

from animcli.networks.unet import MotionUNet, UNet
from animcli.rendering import cinemo, pipeline

FRAMES = {"animate-anyone": 14, "magic-animate": 14, "cinemo": 11}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "animate-anyone": {
        "plain": {},
        "both halves in one call": {"cfg_batch": "on"},
        "deep features, every 2nd step": {"deep_interval": 2, "deep_branch": 1},
        "deep features, every 4th step": {"deep_interval": 4, "deep_branch": 1},
        "unconditional half, every 2nd": {"guidance_interval": 2},
        "both reuses, every 2nd": {
            "deep_interval": 2, "deep_branch": 1, "guidance_interval": 2
        },
        "guidance for half of the steps": {"guidance_stop": 0.5},
        "every 2nd frame, others between": {"keyframe_interval": 2},
        "from frames, strength 0.5": {"strength": 0.5},
    },
    "magic-animate": {"plain": {}, "both halves in one call": {"cfg_batch": "on"}},
    "cinemo": {"plain": {}, "no prompt": {"prompt": ""}},
}  # fmt: skip


@dataclass
class Copies(TorchDispatchMode):
    """Bytes that go to the pretended device, and come from it."""

    there: int = 0
    back: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        if operation.overloadpacket in COPIES and isinstance(result, Tensor):
            size = result.numel() * result.element_size()
            source = (
                args[1] if operation.overloadpacket is torch.ops.aten.copy_ else args[0]
            )
            if isinstance(result, FarTensor) and not isinstance(source, FarTensor):
                self.there += size
            elif isinstance(source, FarTensor) and not isinstance(result, FarTensor):
                self.back += size
        return result


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """A stretch in which calls of the large networks are counted, by rows."""
    rows: list[int] = []

    def heard(module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        if isinstance(module, UNet | MotionUNet):
            rows.append(len(given[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(heard)
    try:
        yield rows
    finally:
        handle.remove()


def measured(work: Callable[[str], object]) -> dict[str, float]:
    """Figures of a render; `work` takes the device."""
    work("cpu")  # so that nothing is loaded for the first time
    begun = time.process_time()
    work("cpu")
    seconds = time.process_time() - begun
    with counted_calls() as rows, FlopCounterMode(display=False) as counter:
        work("cpu")
    with two_devices() as open_device:
        usual = pipeline.open_device, cinemo.open_device
        pipeline.open_device = cinemo.open_device = open_device
        try:
            with Copies() as copies:
                work("cuda")
        finally:
            pipeline.open_device, cinemo.open_device = usual
    assert FAR.type == "meta"
    return {
        "MFLOP": counter.get_total_flops() / 1e6,
        "calls": len(rows),
        "kB there": copies.there / 1e3,
        "kB back": copies.back / 1e3,
        "s": seconds,
    }


def main(steps: int = 8) -> None:
    torch.set_num_threads(1)
    print("| | MFLOP | calls | kB to the device | kB back | CPU s |")
    print("|---|---|---|---|---|---|")
    for name, options in OPTIONS.items():
        plain: dict[str, float] = {}
        for option, changes in options.items():
            with tempfile.TemporaryDirectory() as folder:
                frames = FRAMES[name]
                renderer, asked = system(
                    name, Path(folder), frames,
                    **{"steps": steps, "dtype": "float32", "cfg_batch": "off", **changes},
                )  # fmt: skip
                if "strength" in changes:
                    asked = replace(asked, start=clip_of(noise(asked.size, frames)))

                def work(device: str) -> np.ndarray:
                    return draw(renderer, replace(asked, device=device))  # noqa: B023

                found = measured(work)
            plain = plain or found
            shown = [
                f"{value:.4g}" + (f" ({value / plain[key]:.2f})" if plain[key] else "")
                for key, value in found.items()
            ]
            print(f"| {name}, {option} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
