"""`anim demo`: the main job on a dancer and a character that the package draws itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from animcli.cli.plan import Desk, Planned, Thread
from animcli.cli.plan_video import USUAL, device_for
from animcli.stages.compare import CompareStage
from animcli.stages.deliver import Step
from animcli.stages.demo import DrawDance, DrawFigure
from animcli.stages.encode import EncodeStage
from animcli.stages.extract import ExtractStage
from animcli.stages.inspect import SheetStage
from animcli.stages.render import RenderStage


@dataclass(frozen=True)
class Demo:
    """`anim demo`.

    seed: the dancer and the dance grow from it, the character from the next one.
    """

    folder: Path
    frames: int
    seed: int
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Draw, encode, extract, retarget, render, encode, and put side by side.

        The pose is found in the encoded video, as in anybody else's.
        """
        settings = desk.layers.settle(self.chosen, usual=USUAL)
        size = (settings.preset.width, settings.preset.height)
        dance = EncodeStage(
            DrawDance(figure=self.seed, dance=self.seed, frames=self.frames)
        )
        pose = ExtractStage(dance)
        figure = DrawFigure(figure=self.seed + 1, size=size)
        render = RenderStage(figure, pose, settings.preset, device=device_for(settings))
        compare = CompareStage(render)
        steps = (
            Step(dance, self.folder / "dance.mp4"),
            Step(figure, self.folder / "ref.png"),
            Step(pose, self.folder / "dance.pose"),
            Step(EncodeStage(render), self.folder / "ref-dance.mp4", manifest=True),
            Step(EncodeStage(compare), self.folder / "side-by-side.mp4"),
            Step(SheetStage(compare, 12, columns=3, tile=420), self.folder / "sheet.png"),
        )
        return Planned(steps, thread, folder=self.folder)
