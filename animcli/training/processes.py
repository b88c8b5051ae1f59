"""One process that trains, or several that train one network, a GPU each.

Each makes gradients of a batch of its own, and all update alike by their mean. The networks
aren't wrapped: a course may call their parts as it likes.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import torch
from torch import nn

from animcli.errors import DeviceError


class Processes(Protocol):
    """All processes of a run, seen from one of them."""

    index: int
    """Of this process, from 0. The first alone writes files."""
    count: int
    place: int
    """Of this process among those on its machine, from 0: the number of its GPU."""

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes."""

    def any(self, said: bool) -> bool:
        """Tell if any process says so; all ask together."""

    def wait(self) -> None:
        """Wait until all processes are here."""


class Alone:
    """The only process."""

    index = 0
    count = 1
    place = 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing: its gradients are the mean."""

    def any(self, said: bool) -> bool:
        """Answer of this process, the only one."""
        return said

    def wait(self) -> None:
        """Nothing: it is here."""


ALONE: Final = Alone()


class Accelerated:
    """One of several processes that `accelerate launch` or `torchrun` started."""

    def __init__(self, device: str) -> None:
        """`device`: `cpu` or `cuda`. Raises DeviceError where accelerate is missing."""
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise DeviceError(
                "training in several processes wants accelerate",
                "pip install 'animcli[accelerate]', or start one process only",
            ) from error
        self._accelerator = Accelerator(cpu=device == "cpu")
        self.index: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.place: int = self._accelerator.local_process_index

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Average over the processes; a parameter without a gradient in one may have it in
        others.
        """
        for parameter in parameters:
            own = parameter.grad
            if own is None:
                own = torch.zeros_like(parameter)
            parameter.grad = self._accelerator.reduce(own, reduction="mean")

    def any(self, said: bool) -> bool:
        """Sum over all processes."""
        mine = torch.tensor(float(said), device=self._accelerator.device)
        return bool(self._accelerator.reduce(mine, reduction="sum") > 0)

    def wait(self) -> None:
        """All of them, the slowest too."""
        self._accelerator.wait_for_everyone()


def open_processes(environment: Mapping[str, str], device: str) -> Processes:
    """This process and its like, by what a launcher says in the environment."""
    return Accelerated(device) if int(environment.get("WORLD_SIZE", "1")) > 1 else ALONE
