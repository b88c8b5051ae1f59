"""Events that the process of a slot sends, and what it holds while it waits."""

import queue
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from animcli.batch import worker
from animcli.batch.worker import (
    TellProgress,
    Throttle,
    _do,
    give_back,
    next_request,
)
from animcli.rendering import kept, loading


def test_what_begins_is_told_at_once_and_what_goes_on_now_and_then() -> None:
    sent: list[tuple[str, int]] = []

    def work(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
        for what in ("looking at the reference", "denoising"):
            for done in range(50):
                tell(what, done, 50)
        return {"exit_code": 0}

    def send(event: str, **facts: Any) -> None:
        sent.append((facts["what"], facts["done"]))

    _do(work, {"id": 1}, send)
    begun = [sent.index((what, 0)) for what in ("looking at the reference", "denoising")]
    assert begun[0] == 0
    assert sent[begun[1] - 1] == ("looking at the reference", 49)
    assert sent[-1] == ("denoising", 49)
    assert len(sent) < 10


def test_the_last_value_is_told_though_none_comes_after_it() -> None:
    heard: queue.Queue[tuple[str, int, int]] = queue.Queue()
    progress = Throttle(lambda *value: heard.put(value))
    for done in range(4):
        progress.tell("denoising", done, 25)
    assert heard.get(timeout=60) == ("denoising", 0, 25)
    value = heard.get(timeout=60)
    while value != ("denoising", 3, 25):  # a machine that pauses may tell one between
        value = heard.get(timeout=60)
    progress.tell("denoising", 4, 25)
    progress.close()
    while value != ("denoising", 4, 25):
        value = heard.get(timeout=60)
    with pytest.raises(queue.Empty):
        heard.get(timeout=0.7)  # nothing after the end, and nothing twice


def test_a_process_that_waits_for_long_gives_its_device_back_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone: list[int] = []
    monkeypatch.setattr(worker, "give_back", lambda: gone.append(1))
    requests: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
    requests.put({"id": 1})
    assert next_request(requests, 10) == {"id": 1}
    assert gone == []
    threading.Timer(0.2, requests.put, [{"id": 2}]).start()
    assert next_request(requests, 0.01) == {"id": 2}
    assert gone == [1]


def test_what_is_given_back_are_weights_that_a_render_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freed: list[torch.device] = []
    monkeypatch.setattr(loading, "free_memory", freed.append)
    monkeypatch.setattr(kept, "_kept", None)
    give_back()
    assert freed == []
    store = kept.Kept()
    store.tensors["file", 0, 0, "cpu", "float32", ""] = {"weight": torch.zeros(3)}
    monkeypatch.setattr(kept, "_kept", store)
    give_back()
    assert store.tensors == {}
    assert len(freed) == 1
