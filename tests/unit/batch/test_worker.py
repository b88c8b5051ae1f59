"""Events that the process of a slot sends."""

import queue
from collections.abc import Mapping
from typing import Any

import pytest

from animcli.batch.worker import TellProgress, Throttle, _do


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
