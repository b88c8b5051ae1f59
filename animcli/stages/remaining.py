"""Cost of a render that isn't done yet, as far as can be told without any work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from animcli.pipeline.stage import Source
from animcli.registry import Trait
from animcli.stages.fitting import at_speed, check_frames, nominal_rate, resample
from animcli.stages.render import DEFAULT_FRAMES, RENDER_CHECKPOINT, RenderStage

if TYPE_CHECKING:
    from animcli.pipeline.executor import Executor
    from animcli.rendering.cost import Cost


@dataclass(frozen=True)
class Remaining:
    """Cost of what is left of a render.

    cost: of all of it; of one window where its length isn't known yet.
    length_known: whether it is.
    done: denoising steps that were kept, of `cost.steps` for each of `cost.runs`.
    seconds: that the others will take, by the time of those; before the first one by the
        operations that they take, and None where that isn't known either.
    """

    cost: Cost
    length_known: bool
    done: int = 0
    seconds: float | None = None

    def summary(self) -> str:
        """All of it in one line, but for the time."""
        from animcli.rendering.cost import counted, gigabytes

        cost = self.cost
        if not self.length_known:
            return (
                f"windows of {cost.window} frames, {counted(cost.steps, 'step')}; about "
                f"{gigabytes(cost.memory)}; how many frames the motion shows"
            )
        if self.done:
            return (
                f"{cost.summary()}; {self.done} of {cost.runs * cost.steps} steps are done"
            )
        return cost.summary()

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


def remaining(stage: RenderStage, executor: Executor, key: str | None) -> Remaining | None:
    """Cost of what is left of a render; None for renderers that don't denoise.

    key: of what it makes, where that is known.
    """
    from animcli.pipeline.checkpoint import FileCheckpoint

    frames = frame_count(stage, executor)
    segmented, store = stage.preset.has(Trait.WAN), executor.weights
    names = stage.weights if segmented else ()
    folders = {name: store.path(name) for name in names if store.has(name)}
    least = stage.preset.segment if segmented else stage.preset.window
    cost = stage.cost(least if frames is None else frames, folders)
    if cost is None:
        return None
    if key is None or frames is None:
        return Remaining(cost, frames is not None, seconds=foreseen(cost))
    kept = FileCheckpoint(executor.store.work_of(key) / RENDER_CHECKPOINT).load()
    if kept is None:
        return Remaining(cost, True, seconds=foreseen(cost))
    begun, earlier = int(kept.get("begun", 0)), int(kept.get("segment", 0))
    of_this_run = int(kept["done"]) - begun
    done = earlier * cost.steps + of_this_run
    a_step = float(kept["seconds"]) / of_this_run
    return Remaining(cost, True, done, (cost.runs * cost.steps - done) * a_step)


def foreseen(cost: Cost) -> float | None:
    """Seconds that a render takes on this CPU, by its measured rate."""
    from animcli.rendering.cost import flops_a_second

    return None if cost.flops is None else cost.flops / flops_a_second()


def frame_count(stage: RenderStage, executor: Executor) -> int | None:
    """Number of frames of the result; None while its motion isn't there."""
    from animcli.stages.frames import looped, open_frames

    if stage.frames is not None:
        return stage.frames
    if stage.motion is not None:
        return motion_frames(stage, executor)
    if stage.footage is not None:
        from animcli.stages.footage import filmed_frames
        from animcli.video.reader import open_footage

        with open_footage(stage.footage) as reader:
            rate = stage.native_rate or reader.info.rate
            return filmed_frames(reader, rate / stage.speed)
    if stage.fitted_control is not None:
        path = path_of(stage.fitted_control, executor)
        if path is None:
            return None
        clip = open_frames(path)
        return looped(clip, (stage.rate or clip.rate) / stage.speed)[1]
    return DEFAULT_FRAMES


def motion_frames(stage: RenderStage, executor: Executor) -> int | None:
    """Number of frames of the keypoints that a render follows; None if not made yet."""
    from animcli.pose.io_pose import read_pose

    path = None if stage.motion is None else path_of(stage.motion, executor)
    if path is None:
        return None
    motion = at_speed(read_pose(path), stage.speed)
    return len(resample(motion, stage.native_rate or nominal_rate(motion)))


def check_length(stage: RenderStage, executor: Executor) -> None:
    """Raise UsageError where a motion that is there has fewer frames than are wanted."""
    if stage.frames is None or stage.loop:
        return
    there = motion_frames(stage, executor)
    if there is not None:
        check_frames(stage.frames, there, loop=False)


def path_of(source: Source, executor: Executor) -> Path | None:
    """Path of a source, if it is there."""
    if isinstance(source, Path):
        return source
    key = executor.dry_run(source)[-1].key
    made = executor.store.find(key) if key else None
    return made.path if made else None
