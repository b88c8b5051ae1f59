"""Jobs from standard input, one JSON object a line, taken as they come."""

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import IO

from animcli.batch.jobfile import JobFile, Row, parse_json_lines
from animcli.batch.jobs import Job, Reading
from animcli.batch.schema import JobCommand
from animcli.cli.console import Console
from animcli.errors import ProjectError


@dataclass
class LiveQueue:
    """Reads lines in a thread; a line with a mistake is told and left out.

    bad: how many were.
    """

    stream: IO[str]
    file: JobFile
    commands: Mapping[str, JobCommand]
    console: Console
    bad: int = 0
    _lines: "queue.Queue[str | None]" = field(default_factory=queue.Queue)
    _reading: Reading = field(init=False)
    _: KW_ONLY
    _number: int = 0
    _told: int = 0

    def __post_init__(self) -> None:
        self._reading = Reading(self.file, self.commands)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.stream:
            self._lines.put(line)
        self._lines.put(None)

    def __call__(self) -> tuple[Sequence[Job], bool]:
        """Jobs since the last call, and whether more may come."""
        jobs: list[Job] = []
        while True:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                return jobs, True
            if line is None:
                return jobs, False
            self._number += 1
            jobs += self._read(line)

    def _read(self, line: str) -> list[Job]:
        before = len(self._reading.jobs)
        try:
            rows: list[Row] = list(parse_json_lines([line], self.file.name, self._number))
        except ProjectError as error:
            self.console.failure(error)
            self.bad += 1
            return []
        for row in rows:
            self._reading.add(row)
        self._reading.finish()
        problems = self._reading.problems[self._told :]
        self._told = len(self._reading.problems)
        for problem in problems:
            self.console.failure(ProjectError(problem.told(self.file.name), problem.hint))
        if problems:
            self.bad += 1
            del self._reading.jobs[before:]
            self._reading.forget_absent()
        return self._reading.jobs[before:]
