"""`anim cache`: what the project remembers."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from animcli.cli.plan import Act, Answer, Desk, Planned, Request, Thread
from animcli.errors import StorageError

app = typer.Typer(help="What the project remembers.", rich_markup_mode=None)


@app.command("list")
def list_cache() -> Request:
    """Every artifact and every unfinished piece of work, the oldest first."""
    return Act(listing)


@app.command()
def verify() -> Request:
    """Read everything and set aside what is damaged; it is made again when wanted."""
    return Act(verification)


@app.command()
def clear(
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only what no run finished.")
    ] = False,
) -> Request:
    """Remove what can be made again, which is everything but your own files."""
    return Clear(unfinished)


def listing(desk: Desk) -> Answer:
    """A line for everything in the cache."""
    found = list(desk.project.store.listing())
    lines = [
        f"{each.key[:12]}  {each.stage or '-':<13} {each.state:<10} {megabytes(each.bytes)}"
        for each in found
    ]
    total = sum(each.bytes for each in found)
    lines.append(f"{len(found)} in {desk.project.cache}, {megabytes(total).strip()}")
    return Answer(tuple(lines), tuple(asdict(each) for each in found))


def verification(desk: Desk) -> Answer:
    """A line for each artifact; the exit code says if one was damaged."""
    found = list(desk.project.store.verify(look_only=desk.line.dry_run))
    damage = "damaged" if desk.line.dry_run else "damaged; set aside"
    lines = [
        f"{each.key[:12]}  {each.stage or '-':<13} "
        + ("whole" if each.state == "whole" else damage)
        for each in found
    ]
    data = [
        {"key": each.key, "stage": each.stage, "whole": each.state == "whole"}
        for each in found
    ]
    damaged = sum(each.state != "whole" for each in found)
    lines.append(f"{len(found)} read, {damaged} damaged")
    return Answer(tuple(lines), tuple(data), StorageError.exit_code if damaged else 0)


@dataclass(frozen=True)
class Clear:
    """`anim cache clear`."""

    unfinished: bool

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Removes in its turn."""
        return Planned((Act(self.clear),), thread)

    def clear(self, desk: Desk) -> Answer:
        """Remove, and say how much room that gave."""
        store = desk.project.store
        if desk.line.dry_run:
            wanted = [
                e for e in store.listing() if e.state == "unfinished" or not self.unfinished
            ]
            freed = sum(each.bytes for each in wanted)
        else:
            freed = store.clear(unfinished_only=self.unfinished)
        would = "would be " if desk.line.dry_run else ""
        line = f"{megabytes(freed).strip()} {would}freed in {desk.project.cache}"
        return Answer((line,), ({"freed": freed, "cache": str(desk.project.cache)},))


def megabytes(size: int) -> str:
    """Bytes as people count them."""
    return f"{size / 1e6:9,.1f} MB"
