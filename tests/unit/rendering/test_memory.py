"""A window is predicted in less memory where it ends, with the same result."""

from collections.abc import Callable

import pytest
import torch
from builders.tiny_networks import TINY, random
from builders.tiny_renders import request
from torch import Tensor, nn

from animcli.networks import attention
from animcli.networks.attention import FeedForward, works_in_parts
from animcli.networks.unet import KVCache, UNet
from animcli.rendering import memory, pipeline
from animcli.rendering.context import ContextWindow
from animcli.rendering.guidance import CFGInputs, Guidance
from animcli.rendering.loading import USABLE
from animcli.rendering.memory import DeepModelFn, MemoryPlan, WindowCalls
from animcli.rendering.vae import Autoencoder

PART = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
VIEWS = CFGInputs({"plain": None}, {"shown": None}, {"both": None})  # type: ignore[dict-item]


class Card:
    """Predicts, and runs out of memory unless the call is small enough."""

    def __init__(self, network: nn.Module, fits: Callable[[int, bool], bool]) -> None:
        self.network = network
        self.fits = fits
        self.calls: list[tuple[int, str]] = []

    def ask(self, clips: Tensor, kv_cache: KVCache, deep: None = None) -> Tensor:
        self.calls.append((len(clips), *kv_cache))
        in_parts = any(
            module.rows
            for module in self.network.modules()
            if isinstance(module, FeedForward)
        )
        if not self.fits(len(clips), in_parts):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        scale = torch.tensor(
            [2.0] if "plain" in kv_cache else [3.0] if "shown" in kv_cache else [2.0, 3.0]
        )
        return clips * scale[:, None, None, None, None]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """One that isn't on a CPU, as far as parts go."""
    monkeypatch.setattr(
        memory,
        "works_in_parts",
        lambda net: any(m.rows for m in net.modules() if isinstance(m, FeedForward)),
    )
    return UNet(TINY.unet)


EXPECTED = PART * 2 + 2.5 * (PART * 3 - PART * 2)


def predict(windows: WindowCalls, ask: DeepModelFn[KVCache]) -> Tensor:
    """The guided prediction for PART, as the only window of the first step."""
    window = ContextWindow(tuple(range(len(PART))), (1.0,) * len(PART))
    return windows.predict(PART, ask, step=0, window=window, guided=True, inputs=VIEWS)


@pytest.mark.parametrize(
    ("fits", "calls", "notes"),
    [
        (lambda rows, parts: True, [(2, "both")], []),
        (
            lambda rows, parts: rows == 1,
            [(2, "both"), (1, "plain"), (1, "shown")],
            [memory.SPLIT_CFG_BATCH],
        ),
        (
            lambda rows, parts: rows == 1 and parts,
            [(2, "both"), (1, "plain"), (1, "plain"), (1, "shown")],
            [memory.SPLIT_CFG_BATCH, memory.CHUNK_FEED_FORWARD],
        ),
    ],
)
def test_less_is_tried_until_it_fits_and_is_remembered(
    network: nn.Module,
    fits: Callable[[int, bool], bool],
    calls: list[tuple[int, str]],
    notes: list[str],
) -> None:
    said: list[str] = []
    card = Card(network, fits)
    windows = WindowCalls(
        network, Guidance(2.5), MemoryPlan(cfg_batch=True, warn=said.append)
    )
    found = predict(windows, card.ask)
    torch.testing.assert_close(found, EXPECTED)
    assert card.calls == calls
    assert said == notes
    before = len(card.calls)
    predict(windows, card.ask)
    assert len(card.calls) - before == (2 if notes else 1)  # the first try fits now


@pytest.mark.parametrize(
    ("windows", "cfg_batch", "in_parts"),
    [(None, False, False), (3.0, True, False), (1.9, False, False), (0.9, False, True)],
)
def test_a_render_is_planned_with_the_memory_that_is_free(
    windows: float | None, cfg_batch: bool, in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request({}, 3)
    window = pipeline.window_bytes(asked.preset, asked.frames, TINY.unet, "cpu")
    free = None if windows is None else int(windows * window / USABLE) + 1
    monkeypatch.setattr(pipeline, "free_on", lambda device: free)
    context = pipeline.DenoisingContext(
        asked, Autoencoder(nn.Identity()), torch.device("cpu"), torch.float32, print
    )
    plan = context.memory_plan(TINY.unet)
    assert (plan.cfg_batch, plan.in_parts) == (cfg_batch, in_parts)


def test_weights_that_nobody_uses_go_before_a_call_is_made_smaller(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    waiting = [True]
    card = Card(network, lambda rows, parts: not waiting)
    monkeypatch.setattr(memory, "let_go", lambda: bool(waiting) and waiting.pop())
    windows = WindowCalls(
        network, Guidance(2.5), MemoryPlan(cfg_batch=True, warn=said.append)
    )
    torch.testing.assert_close(predict(windows, card.ask), EXPECTED)
    assert card.calls == [(2, "both")] * 2
    assert said == []


def test_a_render_is_planned_without_the_weights_that_nobody_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = request({}, 3)
    window = pipeline.window_bytes(asked.preset, asked.frames, TINY.unet, "cpu")
    free = [int(1.9 * window / USABLE)]
    monkeypatch.setattr(pipeline, "free_on", lambda device: free[-1])

    def let_go() -> bool:
        free.append(int(2 * window / USABLE) + 1)
        return True

    monkeypatch.setattr(pipeline, "let_go", let_go)
    context = pipeline.DenoisingContext(
        asked, Autoencoder(nn.Identity()), torch.device("cpu"), torch.float32, print
    )
    assert context.memory_plan(TINY.unet).cfg_batch


def test_where_nothing_is_left_to_save_the_error_comes_up(network: nn.Module) -> None:
    card = Card(network, lambda rows, parts: False)
    windows = WindowCalls(network, Guidance(2.5), MemoryPlan(cfg_batch=True))
    with pytest.raises(torch.OutOfMemoryError):
        predict(windows, card.ask)
    assert len(card.calls) == 3


def test_other_errors_are_not_tried_again(network: nn.Module) -> None:
    def broken(clips: Tensor, kv_cache: KVCache, deep: None) -> Tensor:
        raise RuntimeError("device-side assert triggered")

    windows = WindowCalls(network, Guidance(2.5), MemoryPlan(cfg_batch=True))
    with pytest.raises(RuntimeError, match="assert"):
        predict(windows, broken)


def test_a_network_that_is_to_be_warm_meets_all_shapes_in_the_first_window(
    network: nn.Module,
) -> None:
    card = Card(network, lambda rows, parts: True)
    interval = Guidance(2.5, stop=0.8)
    windows = WindowCalls(network, interval, MemoryPlan(cfg_batch=True, warm=True))
    predict(windows, card.ask)
    assert card.calls == [(1, "shown"), (2, "both")]
    predict(windows, card.ask)
    assert card.calls[2:] == [(2, "both")]


def test_layers_in_parts_on_another_device_give_what_they_give_at_once() -> None:
    torch.manual_seed(0)
    network = random(UNet(TINY.unet)).to("meta")
    assert not works_in_parts(network)
    attention.work_in_parts(network)
    assert works_in_parts(network)
    layer = FeedForward(16)
    tokens = torch.randn(2, 50, 16)
    with torch.inference_mode():
        at_once = layer.net(tokens)
        layer.rows = 7
        parts = [layer.net(rows) for rows in tokens.flatten(0, -2).split(layer.rows)]
        torch.testing.assert_close(
            torch.cat(parts).view_as(tokens), at_once, rtol=0, atol=1e-6
        )
