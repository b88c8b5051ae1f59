"""`anim weights`: model files, and how to get them."""

from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.request import Act, Request

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


@app.command("list")
def list_weights() -> Request:
    """Every entry: size, licence, whether it is here, and what needs it."""
    from animcli.cli.weights_answers import listing

    return Act(listing)


@app.command()
def pull(names: Names) -> Request:
    """Download, check and keep the files of an entry."""
    from animcli.cli.weights_answers import Pull

    return Pull(tuple(names))


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", autocompletion=complete_entry, help="Else all."),
    ] = None,
) -> Request:
    """Read the files again and compare them with their digests."""
    from animcli.cli.weights_answers import Verify

    return Verify(tuple(names or ()))


@app.command("import")
def import_(
    name: Name,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files or folders.")],
) -> Request:
    """Take the files of an entry from disk instead of the network."""
    from animcli.cli.weights_answers import Import

    return Import(name, tuple(paths))
