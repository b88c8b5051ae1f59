"""Addresses of what was brought in, and of files by their digests."""

import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from animcli.errors import InputError, UsageError
from animcli.web.answers import Address, ZipBuffer, table
from animcli.web.library import StoredItem
from animcli.web.serving import safe_name, send_file
from animcli.web.studio import Studio

MOST_KEPT: Final = 64 << 20
"""Bytes of pictures of frames that are kept in memory."""
WIDEST: Final = 1920


@dataclass(frozen=True)
class FileRoutes:
    """Uploads, and files of the project."""

    studio: Studio
    _frames: dict[tuple[str, int, int], bytes] = field(default_factory=dict)

    def addresses(self) -> list[Address]:
        """Verb, path and handler of each."""
        return [
            ("PUT", "/api/uploads", self.upload),
            ("GET", "/api/uploads", self.list_uploads),
            ("POST", "/api/uploads/room", self.room),
            ("POST", "/api/uploads/join", self.join),
            ("POST", "/api/uploads/look", self.look_closer),
            ("POST", "/api/samples", self.samples),
            ("DELETE", "/api/uploads/{digest}", self.forget),
            ("GET", "/media/{digest}", self.media),
            ("POST", "/api/stand-in", self.stand_in),
            ("GET", "/api/facts/{digest}", self.facts),
            ("GET", "/api/pose/{digest}", self.pose),
        ]  # fmt: skip

    async def upload(self, request: Request) -> Response:
        """Keep a body as it comes, and say what it is."""
        name = request.query_params.get("name", "file")
        kept = await self.studio.uploads.receive(request.stream(), name)
        upload = await self.studio.known(kept)
        self.studio.log.publish("uploads", upload.digest)
        return JSONResponse(upload.data())

    async def room(self, request: Request) -> Response:
        """Refuse a file that is too large before any of it is sent.

        A browser that is still sending doesn't hear a refusal.
        """
        said = await table(request)
        name, size = str(said.get("name", "")), said.get("bytes")
        if not isinstance(size, int) or size < 0:
            raise UsageError("bytes are a number")
        self.studio.uploads.check_size(name, size)
        self.studio.uploads.check_room(name, size)
        return JSONResponse({})

    async def list_uploads(self, request: Request) -> Response:
        """Everything that was brought in."""
        return JSONResponse([each.data() for each in self.studio.uploads.all()])

    async def join(self, request: Request) -> Response:
        """Pictures that were brought in, as one clip."""
        said = await table(request)
        digests, name = [str(x) for x in said.get("digests", [])], str(said.get("name", ""))
        upload = await anyio.to_thread.run_sync(self.studio.uploads.join, digests, name)
        upload = await self.studio.known(upload)
        self.studio.log.publish("uploads", upload.digest)
        return JSONResponse(upload.data())

    async def look_closer(self, request: Request) -> Response:
        """Count the people in a picture, as `anim render` would."""
        said = await table(request)
        upload = self.studio.uploads.find(str(said.get("digest", "")))
        if upload is None:
            raise InputError("this isn't here any more", "bring it in again")
        if "people" not in upload.facts:
            path = str(self.studio.uploads.path(upload))
            found = await self.studio.ask(do="people", path=path, patient=True)
            upload = self.studio.uploads.know(upload, {**upload.facts, **found["facts"]})
        return JSONResponse(upload.data())

    async def samples(self, request: Request) -> Response:
        """The drawn dancer and the drawn character of `anim demo`, as if brought in."""
        said = await self.studio.ask(do="samples")
        kept = []
        for path, name in said["files"]:
            data = await anyio.to_thread.run_sync(Path(path).read_bytes)
            upload = await self.studio.known(self.studio.uploads.keep_bytes(data, name))
            kept.append(upload.data())
        self.studio.log.publish("uploads", "")
        return JSONResponse({"uploads": kept})

    async def forget(self, request: Request) -> Response:
        """Remove what was brought in."""
        gone = await anyio.to_thread.run_sync(
            self.studio.uploads.forget, request.path_params["digest"]
        )
        self.studio.log.publish("uploads", "")
        return JSONResponse({"gone": gone})

    async def media(self, request: Request) -> Response:
        """A file, or one frame of it."""
        item = self.studio.item(request.path_params["digest"])
        if "frame" in request.query_params:
            return await self._frame(request, item)
        save = "save" in request.query_params
        if item.path.is_dir():
            return await self._archive(item)
        return send_file(request, item.root, item.parts, item.name, save=save)

    async def stand_in(self, request: Request) -> Response:
        """A video that browsers play in the place of one that they don't, to look at."""
        item = self.studio.item(str((await table(request)).get("digest", "")))
        said = await self.studio.ask(do="stand-in", path=str(item.path))
        return JSONResponse({"digest": said["digest"]})

    async def _frame(self, request: Request, item: StoredItem) -> Response:
        try:
            frame = int(request.query_params["frame"])
            width = int(request.query_params.get("width", "320"))
        except ValueError as error:
            raise UsageError("frame and width are whole numbers") from error
        if not (0 <= frame < 10_000_000 and 16 <= width <= WIDEST):
            raise UsageError(f"a frame from 0, a width from 16 to {WIDEST}")
        at = (item.digest, frame, width)
        if at not in self._frames:
            said = await self.studio.ask(
                do="frame",
                path=str(item.path),
                frame=frame,
                width=width,
            )
            self._frames[at] = bytes.fromhex(said["jpeg"])
            while sum(map(len, self._frames.values())) > MOST_KEPT:
                del self._frames[next(iter(self._frames))]
        headers = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(self._frames[at], headers=headers, media_type="image/jpeg")

    async def _archive(self, item: StoredItem) -> Response:
        """A folder of pictures as a zip, written while it is read."""
        names = sorted(
            p.name for p in item.path.iterdir() if p.is_file() and not p.is_symlink()
        )

        async def pieces() -> AsyncIterator[bytes]:
            with ZipBuffer() as out, zipfile.ZipFile(cast(IO[bytes], out), "w") as archive:
                for name in names:
                    data = await anyio.to_thread.run_sync((item.path / name).read_bytes)
                    archive.writestr(name, data)
                    yield out.taken()
                archive.close()
                yield out.taken()

        name = safe_name(f"{Path(item.name).stem}.zip")
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(pieces(), headers=headers, media_type="application/zip")

    async def facts(self, request: Request) -> Response:
        """Facts about a file, such as a result: kind, size, rate, number of frames."""
        item = self.studio.item(request.path_params["digest"])
        return JSONResponse(await self.studio.facts_of(item.path))

    async def pose(self, request: Request) -> Response:
        """A motion: length of the header, the header as JSON, then float32 x, y, score."""
        item = self.studio.item(request.path_params["digest"])
        said = await self.studio.ask(do="pose", path=str(item.path))
        head = json.dumps(said["head"]).encode()
        head += b" " * (-len(head) % 4)  # so that the floats are aligned
        body = len(head).to_bytes(4, "little") + head + bytes.fromhex(said["joints"])
        headers = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(body, headers=headers, media_type="application/octet-stream")
