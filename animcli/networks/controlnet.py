"""ControlNet: a second encoder that steers the UNet by a drawn condition.

Source: Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models",
arXiv:2302.05543. MagicAnimate's, for DensePose, has Stable Diffusion 1.5's shape. Attribute
names are those of the published checkpoint.

Shapes: b samples, f frames, h by w latent positions.
"""

from torch import Tensor, nn

from animcli.networks.blocks import fold_frames, unfold_frames
from animcli.networks.levels import NOTHING_SEEN, Encoder, Level, Sight, UNetConfig
from animcli.networks.pose_guider import ConditionEmbedding
from animcli.networks.unet import Residuals


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
        frames = latents.shape[2]
        time = self.tell_time(timestep, len(latents))

        def visit(path: str, level: Level, index: int, x: Tensor) -> Tensor:
            seen = sight.get(f"{path}.attentions.{index}", NOTHING_SEEN)
            return level(index, x, time, frames, seen)

        x = self.conv_in(fold_frames(latents))
        x = x + self.controlnet_cond_embedding(fold_frames(pictures))
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
