"""Attention in parts gives what it gives at once, and no call is larger than allowed."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from animcli.networks import parts
from animcli.networks.attention import attend
from animcli.networks.parts import LIMITS, AttentionLimits, scaled_attention

Call = tuple[int, int]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Rows and scores of each call of torch's attention."""
    made: list[Call] = []
    whole = functional.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        rows, heads, queries, _ = q.shape
        made.append((rows, rows * heads * queries * k.shape[-2]))
        return whole(q, k, v, attn_mask=attn_mask)

    monkeypatch.setattr(parts.F, "scaled_dot_product_attention", watched)
    return made


def given(rows: int, biased: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    torch.manual_seed(0)
    q, k, v = (torch.randn(rows, 2, length, 4) for length in (9, 7, 7))
    return q, k, v, torch.randn(2, 9, 7) if biased else None


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (AttentionLimits(3, 1 << 62), 3),
        (AttentionLimits(1 << 62, 2 * 2 * 9 * 7), 2),
        (
            AttentionLimits(1 << 62, 2 * 4 * 7),
            1,
        ),  # less than a row: queries go in parts, too
    ],
)
def test_parts_give_what_they_give_at_once(
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
    limits: AttentionLimits,
    most: int,
    biased: bool,
) -> None:
    q, k, v, bias = given(8, biased)
    at_once = scaled_attention(q, k, v, bias)
    monkeypatch.setitem(LIMITS, "cpu", limits)
    calls.clear()
    in_parts = scaled_attention(q, k, v, bias)
    # Sums over seven keys in another order.
    torch.testing.assert_close(in_parts, at_once, rtol=0, atol=1e-6)
    assert max(rows for rows, _ in calls) == most
    assert all(scores <= limits.scores for _, scores in calls)
    assert len(calls) > 1


def test_one_row_of_keys_serves_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v, _ = given(8, biased=False)
    at_once = scaled_attention(q, k[:1], v[:1])
    monkeypatch.setitem(LIMITS, "cpu", AttentionLimits(3, 1 << 62))
    in_parts = scaled_attention(q, k[:1], v[:1])
    torch.testing.assert_close(in_parts, at_once, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("device", "shape", "own"),
    [
        # A window of Animate Anyone at 512x784: 24 frames of 6272 positions, and as many of
        # the reference; MPS would abort the process.
        ("mps", (24, 6272, 320), (24, 12544, 320)),
        # Attention over time at 2048x2048 has a row for each of 65,536 positions.
        ("cuda", (65_536, 24, 320), (65_536, 24, 320)),
    ],
)
def test_published_sizes_stay_within_what_a_device_can_do(
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
    device: str,
    shape: tuple[int, ...],
    own: tuple[int, ...],
) -> None:
    monkeypatch.setitem(LIMITS, "meta", LIMITS[device])
    q = torch.empty(shape, device="meta")
    k = torch.empty(own, device="meta")
    assert attend(q, k, k, heads=8).shape == shape
    assert all(rows <= LIMITS[device].rows for rows, _ in calls)
    assert all(scores <= LIMITS[device].scores for _, scores in calls)
    assert len(calls) > 1
