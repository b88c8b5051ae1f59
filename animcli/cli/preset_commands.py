"""`anim presets`: what there is, and what each sets."""

from typing import Annotated

import typer

from animcli.cli.flags import complete_preset
from animcli.cli.request import Act, Request

app = typer.Typer(help="What a render preset sets, and why.", rich_markup_mode=None)


@app.command("list")
def list_presets() -> Request:
    """Every preset, and when to use it."""
    from animcli.cli.preset_answers import all_presets

    return Act(all_presets)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_preset)],
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
) -> Request:
    """The values that a render with this preset would use here."""
    from animcli.cli.preset_answers import ShowPreset

    return ShowPreset(name, origin)
