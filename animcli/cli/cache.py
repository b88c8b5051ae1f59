"""`anim cache`: what the project remembers."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import StorageError, UsageError
from animcli.pipeline.cache import Store

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
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="Only these, as `cache list` shows them."),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only what no run finished.")
    ] = False,
) -> Command:
    """Remove what can be made again, which is everything but your own files."""
    return Clear(unfinished, tuple(keys or ()))


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
    """`anim cache clear`.

    keys: beginnings of the keys to remove; everything where there are none.
    """

    unfinished: bool
    keys: tuple[str, ...] = ()

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Removes in its turn."""
        return Plan((Action(self.clear),), state)

    def clear(self, context: Context) -> Report:
        """Remove, and say how much room that gave."""
        store = context.project.store
        only = self.chosen(store) if self.keys else None
        if context.options.dry_run:
            wanted = [
                e
                for e in store.ls()
                if (e.state == "unfinished" or not self.unfinished)
                and (only is None or e.key in only)
            ]
            freed = sum(each.bytes for each in wanted)
        else:
            freed = store.clear(unfinished_only=self.unfinished, only=only)
        would = "would be " if context.options.dry_run else ""
        line = f"{megabytes(freed).strip()} {would}freed in {context.project.cache}"
        return Report((line,), ({"freed": freed, "cache": str(context.project.cache)},))

    def chosen(self, store: Store) -> set[str]:
        """The whole keys. Raises UsageError for one that isn't there, or isn't one."""
        there = {each.key for each in store.ls()}
        whole = set()
        for key in self.keys:
            found = [each for each in there if each.startswith(key)]
            if len(found) != 1:
                many = f"{len(found)} entries begin" if found else "nothing begins"
                raise UsageError(f"{many} with the key {key}", "anim cache list shows them")
            whole.add(found[0])
        return whole


def megabytes(size: int) -> str:
    """Bytes as people count them."""
    return f"{size / 1e6:9,.1f} MB"
