"""Networks for a drawn condition: ControlNet and Animate Anyone's pose guider.

The pose guider is ControlNet's embedding of the condition: a drawing, such as a skeleton,
as features at the size of the latents. ControlNet is a second encoder that steers the UNet.
Source: Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models",
arXiv:2302.05543; MagicAnimate's, for DensePose, has Stable Diffusion 1.5's shape. Hu et
al., "Animate Anyone", arXiv:2311.17117, section 3.1 (pose guider). Attribute names are
those of the published checkpoints.

Shapes: b samples, f frames, h by w latent positions.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.layers import fold_frames, unfold_frames
from animcli.networks.unet import EMPTY_KV, KVCache, Residuals, UNetEncoder
from animcli.networks.unet_blocks import Block, UNetConfig


class ConditionEmbedding(nn.Module):
    """Convolutions that shrink a picture eightfold, and say nothing until trained.

    block_channels: channels at full, half, quarter and eighth size; with one alone nothing
        shrinks.
    channels: of the picture; of a limb map where it has the size of the latents already.
    """

    def __init__(
        self,
        features: int,
        block_channels: tuple[int, ...] = (16, 32, 96, 256),
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, block_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, wider in pairwise(block_channels):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(block_channels[-1], features, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.get_parameter("bias"))

    def forward(self, pictures: Tensor) -> Tensor:
        """`pictures` (rows, channels, 8 h, 8 w) in 0..1 -> (rows, features, h, w)."""
        x = F.silu(self.conv_in(pictures))
        for conv in self.blocks:
            x = F.silu(conv(x))
        return self.conv_out(x)


class PoseGuider(ConditionEmbedding):
    """The condition embedding of a clip of drawn skeletons, frame by frame."""

    def forward(self, pictures: Tensor) -> Tensor:
        """`pictures` (b, channels, f, 8 h, 8 w) in 0..1 -> (b, features, f, h, w)."""
        features = super().forward(fold_frames(pictures))
        return unfold_frames(features, pictures.shape[2])


class ControlNet(UNetEncoder):
    """Residuals for the UNet's skip tensors and middle, frame by frame."""

    def __init__(
        self,
        config: UNetConfig,
        condition_channels: tuple[int, ...] = (16, 32, 96, 256),
    ) -> None:
        super().__init__(config)
        self.controlnet_cond_embedding = ConditionEmbedding(
            config.block_channels[0], condition_channels
        )
        widths = [config.block_channels[0]]
        for width, block in zip(config.block_channels, self.down_blocks, strict=True):
            widths += [width] * (len(block.resnets) + len(block.downsamplers))
        self.controlnet_down_blocks = nn.ModuleList(zero_conv(width) for width in widths)
        self.controlnet_mid_block = zero_conv(config.block_channels[-1])

    def forward(
        self, latents: Tensor, timestep: Tensor, kv_cache: KVCache, pictures: Tensor
    ) -> Residuals:
        """Residuals for `latents` (b, 4, f, h, w).

        timestep: () or (b,).
        pictures: the condition, (b, 3, f, 8 h, 8 w), RGB in 0..1.
        """
        return self.steer(latents, timestep, kv_cache, self.look_at(pictures))

    def look_at(self, pictures: Tensor) -> Tensor:
        """Features (b f, width, h, w) of conditions (b, 3, f, 8 h, 8 w), for all steps."""
        return self.controlnet_cond_embedding(fold_frames(pictures))

    def steer(
        self, latents: Tensor, timestep: Tensor, kv_cache: KVCache, condition: Tensor
    ) -> Residuals:
        """`forward` with what `look_at` gave."""
        frames = latents.shape[2]
        time = self.embed_time(timestep, len(latents))

        def run_layer(path: str, block: Block, index: int, x: Tensor) -> Tensor:
            kv = kv_cache.get(f"{path}.attentions.{index}", EMPTY_KV)
            return block(index, x, time, frames, kv)

        x = self.conv_in(fold_frames(latents)) + condition
        x, skips = self.encode(x, run_layer)
        return Residuals(
            [
                unfold_frames(conv(skip), frames)
                for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True)
            ],
            unfold_frames(self.controlnet_mid_block(x), frames),
        )


def zero_conv(width: int) -> nn.Conv2d:
    """A one by one convolution that says nothing until it has been trained."""
    conv = nn.Conv2d(width, width, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.get_parameter("bias"))
    return conv
