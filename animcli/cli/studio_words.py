"""Words of the page, checked by the real parser, and everything that it offers as options.

A page may ask for work, and say nothing about where: digests stand in the place of files,
and what names a place, or waives a check, isn't taken from it.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any, Final, get_args

from animcli.batch.jobs import OUTPUT, THEN_KEY
from animcli.batch.schema import JobCommand
from animcli.cli.batch.keys import batch_commands, choices_of
from animcli.cli.choices import DIFFUSING, USUAL
from animcli.cli.config import HOMES
from animcli.cli.main import COMMANDS, parse_line, split_commands
from animcli.errors import PresetError, UsageError
from animcli.files import SHA256_HEX
from animcli.pipeline.project import Project
from animcli.presets import (
    Preset,
    advice,
    find_presets,
    load_preset,
)
from animcli.registry import RENDERERS, Conditioning
from animcli.settings import closed_choices, constraint_of, parse, settings_in, type_of
from animcli.video.codecs import usual_suffix
from animcli.web.command_interface import Line, PathOf
from animcli.weights.store import WeightsStore

RUNNER: Final = "animcli.cli.studio_job:work"
JOBS: Final = ("extract-pose", "retarget", "correct-pose", "render", "encode")
"""Commands that make a file, and that a batch knows."""
OTHERS: Final = ("inspect", "evaluate", "weights pull", "weights verify", "cache clear")
NOT_FOR_PAGES: Final = frozenset({OUTPUT, "slots", "engine", "lora"})
"""Parameters that aren't for pages; LoRA files would be named by their paths."""
FILE_OR_WORD: Final = {"start_from": ("cutout",)}
"""Parameters that are a file or one of some words."""


@dataclass(frozen=True)
class Words:
    """Implementation of the page's `CommandInterface` by the real parser."""

    project: Project
    store: WeightsStore

    @property
    def runner(self) -> str:
        """`module:function` that a child process works by."""
        return RUNNER

    def commands(self) -> Mapping[str, JobCommand]:
        """Commands that jobs of a job file may ask for."""
        return batch_commands(COMMANDS, self.project.root)

    def read(self, words: Sequence[str], path_of: PathOf) -> Line:
        """Check a line. Raises UsageError with the parser's own words."""
        about, _ = split_commands(words)
        if about:
            raise UsageError(f"{about[0]} isn't for the page to say")
        real, shown, allowed = list[str](), list[str](), set[str]()
        for word in words:
            known = path_of(word) if SHA256_HEX.fullmatch(word) else None
            if (
                SHA256_HEX.fullmatch(word)
                and known is None
                and words[:2] != ["cache", "clear"]
            ):
                raise UsageError(f"{word[:12]} isn't here", "bring the file in again")
            real.append(word if known is None else str(known[0]))
            shown.append(word if known is None else known[1])
            allowed |= set() if known is None else {str(known[0])}
        rows = [self._checked(part, allowed) for part in split_commands(real)[1]]
        line = parse_line(real)
        for mistake in line.mistakes:
            raise mistake
        if line.shown or not line.commands:
            raise UsageError("this asks for help, which the page has beside each option")
        command = rows[0][0]
        return Line(
            command,
            tuple(real),
            ("anim", *shown),
            self._row(rows, split_commands(real)[1]) if command in JOBS else None,
            stem_of(shown),
        )

    def _checked(
        self, part: Sequence[str], allowed: set[str]
    ) -> tuple[str, dict[str, object]]:
        """A command's name and what was said; Typer's own errors are `parse`'s to tell."""
        name = next(
            (n for n in (*JOBS, *OTHERS) if list(part[: n.count(" ") + 1]) == n.split()), ""
        )
        command: Any = COMMANDS
        for each in name.split():
            command = getattr(command, "commands", {}).get(each)
        if not name or command is None:
            raise UsageError(f"the page can't ask for {' '.join(part[:2])}")
        for mistake in parse_line(part).mistakes:
            raise mistake
        context = command.make_context(name, list(part[name.count(" ") + 1 :]))
        said: dict[str, object] = {}
        for param in command.params:
            value = context.params.get(param.name)
            if value is None or str(context.get_parameter_source(param.name).name) != (
                "COMMANDLINE"
            ):
                continue
            if param.name in NOT_FOR_PAGES:
                raise UsageError(f"--{param.name} isn't for the page to say")
            for path in paths_in(param, value):
                if path not in allowed:
                    raise UsageError(
                        f"{path}: the page names files by their digests only",
                        "bring the file in",
                    )
            said[param.name] = value
        return name, said

    def _row(
        self,
        rows: Sequence[tuple[str, Mapping[str, object]]],
        parts: Sequence[Sequence[str]],
    ) -> dict[str, object]:
        """The line as a row of a job file."""
        command, said = rows[0]
        row: dict[str, object] = {"command": command}
        row |= {name: typed(name, json_value(value)) for name, value in said.items()}
        if len(parts) > 1:
            row[THEN_KEY] = [shlex.join(part) for part in parts[1:]]
        return row

    def outputs(self, line: Line, name: str) -> tuple[tuple[str, ...], list[str]]:
        """The line with a place for the result of each of its parts, and those places.

        name: of the result, without its suffix; those on the way get a number.
        """
        parts, words, places = split_commands(line.words)[1], list[str](), list[str]()
        for number, part in enumerate(parts, 1):
            stem = name if number == len(parts) else f"{name}-{number}"
            places.append(f"{stem}{self.suffix(part)}")
            words += [*([THEN_KEY] if number > 1 else []), *part, "--output", places[-1]]
        return tuple(words), places

    @staticmethod
    def suffix(last: Sequence[str]) -> str:
        """Of the file that a command makes."""
        if last[0] == "inspect":
            return ""
        if last[0] not in ("render", "encode"):
            return ".pose" if "densepose" not in last else ".mp4"
        codec = last[last.index("--codec") + 1] if "--codec" in last else None
        return usual_suffix(codec)

    def weights(self) -> list[dict[str, Any]]:
        """Entries of the catalog, and whether they are here."""
        return [
            {
                "name": name, "here": self.store.has(name), "bytes": entry.bytes,
                "licence": entry.licence, "about": entry.about,
                "needs": list(entry.goes_with), "by_itself": entry.on_first_use,
                "source": str(entry.source),
            }
            for name, entry in self.store.catalog.items()
        ]  # fmt: skip

    def presets(self) -> dict[str, Any]:
        """Presets with their values, and the options of every command with their help."""
        return {
            "presets": list(self._presets()),
            "usual": USUAL,
            "commands": {
                name: list(self._options(name))
                for name in JOBS
                if name in COMMANDS.commands
            },
        }

    def _presets(self) -> Iterator[dict[str, Any]]:
        for name, path in sorted(find_presets(self.project.root).items()):
            try:
                preset = load_preset(name, self.project.root)
            except PresetError as error:
                yield {"name": name, "error": error.message, "hint": error.hint}
                continue
            yield {
                "name": name, "about": preset.about, "advice": advice(path),
                "renderer": preset.renderer, "denoises": preset.entry.denoises,
                "words": preset.entry.conditioning is Conditioning.PROMPT,
                "first": name in (USUAL, DIFFUSING),
                "weights": list(preset.weights),
                "packages": missing_packages(preset.renderer),
                "values": {
                    key: getattr(preset, key) for key in settings_in(Preset)
                    if preset.supports(key)
                },
            }  # fmt: skip

    def _options(self, name: str) -> Iterator[dict[str, Any]]:
        command: Any = COMMANDS.commands[name]
        for param in command.params:
            if param.name in NOT_FOR_PAGES or param.param_type_name == "argument":
                continue
            spelled = next((x for x in param.opts if x.startswith("--")), "")
            if spelled in ("--help", ""):
                continue
            yield described(param, spelled)


def missing_packages(renderer: str) -> list[str]:
    """Packages that a renderer takes and that aren't installed."""
    missing = []
    for name in RENDERERS[renderer].packages:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    return missing


def described(param: Any, spelled: str) -> dict[str, Any]:
    """An option, for a form: how it is said, what it takes, its help as in `--help`."""
    told: dict[str, Any] = {
        "name": param.name, "flag": spelled, "help": param.help or "", "kind": "text",
    }  # fmt: skip
    negative = next((x for x in param.secondary_opts if x.startswith("--")), "")
    wanted: Any = None
    if param.name in HOMES:
        home = HOMES[param.name]
        wanted, constraint = (
            type_of(home, param.name),
            constraint_of(settings_in(home)[param.name]),
        )
        limits = {
            "low": constraint.low,
            "high": constraint.high,
            "multiple": constraint.multiple,
        }
        told |= {key: value for key, value in limits.items() if value is not None}
        default = settings_in(home)[param.name].default
        told["default"] = (
            None if home is Preset or default is None else spelled_out(default)
        )
    if getattr(param, "is_flag", False) or wanted is bool:
        told |= {"kind": "switch", "negative": negative}
    elif wanted is not None and (choices := closed_choices(home, param.name)):
        told |= {"kind": "choice", "choices": choices}
    elif wanted in (int, float) or param.name in ("frames",):
        told["kind"] = "number"
    elif is_file(param):
        told["kind"] = "file"
    elif found := choices_of(annotation_of(param)):
        told |= {"kind": "choice", "choices": [str(x) for x in found]}
    return told


def spelled_out(default: object) -> str:
    """A default as a form shows it."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def annotation_of(param: Any) -> Any:
    """The Python type of a parameter, without `| None` and `list`."""
    wanted = param.type_descriptor.annotation
    inner = [each for each in get_args(wanted) if each is not type(None)]
    return inner[0] if len(inner) == 1 and not isinstance(inner[0], str) else wanted


def is_file(param: Any) -> bool:
    """True where a parameter is a path."""
    wanted = param.type_descriptor.annotation
    return wanted is Path or Path in get_args(wanted)


def paths_in(param: Any, value: object) -> list[str]:
    """The paths in a parameter's value."""
    words = FILE_OR_WORD.get(param.name)
    if words is not None:
        return [] if value in words else [str(value)]
    if not is_file(param):
        return []
    each = value if isinstance(value, list | tuple) else [value]
    return [str(path) for path in each]


def json_value(value: object) -> object:
    """A parsed value as a job file has it."""
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    if isinstance(value, PurePath):
        return str(value)
    return getattr(value, "value", value)


def typed(name: str, value: object) -> object:
    """A flag's word as the value that a JSON file has for its key."""
    if name not in HOMES or not isinstance(value, str):
        return value
    read = parse(HOMES[name], name, value)
    return str(read) if isinstance(read, Fraction) else read


def stem_of(shown: Sequence[str]) -> str:
    """Stem of a result's name: the pictures and motions that its words name."""
    stems = []
    for part in reversed(split_commands(shown)[1]):
        for word in part:
            path = PurePath(word)
            known = path.suffix.lower() not in ("", ".json")
            if known and not word.startswith("-") and not path.suffix[1:].isdigit():
                stems.append(re.sub(r"[^\w-]", "_", path.stem, flags=re.ASCII)[:40])
        stems += ["corrected"] if part[0] == "correct-pose" else []
    return "-".join(dict.fromkeys(stem for stem in stems if stem)) or "result"
