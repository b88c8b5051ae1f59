"""Job files: TOML, CSV, TSV, JSON lines, or words of a command line with `:::`.

All forms end in rows of keys and values that know on which line each key stands. Nothing is
looked up here but the file itself; `animcli.batch.jobs` makes checked jobs of rows.
"""

import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from animcli.errors import ProjectError, UsageError, reason_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")

_LARGEST: Final = 64 << 20
"""Bytes of a job file: 100,000 rows of 600 characters."""
MOST_JOBS: Final = 100_000
SEPARATOR: Final = ":::"
DELIMITERS: Final[Mapping[str, str]] = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Row:
    """One job as it stands in the file, or one combination of a grid.

    values: key -> value. lines: key -> its line, from 1; `line` where a key has none.
    text: whether values are text that has yet to be read as numbers and truths.
    varied: keys of the grid, or columns, that tell jobs apart.
    """

    values: Mapping[str, object]
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)
    text: bool = False
    varied: tuple[str, ...] = ()

    def line_of(self, key: str) -> int:
        """Line in which it says a key."""
        return self.lines.get(key, self.line)


@dataclass(frozen=True)
class JobFile:
    """Rows of a job file.

    name: as it is shown in messages. folder: where relative paths start.
    common: keys that all rows have unless they say otherwise, for messages about them.
    grid: key -> values as written, before patterns of files are expanded.
    rows: jobs that are written one by one.
    """

    name: str
    folder: Path
    common: Row
    grid: Mapping[str, Sequence[object]] = field(default_factory=dict)
    grid_lines: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    _: KW_ONLY
    variables: frozenset[str] = frozenset()
    """Keys that may stand in templates though the command has no such flag."""


def read_job_file(path: Path) -> JobFile:
    """Rows of a file, by its suffix.

    Raises ProjectError for a file that can't be read, naming the line where there is one.
    """
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        raise ProjectError(f"{path}: YAML isn't read", "write the same as TOML: jobs.toml")
    text = _read(path)
    folder = path.absolute().parent
    if suffix == ".toml":
        return parse_toml(text, path.name, folder)
    if suffix in DELIMITERS:
        return parse_table(text, path.name, folder, DELIMITERS[suffix])
    if suffix in (".jsonl", ".ndjson"):
        rows = tuple(parse_json_lines(text.splitlines(), path.name))
        return JobFile(path.name, folder, Row({}, 0), rows=rows)
    raise ProjectError(
        f"{path}: a job file is .toml, .csv, .tsv or .jsonl",
        "anim batch -- render {reference} ::: reference cast/*.png  needs no file",
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise ProjectError(f"{path}: larger than {_LARGEST} bytes", "cut it in two")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise ProjectError(f"{path}: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path}: not UTF-8: {error}") from error


def parse_toml(text: str, name: str, folder: Path) -> JobFile:
    """Common keys, `[grid]` and `[[job]]` of TOML text."""
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise ProjectError(f"{name}: arrays or tables nested too deeply") from error
    except ValueError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = found[1] if found else text.rstrip("\n").count("\n") + 1
        raise ProjectError(f"{name}:{line}: {error}") from error
    sections = _toml_lines(text)
    grid, jobs = table.pop("grid", {}), table.pop("job", [])
    if not isinstance(grid, dict) or not isinstance(jobs, list):
        raise ProjectError(f"{name}: [grid] is a table and [[job]] a list of tables")
    varying = {
        key: values if isinstance(values, list) else [values]
        for key, values in grid.items()
    }
    rows = []
    for number, job in enumerate(jobs):
        if not isinstance(job, dict):
            raise ProjectError(f"{name}: a job is a table, [[job]]")
        line, lines = sections.get(("job", number), (1, {}))
        rows.append(Row(_plain_keys(job), line, _plain_keys(lines)))
    _, common_lines = sections.get(("", 0), (1, {}))
    _, grid_lines = sections.get(("grid", 0), (1, {}))
    return JobFile(
        name,
        folder,
        Row(_plain_keys(table), 1, _plain_keys(common_lines)),
        _plain_keys(varying),
        _plain_keys(grid_lines),
        tuple(rows),
    )


def _toml_lines(text: str) -> dict[tuple[str, int], tuple[int, dict[str, int]]]:
    """(table, its number) -> the line of its head, and the line of each of its keys."""
    sections: dict[tuple[str, int], tuple[int, dict[str, int]]] = {("", 0): (1, {})}
    at, counts = ("", 0), {"job": 0}
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\[?\s*(grid|job)\s*\]\]?", line):
            kind = head[1]
            at = (kind, counts.get(kind, 0))
            if kind == "job":
                counts[kind] += 1
            sections[at] = (number, {})
        elif key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line):
            sections[at][1].setdefault(key[1], number)
    return sections


def parse_table(text: str, name: str, folder: Path, delimiter: str) -> JobFile:
    """Rows of comma or tab separated values; the first line names the keys.

    An empty cell says nothing about its key.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        heads = [_plain(head.strip()) for head in next(reader, [])]
        if not heads or "" in heads or len(set(heads)) < len(heads):
            raise ProjectError(f"{name}:1: each column has a key of its own as its head")
        rows = []
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(heads):
                raise ProjectError(
                    f"{name}:{line}: {len(cells)} cells under {len(heads)} heads"
                )
            said = {head: cell for head, cell in zip(heads, cells, strict=False) if cell}
            if said:
                rows.append(Row(said, line, text=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ProjectError(f"{name}:{reader.line_num}: {error}") from error
    return JobFile(name, folder, Row({}, 0), rows=tuple(rows))


def parse_json_lines(lines: Iterable[str], name: str, first: int = 1) -> Iterator[Row]:
    """A row for each line with a JSON object; empty lines and `#` lines are left out.

    Raises ProjectError at the first line that is something else.
    """
    for number, line in enumerate(lines, first):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProjectError(f"{name}:{number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ProjectError(f"{name}:{number}: a job is an object, {{...}}")
        yield Row(_plain_keys(value), number)


def parse_words(words: Sequence[str], folder: Path) -> tuple[list[str], JobFile]:
    """Template of a command line, and the grid behind it: `::: KEY VALUE...` each.

    Raises UsageError for a `:::` without key or values.
    """
    groups = [
        list(group)
        for split, group in itertools.groupby(words, lambda word: word == SEPARATOR)
        if not split
    ]
    if words[:1] == [SEPARATOR] or words[-1:] == [SEPARATOR] or len(groups) < 2:
        raise UsageError(
            "there is no command, or nothing behind :::",
            "anim batch -- render {reference} --motion a.mp4 ::: reference cast/*.png",
        )
    template, *varying = groups
    grid = {}
    for key, *values in varying:
        if not values:
            raise UsageError(f"{SEPARATOR} {key} has no values")
        if not re.fullmatch(r"[A-Za-z_][\w-]*", key):
            raise UsageError(f"{SEPARATOR} {key}: a key comes first, then its values")
        grid[_plain(key)] = values
    common = Row({}, 0, text=True)
    variables = frozenset(grid)
    return template, JobFile("words", folder, common, grid, {}, (), variables=variables)


def _plain(key: str) -> str:
    return key.replace("-", "_")


def _plain_keys(table: Mapping[str, _T]) -> dict[str, _T]:
    return {_plain(key): value for key, value in table.items()}
