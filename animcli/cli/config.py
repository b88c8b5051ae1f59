"""Settings and their sources: flag > `ANIM_*` > `anim.toml` > preset > default."""

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

from animcli.errors import ProjectError, UsageError
from animcli.pose.detectors.registry import DEFAULT_DETECTOR, DETECTORS
from animcli.presets import Preset, load_preset
from animcli.settings import (
    changed,
    check_table,
    constraint_of,
    form_of,
    line_of,
    parse,
    read_toml,
    setting,
    settings_in,
    suggest,
)
from animcli.video.codecs import Codec
from animcli.video.limits import MOST_PIXELS

PREFIX: Final = "ANIM_"
OTHER_VARIABLES: Final = frozenset(
    {"ANIM_PROJECT", "ANIM_CACHE_DIR", "ANIM_CHECKPOINT_TO", "ANIM_WEIGHTS"}
)
"""Variables that name a place; everything else after the prefix is a key."""


DEVICES: Final = (r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, cuda, cuda:N, mps")
"""Names of devices; of several of a kind, N counts from 0."""

SEVERAL: Final = (
    rf"{DEVICES[0]}|cpu(,cpu)+|cuda:\d+(,cuda:\d+)+",
    f"{DEVICES[1]}, cuda:0,cuda:1",
)
"""The same, or several that share out the windows of one render."""


@dataclass(frozen=True)
class Options:
    """Everything that one may choose beside the keys of a preset."""

    preset: str | None = setting(None, "Render preset; cutout where none is given.")
    device: str = setting(
        "auto", "Device for the networks; several share a render.", form=SEVERAL
    )
    offload: Literal["auto", "none", "networks", "blocks", "layers"] = setting(
        "auto",
        "What leaves the device while others work: networks; with Wan's, blocks or layers.",
    )
    preview: Literal["off", "colours", "taesd"] = setting(
        "off", "Beside the result, a small picture of what comes while it denoises."
    )
    detector: str = setting(DEFAULT_DETECTOR, "Pose detector.", form=form_of(DETECTORS))
    detector_device: str | None = setting(
        None, "Where the detector runs, if not where networks do.", form=DEVICES
    )
    _: KW_ONLY
    person: str | None = setting(
        None,
        "Person to take: largest, center, or a number from 1.",
        form=(r"largest|center|[1-9]\d{0,3}", "largest, center, N"),
    )
    detect_every: int | None = setting(
        None,
        "With DWPose: detect people every N frames, and track in between.",
        low=1,
        high=1000,
    )
    bgr_input: bool | None = setting(
        None, "With DWPose: give BGR to both networks, as the published script does."
    )
    camera: Literal["auto", "zoom", "walk", "moving"] = setting(
        "auto", "Cause of changes of size: the camera zooms or moves, or the dancer walks."
    )
    keep_in_frame: bool = setting(True, "Keep the retargeted figure in the frame.")
    hands: bool = setting(True, "Detect the keypoints of the hands.")
    face: bool = setting(True, "Detect the keypoints of the face.")
    clean: bool = setting(True, "Fill short gaps and remove jitter.")
    fit: Literal["pad", "crop", "cover"] | None = setting(
        None, "Fit of a picture of another aspect ratio: pad; with Cinemo, cover."
    )
    fps: Fraction | None = setting(  # noqa: RUF009  # a field, made anew for each class
        None, "Frames per second, such as 24 or 30000/1001."
    )
    codec: str | None = setting(
        None,
        "Video codec; otherwise the suffix decides.",
        form=form_of(each.value for each in Codec),
    )
    quality: int | None = setting(
        None,
        "Quality (CRF): 0 is nearly lossless, 63 smallest; the default is the codec's.",
        low=0,
        high=63,
    )
    audio: bool = setting(True, "Keep the audio of the driving video.")
    max_pixels: int = setting(
        MOST_PIXELS,
        "Largest number of pixels in a picture or a frame.",
        low=4096,
        high=1_000_000_000,
    )
    cache_max: str | None = setting(
        None,
        "Largest size of the cache; the oldest goes when a command ends.",
        form=(r"(?i)\d{1,9}([.]\d{1,3})?\s*[KMGT]?B?", "20GB, 500MB, 1.5TB and the like"),
    )


PIXELS: Final = constraint_of(settings_in(Options)["max_pixels"])
"""Of the one key whose flag is about the whole line."""

HOMES: Final[Mapping[str, type]] = {
    **dict.fromkeys(settings_in(Options), Options),
    **dict.fromkeys((name for name in settings_in(Preset) if name != "renderer"), Preset),
}
"""Each key that may be chosen -> the dataclass that holds it. A renderer is chosen by its
preset: the other keys mean little under another one."""


@dataclass(frozen=True)
class Settings:
    """The choices that hold for one command.

    origins: key -> the flag, variable, file and line, or preset that it came from.
    """

    options: Options
    preset: Preset
    origins: Mapping[str, str]


@dataclass(frozen=True)
class ConfigSources:
    """Settings made outside the command: by variables and by `anim.toml`.

    values: key -> value, checked; variables go before the file.
    origins: key -> the variable, or the file and line.
    warnings: lines about variables that are probably misspelt.
    project: the folder whose `presets/` are looked at too.
    """

    values: Mapping[str, object]
    origins: Mapping[str, str]
    warnings: tuple[str, ...]
    project: Path

    def options(self, flags: Mapping[str, object]) -> Options:
        """The options of a command with these flags (key -> value, checked).

        Raises UsageError for several devices; `anim render` takes their names out before.
        """
        options = changed(Options(), _of(Options, {**self.values, **flags}))
        if "," in options.device:
            raise UsageError(
                f"device {options.device}: several devices are for one long render",
                "anim render ... --device cuda:0,cuda:1; elsewhere name one of them",
            )
        return options

    def resolve(self, flags: Mapping[str, object], usual: str) -> Settings:
        """The settings of a render with these flags; `usual` is the preset if none is said.

        Raises PresetError, ProjectError, or UsageError where the flags are to blame.
        """
        said = {**self.values, **flags}
        origins = {**self.origins, **{name: flag(name) for name in flags}}
        options = self.options(flags)
        preset = load_preset(options.preset or usual, self.project)
        for name in flags:
            if HOMES[name] is Preset and not preset.supports(name):
                raise UsageError(
                    f"{flag(name)} has no effect with the preset {preset.name}, "
                    f"which renders with {preset.renderer}"
                )
        chosen = {
            name: value
            for name, value in _of(Preset, said).items()
            if preset.supports(name)
        }
        return Settings(options, _change(preset, chosen, origins, flags), origins)


def _of(home: type, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if HOMES[name] is home}


def _change(
    preset: Preset,
    values: Mapping[str, object],
    origins: Mapping[str, str],
    flags: Mapping[str, object],
) -> Preset:
    try:
        return changed(preset, values)
    except ValueError as error:
        if flags.keys() & values.keys():
            raise UsageError(str(error)) from error
        culprits = ", ".join(origins[name] for name in values)
        raise ProjectError(f"{culprits}: {error}") from error


def flag(name: str) -> str:
    """The flag of a key, as it is typed."""
    return "--size" if name in ("width", "height") else "--" + name.replace("_", "-")


def read_sources(
    root: Path, file: Path | None, environment: Mapping[str, str] = os.environ
) -> ConfigSources:
    """Read `anim.toml` (if there is one) and the `ANIM_*` variables.

    Raises ProjectError, naming file and line, or the variable.
    """
    values, origins = _read_file(file) if file else ({}, {})
    warnings = []
    for variable, word in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if name not in HOMES:
            if hint := suggest(name, HOMES):
                warnings.append(f"{variable}: there is no key {name}; {hint}")
            continue
        try:
            values[name] = parse(HOMES[name], name, word)
        except ValueError as error:
            raise ProjectError(f"{variable}={word}: {error}") from error
        origins[name] = variable
    return ConfigSources(values, origins, tuple(warnings), root)


def _read_file(file: Path) -> tuple[dict[str, object], dict[str, str]]:
    table, text = read_toml(file, ProjectError)
    values = check_table(HOMES, table, file, text, ProjectError)
    return values, {name: f"{file.name}:{line_of(text, name)}" for name in values}
