"""`anim cache`: what the project remembers."""

import re
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Final

import typer

from animcli.cli.console import one_line
from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import StorageError, UsageError
from animcli.pipeline.cache import Listing, Store
from animcli.pipeline.output import output_records

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


Size = Annotated[
    str | None,
    typer.Option("--max-size", metavar="SIZE", help="Keep at most this, such as 20GB."),
]
Age = Annotated[
    str | None,
    typer.Option("--older", metavar="AGE", help="Remove what is older, as 30d or 12h."),
]


@app.command()
def prune(max_size: Size = None, older: Age = None) -> Command:
    """Remove the oldest, until the rest is young or small enough.

    Results that were delivered stay; what they were made of is made again when wanted.
    The key cache_max of anim.toml, or ANIM_CACHE_MAX, keeps the cache at a size by itself.
    """
    if max_size is None and older is None:
        raise UsageError("prune to what?", "--max-size 20GB, --older 30d, or both")
    most = None if max_size is None else read_amount(max_size)
    return Prune(most, None if older is None else read_age(older))


def listed_line(each: Listing, name: str) -> str:
    """A line for one entry; name: of the result that it belongs to, if any."""
    day = datetime.fromtimestamp(each.written).strftime("%Y-%m-%d %H:%M")
    size = megabytes(each.bytes)
    head = f"{each.key[:12]}  {day}  {each.stage or '-':<13} {each.state:<10} {size}"
    return f"{head}  {one_line(name)}".rstrip()


def result_names(store: Store) -> dict[str, str]:
    """Key of an entry -> the result that was made of it, and delivered last."""
    made: dict[str, tuple[str, Mapping[str, str]]] = {}
    for each in store.ls():
        if each.state == "whole" and (found := store.find(each.key)) is not None:
            made[found.digest] = (each.key, found.record.cache_key.inputs)
    by_key = dict(made.values())
    names: dict[str, str] = {}
    for record in output_records(store.root):
        waiting = [record.key]
        while waiting:
            key = waiting.pop()
            if names.get(key) == record.name or key not in by_key:
                continue
            names[key] = record.name
            waiting += [
                made[digest][0] for digest in by_key[key].values() if digest in made
            ]
    return names


def list_artifacts(context: Context) -> Report:
    """A line for everything in the cache."""
    found = list(context.project.store.ls())
    names = result_names(context.project.store)
    lines = [listed_line(each, names.get(each.key, "")) for each in found]
    total = sum(each.bytes for each in found)
    lines.append(f"{len(found)} in {context.project.cache}, {megabytes(total).strip()}")
    data = [{**asdict(each), "result": names.get(each.key)} for each in found]
    return Report(tuple(lines), tuple(data))


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
        """Removes in its turn; tells before what can't be encoded again then."""
        store = context.project.store
        gone = [] if self.unfinished else self.wanted(store)
        return Plan((Action(self.clear),), state, note=loss(gone, result_names(store)))

    def wanted(self, store: Store) -> list[Listing]:
        """Entries to remove, as far as other processes let go of them."""
        only = self.chosen(store) if self.keys else None
        return [
            each
            for each in store.ls()
            if (each.state == "unfinished" or not self.unfinished)
            and (only is None or each.key in only)
        ]

    def clear(self, context: Context) -> Report:
        """Remove, and say how much room that gave."""
        store = context.project.store
        if context.options.dry_run:
            freed = sum(each.bytes for each in self.wanted(store))
        else:
            only = self.chosen(store) if self.keys else None
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


@dataclass(frozen=True)
class Prune:
    """`anim cache prune`.

    most: bytes that may stay. oldest: seconds that it may be old.
    """

    most: int | None
    oldest: float | None

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Removes in its turn; tells before what can't be encoded again then."""
        store = context.project.store
        names = result_names(store)
        goes = to_remove(list(store.ls()), names, self.most, self.oldest)
        return Plan((Action(self.prune),), state, note=loss(goes, names))

    def prune(self, context: Context) -> Report:
        """Remove, and name each."""
        store, looks = context.project.store, context.options.dry_run
        names = result_names(store)
        goes = to_remove(list(store.ls()), names, self.most, self.oldest)
        if not looks:
            store.clear(only={each.key for each in goes})
        lines = [listed_line(each, names.get(each.key, "")) for each in goes]
        would, freed = "would be " if looks else "", sum(each.bytes for each in goes)
        where = context.project.cache
        lines.append(f"{len(goes)} {would}removed: {megabytes(freed).strip()} in {where}")
        data = [{**asdict(each), "result": names.get(each.key)} for each in goes]
        return Report(tuple(lines), tuple(data))


def to_remove(
    found: Sequence[Listing],
    results: Container[str],
    most: int | None,
    oldest: float | None = None,
    *,
    keep: Container[str] = (),
) -> list[Listing]:
    """Entries to remove from a cache, the oldest first: those that are older than `oldest`
    seconds, and more until the rest takes at most `most` bytes.

    results: keys of what delivered results were made of. Their frames, which `encode`
        needs, and unfinished work go last: both take long to make.
    keep: keys of those that stay.
    """
    left, now = sum(each.bytes for each in found), time.time()

    def goes_first(entry: Listing) -> tuple[bool, float]:
        costly = entry.state == "unfinished" or is_master(entry, results)
        return costly, entry.written

    goes = []
    for each in sorted(found, key=goes_first):
        too_old = oldest is not None and now - each.written > oldest
        too_much = most is not None and left > most
        if (too_old or too_much) and each.key not in keep:
            goes.append(each)
            left -= each.bytes
    return goes


def is_master(entry: Listing, results: Container[str]) -> bool:
    """Tell the frames that a delivered result was encoded from."""
    return entry.stage == "render" and entry.key in results


def loss(goes: Sequence[Listing], names: Mapping[str, str]) -> str:
    """A line on the results whose frames are among what goes; empty where there are none.

    names: key -> result.
    """
    lost = sorted({names[each.key] for each in goes if is_master(each, names)})
    if not lost:
        return ""
    told = ", ".join(map(one_line, lost[:LISTED]))
    more = f" and {len(lost) - LISTED} more" if lost[LISTED:] else ""
    return f"frames go without which `anim encode` makes no other file of {told}{more}"


LISTED: Final = 5
"""Names of results in a line."""


def keep_within(store: Store, most: int, used: Container[str]) -> str:
    """Remove the oldest until a cache takes at most `most` bytes; a line on what was lost
    with that or couldn't be done, if any.

    used: keys of what was made or read just now, which stays.
    """
    found = list(store.ls())
    if sum(each.bytes for each in found) <= most:
        return ""
    names = result_names(store)
    goes = to_remove(found, names, most, keep=used)
    store.clear(only={each.key for each in goes})
    over = sum(each.bytes for each in found) - sum(each.bytes for each in goes) - most
    if over > 0:
        limit = megabytes(most).strip()
        return (
            f"the cache is {megabytes(over).strip()} above its limit of {limit}: this "
            "line alone needs that"
        )
    return loss(goes, names)


SIZE_UNITS: Final = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SPANS: Final = {"h": 3600, "d": 86400, "w": 7 * 86400}


def read_amount(word: str) -> int:
    """Bytes from `20GB`. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,9}(?:[.]\d{1,3})?)\s*([KMGT]?B?)", word.strip().upper())
    if found is None:
        raise UsageError(f"--max-size {word}: it is a number of MB, GB or TB", "20GB")
    unit = found[2] if found[2] in SIZE_UNITS else f"{found[2]}B"
    return int(float(found[1]) * SIZE_UNITS.get(unit, 1))


def read_age(word: str) -> float:
    """Seconds from `30d`, `12h` or `2w`. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})\s*([hdw])", word.strip().lower())
    if found is None:
        raise UsageError(f"--older {word}: it is a number of hours, days or weeks", "30d")
    return float(found[1]) * SPANS[found[2]]


def megabytes(size: int) -> str:
    """Bytes as people count them."""
    return f"{size / 1e6:9,.1f} MB"
