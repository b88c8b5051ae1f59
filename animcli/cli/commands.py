"""The commands. Each turns its words into a request; none does any work."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer

from animcli.cli import cache_commands, preset_commands, video_commands, weights_commands
from animcli.cli.flags import Chosen, Output, read_count, read_view, takes
from animcli.cli.line import line
from animcli.cli.request import Request
from animcli.errors import UsageError

app = typer.Typer(
    name="anim",
    rich_markup_mode=None,  # plain help, and rich stays unloaded
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.add_typer(weights_commands.app, name="weights")
app.add_typer(preset_commands.app, name="presets")
app.add_typer(cache_commands.app, name="cache")


class FoundKind(str, Enum):
    """What `extract-pose` finds."""

    JOINTS = "joints"
    DENSEPOSE = "densepose"


app.callback()(line)


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Made if it isn't there.")
    ] = Path(),
) -> Request:
    """Make a project: an anim.toml that names every setting.

    The nearest folder upwards with an anim.toml is the project; its cache is .anim in it.
    Without one, the working folder is.
    """
    from animcli.cli.init import Init

    return Init(folder)


@app.command()
@takes("detector", "person", "every", "channels", "device", "hands", "face", "clean", "fps")
def extract_pose(
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO", help="Footage of one person.")
    ],
    output: Output = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave damaged frames out.")
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="AROUND,ABOVE", help="For motion capture: from where, in degrees."
        ),
    ] = None,
    kind: Annotated[
        FoundKind, typer.Option("--kind", help="Joints, or body parts as colours.")
    ] = FoundKind.JOINTS,
    *,
    chosen: Chosen,
) -> Request:
    """Find the pose in every frame of a video.

    dance.mp4 -> dance.pose; with --kind densepose dance-densepose.mp4

    Takes a video, an animation (GIF, WebP, APNG), a folder of pictures, motion capture
    (BVH), or the JSON of OpenPose and of node editors. `-o NAME.json` writes the latter,
    `-o NAME_keypoints` the former, `-o NAME.mp4` a video of the skeleton. Of several
    videos, each is done even if another can't be; the exit code is then 9.
    """
    from animcli.cli.plan_motion import ExtractPose

    if kind is FoundKind.DENSEPOSE:
        from animcli.cli.plan_densepose import ExtractDensePose

        if camera is not None:
            raise UsageError("--camera is for motion capture, which --kind densepose isn't")
        return ExtractDensePose(tuple(videos), output, keep_going, chosen)
    return ExtractPose(tuple(videos), output, keep_going, chosen, read_view(camera))


@app.command()
@takes("detector", "person", "camera", "stay_inside")
def retarget(
    reference: Annotated[
        Path,
        typer.Option("--to", metavar="PICTURE", help="The character, or a .pose of it."),
    ],
    motion: Annotated[
        Path | None,
        typer.Argument(metavar="MOTION", help="A .pose or a video; after `then` none."),
    ] = None,
    output: Output = None,
    *,
    chosen: Chosen,
) -> Request:
    """Fit a motion to the proportions of a character.

    dance.pose and ref.png -> ref-dance.pose
    """
    from animcli.cli.plan_motion import Retarget

    return Retarget(reference, motion, output, chosen)


for command in (video_commands.render, video_commands.encode):
    app.command()(command)


@app.command()
@takes("detector", "person")
def inspect(
    thing: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A .pose or a video; otherwise the project."),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option("--on", metavar="VIDEO", help="Draw the pose on this, not on black."),
    ] = None,
    pose: Annotated[
        bool, typer.Option("--pose", help="Find the pose in a video, and show it too.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="For the pictures."),
    ] = None,
    *,
    chosen: Chosen,
) -> Request:
    """Look at a pose, a video or the project.

    Of a pose: facts, the pose drawn on video or on black, a contact sheet of that, and
    curves of confidence, gaps and speed; the people to choose from, if there were several;
    reference, source and target skeletons, if it was retargeted. Of a video: facts and a
    contact sheet, with --pose the rest as well. Of the project: what its cache holds.
    """
    from animcli.cli.inspect import Inspect

    return Inspect(thing, video, pose, output, chosen)


@app.command()
def train(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="For data, checkpoints and weights.")
    ],
    stage: Annotated[
        Literal["1", "2"] | None,
        typer.Option(help="One alone; otherwise all, one after the other."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="TOML", help="A table for each stage.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Videos of one person each to learn from."),
    ] = None,
) -> Request:
    """Train Animate Anyone, MagicAnimate or Cinemo on your own videos.

    FOLDER gets the weights, and for each stage a curve and a sheet of pictures. The same
    command goes on from where the last one was stopped, or killed. docs/training.md has
    all that TOML may say: the model to train, for one.
    """
    from animcli.cli.train import Train

    return Train(folder, stage, settings, data)


@app.command()
def doctor() -> Request:
    """What works on this machine, and what to do about the rest."""
    from animcli.cli.doctor import examine
    from animcli.cli.request import Act

    return Act(examine)


@app.command()
@takes("preset")
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="For the videos.")
    ] = Path("demo"),
    frames: Annotated[int, typer.Option(metavar="N", help="How long the dance is.")] = 96,
    seed: Annotated[int, typer.Option(metavar="N", help="Which people, which dance.")] = 22,
    *,
    chosen: Chosen,
) -> Request:
    """The whole way from nothing, on people drawn on the spot.

    Draws a dancer's video and a character, finds the pose, retargets, renders, encodes, and
    puts reference, motion and result side by side.
    """
    from animcli.cli.demo import Demo

    count = read_count("--frames", frames, 10_000)
    return Demo(
        output, count or frames, read_count("--seed", seed, 2**31, low=0) or 0, chosen
    )
