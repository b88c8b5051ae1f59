"""Self-attention that can also look at a reference picture.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.2 (spatial attention);
Xu et al., "MagicAnimate", arXiv:2311.16498, section 3.2. Attribute names are those of the
published checkpoints.

Shapes: b samples, f frames, n positions in a frame, r samples that look at a reference, m
positions in a reference, c channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyValue(NamedTuple):
    """What can be looked at: keys and values, (rows, tokens, c) each."""

    key: Tensor
    value: Tensor


class ReferenceAttention(nn.Module):
    """Every position looks at all positions of its frame, and of the sample's reference.

    The reference is an argument: the same call always gives the same result.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels can't be split over {heads} heads")
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def see(self, reference: Tensor) -> KeyValue:
        """Keys and values of reference features (r, m, c)."""
        return KeyValue(self.to_k(reference), self.to_v(reference))

    def forward(self, x: Tensor, frames: int, reference: KeyValue | None) -> Tensor:
        """`x` (b f, n, c), same shape back.

        The reference (r, m, c) belongs to the last r samples, and each serves all frames of
        its sample; the samples before, such as the unconditional half of guidance, look at
        themselves only.
        """
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        if reference is None:
            return self.to_out[0](attend(q, k, v, self.heads))
        alone = len(x) - len(reference.key) * frames
        answer = attend(
            q[alone:],
            join(k[alone:], reference.key),
            join(v[alone:], reference.value),
            self.heads,
        )
        if alone:
            answer = torch.cat(
                [attend(q[:alone], k[:alone], v[:alone], self.heads), answer]
            )
        return self.to_out[0](answer)


def join(own: Tensor, reference: Tensor) -> Tensor:
    """`own` (r f, n, c), then its sample's `reference` (r, m, c): (r f, n + m, c)."""
    own = own.unflatten(0, (len(reference), -1))  # (r, f, n, c)
    shown = reference[:, None].expand(-1, own.shape[1], -1, -1)
    return torch.cat([own, shown], dim=2).flatten(0, 1)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention of several heads: `q` (b, n, c) over `k` and `v` (b or 1, m, c)."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    answer = F.scaled_dot_product_attention(q, k, v)  # (b, heads, n, c / heads)
    return answer.transpose(1, 2).flatten(2)
