"""The commands that end in a video, `render` and `encode`, as words."""

from pathlib import Path
from typing import Annotated, Final

import typer

from animcli.cli.flags import Chosen, Output, read_count, read_size, takes
from animcli.cli.request import Request
from animcli.keys import keys_of
from animcli.presets import Preset

RENDER_KEYS: Final = [
    name for name in keys_of(Preset) if name not in ("renderer", "width", "height")
]


@takes(
    "preset", "fps", *RENDER_KEYS, "fit", "device", "offload", "detector", "person",
    "camera", "stay_inside", "codec", "quality", "audio",
)  # fmt: skip
def render(
    reference: Annotated[Path, typer.Argument(metavar="PICTURE", help="The character.")],
    motion: Annotated[
        Path | None,
        typer.Option(
            "--motion", "-m", metavar="FILE", help="A .pose, or a video of a dancer."
        ),
    ] = None,
    output: Output = None,
    frames: Annotated[
        int | None, typer.Option(metavar="N", help="How many; otherwise all of the motion.")
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Start the motion again where it ends.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Of the result, such as 512x768.")
    ] = None,
    no_retarget: Annotated[
        bool, typer.Option("--no-retarget", help="Leave the motion's proportions alone.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also reference, motion and result in a row.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave damaged frames out.")
    ] = False,
    motion_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With Cinemo: a clip to take the motion from."),
    ] = None,
    motion_like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With Cinemo: a clip that moves as much."),
    ] = None,
    *,
    chosen: Chosen,
) -> Request:
    """Let a character perform a motion, or a picture move as words say.

    ref.png and dance.pose -> ref-dance.mp4

    Finds the pose, retargets and encodes on the way, where that wasn't done. Options that
    aren't given come from ANIM_* variables, anim.toml, the preset, in this order.
    """
    from animcli.cli.plan_video import Render

    count = read_count("--frames", frames, 1_000_000)
    chosen = {**chosen, **read_size(size)}
    return Render(
        reference, motion, output, count, loop, not no_retarget, compare, keep_going,
        motion_from, motion_like, chosen,
    )  # fmt: skip


@takes("codec", "quality", "fps", "audio")
def encode(
    film: Annotated[
        Path | None,
        typer.Argument(metavar="VIDEO", help="What `anim render` made; after `then` none."),
    ] = None,
    output: Output = None,
    sound: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A video whose sound goes along.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Scaled to fit; otherwise as it was rendered."),
    ] = None,
    *,
    chosen: Chosen,
) -> Request:
    """Encode a finished render again, from its lossless frames.

    ref-dance.mp4 --codec vp9 -> ref-dance-vp9.webm
    """
    from animcli.cli.plan_video import Encode

    sides = read_size(size)
    scaled = (sides["width"], sides["height"]) if sides else None
    return Encode(film, output, sound, scaled, chosen)
