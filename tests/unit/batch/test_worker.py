"""Events that the process of a slot sends."""

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
