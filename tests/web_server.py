"""A real server of the page in a process of its own, and raw requests to it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import builders

HERE = Path(builders.__file__).parents[2]
URL = re.compile(r"http://127\.0\.0\.1:(\d+)/#t=([\w-]{22})\n")
PATIENCE_S = 300
STAND_INS = (str(HERE / "tests" / "page_stand_ins.py"),)
"""The program, with small stand-ins for detector and renderers."""
IMPATIENT = (str(HERE / "tests" / "impatient_studio.py"),)
"""The program, whose requests have a moment to come in."""


@dataclass
class Served:
    """A server that runs. cookie: of a session that was opened."""

    process: "subprocess.Popen[str]"
    url: str
    port: int
    token: str
    project: Path
    cookie: str = ""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As the page asks, unless headers say otherwise; an empty one is left out."""
        own = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if method not in ("GET", "HEAD"):
            own |= {
                "Origin": self.origin, "X-Anim-Token": self.token,
                "Content-Type": "application/json",
            }  # fmt: skip
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            data = body.encode() if isinstance(body, str) else body
            for name, value in own.items():
                if value:
                    connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            answer: HTTPResponse = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, said: object = None) -> Any:
        """The JSON of an answer that must be one."""
        body = None if method in ("GET", "DELETE") else json.dumps(said or {})
        status, _, data = self.ask(method, path, body)
        assert status in (200, 422), (status, data)
        return json.loads(data)

    def upload(self, data: bytes, name: str) -> Any:
        """Bring something in."""
        status, _, said = self.ask("PUT", f"/api/uploads?name={name}", data)
        assert status in (200, 422), status
        return json.loads(said)

    def raw(self, request: bytes) -> bytes:
        """All that comes back for some bytes."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))


@contextmanager
def serving(
    project: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "animcli"),
) -> Iterator[Served]:
    """A server that listens, with a session; ended by SIGTERM."""
    project.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, *program, "studio", "--no-browser", "-p", str(project), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE / 'tests'}", **(env or {})},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = URL.fullmatch(line)
        if found is None:
            process.kill()
            raise AssertionError((line, process.communicate()[1]))
        port, token = int(found[1]), found[2]
        served = Served(process, line.strip(), port, token, project)
        status, headers, _ = served.ask("POST", "/api/session", "{}")
        assert status == 200
        served.cookie = headers["set-cookie"].partition(";")[0]
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
