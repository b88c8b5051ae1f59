"""`anim cache`: what the project remembers."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import StorageError

app = typer.Typer(help="Artifact cache of the project.", rich_markup_mode=None)


@app.command("list")
def list_cache() -> Command:
    """Every artifact and every unfinished piece of work, the oldest first."""
    return Action(list_artifacts)


@app.command()
def verify() -> Command:
    """Read everything and set aside what is damaged; it is made again when wanted."""
    return Action(verify_artifacts)


@app.command()
def clear(
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only what no run finished.")
    ] = False,
) -> Command:
    """Remove what can be made again, which is everything but your own files."""
    return Clear(unfinished)


def list_artifacts(context: Context) -> Report:
    """A line for everything in the cache."""
    found = list(context.project.store.ls())
    lines = [
        f"{each.key[:12]}  {each.stage or '-':<13} {each.state:<10} {megabytes(each.bytes)}"
        for each in found
    ]
    total = sum(each.bytes for each in found)
    lines.append(f"{len(found)} in {context.project.cache}, {megabytes(total).strip()}")
    return Report(tuple(lines), tuple(asdict(each) for each in found))


def verify_artifacts(context: Context) -> Report:
    """A line for each artifact; the exit code says if one was damaged."""
    found = list(context.project.store.verify(look_only=context.options.dry_run))
    damage = "damaged" if context.options.dry_run else "damaged; set aside"
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
    return Report(tuple(lines), tuple(data), StorageError.exit_code if damaged else 0)


@dataclass(frozen=True)
class Clear:
    """`anim cache clear`."""

    unfinished: bool

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Removes in its turn."""
        return Plan((Action(self.clear),), state)

    def clear(self, context: Context) -> Report:
        """Remove, and say how much room that gave."""
        store = context.project.store
        if context.options.dry_run:
            wanted = [
                e for e in store.ls() if e.state == "unfinished" or not self.unfinished
            ]
            freed = sum(each.bytes for each in wanted)
        else:
            freed = store.clear(unfinished_only=self.unfinished)
        would = "would be " if context.options.dry_run else ""
        line = f"{megabytes(freed).strip()} {would}freed in {context.project.cache}"
        return Report((line,), ({"freed": freed, "cache": str(context.project.cache)},))


def megabytes(size: int) -> str:
    """Bytes as people count them."""
    return f"{size / 1e6:9,.1f} MB"
