"""The UNet that removes noise from a clip.

It has the shape of Stable Diffusion 1.5's, and is Animate Anyone's or MagicAnimate's by its
config. Source: Hu et al., arXiv:2311.17117, section 3; Xu et al., arXiv:2311.16498, section
3. Attribute names are those of the published checkpoints.

Shapes: b samples, f frames, h by w latent positions.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from animcli.networks.blocks import GroupNorm, add_to_samples, fold_frames, unfold_frames
from animcli.networks.levels import (
    NOTHING_SEEN,
    Encoder,
    Level,
    MotionConfig,
    Sight,
    UNetConfig,
    UpBlocks,
)

ANIMATE_ANYONE = UNetConfig(motion=MotionConfig(positions=32))
MAGIC_ANIMATE = UNetConfig(
    motion=MotionConfig(positions=24, middle=False), across_frames=True
)


class Residuals(NamedTuple):
    """What a ControlNet adds: (b or 1, c, f, h, w) for each skip tensor, and the middle."""

    skips: Sequence[Tensor]
    middle: Tensor


class WholeUNet(Encoder):
    """Both halves of a UNet, and the way through them."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.up_blocks = UpBlocks(config)
        self.conv_norm_out = GroupNorm(
            config.groups, config.widths[0], across_frames=config.across_frames
        )
        answers = config.channels if config.answers is None else config.answers
        self.conv_out = nn.Conv2d(config.widths[0], answers, 3, padding=1)

    def answer(
        self,
        latents: Tensor,
        time: Tensor,
        sight: Sight,
        *,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        checkpointing: bool = False,
    ) -> Tensor:
        """What the layers make of `latents` (b, channels, f, h, w), same shape.

        time: what the residual blocks hear, (b, time_width). All else: see `UNet.forward`.
        """
        frames = latents.shape[2]

        def visit(path: str, level: Level, index: int, x: Tensor) -> Tensor:
            seen = sight.get(f"{path}.attentions.{index}", NOTHING_SEEN)
            if checkpointing:
                return checkpoint(level, index, x, time, frames, seen, use_reentrant=False)
            return level(index, x, time, frames, seen)

        x = self.conv_in(fold_frames(latents))
        if pose is not None:
            x = add_to_samples(x, pose)
        x, skips = self.encode(x, visit)
        if residuals is not None:
            x = add_to_samples(x, residuals.middle)
            skips = [
                add_to_samples(skip, extra)
                for skip, extra in zip(skips, residuals.skips, strict=True)
            ]
        x = self.up_blocks.decode(x, skips, visit)
        x = self.conv_out(F.silu(self.conv_norm_out(x, frames), inplace=True))
        return unfold_frames(x, frames)


class UNet(WholeUNet):
    """Predicts, from noisy latents, what a sampler needs to make them less noisy."""

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        sight: Sight,
        *,
        pose: Tensor | None = None,
        residuals: Residuals | None = None,
        checkpointing: bool = False,
    ) -> Tensor:
        """The prediction for `latents` (b, channels, f, h, w), same shape.

        timestep: (), or (b,) for one per sample.
        sight: what `see` gave.
        pose: (b or 1, widths[0], f, h, w), added to the features of the first convolution.
        residuals: what a ControlNet adds to the skip tensors and to the middle.
        checkpointing: recompute layers in the backward pass instead of keeping them.
        """
        return self.answer(
            latents,
            self.tell_time(timestep, len(latents)),
            sight,
            pose=pose,
            residuals=residuals,
            checkpointing=checkpointing,
        )
