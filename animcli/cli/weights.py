"""`anim weights`: model files, and how to get them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from animcli.cli.cache import megabytes
from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import OutputError, WeightsError
from animcli.files import disk_errors

if TYPE_CHECKING:
    from animcli.weights.inspect import Shapes

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


@app.command("show")
def show_weights(name: Name) -> Command:
    """The files of an entry: sizes, digests, source, licence, and where they lie."""
    return ShowEntry(name, "show")


@app.command("remove")
def remove_weights(names: Names) -> Command:
    """Take entries off this disk."""
    return RemoveEntries(tuple(names))


@app.command("export")
def export_weights(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Made if need be.")],
) -> Command:
    """Copy an entry into a folder for a machine without a network.

    There, ANIM_WEIGHTS=FOLDER has it found.
    """
    return ShowEntry(name, "export", folder)


@dataclass(frozen=True)
class ShowEntry:
    """`anim weights show` and `anim weights export`, of one entry."""

    name: str
    does: Literal["show", "export"]
    folder: Path | None = None

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Answers in its turn; an unknown name is told now."""
        context.weights.entry(self.name)
        return Plan((Action(self.show if self.folder is None else self.export),), state)

    def show(self, context: Context) -> Report:
        """Say all that is known of it."""
        from animcli.weights.hub import address_of

        store, name = context.weights, self.name
        entry = store.entry(name)
        here = store.has(name)
        digests = store.digests(name) if here else {}
        about: dict[str, object] = {
            "name": name,
            "about": entry.about,
            "licence": entry.licence,
            "terms": entry.terms,
            "source": str(entry.source),
            "revision": getattr(entry.source, "revision", None),
            "needed_by": list(entry.needed_by),
            "goes_with": list(entry.goes_with),
            "here": here,
            "path": str(store.path(name)) if here else None,
            "bytes": store.size(name) if here else entry.bytes,
        }
        files = [
            {
                "name": file.name,
                "path": file.path,
                "url": address_of(entry, file),
                "bytes": file.bytes,
                "sha256": digests.get(file.name, file.sha256),
            }
            for file in entry.files
        ]
        told = {**about, "bytes": megabytes(int(str(about["bytes"]))).strip()}
        lines = [
            f"{key.replace('_', ' '):<10} {', '.join(x) if isinstance(x, list) else x}"
            for key, x in told.items()
            if x not in (None, [])
        ]
        for file in entry.files:  # as they are published, to be brought by hand
            line = (address_of(entry, file) or file.path, file.bytes, file.sha256)
            lines.append(f"file       {'  '.join(str(x) for x in line if x is not None)}")
        return Report(tuple(lines), ({**about, "files": files},))

    def export(self, context: Context) -> Report:
        """Copy it."""
        if self.folder is None:
            raise ValueError("exported where to?")
        source, out = context.weights.path(self.name), self.folder / self.name
        if source != context.weights.root / self.name:
            raise WeightsError(f"{self.name} lies in {source}", "copy it from there")
        if out.exists():
            raise OutputError(f"{out} exists already", "give another folder")
        if context.options.dry_run:
            return Report((f"{self.name}: would be copied to {out}",), ())
        part = out.with_name(f".{self.name}.part")
        with disk_errors(out):
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(source, part)
            part.replace(out)
        return Report((str(out),), ({"name": self.name, "path": str(out)},))


@dataclass(frozen=True)
class RemoveEntries:
    """`anim weights remove`."""

    names: tuple[str, ...]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Removes in its turn; an unknown name is told now."""
        for name in self.names:
            context.weights.entry(name)
        return Plan((Action(self.remove),), state)

    def remove(self, context: Context) -> Report:
        """Remove those that are here, and say how much room that gave."""
        lines, data = [], []
        for name in self.names:
            looks = context.options.dry_run
            freed = context.weights.size(name) if looks else context.weights.remove(name)
            would = "would be " if looks else ""
            lines.append(f"{name}: {megabytes(freed).strip()} {would}freed")
            data.append({"name": name, "freed": freed})
        return Report(tuple(lines), tuple(data))


def list_entries(context: Context) -> Report:
    """A line for each entry of the catalog."""
    lines: list[str] = []
    data: list[dict[str, object]] = []
    widest = max(map(len, context.weights.catalog))
    for name, entry in context.weights.catalog.items():
        here = context.weights.has(name)
        state = "here" if here else "-"
        held = context.weights.size(name) if here else entry.bytes
        size, terms = megabytes(held), f"{entry.licence} ({entry.terms})"
        of = f"from {entry.source}, for {', '.join(entry.needed_by) or 'nothing yet'}"
        lines.append(f"{name:<{widest}}  {state:<4} {size}  {entry.about}; {terms}; {of}")
        about = {"here": here, "bytes": held, "licence": entry.licence}
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
        return context.weights.pull(
            name, context.progress, partial(_expected, name), half=self.half
        )


def _expected(name: str, paths: Mapping[str, Path]) -> "Mapping[str, Shapes]":
    """Tensors that renderers and metrics want of the files of an entry."""
    from animcli.metrics.edges import expected_tensors  # torch takes seconds
    from animcli.rendering.expected import expected_shapes

    return {**expected_shapes(name, paths), **expected_tensors(name)}


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
        expect = partial(_expected, self.name)
        folder = context.weights.import_files(
            self.name, self.paths, context.progress, expect, half=self.half
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
