"""`anim demo`: the main job on a dancer and a character that the package draws itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from animcli.cli.choices import USUAL, device_for
from animcli.cli.options import Overrides, options, read_count
from animcli.cli.plan import Command, Context, PipelineState, Plan
from animcli.presets import load_preset

DIFFUSION: Final = "tiny"
DIFFUSION_FRAMES: Final = 24
"""Preset of the second clip, and its length: a diffusion render takes long on a CPU."""


@options("preset")
def demo(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the videos."),
    ] = Path("demo"),
    frames: Annotated[int, typer.Option(metavar="N", help="Length of the dance.")] = 96,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the people and the dance.")
    ] = 22,
    *,
    overrides: Overrides,
) -> Command:
    """The whole way from nothing, on people drawn on the spot.

    Draws a dancer's video and a character, finds the pose, retargets, renders, encodes, and
    puts reference, motion and result side by side. Without --preset a second of the same
    dance is rendered by `tiny` as well, so that the diffusion path is seen to run.
    """
    count = read_count("--frames", frames, 10_000)
    return Demo(
        output, count or frames, read_count("--seed", seed, 2**31, low=0) or 0, overrides
    )


@dataclass(frozen=True)
class Demo:
    """`anim demo`.

    seed: the dancer and the dance grow from it, the character from the next one.
    """

    folder: Path
    frames: int
    seed: int
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Draw, encode, extract, retarget, render, encode, and put side by side.

        The pose is found in the encoded video, as in anybody else's.
        """
        from animcli.pipeline.output import Step
        from animcli.stages.demo import DrawDance, DrawFigure
        from animcli.stages.encode import EncodeStage
        from animcli.stages.extract import ExtractStage
        from animcli.stages.inspect import CompareStage, SheetStage
        from animcli.stages.render import RenderStage

        settings = context.config.resolve(self.overrides, usual=USUAL)
        size = (settings.preset.width, settings.preset.height)
        dance = EncodeStage(
            DrawDance(figure=self.seed, dance=self.seed, frames=self.frames)
        )
        pose = ExtractStage(dance)
        figure = DrawFigure(figure=self.seed + 1, size=size)
        render = RenderStage(figure, pose, settings.preset, device=device_for(settings))
        compare = CompareStage(render)
        steps: tuple[Step, ...] = (
            Step(dance, self.folder / "dance.mp4"),
            Step(figure, self.folder / "ref.png"),
            Step(pose, self.folder / "dance.pose"),
            Step(EncodeStage(render), self.folder / "ref-dance.mp4", manifest=True),
            Step(EncodeStage(compare), self.folder / "side-by-side.mp4"),
            Step(SheetStage(compare, 12, columns=3, tile=420), self.folder / "sheet.png"),
        )
        if "preset" in self.overrides or settings.preset.entry.denoises:
            return Plan(steps, state, folder=self.folder)
        small = load_preset(DIFFUSION)
        figure = DrawFigure(figure=self.seed + 1, size=(small.width, small.height))
        count = min(self.frames, DIFFUSION_FRAMES)
        again = RenderStage(figure, pose, small, frames=count)
        steps += (Step(EncodeStage(again), self.folder / "tiny-dance.mp4", manifest=True),)
        return Plan(steps, state, folder=self.folder)
