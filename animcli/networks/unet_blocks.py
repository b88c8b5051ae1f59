"""Blocks of a UNet, and the configuration that gives them their shapes.

A block is a few layers at one size. A layer is a residual block, then a transformer and a
motion module where the block has them. Source, attribute names and shapes: see
`animcli.networks.unet`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import cast

import torch
from torch import Tensor, nn

from animcli.networks.attention import BlockKV, SpatialTransformer
from animcli.networks.layers import (
    Downsample,
    ResnetBlock,
    Upsample,
)
from animcli.networks.motion_module import MotionModule


@dataclass(frozen=True)
class MotionConfig:
    """The motion modules of a network, one after every layer of the blocks with them.

    max_frames: most frames that a window may have.
    middle: whether the middle of the network has one too.
    first_block: the first block that has them; blocks count from the full size down.
    """

    max_frames: int
    middle: bool = True
    heads: int = 8
    groups: int = 32
    first_block: int = 0

    def at(self, block: int) -> bool:
        """Tell if a block has motion modules; -1 is the middle."""
        return self.middle if block < 0 else block >= self.first_block


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a UNet; the defaults are those of Stable Diffusion 1.5.

    block_channels: channels of each block, from the full size down.
    layers_per_block: layers of a block on the way down; there is one more on the way up.
    attention: which blocks have transformers; the middle always has one.
    heads: of the attention in transformers; one number, or one for each block.
    context_dim: channels of the context's tokens, or 0 if there is no context.
    across_frames: the group norms outside of transformers and motion modules take a
        sample's frames together, as in MagicAnimate, instead of each by itself.
    over_time: every transformer also looks at the other frames, as in Cinemo.
    out_channels: channels that come out, if not as many as go in.
    """

    in_channels: int = 4
    block_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    heads: int | tuple[int, ...] = 8
    groups: int = 32
    _: KW_ONLY
    context_dim: int = 768
    motion: MotionConfig | None = None
    across_frames: bool = False
    over_time: bool = False
    out_channels: int | None = None

    def __post_init__(self) -> None:
        if len(self.attention) != len(self.block_channels):
            raise ValueError(
                f"{len(self.block_channels)} blocks want as many attention entries, "
                f"got {len(self.attention)}"
            )

    @property
    def time_embed_dim(self) -> int:
        """Channels of the time embedding."""
        return 4 * self.block_channels[0]

    def heads_at(self, block: int) -> int:
        """Heads of the transformers of a block; -1 is the middle, too."""
        return self.heads if isinstance(self.heads, int) else self.heads[block]


class Block(nn.Module):
    """Layers at one size. The middle is one too; only its first layer has attention."""

    def __init__(
        self,
        config: UNetConfig,
        index: int,
        channels: Sequence[int],
        *,
        transformers: int,
        motion_modules: int,
    ) -> None:
        """`in_channels` go into the layers of block `index`, its width comes out of
        each.
        """
        super().__init__()
        width = config.block_channels[index]
        self.resnets = nn.ModuleList(
            ResnetBlock(
                entering,
                width,
                config.time_embed_dim,
                groups=config.groups,
                across_frames=config.across_frames,
            )
            for entering in channels
        )
        self.attentions = nn.ModuleList(
            SpatialTransformer(
                width,
                config.context_dim,
                heads=config.heads_at(index),
                groups=config.groups,
                over_time=config.over_time,
            )
            for _ in range(transformers)
        )
        self.motion_modules = nn.ModuleList()
        if config.motion is not None and config.motion.at(index):
            self.motion_modules.extend(
                MotionModule(
                    width,
                    heads=config.motion.heads,
                    max_frames=config.motion.max_frames,
                    groups=config.motion.groups,
                )
                for _ in range(motion_modules)
            )

    def forward(
        self, index: int, x: Tensor, time: Tensor, frames: int, kv: BlockKV
    ) -> Tensor:
        """Layer `index` of `x` (b f, c, h, w): (b f, width, h, w)."""
        x = self.resnets[index](x, time, frames)
        if index < len(self.attentions):
            x = self.attentions[index](x, frames, kv)
        if index < len(self.motion_modules):
            x = self.motion_modules[index](x, frames)
        return x


RunLayer = Callable[[str, Block, int, Tensor], Tensor]
"""(path of a block, the block, index of the layer, what goes in) -> what comes out."""


class DownBlock(Block):
    """A block on the way down; all but the last end in a halving."""

    def __init__(self, config: UNetConfig, index: int) -> None:
        width = config.block_channels[index]
        entering = config.block_channels[max(index - 1, 0)]
        super().__init__(
            config,
            index,
            [entering] + [width] * (config.layers_per_block - 1),
            transformers=config.layers_per_block if config.attention[index] else 0,
            motion_modules=config.layers_per_block,
        )
        last = index == len(config.block_channels) - 1
        self.downsamplers = nn.ModuleList([] if last else [Downsample(width)])


class UpBlock(Block):
    """A block on the way up: its layers get skip tensors too. All but the last double."""

    def __init__(self, config: UNetConfig, index: int) -> None:
        """`index` counts from the full size, as on the way down."""
        width = config.block_channels[index]
        below = config.block_channels[min(index + 1, len(config.block_channels) - 1)]
        above = config.block_channels[max(index - 1, 0)]
        joined = [below] + [width] * config.layers_per_block
        skips = [width] * config.layers_per_block + [above]
        super().__init__(
            config,
            index,
            [entering + skip for entering, skip in zip(joined, skips, strict=True)],
            transformers=config.layers_per_block + 1 if config.attention[index] else 0,
            motion_modules=config.layers_per_block + 1,
        )
        self.upsamplers = nn.ModuleList([Upsample(width)] if index else [])


class DownBlocks(nn.ModuleList):
    """The blocks on the way down."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(
            DownBlock(config, index) for index in range(len(config.block_channels))
        )

    def __iter__(self) -> Iterator[DownBlock]:
        return cast("Iterator[DownBlock]", super().__iter__())


@dataclass
class Deep:
    """Features of a UNet's deep part, handed from one step to the next.

    Source: Ma et al., "DeepCache", arXiv:2312.00858, section 3.2.

    branch: the last skip tensor of the shallow part, from 0 for the first convolution's.
        That part is the layers that make these skips, and those that join them again.
    features: (b f, c, h, w), what comes up to the shallow part; a call in which it is None
        goes through the whole network and sets it, any other through the shallow part only.
    """

    branch: int
    features: Tensor | None = None

    @property
    def shallow(self) -> int | None:
        """Skip tensors that are wanted; None for all."""
        return None if self.features is None else self.branch + 1


class UpBlocks(nn.ModuleList):
    """The blocks on the way up, to the full size or to the block `first_block`."""

    def __init__(self, config: UNetConfig, first_block: int = 0) -> None:
        levels = range(first_block, len(config.block_channels))
        super().__init__(UpBlock(config, index) for index in reversed(levels))

    def __iter__(self) -> Iterator[UpBlock]:
        return cast("Iterator[UpBlock]", super().__iter__())

    def decode(
        self, x: Tensor, skips: list[Tensor], run_layer: RunLayer, deep: Deep | None = None
    ) -> Tensor:
        """From the middle's output and the skips, which it uses up, to the full size.

        deep: set, or taken up where its branch begins; then `x` is its features.
        """
        left = sum(len(block.resnets) for block in self)
        first = left if deep is None else deep.shallow or left
        for number, block in enumerate(self):
            for index in range(len(block.resnets)):
                if deep is not None and left == deep.branch + 1:
                    deep.features = x
                if left <= first:
                    joined = torch.cat([x, skips.pop()], dim=1)
                    x = run_layer(f"up_blocks.{number}", block, index, joined)
                left -= 1
            for upsample in block.upsamplers:
                if left < first:
                    x = upsample(x, skips[-1].shape[-2:])
        return x
