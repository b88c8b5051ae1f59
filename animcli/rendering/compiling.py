"""Compiling a network block by block.

Blocks of one kind and shape share their code, so that sixteen transformers take a few
compilations and not one of the whole, and a network that meets another number of rows later
isn't compiled anew as a whole. What was compiled is kept in the user's cache.
"""

import os
from typing import Final

import torch
from torch import nn

from animcli.networks.attention import TransformerBlock
from animcli.networks.layers import ResnetBlock
from animcli.networks.motion_module import TemporalBlock
from animcli.rendering.loading import check_compiler

BLOCKS: Final = (ResnetBlock, TransformerBlock, TemporalBlock)

KEPT_IN: Final = "TORCHINDUCTOR_CACHE_DIR"

COMPILER: Final = "inductor"

VARIANTS: Final = 64
"""Compiled versions of one kind of block: four sizes, several widths, one or two rows, with
and without a reference. Beyond torch's own 8 it gives up, and says so once."""


def compile_blocks(
    network: nn.Module, device: torch.device, backend: object = COMPILER
) -> None:
    """Compile each block of the network at its first call, for the shapes that it meets.

    Raises DeviceError where nothing can compile for the device.
    """
    if backend == COMPILER:
        check_compiler(device)
        from platformdirs import user_cache_path

        usual = user_cache_path("animcli", appauthor=False) / "compiled"
        os.environ.setdefault(KEPT_IN, str(usual))
    limits = torch._dynamo.config
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"
    setattr(limits, name, max(getattr(limits, name), VARIANTS))
    for module in network.modules():
        if isinstance(module, BLOCKS):
            module.compile(backend=backend, dynamic=False)
