"""Bodies of requests, and answers to what goes wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from animcli.errors import AnimError, UsageError

MOST_JSON: Final = 4 << 20

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
Address: TypeAlias = tuple[str, str, Handler]
"""Verb, path, and who answers."""


def with_errors(run: Handler) -> Handler:
    """A handler whose errors are told as the command line tells them."""

    async def safe(request: Request) -> Response:
        try:
            return await run(request)
        except AnimError as error:
            code = getattr(error, "code", error.exit_code)
            names = NAMES.get(code, "bug")
            body = {"error": error.message, "hint": error.hint, "exit_code": code}
            return JSONResponse({**body, "kind": names}, status_code=422)
        except ClientDisconnect:
            return Response(status_code=400)
        except asyncio.TimeoutError:
            return Response(status_code=408)

    return safe


NAMES: Final = {
    2: "usage", 3: "input", 4: "project", 5: "weights", 6: "device", 7: "disk",
    8: "output", 9: "batch", 130: "interrupted", 143: "terminated",
}  # fmt: skip
"""Names of the exit codes."""


async def table(request: Request) -> dict[str, Any]:
    """The JSON object of a body. Raises UsageError."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_JSON:
            raise UsageError("more than the page ever says")
    try:
        said = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError("this isn't JSON") from error
    if not isinstance(said, dict):
        raise UsageError("a JSON object was expected")
    return said


class ZipBuffer:
    """A file that only grows, and is taken away as it does."""

    def __init__(self) -> None:
        self._held, self._at = bytearray(), 0

    def __enter__(self) -> "ZipBuffer":
        return self

    def __exit__(self, *failed: object) -> None:
        self._held.clear()

    def write(self, data: bytes) -> int:
        """Append."""
        self._held += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes so far, those taken away among them."""
        return self._at

    def flush(self) -> None:
        """Nothing to wait for."""

    def taken(self) -> bytes:
        """Take away the bytes that came since the last time."""
        taken = bytes(self._held)
        self._held.clear()
        return taken
