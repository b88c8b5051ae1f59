"""What was chosen, and where: flag > `ANIM_*` > `anim.toml` > preset > default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

from animcli.errors import ProjectError, UsageError
from animcli.presets import Preset, load_preset
from animcli.settings import (
    bounds_of,
    changed,
    check_table,
    key,
    keys_of,
    line_of,
    near,
    read_toml,
    read_word,
)
from animcli.video.limits import MOST_PIXELS

PREFIX: Final = "ANIM_"
OTHER_VARIABLES: Final = frozenset({"ANIM_PROJECT", "ANIM_CACHE_DIR", "ANIM_WEIGHTS"})
"""Variables that name a place; everything else after the prefix is a key."""


DEVICES: Final = (r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, cuda, cuda:N, mps")
"""Names of devices; of several of a kind, N counts from 0."""


@dataclass(frozen=True)
class Options:
    """Everything that one may choose beside the keys of a preset."""

    preset: str | None = key(None, "How to render; without weights, cutout.")
    device: str = key("auto", "Where networks run.", form=DEVICES)
    offload: bool = key(
        False, "Keep networks off the device while others work: slower, in less memory."
    )
    detector: Literal["blazepose", "dwpose"] = key("blazepose", "What finds the joints.")
    detector_device: str | None = key(
        None, "With DWPose: where it runs, if not where networks do.", form=DEVICES
    )
    person: str | None = key(None, "Who: largest, center, or a number from 1.")
    every: int | None = key(
        None,
        "With DWPose: frames from one search for people to the next.",
        low=1,
        high=1000,
    )
    channels: Literal["trained", "published"] | None = key(
        None, "With DWPose: colours as in training, or as in the published script."
    )
    camera: Literal["auto", "zoom", "walk", "moving"] = key(
        "auto", "Whether the dancer comes nearer, or the camera zooms or moves."
    )
    stay_inside: bool = key(True, "Keep the retargeted figure in the picture.")
    hands: bool = key(True, "Find the joints of the hands.")
    face: bool = key(True, "Find the points of the face.")
    clean: bool = key(True, "Fill short gaps and take out the trembling.")
    fit: Literal["pad", "crop", "cover"] | None = key(
        None, "How a picture of another shape fills the size; pad, or cover with Cinemo."
    )
    fps: Fraction | None = key(  # noqa: RUF009  # a field, made anew for each class
        None, "Frames per second, such as 24 or 30000/1001."
    )
    codec: (
        Literal["h264", "h265", "av1", "prores4444", "vp9", "gif", "webp", "png"] | None
    ) = key(None, "How the video is compressed; the suffix decides otherwise.")
    quality: int | None = key(
        None,
        "0 is lossless or nearly so, 63 is small; each codec has its usual.",
        low=0,
        high=63,
    )
    audio: bool = key(True, "Take the sound of the driving video along.")
    max_pixels: int = key(
        MOST_PIXELS,
        "The most pixels that a picture or a frame may have.",
        low=4096,
        high=1_000_000_000,
    )


PIXELS: Final = bounds_of(keys_of(Options)["max_pixels"])
"""Of the one key whose flag is about the whole line."""

HOMES: Final[Mapping[str, type]] = {
    **dict.fromkeys(keys_of(Options), Options),
    **dict.fromkeys((name for name in keys_of(Preset) if name != "renderer"), Preset),
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
class Layers:
    """What was said outside the command: by variables and by `anim.toml`.

    values: key -> value, checked; variables go before the file.
    origins: key -> the variable, or the file and line.
    doubts: lines about variables that are probably misspelt.
    project: the folder whose `presets/` are looked at too.
    """

    values: Mapping[str, object]
    origins: Mapping[str, str]
    doubts: tuple[str, ...]
    project: Path

    def options(self, flags: Mapping[str, object]) -> Options:
        """The options of a command with these flags (key -> value, checked)."""
        return changed(Options(), _of(Options, {**self.values, **flags}))

    def settle(self, flags: Mapping[str, object], usual: str) -> Settings:
        """The settings of a render with these flags; `usual` is the preset if none is said.

        Raises PresetError, ProjectError, or UsageError where the flags are to blame.
        """
        said = {**self.values, **flags}
        origins = {**self.origins, **{name: flag(name) for name in flags}}
        options = self.options(flags)
        preset = load_preset(options.preset or usual, self.project)
        for name in flags:
            if HOMES[name] is Preset and not preset.listens_to(name):
                raise UsageError(
                    f"{flag(name)} means nothing to the preset {preset.name}, "
                    f"which renders with {preset.renderer}"
                )
        chosen = {
            name: value
            for name, value in _of(Preset, said).items()
            if preset.listens_to(name)
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


def read_layers(
    root: Path, file: Path | None, environment: Mapping[str, str] = os.environ
) -> Layers:
    """What `anim.toml` (if there is one) and the `ANIM_*` variables say.

    Raises ProjectError, naming file and line, or the variable.
    """
    values, origins = _read_file(file) if file else ({}, {})
    doubts = []
    for variable, word in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if name not in HOMES:
            if hint := near(name, HOMES):
                doubts.append(f"{variable}: there is no key {name}; {hint}")
            continue
        try:
            values[name] = read_word(HOMES[name], name, word)
        except ValueError as error:
            raise ProjectError(f"{variable}={word}: {error}") from error
        origins[name] = variable
    return Layers(values, origins, tuple(doubts), root)


def _read_file(file: Path) -> tuple[dict[str, object], dict[str, str]]:
    table, text = read_toml(file, ProjectError)
    values = check_table(HOMES, table, file, text, ProjectError)
    return values, {name: f"{file.name}:{line_of(text, name)}" for name in values}
