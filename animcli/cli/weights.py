"""`anim weights`: model files, and how to get them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.cache import megabytes
from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import WeightsError

app = typer.Typer(
    help="Model files: list, download, import and verify them.",
    rich_markup_mode=None,
)


def complete_entry(incomplete: str) -> list[str]:
    """The entries whose names begin like that."""
    from animcli.weights.catalog import load_catalog

    return [name for name in load_catalog() if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", autocompletion=complete_entry, help="See `weights list`."
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME", autocompletion=complete_entry, help="See `weights list`."
    ),
]


HalfPrecision = Annotated[
    bool,
    typer.Option(
        "--half",
        help="Keep them in float16, as a GPU uses them: half of the disk, read in half of "
        "the time.",
    ),
]


Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="NAME",
        help="Accept the terms of an entry that are more than a licence to use it.",
    ),
]


@app.command("list")
def list_weights() -> Command:
    """Every entry: size, licence, whether it is here, and what needs it."""
    return Action(list_entries)


@app.command()
def pull(names: Names, half: HalfPrecision = False, accept: Accept = None) -> Command:
    """Download, check and keep the files of an entry, and of those that it needs."""
    return Pull(tuple(names), half, tuple(accept or ()))


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", autocompletion=complete_entry, help="Otherwise all."
        ),
    ] = None,
) -> Command:
    """Read the files again and compare them with their digests."""
    return Verify(tuple(names or ()))


@app.command("import")
def import_(
    name: Name,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files or folders.")],
    half: HalfPrecision = False,
) -> Command:
    """Take the files of an entry from disk instead of the network."""
    return Import(name, tuple(paths), half)


def list_entries(context: Context) -> Report:
    """A line for each entry of the catalog."""
    lines: list[str] = []
    data: list[dict[str, object]] = []
    widest = max(map(len, context.weights.catalog))
    for name, entry in context.weights.catalog.items():
        here = context.weights.has(name)
        state = "here" if here else "-"
        size = megabytes(entry.bytes)
        terms = f"{entry.licence} ({entry.terms})"
        lines.append(f"{name:<{widest}}  {state:<4} {size}  {entry.about}; {terms}")
        about = {"here": here, "bytes": entry.bytes, "licence": entry.licence}
        about["terms"] = entry.terms
        more = {"source": str(entry.source), "needed_by": list(entry.needed_by)}
        data.append({"name": name, **about, **more, "about": entry.about})
    lines.append(f"kept in {context.weights.root}; get one with: anim weights pull NAME")
    return Report(tuple(lines), tuple(data))


@dataclass(frozen=True)
class Pull:
    """`anim weights pull`.

    half: keep tensors in float16.
    accept: entries whose terms are accepted.
    """

    names: tuple[str, ...]
    half: bool = False
    accept: tuple[str, ...] = ()

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Downloads in its turn; an unknown name, or terms to accept, are told now."""
        for name in self.names:
            context.weights.entry(name)
        for name in self.wanted(context):
            context.weights.check_terms(name, self.accept)
        return Plan((Action(self.pull),), state)

    def wanted(self, context: Context) -> list[str]:
        """The entries, and those that the same work needs."""
        with_others = (
            each
            for name in self.names
            for each in (name, *context.weights.entry(name).goes_with)
        )
        return list(dict.fromkeys(with_others))

    def pull(self, context: Context) -> Report:
        """Get what isn't here."""
        lines: list[str] = []
        data: list[dict[str, object]] = []
        for name in self.wanted(context):
            entry = context.weights.entry(name)
            if context.options.dry_run and not context.weights.has(name):
                size = megabytes(entry.bytes).strip()
                lines.append(f"{name}: would get {size}, {entry.licence} ({entry.terms})")
            else:
                folder = (
                    context.weights.path(name)
                    if context.options.dry_run
                    else self._got(context, name)
                )
                lines.append(str(folder))
                data.append({"name": name, "path": str(folder)})
        return Report(tuple(lines), tuple(data))

    def _got(self, context: Context, name: str) -> Path:
        if not context.weights.has(name):
            entry = context.weights.entry(name)
            size = megabytes(entry.bytes).strip()
            context.progress(f"{name}: {size}, {entry.licence} ({entry.terms})", 0, 0)
        return context.weights.pull(name, context.progress, half=self.half)


@dataclass(frozen=True)
class Import:
    """`anim weights import`.

    half: keep tensors in float16.
    """

    name: str
    paths: tuple[Path, ...]
    half: bool = False

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Copies in its turn; an unknown name is told now."""
        context.weights.entry(self.name)
        return Plan((Action(self.take),), state)

    def take(self, context: Context) -> Report:
        """Check the files and keep copies."""
        if context.options.dry_run:
            names = ", ".join(map(str, self.paths))
            return Report((f"{self.name}: would take {names}",), ())
        folder = context.weights.import_files(
            self.name, self.paths, context.progress, half=self.half
        )
        return Report((str(folder),), ({"name": self.name, "path": str(folder)},))


@dataclass(frozen=True)
class Verify:
    """`anim weights verify`.

    names: all that are here, if there are none.
    """

    names: tuple[str, ...]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Reads in its turn; an unknown name is told now."""
        for name in self.names:
            context.weights.entry(name)
        return Plan((Action(self.verify),), state)

    def verify(self, context: Context) -> Report:
        """Every file that is wrong, not only the first."""
        store = context.weights
        lines: list[str] = []
        data: list[dict[str, object]] = []
        for name in self.names or tuple(each for each in store.catalog if store.has(each)):
            try:
                digests = store.verify(name)
            except WeightsError as error:
                lines.append(f"{name}: {error.message}; {error.hint}")
                data.append({"name": name, "whole": False, "why": error.message})
            else:
                lines.append(f"{name}: whole, {len(digests)} files")
                data.append({"name": name, "whole": True, "sha256": digests})
        wrong = any(not each["whole"] for each in data)
        return Report(tuple(lines), tuple(data), WeightsError.exit_code if wrong else 0)
