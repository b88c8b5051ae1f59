"""The Typer app: the options of the whole line, and every command."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from animcli.cli import cache, presets, weights
from animcli.cli.batch.command import batch
from animcli.cli.config import PIXELS
from animcli.cli.correct import correct_pose
from animcli.cli.demo import demo
from animcli.cli.doctor import doctor
from animcli.cli.encode import encode
from animcli.cli.evaluate import evaluate
from animcli.cli.extract import extract_pose
from animcli.cli.grouped_help import GroupedCommand
from animcli.cli.init import init
from animcli.cli.inspect import inspect
from animcli.cli.plan import Command, GlobalOptions
from animcli.cli.render import render
from animcli.cli.retarget import retarget
from animcli.cli.studio import studio
from animcli.video.limits import MOST_PIXELS


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from animcli import __version__

        typer.echo(f"animcli {__version__}")
        raise typer.Exit


def global_options(
    context: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            "-p",
            metavar="FOLDER",
            envvar="ANIM_PROJECT",
            help="Project folder; otherwise the nearest folder with an anim.toml.",
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
    checkpoint_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            envvar="ANIM_CHECKPOINT_TO",
            help="Copy unfinished work there after each step, and go on from it.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Print more; -vv still more.",
        ),
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is done and what would run.")
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
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Start even what takes hours.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Make a still character dance like the person in a video.

    `then` joins commands: anim extract-pose dance.mp4 then render ref.png

    These options may stand anywhere in the line.
    """
    context.obj.append(
        GlobalOptions(
            project,
            cache_dir,
            json,
            quiet,
            verbose,
            dry_run,
            force=force,
            wait=not no_wait,
            max_pixels=max_pixels,
            yes=yes,
            checkpoint_to=checkpoint_to,
        )
    )


app = typer.Typer(
    name="anim",
    rich_markup_mode=None,  # plain help, and rich stays unloaded
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.add_typer(weights.app, name="weights")
app.add_typer(presets.app, name="presets")
app.add_typer(cache.app, name="cache")


app.callback()(global_options)


def train(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="For data, checkpoints and weights.")
    ],
    stage: Annotated[
        Literal["autoencoder", "1", "2"] | None,
        typer.Option(help="Stage to train; otherwise all, one after the other."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="TOML", help="A table for each stage.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Videos of one person each to train on."),
    ] = None,
) -> Command:
    """Train Animate Anyone, MagicAnimate or Cinemo on your own videos, or `tiny`.

    `tiny` is Animate Anyone at a size that a CPU trains, from nothing: on your videos, or
    without --data on people that the package draws.

    FOLDER gets the weights, and for each stage a curve and a sheet of pictures. The same
    command goes on from where the last one was stopped, or killed. All that TOML may say,
    the model to train for one, is in docs/reference/training.md.
    """
    from animcli.cli.train import Train

    return Train(folder, stage, settings, data)


for command in (
    init, extract_pose, correct_pose, retarget, render, encode, inspect, batch, evaluate,
    train, doctor, demo, studio,
):  # fmt: skip
    grouped = GroupedCommand if command in (extract_pose, render) else None
    app.command(cls=grouped)(command)
