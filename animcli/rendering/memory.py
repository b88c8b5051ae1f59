"""Calls of the network for a window, in as much memory as there is.

The plan is made from what is free; should it be too little all the same, the call is made
again in less: first the halves of guidance one after the other, then feed-forward layers in
parts. Both change frames by no more than rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from torch import Tensor, nn

from animcli.networks.attention import work_in_parts, works_in_parts
from animcli.rendering.guidance import Ask, Guidance, Views
from animcli.rendering.loading import free_memory, is_out_of_memory


@dataclass(frozen=True)
class Thrift:
    """How the calls for a window share the memory.

    together: both halves of guidance in one call.
    in_parts: feed-forward layers take a part of the tokens at once.
    warm: the first window is predicted both with and without guidance, so that a compiled
        network meets all shapes at the start, not in the middle.
    note: told what was changed.
    """

    together: bool = False
    in_parts: bool = False
    warm: bool = False
    note: Callable[[str], None] = lambda line: None


APART: Final = Thrift()
"""Halves of guidance one after the other, and nothing else."""

GO_APART: Final = "memory ended: the halves of guidance go in two calls from here on"
GO_IN_PARTS: Final = "memory ended: feed-forward layers work in parts from here on"


class WindowCalls:
    """Predictions of one network for windows."""

    def __init__(self, network: nn.Module, guidance: Guidance, thrift: Thrift) -> None:
        self._network = network
        self._guidance = guidance
        self._thrift = thrift
        self._together = thrift.together
        self._is_warm = not thrift.warm
        if thrift.in_parts:
            work_in_parts(network)

    def predict(self, part: Tensor, ask: Ask, *, guided: bool, views: Views) -> Tensor:
        """`Guidance.predict`, in less memory where it ends."""
        if not self._is_warm:
            self._is_warm = True
            if self._guidance.changes:
                self.predict(part, ask, guided=not guided, views=views)
        while True:
            seen = views if self._together else replace(views, both=None)
            try:
                return self._guidance.predict(part, seen, ask, guided=guided)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._spare(guided=guided):
                    raise
            # Only here are the tensors of the failed call gone, with its error.
            free_memory(part.device)

    def _spare(self, *, guided: bool) -> bool:
        """Plan with less; whether there was anything left to save."""
        if self._together and guided:
            self._together = False
            self._thrift.note(GO_APART)
        elif not works_in_parts(self._network):
            work_in_parts(self._network)
            self._thrift.note(GO_IN_PARTS)
        else:
            return False
        return True
