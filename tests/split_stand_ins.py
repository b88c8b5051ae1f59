"""A small render that is split over slots: networks of random weights, real windows.

`work` is a worker's function; SPLIT_COST_S makes each unit take so many seconds, and
SPLIT_FAULT names a file whose first reader dies, or fails as the file says.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.presets import Preset
from animcli.rendering import split
from animcli.rendering.context import ContextWindow, context_windows
from animcli.rendering.guidance import HALF, CFGInputs, Guidance, Half
from animcli.rendering.noise import clip_noise
from animcli.rendering.pipeline import DenoiseFn, StepFn, sample
from animcli.rendering.schedulers import ANIMATE_ANYONE_SCHEDULE, Scheduler

STEPS, FRAMES = 3, 20
PRESET = Preset(
    "tiny", renderer="animate-anyone", width=64, height=64, steps=STEPS, window=8,
    overlap=2, windows="moving", guidance=3.0, guidance_stop=0.5, guidance_rescale=0.3,
)  # fmt: skip
GUIDANCE = Guidance.of(PRESET)
CUT = context_windows(PRESET, FRAMES)


def start() -> StepFn:
    """A network whose two halves are two convolutions over time and place."""
    rng = torch.Generator().manual_seed(1)
    networks = [nn.Conv3d(4, 4, 3, padding=1) for _ in range(2)]
    for network in networks:
        for weights in network.parameters():
            weights.data = torch.randn(weights.shape, generator=rng) / 10

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        lean = latents.mean() / 100  # what is worked out of the whole clip, once per step

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            time.sleep(float(os.environ.get("SPLIT_COST_S", "0")))
            views: Any = CFGInputs(0, 1)  # type: ignore[arg-type]
            return GUIDANCE.predict(
                part + lean, views, lambda clip, view: networks[view](clip),  # type: ignore[call-overload]
                guided=GUIDANCE.works_at(step, STEPS),
            )  # fmt: skip

        return predict

    return step_fn


class Nothing:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        pass


def latents() -> Tensor:
    """Clean latents of the clip, (frames, 4, 8, 8)."""
    return sample(
        lambda: clip_noise("independent", FRAMES, (4, 8, 8), 0),
        Scheduler("ddim", ANIMATE_ANYONE_SCHEDULE, STEPS, 0), start, CUT, Nothing(),
        lambda what, done, of: None, guidance=GUIDANCE,
    )  # fmt: skip


def decode(part: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Pictures (8, 8, 3) of latents (frames, 4, 8, 8)."""
    for each in part:
        shown = (each[:3] * 40 + 128).clamp(0, 255).to(torch.uint8)
        yield shown.permute(1, 2, 0).contiguous().numpy()


_prepared: list[split.Prepared] = []


def work(request: Mapping[str, Any], tell: Any) -> dict[str, Any]:
    """Prepare, or predict a unit, or decode frames."""
    if request["do"] == "help":
        steps = Scheduler("ddim", ANIMATE_ANYONE_SCHEDULE, STEPS, 0).timesteps
        _prepared[:] = [split.Prepared(start, steps, CUT, decode)]
        return {"exit_code": 0}
    fault = Path(os.environ.get("SPLIT_FAULT", "none"))
    if fault.exists() and (said := fault.read_text()).split()[0] == request["do"]:
        fault.unlink(missing_ok=True)
        if "fails" in said:
            return {"exit_code": 6, "error": "out of memory", "hint": "a smaller --size"}
        os._exit(139)
    latents = torch.from_numpy(np.load(request["latents"]))
    if request["do"] == "decode":
        time.sleep(float(os.environ.get("SPLIT_COST_S", "0")))
        part = latents[request["start"] : request["stop"]]
        np.save(request["said"], _prepared[0].decode(part))
        return {"exit_code": 0}
    half = None if request["half"] is None else Half(request["half"])
    unit = split.Unit(request["window"], half)
    said_latents = _prepared[0].predict(request["step"], latents, unit)
    assert HALF.get() is None
    np.save(request["said"], said_latents.numpy())
    return {"exit_code": 0}
