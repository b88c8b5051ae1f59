"""The server as a process: how it starts, what it loads, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from builders.poses import random_pose
from web_server import serving

from animcli.pose.corrections import Corrections, MoveJoint, as_json, correct
from animcli.pose.io_pose import read_pose, write_pose

PROGRAM = [sys.executable, "-m", "animcli", "studio"]


def test_it_is_ready_within_a_second_of_processor_time_and_has_no_torch(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "p") as served:
        fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2]
        ticks = sum(int(x) for x in fields.split()[11:13])
        # Of CPU time, since a busy machine gives it in small pieces.
        assert ticks / os.sysconf("SC_CLK_TCK") < 1
        loaded = Path(f"/proc/{served.process.pid}/maps").read_text()
        for library in ("libtorch", "onnxruntime", "cv2", "scipy"):
            assert library not in loaded, library


def test_a_second_start_says_the_url_of_the_first(tmp_path: Path) -> None:
    with serving(tmp_path / "p") as served:
        again = subprocess.run(
            [*PROGRAM, "--no-browser", "-p", tmp_path / "p"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert again.stdout == f"{served.url}\n"
        assert again.returncode == 0
        assert "open already" in again.stderr


def test_ctrl_c_ends_it_and_leaves_no_child(tmp_path: Path) -> None:
    with serving(tmp_path / "p") as served:
        served.upload(b"x" * 100, "a.pose")  # which a child has looked at
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
        child = int(children.read_text().split()[0])
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0
        until = time.monotonic() + 30
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "p" / ".anim" / "studio.json").exists()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = str(sock.getsockname()[1])
        run = subprocess.run(
            [*PROGRAM, "--port", port, "-p", tmp_path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert run.returncode == 2
    assert f"--port {port}: " in run.stderr


def test_events_are_heard_again_from_the_last_one(tmp_path: Path) -> None:
    def heard(served_port: int, cookie: str, last: str, wanted: bytes) -> bytes:
        extra = f"Last-Event-ID: {last}\r\n" if last else ""
        with socket.create_connection(("127.0.0.1", served_port), 300) as sock:
            sock.sendall(
                f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{served_port}\r\n"
                f"Cookie: {cookie}\r\n{extra}\r\n".encode()
            )
            said = b""
            while wanted not in said:
                piece = sock.recv(65536)
                assert piece, said
                said += piece
            return said

    with serving(tmp_path / "p") as served:
        first = heard(served.port, served.cookie, "", b"event: hello")
        last = first.partition(b"id: ")[2].partition(b"\n")[0].decode()
        digest = served.upload(b"y" * 50, "a.pose")["digest"]
        again = heard(served.port, served.cookie, last, digest.encode())
        assert b"hello" not in again
        assert b"hello" in heard(served.port, served.cookie, "other-7", b"event: hello")


def test_a_correction_on_the_page_is_that_of_the_command_line(tmp_path: Path) -> None:
    pose = random_pose(8)
    write_pose(tmp_path / "walk.pose", pose)
    edits = Corrections((MoveJoint(3, 4, 100.0, 90.0, 2),), size=(512, 768))
    with serving(tmp_path / "p") as served:
        motion = served.upload((tmp_path / "walk.pose").read_bytes(), "walk.pose")
        assert motion["kind"] == "pose"
        kept = served.json("POST", f"/api/edits/{motion['digest']}", as_json(edits))
        assert served.json("GET", f"/api/edits/{motion['digest']}")["edits"]
        words = ["correct-pose", kept["digest"], motion["digest"]]
        made = served.json("POST", "/api/make", {"words": words})
        _, headers, body = served.ask("GET", f"/media/{made['digest']}?save")
        assert headers["content-disposition"].startswith("attachment")
        (tmp_path / "made.pose").write_bytes(body)
        shown = served.json("POST", "/api/display", {"words": words})["words"]
        assert shown == ["anim", "correct-pose", "edits.json", "walk.pose"]
        _, _, packed = served.ask("GET", f"/api/pose/{made['digest']}")
        length = int.from_bytes(packed[:4], "little")
        head = json.loads(packed[4 : 4 + length])
        assert (head["frames"], head["size"], length % 4) == (8, [512, 768], 0)
        assert len(packed) == 4 + length + 8 * 134 * 3 * 4
    wanted, _ = correct(pose, edits)
    found = read_pose(tmp_path / "made.pose")
    assert found.points.tobytes() == wanted.points.tobytes()
