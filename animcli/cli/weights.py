"""`anim weights`: model files, and how to get them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.cache import megabytes
from animcli.cli.plan import Act, Answer, Desk, Planned, Request, Thread
from animcli.errors import WeightsError

app = typer.Typer(
    help="Model files: what is here, and how to get the rest.",
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


Half = Annotated[
    bool,
    typer.Option(
        "--half",
        help="Keep them in float16, as a GPU uses them: half of the disk, read in half of "
        "the time.",
    ),
]


@app.command("list")
def list_weights() -> Request:
    """Every entry: size, licence, whether it is here, and what needs it."""
    return Act(listing)


@app.command()
def pull(names: Names, half: Half = False) -> Request:
    """Download, check and keep the files of an entry, and of those that it needs."""
    return Pull(tuple(names), half)


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", autocompletion=complete_entry, help="Else all."),
    ] = None,
) -> Request:
    """Read the files again and compare them with their digests."""
    return Verify(tuple(names or ()))


@app.command("import")
def import_(
    name: Name,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files or folders.")],
    half: Half = False,
) -> Request:
    """Take the files of an entry from disk instead of the network."""
    return Import(name, tuple(paths), half)


def listing(desk: Desk) -> Answer:
    """A line for each entry of the catalog."""
    lines: list[str] = []
    data: list[dict[str, object]] = []
    widest = max(map(len, desk.weights.catalog))
    for name, entry in desk.weights.catalog.items():
        here = desk.weights.has(name)
        state = "here" if here else "-"
        size = megabytes(entry.bytes)
        lines.append(f"{name:<{widest}}  {state:<4} {size}  {entry.about}; {entry.licence}")
        about = {"here": here, "bytes": entry.bytes, "licence": entry.licence}
        more = {"source": str(entry.source), "needed_by": list(entry.needed_by)}
        data.append({"name": name, **about, **more, "about": entry.about})
    lines.append(f"kept in {desk.weights.root}; get one with: anim weights pull NAME")
    return Answer(tuple(lines), tuple(data))


@dataclass(frozen=True)
class Pull:
    """`anim weights pull`.

    half: keep tensors in float16.
    """

    names: tuple[str, ...]
    half: bool = False

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Downloads in its turn; an unknown name is told now."""
        for name in self.names:
            desk.weights.entry(name)
        return Planned((Act(self.pull),), thread)

    def wanted(self, desk: Desk) -> list[str]:
        """The entries, and those that the same work needs."""
        with_others = (
            each
            for name in self.names
            for each in (name, *desk.weights.entry(name).goes_with)
        )
        return list(dict.fromkeys(with_others))

    def pull(self, desk: Desk) -> Answer:
        """Get what isn't here."""
        lines: list[str] = []
        data: list[dict[str, object]] = []
        for name in self.wanted(desk):
            entry = desk.weights.entry(name)
            if desk.line.dry_run and not desk.weights.has(name):
                lines.append(f"{name}: would get {megabytes(entry.bytes).strip()}")
            else:
                folder = (
                    desk.weights.path(name) if desk.line.dry_run else self._got(desk, name)
                )
                lines.append(str(folder))
                data.append({"name": name, "path": str(folder)})
        return Answer(tuple(lines), tuple(data))

    def _got(self, desk: Desk, name: str) -> Path:
        return desk.weights.pull(name, desk.report, half=self.half)


@dataclass(frozen=True)
class Import:
    """`anim weights import`.

    half: keep tensors in float16.
    """

    name: str
    paths: tuple[Path, ...]
    half: bool = False

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Copies in its turn; an unknown name is told now."""
        desk.weights.entry(self.name)
        return Planned((Act(self.take),), thread)

    def take(self, desk: Desk) -> Answer:
        """Check the files and keep copies."""
        if desk.line.dry_run:
            names = ", ".join(map(str, self.paths))
            return Answer((f"{self.name}: would take {names}",), ())
        folder = desk.weights.import_files(
            self.name, self.paths, desk.report, half=self.half
        )
        return Answer((str(folder),), ({"name": self.name, "path": str(folder)},))


@dataclass(frozen=True)
class Verify:
    """`anim weights verify`.

    names: all that are here, if there are none.
    """

    names: tuple[str, ...]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Reads in its turn; an unknown name is told now."""
        for name in self.names:
            desk.weights.entry(name)
        return Planned((Act(self.verify),), thread)

    def verify(self, desk: Desk) -> Answer:
        """Every file that is wrong, not only the first."""
        store = desk.weights
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
        return Answer(tuple(lines), tuple(data), WeightsError.exit_code if wrong else 0)
