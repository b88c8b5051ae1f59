"""The plain parts of a Stable-Diffusion-1.5-shaped UNet: convolutions, norms, time.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models",
arXiv:2112.10752. Attribute names are those of the published checkpoints, so that files load
strictly.

Shapes: b samples, f frames, c channels, h by w positions. Inside a network the frames are
folded into the batch, sample by sample: `(b f, c, h, w)`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fold_frames(x: Tensor) -> Tensor:
    """`(b, c, f, h, w)` -> `(b f, c, h, w)`, channels last in memory."""
    folded = x.transpose(1, 2).flatten(0, 1)
    return folded.contiguous(memory_format=torch.channels_last)


def unfold_frames(x: Tensor, frames: int) -> Tensor:
    """`(b f, c, h, w)` -> `(b, c, f, h, w)`."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """`(b, c, h, w)` -> `(b, h w, c)`; free where channels are last in memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_picture(tokens: Tensor, height: int) -> Tensor:
    """`(b, h w, c)` -> `(b, c, h, w)`, channels last in memory."""
    return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


def pointwise(conv: nn.Conv2d, tokens: Tensor) -> Tensor:
    """A one by one convolution of tokens (b, n, c): a matrix product without copies."""
    return F.linear(tokens, conv.weight[:, :, 0, 0], conv.bias)


def add_to_samples(x: Tensor, extra: Tensor) -> Tensor:
    """`x` (b f, c, h, w) plus `extra` (b or 1, c, f, h, w); one row serves all samples."""
    rows = fold_frames(extra)
    return (x.unflatten(0, (-1, len(rows))) + rows).flatten(0, 1)


class GroupNorm(nn.GroupNorm):
    """Group norm of folded frames: each frame by itself, or a sample's frames jointly."""

    def __init__(
        self, groups: int, channels: int, *, eps: float = 1e-5, across_frames: bool = False
    ) -> None:
        super().__init__(groups, channels, eps=eps)
        self.across_frames = across_frames

    def forward(self, x: Tensor, frames: int = 1) -> Tensor:
        """Norm of `x` (b f, c, h, w), where each sample has `frames` frames."""
        if torch.is_grad_enabled() and self.weight.requires_grad and not x.requires_grad:
            # With channels last, the backward pass writes to a gradient that nobody wants
            # and crashes (torch 2.13). It is so in the first of the layers that learn.
            x = x.contiguous()
        if not self.across_frames or frames == 1:
            return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        if torch.is_grad_enabled():
            clip = unfold_frames(x, frames)
            clip = F.group_norm(clip, self.num_groups, self.weight, self.bias, self.eps)
            return fold_frames(clip)
        # With channels last, a sample's frames one below the other are a picture: no copy.
        tall = x.permute(0, 2, 3, 1).contiguous()  # (b f, h, w, c)
        tall = tall.unflatten(0, (-1, frames)).flatten(1, 2).permute(0, 3, 1, 2)
        tall = F.group_norm(tall, self.num_groups, self.weight, self.bias, self.eps)
        rows = tall.permute(0, 2, 3, 1).contiguous()  # (b, f h, w, c)
        return rows.unflatten(1, (frames, -1)).flatten(0, 1).permute(0, 3, 1, 2)


class ResnetBlock(nn.Module):
    """Norm, SiLU and convolution twice, told the time in between, added to the input."""

    def __init__(
        self,
        channels: int,
        width: int,
        time_width: int,
        *,
        groups: int,
        across_frames: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, channels, across_frames=across_frames)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, width)
        self.norm2 = GroupNorm(groups, width, across_frames=across_frames)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_shortcut = (
            nn.Identity() if channels == width else nn.Conv2d(channels, width, 1)
        )

    def forward(self, x: Tensor, time: Tensor, frames: int) -> Tensor:
        """`x` (b f, channels, h, w) and `time` (b, time_width) -> (b f, width, h, w).

        `time` is the embedding after its SiLU, which all blocks share.
        """
        shift = self.time_emb_proj(time).repeat_interleave(frames, dim=0)  # (b f, width)
        hidden = self.conv1(F.silu(self.norm1(x, frames), inplace=True))
        hidden += shift[:, :, None, None]
        hidden = self.conv2(F.silu(self.norm2(hidden, frames), inplace=True))
        hidden += self.shortcut(x)
        return hidden

    def shortcut(self, x: Tensor) -> Tensor:
        """`x` with the channels of the result; a matrix product where they are others."""
        if isinstance(self.conv_shortcut, nn.Conv2d):
            return to_picture(pointwise(self.conv_shortcut, to_tokens(x)), x.shape[-2])
        return x


class Downsample(nn.Module):
    """A convolution that halves height and width, rounding up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (b f, c, h, w) -> (b f, c, ceil(h / 2), ceil(w / 2))."""
        return self.conv(x)


class Upsample(nn.Module):
    """Nearest neighbours to a given size, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """`x` (b f, c, h, w) -> (b f, c, *size).

        The size is that of the skip tensor to be joined: it isn't always the double, since
        halving rounds up.
        """
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


class TimestepEmbedding(nn.Module):
    """Two linear layers on the sinusoids of a number: a timestep, or a motion strength."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, number: Tensor) -> Tensor:
        """`number` (b,) -> (b, width)."""
        waves = sinusoids(number, self.linear_1.in_features).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(waves)))


def sinusoids(number: Tensor, channels: int) -> Tensor:
    """Cosines, then sines, of `number` (b,) at falling frequencies: (b, channels) float32.

    Source: Vaswani et al., arXiv:1706.03762, section 3.5, with the halves swapped as in
    Stable Diffusion.
    """
    half = channels // 2
    index = torch.arange(half, dtype=torch.float32, device=number.device)
    angles = number[:, None].float() * torch.exp(index * (-math.log(10000) / half))
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
