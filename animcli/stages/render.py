"""Reference and motion in, lossless frames out.

Also how much moves in a clip that a render takes after, and what a render that isn't done
yet will cost, as far as can be told without any work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.errors import InputError, UsageError
from animcli.files import write_file
from animcli.pipeline.record import canonical
from animcli.pipeline.stage import RunContext, Source, display_name, settings_of, to_json
from animcli.presets import PROMPTED, Preset
from animcli.stages.fitting import Fit, at_speed, nominal_rate, resample
from animcli.stages.reference import FindPose, FitClip, FitKeypoints, FitPicture
from animcli.stages.retarget import RetargetStage
from animcli.video.ssim import motion_bucket

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pipeline.executor import Executor
    from animcli.pose.partial import MovingPart
    from animcli.pose.sequence import PoseSequence
    from animcli.rendering.cost import Cost


DEFAULT_FRAMES: Final = 16
"""Of what follows no motion, and so has no length of its own."""

RENDER_CHECKPOINT: Final = "checkpoint.npz"
"""In the work folder: what denoising goes on from."""

RATE: Final = 8
"""Frames a second of which the motion bucket is measured: Cinemo's results have as many."""

SIZE: Final = (512, 320)
"""`(width, height)` at which frames are compared for it: that of Cinemo's training."""

OFFLOAD_ON_CPU: Final = (
    "--offload has no effect on the CPU, whose memory the networks are in anyway"
)


@dataclass(frozen=True)
class RenderStage:
    """Lets a character perform a motion; makes a folder of lossless frames.

    reference: the picture of the character.
    motion: a `.pose` file or the stage that makes one; None for renderers that follow
        nothing.
    preset: what to render with, size and seed included.
    frames: how many frames to make; None makes as many as the motion has.
    loop: start the motion again where it ends, instead of refusing more frames than it has.
    rate: frames per second; None keeps the motion's own.
    retarget: fit the motion to the character's proportions; False where that was done, or
        isn't wanted: then the motion's picture is fitted into the result as it is.
    device: `cuda`, `cuda:1`, `mps` or `cpu`.
    control: instead of a motion, a video that is drawn as the renderer wants to see it: a
        DensePose clip, a clip of skeletons; or, for one that follows words, the clip whose
        motion it takes. At another rate some of its frames are left out or shown twice.
    like: a clip that has as much motion as is wanted, for a renderer that follows words.
    camera, keep_in_frame: see `RetargetStage`, whose `fit` the latter is.
    offload: keep networks off the device while others work; the frames are the same.
    start: frames to start denoising from: a video, or another render of the same motion.
    keypoints: a `.pose` in pixels of the reference picture, where nobody needs to be found.
    person: who in the reference is meant: see `FindPose`.
    only: the part of the body that moves. speed: of the motion; 2 takes half of the time.
    """

    name: ClassVar[str] = "render"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ""

    reference: Source
    motion: Source | None
    preset: Preset
    frames: int | None = None
    loop: bool = False
    rate: Fraction | None = None
    retarget: bool = True
    fit: Fit = Fit.PAD
    detector: str = "blazepose"
    device: str = "cpu"
    control: Source | None = None
    like: Source | None = None
    camera: str = "auto"
    keep_in_frame: bool = True
    offload: bool = False
    start: Source | None = None
    keypoints: Source | None = None
    person: str | None = None
    only: MovingPart = "all"
    speed: Fraction = Fraction(1)

    @property
    def weights(self) -> tuple[str, ...]:
        from animcli.rendering.renderer import load_renderer

        return load_renderer(self.preset.renderer).weights

    @property
    def libraries(self) -> tuple[str, ...]:
        from animcli.rendering.renderer import renderer_entry

        return ("av", "numpy", *renderer_entry(self.preset.renderer).libraries)

    @property
    def size(self) -> tuple[int, int]:
        """`(width, height)` of the result."""
        return (self.preset.width, self.preset.height)

    @property
    def picture(self) -> FitPicture:
        """The reference at the size of the result."""
        return FitPicture(self.reference, self.size, self.fit)

    @property
    def fitted_motion(self) -> Source | None:
        """The motion that `moves` reads; in pixels of the result if it was retargeted."""
        if self.motion is None or not self.retarget:
            return self.motion
        return RetargetStage(
            self.motion, self.reference_pose, self.detector, self.camera, self.keep_in_frame
        )

    @property
    def reference_pose(self) -> Source:
        """The keypoints of the reference, in pixels of the result: found, or as said."""
        if self.keypoints is not None:
            return FitKeypoints(self.keypoints, self.reference, self.size, self.fit)
        return FindPose(self.reference, self.detector, self.size, self.fit, self.person)

    @property
    def fitted_control(self) -> FitClip | None:
        """The drawn video at the size of the result."""
        if self.control is None:
            return None
        return FitClip(self.control, self.size, self.fit)

    def inputs(self) -> Mapping[str, Source]:
        sources: dict[str, Source] = {"reference": self.picture}
        if (motion := self.fitted_motion) is not None:
            sources.update(pose=self.reference_pose, motion=motion)
        if (control := self.fitted_control) is not None:
            sources["control"] = control
        if self.like is not None:
            sources["like"] = MeasureSSIM(self.like)
        if self.start is not None:
            sources["start"] = FitClip(self.start, self.size, self.fit)
        return sources

    def settings(self) -> Mapping[str, object]:
        from animcli.rendering.renderer import renderer_entry

        heard = {
            key.name: to_json(getattr(self.preset, key.name))
            for key in fields(self.preset)
            if key.name not in ("name", "about") and self.preset.supports(key.name)
        }
        if self.start is None:
            heard.pop("strength", None)
        revision = renderer_entry(self.preset.renderer).revision
        settings = {**settings_of(self), "preset": heard, "renderer_revision": revision}
        settings["device"] = self.device.partition(":")[0]  # not which of several
        del settings["offload"]  # which changes no bit
        return settings

    def moves(self, context: RunContext) -> PoseSequence:
        """The keypoints of every frame of the result, in its pixels and at its rate."""
        from animcli.pose.io_pose import read_pose
        from animcli.pose.partial import only
        from animcli.stages.fitting import (
            at_speed,
            fit_motion,
            nominal_rate,
            resample,
            take_frames,
        )

        motion = read_pose(context.inputs["motion"])
        usual = nominal_rate(motion)
        if motion.rate is None:
            context.warn(
                f"the motion is unevenly spaced; it is resampled to {usual} a second"
            )
        motion = resample(at_speed(motion, self.speed), self.rate or usual)
        motion = take_frames(
            fit_motion(motion, self.size, self.fit), self.frames, loop=self.loop
        )
        if self.only == "all":
            return motion
        return only(motion, read_pose(context.inputs["pose"]), self.only)

    def run(self, context: RunContext) -> None:
        from animcli.pipeline.checkpoint import FileCheckpoint
        from animcli.pose.io_pose import read_pose
        from animcli.rendering.renderer import (
            Conditioning,
            RenderRequest,
            load_renderer,
            renderer_entry,
        )
        from animcli.stages.extract import DRAWN_DENSEPOSE, draw_densepose
        from animcli.stages.fitting import check_frames
        from animcli.stages.frames import looped, make_frames, open_frames
        from animcli.video.images import read_picture

        self.check_conditioning()
        picture = read_picture(context.inputs["reference"])
        motion = pose = control = None
        usual = renderer_entry(self.preset.renderer).rate
        frames, rate = self.frames or DEFAULT_FRAMES, self.rate or usual
        if self.control is not None:
            clip = open_frames(context.inputs["control"])
            rate = self.rate or clip.rate
            control, there = looped(clip, rate / self.speed)
            frames = self.frames or there
            check_frames(frames, there, loop=self.loop)
        if self.motion is not None:
            motion, pose = self.moves(context), read_pose(context.inputs["pose"])
            frames, rate = len(motion), motion.rate or self.rate or usual
            if load_renderer(self.preset.renderer).conditioning is Conditioning.DENSEPOSE:
                context.warn(DRAWN_DENSEPOSE)
                control = draw_densepose(motion)
        start = None
        if self.start is not None:
            start, there = looped(open_frames(context.inputs["start"]), rate)
            check_frames(frames, there, loop=self.loop)
        request = RenderRequest(
            reference=picture.pixels,
            reference_alpha=picture.alpha,
            reference_pose=pose,
            motion=motion,
            control=control,
            frames=frames,
            size=self.size,
            preset=self.as_wanted(context),
            weights=context.weights,
            device=self.device,
            offload=self.offload,
            start=start,
            note=context.warn,
        )
        if (cost := self.cost(frames)) is not None:
            context.warn(cost.summary())
        if self.offload and self.device == "cpu":
            context.warn(OFFLOAD_ON_CPU)
        checkpoint = FileCheckpoint(
            context.work / RENDER_CHECKPOINT, context.check_cancelled
        )
        renderer = load_renderer(self.preset.renderer)
        source = renderer.prepare(request, checkpoint, context.progress)
        make_frames(context, "rendering", source, frames, self.size, rate)

    def cost(self, frames: int) -> Cost | None:
        """Cost of so many frames, if the renderer denoises."""
        from animcli.rendering.cost import Denoiser, estimate_cost
        from animcli.rendering.renderer import load_renderer

        renderer = load_renderer(self.preset.renderer)
        if not isinstance(renderer, Denoiser):
            return None
        moved_alike = self.control is not None and self.preset.renderer in PROMPTED
        return estimate_cost(
            self.preset,
            frames,
            renderer,
            self.device,
            offload=self.offload,
            inverted=moved_alike,
            begin=self.preset.skipped_steps if self.start is not None else 0,
        )

    def as_wanted(self, context: RunContext) -> Preset:
        """The preset, with as much motion as the clip has that was given for it."""
        if self.like is None:
            return self.preset
        measured = motion_bucket(read_ssim(context.inputs["like"]))
        return replace(self.preset, motion_bucket=float(measured))

    def check_conditioning(self) -> None:
        """Raise UsageError where the renderer wants something else than was given."""
        from animcli.rendering.renderer import Conditioning, load_renderer

        name = self.preset.renderer
        conditioning = load_renderer(name).conditioning
        if self.motion and self.control:
            raise UsageError("a motion and a drawn video were given", "give one of them")
        if conditioning is Conditioning.NOTHING and (self.motion or self.control):
            raise UsageError(f"the renderer {name} follows no motion", "leave --motion out")
        if conditioning is Conditioning.PROMPT and self.motion:
            raise UsageError(
                f"the renderer {name} follows words, no motion",
                "--prompt says what happens; --motion-from takes the motion of a clip",
            )
        if conditioning is not Conditioning.PROMPT and self.like:
            raise UsageError(f"the renderer {name} can't be told how much moves")
        if conditioning is Conditioning.SKELETON and not (self.motion or self.control):
            raise UsageError(f"the renderer {name} wants a motion", "--motion dance.mp4")
        if conditioning is Conditioning.DENSEPOSE and not (self.motion or self.control):
            raise UsageError(
                f"the renderer {name} wants a motion or a DensePose video",
                "--motion densepose.mp4",
            )


@dataclass(frozen=True)
class MeasureSSIM:
    """Measures how alike neighbouring frames of a clip are."""

    name: ClassVar[str] = "measure-ssim"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".json"
    weights: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("av", "numpy", "opencv-python-headless")

    clip: Source

    def inputs(self) -> Mapping[str, Source]:
        return {"clip": self.clip}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, context: RunContext) -> None:
        mean = clip_ssim(context.inputs["clip"], display_name(self.clip))
        write_file(context.out, canonical({"ssim": mean}))


def read_ssim(path: Path) -> float:
    """Read what `MeasureSSIM` wrote."""
    return float(json.loads(path.read_bytes())["ssim"])


def clip_ssim(video: Path, shown: str) -> float:
    """The mean structural similarity of neighbouring frames, RATE a second, at SIZE, grey.

    shown: what the user knows the clip by. Raises InputError if it has no two such frames.
    """
    from animcli.video.ssim import neighbour_ssim

    mean = neighbour_ssim(grey_frames(video))
    if mean is None:
        raise InputError(
            f"{shown} has fewer than two frames at {RATE} a second", "give a longer clip"
        )
    return mean


def grey_frames(video: Path) -> Iterator[NDArray[np.uint8]]:
    """Grey frames of a clip as they are compared."""
    import cv2
    import numpy as np

    from animcli.stages.fitting import Fit, fit_picture
    from animcli.video.reader import open_footage

    with open_footage(video, keep_going=True) as reader:
        base, due = reader.info.time_base, Fraction(0)
        for frame in reader.frames():
            if frame.tick * base < due:
                continue
            due = frame.tick * base + Fraction(1, RATE) - base / 2  # ticks are rounded
            fitted = fit_picture(frame.picture, SIZE, Fit.CROP)
            yield np.asarray(cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


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
    cost = stage.cost(stage.preset.window if frames is None else frames)
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
    from animcli.pose.io_pose import read_pose
    from animcli.stages.frames import looped, open_frames

    if stage.frames is not None:
        return stage.frames
    if stage.motion is not None:
        path = path_of(stage.motion, executor)
        if path is None:
            return None
        motion = read_pose(path)
        fast_colour = at_speed(motion, stage.speed)
        return len(resample(fast_colour, stage.rate or nominal_rate(motion)))
    if stage.fitted_control is not None:
        path = path_of(stage.fitted_control, executor)
        if path is None:
            return None
        clip = open_frames(path)
        return looped(clip, (stage.rate or clip.rate) / stage.speed)[1]
    return DEFAULT_FRAMES


def path_of(source: Source, executor: Executor) -> Path | None:
    """Path of a source, if it is there."""
    if isinstance(source, Path):
        return source
    key = executor.dry_run(source)[-1].key
    made = executor.store.find(key) if key else None
    return made.path if made else None
