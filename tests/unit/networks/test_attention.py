"""Feed-forward layers give the same in parts and at once."""

import torch

from animcli.networks.attention import ROWS_IN_CACHE, FeedForward


def test_tokens_in_parts_give_what_they_give_at_once() -> None:
    torch.manual_seed(0)
    layer = FeedForward(16)
    tokens = torch.randn(3, ROWS_IN_CACHE, 16)
    at_once = layer(tokens).detach()
    with torch.inference_mode():
        in_parts = layer(tokens)
        few = layer(tokens[:, :5])
    # Sums over 16 and 64 numbers of size 1 in another order.
    torch.testing.assert_close(in_parts, at_once, rtol=0, atol=1e-6)
    torch.testing.assert_close(few, at_once[:, :5], rtol=0, atol=1e-6)


def test_half_of_the_layer_gates_the_other() -> None:
    torch.manual_seed(0)
    gated = FeedForward(8).net[0]
    tokens = torch.randn(2, 3, 8)
    value, gate = gated.proj(tokens).chunk(2, dim=-1)
    expected = value * torch.nn.functional.gelu(gate)
    torch.testing.assert_close(gated(tokens), expected, rtol=0, atol=1e-6)
