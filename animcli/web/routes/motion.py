"""Addresses of words that are tried at once, and of corrections of a motion."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from animcli.errors import UsageError
from animcli.files import SHA256_HEX, make_folder, write_file
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.web.answers import Address, table
from animcli.web.looker import LookError
from animcli.web.studio import Studio


@dataclass(frozen=True)
class MotionRoutes:
    """Plans, corrections, and what takes moments."""

    studio: Studio

    def addresses(self) -> list[Address]:
        """Verb, path and handler of each."""
        return [
            ("POST", "/api/plan", self.plan),
            ("POST", "/api/display", self.display),
            ("GET", "/api/edits/{digest}", self.read_edits),
            ("POST", "/api/edits/{digest}", self.write_edits),
            ("POST", "/api/make", self.make),
            ("POST", "/api/find", self.find_joints),
        ]  # fmt: skip

    async def display(self, request: Request) -> Response:
        """Words as the user would type them."""
        line = self.studio.line((await table(request)).get("words"))
        return JSONResponse({"words": list(line.shown)})

    async def plan(self, request: Request) -> Response:
        """Answer of `--dry-run` to words."""
        line = self.studio.line((await table(request)).get("words"))
        said = await self.studio.ask(do="ask", lines=[list(line.words)])
        outcome = said["jobs"][0]
        if "error" in outcome:
            raise LookError(outcome["error"], outcome["hint"], outcome["exit_code"])
        for stage in outcome["stages"]:
            if stage["done"] and stage["key"]:
                stage["digest"] = self.studio.library.digest_of(stage["key"])
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
        upload = self.studio.uploads.keep_bytes(data, "edits.json")
        upload = self.studio.uploads.know(upload, {"kind": "edits"})
        source = request.path_params["digest"]
        self.studio.log.publish("edits", {"source": source, "digest": upload.digest})
        return JSONResponse({"digest": upload.digest})

    def _edits(self, digest: str) -> Path:
        if SHA256_HEX.fullmatch(digest) is None:
            raise UsageError("a digest has 64 hex digits")
        return self.studio.project.cache / "edits" / f"{digest}.json"

    async def make(self, request: Request) -> Response:
        """Do at once what takes moments: a correction, a retargeting."""
        line = self.studio.line((await table(request)).get("words"))
        said = await self.studio.ask(do="make", words=list(line.words))
        return JSONResponse({"digest": said["digest"], "notes": said["notes"]})

    async def find_joints(self, request: Request) -> Response:
        """Keypoints that the detector finds near a place of one frame."""
        said = await table(request)
        item = self.studio.item(str(said.get("digest", "")))
        names = ("frame", "x", "y", "size")
        if not all(isinstance(said.get(name), int | float) for name in names):
            raise UsageError(f"{', '.join(names)} are numbers")
        detector = str(said.get("detector", DEFAULT_DETECTOR))
        numbers: dict[str, Any] = {name: int(said[name]) for name in names}
        found = await self.studio.ask(
            do="find",
            path=str(item.path),
            detector=detector,
            **numbers,
        )
        return JSONResponse({"joints": found["joints"]})
