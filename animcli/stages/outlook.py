"""What a render that isn't done yet will cost, as far as can be told without any work."""

from dataclasses import asdict, dataclass
from pathlib import Path

from animcli.pose.posefile import read_pose
from animcli.project.checkpoint import FileCheckpoint
from animcli.rendering.estimate import Estimate, counted, gigabytes
from animcli.stages.fitting import nominal_rate, resample
from animcli.stages.frames import looped, open_frames
from animcli.stages.render import CHECKPOINT, DEFAULT_FRAMES, RenderStage
from animcli.stages.stage import Source
from animcli.stages.workshop import Workshop


@dataclass(frozen=True)
class Outlook:
    """What is left of a render.

    cost: of all of it; of one window where its length isn't known yet.
    length_known: whether it is.
    done: denoising steps that were kept, of `cost.steps` for each of `cost.runs`.
    seconds: that the others will take, by the time of those; None before the first one.
    """

    cost: Estimate
    length_known: bool
    done: int = 0
    seconds: float | None = None

    def told(self) -> str:
        """All of it in one line, but for the time."""
        cost = self.cost
        if not self.length_known:
            return (
                f"windows of {cost.window} frames, {counted(cost.steps, 'step')}; about "
                f"{gigabytes(cost.memory)}; how many frames the motion shows"
            )
        if self.done:
            return f"{cost.told()}; {self.done} of {cost.runs * cost.steps} steps are done"
        return cost.told()

    def data(self) -> dict[str, object]:
        """The same for a script; without the length where it isn't known."""
        known = asdict(self.cost)
        if not self.length_known:
            known = {name: known[name] for name in ("window", "steps")}
        return {
            **known,
            "memory": self.cost.memory,
            "steps_done": self.done,
            "seconds_left": self.seconds and round(self.seconds, 1),
        }


def outlook(stage: RenderStage, workshop: Workshop, key: str | None) -> Outlook | None:
    """What is left of a render; None for renderers that don't denoise.

    key: of what it makes, where that is known.
    """
    frames = frames_of(stage, workshop)
    cost = stage.cost(stage.preset.window if frames is None else frames)
    if cost is None:
        return None
    if key is None or frames is None:
        return Outlook(cost, frames is not None)
    kept = FileCheckpoint(workshop.store.work_of(key) / CHECKPOINT).load()
    if kept is None:
        return Outlook(cost, length_known=True)
    of_this_run, earlier = int(kept["done"]), int(kept.get("chapter", 0))
    done = earlier * cost.steps + of_this_run
    a_step = float(kept["seconds"]) / of_this_run
    return Outlook(cost, True, done, (cost.runs * cost.steps - done) * a_step)


def frames_of(stage: RenderStage, workshop: Workshop) -> int | None:
    """How many frames the result has; None while its motion isn't there."""
    if stage.frames is not None:
        return stage.frames
    if stage.motion is not None:
        path = path_of(stage.motion, workshop)
        if path is None:
            return None
        motion = read_pose(path)
        return len(resample(motion, stage.rate or nominal_rate(motion)))
    if stage.fitted_control is not None:
        path = path_of(stage.fitted_control, workshop)
        return None if path is None else looped(open_frames(path), stage.rate)[1]
    return DEFAULT_FRAMES


def path_of(source: Source, workshop: Workshop) -> Path | None:
    """Where a source is, if it is there."""
    if isinstance(source, Path):
        return source
    key = workshop.forecast(source)[-1].key
    made = workshop.store.find(key) if key else None
    return made.path if made else None
