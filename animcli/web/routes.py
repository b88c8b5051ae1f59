"""Answers of each address. No address takes a path: files are asked for by digest."""

import hashlib
import json
import os
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, Final, cast

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from animcli.errors import InputError, UsageError
from animcli.files import SHA256_HEX, make_folder, write_file
from animcli.pipeline.project import Project
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.web.answers import Handler, ZipBuffer, table, with_errors
from animcli.web.command_interface import CommandInterface, Line
from animcli.web.events import MOST_STREAMS, EventLog
from animcli.web.guard import Keys, cookie_name
from animcli.web.library import Library, StoredItem
from animcli.web.looker import Looker, LookError
from animcli.web.pages import Pages
from animcli.web.queue import Entry, JobQueue, check_name
from animcli.web.serving import safe_name, send_file
from animcli.web.uploads import Upload, Uploads

MOST_KEPT: Final = 64 << 20
"""Bytes of pictures of frames that are kept in memory."""
WIDEST: Final = 1920


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
    _frames: dict[tuple[str, int, int], bytes] = field(default_factory=dict)

    @cached_property
    def library(self) -> Library:
        """Files that the project holds."""
        return Library(self.project, self.uploads)

    @cached_property
    def pages(self) -> Pages:
        """The packaged files."""
        return Pages(files("animcli.web") / "static")

    def app(self) -> Starlette:
        """All addresses."""
        api: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.index),
            ("GET", "/static/{name}", self.static),
            ("POST", "/api/session", self.session),
            ("PUT", "/api/uploads", self.upload),
            ("GET", "/api/uploads", self.list_uploads),
            ("POST", "/api/uploads/join", self.join),
            ("POST", "/api/uploads/look", self.look_closer),
            ("POST", "/api/samples", self.samples),
            ("DELETE", "/api/uploads/{digest}", self.forget),
            ("GET", "/media/{digest}", self.media),
            ("POST", "/api/stand-in", self.stand_in),
            ("GET", "/api/facts/{digest}", self.facts),
            ("GET", "/api/pose/{digest}", self.pose),
            ("POST", "/api/plan", self.plan),
            ("POST", "/api/display", self.display),
            ("GET", "/api/edits/{digest}", self.read_edits),
            ("POST", "/api/edits/{digest}", self.write_edits),
            ("POST", "/api/make", self.make),
            ("POST", "/api/find", self.find_joints),
            ("GET", "/api/jobs", self.list_jobs),
            ("POST", "/api/jobs", self.add_job),
            ("POST", "/api/jobs/{name}", self.change_job),
            ("DELETE", "/api/jobs/{name}", self.stop_job),
            ("GET", "/api/jobs/{name}/preview", self.preview),
            ("GET", "/api/events", self.events),
            ("GET", "/api/history", self.history),
            ("POST", "/api/history", self.settings),
            ("GET", "/api/history/{digest}", self.manifest),
            ("DELETE", "/api/history/{digest}", self.delete),
            ("GET", "/api/presets", self.presets),
            ("GET", "/api/weights", self.weights),
            ("GET", "/api/device", self.device),
            ("GET", "/api/doctor", self.doctor),
        ]  # fmt: skip
        routes = [Route(path, with_errors(run), methods=[verb]) for verb, path, run in api]
        return Starlette(routes=routes)

    async def index(self, request: Request) -> Response:
        """The page."""
        return self.pages.index()

    async def static(self, request: Request) -> Response:
        """A packaged file, by a name with the digest of its content."""
        return self.pages.file(request.path_params["name"])

    async def session(self, request: Request) -> Response:
        """The cookie, for whoever knows the token; the guard has seen it."""
        answer = JSONResponse(
            {"project": self.project.root.name, "read_only": self.read_only}
        )
        answer.set_cookie(
            cookie_name(self.port), self.keys.session,
            httponly=True, samesite="strict", path="/",
        )  # fmt: skip
        return answer

    async def upload(self, request: Request) -> Response:
        """Keep a body as it comes, and say what it is."""
        name = request.query_params.get("name", "file")
        upload = await self._known(await self.uploads.receive(request.stream(), name))
        self.log.publish("uploads", upload.digest)
        return JSONResponse(upload.data())

    async def _known(self, upload: Upload) -> Upload:
        """An upload, with what can be told of its file."""
        if upload.facts:
            return upload
        return self.uploads.know(upload, await self._facts(self.uploads.path(upload)))

    async def _facts(self, path: Path) -> dict[str, Any]:
        said = await self.looker.ask(do="facts", path=str(path), **self._place())
        found: dict[str, Any] = said["facts"]
        return found

    async def list_uploads(self, request: Request) -> Response:
        """Everything that was brought in."""
        return JSONResponse([each.data() for each in self.uploads.all()])

    async def join(self, request: Request) -> Response:
        """Pictures that were brought in, as one clip."""
        said = await table(request)
        digests, name = [str(x) for x in said.get("digests", [])], str(said.get("name", ""))
        upload = await anyio.to_thread.run_sync(self.uploads.join, digests, name)
        upload = await self._known(upload)
        self.log.publish("uploads", upload.digest)
        return JSONResponse(upload.data())

    async def look_closer(self, request: Request) -> Response:
        """Count the people in a picture, as `anim render` would."""
        said = await table(request)
        upload = self.uploads.find(str(said.get("digest", "")))
        if upload is None:
            raise InputError("this isn't here any more", "bring it in again")
        if "people" not in upload.facts:
            path = str(self.uploads.path(upload))
            found = await self.looker.ask(
                do="people", path=path, patient=True, **self._place()
            )
            upload = self.uploads.know(upload, {**upload.facts, **found["facts"]})
        return JSONResponse(upload.data())

    async def samples(self, request: Request) -> Response:
        """The drawn dancer and the drawn character of `anim demo`, as if brought in."""
        said = await self.looker.ask(do="samples", **self._place())
        kept = []
        for path, name in said["files"]:
            data = await anyio.to_thread.run_sync(Path(path).read_bytes)
            upload = await self._known(self.uploads.keep_bytes(data, name))
            kept.append(upload.data())
        self.log.publish("uploads", "")
        return JSONResponse({"uploads": kept})

    async def forget(self, request: Request) -> Response:
        """Remove what was brought in."""
        gone = await anyio.to_thread.run_sync(
            self.uploads.forget, request.path_params["digest"]
        )
        self.log.publish("uploads", "")
        return JSONResponse({"gone": gone})

    async def media(self, request: Request) -> Response:
        """A file, or one frame of it."""
        item = self._item(request.path_params["digest"])
        if "frame" in request.query_params:
            return await self._frame(request, item)
        save = "save" in request.query_params
        if item.path.is_dir():
            return await self._archive(item)
        return send_file(request, item.root, item.parts, item.name, save=save)

    async def stand_in(self, request: Request) -> Response:
        """A video that browsers play in the place of one that they don't, to look at."""
        item = self._item(str((await table(request)).get("digest", "")))
        said = await self.looker.ask(do="stand-in", path=str(item.path), **self._place())
        return JSONResponse({"digest": said["digest"]})

    def _item(self, digest: str) -> StoredItem:
        item = self.library.find(digest)
        if item is None:
            raise InputError("this isn't here any more", "bring it in again")
        return item

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
            said = await self.looker.ask(
                do="frame", path=str(item.path), frame=frame, width=width, **self._place()
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
        item = self._item(request.path_params["digest"])
        return JSONResponse(await self._facts(item.path))

    async def pose(self, request: Request) -> Response:
        """A motion: length of the header, the header as JSON, then float32 x, y, score."""
        item = self._item(request.path_params["digest"])
        said = await self.looker.ask(do="pose", path=str(item.path), **self._place())
        head = json.dumps(said["head"]).encode()
        head += b" " * (-len(head) % 4)  # so that the floats are aligned
        body = len(head).to_bytes(4, "little") + head + bytes.fromhex(said["joints"])
        headers = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(body, headers=headers, media_type="application/octet-stream")

    def _line(self, words: object) -> Line:
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

    async def display(self, request: Request) -> Response:
        """Words as the user would type them."""
        line = self._line((await table(request)).get("words"))
        return JSONResponse({"words": list(line.shown)})

    async def plan(self, request: Request) -> Response:
        """Answer of `--dry-run` to words."""
        line = self._line((await table(request)).get("words"))
        said = await self.looker.ask(do="ask", lines=[list(line.words)], **self._place())
        outcome = said["jobs"][0]
        if "error" in outcome:
            raise LookError(outcome["error"], outcome["hint"], outcome["exit_code"])
        for stage in outcome["stages"]:
            if stage["done"] and stage["key"]:
                stage["digest"] = self.library.digest_of(stage["key"])
        return JSONResponse({**outcome, "words": list(line.shown)})

    async def read_edits(self, request: Request) -> Response:
        """The corrections of a motion that were kept."""
        path = self._edits(request.path_params["digest"])
        if not path.is_file():
            return JSONResponse({})
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return JSONResponse({**json.loads(data), "digest": digest})

    async def write_edits(self, request: Request) -> Response:
        """Keep corrections; the digest by which words name them."""
        path, said = self._edits(request.path_params["digest"]), await table(request)
        data = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        make_folder(path.parent)
        await anyio.to_thread.run_sync(write_file, path, data)
        upload = self.uploads.keep_bytes(data, "edits.json")
        upload = self.uploads.know(upload, {"kind": "edits"})
        source = request.path_params["digest"]
        self.log.publish("edits", {"source": source, "digest": upload.digest})
        return JSONResponse({"digest": upload.digest})

    def _edits(self, digest: str) -> Path:
        if SHA256_HEX.fullmatch(digest) is None:
            raise UsageError("a digest has 64 hex digits")
        return self.project.cache / "edits" / f"{digest}.json"

    async def make(self, request: Request) -> Response:
        """Do at once what takes moments: a correction, a retargeting."""
        line = self._line((await table(request)).get("words"))
        said = await self.looker.ask(do="make", words=list(line.words), **self._place())
        return JSONResponse({"digest": said["digest"], "notes": said["notes"]})

    async def find_joints(self, request: Request) -> Response:
        """Keypoints that the detector finds near a place of one frame."""
        said = await table(request)
        item = self._item(str(said.get("digest", "")))
        names = ("frame", "x", "y", "size")
        if not all(isinstance(said.get(name), int | float) for name in names):
            raise UsageError(f"{', '.join(names)} are numbers")
        detector = str(said.get("detector", DEFAULT_DETECTOR))
        numbers: dict[str, Any] = {name: int(said[name]) for name in names}
        found = await self.looker.ask(
            do="find", path=str(item.path), detector=detector, **numbers, **self._place()
        )
        return JSONResponse({"joints": found["joints"]})

    async def foresee(self, entry: Entry) -> None:
        """Say of a job that doesn't run how far it came, as `--dry-run` does."""
        words = list(entry.job.words)
        said = await self.looker.ask(do="ask", lines=[words], patient=True, **self._place())
        outlook = said["jobs"][0].get("outlook", [])
        if entry.state == "stopped" and outlook:
            entry.outlook = "; ".join(outlook)
            self.log.publish("job", entry.data())

    async def list_jobs(self, request: Request) -> Response:
        """The queue."""
        return JSONResponse(self.whole_queue())

    def whole_queue(self) -> dict[str, Any]:
        """The queue, as the page reads it."""
        jobs = [each.data() for each in self.jobs.entries.values()]
        return {"paused": self.jobs.paused, "jobs": jobs}

    async def add_job(self, request: Request) -> Response:
        """Queue words; what is no job of a batch is done at once."""
        said_by_page = await table(request)
        line = self._line(said_by_page.get("words"))
        mark = mark_of(line)
        if line.row is None and line.command != "cache clear":
            name = f"{line.command.replace(' ', '-')}-{mark}"
            words = line.words
            if line.command == "inspect":
                words, _ = self.face.outputs(line, name)
            if line.command == "evaluate":
                words = (*words, "--json")  # the page shows the numbers as a table
            self.jobs.add_line(name, words, line.shown)
            return JSONResponse({"name": name})
        if line.row is None:
            said = await self.looker.ask(do="act", words=list(line.words), **self._place())
            self.log.publish("history", "")
            return JSONResponse({"results": said["results"], "lines": said["lines"]})
        name = f"{line.stem}-{mark}"
        _, places = self.face.outputs(line, name)
        row = {**line.row, "name": name, "output": places[0]}
        if "then" in row:
            parts = [str(part) for part in line.row["then"]]  # type: ignore[attr-defined]
            row["then"] = [
                f"{part} --output {place}"
                for part, place in zip(parts, places[1:], strict=True)
            ]
        held = said_by_page.get("held") is True
        entry = self.jobs.add(row, line.shown, held=held)
        return JSONResponse({"name": entry.job.name})

    async def change_job(self, request: Request) -> Response:
        """Go on, move, pause: `{"do": "go-on"}`, `{"place": 0}`, `{"pause": true}`."""
        said, name = await table(request), request.path_params["name"]
        if "pause" in said:
            self.jobs.pause(bool(said["pause"]))
        elif said.get("do") == "go-on":
            self.jobs.go_on(check_name(self.jobs, name))
        elif isinstance(said.get("place"), int):
            self.jobs.move(check_name(self.jobs, name), said["place"])
        else:
            raise UsageError("go-on, a place or pause")
        return JSONResponse({})

    async def stop_job(self, request: Request) -> Response:
        """Stop a job; `?remove` takes it out of the list."""
        name = check_name(self.jobs, request.path_params["name"])
        if "remove" in request.query_params:
            self.jobs.remove(name)
        else:
            self.jobs.stop(name)
        return JSONResponse({})

    async def preview(self, request: Request) -> Response:
        """Frames of a render that isn't done, side by side in one picture."""
        entry = self.jobs.entries[check_name(self.jobs, request.path_params["name"])]
        said = await self.looker.ask(
            do="preview", words=list(entry.job.words), **self._place()
        )
        if not said.get("jpeg"):
            return Response(status_code=204)
        headers = {"cache-control": "no-store", "x-frames": str(said["frames"])}
        picture = bytes.fromhex(said["jpeg"])
        return Response(picture, headers=headers, media_type="image/jpeg")

    async def events(self, request: Request) -> Response:
        """Events for one tab, as they happen."""
        if self.log.streams >= MOST_STREAMS:
            return Response(status_code=503, headers={"retry-after": "15"})
        last = request.headers.get("last-event-id")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self.log.stream(last), headers=headers, media_type="text/event-stream"
        )

    async def history(self, request: Request) -> Response:
        """Every result, as the page reads it."""
        return JSONResponse(await anyio.to_thread.run_sync(self.library.history))

    async def manifest(self, request: Request) -> Response:
        """The manifest of a result, to be saved."""
        digest = request.path_params["digest"]
        for made in self.library.made():
            if made.digest == digest:
                name = safe_name(f"{made.path.name}.json")
                saved = {"content-disposition": f'attachment; filename="{name}"'}
                return JSONResponse(made.manifest, headers=saved)
        raise InputError("nothing here says how this was made")

    async def settings(self, request: Request) -> Response:
        """The settings of a result: of a manifest, or of one that is here by its digest."""
        said = await table(request)
        manifest = said.get("manifest")
        if manifest is None:
            wanted = said.get("digest")
            found = [each for each in self.library.made() if each.digest == wanted]
            if not found:
                raise InputError(
                    "nothing here says how this was made",
                    "drop the .json that lies beside it",
                )
            manifest = found[0].manifest
        try:
            return JSONResponse(self.library.settings(manifest))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("this is no manifest of animcli") from error

    async def delete(self, request: Request) -> Response:
        """Remove a result's file; its cache entries are cleared by words."""
        gone = await anyio.to_thread.run_sync(
            self.library.delete, request.path_params["digest"]
        )
        self.log.publish("history", "")
        return JSONResponse({"gone": gone})

    async def presets(self, request: Request) -> Response:
        """Presets and options."""
        return JSONResponse(await anyio.to_thread.run_sync(self.face.presets))

    async def weights(self, request: Request) -> Response:
        """Model files."""
        return JSONResponse(await anyio.to_thread.run_sync(self.face.weights))

    async def device(self, request: Request) -> Response:
        """Devices here, as `anim doctor` finds them."""
        said = await self.looker.ask(do="device", **self._place())
        return JSONResponse({"device": said["device"]})

    async def doctor(self, request: Request) -> Response:
        """Answer of `anim doctor` about this machine."""
        said = await self.looker.ask(do="act", words=["doctor"], **self._place())
        return JSONResponse({"results": said["results"]})


def mark_of(line: Line) -> str:
    """A few digits that tell lines apart."""
    return hashlib.sha256("\0".join(line.words).encode()).hexdigest()[:8]
