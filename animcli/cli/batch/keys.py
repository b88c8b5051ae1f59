"""Keys of jobs from the commands themselves: their flags, types and checks."""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Final, Literal, get_args, get_origin

from animcli.batch.schema import JobCommand, JobKey, KeyKind
from animcli.cli.config import HOMES
from animcli.cli.options import read_size
from animcli.errors import AnimError, UsageError
from animcli.presets import Preset, load_preset
from animcli.settings import check, parse, settings_in, type_of
from animcli.video.codecs import usual_suffix

JOB_COMMANDS: Final = ("render", "extract-pose", "correct-pose", "retarget", "encode")
NOT_FOR_JOBS: Final = ("slots", "engine")
"""Flags that spread one render; a batch spreads its jobs."""
TRUTHS: Final = {"true": "true", "yes": "true", "1": "true", "on": "true"}
LIES: Final = {"false": "false", "no": "false", "0": "false", "off": "false"}


def batch_commands(group: Any, project: Path) -> Mapping[str, JobCommand]:
    """Commands that a job may ask for, by name.

    group: the Typer group of all commands. project: whose presets count too.
    """

    @lru_cache(maxsize=4096)
    def fits(preset: str | None, said: frozenset[str]) -> str:
        if preset is None or "{" in preset:
            return ""
        try:
            overrides = load_preset(preset, project)
        except AnimError as error:
            return f"preset: {error.message}"
        deaf = [
            name for name in sorted(said)
            if name in settings_in(Preset) and not overrides.supports(name)
        ]  # fmt: skip
        if not deaf:
            return ""
        return f"{', '.join(deaf)}: has no effect with the preset {preset}"

    return {name: _command(name, group.commands[name], fits) for name in JOB_COMMANDS}


def _command(
    name: str, command: Any, fits: Callable[[str | None, frozenset[str]], str]
) -> JobCommand:
    arguments = [x for x in command.params if x.param_type_name == "argument"]
    options = [x for x in command.params if x.param_type_name == "option"]
    keys: dict[str, JobKey] = {}
    required = []
    for each in [*arguments, *options]:
        long = next((o for o in each.opts if o.startswith("--")), "")
        if each.name in NOT_FOR_JOBS:
            continue
        if long in ("--help", ""):
            if each.param_type_name != "argument":
                continue
            long = ""
        keys[each.name] = _key(each, long)
        if each.required:
            required.append(each.name)
    return JobCommand(name, keys, tuple(required), RESULT_NAMES[name], fits)


def _key(each: Any, long: str) -> JobKey:
    negative = next((o for o in each.secondary_opts if o.startswith("--")), "")
    many = each.nargs == -1 or bool(getattr(each, "multiple", False))
    if getattr(each, "is_flag", False):
        return JobKey(long, KeyKind.SWITCH, _truth, negative)
    if each.name == "output":
        return JobKey(long, KeyKind.OUTPUT, _text)
    if each.name == "size":
        return JobKey(long, KeyKind.VALUE, _size)
    if each.name in HOMES:
        return JobKey(long, KeyKind.VALUE, _reader(each.name))
    wanted = each.type_descriptor.annotation
    if wanted is Path or Path in get_args(wanted):
        return JobKey(long, KeyKind.INPUT, _text, many=many)
    return JobKey(long, KeyKind.VALUE, _converter(each.name, wanted), many=many)


def _reader(name: str) -> Callable[[object, bool], str]:
    home = HOMES[name]

    def read(value: object, text: bool) -> str:
        if text and isinstance(value, str) and type_of(home, name) is not str:
            parse(home, name, value)
            return value
        return str(check(home, name, value))

    return read


def _converter(name: str, wanted: Any) -> Callable[[object, bool], str]:
    """Reader of a flag that only its command knows: a number, a choice or text."""
    choices = choices_of(wanted)

    def read(value: object, text: bool) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{name} is one value, not {value!r}")
        if choices is not None and value not in choices:
            raise ValueError(
                f"{name} is one of {', '.join(map(str, choices))}, not {value!r}"
            )
        if wanted is int and not (
            str(value).lstrip("-").isdecimal() and (text or isinstance(value, int))
        ):
            raise ValueError(f"{name} is a whole number, not {value!r}")
        return str(value)

    return read


def choices_of(wanted: Any) -> list[object] | None:
    """Values of a closed choice, or None for anything else."""
    if get_origin(wanted) is Literal:
        return list(get_args(wanted))
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return [each.value for each in wanted]
    return None


def _text(value: object, text: bool) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a path is text, not {value!r}")
    return value


def _size(value: object, text: bool) -> str:
    try:
        read_size(_text(value, text))
    except UsageError as error:
        raise ValueError(error.message) from error
    return str(value)


def _truth(value: object, text: bool) -> str:
    word = str(value).lower() if text or isinstance(value, bool) else ""
    if word in TRUTHS or word in LIES:
        return TRUTHS.get(word) or LIES[word]
    raise ValueError(f"true or false, not {value!r}")


def _stem(path: str) -> str:
    return PurePath(path).stem


def _render_result(values: Mapping[str, str]) -> str:
    tail = values.get("motion") or values.get("motion_from")
    name = f"{_stem(values.get('reference', ''))}-{_stem(tail or values.get('preset', ''))}"
    return name + usual_suffix(values.get("codec"))


def _pose_result(values: Mapping[str, str]) -> str | None:
    videos = values.get("videos", "").split("\0")
    if len(videos) != 1:
        return None
    if values.get("kind") == "densepose":
        return f"{_stem(videos[0])}-densepose.mp4"
    return f"{_stem(videos[0])}.pose"


RESULT_NAMES: Final[Mapping[str, Callable[[Mapping[str, str]], str | None]]] = {
    "render": _render_result,
    "extract-pose": _pose_result,
    "correct-pose": lambda v: (
        f"{_stem(v['motion'])}-corrected.pose" if "motion" in v else None
    ),
    "retarget": lambda v: (
        f"{_stem(v.get('reference', ''))}-{_stem(v.get('motion', ''))}.pose"
    ),
    "encode": lambda v: (
        f"{_stem(v.get('film', ''))}-{v['codec']}{usual_suffix(v['codec'])}"
        if "codec" in v
        else None
    ),
}
"""Names as the commands themselves give them."""
