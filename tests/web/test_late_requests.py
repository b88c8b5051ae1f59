"""Requests that don't come to their end, by raw sockets to a real server.

The server waits as long as `impatient_studio` says; the first test holds what users have.
"""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from impatient_studio import BODY_S, HEAD_S
from web_server import IMPATIENT, Served, serving

from animcli.cli.studio_words import Words
from animcli.pipeline.project import Project
from animcli.web.server import ServerSettings
from animcli.weights.store import WeightsStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("project"), program=IMPATIENT) as served:
        yield served


def test_users_have_ten_seconds_for_a_head_and_thirty_for_a_pause(tmp_path: Path) -> None:
    project = Project(tmp_path, tmp_path)
    settings = ServerSettings(project, Words(project, WeightsStore(tmp_path)))
    assert (settings.head_s, settings.body_s) == (10, 30)


def test_a_head_that_never_ends_is_closed_when_its_time_is_over(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 120) as sock:
        began = time.monotonic()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1")
        assert sock.recv(100) == b""
        assert time.monotonic() - began >= HEAD_S / 2  # the server began a little sooner


def test_a_body_that_pauses_too_long_is_given_up_and_leaves_nothing(
    server: Served,
) -> None:
    uploads = server.project / ".anim" / "uploads"
    before = set(uploads.iterdir()) if uploads.is_dir() else set()
    with socket.create_connection(("127.0.0.1", server.port), 300) as sock:
        head = (
            f"PUT /api/uploads?name=a.bin HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Origin: {server.origin}\r\nX-Anim-Token: {server.token}\r\n"
            "Content-Length: 1000\r\nConnection: close\r\n\r\nonly this"
        )
        sock.sendall(head.encode())
        began = time.monotonic()
        assert sock.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began >= BODY_S / 2
    assert set(uploads.iterdir()) == before
