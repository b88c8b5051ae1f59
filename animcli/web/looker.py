"""The child process that answers questions: what a file is, what a line would do.

Files of the user's are decoded there and never in the process that serves the page; if one
of them brings the child down, another is started. Questions are asked one at a time, so
that one that takes long, and that nobody waits for, can stand behind all others.
"""

import asyncio
import heapq
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final

from animcli.batch.child import Child
from animcli.errors import AnimError

PATIENCE_S: Final = 900.0
"""For the slowest of answers: a stand-in for a long video."""


class LookError(AnimError):
    """A question that the child couldn't answer; shown as the command line would."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.code = exit_code


@dataclass(order=True)
class Question:
    """A question that waits for its turn: patient ones last, else in order."""

    patient: bool
    number: int
    request: Mapping[str, Any] = field(compare=False)
    answer: "asyncio.Future[dict[str, Any]]" = field(compare=False)


@dataclass
class Looker:
    """Asks one child, one question after the other; it is started with the first.

    runner: `module:function`. environment: of the child. log: for what it prints.
    """

    runner: str
    environment: Mapping[str, str]
    log: Path
    _child: Child | None = None
    _number: int = 0
    _run: int = 0
    _: KW_ONLY
    _waiting: list[Question] = field(default_factory=list)
    _asked: Question | None = None

    async def ask(self, *, patient: bool = False, **request: Any) -> dict[str, Any]:
        """The answer to a question. Raises LookError with the child's own words.

        patient: it takes long and nobody waits for it, so that others go before.
        """
        loop = asyncio.get_running_loop()
        self._number += 1
        request = {"id": self._number, **request}
        question = Question(patient, self._number, request, loop.create_future())
        heapq.heappush(self._waiting, question)
        self._next(loop)
        try:
            said: dict[str, Any] = await asyncio.wait_for(question.answer, PATIENCE_S)
        except asyncio.TimeoutError as error:
            if self._asked is question:  # the child hangs at it
                self._end_child()
                self._next(loop)
            raise LookError("this takes too long to look at", "", 6) from error
        if said.get("error"):
            code = int(said.get("exit_code", 1))
            raise LookError(said["error"], said.get("hint", ""), code)
        return said

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._asked is None and self._waiting:
            question = heapq.heappop(self._waiting)
            if question.answer.done():  # nobody waits for it any more
                continue
            if self._child is None:
                self._start(loop)
            assert self._child is not None
            self._asked = question
            self._child.give(question.request)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._run += 1
        run = self._run

        def put(event: dict[str, Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, loop, run, event)

        self._child = Child(self.runner, self.environment, self.log, put)

    def _take(
        self, loop: asyncio.AbstractEventLoop, run: int, event: dict[str, Any]
    ) -> None:
        asked = self._asked
        if run != self._run:
            return
        if event["event"] == "end" and asked is not None:
            said = {**event["answer"], "exit_code": event["exit_code"]}
        elif event["event"] == "died":
            self._child = None
            words = f": {event['said']}" if event["said"] else ""
            said = {"error": f"the process that looks at files ended{words}"}
        else:
            return
        self._asked = None
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(said)
        self._next(loop)

    def _end_child(self) -> None:
        self._run += 1
        self._asked = None
        if self._child is not None:
            self._child.kill()
        self._child = None

    def close(self) -> None:
        """End the child; what waits is answered by nobody."""
        self._waiting.clear()
        self._end_child()
