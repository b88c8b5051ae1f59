"""Addresses of the queue, and of what is seen of a job while it runs."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from animcli.errors import UsageError
from animcli.web.answers import Address, table
from animcli.web.command_interface import Line
from animcli.web.events import MOST_STREAMS
from animcli.web.queue import check_name
from animcli.web.serving import send_file
from animcli.web.studio import Studio


@dataclass(frozen=True)
class JobRoutes:
    """The queue, its events, and pictures of renders in progress."""

    studio: Studio

    def addresses(self) -> list[Address]:
        """Verb, path and handler of each."""
        return [
            ("GET", "/api/jobs", self.list_jobs),
            ("POST", "/api/jobs", self.add_job),
            ("POST", "/api/jobs/{name}", self.change_job),
            ("DELETE", "/api/jobs/{name}", self.stop_job),
            ("GET", "/api/jobs/{name}/preview", self.preview),
            ("GET", "/api/jobs/{name}/decoded", self.decoded),
            ("GET", "/api/events", self.events),
        ]  # fmt: skip

    async def list_jobs(self, request: Request) -> Response:
        """The queue."""
        return JSONResponse(self.studio.whole_queue())

    async def add_job(self, request: Request) -> Response:
        """Queue words; what is no job of a batch is done at once."""
        said_by_page = await table(request)
        line = self.studio.line(said_by_page.get("words"))
        mark = mark_of(line)
        if line.row is None and line.command != "cache clear":
            name = f"{line.command.replace(' ', '-')}-{mark}"
            words = line.words
            if line.command == "inspect":
                words, _ = self.studio.face.outputs(line, name)
            if line.command == "evaluate":
                words = (*words, "--json")  # the page shows the numbers as a table
            self.studio.jobs.add_line(name, words, line.shown)
            return JSONResponse({"name": name})
        if line.row is None:
            said = await self.studio.ask(do="act", words=list(line.words))
            self.studio.log.publish("history", "")
            return JSONResponse({"results": said["results"], "lines": said["lines"]})
        name = f"{line.stem}-{mark}"
        _, places = self.studio.face.outputs(line, name)
        row = {**line.row, "name": name, "output": places[0]}
        if "then" in row:
            parts = [str(part) for part in line.row["then"]]  # type: ignore[attr-defined]
            row["then"] = [
                f"{part} --output {place}"
                for part, place in zip(parts, places[1:], strict=True)
            ]
        held = said_by_page.get("held") is True
        entry = self.studio.jobs.add(row, line.shown, held=held)
        return JSONResponse({"name": entry.job.name})

    async def change_job(self, request: Request) -> Response:
        """Go on, move, pause: `{"do": "go-on"}`, `{"place": 0}`, `{"pause": true}`."""
        said, name = await table(request), request.path_params["name"]
        if "pause" in said:
            self.studio.jobs.pause(bool(said["pause"]))
        elif said.get("do") == "go-on":
            self.studio.jobs.go_on(check_name(self.studio.jobs, name))
        elif isinstance(said.get("place"), int):
            self.studio.jobs.move(check_name(self.studio.jobs, name), said["place"])
        else:
            raise UsageError("go-on, a place or pause")
        return JSONResponse({})

    async def stop_job(self, request: Request) -> Response:
        """Stop a job; `?remove` takes it out of the list."""
        name = check_name(self.studio.jobs, request.path_params["name"])
        if "remove" in request.query_params:
            self.studio.jobs.remove(name)
        else:
            self.studio.jobs.stop(name)
        return JSONResponse({})

    async def preview(self, request: Request) -> Response:
        """Frames of a render that isn't done, side by side in one picture."""
        said = await self.studio.ask(do="preview", words=self._words(request))
        if not said.get("jpeg"):
            return Response(status_code=204)
        headers = {"cache-control": "no-store", "x-frames": str(said["frames"])}
        picture = bytes.fromhex(said["jpeg"])
        return Response(picture, headers=headers, media_type="image/jpeg")

    async def decoded(self, request: Request) -> Response:
        """A video of what a render has decoded, where that is more than `?after` frames."""
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > 7:
            raise UsageError("after is a number of frames")
        words = self._words(request)
        said = await self.studio.ask(
            do="decoded", words=words, after=int(after), patient=True
        )
        if not said.get("frames"):
            return Response(status_code=204)
        cache, path = self.studio.project.cache, Path(said["path"])
        answer = send_file(
            request, cache, path.relative_to(cache).parts, path.name, save=False
        )
        answer.headers["x-frames"] = str(said["frames"])
        return answer

    def _words(self, request: Request) -> list[str]:
        jobs = self.studio.jobs
        return list(jobs.entries[check_name(jobs, request.path_params["name"])].job.words)

    async def events(self, request: Request) -> Response:
        """Events for one tab, as they happen."""
        if self.studio.log.streams >= MOST_STREAMS:
            return Response(status_code=503, headers={"retry-after": "15"})
        last = request.headers.get("last-event-id")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self.studio.log.stream(last), headers=headers, media_type="text/event-stream"
        )


def mark_of(line: Line) -> str:
    """A few digits that tell lines apart."""
    return hashlib.sha256("\0".join(line.words).encode()).hexdigest()[:8]
