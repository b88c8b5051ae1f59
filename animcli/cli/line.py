"""The options of the whole line."""

from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.request import LineOptions
from animcli.cli.settings import PIXELS
from animcli.video.limits import MOST_PIXELS


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from animcli import __version__

        typer.echo(f"animcli {__version__}")
        raise typer.Exit


def line(
    context: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            "-p",
            metavar="FOLDER",
            envvar="ANIM_PROJECT",
            help="Where the work is kept; otherwise the nearest folder with an anim.toml.",
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            envvar="ANIM_CACHE_DIR",
            help="Keep the cache there and not in the project.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Answer with one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Tell more; -vv still more.",
        ),
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is done and what would run.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace existing results.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Don't wait for another process's work.")
    ] = False,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=PIXELS.low,
            max=PIXELS.high,
            help=f"{PIXELS.help[:-1]}; usually {MOST_PIXELS}.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show it."),
    ] = False,
) -> None:
    """Make a still character dance like the person in a video.

    `then` joins commands: anim extract-pose dance.mp4 then render ref.png

    These options may stand anywhere in the line.
    """
    context.obj.append(
        LineOptions(
            project, cache_dir, json, quiet, verbose, dry_run, force, not no_wait,
            max_pixels,
        )
    )  # fmt: skip
