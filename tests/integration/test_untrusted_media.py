"""Files that mean harm, or are merely broken, end in one clear error and touch nothing."""

import ast
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from builders.videos import clip_with_tone, moving_picture, tiny_clip
from PIL import Image

import animcli
from animcli.errors import InputError
from animcli.video.images import read_picture
from animcli.video.limits import Limits
from animcli.video.reader import open_footage


class Server(HTTPServer):
    """Counts what it is asked for."""

    asked = 0


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += 1
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def playlist(segment: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n"


PLAYLISTS = {
    "hls-http": playlist("http://127.0.0.1:PORT/a.ts"),
    "hls-relative": playlist("local.ts"),
    "hls-absolute": playlist("FOLDER/local.ts"),
    "hls-file": playlist("file:///etc/passwd"),
    "hls-concat": playlist("concat:local.ts|local.ts"),
    "concat-relative": "ffconcat version 1.0\nfile local.ts\n",
    "concat-absolute": "ffconcat version 1.0\nfile FOLDER/local.ts\n",
    "concat-http": "ffconcat version 1.0\nfile http://127.0.0.1:PORT/a.ts\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
    "<BaseURL>http://127.0.0.1:PORT/</BaseURL></MPD>",
}


@pytest.mark.parametrize("name", ["x.mp4", "x.m3u8", "x.ffconcat", "x"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_opens_nothing_whatever_it_is_called(
    tmp_path: Path, server: Server, kind: str, name: str
) -> None:
    tiny_clip(tmp_path / "local.ts")
    text = PLAYLISTS[kind].replace("PORT", str(server.server_port))
    (tmp_path / name).write_text(text.replace("FOLDER", str(tmp_path)))
    with pytest.raises(InputError, match="is a playlist, which is not accepted"):
        open_footage(tmp_path / name)
    assert server.asked == 0


def test_only_paths_are_opened_and_users_files_in_one_place() -> None:
    """Through a file object a playlist would be followed over HTTP."""
    readers = []
    for file in sorted(Path(animcli.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
                opened = ast.unparse(node.args[0])
                assert opened.startswith(("str(", "os.fspath(")), f"{file.name}: {opened}"
                if "'w'" not in ast.unparse(node):
                    readers.append((file.name, "SAFE_OPENING" in ast.unparse(node)))
    # The other one reads segments, which the program has just encoded itself.
    assert readers == [("container.py", True), ("encode.py", False)]


def test_nothing_unpacks_an_archive_asks_a_shell_or_listens() -> None:
    """A tar file may write outside of its folder, a shell takes names for commands, and a
    cluster's daemons open ports.
    """
    modules, calls, children = set(), set(), []
    for file in sorted(Path(animcli.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                modules.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                calls |= {called, called.rpartition(".")[2]}
                if called.startswith("subprocess."):
                    children.append((file.name, called, ast.unparse(node)))
    assert "subprocess" in modules  # it is our modules that were looked at
    assert not modules & {"tarfile", "shelve", "marshal", "socketserver"}
    assert not calls & {"extractall", "unpack_archive", "os.system", "os.popen"}
    assert not calls & {"pickle.load", "pickle.loads", "pickle.Unpickler"}
    # Python itself, sbatch and nvidia-smi, each with a list of words
    assert [(file, called) for file, called, _ in children] == [
        ("child.py", "subprocess.Popen"),
        ("engine.py", "subprocess.run"),
        ("ray_engine.py", "subprocess.Popen"),
        ("slurm.py", "subprocess.run"),
        ("encode.py", "subprocess.run"),
        ("download.py", "subprocess.run"),
    ]
    assert not any("shell" in written for *_, written in children)


@pytest.mark.parametrize("scheme", ["http", "rtsp", "data", "file"])
def test_an_address_is_not_asked_for(server: Server, scheme: str) -> None:
    address = Path(f"{scheme}://127.0.0.1:{server.server_port}/a.mp4")
    for read in (open_footage, read_picture):
        with pytest.raises(InputError, match="is an address, not a file") as caught:
            read(address)
        assert caught.value.hint == "download it first"
    assert server.asked == 0


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.mp4",
        "-i.mp4",
        "f_%d.mp4",
        "concat:a.mp4",
        "subfile,,start,0,end,0,,:a",
        "é ü.mp4",
    ],
)
def test_odd_names_are_only_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tiny_clip(tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), tmp_path / name):
        with open_footage(path) as reader:
            assert len(list(reader.frames())) == 12


def test_a_name_that_is_not_utf8_is_only_a_name(tmp_path: Path) -> None:
    path = Path(str(tmp_path) + "/" + b"caf\xe9.mp4".decode(errors="surrogateescape"))
    tiny_clip(tmp_path / "plain.mp4").rename(path)
    with open_footage(path) as reader:
        assert len(list(reader.frames())) == 12


def test_a_pattern_reads_one_picture_and_not_its_neighbours(tmp_path: Path) -> None:
    for index in range(3):
        Image.fromarray(moving_picture(index)).save(tmp_path / f"f_{index}.png")
    with pytest.raises(InputError, match=r"f_%d\.png: no such file"):
        open_footage(tmp_path / "f_%d.png")
    Image.fromarray(moving_picture(7)).save(tmp_path / "f_%d.png")
    with open_footage(tmp_path / "f_%d.png") as reader:
        (frame,) = reader.frames()
    np.testing.assert_array_equal(frame.picture, moving_picture(7))


def cut_before_the_index(path: Path) -> None:
    data = tiny_clip(path).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def without_pictures(path: Path) -> None:
    with av.open(str(path), "w") as output:
        audio = output.add_stream("aac", rate=48000, layout="mono")
        assert isinstance(audio, av.AudioStream)
        samples = av.AudioFrame.from_ndarray(
            np.zeros((1, 4800), np.float32), format="fltp", layout="mono"
        )
        samples.sample_rate = 48000
        output.mux(audio.encode(samples))
        output.mux(audio.encode(None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder without pictures"),
        (lambda path: path.touch(), r"is empty \(0 bytes\)"),
        (cut_before_the_index, "is incomplete, its index is missing"),
        (lambda path: path.write_text("<!DOCTYPE html>"), "looks like a web page"),
        (lambda path: path.write_text("hello"), "is not a video .looks like text"),
        (without_pictures, "has no video stream"),
        (lambda path: path.write_bytes(bytes(2000)), "is not a video"),
    ],
)
def test_what_is_no_video_is_named_for_what_it_is(
    tmp_path: Path, make: object, message: str
) -> None:
    assert callable(make)
    make(tmp_path / "dance.mp4")
    with pytest.raises(InputError, match=rf"dance\.mp4: .*{message}") as caught:
        open_footage(tmp_path / "dance.mp4")
    assert caught.value.exit_code == 3


def test_a_device_is_not_a_file() -> None:
    with pytest.raises(InputError, match="is a device or a pipe, expected a video"):
        open_footage(Path("/dev/zero"))


def test_a_video_that_says_it_is_huge_is_refused_before_it_is_decoded(
    tmp_path: Path,
) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 2, width=256, height=256)
    with pytest.raises(InputError, match=r"256x256 is over the limit of 0\.06 Mpx"):
        open_footage(clip, limits=Limits(pixels=60_000))
    data = bytearray(clip.read_bytes())
    box = data.index(b"avc1", data.index(b"stsd")) + 4 + 24  # width and height in the box
    assert data[box : box + 4] == b"\x01\x00\x01\x00"
    data[box : box + 4] = (
        b"\x00\x40\x00\x40"  # the container says 64x64, the stream 256x256
    )
    clip.write_bytes(data)
    with pytest.raises(InputError):
        open_footage(clip, limits=Limits(pixels=60_000))


def test_flipped_bits_end_in_whole_footage_or_one_clear_error(tmp_path: Path) -> None:
    whole = clip_with_tone(
        tmp_path / "whole.mp4", onset=Fraction(0), frames=12
    ).read_bytes()
    chance = np.random.default_rng(1)
    path = tmp_path / "a.mp4"
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        for at in chance.integers(0, len(whole), 4):
            damaged[at] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        refused += 1
        with suppress(InputError), open_footage(path) as reader:
            indexes = [frame.index for frame in reader.frames()]
            assert indexes == list(range(len(indexes)))
            assert reader.info.frames in (None, len(indexes))
            refused -= 1
    assert refused > 20
