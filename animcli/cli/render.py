"""`anim render` and `anim encode`: the commands that end in a video.

Also what may be said to a preset that follows words, and what means nothing to it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from animcli.cli import following
from animcli.cli.config import Settings, flag
from animcli.cli.extract import (
    POSE,
    check_keypoints,
    check_order,
    check_person,
    chosen_motion,
    detector_note,
)
from animcli.cli.following import AS_IT_IS, FollowOptions, OnlyPart
from animcli.cli.options import (
    EachNth,
    End,
    Output,
    Overrides,
    PartStart,
    VideoPart,
    options,
    read_count,
    read_part,
    read_size,
)
from animcli.cli.plan import (
    Command,
    Context,
    FrameSource,
    PipelineState,
    Plan,
    Split,
    name_of,
)
from animcli.errors import InputError, UsageError
from animcli.presets import DIFFUSION, DRAWINGS, PROMPTED, Preset, load_preset
from animcli.settings import settings_in

if TYPE_CHECKING:
    from animcli.pipeline.record import CacheKey
    from animcli.pipeline.stage import Source
    from animcli.stages.render import RenderStage

RENDER_KEYS: Final = [
    name for name in settings_in(Preset) if name not in ("renderer", "width", "height")
]


@options(
    "preset", "fps", *RENDER_KEYS, "fit", "device", "offload", "detector",
    "detector_device", "person", "camera", "keep_in_frame", "codec", "quality", "audio",
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
        int | None,
        typer.Option(metavar="N", help="Number of frames; otherwise all of the motion."),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Start the motion again where it ends.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of the result, such as 512x768.")
    ] = None,
    no_retarget: Annotated[
        bool, typer.Option("--no-retarget", help="Leave the motion's proportions alone.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also make a video of reference, motion and result in a row."
        ),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip damaged frames.")
    ] = False,
    motion_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With Cinemo: a clip to take the motion from."),
    ] = None,
    motion_like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With Cinemo: a clip with as much motion."),
    ] = None,
    speed: following.Speed = 1.0,
    only: following.Only = OnlyPart.ALL,
    reference_pose: following.ReferencePose = None,
    reference_person: following.ReferencePerson = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="VIDEO|cutout",
            help="Denoise these frames, such as an earlier render's, by --strength.",
        ),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(metavar="N", help="Split each step over so many processes or GPUs."),
    ] = None,
    engine: Annotated[
        Literal["here", "ray"], typer.Option(help="With --slots: where they come from.")
    ] = "here",
    start: PartStart = None,
    end: End = None,
    every: EachNth = None,
    *,
    overrides: Overrides,
) -> Command:
    """Let a character perform a motion, or a picture move as words say.

    ref.png and dance.pose -> ref-dance.mp4

    Finds the pose, retargets and encodes on the way, where that wasn't done. Options that
    aren't given come from ANIM_* variables, anim.toml, the preset, in this order.
    """
    count = read_count("--frames", frames, 1_000_000)
    overrides = {**overrides, **read_size(size)}
    return Render(
        reference, motion, output, count, loop, not no_retarget, compare, keep_going,
        motion_from, motion_like, overrides, start_from,
        Split(engine, shared) if (shared := read_count("--slots", slots, 64)) else None,
        read_part(start, end, every),
        FollowOptions(
            Fraction(speed).limit_denominator(1000), only, reference_pose, reference_person
        ),
    )  # fmt: skip


@options("codec", "quality", "fps", "audio")
def encode(
    source: Annotated[
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
    overrides: Overrides,
) -> Command:
    """Encode a finished render again, from its lossless frames.

    ref-dance.mp4 --codec vp9 -> ref-dance-vp9.webm
    """
    sides = read_size(size)
    scaled = (sides["width"], sides["height"]) if sides else None
    return Encode(source, output, sound, scaled, overrides)


USUAL: Final = "cutout"
"""The preset where none was said: it needs no weights."""
DIFFUSING: Final = "animate-anyone"
"""The preset that goes before it, once its weights are here."""


LONGEST: Final = 1280
"""Pixels of the longer side of a result that takes its picture's own shape."""


def own_size(picture: Path) -> tuple[int, int]:
    """`(width, height)` of a result with a picture's own shape, in multiples of 8.

    Raises InputError for what isn't a picture.
    """
    from animcli.video.images import picture_size

    sides = picture_size(picture)
    scale = min(1.0, LONGEST / max(sides))
    width, height = (max(64, int(side * scale) // 8 * 8) for side in sides)
    return width, height


SILENT: Final = (
    "{}: a pose has no sound, and its video isn't beside it; "
    "anim encode RESULT --sound VIDEO adds one"
)


def check_sound(video: Path | None) -> None:
    """Raise UsageError for an `--audio` that could do nothing: the video has no sound."""
    from animcli.video.audio import has_sound

    if video is not None and video.exists() and not has_sound(video):
        raise UsageError(f"--audio: {video} has no sound", "leave --audio out")


FOLLOWED: Final = (
    "{}: looks like a drawn video, and is followed as it is; where it is footage, "
    "--detector NAME has the person looked for"
)


@dataclass(frozen=True)
class Rendering:
    """Frames of a render, their name, and the video whose sound goes along.

    note: what is worth knowing before it starts.
    sound_start: seconds into the sound at which the first frame is shown.
    """

    stage: RenderStage
    name: str
    sound: Path | None
    note: str = ""
    sound_start: Fraction = Fraction(0)


@dataclass(frozen=True)
class Render:
    """`anim render`."""

    reference: Path
    motion: Path | None
    out: Path | None
    frames: int | None
    loop: bool
    retarget: bool
    compare: bool
    keep_going: bool
    motion_from: Path | None
    motion_like: Path | None
    overrides: Mapping[str, object]
    start_from: str | None = None
    split: Split | None = None
    part: VideoPart = field(default_factory=dict)
    follow: FollowOptions = AS_IT_IS

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """The video, and the comparison if that is wanted."""
        from animcli.cli.results import encode_stage, video_path
        from animcli.pipeline.output import Step
        from animcli.stages.inspect import CompareStage

        check_order(self.reference, self.motion, "anim render {picture} --motion {motion}")
        usual, note = usual_preset(context, context.config.options(self.overrides).device)
        settings = context.config.resolve(self.overrides, usual)
        options, renderer = settings.options, settings.preset.renderer
        if self.split and (renderer in PROMPTED or renderer not in DIFFUSION):
            raise UsageError(
                f"--slots: a render with {renderer} can't be split",
                "anim batch does several renders at a time",
            )
        if renderer in PROMPTED:
            made = self.prompted(settings, state)
        else:
            made = self.driven(settings, state)
        looped = made.stage.motion if self.loop and made.sound else None
        source = FrameSource(
            made.stage, made.name, made.sound, made.sound_start, looped, self.follow.speed
        )
        out = video_path(source, self.out, options, context.project)
        steps = [Step(encode_stage(source, out, options), out, manifest=True)]
        if self.compare:
            row = replace(source, frames=CompareStage(made.stage))
            beside = out.with_name(f"{out.stem}-compare{out.suffix}")
            steps.append(Step(encode_stage(row, beside, options), beside, manifest=True))
        notes = (note if not options.preset else "", made.note, detector_note(options))
        note = "; ".join(each for each in notes if each)
        return Plan(
            tuple(steps), replace(state, source=source), note=note, split=self.split
        )

    def driven(self, settings: Settings, state: PipelineState) -> Rendering:
        """The film of a character that follows a motion."""
        from animcli.stages.fitting import Fit
        from animcli.stages.render import RenderStage

        options = settings.options
        if self.motion_from or self.motion_like:
            said = "--motion-from" if self.motion_from else "--motion-like"
            raise UsageError(
                f"{said} is for presets that follow words, and "
                f"{settings.preset.name} doesn't",
                "--preset cinemo",
            )
        follows = DRAWINGS.get(settings.preset.renderer)
        motion = chosen_motion(
            self.motion,
            state,
            options,
            "anim render PICTURE --motion FILE",
            self.keep_going,
            None if "detector" in self.overrides else follows,
            self.part,
        )
        if motion.drawn != follows:
            check_keypoints(motion)
        note = FOLLOWED.format(self.motion) if motion.drawn and self.motion else ""
        check_person(self.overrides, motion.source, motion.name)
        retarget = self.retarget and motion.fitted_to != self.reference
        preset, fit = settings.preset, Fit(options.fit or Fit.PAD)
        if preset.own_size and not settings.origins.keys() & {"width", "height"}:
            width, height = own_size(self.reference)
            preset = replace(preset, width=width, height=height)
            fit = Fit(options.fit or Fit.CROP)  # a few pixels, for sides that codecs take
        stage = RenderStage(
            self.reference,
            motion.source if motion.drawn is None else None,
            preset,
            frames=self.frames,
            loop=self.loop,
            rate=options.fps,
            retarget=retarget and motion.drawn is None,
            fit=fit,
            detector=options.detector,
            device=device_for(settings),
            control=motion.source if motion.drawn is not None else None,
            camera=options.camera,
            keep_in_frame=options.keep_in_frame,
            offload=options.offload,
            keypoints=self.follow.keypoints(),
            person=self.follow.reference_person,
            only=self.follow.only.value,
            speed=self.follow.speed,
        )
        if motion.drawn is not None:
            self.follow.check(settings.preset.name, "with a drawn video", motion.source)
        stage = replace(stage, start=self.start_of(stage))
        name = f"{name_of(self.reference)}-{motion.name}"
        if motion.video is None and motion.drawn is None:
            if self.overrides.get("audio"):
                raise UsageError(
                    f"--audio: {motion.name} has no sound, and its video isn't beside it",
                    "anim encode RESULT --sound VIDEO adds one",
                )
            if options.audio and self.motion is not None and self.motion.suffix == POSE:
                note = "; ".join(filter(None, (note, SILENT.format(self.motion))))
        elif self.overrides.get("audio"):
            check_sound(motion.video)
        sound = motion.video if options.audio else None
        return Rendering(stage, name, sound, note, motion.begins)

    def start_of(self, stage: RenderStage) -> Source | None:
        """The frames that denoising starts from: a video's, or the cut-out's.

        Raises UsageError where the preset denoises nothing, or `--strength` has no frames.
        """
        preset = stage.preset
        if self.start_from is None:
            if "strength" in self.overrides:
                raise UsageError(
                    "--strength is for frames to start from",
                    "--start-from VIDEO, or cutout",
                )
            return None
        if not preset.supports("strength"):
            raise UsageError(
                f"--start-from has no effect with the preset {preset.name}, which renders "
                f"with {preset.renderer}"
            )
        if self.start_from != USUAL:
            return Path(self.start_from)
        if stage.control is not None:
            raise UsageError(
                f"{USUAL} follows keypoints, and the motion is a drawn video",
                "give --start-from a video",
            )
        cutout = replace(load_preset(USUAL), width=preset.width, height=preset.height)
        return replace(stage, preset=cutout, device="cpu")

    def prompted(self, settings: Settings, state: PipelineState) -> Rendering:
        """The film of a picture that moves by itself, or as another clip does."""
        from animcli.stages.fitting import Fit
        from animcli.stages.render import RenderStage

        options, preset = settings.options, settings.preset
        if self.motion is not None or state.motion is not None:
            raise UsageError(
                f"the preset {preset.name} follows words, and no --motion",
                "leave --motion out; --motion-from FILE takes the motion of a clip",
            )
        if self.part:
            raise UsageError(
                f"--{next(iter(self.part))} is about a motion, and the preset "
                f"{preset.name} follows none"
            )
        if self.start_from is not None:
            raise UsageError(
                f"--start-from is for presets that follow a motion, and {preset.name} "
                "doesn't"
            )
        check_prompt_options(
            preset,
            self.overrides,
            self.motion_from,
            self.motion_like,
            loop=self.loop,
            retarget=self.retarget,
        )
        self.follow.check(preset.name, "which follows words", self.motion_from)
        stage = RenderStage(
            self.reference,
            None,
            with_overrides(preset, self.overrides),
            frames=self.frames,
            loop=self.loop,
            rate=options.fps,
            fit=Fit(options.fit or Fit.COVER),
            device=device_for(settings),
            control=self.motion_from,
            like=self.motion_like,
            offload=options.offload,
            speed=self.follow.speed,
        )
        other = name_of(self.motion_from) if self.motion_from else preset.name
        sound = self.motion_from if options.audio else None
        note = "" if preset.prompt or self.motion_from else NO_PROMPT
        return Rendering(stage, f"{name_of(self.reference)}-{other}", sound, note)


@dataclass(frozen=True)
class Encode:
    """`anim encode`."""

    video: Path | None
    out: Path | None
    sound: Path | None
    size: tuple[int, int] | None
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """The same frames as another file."""
        from animcli.cli.results import encode_stage, video_path
        from animcli.pipeline.output import Step
        from animcli.stages.reference import FitClip

        options = context.config.options(self.overrides)
        source = (
            state.source if self.video is None else frames_of_video(self.video, context)
        )
        if source is None:
            raise UsageError(
                "there is no video", "say which: anim encode VIDEO -o NAME.webm"
            )
        sound = self.sound or source.sound
        source = replace(source, sound=sound if options.audio else None)
        if self.out is None and options.codec is None:
            raise UsageError("encoded as what?", "say the new name: -o NAME, or a --codec")
        if options.codec is not None:
            source = replace(source, name=f"{source.name}-{options.codec}")
        if self.size is not None:
            source = replace(source, frames=FitClip(source.frames, self.size))
        out = video_path(source, self.out, options, context.project)
        rate = options.fps if "fps" in self.overrides else None
        stage = replace(encode_stage(source, out, options), rate=rate)
        return Plan((Step(stage, out, manifest=True),), state)


def frames_of_video(video: Path, context: Context) -> FrameSource:
    """The frames that a delivered video was encoded from, by the manifest beside it.

    Raises InputError where there is no manifest, or the cache doesn't hold them any more.
    """
    from animcli.pipeline.output import manifest_path
    from animcli.stages.encode import EncodeStage

    path = manifest_path(video)
    try:
        manifest = json.loads(path.read_bytes())
        made = {stage["made"]: cache_key_of(stage) for stage in manifest["stages"]}
        command = shlex.join(manifest["command"])
    except FileNotFoundError as error:
        raise InputError(
            f"{video}: there is no {path.name} beside it",
            "encode takes what `anim render` made, with its manifest",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no manifest of animcli: {error}") from error
    for encoded in made.values():
        frames = made.get(encoded.inputs.get("frames", ""))
        if encoded.stage == EncodeStage.name and frames is not None:
            found = context.project.store.find(frames.digest)
            if found is not None:
                return FrameSource(found.path, video.stem, sound=video)
    raise InputError(
        f"{video}: the cache doesn't hold its frames any more",
        f"make it again first: {command}",
    )


def cache_key_of(stage: Mapping[str, Any]) -> CacheKey:
    """The recipe in a stage of a manifest."""
    from animcli.pipeline.record import CacheKey

    return CacheKey(**{each.name: stage[each.name] for each in fields(CacheKey)})


def usual_preset(context: Context, device: str) -> tuple[str, str]:
    """The preset where none was said, and a line that names it and what else there is.

    A CPU takes hours for what a GPU does in seconds, so it gets the other only where
    that is named.
    """
    lacking = lacking_weights(DIFFUSING, context)
    if not lacking:
        from animcli.rendering.loading import best_device  # torch takes seconds

        if (best_device() if device == "auto" else device) == "cpu":
            return USUAL, (
                f"rendering with the preset {USUAL}: {DIFFUSING}, whose weights are here, "
                f"takes hours on a CPU; --preset {DIFFUSING} tells how many"
            )
        return DIFFUSING, f"rendering with the preset {DIFFUSING}, whose weights are here"
    pull = f"anim weights pull {' '.join(lacking)}"
    return USUAL, f"rendering with the preset {USUAL}; to render with {DIFFUSING}: {pull}"


def lacking_weights(preset: str, context: Context) -> list[str]:
    """The entries to get before a preset can render; not those that come by themselves.

    From the catalog alone: asking the renderer would load torch.
    """
    renderer = load_preset(preset).renderer
    entry = context.weights.catalog.get(renderer)
    needed = () if entry is None else (renderer, *entry.goes_with)
    return [name for name in needed if not context.weights.has(name)]


def device_for(settings: Settings) -> str:
    """The device that a preset renders on: never another than was asked for.

    Raises DeviceError where this machine doesn't have it, UsageError where the preset has
    no use for it.
    """
    device = settings.options.device
    if settings.preset.renderer in DIFFUSION:
        from animcli.rendering.loading import (  # torch takes seconds
            best_device,
            open_device,
        )

        best = best_device() if device == "auto" else device
        open_device(best)
        return best
    if settings.origins.get("device") == "--device" and device not in ("auto", "cpu"):
        raise UsageError(
            f"--device {device} has no effect with the preset {settings.preset.name}, "
            "which renders on the CPU"
        )
    return "cpu"


STRENGTHS: Final = ("motion_strength", "motion_bucket")
"""Flags that say how much moves, as `--motion-like` does."""

KEYPOINT_FLAGS: Final = ("detector", "person", "camera", "keep_in_frame")
"""Flags about keypoints, of which such a preset sees none."""

NO_PROMPT: Final = "no --prompt was given: what moves, and how, is left to the network"


def check_prompt_options(
    preset: Preset,
    overrides: Mapping[str, object],
    motion_from: Path | None,
    motion_like: Path | None,
    *,
    loop: bool,
    retarget: bool,
) -> None:
    """Raise UsageError for flags that exclude each other, or that nothing would hear."""
    if (said := _strengths(overrides.keys(), motion_like)) and len(said) > 1:
        raise UsageError(
            f"{said[0]} says how much moves, and so does {said[1]}",
            "give one of --motion-like, --motion-strength and --motion-bucket",
        )
    deaf = [flag(name) for name in KEYPOINT_FLAGS if name in overrides]
    if not retarget:
        deaf.append("--no-retarget")
    if deaf:
        raise UsageError(
            f"{deaf[0]} is about keypoints, and the preset {preset.name} follows none",
            f"leave {deaf[0]} out",
        )
    for name, given in (
        ("--loop", loop),
        ("--source-prompt", "source_prompt" in overrides),
    ):
        if given and motion_from is None:
            raise UsageError(
                f"{name} is about the clip whose motion is taken, and there is none",
                "--motion-from FILE says which",
            )


def with_overrides(preset: Preset, overrides: Mapping[str, object]) -> Preset:
    """The preset; a strength on the line outdoes a motion id from elsewhere."""
    return replace(preset, motion_bucket=None) if "motion_strength" in overrides else preset


def _strengths(overrides: Set[str], motion_like: Path | None) -> list[str]:
    """The flags that say how much moves."""
    said = ["--motion-like"] if motion_like else []
    return said + [flag(name) for name in STRENGTHS if name in overrides]
