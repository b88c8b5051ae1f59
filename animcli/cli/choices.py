"""Choices that mean something to one renderer and nothing to another.

Where it runs, what leaves the device, where a face is taken from, which preset is usual,
and what may be said to one that follows a video itself, or words.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from animcli.cli.config import Settings, flag
from animcli.cli.plan import Context, Split
from animcli.errors import UsageError
from animcli.presets import Preset, load_preset
from animcli.registry import Conditioning, Trait, renderers_with

if TYPE_CHECKING:
    from animcli.cli.render import Render
    from animcli.rendering.renderer import Offload
    from animcli.stages.render import RenderStage
    from animcli.weights.store import WeightsStore

FACELESS: Final = (
    "the face keeps its own expression: the motion's video isn't here (--face-from VIDEO)"
)

JOINTS: Final = ("detector", "person", "camera", "keep_in_frame")
"""Flags about keypoints, which some presets don't follow."""


def device_for(settings: Settings) -> str:
    """The device that a preset renders on: never another than was asked for.

    Raises DeviceError where this machine doesn't have it, UsageError where the preset has
    no use for it.
    """
    device = settings.options.device
    if settings.preset.entry.denoises:
        from animcli.rendering.loading import (  # torch takes seconds
            best_device,
            open_device,
        )

        overrides = best_device() if device == "auto" else device
        open_device(overrides)
        return overrides
    if settings.origins.get("device") == "--device" and device not in ("auto", "cpu"):
        raise UsageError(
            f"--device {device} has no effect with the preset {settings.preset.name}, "
            "which renders on the CPU"
        )
    return "cpu"


def offload_for(settings: Settings) -> Offload:
    """Choice of what leaves; UsageError where only Wan's networks come in parts."""
    offload = settings.options.offload
    if offload in ("blocks", "layers") and not settings.preset.has(Trait.WAN):
        raise UsageError(
            f"--offload {offload} is for Wan's networks, and {settings.preset.name} "
            f"renders with {settings.preset.renderer}",
            "--offload networks",
        )
    return offload


def check_renderer(stage: RenderStage, context: Context) -> None:
    """Raise what the renderer can tell before any work that it won't do."""
    if not stage.preset.has(Trait.WAN):
        return
    from animcli.rendering.renderer import ChecksFirst, load_renderer  # torch takes seconds

    renderer = load_renderer(stage.preset.renderer)
    if isinstance(renderer, ChecksFirst):
        name = stage.preset.weights[0]
        folder = context.weights.path(name) if context.weights.has(name) else None
        renderer.check(stage.preset, stage.device, folder)


def check_face(face_from: Path | None, preset: Preset) -> None:
    """Raise UsageError where no face is looked for in a video."""
    if face_from is not None and not preset.has(Trait.FACE):
        raise UsageError(
            f"--face-from has no effect with the preset {preset.name}, which renders with "
            f"{preset.renderer}",
            f"--preset {renderers_with(Trait.FACE)[0]}",
        )


def check_jointless(preset: Preset, overrides: Container[str], *, retarget: bool) -> None:
    """Raise UsageError for a flag about keypoints, which such a preset doesn't follow."""
    deaf = [flag(name) for name in JOINTS if name in overrides]
    if not retarget:
        deaf.append("--no-retarget")
    if deaf:
        raise UsageError(
            f"{deaf[0]} is about keypoints, and the preset {preset.name} follows none",
            f"leave {deaf[0]} out",
        )


def check_split(split: Split | None, preset: Preset) -> None:
    """Raise UsageError where a render's steps consist of no windows of a motion, or reuse
    something of those before.
    """
    follows_words = preset.entry.conditioning is Conditioning.PROMPT
    if split and (follows_words or not preset.has(Trait.WINDOWED)):
        raise UsageError(
            f"{split.said}: a render with {preset.renderer} can't be split",
            "anim batch does several renders at a time",
        )
    if split and max(preset.deep_interval, preset.guidance_interval) > 1:
        raise UsageError(
            f"{split.said}: steps that reuse something of those before can't be split",
            "--deep-interval 1 --guidance-interval 1",
        )


def filmed_stage(asked: Render, settings: Settings, device: str) -> RenderStage:
    """The render of a character that follows a video itself, and no keypoints in it.

    Raises UsageError for a pose, and for flags about keypoints.
    """
    from animcli.stages.fitting import Fit
    from animcli.stages.render import RenderStage

    options, preset, video = settings.options, settings.preset, asked.motion
    if video is None or video.suffix.lower() in (".pose", ".json", ".bvh"):
        raise UsageError(
            f"the preset {preset.name} follows the video itself, and no keypoints",
            "--motion dance.mp4",
        )
    others = {
        "--motion-from": asked.motion_from,
        "--motion-like": asked.motion_like,
        "--start-from": asked.start_from,
        f"--{next(iter(asked.part), '')}": asked.part or None,
    }
    for said, given in others.items():
        if given is not None:
            raise UsageError(f"{said} has no effect with the preset {preset.name}")
    check_jointless(preset, asked.overrides, retarget=asked.retarget)
    asked.follow.check(preset.name, "which follows the video itself", video)
    return RenderStage(
        asked.reference,
        None,
        preset,
        frames=asked.frames,
        loop=asked.loop,
        rate=options.fps,
        fit=Fit(options.fit or Fit.PAD),
        device=device,
        offload=offload_for(settings),
        speed=asked.follow.speed,
        footage=video,
    )


USUAL: Final = "cutout"
"""The preset where none was said: it needs no weights."""
DIFFUSING: Final = "animate-anyone"
"""The preset that goes before it, once its weights are here."""


def usual_preset(context: Context, device: str) -> tuple[str, str]:
    """The preset where none was said, and a line that names it and what else there is.

    A CPU takes hours for what a GPU does in seconds, so it gets the other only where
    that is named.
    """
    lacking = lacking_weights(load_preset(DIFFUSING), context.weights)
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


def lacking_weights(preset: Preset, store: WeightsStore) -> list[str]:
    """The entries to get before a preset can render; not those that come by themselves.

    From the registry and the catalog: asking the renderer would load torch.
    """
    catalog, needed = store.catalog, preset.weights
    return [x for x in needed if not catalog[x].on_first_use and not store.has(x)]


LONGEST_SIDE: Final = 1280
"""Pixels of the longer side of a result that takes its picture's own shape."""


def own_size(picture: Path) -> tuple[int, int]:
    """`(width, height)` of a result with a picture's own shape, in multiples of 8.

    Raises InputError for what isn't a picture.
    """
    from animcli.video.images import picture_size

    return fitting_size(picture_size(picture))


def fitting_size(sides: tuple[int, int]) -> tuple[int, int]:
    """The same for a picture with these `sides`, `(width, height)` px."""
    scale = min(1.0, LONGEST_SIDE / max(sides))
    width, height = (max(64, int(side * scale) // 8 * 8) for side in sides)
    return width, height


SEEDLESS: Final = "--seed has no effect with the preset {}, which draws no noise"

SILENT: Final = (
    "{}: a pose has no sound, and its video isn't beside it; "
    "anim encode RESULT --sound VIDEO adds one"
)


def check_sound(video: Path | None) -> None:
    """Raise UsageError for an `--audio` that could do nothing: the video has no sound."""
    from animcli.video.audio import has_sound

    if video is not None and video.exists() and not has_sound(video):
        raise UsageError(f"--audio: {video} has no sound", "leave --audio out")


HELD_FRAMES: Final = 48
HELD: Final = (
    f"{{}} is a still picture: its pose is held for {HELD_FRAMES} frames, --frames"
)

FOLLOWED: Final = (
    "{}: looks like a drawn video, and is followed as it is; where it is footage, "
    "--detector NAME has the person looked for"
)


STRENGTHS: Final = ("motion_strength", "motion_bucket")
"""Flags that say how much moves, as `--motion-like` does."""

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
    check_jointless(preset, overrides, retarget=retarget)
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
