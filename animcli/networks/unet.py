"""The UNet that removes noise from a clip, and the blocks that it is made of.

A block is a few layers at one size. A layer is a residual block, then a transformer and a
motion module where the block has them. The half that goes down is shared by three networks.
The UNet has the shape of Stable Diffusion 1.5's, and is Animate Anyone's or MagicAnimate's
by its config; Cinemo's removes noise from how a clip differs from its first frame.

Source: Hu et al., arXiv:2311.17117, section 3; Xu et al., arXiv:2311.16498, section 3; Ma
et al., "Cinemo: Consistent and Controllable Image Animation with Motion Diffusion Models",
arXiv:2407.15642, section 3. Attribute names are those of the published checkpoints.

Shapes: b samples, f frames, c channels, h by w positions; folded frames `(b f, c, h, w)`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from animcli.networks.attention import BlockKV, SpatialTransformer
from animcli.networks.layers import (
    Downsample,
    GroupNorm,
    ResnetBlock,
    TimestepEmbedding,
    Upsample,
    add_to_samples,
    fold_frames,
    unfold_frames,
)
from animcli.networks.motion_module import MotionModule

KVCache = Mapping[str, BlockKV]
"""Path of a transformer in the network -> what it looks at; see `UNetEncoder.cache_kv`."""

EMPTY_KV = BlockKV()


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


class UNetEncoder(nn.Module):
    """The half of a UNet that goes down, and the middle."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_in = nn.Conv2d(config.in_channels, config.block_channels[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(
            config.block_channels[0], config.time_embed_dim
        )
        self.down_blocks = DownBlocks(config)
        self.mid_block = Block(
            config,
            -1,
            [config.block_channels[-1]] * 2,
            transformers=1,
            motion_modules=1,
        )

    def cache_kv(
        self,
        context: Tensor | None = None,
        reference: Mapping[str, Tensor] | None = None,
        frames: int = 0,
    ) -> dict[str, BlockKV]:
        """Project text and reference features to keys and values, once for all frames and
        steps.

        context: (b or 1, m, context channels), for all samples.
        reference: what a `ReferenceNet` gave, for the last samples of a batch. Blocks that
            it doesn't name look at their own frames only.
        frames: of the clips, for a network whose transformers look over time.

        Raises ValueError if the network wants a context or a number of frames and gets
        none, or the other way round, or if the reference names a block that isn't there.
        """
        if (context is None) != (self.config.context_dim == 0):
            raise ValueError(
                f"the network looks at {self.config.context_dim} channels of context, got "
                f"{'none' if context is None else tuple(context.shape)}"
            )
        if (frames == 0) == self.config.over_time:
            looks = "looks" if self.config.over_time else "doesn't look"
            raise ValueError(f"the network {looks} over time, got {frames} frames")
        reference = dict(reference or {})
        kv_cache = {
            path: module.cache_kv(context, reference.pop(path, None), frames)
            for path, module in self.named_modules()
            if isinstance(module, SpatialTransformer)
        }
        if reference:
            raise ValueError(f"no such blocks to show a reference to: {sorted(reference)}")
        return kv_cache

    def embed_time(self, timestep: Tensor, samples: int) -> Tensor:
        """Embed `timestep`, () or (b,), for the residual blocks: (b, time_embed_dim)."""
        return nn.functional.silu(self.time_embedding(timestep.expand(samples)))

    def encode(self, x: Tensor, run_layer: RunLayer) -> tuple[Tensor, list[Tensor]]:
        """From `x` (b f, c, h, w), after `conv_in`, to the middle's output and skips."""
        x, skips = self.descend(x, run_layer)
        return self.turn(x, run_layer), skips

    def descend(
        self, x: Tensor, run_layer: RunLayer, most: int | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """From `x` (b f, c, h, w), after `conv_in`, to the middle's input and skips.

        most: skip tensors after which it ends.
        """
        skips = [x]
        for number, block in enumerate(self.down_blocks):
            for index in range(len(block.resnets)):
                if len(skips) == most:
                    return x, skips
                x = run_layer(f"down_blocks.{number}", block, index, x)
                skips.append(x)
            for downsample in block.downsamplers:
                if len(skips) == most:
                    return x, skips
                x = downsample(x)
                skips.append(x)
        return x, skips

    def turn(self, x: Tensor, run_layer: RunLayer) -> Tensor:
        """The middle of the network."""
        for index in range(len(self.mid_block.resnets)):
            x = run_layer("mid_block", self.mid_block, index, x)
        return x


ANIMATE_ANYONE_UNET = UNetConfig(motion=MotionConfig(max_frames=32))
MAGIC_ANIMATE_UNET = UNetConfig(
    motion=MotionConfig(max_frames=24, middle=False), across_frames=True
)


class Residuals(NamedTuple):
    """Residuals of a ControlNet: (b or 1, c, f, h, w) for each skip tensor, and the
    middle.
    """

    skips: Sequence[Tensor]
    middle: Tensor


class Descent(NamedTuple):
    """Results of the way down, which halves of guidance may have in common.

    x: what goes into the middle, (b f, c, h, w). skips: residuals are in them already.
    middle: what a ControlNet adds after the middle. time: what the residual blocks hear.
    """

    x: Tensor
    skips: Sequence[Tensor]
    middle: Tensor | None
    time: Tensor
    frames: int


class UNetBase(UNetEncoder):
    """Both halves of a UNet, and the way through them."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.up_blocks = UpBlocks(config)
        self.conv_norm_out = GroupNorm(
            config.groups, config.block_channels[0], across_frames=config.across_frames
        )
        out_channels = (
            config.in_channels if config.out_channels is None else config.out_channels
        )
        self.conv_out = nn.Conv2d(config.block_channels[0], out_channels, 3, padding=1)

    def run_blocks(
        self,
        latents: Tensor,
        time: Tensor,
        kv_cache: KVCache,
        *,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        checkpointing: bool = False,
        deep: Deep | None = None,
    ) -> Tensor:
        """Run all blocks on `latents` (b, in_channels, f, h, w), same shape.

        time: what the residual blocks hear, (b, time_width). All else: see `UNet.forward`.
        """
        run_layer = visitor(time, latents.shape[2], kv_cache, checkpointing=checkpointing)
        most = None if deep is None else deep.shallow
        down = self.down(latents, time, run_layer, pose, residuals, most)
        return self.up(down, run_layer, deep)

    def down(
        self,
        latents: Tensor,
        time: Tensor,
        run_layer: RunLayer,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        most: int | None = None,
    ) -> Descent:
        """The way down of `run_blocks`, to its end or until there are `most` skip
        tensors.
        """
        x = self.conv_in(fold_frames(latents))
        if pose is not None:
            x = add_to_samples(x, pose)
        x, skips = self.descend(x, run_layer, most)
        if residuals is None:
            return Descent(x, skips, None, time, latents.shape[2])
        skips = [
            add_to_samples(skip, extra)
            for skip, extra in zip(skips, residuals.skips[:most], strict=True)
        ]
        return Descent(x, skips, residuals.middle, time, latents.shape[2])

    def up(self, down: Descent, run_layer: RunLayer, deep: Deep | None = None) -> Tensor:
        """The middle and the way up of `run_blocks`, or what of it isn't deep."""
        if deep is not None and deep.features is not None:
            x = deep.features
        else:
            x = self.turn(down.x, run_layer)
            if down.middle is not None:
                x = add_to_samples(x, down.middle)
        x = self.up_blocks.decode(x, list(down.skips), run_layer, deep)
        x = self.conv_out(F.silu(self.conv_norm_out(x, down.frames), inplace=True))
        return unfold_frames(x, down.frames)


class UNet(UNetBase):
    """Predicts, from noisy latents, what a sampler needs to make them less noisy."""

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        kv_cache: KVCache,
        *,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        checkpointing: bool = False,
        deep: Deep | None = None,
    ) -> Tensor:
        """The prediction for `latents` (b, channels, f, h, w), same shape.

        timestep: (), or (b,) for one per sample.
        kv_cache: what `cache_kv` gave.
        pose: (b or 1, block_channels[0], f, h, w), added to the features of the first
            convolution.
        residuals: what a ControlNet adds to the skip tensors and to the middle.
        checkpointing: recompute layers in the backward pass instead of keeping them.
        deep: of an earlier step, or to be set for later ones.
        """
        return self.run_blocks(
            latents,
            self.embed_time(timestep, len(latents)),
            kv_cache,
            pose=pose,
            residuals=residuals,
            checkpointing=checkpointing,
            deep=deep,
        )

    def halfway(
        self,
        latents: Tensor,
        timestep: Tensor,
        kv_cache: KVCache,
        *,
        residuals: Residuals | None = None,
        most: int | None = None,
    ) -> Descent:
        """The way down of `forward`, for whoever looks at the same things on it.

        most: skip tensors after which it ends.
        """
        time = self.embed_time(timestep, len(latents))
        run_layer = visitor(time, latents.shape[2], kv_cache)
        return self.down(latents, time, run_layer, None, residuals, most)

    def rest(
        self, half: Descent, kv_cache: KVCache, rows: int = 1, deep: Deep | None = None
    ) -> Tensor:
        """The prediction from one sample's way down on, (rows, channels, f, h, w).

        rows: samples that differ from here on, by what `kv_cache` says.
        """
        if rows > 1:
            x, *skips = (torch.cat([each] * rows) for each in (half.x, *half.skips))
            time = half.time.expand(rows, -1)
            half = half._replace(x=x, skips=skips, time=time)
        return self.up(half, visitor(half.time, half.frames, kv_cache), deep)


def visitor(
    time: Tensor, frames: int, kv_cache: KVCache, *, checkpointing: bool = False
) -> RunLayer:
    """Make the function that runs a layer, in either half; arguments are those of
    `run_blocks`.
    """

    def run_layer(path: str, block: Block, index: int, x: Tensor) -> Tensor:
        kv = kv_cache.get(f"{path}.attentions.{index}", EMPTY_KV)
        if checkpointing:
            return checkpoint(block, index, x, time, frames, kv, use_reentrant=False)
        return block(index, x, time, frames, kv)

    return run_layer


CINEMO_UNET: Final = UNetConfig(across_frames=True, over_time=True)

MOTION_EMBED_DIM: Final = 256
"""Channels of the sinusoids that tell how much motion there is."""


class MotionUNet(UNetBase):
    """Predicts the noise in residuals: latents of frames minus those of the first."""

    def __init__(
        self, config: UNetConfig, motion_embed_dim: int = MOTION_EMBED_DIM
    ) -> None:
        super().__init__(config)
        self.add_embedding = TimestepEmbedding(motion_embed_dim, config.time_embed_dim)
        nn.init.zeros_(self.add_embedding.linear_2.weight)  # no effect until trained

    def cache_clip_kv(self, text: Tensor, frames: int) -> KVCache:
        """Project the text to keys and values, once for all steps.

        text: (b or 1, m, context channels).
        frames: residuals in a clip; the first frame comes on top.
        """
        return self.cache_kv(text, frames=1 + frames)

    def forward(
        self,
        residuals: Tensor,
        timestep: Tensor,
        kv_cache: KVCache,
        *,
        first: Tensor,
        motion: Tensor,
        checkpointing: bool = False,
        deep: Deep | None = None,
    ) -> Tensor:
        """The noise in `residuals` (b, channels, f, h, w), same shape.

        timestep: (), or (b,) for one per sample.
        kv_cache: what `cache_clip_kv` gave.
        first: clean latents of the first frame, (b, channels, 1, h, w).
        motion: what `add_embedding` said of how much motion there is, (b or 1, time_width).
        checkpointing: recompute layers in the backward pass instead of keeping them.
        deep: of an earlier step, or to be set for later ones.
        """
        clip = torch.cat([first, first + residuals], dim=2)  # (b, channels, 1 + f, h, w)
        time = F.silu(self.time_embedding(timestep.expand(len(clip))) + motion)
        said = self.run_blocks(clip, time, kv_cache, checkpointing=checkpointing, deep=deep)
        return said[:, :, 1:]
