"""Gradient checkpointing: work done twice, not kept (Chen et al., arXiv:1604.06174)."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor
from torch.utils.checkpoint import checkpoint

R = TypeVar("R")


def run(part: Callable[..., R], *given: Tensor, twice: bool) -> R:
    """What `part` makes of tensors; if `twice`, it is made again in the backward pass."""
    if twice:
        made: R = checkpoint(part, *given, use_reentrant=False)
        return made
    return part(*given)
