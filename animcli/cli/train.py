"""`anim train`: the embedded model, again, longer, or on one's own footage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from animcli.cli.plan import Desk, Planned, Thread
from animcli.cli.request import Act, Answer
from animcli.errors import UsageError
from animcli.stages.deliver import Step
from animcli.stages.extract import ExtractStage

VIDEOS: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif"})


@dataclass(frozen=True)
class Train:
    """`anim train`.

    stage: one of them alone, or None for all, one after the other.
    data: a folder of videos; None is for characters that the package draws.
    """

    folder: Path
    stage: str | None
    settings: Path | None
    data: Path | None

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Find the poses of all videos, then train; settings are read now."""
        from animcli.training.settings import TrainSettings, read_settings

        chosen = TrainSettings() if self.settings is None else read_settings(self.settings)
        options = desk.layers.options({})
        poses = [ExtractStage(video, options.detector) for video in self.videos()]

        def train(desk: Desk) -> Answer:
            from animcli.stages.training import open_run
            from animcli.stages.workshop import Workshop
            from animcli.training.videos import Film

            workshop = Workshop(desk.project, desk.weights, desk.report)
            films = [
                Film(video, workshop.make(pose).path)
                for video, pose in zip(self.videos(), poses, strict=True)
            ]
            run = open_run(self.folder, chosen, films, desk.report)
            if self.stage in (None, "autoencoder"):
                run.autoencoder()
            if self.stage in (None, "1"):
                run.frames()
            if self.stage in (None, "2"):
                run.clips()
            return Answer((str(self.folder),), ({"path": str(self.folder)},))

        return Planned((*map(Step, poses), Act(train)), thread)

    def videos(self) -> list[Path]:
        """The videos to learn from. Raises UsageError for a folder without any."""
        if self.data is None:
            return []
        found = sorted(
            path.absolute()
            for path in self.data.glob("*")
            if path.suffix.lower() in VIDEOS and path.is_file()
        )
        if not found:
            raise UsageError(f"{self.data} holds no video", "give a folder of videos")
        return found
