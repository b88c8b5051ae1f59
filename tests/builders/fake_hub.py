"""A hub of one repository on this machine, for the hub's own client to talk to.

Run as a program it fetches an entry from that hub and prints what it got, since the client
takes its hub's address from the environment once, when it is imported.
"""

import hashlib
import json
import sys
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

COMMIT = "c0ffee" + "0" * 34
FILES = {"unet/model.bin": b"weights " * 1000, "config.json": b"{}"}


class Server(ThreadingHTTPServer):
    """A hub, and the faults that it has.

    cut: bytes of `model.bin` after which each connection breaks; 0 for never.
    status: what it answers with to everything about the repository, instead of the answer.
    ranges: what was asked for of `model.bin`, in turn.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.cut = 0
        self.status = (200, "")
        self.ranges: list[str | None] = []


class Hub(BaseHTTPRequestHandler):
    """Answers what the client asks about the repository `o/r`; `model.bin` is large."""

    server: Server

    def do_HEAD(self) -> None:  # the name is http.server's
        self._file(with_body=False)

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path.startswith("/api/models/o/r/revision/main"):
            self._json({"id": "o/r", "sha": COMMIT, "siblings": [], "tags": []})
        else:
            self._file(with_body=True)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = parse_qs(form)["paths"]
        listed: list[dict[str, object]] = []
        for path, content in FILES.items():
            if path not in asked:
                continue
            entry: dict[str, Any] = {"type": "file", "path": path, "oid": "1" * 40}
            entry["size"] = len(content)
            if path.endswith(".bin"):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
            listed.append(entry)
        self._json(listed)

    def _refused(self) -> bool:
        status, code = self.server.status
        if status == 200:
            return False
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _file(self, with_body: bool) -> None:
        path = self.path.removeprefix(f"/o/r/resolve/{COMMIT}/").split("?")[0]
        content, first = FILES[path], 0
        if path.endswith(".bin"):
            self.server.ranges.append(self.headers["Range"])
        if asked := self.headers["Range"]:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - first))
        if asked:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if with_body:
            cut = self.server.cut if path.endswith(".bin") else 0
            self.wfile.write(content[first : first + cut] if cut else content[first:])
        self.close_connection = True

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


def main(folder: str, *paths: str) -> None:
    from animcli.errors import WeightsError
    from animcli.weights.catalog import CatalogEntry, WeightFile
    from animcli.weights.catalog import Hub as HubSource
    from animcli.weights.download import fetch

    files = tuple(WeightFile(path, path, None, None, 0, None) for path in paths)
    entry = CatalogEntry("toy", "", "MIT", HubSource("o/r", "main"), files, ())
    told: list[tuple[str, int, int]] = []
    try:
        fetched = fetch(entry, Path(folder), lambda *words: told.append(words))
    except WeightsError as error:
        sys.stdout.write(json.dumps({"message": error.message, "hint": error.hint}))
        return
    content = {**asdict(fetched), "paths": {n: str(p) for n, p in fetched.paths.items()}}
    sys.stdout.write(json.dumps({**content, "told": told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
