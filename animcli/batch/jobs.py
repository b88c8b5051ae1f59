"""Jobs from the rows of a job file: expanded, named and checked, all mistakes at once."""

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Final

from animcli.batch.jobfile import MOST_JOBS, JobFile, Row
from animcli.batch.schema import JobCommand, JobKey, KeyKind
from animcli.settings import suggest

THEN_KEY: Final = "then"
OUTPUT: Final = "output"
_OWN: Final = ("command", "name", "after", THEN_KEY)
"""Keys of a job that are no flags of its command."""
FIELD: Final = re.compile(r"\{([A-Za-z_][\w-]*)(\.stem)?\}")
PATTERN: Final = re.compile(r"[*?\[]")
_USUAL: Final = "render"
BAD_IN_NAMES: Final = re.compile(r"[,\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Problem:
    """A mistake in a job file. line: from 1, or 0 where it has none."""

    line: int
    key: str
    message: str
    hint: str = ""

    def told(self, file: str) -> str:
        """One line: file, line, key, what is wrong."""
        place = f"{file}:{self.line}" if self.line else file
        return (
            f"{place}: {self.key}: {self.message}"
            if self.key
            else (f"{place}: {self.message}")
        )


@dataclass(frozen=True)
class Job:
    """One line of the program, and what the batch has to know about it.

    index: its place in the file, from 0. line: where it stands.
    words: of the command line, to be given in the job file's folder.
    results: files that it makes, as said there. after: names of jobs that come first.
    """

    index: int
    name: str
    words: tuple[str, ...]
    results: tuple[str, ...]
    line: int = 0
    after: tuple[str, ...] = ()


@dataclass
class Reading:
    """Jobs read so far, and what was wrong with the others."""

    file: JobFile
    commands: Mapping[str, JobCommand]
    problems: list[Problem] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    _read: dict[tuple[str, str, object, bool], str | ValueError] = field(
        default_factory=dict
    )
    _there: dict[str, bool] = field(default_factory=dict)
    _: KW_ONLY
    _absent: list[tuple[str, Problem]] = field(default_factory=list)
    _told: set[Problem] = field(default_factory=set)

    def trouble(self, problem: Problem) -> None:
        """Keep a mistake; one that many jobs share is told once."""
        if problem not in self._told:
            self._told.add(problem)
            self.problems.append(problem)

    def add(self, row: Row) -> None:
        """Check a row and keep the job, or the jobs if patterns match several files."""
        command = self.command(row)
        if command is None:
            return
        for each in self.expanded(row, command):
            if len(self.jobs) >= MOST_JOBS:
                return self.trouble(Problem(0, "", f"more than {MOST_JOBS:,} jobs"))
            if (job := self.job(each, command)) is not None:
                self.jobs.append(job)
        return None

    def command(self, row: Row) -> JobCommand | None:
        """The command that a row asks for."""
        name = str(row.values.get("command", _USUAL))
        if name not in self.commands:
            hint = suggest(name, self.commands) or f"there are {', '.join(self.commands)}"
            self.trouble(
                Problem(row.line_of("command"), "command", f"no command '{name}'", hint)
            )
        return self.commands.get(name)

    def expanded(self, row: Row, command: JobCommand) -> Iterator[Row]:
        """The row once for each combination of the files that its patterns match."""
        choices: dict[str, list[str]] = {}
        for name, value in row.values.items():
            key = command.keys.get(name)
            if key is None or key.kind is not KeyKind.INPUT or key.many:
                continue
            if isinstance(value, str) and PATTERN.search(value) and not self.there(value):
                choices[name] = self.matches(value, name, row.line_of(name))
        if not choices:
            yield row
            return
        for chosen in itertools.product(*choices.values()):
            found = dict(zip(choices, chosen, strict=True))
            varied = (*row.varied, *(name for name in found if name not in row.varied))
            yield replace(row, values={**row.values, **found}, varied=varied)

    def matches(self, pattern: str, key: str, line: int) -> list[str]:
        """Files that a pattern matches, in order of their names."""
        folder = self.file.folder
        try:
            if PurePath(pattern).is_absolute():
                anchor = Path(PurePath(pattern).anchor)
                found = sorted(str(x) for x in anchor.glob(pattern[len(str(anchor)) :]))
            else:
                found = sorted(
                    x.relative_to(folder).as_posix() for x in folder.glob(pattern)
                )
        except (ValueError, NotImplementedError, OSError) as error:
            self.trouble(Problem(line, key, f"{pattern}: {error}"))
            return []
        if not found:
            self.trouble(Problem(line, key, f"{pattern} matches nothing"))
        self._there.update(dict.fromkeys(found, True))
        return found

    def there(self, path: str) -> bool:
        """True if there is such a file or folder."""
        if path not in self._there:
            self._there[path] = (self.file.folder / path).exists()
        return self._there[path]

    def job(self, row: Row, command: JobCommand) -> Job | None:
        """The job of a row, or None after its mistakes were kept."""
        before = len(self.problems)
        said = self.checked(row, command)
        for name in command.required:
            if name not in said and name not in row.values:
                self.trouble(Problem(row.line, name, f"{command.name} wants it"))
        preset = said.get("preset")
        if wrong := command.check(preset, frozenset(said)):
            self.trouble(Problem(row.line, "", wrong))
        if len(self.problems) > before and not said:
            return None
        fields = {key: str(value) for key, value in row.values.items()} | said
        index = len(self.jobs)
        fields |= {"index": str(index), "command": command.name}
        words, results = [command.name], list[str]()
        for key_name, word in said.items():
            key = command.keys[key_name]
            if key.kind is KeyKind.OUTPUT:
                continue
            if "{" in word:
                word = self.filled(word, fields, row.line_of(key_name), key_name)
                fields[key_name] = said[key_name] = word
            words += spelled(key, word)
            if key.kind is KeyKind.INPUT:
                self.look(word, key, row, key_name)
        name = self.named(row, command, fields)
        fields["name"] = name
        output = said.get(OUTPUT)
        if output is not None:
            output = self.filled(output, fields, row.line_of(OUTPUT), OUTPUT, stems=True)
            words += ["--output", output]
        words, results = with_then(self, row, fields, words)
        made = output if output is not None else command.result(said)
        if made is not None and not results:
            results = [made]
        elif output is not None:
            results = [output, *results]
        after = row.values.get("after", ())
        if isinstance(after, str):
            after = tuple(x.strip() for x in after.split(",") if x.strip())
        elif not isinstance(after, list | tuple):
            self.trouble(Problem(row.line_of("after"), "after", "names of jobs, as a list"))
            after = ()
        names = tuple(str(each) for each in after)
        return Job(index, name, tuple(words), tuple(results), row.line, names)

    def checked(self, row: Row, command: JobCommand) -> dict[str, str]:
        """Key -> word, arguments first; mistakes are kept."""
        said: dict[str, str] = {}
        for name, value in row.values.items():
            key = command.keys.get(name)
            if key is None:
                if name not in _OWN and name not in self.file.variables:
                    hint = suggest(name, [*command.keys, *_OWN])
                    self.trouble(
                        Problem(
                            row.line_of(name),
                            name,
                            f"{command.name} has no such key",
                            hint,
                        )
                    )
                continue
            word = self.read(command, name, value, row.text)
            if isinstance(word, ValueError):
                self.trouble(Problem(row.line_of(name), name, str(word)))
            else:
                said[name] = word
        return {name: said[name] for name in command.keys if name in said}

    def read(
        self, command: JobCommand, name: str, value: object, text: bool
    ) -> str | ValueError:
        """The word of a value, or what is wrong with it; asked once for equal ones."""
        at = (command.name, name, repr(value), text)
        if at not in self._read:
            key = command.keys[name]
            try:
                if isinstance(value, str) and FIELD.search(value):
                    self._read[at] = value
                elif key.many and isinstance(value, list):
                    self._read[at] = "\0".join(key.read(each, text) for each in value)
                else:
                    self._read[at] = key.read(value, text)
            except ValueError as error:
                self._read[at] = error
        return self._read[at]

    def forget_absent(self) -> None:
        """Drop what is known of files that aren't there: their jobs were left out."""
        self._absent.clear()

    def look(self, word: str, key: JobKey, row: Row, name: str) -> None:
        """Keep a file that isn't there; another job may be about to make it."""
        for path in word.split("\0") if key.many else [word]:
            if not self.there(path):
                problem = Problem(row.line_of(name), name, f"{path}: no such file")
                self._absent.append((path, problem))

    def filled(
        self,
        template: str,
        fields: Mapping[str, str],
        line: int,
        key: str,
        *,
        stems: bool = False,
    ) -> str:
        """A template with its fields put in; with `stems`, of paths only their stems."""

        def put(match: re.Match[str]) -> str:
            name = match[1].replace("-", "_")
            if name not in fields:
                known = ", ".join(sorted(fields))
                self.trouble(Problem(line, key, f"{{{match[1]}}} isn't known", known))
                return ""
            return stem(fields[name]) if stems or match[2] else fields[name]

        return FIELD.sub(put, template) if "{" in template else template

    def named(self, row: Row, command: JobCommand, fields: Mapping[str, str]) -> str:
        """The name said, or one of the stems of inputs and of what varies."""
        if "name" in row.values:
            line = row.line_of("name")
            name = self.filled(str(row.values["name"]), fields, line, "name", stems=True)
            if not name or BAD_IN_NAMES.search(name):
                self.trouble(Problem(line, "name", f"'{name}' can't be a name of a job"))
            return name
        telling = [key for key in command.keys if command.keys[key].kind is KeyKind.INPUT]
        telling += [key for key in ("seed", *row.varied) if key not in telling]
        parts = [stem(fields[key]) for key in telling if key in fields]
        name = "-".join(dict.fromkeys(parts)) or f"{command.name}-{fields['index']}"
        return BAD_IN_NAMES.sub("_", name)

    def finish(self) -> None:
        """Check what only all jobs together show: equal names, results, absent files."""
        names: dict[str, Job] = {}
        results: dict[str, Job] = {}
        for job in self.jobs:
            if (other := names.setdefault(job.name, job)) is not job:
                said = f"is called '{job.name}', as the job of line {other.line} is"
                self.trouble(
                    Problem(job.line, "name", said, 'name = "{reference}-{index}"')
                )
            for result in job.results:
                other = results.setdefault(result, job)
                if other is not job:
                    said = f"{result} is made by '{other.name}' too"
                    hint = "a template tells them apart, such as {seed} or {index}"
                    self.trouble(Problem(job.line, OUTPUT, said, hint))
        for path, problem in self._absent:
            if path not in results:
                self.trouble(problem)
        for job in self.jobs:
            for name in job.after:
                if name not in names:
                    self.trouble(
                        Problem(job.line, "after", f"no job '{name}'", suggest(name, names))
                    )
        if round_trip := circle(self.jobs):
            self.trouble(Problem(0, "after", f"a circle: {' after '.join(round_trip)}"))


def read_jobs(
    file: JobFile, commands: Mapping[str, JobCommand], template: Sequence[str] = ()
) -> Reading:
    """All jobs of a file; `problems` holds everything that is wrong with it."""
    common = file.common
    reading = Reading(file, commands)
    if template:
        common = replace(common, values=from_words(template, commands, reading))
    rows = [_over(common, row) for row in file.rows]
    for row in [*_combined(file, common, reading), *rows]:
        reading.add(row)
    reading.finish()
    if not reading.jobs and not reading.problems:
        reading.trouble(Problem(0, "", "there are no jobs in it"))
    return reading


def _combined(file: JobFile, common: Row, reading: Reading) -> Iterator[Row]:
    """A row for each combination of the grid; the common keys alone if there is nothing."""
    if not file.grid:
        if common.values and not file.rows:
            yield common
        return
    command = reading.command(common)
    choices: list[list[object]] = []
    for name, values in file.grid.items():
        key = command.keys.get(name) if command else None
        line, found = file.grid_lines.get(name, 0), list[object]()
        for value in values:
            pattern = isinstance(value, str) and PATTERN.search(value)
            is_input = key is not None and key.kind is KeyKind.INPUT
            if is_input and pattern and not reading.there(str(value)):
                found += reading.matches(str(value), name, line)
            else:
                found.append(value)
        choices.append(found)
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_JOBS:
        reading.trouble(Problem(0, "grid", f"{count:,} jobs; {MOST_JOBS:,} are the most"))
        return
    line = min(file.grid_lines.values(), default=0)
    lines = {**common.lines, **file.grid_lines}
    for chosen in itertools.product(*choices):
        said = {**common.values, **dict(zip(file.grid, chosen, strict=True))}
        yield Row(said, line, lines, common.text, tuple(file.grid))


def _over(common: Row, row: Row) -> Row:
    return replace(
        row,
        values={**common.values, **row.values},
        lines={**common.lines, **row.lines},
    )


def from_words(
    template: Sequence[str], commands: Mapping[str, JobCommand], reading: Reading
) -> dict[str, object]:
    """The keys of a job from a command line; what follows a `then` stays as it is."""
    words, values = list(template), dict[str, object]()
    if THEN_KEY in words:
        at = words.index(THEN_KEY)
        words, values[THEN_KEY] = words[:at], shlex.join(words[at + 1 :])
    values["command"] = name = words.pop(0)
    command = commands.get(name)
    if command is None:
        return values  # which is told when a job is made of it
    by_flag = {key.spelled: name for name, key in command.keys.items() if key.spelled}
    negative = {key.negative: name for name, key in command.keys.items() if key.negative}
    by_flag |= (
        {"-o": OUTPUT, "-m": "motion"} if "motion" in command.keys else {"-o": OUTPUT}
    )
    arguments = [name for name, key in command.keys.items() if not key.spelled]
    while words:
        word = words.pop(0)
        flag, joined, value = (
            word.partition("=") if word.startswith("--") else (word, "", "")
        )
        if flag in negative:
            values[negative[flag]] = "false"
        elif flag in by_flag:
            key = by_flag[flag]
            if command.keys[key].kind is KeyKind.SWITCH:
                values[key] = "true"
            elif joined or words:
                values[key] = value if joined else words.pop(0)
            else:
                reading.trouble(Problem(0, key, f"{flag} lacks its value"))
        elif word.startswith("-") and len(word) > 1:
            hint = suggest(word, by_flag)
            reading.trouble(Problem(0, "", f"{command.name} has no flag {word}", hint))
        elif arguments:
            values[arguments.pop(0)] = word
        else:
            reading.trouble(Problem(0, "", f"{command.name} takes no further {word}"))
    return values


def with_then(
    reading: Reading, row: Row, fields: Mapping[str, str], words: list[str]
) -> tuple[list[str], list[str]]:
    """Words with those of the commands behind `then`, and the results that these name."""
    said, line = row.values.get(THEN_KEY, ()), row.line_of(THEN_KEY)
    parts = [said] if isinstance(said, str) else said
    results: list[str] = []
    if not isinstance(parts, list | tuple):
        reading.trouble(
            Problem(line, THEN_KEY, 'a command line, then = "encode -o {name}.webm"')
        )
        return words, results
    for part in parts:
        stems = False
        words = [*words, THEN_KEY]
        for word in shlex.split(str(part)):
            filled = reading.filled(word, fields, line, THEN_KEY, stems=stems)
            if stems:
                results.append(filled)
            stems = word in ("-o", "--output")
            words.append(filled)
    return words, results


def spelled(key: JobKey, word: str) -> list[str]:
    """The words that say a key on a command line."""
    if key.kind is KeyKind.SWITCH:
        if word == "true":
            return [key.spelled]
        return [key.negative] if key.negative else []
    words = [
        f"./{each}" if key.kind is KeyKind.INPUT and each.startswith("-") else each
        for each in (word.split("\0") if key.many else [word])
    ]
    return [key.spelled, *words] if key.spelled else words


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The name of a file without folder and suffix; other words as they are."""
    path = PurePath(word)
    looks_like_path = "/" in word or "\\" in word or re.search(r"\.[A-Za-z]\w*$", word)
    return (path.stem or path.name or word) if looks_like_path else word


def circle(jobs: Sequence[Job]) -> list[str]:
    """Names of jobs that wait for one another, or nothing."""
    waits = {job.name: job.after for job in jobs if job.after}
    while free := [n for n, after in waits.items() if not any(a in waits for a in after)]:
        for name in free:
            del waits[name]
    if not waits:
        return []
    name, way = next(iter(waits)), list[str]()
    while name not in way:
        way.append(name)
        name = next(each for each in waits[name] if each in waits)
    return [*way[way.index(name) :], name]


def in_slice(jobs: Sequence[Job], number: int, of: int) -> list[Job]:
    """The jobs of slice `number` (from 0) `of` so many; each job is in exactly one.

    Jobs that wait for one another share a slice, which can keep their order.
    """
    if not 0 <= number < of:
        raise ValueError(f"slice {number} of {of}: it is 0 to {of - 1}")
    group = {job.name: job.name for job in jobs}

    def root(name: str) -> str:
        while group[name] != name:
            group[name] = group[group[name]]
            name = group[name]
        return name

    for job in jobs:
        for other in job.after:
            group[root(job.name)] = root(other)
    numbers: dict[str, int] = {}
    for job in jobs:
        numbers.setdefault(root(job.name), len(numbers))
    return [job for job in jobs if numbers[root(job.name)] % of == number]
