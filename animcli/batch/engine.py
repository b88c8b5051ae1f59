"""Engines: where slots come from. A slot does one task at a time, in a child process."""

from collections.abc import Mapping
from typing import Any, Protocol

from animcli.batch.child import Events


class Engine(Protocol):
    """Gives slots; tells by `events` what happens to them.

    Beside a worker's own events there are {"event": "died", "code", "said"} when a slot's
    child died, and {"event": "gone", "said"} when the slot itself did.
    """

    events: Events

    def start(self) -> None:
        """Begin to bring slots up; each says `ready` when it can work."""

    def give(self, slot: str, request: Mapping[str, Any]) -> None:
        """Send a request to a slot that is free."""

    def renew(self, slot: str) -> None:
        """Replace a slot's child, which may be dead; it says `ready` again."""

    def terminate(self, slot: str) -> None:
        """Ask what a slot does to stop between two units of work."""

    def kill(self, slot: str) -> None:
        """End a slot's child as it stands."""

    def remove(self, slot: str) -> None:
        """Take a slot out for good."""

    def close(self) -> None:
        """End all slots, and wait until they have ended."""
