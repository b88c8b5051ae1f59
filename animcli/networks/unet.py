"""The UNet that removes noise from a clip.

The half that goes down is shared by three networks. The blocks are `unet_blocks`'.
It has the shape of Stable Diffusion 1.5's, and is Animate Anyone's or MagicAnimate's
by its config; Cinemo's removes noise from how a clip differs from its first frame.

Source: Hu et al., arXiv:2311.17117, section 3; Xu et al., arXiv:2311.16498, section 3; Ma
et al., "Cinemo: Consistent and Controllable Image Animation with Motion Diffusion Models",
arXiv:2407.15642, section 3. Attribute names are those of the published checkpoints.

Shapes: b samples, f frames, c channels, h by w positions; folded frames `(b f, c, h, w)`.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from animcli.networks.attention import BlockKV, SpatialTransformer
from animcli.networks.layers import (
    GroupNorm,
    TimestepEmbedding,
    add_to_samples,
    fold_frames,
    unfold_frames,
)
from animcli.networks.unet_blocks import (
    Block,
    Deep,
    DownBlocks,
    MotionConfig,
    RunLayer,
    UNetConfig,
    UpBlocks,
)

KVCache = Mapping[str, BlockKV]
"""Path of a transformer in the network -> what it looks at; see `UNetEncoder.cache_kv`."""

EMPTY_KV = BlockKV()


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
