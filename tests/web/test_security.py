"""Every row of the table of threats, by raw requests to a real server."""

import hashlib
import json
import os
import re
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from web_server import Served, serving

from animcli.web.guard import Keys, own_hosts

POSED = b"\x89PNG\r\n\x1a\n"
SECRET = "root:x:0:0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("project")) as served:
        yield served


# Others on the network


def test_nobody_but_this_machine_can_connect(server: Served) -> None:
    rows = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    listening = [row.split()[1] for row in rows if row.split()[3] == "0A"]
    port = f"{server.port:04X}"
    own = [each for each in listening if each.endswith(f":{port}")]
    assert own == [f"0100007F:{port}"]  # 127.0.0.1, and nothing else


# DNS rebinding


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example",
        "localhost.evil.example:{port}",
        "www.localhost:{port}",
        "0.0.0.0:{port}",
        "user@127.0.0.1:{port}",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/jobs"])
def test_a_foreign_host_is_refused_without_a_body(
    server: Served, host: str, path: str
) -> None:
    status, _, body = server.ask("GET", path, Host=host.format(port=server.port))
    assert (status, body) == (403, b"")


def test_own_hosts_are_answered(server: Served) -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert server.ask("GET", "/", Host=f"{host}:{server.port}")[0] == 200


@pytest.mark.parametrize("hosts", [0, 2])
def test_a_request_has_exactly_one_host(server: Served, hosts: int) -> None:
    line = f"Host: 127.0.0.1:{server.port}\r\n" * hosts
    said = server.raw(f"GET / HTTP/1.1\r\n{line}Connection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 (400|403) ", said)


# Other web pages


@pytest.mark.parametrize(
    "origin",
    ["", "null", "http://evil.example", "http://127.0.0.1", "https://127.0.0.1:{port}",
               "http://127.0.0.1:{port}.evil.example", "http://localhost:{port}"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_changes_something_needs_our_own_origin(
    server: Served, method: str, origin: str
) -> None:
    path = "/api/uploads?name=a" if method == "PUT" else "/api/jobs/x"
    status, _, body = server.ask(
        method, path, b"{}", Origin=origin.format(port=server.port)
    )
    assert (status, body) == (403, b"")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_simple_request_of_a_form_is_refused(server: Served, kind: str) -> None:
    said = json.dumps({"words": ["cache", "clear"]})
    assert server.ask("POST", "/api/jobs", said, Content_Type=kind)[0] == 415


@pytest.mark.parametrize("path", ["/api/jobs", "/media/" + "a" * 64, "/api/events"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_gets_nothing_that_is_private(
    server: Served, path: str, site: str
) -> None:
    assert server.ask("GET", path, Sec_Fetch_Site=site)[0] == 403
    assert server.ask("GET", "/", Sec_Fetch_Site=site)[0] == 200  # a link to the page


def test_reading_changes_nothing(server: Served) -> None:
    for path in ("/api/session", "/api/plan", "/api/make", "/api/find", "/api/samples"):
        assert server.ask("GET", path)[0] == 405
    assert server.ask("TRACE", "/api/jobs")[0] == 405


def test_no_other_origin_is_ever_allowed(server: Served) -> None:
    for method, path in (("GET", "/"), ("GET", "/api/jobs")):
        _, headers, _ = server.ask(method, path, Origin="http://evil.example")
        assert not [name for name in headers if name.lower().startswith("access-control")]
    assert server.ask("OPTIONS", "/api/jobs", Origin="http://evil.example")[0] == 405


# Other users of the machine, other local servers


def test_the_token_has_128_bits_and_is_another_each_time() -> None:
    tokens = {Keys().token for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 22 for token in tokens)  # 16 bytes in base64


def test_without_cookie_nothing_private_is_read(server: Served) -> None:
    for path in ("/api/jobs", "/api/history", "/media/" + "a" * 64, "/api/events"):
        assert server.ask("GET", path, Cookie="")[0] == 401
        assert server.ask("GET", path, Cookie=f"anim-{server.port}=guess")[0] == 401
        assert server.ask("GET", path, Cookie=f"anim-1={server.token}")[0] == 401


def test_the_cookie_alone_changes_nothing(server: Served) -> None:
    said = json.dumps({"words": ["cache", "clear"]})
    for token in ("", "guess", server.token[:-1], server.cookie.partition("=")[2]):
        assert server.ask("POST", "/api/jobs", said, X_Anim_Token=token)[0] == 401


def test_the_cookie_is_for_this_site_only_and_not_the_token(server: Served) -> None:
    _, headers, _ = server.ask("POST", "/api/session", "{}")
    cookie = headers["set-cookie"].lower()
    assert cookie.startswith(f"anim-{server.port}=")
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
    assert server.token.lower() not in cookie


def test_the_url_is_for_its_owner_only(server: Served) -> None:
    kept = server.project / ".anim" / "studio.json"
    assert json.loads(kept.read_text())["url"] == server.url
    assert kept.stat().st_mode & 0o077 == 0


# A page that takes over the page


@pytest.mark.parametrize("path", ["/", "/api/jobs", "/media/" + "a" * 64, "/none"])
def test_every_answer_says_what_it_may_do(server: Served, path: str) -> None:
    for cookie in (server.cookie, ""):
        _, headers, _ = server.ask("GET", path, Cookie=cookie)
        small = {name.lower(): value for name, value in headers.items()}
        policy = small["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(
            policy
        )
        assert "unsafe" not in small["content-security-policy"]
        assert small["x-content-type-options"] == "nosniff"
        assert small["referrer-policy"] == "no-referrer"
        assert small["cross-origin-opener-policy"] == "same-origin"
        assert small["cross-origin-resource-policy"] == "same-origin"


def test_the_page_has_no_script_of_its_own_and_asks_nobody_else(server: Served) -> None:
    _, _, page = server.ask("GET", "/", Cookie="")
    assert not re.search(rb"<script[^>]*>[^<]", page)
    assert b"://" not in page
    names = re.findall(rb'"(/static/[\w.-]+)"', page)
    scripts = re.findall(rb'<script [^>]*src="(/static/[\w.-]+)"', page)
    assert len(scripts) == 1
    # All modules that any of them imports are asked for at once, and no others.
    asked = {name.decode() for name in names}
    seen, left = set(), [scripts[0].decode()]
    while left:
        name = left.pop()
        status, headers, text = server.ask("GET", name, Cookie="")
        assert status == 200
        assert "immutable" in headers["cache-control"]
        addresses = re.findall(rb"https?://[^\"' )]+", text)
        assert set(addresses) <= {b"http://www.w3.org/2000/svg"}, name
        assert b"innerHTML" not in text
        seen.add(name)
        found = {x.decode() for x in re.findall(rb'"(/static/[\w.-]+)"', text)}
        left += sorted(found - seen - set(left))
    assert len(seen) > 10
    assert asked - seen == {name for name in asked if name.endswith(".css")}


# Path traversal


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fguard.py",
        "/static/../guard.py",
        "/static/index.html",
        "/static/app.js",
        "/media/..%2f..%2f..%2fetc%2fpasswd",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media//etc/passwd",
        "//etc/passwd",
        "/media/C:%5cwindows%5cwin.ini",
        "/media/%00" + "a" * 63,
        "/media/" + "a" * 64 + "%00.mp4",
        "/media/" + "A" * 64,
        "/media/" + "a" * 63,
        "/media/%E2%88%95etc%E2%88%95passwd",
        "/api/pose/..%2f..%2fetc%2fpasswd",
        "/api/edits/..%2f..%2fx",
    ],
)
def test_no_address_is_a_path(server: Served, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    cookie = f"Cookie: {server.cookie}\r\nConnection: close\r\n\r\n"
    said = server.raw((request + cookie).encode())
    assert re.match(rb"HTTP/1.1 (400|404|422) ", said)
    assert SECRET.encode() not in said


def test_a_link_in_the_cache_leads_nowhere(server: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(POSED + SECRET.encode())
    said = server.upload(POSED + b"1", "a.pose")
    folder = server.project / ".anim" / "uploads" / said["digest"]
    (folder / "file.pose").unlink()
    (folder / "file.pose").symlink_to(secret)
    status, _, body = server.ask("GET", f"/media/{said['digest']}")
    assert (status, body) == (404, b"")
    whole = server.upload(POSED + b"2", "b.pose")["digest"]
    elsewhere = tmp_path / "elsewhere"
    (folder.parent / whole).rename(elsewhere)
    (folder.parent / whole).symlink_to(elsewhere)
    assert server.ask("GET", f"/media/{whole}")[0] == 404


def test_a_name_is_shown_and_never_a_path(server: Served) -> None:
    said = server.upload(b"x" * 20, "..%2f..%2fevil%0d%0aX-Evil:%201.pose")
    assert said["name"] == "evil\\r\\nX-Evil: 1.pose"
    assert (server.project / ".anim/uploads" / said["digest"] / "file.pose").is_file()
    _, headers, _ = server.ask("GET", f"/media/{said['digest']}")
    assert headers["content-disposition"] == (
        'attachment; filename="evil_r_nX-Evil__1.pose"'
    )
    assert "x-evil" not in {name.lower() for name in headers}


# Hostile media


def test_what_is_no_picture_or_video_is_for_saving_only(server: Served) -> None:
    for data in (b"<html><script>alert(1)</script>", b"<svg onload='x'/>", b"plain text"):
        digest = server.upload(data, "a.png")["digest"]
        _, headers, _ = server.ask("GET", f"/media/{digest}")
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"].startswith("attachment")


def test_files_are_refused_in_the_words_of_the_command_line(server: Served) -> None:
    said = server.upload(b"<!doctype html><p>no such video", "dance.mp4")
    assert said["kind"] == "unknown"
    assert "looks like a web page" in said["error"]
    playlist = server.upload(b"#EXTM3U\nfile:///etc/passwd\n", "list.mp4")
    assert playlist["kind"] == "unknown"


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    server: Served,
) -> None:
    head = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    data = POSED + b"".join(
        struct.pack(">I", len(body)) + name + body
        + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )  # fmt: skip
    said = server.upload(data, "bomb.png")
    assert said["kind"] == "unknown"
    assert "3600 Mpx is over the limit" in said["error"]


# A full disk, many requests


def test_a_body_that_is_too_long_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    import asyncio

    from animcli.errors import InputError, StorageError
    from animcli.web.uploads import Uploads

    async def bring(uploads: Uploads, pieces: int) -> None:
        async def stream() -> AsyncIterator[bytes]:
            for _ in range(pieces):
                yield bytes(1 << 20)

        await uploads.receive(stream(), "a.mp4")

    small = Uploads(tmp_path / "u", largest=3 << 20, spare=0)
    with pytest.raises(InputError, match=r"a\.mp4: larger than 3 MB"):
        asyncio.run(bring(small, 5))
    assert list((tmp_path / "u").iterdir()) == []
    full = Uploads(tmp_path / "u", spare=1 << 60)
    with pytest.raises(StorageError, match="MB are free on the disk"):
        asyncio.run(bring(full, 1))
    assert list((tmp_path / "u").iterdir()) == []


def test_a_file_that_has_no_room_is_refused_before_any_of_it_is_sent(
    server: Served,
) -> None:
    asked = {"name": "long.mp4", "bytes": (4 << 30) + 1}
    said = server.json("POST", "/api/uploads/room", asked)
    assert said["error"] == "long.mp4: larger than 4096 MB"
    assert server.json("POST", "/api/uploads/room", {**asked, "bytes": 1 << 20}) == {}
    for bytes_ in ("many", -1, None):
        said = server.json("POST", "/api/uploads/room", {**asked, "bytes": bytes_})
        assert said["kind"] == "usage"


@pytest.mark.parametrize(
    "size",
    [256 << 20, pytest.param(2 << 30, marks=pytest.mark.slow)],  # 2 GiB through a socket
    ids=["256M", "2G"],
)
def test_a_large_body_takes_little_memory(server: Served, size: int) -> None:
    def resident_mb() -> int:
        pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") >> 20

    before = resident_mb()
    with socket.create_connection(("127.0.0.1", server.port), 300) as sock:
        head = (
            f"PUT /api/uploads?name=a.bin HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Origin: {server.origin}\r\nX-Anim-Token: {server.token}\r\n"
            f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
        )
        sock.sendall(head.encode())
        most = 0
        for _ in range(size >> 20):
            sock.sendall(bytes(1 << 20))
            most = max(most, resident_mb())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert most - before < 64
    digest = sha256_of_zeros(size)
    assert server.json("DELETE", f"/api/uploads/{digest}") == {"gone": True}


def sha256_of_zeros(size: int) -> str:
    """The digest of so many bytes of nothing, in MiB."""
    digest = hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
    return digest.hexdigest()


def test_no_more_than_sixty_four_connections_are_served(server: Served) -> None:
    address = ("127.0.0.1", server.port)
    idle = [socket.create_connection(address, 120) for _ in range(70)]
    try:
        assert server.ask("GET", "/")[0] == 503
    finally:
        for sock in idle:
            sock.close()
    until = time.monotonic() + 60
    while server.ask("GET", "/")[0] != 200:
        assert time.monotonic() < until


def test_no_more_than_sixteen_streams_are_open(server: Served) -> None:
    request = (
        f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Cookie: {server.cookie}\r\n\r\n"
    ).encode()
    open_ = [socket.create_connection(("127.0.0.1", server.port), 120) for _ in range(16)]
    try:
        for sock in open_:
            sock.sendall(request)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.ask("GET", "/api/events")[0] == 503
    finally:
        for sock in open_:
            sock.close()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", server.port), 120) as sock:
            sock.sendall(request)
            if sock.recv(1000).startswith(b"HTTP/1.1 200"):
                return
    pytest.fail("streams of closed tabs are never given back")


# Code, and what isn't the page's to say


@pytest.mark.parametrize(
    "words",
    [
        ["doctor"],
        ["demo"],
        ["batch", "x"],
        ["train", "x"],
        ["init"],
        ["weights", "import", "x", "/etc/passwd"],
        ["extract-pose", "/etc/passwd"],
        ["extract-pose", "../../etc/passwd"],
        ["render", "a" * 64],
        ["cache", "clear", "--project", "/"],
        ["--cache-dir", "/tmp/x", "cache", "clear"],
        ["cache", "clear", "--force"],
        ["studio", "--host", "0.0.0.0"],
        [],
    ],
)
@pytest.mark.parametrize("path", ["/api/jobs", "/api/plan", "/api/make", "/api/display"])
def test_only_work_on_files_that_were_brought_in_may_be_asked_for(
    server: Served, path: str, words: list[str]
) -> None:
    status, _, said = server.ask("POST", path, json.dumps({"words": words}))
    assert status == 422
    assert json.loads(said)["exit_code"] == 2


def test_weights_come_by_their_names_in_the_catalog_only(server: Served) -> None:
    name = server.json("POST", "/api/jobs", {"words": ["weights", "pull", "http://x/y"]})
    assert "name" in name or name["exit_code"] in (2, 5)
    if "name" in name:  # told by the catalog, in the words of the command line
        until = time.monotonic() + 300
        while time.monotonic() < until:
            jobs = server.json("GET", "/api/jobs")["jobs"]
            job = next(each for each in jobs if each["name"] == name["name"])
            if job["state"] in ("failed", "done"):
                break
            time.sleep(0.2)
        assert (job["state"], job["exit_code"]) == ("failed", 5)


def test_for_reading_only_nothing_can_be_changed(tmp_path: Path) -> None:
    with serving(tmp_path / "p", "--read-only") as served:
        assert served.ask("PUT", "/api/uploads?name=a", b"x")[0] == 403
        assert served.ask("POST", "/api/jobs", '{"words": ["cache", "clear"]}')[0] == 403
        assert served.ask("GET", "/api/jobs")[0] == 200


@pytest.mark.parametrize("said", ["[]", "{", '"x"', '{"words": 3}', '{"words": [3]}'])
def test_a_body_that_makes_no_sense_is_told_as_such(server: Served, said: str) -> None:
    assert server.ask("POST", "/api/jobs", said)[0] == 422


def test_what_is_logged_names_no_file_and_no_token(tmp_path: Path) -> None:
    with serving(tmp_path / "p") as served:
        served.upload(b"<!doctype html>", "my-diary.mp4")
        served.ask("GET", f"/media/my-diary?t={served.token}")
        served.ask("GET", "/api/jobs", X_Anim_Token=served.token, Host="evil.example")
        served.process.terminate()
        served.process.wait(120)
        assert served.process.stderr is not None
        said = served.process.stderr.read()
        logs = (served.project / ".anim" / "studio").glob("*.log")
        for text in (said, *(log.read_text() for log in logs)):
            assert served.token not in text
            assert "my-diary" not in text


# Other machines that were let in


def test_a_host_that_was_asked_for_is_one_of_ours() -> None:
    assert "10.0.0.7:80" in own_hosts("10.0.0.7", 80)
    assert "0.0.0.0:80" not in own_hosts("0.0.0.0", 80)
    assert "[fe80::1]:80" in own_hosts("fe80::1", 80)


def test_a_host_that_others_reach_needs_a_yes(tmp_path: Path) -> None:
    import subprocess
    import sys

    run = subprocess.run(
        [sys.executable, "-m", "animcli", "studio", "--host", "0.0.0.0", "-p", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "everybody who reaches this machine" in run.stderr
    assert "--yes-really" in run.stderr
