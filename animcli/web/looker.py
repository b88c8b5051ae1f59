"""The child process that answers questions: what a file is, what a line would do.

Files of the user's are decoded there and never in the process that serves the page; if one
of them brings the child down, another is started.
"""

import asyncio
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


@dataclass
class Looker:
    """Asks one child; it is started with the first question.

    runner: `module:function`. environment: of the child. log: for what it prints.
    """

    runner: str
    environment: Mapping[str, str]
    log: Path
    _child: Child | None = None
    _number: int = 0
    _run: int = 0
    _: KW_ONLY
    _waiting: dict[int, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a question. Raises LookError with the child's own words."""
        loop = asyncio.get_running_loop()
        if self._child is None:
            self._start(loop)
        self._number += 1
        number, answer = self._number, loop.create_future()
        self._waiting[number] = answer
        assert self._child is not None
        self._child.give({"id": number, **request})
        try:
            said: dict[str, Any] = await asyncio.wait_for(answer, PATIENCE_S)
        except asyncio.TimeoutError as error:
            self.close()
            raise LookError("this takes too long to look at", "", 6) from error
        finally:
            self._waiting.pop(number, None)
        if said.get("error"):
            code = int(said.get("exit_code", 1))
            raise LookError(said["error"], said.get("hint", ""), code)
        return said

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._run += 1
        run = self._run

        def put(event: dict[str, Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, run, event)

        self._child = Child(self.runner, self.environment, self.log, put)

    def _take(self, run: int, event: dict[str, Any]) -> None:
        if run != self._run:
            return
        if event["event"] == "end":
            waiting = self._waiting.get(event["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result({**event["answer"], "exit_code": event["exit_code"]})
        elif event["event"] == "died":
            self._child = None
            said = f": {event['said']}" if event["said"] else ""
            for waiting in self._waiting.values():
                if not waiting.done():
                    error = f"the process that looks at files ended{said}"
                    waiting.set_result({"error": error, "exit_code": 1})

    def close(self) -> None:
        """End the child."""
        self._run += 1
        if self._child is not None:
            self._child.kill()
        self._child = None
