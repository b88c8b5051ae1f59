"""Attention to own and reference positions, to a context, over time; their transformer.

Reference attention. Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.2
(spatial attention); Xu et al., "MagicAnimate", arXiv:2311.16498, section 3.2.

Attention over time, as Cinemo has it: every position looks at itself in all frames. Where
two frames lie is told twice: by turning queries and keys (Su et al., "RoFormer",
arXiv:2104.09864, section 3.2.2), in the first channels of a head only, and by a learned
bias for each distance (Raffel et al., "T5", arXiv:1910.10683, section 2.1). Neither depends
on the pictures; both are worked out once. Source: Ma et al., "Cinemo", arXiv:2407.15642, on
the network of Wang et al., "LaVie", arXiv:2309.15103, section 3.2.

What a block looks at besides its own frames (text, the reference picture) stays the same
over frames and windows. Its keys and values are therefore worked out once, outside the
forward pass (`SpatialTransformer.cache_kv`), and handed in as a `BlockKV`. Attribute names
are those of the published checkpoints, so that files load strictly.

Shapes: b samples, f frames, n positions in a frame, r samples that look at a reference, m
positions in a reference or tokens of a context, c channels, d channels of a head.
"""

import math
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.layers import GroupNorm, pointwise, to_picture, to_tokens
from animcli.networks.parts import scaled_attention


class KeyValue(NamedTuple):
    """Keys and values of an attention, (rows, tokens, c) each."""

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

    def cache_kv(self, reference: Tensor) -> KeyValue:
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
    answer = scaled_attention(q, k, v)  # (b, heads, n, c / heads)
    return answer.transpose(1, 2).flatten(2)


ROTARY_DIM: Final = 32
"""Channels of a head that are turned, at every level; the others pass."""

BUCKETS: Final = 32
"""Distances that have a bias of their own: half of them back, half forward."""

_FARTHEST: Final = 32
"""Frames from which on all distances share the last bucket."""


class RotaryCache(NamedTuple):
    """Order of frames as attention over time uses it: position bias and rotary angles.

    bias: added to the logits, (heads, f asking, f answering).
    cosine, sine: of the angles by which a frame is turned, (f, ROTARY_DIM / 2).
    """

    bias: Tensor
    cosine: Tensor
    sine: Tensor


class RelativeBias(nn.Module):
    """Learned bias of each head for a distance in time."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, frames: int) -> Tensor:
        """The bias of a clip, (heads, frames asking, frames answering)."""
        table = distance_buckets(frames).to(self.relative_attention_bias.weight.device)
        return self.relative_attention_bias(table).permute(2, 0, 1)


class TemporalSelfAttention(nn.Module):
    """Every position of every frame looks at the same position in all frames.

    It changes nothing until it has been trained.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels < ROTARY_DIM * heads:
            raise ValueError(
                f"{channels} channels leave {heads} heads fewer than {ROTARY_DIM} to turn"
            )
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        out = nn.Linear(channels, channels)
        nn.init.zeros_(out.weight)
        self.to_out = nn.ModuleList([out])
        self.time_rel_pos_bias = RelativeBias(heads)

    def cache_rotary(self, frames: int) -> RotaryCache:
        """Compute bias and rotary angles for a clip of `frames` frames."""
        bias = self.time_rel_pos_bias(frames)
        angles = rotary_angles(frames).to(bias.device)
        return RotaryCache(bias, angles.cos().to(bias.dtype), angles.sin().to(bias.dtype))

    def forward(self, x: Tensor, rotary: RotaryCache) -> Tensor:
        """`x` (b f, n, c), same shape back."""
        frames = len(rotary.cosine)
        q, k, v = (
            self._by_position(to(x), frames) for to in (self.to_q, self.to_k, self.to_v)
        )
        answer = scaled_attention(
            apply_rotary(q, rotary), apply_rotary(k, rotary), v, rotary.bias
        )  # (b n, heads, f, d)
        answer = answer.transpose(1, 2).flatten(2)  # (b n, f, c)
        answer = answer.unflatten(0, (-1, x.shape[1])).transpose(1, 2).flatten(0, 1)
        return self.to_out[0](answer)

    def _by_position(self, x: Tensor, frames: int) -> Tensor:
        """`(b f, n, c)` -> `(b n, heads, f, d)`."""
        x = x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)  # (b n, f, c)
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def apply_rotary(x: Tensor, rotary: RotaryCache) -> Tensor:
    """Turn each pair of the first channels of `x` (..., f, d) by its frame's angle."""
    first, rest = x[..., :ROTARY_DIM], x[..., ROTARY_DIM:]
    left, right = first[..., 0::2], first[..., 1::2]  # (..., f, ROTARY_DIM / 2)
    pairs = torch.stack(
        [
            left * rotary.cosine - right * rotary.sine,
            right * rotary.cosine + left * rotary.sine,
        ],
        dim=-1,
    )
    return torch.cat([pairs.flatten(-2), rest], dim=-1)


def rotary_angles(frames: int) -> Tensor:
    """The angle of each pair of channels in each frame, (frames, ROTARY_DIM / 2) radians.

    Frame 0 isn't turned; pair i turns by 10000^(-2 i / ROTARY_DIM) from frame to frame.
    """
    pair = torch.arange(0, ROTARY_DIM, 2, dtype=torch.float32)
    frequencies = 1.0 / 10000.0 ** (pair / ROTARY_DIM)
    return torch.arange(frames, dtype=torch.float32)[:, None] * frequencies


def distance_buckets(frames: int) -> Tensor:
    """The bucket of every frame's distance from every other, (frames, frames) int64.

    Rows ask, columns answer. Of the half that is for one direction, half is for the
    smallest distances, one each; the rest is spaced by logarithm up to `_FARTHEST`.
    """
    place = torch.arange(frames)
    distance = place[None, :] - place[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    far = distance.abs().clamp(min=1).float()
    spaced = torch.log(far / exact) / math.log(_FARTHEST / exact) * (half - exact)
    spaced = (exact + spaced.long()).clamp(max=half - 1)
    near = distance.abs() < exact
    return half * (distance > 0) + torch.where(near, distance.abs(), spaced)


ROWS_IN_CACHE: Final = 1024
"""Tokens whose gated layer a CPU keeps in its cache: on one core of a Zen 4 the layer
of 320 channels does 78 GFLOP/s with 8192 tokens in such parts, and 64 at once."""


ROWS_ON_GPU: Final = 1 << 14
"""Tokens of a part where memory is short: 84 MB of gates in float16 at 320 channels, and
still enough rows to keep a card busy."""


class BlockKV(NamedTuple):
    """Keys and values of one transformer, besides those of its own frames.

    context: keys and values of the context; or, where the context is one token, what the
        attention to it answers, (b, 1, c): with one key the question doesn't matter.
    reference: keys and values of the reference picture, for the last samples of a batch.
    rotary: that of the frames, where the transformer looks over time.
    """

    context: KeyValue | Tensor | None = None
    reference: KeyValue | None = None
    rotary: RotaryCache | None = None


class CrossAttention(nn.Module):
    """Every position of every frame looks at the sample's context."""

    def __init__(self, channels: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_dim, channels, bias=False)
        self.to_v = nn.Linear(context_dim, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def cache_kv(self, context: Tensor) -> KeyValue | Tensor:
        """Project `context` (b, m, context_dim) to keys and values."""
        if context.shape[1] == 1:
            return self.to_out[0](self.to_v(context))
        return KeyValue(self.to_k(context), self.to_v(context))

    def forward(self, x: Tensor, context: KeyValue) -> Tensor:
        """`x` (b f, n, c) asks, the context (b or 1, m, c) answers: (b f, n, c)."""
        q = self.to_q(x).reshape(len(context.key), -1, x.shape[-1])  # (b, f n, c)
        answer = attend(q, context.key, context.value, self.heads)
        return self.to_out[0](answer).view_as(x)


class GEGLU(nn.Module):
    """A linear layer, half of which opens and closes the other half (GEGLU).

    Source: Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (..., channels) -> (..., width)."""
        weights, biases = self.proj.weight.chunk(2), self.proj.bias.chunk(2)
        value, gate = (F.linear(x, w, b) for w, b in zip(weights, biases, strict=True))
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """A gated layer four times as wide, and back.

    rows: tokens that go through at once on a GPU, or None for all: they are 3/10 of what is
        alive in a window. A CPU has its own number.
    """

    rows: int | None = None

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The middle place is that of a dropout, which has no weights.
        self.net = nn.Sequential(
            GEGLU(channels, 4 * channels),
            nn.Identity(),
            nn.Linear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`x` (..., c) -> (..., c)."""
        rows = ROWS_IN_CACHE if x.device.type == "cpu" else self.rows
        if torch.is_grad_enabled() or rows is None:
            return self.net(x)
        parts = [self.net(part) for part in x.flatten(0, -2).split(rows)]
        return torch.cat(parts).view_as(x)


class TapNorm(nn.Module):
    """Rest of a transformer block of which only the first norm is used."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)


class TransformerBlock(TapNorm):
    """Attention to own and reference positions, to the context, over time; feed-forward.

    context_dim: 0 for a block that has no context to look at.
    over_time: whether it looks at the other frames, as in Cinemo.
    """

    def __init__(
        self, channels: int, context_dim: int, heads: int, *, over_time: bool = False
    ) -> None:
        super().__init__(channels)
        self.attn1 = ReferenceAttention(channels, heads)
        self.norm2: nn.LayerNorm | None = None
        self.attn2: CrossAttention | None = None
        if context_dim:
            self.norm2 = nn.LayerNorm(channels)
            self.attn2 = CrossAttention(channels, context_dim, heads)
        self.norm_temp: nn.LayerNorm | None = None
        self.attn_temp: TemporalSelfAttention | None = None
        if over_time:
            self.norm_temp = nn.LayerNorm(channels)
            self.attn_temp = TemporalSelfAttention(channels, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor, normed: Tensor, frames: int, kv: BlockKV) -> Tensor:
        """`x` (b f, n, c) and `normed`, which is `norm1(x)`, -> (b f, n, c)."""
        x = x + self.attn1(normed, frames, kv.reference)
        if isinstance(kv.context, Tensor):
            x = (x.unflatten(0, (-1, frames)) + kv.context[:, None]).flatten(0, 1)
        elif kv.context is not None and self.attn2 is not None and self.norm2 is not None:
            x = x + self.attn2(self.norm2(x), kv.context)
        if self.attn_temp is not None and self.norm_temp is not None:
            if kv.rotary is None:
                raise ValueError("a transformer that looks over time wasn't told the order")
            x = x + self.attn_temp(self.norm_temp(x), kv.rotary)
        return x + self.ff(self.norm3(x))


class ReferenceTap(nn.Module):
    """A spatial transformer up to what its self-attention looks at."""

    def __init__(self, channels: int, *, groups: int, block: TapNorm) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([block])

    @property
    def block(self) -> TapNorm:
        """The one block; published files number it."""
        return cast("TapNorm", self.transformer_blocks[0])

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens of `x` (b f, c, h, w) and their norm, (b f, h w, c) each.

        The norm is what the self-attention looks at, and so what a reference shows.
        """
        tokens = pointwise(self.proj_in, to_tokens(self.norm(x)))
        return tokens, self.block.norm1(tokens)


class SpatialTransformer(ReferenceTap):
    """One transformer block over the positions of each frame, added to its input."""

    def __init__(
        self,
        channels: int,
        context_dim: int,
        *,
        heads: int,
        groups: int,
        over_time: bool = False,
    ) -> None:
        block = TransformerBlock(channels, context_dim, heads, over_time=over_time)
        super().__init__(channels, groups=groups, block=block)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    @property
    def block(self) -> TransformerBlock:
        """The one block; published files number it."""
        return cast("TransformerBlock", self.transformer_blocks[0])

    def cache_kv(
        self, context: Tensor | None, reference: Tensor | None, frames: int = 0
    ) -> BlockKV:
        """Project a context (b, m, *) and reference features to keys and values.

        `reference` (r, n, c): what `enter` gave for the reference picture.
        `frames`: of a clip, where the transformer looks over time.
        """
        attn1, attn2, over_time = self.block.attn1, self.block.attn2, self.block.attn_temp
        return BlockKV(
            attn2.cache_kv(context) if attn2 is not None and context is not None else None,
            attn1.cache_kv(reference) if reference is not None else None,
            over_time.cache_rotary(frames) if over_time is not None else None,
        )

    def forward(self, x: Tensor, frames: int, kv: BlockKV) -> Tensor:
        """`x` (b f, c, h, w), same shape back."""
        return self.leave(x, *self.enter(x), frames, kv)

    def leave(
        self, x: Tensor, tokens: Tensor, normed: Tensor, frames: int, kv: BlockKV
    ) -> Tensor:
        """The rest of `forward` after `enter`."""
        tokens = pointwise(self.proj_out, self.block(tokens, normed, frames, kv))
        return x + to_picture(tokens, x.shape[-2])


def work_in_parts(network: nn.Module) -> None:
    """Have the feed-forward layers of a network work in parts on a GPU, too."""
    for module in network.modules():
        if isinstance(module, FeedForward):
            module.rows = ROWS_ON_GPU


def works_in_parts(network: nn.Module) -> bool:
    """Tell if `work_in_parts` was called for a network, or it is on a CPU."""
    on_cpu = all(each.device.type == "cpu" for each in network.parameters())
    layers = [each for each in network.modules() if isinstance(each, FeedForward)]
    return on_cpu or all(each.rows is not None for each in layers)
