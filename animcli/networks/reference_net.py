"""ReferenceNet: a UNet over the reference picture, whose features the UNet attends to.

Animate Anyone calls it reference network, MagicAnimate appearance encoder. It is a UNet of
one picture; what it would give at its end isn't wanted, only what its transformers look at.
Source: Hu et al., arXiv:2311.17117, section 3.2; Xu et al., arXiv:2311.16498, section 3.2.
Attribute names are those of the published checkpoints.

Shapes: r pictures, c channels, h by w latent positions.
"""

from typing import cast

from torch import Tensor, nn

from animcli.networks.attention import ReferenceTap, SpatialTransformer, TapNorm
from animcli.networks.layers import fold_frames
from animcli.networks.unet import EMPTY_KV, KVCache, UNetEncoder
from animcli.networks.unet_blocks import Block, UNetConfig, UpBlocks


class ReferenceNet(UNetEncoder):
    """Input of each transformer's self-attention, for a reference picture.

    It ends where the last of them begins: of the layers after it nothing is kept.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        first_block = first_attention_block(config)
        self.up_blocks = UpBlocks(config, first_block)
        for last in list(self.up_blocks)[-1:]:
            width = config.block_channels[first_block]
            last.attentions[-1] = ReferenceTap(
                width, groups=config.groups, block=TapNorm(width)
            )
            last.upsamplers = nn.ModuleList()

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        kv_cache: KVCache,
        pose: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Features of `latents` (r, channels, h, w): path -> (r, positions, c).

        The paths are those of the same transformers in the UNet. `timestep` is () or (r,),
        `pose` (r, block_channels[0], h, w) is added to the features of the first
        convolution.
        """
        time = self.embed_time(timestep, len(latents))
        features: dict[str, Tensor] = {}

        def run_layer(path: str, block: Block, index: int, x: Tensor) -> Tensor:
            x = block.resnets[index](x, time, 1)
            if index >= len(block.attentions):
                return x
            path = f"{path}.attentions.{index}"
            transformer = cast("ReferenceTap", block.attentions[index])
            tokens, features[path] = transformer.enter(x)
            if not isinstance(transformer, SpatialTransformer):
                return x
            kv = kv_cache.get(path, EMPTY_KV)
            return transformer.leave(x, tokens, features[path], 1, kv)

        x = self.conv_in(fold_frames(latents[:, :, None]))
        if pose is not None:
            x = x + pose
        x, skips = self.encode(x, run_layer)
        self.up_blocks.decode(x, skips, run_layer)
        return features


def first_attention_block(config: UNetConfig) -> int:
    """The first level, from the full size down, that has transformers."""
    return (
        config.attention.index(True)
        if any(config.attention)
        else len(config.block_channels)
    )


def unused_keys(config: UNetConfig) -> tuple[str, ...]:
    """Prefixes of keys that a whole UNet's file has and a `ReferenceNet` doesn't.

    For a config with transformers at the full size, as all published files have.
    """
    last = (
        f"up_blocks.{len(config.block_channels) - 1}.attentions.{config.layers_per_block}"
    )
    inside = ("attn1", "attn2", "norm2", "norm3", "ff")
    return (
        *(f"{last}.transformer_blocks.0.{part}." for part in inside),
        f"{last}.proj_out.",
        "conv_norm_out.",
        "conv_out.",
    )
