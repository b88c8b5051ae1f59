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
from animcli.networks.unet import NOTHING_SEEN, Encoder, Level, Residuals, Sight, UNetConfig


class ConditionEmbedding(nn.Module):
    """Convolutions that shrink a picture eightfold, and say nothing until trained.

    widths: channels at full, half, quarter and eighth size; with one alone nothing shrinks.
    channels: of the picture; of a limb map where it has the size of the latents already.
    """

    def __init__(
        self,
        features: int,
        widths: tuple[int, ...] = (16, 32, 96, 256),
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, wider in pairwise(widths):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], features, 3, padding=1)
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


class ControlNet(Encoder):
    """What to add to the UNet's skip tensors and middle, frame by frame."""

    def __init__(
        self,
        config: UNetConfig,
        condition_widths: tuple[int, ...] = (16, 32, 96, 256),
    ) -> None:
        super().__init__(config)
        self.controlnet_cond_embedding = ConditionEmbedding(
            config.widths[0], condition_widths
        )
        widths = [config.widths[0]]
        for width, level in zip(config.widths, self.down_blocks, strict=True):
            widths += [width] * (len(level.resnets) + len(level.downsamplers))
        self.controlnet_down_blocks = nn.ModuleList(silent(width) for width in widths)
        self.controlnet_mid_block = silent(config.widths[-1])

    def forward(
        self, latents: Tensor, timestep: Tensor, sight: Sight, pictures: Tensor
    ) -> Residuals:
        """Residuals for `latents` (b, 4, f, h, w).

        timestep: () or (b,).
        pictures: the condition, (b, 3, f, 8 h, 8 w), RGB in 0..1.
        """
        return self.steer(latents, timestep, sight, self.look_at(pictures))

    def look_at(self, pictures: Tensor) -> Tensor:
        """Features (b f, width, h, w) of conditions (b, 3, f, 8 h, 8 w), for all steps."""
        return self.controlnet_cond_embedding(fold_frames(pictures))

    def steer(
        self, latents: Tensor, timestep: Tensor, sight: Sight, condition: Tensor
    ) -> Residuals:
        """`forward` with what `look_at` gave."""
        frames = latents.shape[2]
        time = self.tell_time(timestep, len(latents))

        def visit(path: str, level: Level, index: int, x: Tensor) -> Tensor:
            seen = sight.get(f"{path}.attentions.{index}", NOTHING_SEEN)
            return level(index, x, time, frames, seen)

        x = self.conv_in(fold_frames(latents)) + condition
        x, skips = self.encode(x, visit)
        return Residuals(
            [
                unfold_frames(conv(skip), frames)
                for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True)
            ],
            unfold_frames(self.controlnet_mid_block(x), frames),
        )


def silent(width: int) -> nn.Conv2d:
    """A one by one convolution that says nothing until it has been trained."""
    conv = nn.Conv2d(width, width, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.get_parameter("bias"))
    return conv
