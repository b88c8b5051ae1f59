"""Attention in parts, where a device can't do all of it in one call.

The parts are rows of the batch, or queries: each is answered by itself either way, so that
the result is the same. Shapes: b rows, n queries, m keys, d channels of a head.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class AttentionLimits(NamedTuple):
    """The most that one call of attention may hold on a kind of device.

    rows: of the batch.
    scores: b * heads * n * m.
    """

    rows: int
    scores: int


UNLIMITED: Final = AttentionLimits(1 << 62, 1 << 62)

LIMITS: Final[dict[str, AttentionLimits]] = {
    # The grid of a fused kernel has 16 bits for the batch: beyond it the kernel fails, or
    # gives way to one that builds all scores (pytorch#142228, #146704).
    "cuda": AttentionLimits(65_535, 1 << 62),
    # Builds all scores, and counts them in 32 bits: 2**32 bytes abort the process
    # (pytorch#149261), 2**31 scores are silently wrong.
    "mps": AttentionLimits(1 << 62, 1 << 28),
}


def scaled_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention of `q` (b, heads, n, d) to `k` and `v` (b or 1, heads, m, d).

    bias: added to the scores, (heads, n, m).
    """
    limits = LIMITS.get(q.device.type, UNLIMITED)
    rows, heads, queries, _ = q.shape
    scores = heads * k.shape[-2]  # of one query of one row
    if rows <= limits.rows and rows * scores * queries <= limits.scores:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    if rows > 1:
        size = max(min(limits.rows, limits.scores // (scores * queries)), 1)
        one = len(k) == 1
        parts = [
            scaled_attention(
                q[i : i + size], k if one else k[i : i + size],
                v if one else v[i : i + size], bias,
            )
            for i in range(0, rows, size)
        ]  # fmt: skip
        return torch.cat(parts)
    size = max(limits.scores // scores, 1)
    parts = [
        F.scaled_dot_product_attention(
            q[:, :, i : i + size], k, v,
            attn_mask=None if bias is None else bias[:, i : i + size],
        )
        for i in range(0, queries, size)
    ]  # fmt: skip
    return torch.cat(parts, dim=2)
