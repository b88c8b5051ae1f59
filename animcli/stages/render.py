"""Reference and motion in, lossless frames out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from animcli.errors import UsageError
from animcli.pipeline.stage import NO_SETTING, RunContext, Source, Stage, to_json
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.presets import Preset
from animcli.registry import Conditioning, Trait
from animcli.stages.fitting import (
    Fit,
    at_speed,
    fit_motion,
    nominal_rate,
    resample,
    take_frames,
)
from animcli.stages.likeness import MeasureMotion, read_likeness
from animcli.stages.prompt import EncodePrompt, read_prompts
from animcli.stages.reference import FindPose, FitClip, FitKeypoints, FitPicture
from animcli.stages.retarget import RetargetStage
from animcli.video.ssim import motion_bucket

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.partial import MovingPart
    from animcli.pose.sequence import PoseSequence
    from animcli.rendering.cost import Cost
    from animcli.rendering.renderer import Offload
    from animcli.weights.lora import Lora


DEFAULT_FRAMES: Final = 16
"""Of what follows no motion, and so has no length of its own."""

RENDER_CHECKPOINT: Final = "checkpoint.npz"
"""In the work folder: what denoising goes on from."""

OFFLOAD_ON_CPU: Final = (
    "--offload has no effect on the CPU, whose memory the networks are in anyway"
)


@dataclass(frozen=True)
class RenderStage(Stage):
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
    offload: what leaves the device while it isn't at work; the frames are the same.
    start: frames to start denoising from: a video, or another render of the same motion.
    keypoints: a `.pose` in pixels of the reference picture, where nobody needs to be found.
    person: who in the reference is meant: see `FindPose`.
    only: the part of the body that moves. speed: of the motion; 2 takes half of the time.
    footage: the driving video itself, for renderers that look at its faces, its background,
        or at all of it.
    cast: further characters of the reference: the same render with another motion, person,
        speed and part. The shortest motion is the length, or with `loop` the longest.
    background: what is behind the figures: a picture or a folder of frames that another
        stage makes, a colour as `#rrggbb`, or `driving`, which is `footage` without its
        person.
    alpha: make the figures alone, with alpha.
    preview: a PNG that shows what comes while it denoises, and is gone afterwards.
    taesd: folder of the decoder for it; None shows colours only.
    """

    name: ClassVar[str] = "render"
    revision: ClassVar[int] = 1

    reference: Source
    motion: Source | None
    preset: Preset
    frames: int | None = None
    loop: bool = False
    rate: Fraction | None = None
    _: KW_ONLY
    retarget: bool = True
    fit: Fit = Fit.PAD
    detector: str = DEFAULT_DETECTOR
    device: str = "cpu"
    control: Source | None = None
    like: Source | None = None
    camera: str = "auto"
    keep_in_frame: bool = True
    offload: Offload = field(default="auto", metadata=NO_SETTING)
    start: Source | None = None
    keypoints: Source | None = None
    person: str | None = None
    only: MovingPart = "all"
    speed: Fraction = Fraction(1)
    footage: Path | None = None
    cast: tuple[RenderStage, ...] = field(default=(), metadata=NO_SETTING)
    background: Source | str | None = None
    alpha: bool = False
    preview: Path | None = field(default=None, metadata=NO_SETTING)
    taesd: Path | None = field(default=None, metadata=NO_SETTING)

    @property
    def weights(self) -> tuple[str, ...]:
        return self.preset.weights

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("av", "numpy", *self.preset.entry.libraries)

    @property
    def size(self) -> tuple[int, int]:
        """`(width, height)` of the result."""
        return (self.preset.width, self.preset.height)

    @property
    def picture(self) -> FitPicture:
        """The reference at the size of the result."""
        return FitPicture(self.reference, self.size, self.fit, self.as_published)

    @property
    def as_published(self) -> bool:
        """True if pictures are brought to size as Animate Anyone's weights know them."""
        return self.preset.has(Trait.ORIGINAL)

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
        if self.as_published:
            sources["original"] = self.reference
        if (motion := self.fitted_motion) is not None:
            sources.update(pose=self.reference_pose, motion=motion)
        if (control := self.fitted_control) is not None:
            sources["control"] = control
        if self.like is not None:
            sources["like"] = MeasureMotion(self.like)
        if self.start is not None:
            sources["start"] = FitClip(self.start, self.size, self.fit)
        if self.footage is not None:
            sources["footage"] = self.footage
            if self.motion is not None:
                sources["source"] = self.motion
        for number, member in enumerate(self.cast, 2):
            sources[f"pose{number}"] = member.reference_pose
            if (follows := member.fitted_motion) is not None:
                sources[f"motion{number}"] = follows
        if self.background is not None and not isinstance(self.background, str):
            sources["background"] = self.background
        if (words := self.words) is not None:
            sources["words"] = words
        for number, (file, _) in enumerate(self.preset.loras):
            sources[lora_input(number)] = Path(file)
        return sources

    @property
    def words(self) -> EncodePrompt | None:
        """The preset's words, for renderers whose text encoder is larger than the rest."""
        if not self.preset.has(Trait.WAN):
            return None
        from animcli.rendering.renderer import ReadsPrompts, load_renderer

        renderer, preset = load_renderer(self.preset.renderer), self.preset
        if not isinstance(renderer, ReadsPrompts):
            return None
        cleaned = preset.has(Trait.FACE)  # as the authors of each do
        return EncodePrompt(
            preset.weights[0],
            renderer.prompts(preset),
            cleaned,
            self.device,
            preset.dtype,
        )

    @property
    def native_rate(self) -> Fraction | None:
        """Frames per second that a motion is brought to; None keeps its own."""
        return self.rate or self.preset.entry.native_rate

    def settings(self) -> Mapping[str, object]:
        heard = {
            key.name: to_json(getattr(self.preset, key.name))
            for key in fields(self.preset)
            if key.name not in ("name", "about") and self.preset.supports(key.name)
        }
        if self.start is None:
            heard.pop("strength", None)
        if "lora" in heard:  # files are inputs
            heard["lora"] = [weight for _, weight in self.preset.loras]
        cast = [[each.only, str(each.speed), each.retarget] for each in self.cast]
        revision = self.preset.entry.revision
        changed = {"preset": heard, "cast": cast, "renderer_revision": revision}
        return {**super().settings(), **changed}

    def performed(self, context: RunContext) -> list[PoseSequence]:
        """Keypoints as `moves` gives them for each character, all of one length."""
        if not self.cast:
            return [self.moves(context)]
        motions = [replace(self, frames=None).moves(context)]
        for number, member in enumerate(self.cast, 2):
            even = replace(member, rate=motions[0].rate, frames=None)
            motions.append(even.moves(context, str(number)))
        lengths = [len(each) for each in motions]
        frames = self.frames or (max(lengths) if self.loop else min(lengths))
        return [take_frames(each, frames, loop=self.loop) for each in motions]

    def moves(self, context: RunContext, number: str = "") -> PoseSequence:
        """The keypoints of every frame of the result, in its pixels and at its rate.

        number: of the character among the inputs, from 2 on.
        """
        from animcli.pose.io_pose import read_pose
        from animcli.pose.partial import only

        motion = read_pose(context.inputs[f"motion{number}"])
        if motion.rate is None and len(motion) > 1:  # one frame is a pose to hold
            context.warn(
                "the motion is unevenly spaced; it is resampled to "
                f"{nominal_rate(motion)} a second"
            )
        motion = moves_of(
            motion,
            self.size,
            self.fit,
            rate=self.native_rate,
            frames=self.frames,
            loop=self.loop,
            speed=self.speed,
        )
        if self.only == "all":
            return motion
        return only(motion, read_pose(context.inputs[f"pose{number}"]), self.only)

    def run(self, context: RunContext) -> None:
        with ExitStack() as opened:
            self._run(context, opened)

    def _run(self, context: RunContext, opened: ExitStack) -> None:
        from animcli.pipeline.checkpoint import FileCheckpoint
        from animcli.pose.io_pose import read_pose
        from animcli.rendering.renderer import (
            CastMember,
            Preview,
            RenderRequest,
            load_renderer,
        )
        from animcli.stages.backdrop import motion_and_background
        from animcli.stages.extract import DRAWN_DENSEPOSE, draw_densepose
        from animcli.stages.fitting import check_frames
        from animcli.stages.footage import open_driving
        from animcli.stages.frames import looped, make_frames, open_frames
        from animcli.video.images import read_picture

        self.check_conditioning()
        picture = read_picture(context.inputs["reference"])
        motion = pose = control = None
        cast: list[CastMember] = []
        usual = self.preset.entry.rate
        frames, rate = self.frames or DEFAULT_FRAMES, self.rate or usual
        if self.control is not None:
            clip = open_frames(context.inputs["control"])
            rate = self.rate or clip.rate
            control, there = looped(clip, rate / self.speed)
            frames = self.frames or there
            check_frames(frames, there, loop=self.loop)
        if self.motion is not None:
            motion, *others = self.performed(context)
            pose = read_pose(context.inputs["pose"])
            for number, other in enumerate(others, 2):
                cast.append(CastMember(read_pose(context.inputs[f"pose{number}"]), other))
            frames, rate = len(motion), motion.rate or self.rate or usual
            if self.preset.entry.conditioning is Conditioning.DENSEPOSE:
                context.warn(DRAWN_DENSEPOSE)
                control = draw_densepose(motion)
        driving = None
        if self.footage is not None:
            known = frames if motion is not None else None
            at = rate if motion is not None else self.native_rate or usual
            driving = opened.enter_context(open_driving(self, context, known, at))
            frames, rate = driving.frames, at
            if motion is None or self.preset.has(Trait.REPLACES):
                control = driving.fitted(self.size, self.fit)
        background = None
        if self.background is not None:
            motion, background = motion_and_background(self, context, motion, driving, rate)
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
            loras=self.loras(context),
            original=self.original(context),
            preview=Preview(self.preview, self.taesd) if self.preview else None,
            note=context.warn,
            footage=driving.footage if driving else None,
            source_motion=driving.motion if driving else None,
            prompt_embeds=read_prompts(context.inputs["words"])
            if "words" in context.inputs
            else None,
            cast=cast,
            background=background,
            alpha=self.alpha,
        )
        if (cost := self.cost(frames, context.weights)) is not None:
            context.warn(cost.summary())
        if self.offload not in ("auto", "none") and self.device == "cpu":
            context.warn(OFFLOAD_ON_CPU)
        checkpoint = FileCheckpoint(
            context.work / RENDER_CHECKPOINT, context.check_cancelled
        )
        renderer = load_renderer(self.preset.renderer)
        source = renderer.prepare(request, checkpoint, context.progress)
        make_frames(context, "rendering", source, frames, self.size, rate, alpha=self.alpha)
        if self.preview is not None:
            self.preview.unlink(missing_ok=True)

    def original(self, context: RunContext) -> NDArray[np.uint8] | None:
        """The reference as it was given, for renderers whose CLIP sees all of it."""
        from animcli.video.images import read_picture

        if not self.as_published:
            return None
        return read_picture(context.inputs["original"]).pixels

    def loras(self, context: RunContext) -> list[Lora]:
        """The LoRA files and their weights."""
        if not self.preset.loras:
            return []
        from animcli.weights.lora import Lora

        return [
            Lora(context.inputs[lora_input(number)], weight)
            for number, (_, weight) in enumerate(self.preset.loras)
        ]

    def cost(self, frames: int, weights: Mapping[str, Path] | None = None) -> Cost | None:
        """Cost of so many frames, if the renderer denoises.

        weights: folders of its entries, where they are here.
        """
        from animcli.rendering.cost import Denoiser, TellsCost, estimate_cost
        from animcli.rendering.renderer import load_renderer

        renderer = load_renderer(self.preset.renderer)
        if isinstance(renderer, TellsCost):
            folder = (weights or {}).get(self.preset.weights[0])
            return renderer.cost(self.preset, frames, self.device, self.offload, folder)
        if not isinstance(renderer, Denoiser):
            return None
        moved_alike = self.control is not None and self.preset.has(Trait.MOTION_FROM)
        return estimate_cost(
            self.preset,
            frames,
            renderer,
            self.device,
            offload=self.offload == "networks",
            inverted=moved_alike,
            begin=self.preset.skipped_steps if self.start is not None else 0,
        )

    def as_wanted(self, context: RunContext) -> Preset:
        """The preset, with as much motion as the clip has that was given for it."""
        if self.like is None:
            return self.preset
        measured = motion_bucket(read_likeness(context.inputs["like"]))
        return replace(self.preset, motion_bucket=float(measured))

    def check_conditioning(self) -> None:
        """Raise UsageError where the renderer wants something else than was given."""
        name, conditioning = self.preset.renderer, self.preset.entry.conditioning
        if conditioning is Conditioning.FOOTAGE and self.motion:
            raise UsageError(
                f"the renderer {name} follows a video itself, and no keypoints",
                "--motion dance.mp4",
            )
        if conditioning is Conditioning.FOOTAGE and self.footage is None:
            raise UsageError(f"the renderer {name} wants a video", "--motion dance.mp4")
        if self.preset.has(Trait.REPLACES) and self.footage is None:
            raise UsageError(
                f"the renderer {name} replaces the person of a video",
                "--motion dance.mp4, or --face-from dance.mp4 beside a .pose",
            )
        if self.motion and self.control:
            raise UsageError("a motion and a drawn video were given", "give one of them")
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


def lora_input(number: int) -> str:
    """Name of a LoRA among the inputs, from 0."""
    return f"lora{number}"


def moves_of(
    motion: PoseSequence,
    size: tuple[int, int],
    fit: Fit,
    *,
    rate: Fraction | None,
    frames: int | None,
    loop: bool,
    speed: Fraction = Fraction(1),
) -> PoseSequence:
    """A motion in the pixels `(width, height)` and frames of a result that follows it.

    Raises UsageError where it is too short and may not start again.
    """
    even = resample(at_speed(motion, speed), rate or nominal_rate(motion))
    return take_frames(fit_motion(even, size, fit), frames, loop=loop)
