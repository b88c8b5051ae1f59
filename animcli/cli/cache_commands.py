"""`anim cache`: what the project remembers."""

from typing import Annotated

import typer

from animcli.cli.request import Act, Request

app = typer.Typer(help="What the project remembers.", rich_markup_mode=None)


@app.command("list")
def list_cache() -> Request:
    """Every artifact and every unfinished piece of work, the oldest first."""
    from animcli.cli.cache_answers import listing

    return Act(listing)


@app.command()
def verify() -> Request:
    """Read everything and set aside what is damaged; it is made again when wanted."""
    from animcli.cli.cache_answers import verification

    return Act(verification)


@app.command()
def clear(
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only what no run finished.")
    ] = False,
) -> Request:
    """Remove what can be made again, which is everything but your own files."""
    from animcli.cli.cache_answers import Clear

    return Clear(unfinished)
