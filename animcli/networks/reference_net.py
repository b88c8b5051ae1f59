"""The network that looks at the reference picture, so that the UNet can look at it.

Animate Anyone calls it reference network, MagicAnimate appearance encoder. It is a UNet of
one picture; what it would give at its end isn't wanted, only what its transformers look at.
Source: Hu et al., arXiv:2311.17117, section 3.2; Xu et al., arXiv:2311.16498, section 3.2.
Attribute names are those of the published checkpoints.

Shapes: r pictures, c channels, h by w latent positions.
"""

from typing import cast

from torch import Tensor, nn

from animcli.networks.attention import NormOnly, SpatialTransformer, TransformerEntrance
from animcli.networks.layers import fold_frames
from animcli.networks.unet import NOTHING_SEEN, Encoder, Level, Sight, UNetConfig, UpBlocks


class ReferenceUNet(Encoder):
    """What each transformer looks at in a reference picture.

    It ends where the last of them begins: of the layers after it nothing is kept.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        finest = finest_attention(config)
        self.up_blocks = UpBlocks(config, finest)
        for last in list(self.up_blocks)[-1:]:
            width = config.widths[finest]
            last.attentions[-1] = TransformerEntrance(
                width, groups=config.groups, block=NormOnly(width)
            )
            last.upsamplers = nn.ModuleList()

    def forward(
        self, latents: Tensor, timestep: Tensor, sight: Sight, pose: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Features of `latents` (r, channels, h, w): path -> (r, positions, c).

        The paths are those of the same transformers in the UNet. `timestep` is () or (r,),
        `pose` (r, widths[0], h, w) is added to the features of the first convolution.
        """
        time = self.tell_time(timestep, len(latents))
        features: dict[str, Tensor] = {}

        def visit(path: str, level: Level, index: int, x: Tensor) -> Tensor:
            x = level.resnets[index](x, time, 1)
            if index >= len(level.attentions):
                return x
            path = f"{path}.attentions.{index}"
            transformer = cast("TransformerEntrance", level.attentions[index])
            tokens, features[path] = transformer.enter(x)
            if not isinstance(transformer, SpatialTransformer):
                return x
            seen = sight.get(path, NOTHING_SEEN)
            return transformer.leave(x, tokens, features[path], 1, seen)

        x = self.conv_in(fold_frames(latents[:, :, None]))
        if pose is not None:
            x = x + pose
        x, skips = self.encode(x, visit)
        self.up_blocks.decode(x, skips, visit)
        return features


def finest_attention(config: UNetConfig) -> int:
    """The first level, from the full size down, that has transformers."""
    return config.attention.index(True) if any(config.attention) else len(config.widths)


def unused_parts(config: UNetConfig) -> tuple[str, ...]:
    """How the keys begin that a whole UNet's file has and a `ReferenceUNet` doesn't.

    For a config with transformers at the full size, as all published files have.
    """
    last = f"up_blocks.{len(config.widths) - 1}.attentions.{config.layers}"
    inside = ("attn1", "attn2", "norm2", "norm3", "ff")
    return (
        *(f"{last}.transformer_blocks.0.{part}." for part in inside),
        f"{last}.proj_out.",
        "conv_norm_out.",
        "conv_out.",
    )
