"""Uploads, kept by content: the same file again costs nothing.

    .anim/uploads/<sha256>/file<suffix>     the bytes
    .anim/uploads/<sha256>/pictures/        or pictures of one clip, in their order
    .anim/uploads/<sha256>/about.json       what it is called and what it is

The name that it had is only ever shown; no path is made of it but a known suffix.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

import anyio

from animcli.errors import InputError, StorageError
from animcli.files import (
    SHA256_HEX,
    disk_errors,
    make_folder,
    put_in_place,
    temp_name,
    write_file,
)
from animcli.pipeline.record import Part, digest_of

MAX_UPLOAD_BYTES: Final = 4 << 30
SPARE: Final = 1 << 30
"""Bytes that stay free on the disk."""
WRITE_BYTES: Final = 1 << 20
MAX_NAME_LENGTH: Final = 200
SUFFIXES: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts"}
    | {".gif", ".webp", ".png", ".apng", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".tga", ".avif", ".pose", ".json", ".bvh"}
)
ABOUT: Final = "about.json"
PICTURES_FOLDER: Final = "pictures"


@dataclass(frozen=True)
class Upload:
    """Something that was brought in.

    name: as it is shown. parts: of its way below the folder of all uploads.
    facts: what was found out about it, for the page.
    """

    digest: str
    name: str
    bytes: int
    parts: tuple[str, ...]
    facts: Mapping[str, Any]

    def data(self) -> dict[str, Any]:
        """As the page reads it."""
        return {
            "digest": self.digest,
            "name": self.name,
            "bytes": self.bytes,
            **self.facts,
        }


@dataclass(frozen=True)
class Uploads:
    """Everything that was brought in, below `root`."""

    root: Path
    largest: int = MAX_UPLOAD_BYTES
    spare: int = SPARE

    def check_size(self, name: str, size: int) -> None:
        """Raise InputError for more bytes than a file may have."""
        if size > self.largest:
            raise InputError(
                f"{shown_name(name)}: larger than {self.largest >> 20} MB",
                "cut it into shorter clips",
            )

    def check_room(self, name: str, size: int) -> None:
        """Raise StorageError where the disk hasn't room for so many bytes more."""
        make_folder(self.root)
        free = shutil.disk_usage(self.root).free
        if free - size < self.spare:
            raise StorageError(
                f"{shown_name(name)}: only {free >> 20} MB are free on the disk",
                f"{self.spare >> 20} MB stay free for the work; clear something",
            )

    async def receive(self, stream: AsyncIterator[bytes], name: str) -> Upload:
        """Keep what a stream brings. Raises InputError or StorageError."""
        make_folder(self.root)
        part = temp_name(self.root / "upload")
        digest, size, held = hashlib.sha256(), 0, bytearray()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with disk_errors(part):
            file = os.open(part, flags, 0o600)

        def empty() -> None:
            with disk_errors(part):
                self.check_room(name, len(held))
                digest.update(held)
                view = memoryview(held)
                while view:
                    view = view[os.write(file, view) :]

        try:
            async for piece in stream:
                size += len(piece)
                self.check_size(name, size)
                held += piece
                if len(held) >= WRITE_BYTES:
                    await anyio.to_thread.run_sync(empty)
                    held = bytearray()
            await anyio.to_thread.run_sync(empty)
            if size == 0:
                raise InputError(f"{shown_name(name)}: is empty (0 bytes)")
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        finally:
            os.close(file)
        return await anyio.to_thread.run_sync(
            self._keep, part, digest.hexdigest(), size, name
        )

    def _keep(self, part: Path, digest: str, size: int, name: str) -> Upload:
        folder = make_folder(self.root / digest)
        before = self.find(digest)
        if before is None:
            suffix = PurePath(name).suffix.lower()
            file = f"file{suffix if suffix in SUFFIXES else ''}"
            put_in_place(part, folder / file)
        else:
            part.unlink()
            file = before.parts[-1]
        facts = {} if before is None else before.facts
        return self._describe(Upload(digest, shown_name(name), size, (digest, file), facts))

    def keep_bytes(self, data: bytes, name: str) -> Upload:
        """Keep something short that the page made itself."""
        make_folder(self.root)
        part = temp_name(self.root / "upload")
        write_file(part, data)
        return self._keep(part, hashlib.sha256(data).hexdigest(), len(data), name)

    def join(self, digests: Sequence[str], name: str) -> Upload:
        """Keep pictures, in this order, as one clip. Raises InputError."""
        files = [found for each in digests if (found := self.find(each)) is not None]
        if len(files) != len(digests) or not files:
            raise InputError("some of the pictures aren't here", "bring them in first")
        named = [
            (f"{n:06d}{PurePath(each.parts[-1]).suffix}", each)
            for n, each in enumerate(files)
        ]
        whole = digest_of(tuple(Part(n, each.bytes, each.digest) for n, each in named))
        folder = make_folder(self.root / whole / PICTURES_FOLDER)
        for file, each in named:
            with disk_errors(folder), suppress(FileExistsError):
                os.link(self.path(each), folder / file)
        size = sum(each.bytes for each in files)
        parts = (whole, PICTURES_FOLDER)
        return self._describe(Upload(whole, shown_name(name), size, parts, {}))

    def _describe(self, upload: Upload) -> Upload:
        about = {
            "name": upload.name,
            "bytes": upload.bytes,
            "file": upload.parts[-1],
            "facts": dict(upload.facts),
        }
        write_file(self.root / upload.digest / ABOUT, json.dumps(about).encode())
        return upload

    def know(self, upload: Upload, facts: Mapping[str, Any]) -> Upload:
        """Keep what was found out about an upload."""
        return self._describe(
            Upload(upload.digest, upload.name, upload.bytes, upload.parts, facts)
        )

    def find(self, digest: str) -> Upload | None:
        """The upload with this digest; None for everything else."""
        if SHA256_HEX.fullmatch(digest) is None:
            return None
        try:
            about = json.loads((self.root / digest / ABOUT).read_bytes())
            name, size, file = str(about["name"]), int(about["bytes"]), str(about["file"])
            facts = dict(about["facts"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if file != PICTURES_FOLDER and not re.fullmatch(r"file(\.[a-z0-9]{1,5})?", file):
            return None
        return Upload(digest, name, size, (digest, file), facts)

    def path(self, upload: Upload) -> Path:
        """Path of an upload."""
        return self.root.joinpath(*upload.parts)

    def all(self) -> Iterator[Upload]:
        """Every upload, the newest first."""
        folders = list(self.root.iterdir()) if self.root.is_dir() else []
        dated = [(f.stat().st_mtime_ns, f.name) for f in folders if f.is_dir()]
        for _, name in sorted(dated, reverse=True):
            if (found := self.find(name)) is not None:
                yield found

    def forget(self, digest: str) -> bool:
        """Remove an upload; whether there was one."""
        if self.find(digest) is None:
            return False
        with disk_errors(self.root / digest):
            shutil.rmtree(self.root / digest)
        return True


def shown_name(name: str) -> str:
    """A name as it is shown: without folders, control characters spelled out."""
    last = re.split(r"[/\\]", name)[-1][:MAX_NAME_LENGTH]
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in last)
    return text or "file"
