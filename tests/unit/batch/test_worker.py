"""Events that the process of a slot sends."""

import threading
from collections.abc import Mapping
from typing import Any

from animcli.batch.worker import TellProgress, _do


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
    assert sent[:2] == [("looking at the reference", 0), ("denoising", 0)]
    assert len(sent) < 10


def test_the_latest_is_told_even_if_nothing_comes_after_it() -> None:
    sent: list[int] = []
    told = threading.Event()

    def work(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
        for done in range(3):
            tell("denoising", done, 3)
        return {"exit_code": 0, "told": told.wait(30)}

    def send(event: str, **facts: Any) -> None:
        sent.append(facts["done"])
        if facts["done"] == 2:
            told.set()

    assert _do(work, {"id": 1}, send)["answer"] == {"told": True}
    assert sent == [0, 2]


def test_nothing_is_told_of_a_job_that_has_ended() -> None:
    sent: list[int] = []

    def work(request: Mapping[str, Any], tell: TellProgress) -> dict[str, Any]:
        tell("denoising", 0, 3)
        tell("denoising", 1, 3)
        return {"exit_code": 0}

    _do(work, {"id": 1}, lambda event, **facts: sent.append(facts["done"]))
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.join(30)
    assert sent == [0]
