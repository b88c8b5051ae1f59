"""`anim render`: a character performs a motion, or a picture moves as words say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from animcli.cli import figures, following
from animcli.cli.choices import (
    FACELESS,
    FOLLOWED,
    HELD,
    HELD_FRAMES,
    NO_PROMPT,
    SEEDLESS,
    SILENT,
    USUAL,
    check_face,
    check_prompt_options,
    check_renderer,
    check_sound,
    check_split,
    device_for,
    filmed_stage,
    offload_for,
    own_size,
    usual_preset,
    with_overrides,
)
from animcli.cli.config import Settings
from animcli.cli.detector import check_person, detector_note
from animcli.cli.figures import ITS_PICTURE, FigureOptions
from animcli.cli.following import AS_IT_IS, FollowOptions, OnlyPart
from animcli.cli.motion import POSE, check_keypoints, check_order, chosen_motion
from animcli.cli.options import (
    EachNth,
    End,
    Output,
    Overrides,
    StartAt,
    VideoPart,
    filled_in,
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
from animcli.errors import UsageError
from animcli.presets import Preset, load_preset
from animcli.registry import DEFAULT_RATE, Conditioning, Trait
from animcli.settings import settings_in

if TYPE_CHECKING:
    from animcli.pipeline.stage import Source
    from animcli.stages.render import RenderStage

RENDER_KEYS: Final = [
    name for name in settings_in(Preset) if name not in ("renderer", "width", "height")
]


@options(
    "preset", "fps", *RENDER_KEYS, "fit", "device", "offload", "preview", "detector",
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
    report: Annotated[
        bool, typer.Option("--report", help="Also a page that tells whether it is good.")
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
    cast: figures.Cast = None,
    background: figures.BackgroundFlag = None,
    alpha: figures.Alpha = False,
    face_from: Annotated[
        Path | None,
        typer.Option(
            metavar="VIDEO", help="With Wan-Animate and a .pose: the video it was found in."
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="VIDEO|cutout",
            help="Denoise these frames, such as an earlier render's, by --strength.",
        ),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(metavar="N", help="Split steps and decoding over so many processes."),
    ] = None,
    engine: Annotated[
        Literal["here", "ray"], typer.Option(help="With --slots: where they come from.")
    ] = "here",
    start: StartAt = None,
    end: End = None,
    every: EachNth = None,
    *,
    overrides: Overrides,
) -> Command:
    """Animate a character by a driving motion, or a still picture by a prompt.

    ref.png and dance.pose -> ref-dance.mp4

    Finds the pose, retargets and encodes on the way, where that wasn't done. Options that
    aren't given come from ANIM_* variables, anim.toml, the preset, in this order.
    """
    count = read_count("--frames", frames, 1_000_000)
    overrides = {**overrides, **read_size(size)}
    shared = read_count("--slots", slots, 64)
    split = Split(engine, shared) if shared else None
    devices = tuple(str(overrides.get("device", "auto")).split(","))
    if len(devices) > 1:
        if split is not None or engine != "here":
            raise UsageError(
                f"--device {','.join(devices)} says already where the slots are",
                "leave --slots and --engine out",
            )
        split = Split("here", len(devices), devices)
        kind = devices[0].partition(":")[0]  # a slot sees its own only
        overrides = {**overrides, "device": kind}
    elif split is None and engine != "here":
        raise UsageError(
            f"--engine {engine}: it gives slots, and none were asked for", "--slots 4"
        )
    return Render(
        reference,
        motion,
        output,
        count,
        loop,
        not no_retarget,
        compare=compare,
        keep_going=keep_going,
        motion_from=motion_from,
        motion_like=motion_like,
        overrides=overrides,
        start_from=start_from,
        split=split,
        part=read_part(start, end, every),
        follow=FollowOptions(
            Fraction(speed).limit_denominator(1000), only, reference_pose, reference_person
        ),
        face_from=face_from,
        report=report,
        figures=FigureOptions(cast, background, alpha),
    )


@dataclass(frozen=True)
class Rendering:
    """Frames of a render, their name, and the video whose sound goes along.

    note: what is worth knowing before it starts. driving: the video that it follows.
    sound_start: seconds into the sound at which the first frame is shown.
    """

    stage: RenderStage
    name: str
    sound: Path | None
    note: str = ""
    sound_start: Fraction = Fraction(0)
    driving: Path | None = None


@dataclass(frozen=True)
class Render:
    """`anim render`."""

    reference: Path
    motion: Path | None
    out: Path | None
    frames: int | None
    loop: bool
    retarget: bool
    _: KW_ONLY
    compare: bool
    keep_going: bool
    motion_from: Path | None
    motion_like: Path | None
    overrides: Mapping[str, object]
    start_from: str | None = None
    split: Split | None = None
    part: VideoPart = field(default_factory=dict)
    follow: FollowOptions = AS_IT_IS
    face_from: Path | None = None
    report: bool = False
    figures: FigureOptions = ITS_PICTURE

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """The video, and the comparison if that is wanted."""
        from animcli.cli.evaluate import report_on
        from animcli.cli.results import encode_stage, video_path
        from animcli.pipeline.output import Step, holds_another
        from animcli.stages.inspect import CompareStage

        check_order(self.reference, self.motion, "anim render {picture} --motion {motion}")
        usual, note = usual_preset(context, context.config.options(self.overrides).device)
        settings = context.config.resolve(self.overrides, usual)
        options, conditioning = settings.options, settings.preset.entry.conditioning
        check_face(self.face_from, settings.preset)
        self.figures.check(settings.preset, self)
        check_split(self.split, settings.preset)
        if conditioning is Conditioning.PROMPT:
            made = self.prompted(settings, state)
        elif conditioning is Conditioning.FOOTAGE:
            stage = filmed_stage(self, settings, device_for(settings))
            name = f"{name_of(self.reference)}-{name_of(self.motion or self.reference)}"
            made = Rendering(stage, name, self.motion if options.audio else None)
        else:
            made = self.driven(settings, state)
        check_renderer(made.stage, context)
        looped = made.stage.motion if self.loop and made.sound else None
        source = FrameSource(
            made.stage, made.name, made.sound, made.sound_start, looped, self.follow.speed,
            driving=made.driving, alpha=self.figures.alpha,
        )  # fmt: skip
        followed = self.figures.cast or self.motion or self.motion_from
        preset = made.stage.preset
        fields = {
            "reference": name_of(self.reference),
            "motion": name_of(followed) if followed else "",
            "preset": settings.preset.name,
            "seed": preset.seed,
            "size": f"{preset.width}x{preset.height}",
        }
        wanted = filled_in(self.out, fields)
        out = video_path(source, wanted, options, context.project)
        if (self.out is None or self.out.is_dir()) and not context.options.force:
            plain = encode_stage(source, out, options)
            if holds_another(context.project, plain, out):
                source = replace(source, name=f"{source.name}-{settings.preset.name}")
                out = video_path(source, wanted, options, context.project)
        made = replace(made, stage=self.previewed(made.stage, out, settings, context))
        source = replace(source, frames=made.stage)
        steps = [Step(encode_stage(source, out, options), out, manifest=True)]
        if self.compare:
            row = replace(source, frames=CompareStage(made.stage), alpha=False)
            beside = out.with_name(f"{out.stem}-compare{out.suffix}")
            steps.append(Step(encode_stage(row, beside, options), beside, manifest=True))
        if self.report:
            page = out.with_name(f"{out.stem}-report.html")
            steps.append(Step(report_on(source, out.name, options, context), page))
        idle = "seed" in self.overrides and not settings.preset.entry.denoises
        seedless = SEEDLESS.format(settings.preset.name) if idle else ""
        usual = note if not options.preset else ""
        notes = (usual, seedless, made.note, detector_note(options))
        note = "; ".join(each for each in notes if each)
        return Plan(
            tuple(steps), replace(state, source=source), note=note, split=self.split
        )

    def driven(self, settings: Settings, state: PipelineState) -> Rendering:
        """The film of a character that follows a motion."""
        from animcli.stages.fitting import Fit
        from animcli.stages.reference import FindPose
        from animcli.stages.render import RenderStage

        options = settings.options
        if self.motion_from or self.motion_like:
            said = "--motion-from" if self.motion_from else "--motion-like"
            raise UsageError(
                f"{said} is for presets that follow words, and "
                f"{settings.preset.name} doesn't",
                "--preset cinemo",
            )
        follows = settings.preset.entry.drawn
        roles = self.figures.roles(options, self.keep_going)
        motion = (
            roles[0].motion
            if roles
            else chosen_motion(
                self.motion,
                state,
                options,
                "anim render PICTURE --motion FILE",
                self.keep_going,
                None if "detector" in self.overrides else follows,
                self.part,
            )
        )
        if motion.drawn != follows:
            check_keypoints(motion)
        note = FOLLOWED.format(self.motion) if motion.drawn and self.motion else ""
        check_person(self.overrides, motion.source, motion.name)
        preset = settings.preset
        retarget = self.retarget and motion.fitted_to != self.reference
        retarget = retarget and not preset.has(Trait.REPLACES)
        footage = (self.face_from or motion.video) if preset.has(Trait.WAN) else None
        fit = Fit(options.fit or Fit.PAD)
        if preset.own_size and not settings.origins.keys() & {"width", "height"}:
            width, height = own_size(self.reference)
            preset = replace(preset, width=width, height=height)
            fit = Fit(options.fit or Fit.CROP)  # a few pixels, for sides that codecs take
        held = isinstance(motion.source, FindPose)  # a still picture
        if held and self.frames is None:
            note = "; ".join(filter(None, (note, HELD.format(motion.name))))
        stage = RenderStage(
            self.reference,
            motion.source if motion.drawn is None else None,
            preset,
            frames=self.frames or (HELD_FRAMES if held else None),
            loop=self.loop or held,
            rate=options.fps or (DEFAULT_RATE if held else None),
            retarget=retarget and motion.drawn is None,
            fit=fit,
            detector=options.detector,
            device=device_for(settings),
            control=motion.source if motion.drawn is not None else None,
            camera=options.camera,
            keep_in_frame=options.keep_in_frame,
            offload=offload_for(settings),
            keypoints=self.follow.keypoints(),
            person=self.follow.reference_person,
            only=self.follow.only.value,
            speed=self.follow.speed,
            footage=footage,
        )
        if motion.drawn is not None:
            self.follow.check(settings.preset.name, "with a drawn video", motion.source)
        stage = self.figures.applied(stage, roles, motion, settings)
        stage = replace(stage, start=self.start_of(stage))
        followed = name_of(self.figures.cast) if self.figures.cast else motion.name
        name = f"{name_of(self.reference)}-{followed}"
        filmed = motion.video or self.face_from
        if filmed is None and motion.drawn is None:
            if self.overrides.get("audio"):
                mute = self.motion or motion.name
                raise UsageError(
                    f"--audio: {mute} has no sound, and its video isn't beside it",
                    "anim encode RESULT --sound VIDEO adds one",
                )
            if options.audio and self.motion is not None and self.motion.suffix == POSE:
                note = "; ".join(filter(None, (note, SILENT.format(self.motion))))
        elif self.overrides.get("audio"):
            check_sound(filmed)
        if preset.has(Trait.WAN) and footage is None:
            note = "; ".join(filter(None, (note, FACELESS)))
        sound = filmed if options.audio else None
        driving = None if motion.drawn else filmed
        return Rendering(stage, name, sound, note, motion.begins, driving)

    def previewed(
        self, stage: RenderStage, out: Path, settings: Settings, context: Context
    ) -> RenderStage:
        """The stage, with a preview beside the result if that is wanted.

        Raises UsageError where the preset has no latents to show, or TAESD can't read them.
        """
        wanted = settings.options.preview
        if wanted == "off":
            return stage
        preset = settings.preset
        if not (
            preset.has(Trait.PUBLISHED) if wanted == "taesd" else preset.entry.denoises
        ):
            if settings.origins.get("preview") != "--preview":
                return stage
            raise UsageError(
                f"--preview {wanted} has no effect with the preset {preset.name}, "
                f"which renders with {preset.renderer}"
            )
        taesd = context.weights.path("taesd") if wanted == "taesd" else None
        preview = out.with_name(f"{out.stem}.preview.png").absolute()
        return replace(stage, preview=preview, taesd=taesd)

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
        if (self.motion_from or self.motion_like) and not preset.has(Trait.MOTION_FROM):
            raise UsageError(
                f"the preset {preset.name} takes no motion from a clip", "--preset cinemo"
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
            offload=offload_for(settings),
            speed=self.follow.speed,
        )
        other = name_of(self.motion_from) if self.motion_from else preset.name
        sound = self.motion_from if options.audio else None
        note = "" if preset.prompt or self.motion_from else NO_PROMPT
        return Rendering(stage, f"{name_of(self.reference)}-{other}", sound, note)
