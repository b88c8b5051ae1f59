"""`anim train`: the embedded model, again or longer."""

from dataclasses import dataclass
from pathlib import Path

from animcli.cli.plan import Desk, Planned, Thread
from animcli.cli.request import Act, Answer


@dataclass(frozen=True)
class Train:
    """`anim train`.

    stage: one of them alone, or None for all that aren't finished.
    """

    folder: Path
    stage: str | None
    settings: Path | None

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Train in its turn; settings are read now."""
        from animcli.training.settings import TrainSettings, read_settings

        chosen = TrainSettings() if self.settings is None else read_settings(self.settings)

        def train(desk: Desk) -> Answer:
            from animcli.stages.training import open_run

            run = open_run(self.folder, chosen, desk.report)
            if self.stage in (None, "autoencoder"):
                run.autoencoder()
            if self.stage in (None, "1"):
                run.frames()
            return Answer((str(self.folder),), ({"path": str(self.folder)},))

        return Planned((Act(train),), thread)
