"""The page's side of one project: what all addresses share."""

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from animcli.errors import InputError, UsageError
from animcli.pipeline.project import Project
from animcli.web.command_interface import CommandInterface, Line
from animcli.web.events import EventLog
from animcli.web.guard import Keys
from animcli.web.library import Library, StoredItem
from animcli.web.looker import Looker
from animcli.web.pages import Pages
from animcli.web.queue import Entry, JobQueue
from animcli.web.uploads import Upload, Uploads

DECODED_PARTS: Final = ("studio", "decoded")
"""Folder below the cache: by the key of a render in progress, what is encoded of it."""


@dataclass
class Studio:
    """The page's side of one project."""

    project: Project
    face: CommandInterface
    keys: Keys
    port: int
    uploads: Uploads
    looker: Looker
    _: KW_ONLY
    jobs: JobQueue
    log: EventLog
    places: Mapping[str, str]
    read_only: bool = False

    @cached_property
    def library(self) -> Library:
        """Files that the project holds."""
        return Library(self.project, self.uploads)

    @cached_property
    def pages(self) -> Pages:
        """The packaged files."""
        return Pages(files("animcli.web") / "static")

    async def known(self, upload: Upload) -> Upload:
        """An upload, with what can be told of its file."""
        if upload.facts:
            return upload
        return self.uploads.know(upload, await self.facts_of(self.uploads.path(upload)))

    async def ask(self, *, patient: bool = False, **request: Any) -> dict[str, Any]:
        """The answer of the child that looks at files, asked where jobs run."""
        return await self.looker.ask(patient=patient, **request, **self._place())

    async def facts_of(self, path: Path) -> dict[str, Any]:
        """Facts about a file: kind, size, rate, or why it can't be used."""
        said = await self.ask(do="facts", path=str(path))
        found: dict[str, Any] = said["facts"]
        return found

    def item(self, digest: str) -> StoredItem:
        """A file by its digest. Raises InputError where there is none."""
        item = self.library.find(digest)
        if item is None:
            raise InputError("this isn't here any more", "bring it in again")
        return item

    def line(self, words: object) -> Line:
        """Words of the page, as the parser understands them. Raises UsageError."""
        if not isinstance(words, list) or not all(isinstance(x, str) for x in words):
            raise UsageError("words are a list of text")
        return self.face.read(words, self._path_of)

    def _path_of(self, digest: str) -> tuple[Path, str] | None:
        item = self.library.find(digest, results_first=True)
        if item is None:
            return None
        path = Path(os.path.relpath(item.path, self.library.results))
        outside = not item.path.is_relative_to(self.project.root)
        return (item.path if outside else path), item.name

    def _place(self) -> dict[str, Any]:
        """Folder and variables in which questions and jobs are asked."""
        self.library.results.mkdir(mode=0o755, exist_ok=True)
        return {"folder": str(self.library.results), "places": dict(self.places)}

    async def foresee(self, entry: Entry) -> None:
        """Say of a job that doesn't run how far it came, as `--dry-run` does."""
        words = list(entry.job.words)
        said = await self.ask(do="ask", lines=[words], patient=True)
        outlook = said["jobs"][0].get("outlook", [])
        if entry.state == "stopped" and outlook:
            entry.outlook = "; ".join(outlook)
            self.log.publish("job", entry.data())

    def whole_queue(self) -> dict[str, Any]:
        """The queue, as the page reads it."""
        jobs = [each.data() for each in self.jobs.entries.values()]
        return {"paused": self.jobs.paused, "jobs": jobs}
