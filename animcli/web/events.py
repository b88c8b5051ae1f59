"""Events for all open tabs, in order, each heard again by whoever missed it."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

MAX_EVENTS: Final = 500
QUIET_S: Final = 15.0
"""Seconds without an event after which a comment shows that the line is open."""
MOST_STREAMS: Final = 16


@dataclass
class EventLog:
    """The last events, numbered within this run of the server.

    whole: gives the state that a tab starts with, as (kind, data).
    """

    whole: Callable[[], list[tuple[str, Any]]]
    streams: int = 0
    closed: bool = False
    _run: str = field(default_factory=lambda: secrets.token_hex(4))
    _number: int = 0
    _events: deque[tuple[int, str]] = field(
        default_factory=lambda: deque(maxlen=MAX_EVENTS)
    )
    _: KW_ONLY
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, kind: str, data: Any) -> None:
        """Tell every tab."""
        self._number += 1
        self._events.append((self._number, self._text(self._number, kind, data)))
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _text(self, number: int, kind: str, data: Any) -> str:
        body = json.dumps(data, ensure_ascii=True)  # without line breaks
        return f"id: {self._run}-{number}\nevent: {kind}\ndata: {body}\n\n"

    async def stream(self, last: str | None) -> AsyncIterator[str]:
        """Text of a stream that goes on behind event `last`, or with the whole state."""
        self.streams += 1
        try:
            at = self._place(last)
            if at is None:
                at = self._number
                for kind, data in self.whole():
                    yield self._text(at, kind, data)
            while not self.closed:
                news = self._news
                for number, text in list(self._events):
                    if number > at:
                        at = number
                        yield text
                if at < self._number:
                    continue
                try:
                    await asyncio.wait_for(news.wait(), QUIET_S)
                except asyncio.TimeoutError:
                    yield ": still here\n\n"
        finally:
            self.streams -= 1

    def _place(self, last: str | None) -> int | None:
        """The number of an event of this run whose followers are all here still."""
        run, _, number = (last or "").partition("-")
        if run != self._run or not number.isdecimal():
            return None
        first = self._events[0][0] if self._events else self._number + 1
        return int(number) if first - 1 <= int(number) <= self._number else None
