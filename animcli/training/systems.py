"""Adapters: what differs from system to system when one trainer trains them all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from animcli.errors import WeightsError
from animcli.training.objective import Objective
from animcli.training.samples import Sample, Tensors
from animcli.weights.inspect import read_tensors

StageName = Literal["autoencoder", "1", "2"]
Entries = Callable[[str], Path]
"""Name of a weights entry -> its folder."""

_N = TypeVar("_N", bound=nn.Module)

DIFFUSERS_FILE: Final = "diffusion_pytorch_model.safetensors"
"""Name of a network's weights in its folder, as diffusers has it."""


class Batch(Protocol):
    """Latents to denoise, their noise and its amount; every system's batch has them."""

    @property
    def latents(self) -> Tensor:
        """(b, c, f, h, w)."""

    @property
    def noise(self) -> Tensor:
        """The same shape."""

    @property
    def timesteps(self) -> Tensor:
        """(b,)."""


class SystemAdapter(Protocol):
    """A system as it is trained: its networks, batches, prediction and files."""

    def entries(self, start: str) -> tuple[str, ...]:
        """Weights entries that training begins with."""

    def vae(self, entries: Entries, run: Path) -> Path:
        """Folder of its autoencoder. run: the folder of the run."""

    def embeddings(
        self, entries: Entries, device: torch.device
    ) -> Callable[[Sample], Tensors]:
        """Content of a sample besides pictures; loads the encoders that it takes."""

    def networks(
        self, entries: Entries, run: Path, start: str, stage: StageName
    ) -> nn.Module:
        """Networks at the beginning of a stage, what it trains with `requires_grad`.

        run: the folder of the run, with what stage 1 left.
        """

    def batch(
        self,
        network: nn.Module,
        rows: Tensors,
        conditioned: int,
        objective: Objective,
        rng: torch.Generator,
    ) -> Any:
        """A batch of samples; the last `conditioned` with what guidance strengthens."""

    def predict(
        self, network: nn.Module, batch: Any, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        """Prediction for noisy latents (b, c, f, h, w), same shape.

        checkpointing: recompute layers in the backward pass instead of keeping them.
        """

    def wrong_reference(self, batch: Any) -> Any | None:
        """The batch with each reference exchanged for another's; None without one."""

    def clip(self, batch: Any, sample: Tensor) -> Tensor:
        """Latents of frames (b, c, f, h, w), from the sample of a whole denoising."""

    def files(self, network: nn.Module, stage: StageName) -> Mapping[str, Any]:
        """Results of a stage: file of the weights entry -> its tensors, or its JSON."""


def no_embeddings(sample: Sample) -> Tensors:
    """Nothing besides pictures."""
    return {}


def load_weights(
    network: _N,
    file: Path,
    *,
    unused: tuple[str, ...] = (),
    fresh: tuple[str, ...] = (),
    only: str = "",
) -> _N:
    """Load the weights in a file into the network, strictly.

    unused: how the names begin of what the file holds and the network doesn't want.
    fresh: parts of the names of what stays as it is. only: a part of the names of the rest.

    Raises WeightsError for a file that isn't there or doesn't fit.
    """
    own = network.state_dict()
    wanted = {
        name: tuple(value.shape)
        for name, value in own.items()
        if only in name and not any(part in name for part in fresh)
    }
    if not file.is_file():
        raise WeightsError(f"{file} isn't there", "train the stage before it first")
    found = read_tensors(file, wanted, unused=unused)
    network.load_state_dict({**own, **found})
    return network


def motion_module_tensors(network: nn.Module, before: str) -> dict[str, Tensor]:
    """Motion modules of a network, without what comes before their names."""
    return {
        name.removeprefix(before): value
        for name, value in network.state_dict().items()
        if "motion_modules" in name
    }
