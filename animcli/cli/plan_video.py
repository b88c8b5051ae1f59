"""The commands that end in a video: `render` and `encode`."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from animcli.cli.plan import Desk, Film, Planned, Thread, name_of, place
from animcli.cli.plan_detector import check_person
from animcli.cli.plan_motion import check_joints, motion_of
from animcli.cli.plan_words import WANDERING, as_chosen, check_words
from animcli.cli.settings import Options, Settings
from animcli.errors import InputError, UsageError
from animcli.presets import DIFFUSION, DRAWINGS, PROMPTED, load_preset
from animcli.project.project import Project
from animcli.project.record import Recipe
from animcli.stages.compare import CompareStage
from animcli.stages.deliver import Step, is_delivered
from animcli.stages.encode import EncodeStage
from animcli.stages.manifest import manifest_path
from animcli.stages.reference import Fit, FitClip
from animcli.stages.render import RenderStage
from animcli.video.encoding import Codec, encoding_for

SUFFIXES: Final[Mapping[str | None, str]] = {
    None: ".mp4",
    "h264": ".mp4",
    "h265": ".mp4",
    "av1": ".mp4",
    "prores4444": ".mov",
    "vp9": ".webm",
    "gif": ".gif",
    "webp": ".webp",
    "png": "",
}
"""What a video of each codec is called where its name wasn't said; `png` makes a folder."""


USUAL: Final = "cutout"
"""The preset where none was said: it needs no weights."""
DIFFUSING: Final = "animate-anyone"
"""The preset that goes before it, once its weights are here."""


@dataclass(frozen=True)
class Rendering:
    """What a render comes to: its frames, what it is called, whose sound goes along.

    note: what is worth knowing before it starts.
    """

    stage: RenderStage
    name: str
    sound: Path | None
    note: str = ""


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
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """The video, and the comparison if that is wanted."""
        usual, note = usual_preset(desk)
        settings = desk.layers.settle(self.chosen, usual)
        options = settings.options
        if settings.preset.renderer in PROMPTED:
            made = self.prompted(settings, thread)
        else:
            made = self.driven(settings, thread)
        film = Film(made.stage, made.name, made.sound)
        out = named(film, self.out, options, desk.project)
        steps = [Step(encoding(film, out, options), out, manifest=True)]
        if self.compare:
            row = replace(film, frames=CompareStage(made.stage))
            beside = out.with_name(f"{out.stem}-compare{out.suffix}")
            steps.append(Step(encoding(row, beside, options), beside, manifest=True))
        note = made.note if options.preset else note
        return Planned(tuple(steps), replace(thread, film=film), note=note)

    def driven(self, settings: Settings, thread: Thread) -> Rendering:
        """The film of a character that follows a motion."""
        options = settings.options
        if self.motion_from or self.motion_like:
            said = "--motion-from" if self.motion_from else "--motion-like"
            raise UsageError(
                f"{said} is for presets that follow words, and "
                f"{settings.preset.name} doesn't",
                "--preset cinemo",
            )
        motion = motion_of(
            self.motion,
            thread,
            options,
            "anim render PICTURE --motion FILE",
            self.keep_going,
        )
        if motion.drawn != DRAWINGS.get(settings.preset.renderer):
            check_joints(motion)
        check_person(self.chosen, motion.source, motion.name)
        retarget = self.retarget and motion.fitted_to != self.reference
        stage = RenderStage(
            self.reference,
            motion.source if motion.drawn is None else None,
            settings.preset,
            frames=self.frames,
            loop=self.loop,
            rate=options.fps,
            retarget=retarget and motion.drawn is None,
            fit=Fit(options.fit or Fit.PAD),
            detector=options.detector,
            device=device_for(settings),
            control=motion.source if motion.drawn is not None else None,
            camera=options.camera,
            stay_inside=options.stay_inside,
            offload=options.offload,
        )
        name = f"{name_of(self.reference)}-{motion.name}"
        return Rendering(stage, name, motion.video if options.audio else None)

    def prompted(self, settings: Settings, thread: Thread) -> Rendering:
        """The film of a picture that moves by itself, or as another clip does."""
        options, preset = settings.options, settings.preset
        if self.motion is not None or thread.motion is not None:
            raise UsageError(
                f"the preset {preset.name} follows words, and no --motion",
                "leave --motion out; --motion-from FILE takes the motion of a clip",
            )
        check_words(
            preset,
            self.chosen,
            self.motion_from,
            self.motion_like,
            loop=self.loop,
            retarget=self.retarget,
        )
        stage = RenderStage(
            self.reference,
            None,
            as_chosen(preset, self.chosen),
            frames=self.frames,
            loop=self.loop,
            rate=options.fps,
            fit=Fit(options.fit or Fit.COVER),
            device=device_for(settings),
            control=self.motion_from,
            like=self.motion_like,
            offload=options.offload,
        )
        other = name_of(self.motion_from) if self.motion_from else preset.name
        sound = self.motion_from if options.audio else None
        note = "" if preset.prompt or self.motion_from else WANDERING
        return Rendering(stage, f"{name_of(self.reference)}-{other}", sound, note)


@dataclass(frozen=True)
class Encode:
    """`anim encode`."""

    film: Path | None
    out: Path | None
    sound: Path | None
    size: tuple[int, int] | None
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """The same frames as another file."""
        options = desk.layers.options(self.chosen)
        film = thread.film if self.film is None else film_in(self.film, desk)
        if film is None:
            raise UsageError(
                "there is no video", "say which: anim encode VIDEO -o NAME.webm"
            )
        sound = self.sound or film.sound
        film = replace(film, sound=sound if options.audio else None)
        if self.out is None and options.codec is None:
            raise UsageError("encoded as what?", "say the new name: -o NAME, or a --codec")
        if options.codec is not None:
            film = replace(film, name=f"{film.name}-{options.codec}")
        if self.size is not None:
            film = replace(film, frames=FitClip(film.frames, self.size))
        out = named(film, self.out, options, desk.project)
        rate = options.fps if "fps" in self.chosen else None
        stage = replace(encoding(film, out, options), rate=rate)
        return Planned((Step(stage, out, manifest=True),), thread)


def film_in(video: Path, desk: Desk) -> Film:
    """The frames that a delivered video was encoded from, by the manifest beside it.

    Raises InputError where there is no manifest, or the cache doesn't hold them any more.
    """
    path = manifest_path(video)
    try:
        manifest = json.loads(path.read_bytes())
        made = {stage["made"]: recipe_of(stage) for stage in manifest["stages"]}
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
            found = desk.project.store.find(frames.key)
            if found is not None:
                return Film(found.path, video.stem, sound=video)
    raise InputError(
        f"{video}: the cache doesn't hold its frames any more",
        f"make it again first: {command}",
    )


def recipe_of(stage: Mapping[str, Any]) -> Recipe:
    """The recipe in a stage of a manifest."""
    return Recipe(**{each.name: stage[each.name] for each in fields(Recipe)})


def encoding(film: Film, out: Path, options: Options) -> EncodeStage:
    """The stage that makes the video `out` of a film.

    Raises UsageError where suffix, codec and quality don't go together.
    """
    encoding_for(out, options.fps or Fraction(24), options.codec, options.quality)
    return EncodeStage(
        film.frames,
        out.suffix.lower(),
        options.codec,
        options.quality,
        sound=film.sound,
    )


def named(film: Film, out: Path | None, options: Options, project: Project) -> Path:
    """Where the video of a film goes.

    A folder of pictures that anim made is such a result again, and no place for one.
    """
    pictures = options.codec in (None, Codec.PNG.value)
    if out is not None and pictures and out.is_dir() and is_delivered(project, out):
        return out
    return place(out, film.name + SUFFIXES[options.codec])


def usual_preset(desk: Desk) -> tuple[str, str]:
    """The preset where none was said, and a line that names it and what else there is."""
    lacking = lacking_weights(DIFFUSING, desk)
    if not lacking:
        return DIFFUSING, f"rendering with the preset {DIFFUSING}, whose weights are here"
    pull = f"anim weights pull {' '.join(lacking)}"
    return USUAL, f"rendering with the preset {USUAL}; to render with {DIFFUSING}: {pull}"


def lacking_weights(preset: str, desk: Desk) -> list[str]:
    """The entries to get before a preset can render; not those that come by themselves.

    From the catalog alone: asking the renderer would load torch.
    """
    renderer = load_preset(preset).renderer
    entry = desk.weights.catalog.get(renderer)
    needed = () if entry is None else (renderer, *entry.goes_with)
    return [name for name in needed if not desk.weights.has(name)]


def device_for(settings: Settings) -> str:
    """The device that a preset renders on: never another than was asked for.

    Raises DeviceError where this machine doesn't have it, UsageError where the preset has
    no use for it.
    """
    device = settings.options.device
    if settings.preset.renderer in DIFFUSION:
        from animcli.rendering.device import best_device, open_device  # torch takes seconds

        chosen = best_device() if device == "auto" else device
        open_device(chosen)
        return chosen
    if settings.origins.get("device") == "--device" and device not in ("auto", "cpu"):
        raise UsageError(
            f"--device {device} means nothing to the preset {settings.preset.name}, "
            "which renders on the processor"
        )
    return "cpu"
