"""Attention over time inside a transformer block, as Cinemo has it.

Every position looks at itself in all frames. Where two frames lie is told twice: by turning
queries and keys (Su et al., "RoFormer", arXiv:2104.09864, section 3.2.2), in the first
channels of a head only, and by a learned bias for each distance (Raffel et al., "T5",
arXiv:1910.10683, section 2.1). Neither depends on the pictures; both are worked out once.

Source: Ma et al., "Cinemo", arXiv:2407.15642, on the network of Wang et al., "LaVie",
arXiv:2309.15103, section 3.2. Attribute names are those of the published checkpoints.

Shapes: b samples, f frames, n positions in a frame, c channels, d channels of a head.
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TURNED: Final = 32
"""Channels of a head that are turned, at every level; the others pass."""

BUCKETS: Final = 32
"""Distances that have a bias of their own: half of them back, half forward."""

FARTHEST: Final = 32
"""Frames from which on all distances share the last bucket."""


class FrameOrder(NamedTuple):
    """What an attention over time knows of the order of its frames.

    bias: added to the logits, (heads, f asking, f answering).
    cosine, sine: of the angles by which a frame is turned, (f, TURNED / 2).
    """

    bias: Tensor
    cosine: Tensor
    sine: Tensor


class RelativeBias(nn.Module):
    """What each head adds for a distance in time."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, frames: int) -> Tensor:
        """The bias of a clip, (heads, frames asking, frames answering)."""
        table = distance_buckets(frames).to(self.relative_attention_bias.weight.device)
        return self.relative_attention_bias(table).permute(2, 0, 1)


class FrameAttention(nn.Module):
    """Every position of every frame looks at the same position in all frames.

    It changes nothing until it has been trained.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels < TURNED * heads:
            raise ValueError(
                f"{channels} channels leave {heads} heads fewer than {TURNED} to turn"
            )
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        out = nn.Linear(channels, channels)
        nn.init.zeros_(out.weight)
        self.to_out = nn.ModuleList([out])
        self.time_rel_pos_bias = RelativeBias(heads)

    def see(self, frames: int) -> FrameOrder:
        """What `forward` needs for a clip of `frames` frames."""
        bias = self.time_rel_pos_bias(frames)
        angles = frame_angles(frames).to(bias.device)
        return FrameOrder(bias, angles.cos().to(bias.dtype), angles.sin().to(bias.dtype))

    def forward(self, x: Tensor, order: FrameOrder) -> Tensor:
        """`x` (b f, n, c), same shape back."""
        frames = len(order.cosine)
        q, k, v = (
            self._by_position(to(x), frames) for to in (self.to_q, self.to_k, self.to_v)
        )
        answer = F.scaled_dot_product_attention(
            turn(q, order), turn(k, order), v, attn_mask=order.bias
        )  # (b n, heads, f, d)
        answer = answer.transpose(1, 2).flatten(2)  # (b n, f, c)
        answer = answer.unflatten(0, (-1, x.shape[1])).transpose(1, 2).flatten(0, 1)
        return self.to_out[0](answer)

    def _by_position(self, x: Tensor, frames: int) -> Tensor:
        """`(b f, n, c)` -> `(b n, heads, f, d)`."""
        x = x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)  # (b n, f, c)
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def turn(x: Tensor, order: FrameOrder) -> Tensor:
    """Turn each pair of the first channels of `x` (..., f, d) by its frame's angle."""
    first, rest = x[..., :TURNED], x[..., TURNED:]
    left, right = first[..., 0::2], first[..., 1::2]  # (..., f, TURNED / 2)
    pairs = torch.stack(
        [
            left * order.cosine - right * order.sine,
            right * order.cosine + left * order.sine,
        ],
        dim=-1,
    )
    return torch.cat([pairs.flatten(-2), rest], dim=-1)


def frame_angles(frames: int) -> Tensor:
    """The angle of each pair of channels in each frame, (frames, TURNED / 2) radians.

    Frame 0 isn't turned; pair i turns by 10000^(-2 i / TURNED) from frame to frame.
    """
    pair = torch.arange(0, TURNED, 2, dtype=torch.float32)
    frequencies = 1.0 / 10000.0 ** (pair / TURNED)
    return torch.arange(frames, dtype=torch.float32)[:, None] * frequencies


def distance_buckets(frames: int) -> Tensor:
    """The bucket of every frame's distance from every other, (frames, frames) int64.

    Rows ask, columns answer. Of the half that is for one direction, half is for the
    smallest distances, one each; the rest is spaced by logarithm up to `FARTHEST`.
    """
    place = torch.arange(frames)
    distance = place[None, :] - place[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    far = distance.abs().clamp(min=1).float()
    spaced = torch.log(far / exact) / math.log(FARTHEST / exact) * (half - exact)
    spaced = (exact + spaced.long()).clamp(max=half - 1)
    near = distance.abs() < exact
    return half * (distance > 0) + torch.where(near, distance.abs(), spaced)
