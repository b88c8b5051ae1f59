"""Motion modules: every position looks at itself in the other frames.

Source: Guo et al., "AnimateDiff", arXiv:2307.04725, section 4.2, as used by Animate Anyone
and MagicAnimate. Attribute names are those of the published checkpoints.

Shapes: b samples, f frames, n positions in a frame, c channels.
"""

import math

import torch
from torch import Tensor, nn

from animcli.networks.attention import FeedForward, attend
from animcli.networks.layers import GroupNorm, to_picture, to_tokens


class FramePositions(nn.Module):
    """Adds to each frame the sinusoids of its place in the window."""

    pe: Tensor

    def __init__(self, channels: int, max_frames: int) -> None:
        super().__init__()
        place = torch.arange(max_frames, dtype=torch.float32)[:, None]
        rate = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
        table = torch.zeros(1, max_frames, channels)
        table[0, :, 0::2] = torch.sin(place * rate)
        table[0, :, 1::2] = torch.cos(place * rate)
        self.register_buffer("pe", table)  # published files hold it

    def forward(self, x: Tensor) -> Tensor:
        """`x` (rows, f, c), same shape back.

        Raises ValueError if there are more frames than positions.
        """
        frames, max_frames = x.shape[1], self.pe.shape[1]
        if frames > max_frames:
            raise ValueError(f"the motion modules know {max_frames} frames, got {frames}")
        return x + self.pe[:, :frames]


class TemporalAttention(nn.Module):
    """Every frame looks at all frames of the window, at the same position."""

    def __init__(self, channels: int, heads: int, max_frames: int) -> None:
        super().__init__()
        self.heads = heads
        self.pos_encoder = FramePositions(channels, max_frames)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """`x` (b n, f, c), same shape back."""
        x = self.pos_encoder(x)
        return self.to_out[0](attend(self.to_q(x), self.to_k(x), self.to_v(x), self.heads))


class TemporalBlock(nn.Module):
    """Two attentions over time and a feed-forward layer, each added to its input."""

    def __init__(self, channels: int, heads: int, max_frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(
            TemporalAttention(channels, heads, max_frames) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.ff = FeedForward(channels)
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (b n, f, c), same shape back."""
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            x = x + attention(norm(x))
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    """Norm of each frame, one block over time between two linear layers, and the input."""

    def __init__(self, channels: int, *, heads: int, max_frames: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            [TemporalBlock(channels, heads, max_frames)]
        )
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """`x` (b f, c, h, w), same shape back."""
        tokens = self.proj_in(to_tokens(self.norm(x)))  # (b f, n, c)
        tokens = tokens.unflatten(0, (-1, frames)).transpose(1, 2)  # (b, n, f, c)
        samples = len(tokens)
        # Contiguous, or each product copies, or is a batch of many.
        tokens = tokens.flatten(0, 1).contiguous()  # (b n, f, c)
        tokens = self.proj_out(self.transformer_blocks[0](tokens))
        tokens = tokens.unflatten(0, (samples, -1)).transpose(1, 2).flatten(0, 1)
        return x + to_picture(tokens, x.shape[-2])


class MotionModule(nn.Module):
    """A temporal transformer that changes nothing until it has been trained."""

    def __init__(
        self, channels: int, *, heads: int = 8, max_frames: int = 32, groups: int = 32
    ) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(
            channels, heads=heads, max_frames=max_frames, groups=groups
        )
        nn.init.zeros_(self.temporal_transformer.proj_out.weight)
        nn.init.zeros_(self.temporal_transformer.proj_out.bias)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """`x` (b f, c, h, w), same shape back."""
        return self.temporal_transformer(x, frames)
