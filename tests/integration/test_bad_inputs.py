"""What can be wrong with what the program is given, row by row: message and exit code.

The numbers are those of a table of 44 bad inputs. Rows that no command can meet have no
case: 40 (nothing asks for alpha; what can be asked, ProRes in an .mp4, is among row 39) and
41 (no command takes a hardware encoder). Row 44 is in `test_command_line_process`, since it
is about a process and its standard output.
"""

import json
import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pytest
from builders.poses import random_pose
from builders.small_files import files_up_to
from builders.videos import INTERLACED, clip_of_tracks, clip_of_unknown_codec, tiny_clip
from numpy.typing import NDArray
from PIL import Image

from animcli.cli.main import main
from animcli.pose.io_pose import write_pose
from animcli.synthetic.camera import CameraShot
from animcli.synthetic.character import Character
from animcli.synthetic.dance import Dance
from animcli.synthetic.scene import Scene

Capture = pytest.CaptureFixture[str]
Pixels = NDArray[np.uint8]

SIZE = (192, 288)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder without weights, and nothing said by variables."""
    for name in [name for name in os.environ if name.startswith("ANIM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANIM_WEIGHTS", str(tmp_path / "weights"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Image.fromarray(np.full((96, 64, 3), 200, np.uint8)).save("ref.png")
    write_pose(Path("dance.pose"), random_pose(6, Fraction(24), (64, 96)))
    return folder


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, blazepose_models: Path) -> None:
    """The weights that find people."""
    monkeypatch.setenv("ANIM_WEIGHTS", str(blazepose_models.parent))


@lru_cache(maxsize=1)
def dancer() -> list[Pixels]:
    """Six pictures of a drawn dancer."""
    scene = Scene(Character.from_seed(23), Dance.from_seed(22), CameraShot(backdrop=23))
    return [drawing.picture for drawing in scene.drawings(6, SIZE, 24.0)]


def dance(index: int, width: int, height: int) -> Pixels:
    return dancer()[index]


def lying(index: int, width: int, height: int) -> Pixels:
    """The dancer as a camera that was held upright stores her."""
    return np.ascontiguousarray(np.rot90(dancer()[index]))


def meadow(index: int, width: int, height: int) -> Pixels:
    return np.full((height, width, 3), (90, 120, 90), np.uint8)


def film(name: str, frames: int = 6, **options: object) -> None:
    options = {"width": SIZE[0], "height": SIZE[1], "picture": dance, **options}
    tiny_clip(Path(name), frames, **options)  # type: ignore[arg-type]


def told(line: str | list[str], code: int, words: list[str], capsys: Capture) -> None:
    """Run a line; compare its exit code, and look for words in what it says."""
    capsys.readouterr()
    found = main(line.split() if isinstance(line, str) else line)
    said = capsys.readouterr().err
    assert found == code, said
    assert [word for word in words if word not in said] == [], said
    if code:
        assert said.count("error: ") == 1
        assert "Traceback" not in said


# Rows 1 to 12 and 17: what isn't footage.


def no_index(path: Path) -> None:
    data = tiny_clip(path).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w") as output:
        audio = output.add_stream("aac", rate=48000, layout="mono")
        assert isinstance(audio, av.AudioStream)
        samples = np.zeros((1, 4800), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 48000
        output.mux(audio.encode(frame))
        output.mux(audio.encode(None))


def damaged_frames(path: Path) -> None:
    motion = {"codec": "mjpeg", "pixel_format": "yuvj420p", "options": {}}
    data = bytearray(tiny_clip(path, 20, container="mov", **motion).read_bytes())  # type: ignore[arg-type]
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"]
    for frame in (4, 5, 11):
        data[starts[frame] + 24 : starts[frame] + 224] = bytes(200)  # its tables
    path.write_bytes(data)


def huge_animation(path: Path) -> None:
    pictures = [Image.new("P", (64, 64), colour) for colour in (0, 1)]
    pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:])
    data = bytearray(path.read_bytes())
    data[6:10] = b"\x00\x40\x00\x40"  # says that it is 16384 x 16384
    path.write_bytes(data)


def playlist(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nlocal.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        pytest.param("dance.mp4", lambda path: None, ["no such file"], id="1"),
        pytest.param("dance.mp4", Path.mkdir, ["is a folder without pictures"], id="2"),
        pytest.param("dance.mp4", Path.touch, ["is empty (0 bytes)"], id="3"),
        pytest.param(
            "dance.mp4",
            no_index,
            ["is incomplete, its index is missing", "cut off"],
            id="4",
        ),
        pytest.param(
            "dance.mp4",
            lambda path: path.write_text("<!DOCTYPE html><html>404</html>"),
            ["is not a video (looks like a web page)"],
            id="5",
        ),
        *(
            pytest.param(
                name, playlist(text), ["is a playlist", "give the video itself"], id="6"
            )
            for name, text in (
                ("dance.m3u8", HLS),
                ("dance.mp4", HLS),
                ("dance.ffconcat", "ffconcat version 1.0\nfile local.ts\n"),
                ("dance.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\n"),
            )
        ),
        pytest.param(
            "https://example.org/dance.mp4",
            lambda path: None,
            ["is an address, not a file", "download it first"],
            id="7",
        ),
        pytest.param("dance.mp4", sound_alone, ["has no video stream"], id="8"),
        pytest.param(
            "dance.mp4",
            lambda path: clip_of_tracks(path, "mjpeg"),
            ["only a cover picture"],
            id="9",
        ),
        pytest.param(
            "dance.mkv",
            clip_of_unknown_codec,
            ["its codec V_MPEG4/ISO/XYZ is not in this build"],
            id="10",
        ),
        pytest.param(
            "dance.mov",
            damaged_frames,
            ["3 frames of 20 could not be decoded", "at 0.17 s", "--keep-going"],
            id="11",
        ),
        pytest.param(
            "dance.mp4",
            lambda path: tiny_clip(path, 1),
            ["has 1 frame, needs at least 2"],
            id="12",
        ),
        pytest.param(
            "dance.gif",
            huge_animation,
            ["is over the limit of 40 Mpx"],
            id="17",
        ),
    ],
)
def test_what_is_no_footage_is_named(
    name: str,
    make: Callable[[Path], object],
    words: list[str],
    models: None,
    capsys: Capture,
) -> None:
    make(Path(name))
    told(["extract-pose", name, "-o", "new.pose"], 3, [name, *words], capsys)
    assert not Path("new.pose").exists()


@pytest.mark.parametrize(
    ("flag", "variable", "toml", "code"),
    [
        ("", "", "", 0),
        ("", "", "5000", 3),
        ("", "6144", "5000", 0),
        ("--max-pixels 5000", "6144", "6144", 3),
        ("--max-pixels=6144", "5000", "5000", 0),
        ("--max-pixels 12", "", "", 2),
        ("", "12", "", 4),
        ("", "", "12", 4),
    ],
)
def test_row_17_how_many_pixels_are_too_many_is_a_setting(
    flag: str,
    variable: str,
    toml: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    tiny_clip(Path("a.mp4"), width=96, height=64)
    Path("anim.toml").write_text(f"max_pixels = {toml}\n" if toml else "")
    if variable:
        monkeypatch.setenv("ANIM_MAX_PIXELS", variable)
    said = {
        0: [],
        2: ["4096", "--max-pixels"],
        3: ["a.mp4: 96x64 is over the limit of 0.005 Mpx", "--max-pixels"],
        4: ["max_pixels is at least 4096, not 12"],
    }
    told(f"inspect a.mp4 {flag}", code, said[code], capsys)


# Rows 9, 11, 13 to 16: footage that can be used, and what is said about it.


def two_tracks(name: str) -> None:
    """Twice the same dance in one file."""
    film("single.mp4")
    with av.open("single.mp4") as source, av.open(name, "w") as output:
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        tracks = [output.add_stream_from_template(source.streams.video[0]) for _ in "ab"]
        for track in tracks:
            for packet in packets:
                packet.stream = track
                output.mux(packet)


def hdr(stream: av.VideoStream) -> None:
    context = stream.codec_context
    context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9


def on_its_side(name: str) -> None:
    film(
        name,
        width=SIZE[1],
        height=SIZE[0],
        picture=lying,
        prepare=lambda stream: stream.set_display_rotation(-90),
    )


@pytest.mark.blazepose
@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(two_tracks, ["has 2 video streams, the default one is used"], id="9"),
        pytest.param(
            lambda name: film(name, ticks=[0, 40, 50, 130, 133, 200], rate=Fraction(25)),
            ["variable frame rate"],
            id="13",
        ),
        pytest.param(on_its_side, ["turned by 90 degrees"], id="14"),
        pytest.param(
            lambda name: film(name, pixel_format="yuv420p10le", prepare=hdr),
            ["HDR (PQ), tone-mapped"],
            id="15",
        ),
        pytest.param(
            lambda name: film(name, options=INTERLACED), ["is interlaced"], id="16"
        ),
    ],
)
def test_odd_footage_is_used_and_it_is_said(
    make: Callable[[str], None], words: list[str], models: None, capsys: Capture
) -> None:
    make("odd.mp4")
    told("extract-pose odd.mp4", 0, words, capsys)


@pytest.mark.blazepose
def test_row_13_an_uneven_motion_is_resampled_and_it_is_said(
    models: None, capsys: Capture
) -> None:
    film("odd.mp4", ticks=[0, 40, 50, 130, 133, 200], rate=Fraction(25))
    Image.fromarray(dancer()[0]).save("her.png")
    line = "render her.png -m odd.mp4 --preset cutout --size 192x288"
    told(line, 0, ["the motion is unevenly spaced; it is resampled to 25 a second"], capsys)


# Rows 18 and 19: the picture of the character.


def bomb(name: str) -> None:
    """A tiny file that says it is a picture of 190 Mpx."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    side = (13_800).to_bytes(4, "big")
    head = chunk(b"IHDR", side + side + bytes([1, 0, 0, 0, 0]))
    data = chunk(b"IDAT", zlib.compress(bytes(13_800 * 1726)))
    Path(name).write_bytes(b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b""))


def cut_off(name: str) -> None:
    Image.fromarray(dancer()[0]).save(name)
    Path(name).write_bytes(Path(name).read_bytes()[:9000])


def two_people(name: str) -> None:
    Image.fromarray(np.hstack([dancer()[0], dancer()[3]])).save(name)


@pytest.mark.blazepose
@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        pytest.param("a.png", lambda name: None, ["no such file"], id="18-missing"),
        pytest.param("a.png", cut_off, ["is damaged"], id="18-corrupt"),
        pytest.param("a.png", bomb, ["over the limit of 40 Mpx"], id="18-bomb"),
        pytest.param("a.mp4", lambda name: film(name), ["is not a picture"], id="18-video"),
        pytest.param(
            "a.png",
            lambda name: Image.fromarray(meadow(0, *SIZE)).save(name),
            ["found 0 persons"],
            id="19-nobody",
        ),
        pytest.param("a.png", two_people, ["found 2 persons"], id="19-two"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(
    name: str, make: Callable[[str], None], words: list[str], models: None, capsys: Capture
) -> None:
    make(name)
    told(
        ["retarget", "dance.pose", "--to", name, "-o", "new.pose"],
        3,
        [name, *words],
        capsys,
    )


def exif_rotated(image: Image.Image, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(name, exif=exif)


def sixteen_bits(image: Image.Image, name: str) -> None:
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(name)


def with_alpha(image: Image.Image, name: str) -> None:
    image.putalpha(Image.new("L", image.size, 254))
    image.save(name)


@pytest.mark.blazepose
@pytest.mark.parametrize(
    ("name", "save", "words"),
    [
        pytest.param(
            "a.gif",
            lambda image, name: image.save(name, save_all=True, append_images=[image]),
            [],
            id="18-animated",
        ),
        pytest.param(
            "a.webp",
            lambda image, name: image.save(
                name, save_all=True, append_images=[image.rotate(5)]
            ),
            ["has several pictures, the first is used"],
            id="18-animated",
        ),
        pytest.param(
            "a.jpg",
            lambda image, name: image.convert("CMYK").save(name, quality=95),
            ["CMYK, converted to sRGB"],
            id="18-cmyk",
        ),
        pytest.param("a.png", sixteen_bits, ["16 bits a channel"], id="18-16-bit"),
        pytest.param("a.png", with_alpha, [], id="18-alpha"),
        pytest.param("a.jpg", exif_rotated, ["turned upright as its EXIF"], id="18-exif"),
    ],
)
def test_an_odd_picture_is_used_and_it_is_said(
    name: str,
    save: Callable[[Image.Image, str], None],
    words: list[str],
    models: None,
    capsys: Capture,
) -> None:
    save(Image.fromarray(dancer()[0]), name)
    line = f"render {name} -m dance.pose --frames 2 --preset cutout --size 192x288"
    told(line, 0, words, capsys)


# Row 20: frames without anybody.


def leaving_after(frames: int) -> Callable[[int, int, int], Pixels]:
    return lambda index, width, height: (
        dancer()[index % 6] if index < frames else meadow(index, width, height)
    )


@pytest.mark.blazepose
@pytest.mark.parametrize(
    ("with_dancer", "code", "words"),
    [
        (12, 0, ["nobody was found in 8 of 20 frames: 12-19"]),
        (6, 3, ["a person is in 6 of 20 frames only"]),
        (0, 3, ["nobody was found in any of its 20 frames"]),
    ],
)
def test_row_20_frames_without_anybody_are_told(
    with_dancer: int, code: int, words: list[str], models: None, capsys: Capture
) -> None:
    film("odd.mp4", 20, picture=leaving_after(with_dancer))
    told("extract-pose odd.mp4", code, words, capsys)


# Row 21: pose files.


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"not a pose at all", ["isn't a .pose file"]),
        (lambda data: b"", ["empty (0 bytes)"]),
        (lambda data: np.float32(0.7).tobytes() + data[4:], ["0.7"]),
        (lambda data: data[: len(data) // 2], ["cut off"]),
        (lambda data: data[:-300] + bytes(300), ["damaged"]),
    ],
)
def test_row_21_a_pose_file_that_cannot_be_read_is_named(
    damage: Callable[[bytes], bytes], words: list[str], capsys: Capture
) -> None:
    Path("odd.pose").write_bytes(damage(Path("dance.pose").read_bytes()))
    told("inspect odd.pose", 3, ["odd.pose", *words], capsys)


# Rows 22 to 25 and 37 to 40: words that make no sense.


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param("--frames 0", 2, ["--frames 0: it is 1 to"], id="22"),
        pytest.param("--frames -1", 2, ["--frames -1: it is 1 to"], id="22"),
        pytest.param("--frames 1000000000", 2, ["--frames 1000000000"], id="22"),
        pytest.param("--keep-going", 2, ["--keep-going is for footage"], id="11"),
        pytest.param(
            "--size 511x767", 2, ["--size 511x767", "nearest size is 512x768"], id="23"
        ),
        pytest.param("--size 511", 2, ["--size 511: a size is WIDTHxHEIGHT"], id="23"),
        pytest.param("--fps 0", 2, ["--fps 0"], id="24"),
        pytest.param("--fps nan", 2, ["--fps nan"], id="24"),
        pytest.param("--fps 1/0", 2, ["--fps 1/0"], id="24"),
        pytest.param("--fps 30000/1001 --dry-run", 0, [], id="24"),
        pytest.param("--seed -1", 2, ["--seed -1"], id="25"),
        pytest.param(
            "--seed 9223372036854775808", 2, ["--seed 9223372036854775808"], id="25"
        ),
        pytest.param("--preset cutuot", 4, ["no preset 'cutuot'", "did you mean"], id="26"),
        pytest.param("--preset nothing-like-it", 4, ["no preset"], id="26"),
        pytest.param("--preset ../../x", 4, ["'../../x'", "a-z 0-9"], id="27"),
        pytest.param("-o dance.txt", 2, ["dance.txt", ".mp4 .mov"], id="39"),
        pytest.param("-o a.mp4 --codec prores4444", 2, [".mov"], id="39"),
        pytest.param("-o a.gif --codec h264", 2, [".mp4"], id="39"),
        pytest.param("-o no/a.mp4", 2, ["no: no such folder"], id="38"),
        pytest.param("-o taken.mp4", 8, ["taken.mp4 exists already", "--force"], id="36"),
        pytest.param("--device cuda", 2, ["--device cuda has no effect"], id="34"),
        pytest.param("--encoder nvenc", 2, ["no such option"], id="41"),
    ],
)
def test_words_that_cannot_be_are_named(
    words: str, code: int, said: list[str], capsys: Capture
) -> None:
    Path("taken.mp4").touch()
    told(f"render ref.png -m dance.pose --preset cutout {words}", code, said, capsys)


@pytest.mark.blazepose
def test_row_22_more_frames_than_the_motion_has(models: None, capsys: Capture) -> None:
    Image.fromarray(dancer()[0]).save("her.png")
    line = "render her.png -m dance.pose --preset cutout --frames 7"
    told(line, 2, ["the motion has 6 frames", "--loop or --frames 6"], capsys)


# Rows 28 and 29: settings.


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (b"\nsteps = = 3\n", ["anim.toml:2: not TOML"]),
        (b"\n\nstpes = 3\n", ["anim.toml:3: unknown key 'stpes'", "steps"]),
        (b'steps = "many"\n', ["anim.toml:1: steps is a whole number"]),
        (b"x = " + b"[" * 5000 + b"]" * 5000, ["anim.toml"]),
        (b"x = " + b"9" * 5000, ["anim.toml"]),
        (b"\xff\xfe", ["anim.toml"]),
        (b"#" * 2_000_000, ["anim.toml"]),
    ],
)
def test_row_28_settings_that_cannot_be_are_named(
    toml: bytes, words: list[str], capsys: Capture
) -> None:
    Path("anim.toml").write_bytes(toml)
    told("render ref.png -m dance.pose", 4, words, capsys)


def test_row_29_a_variable_that_cannot_be_is_named(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIM_STEPS", "abc")
    told("render ref.png -m dance.pose", 4, ["ANIM_STEPS=abc"], capsys)


# Rows 30 to 35: weights, devices, memory.


def test_row_30_weights_that_are_not_here(capsys: Capture) -> None:
    told(
        "render ref.png -m dance.pose --preset animate-anyone",
        5,
        ["GB", "anim weights pull"],
        capsys,
    )


def copied_weights(name: str, here: Path) -> Path:
    """One of BlazePose's files, in a copy of all; the store is empty from here on."""
    shutil.copytree(Path(os.environ["ANIM_WEIGHTS"]) / "blazepose", here / "files")
    os.environ["ANIM_WEIGHTS"] = str(here / "weights")
    file = next((here / "files").rglob(name))
    file.chmod(0o644)
    return file


class Evil:
    """Would make a folder, if it were unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("evil",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html></html>", ["web page"]),
        (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", ["Git LFS pointer"]),
    ],
)
def test_row_31_what_a_failed_download_left_is_no_weights(
    content: bytes, words: list[str], models: None, capsys: Capture, here: Path
) -> None:
    file = copied_weights("face_landmark.tflite", here)
    file.write_bytes(content)
    told("weights import blazepose files", 5, [file.name, *words], capsys)


def test_row_31_weights_of_another_digest(
    models: None, capsys: Capture, here: Path
) -> None:
    file = copied_weights("face_landmark.tflite", here)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    told("weights import blazepose files", 5, ["face_landmark.tflite", "1055cb9d"], capsys)


def test_row_32_a_pickle_that_runs_code_is_refused(capsys: Capture) -> None:
    names = ("denoising_unet", "motion_module", "pose_guider", "reference_unet")
    Path("files").mkdir()
    for name in names:
        content = {"weight": Evil()}
        Path(f"files/{name}.pth").write_bytes(pickle.dumps(content, protocol=2))
    told("weights import animate-anyone files", 5, ["mkdir"], capsys)
    assert not Path("evil").exists()


def test_row_34_a_device_that_is_not_here(capsys: Capture) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    told(
        "render ref.png -m dance.pose --preset animate-anyone --device cuda",
        6,
        ["no CUDA device", "--device cpu"],
        capsys,
    )


# Rows 36 to 38 and 42: where the result goes.


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_row_37_a_result_never_replaces_its_input(
    link: Callable[[Path, Path], None], capsys: Capture
) -> None:
    tiny_clip(Path("dance.mp4"))
    link(Path("out.mp4"), Path("dance.mp4"))
    line = "render ref.png -m dance.mp4 --preset cutout -o out.mp4 --force"
    told(line, 2, ["out.mp4 would replace its own input"], capsys)
    told("extract-pose dance.mp4 -o dance.mp4 --force", 2, ["dance.mp4"], capsys)


def test_row_38_a_folder_that_cannot_be_written(capsys: Capture, here: Path) -> None:
    tiny_clip(Path("dance.mp4"))
    told("inspect dance.mp4 -o /proc/self", 7, ["/proc/self"], capsys)


@pytest.fixture
def long_pose() -> None:
    write_pose(Path("long.pose"), random_pose(12, Fraction(24), (640, 640)))


def test_row_38_a_disk_that_fills_up(long_pose: None, capsys: Capture, here: Path) -> None:
    with files_up_to(20_000):
        told("inspect long.pose", 7, [str(here / ".anim"), "File too large"], capsys)
    assert list(here.glob("long-*")) == []


def test_row_42_a_cache_that_another_process_has_locked(capsys: Capture) -> None:
    from animcli.files import locked
    from animcli.pipeline.project import find_project

    tiny_clip(Path("dance.mp4"))
    assert main(["--dry-run", "--json", "inspect", "dance.mp4"]) == 0
    sheet = json.loads(capsys.readouterr().out)["results"][-1]
    with locked(find_project(Path.cwd()).store.lock_of(sheet["key"])):
        told("--no-wait inspect dance.mp4", 8, ["another anim process is busy"], capsys)


@pytest.mark.parametrize(
    "name",
    ["-i.mp4", "a\nb.mp4", "f_%d.mp4", "concat:z.mp4", os.fsdecode(b"\xff.mp4")],
)
def test_row_43_strange_names_are_only_names(name: str, capsys: Capture) -> None:
    tiny_clip(Path("plain.mp4")).rename(name)
    told(["inspect", "--quiet", "--json", "--", name], 0, [], capsys)


def test_files_of_other_tensors_are_refused_when_they_come_in(capsys: Capture) -> None:
    import torch

    Path("files").mkdir()
    for name in ("denoising_unet", "reference_unet", "pose_guider", "motion_module"):
        torch.save({"a": torch.zeros(3)}, f"files/{name}.pth")
    words = ["denoising_unet.pth doesn't fit: 686 missing", "1 unexpected (first: a)"]
    told("weights import animate-anyone files", 5, words, capsys)
    assert main(["weights", "verify", "animate-anyone"]) == 5  # nothing was taken


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {},
            ["diffusion_pytorch_model.safetensors doesn't fit", "1 unexpected (first: a)"],
        ),
        ({"block_out_channels": "many"}, ["config.json describes no network"]),
        ([], ["config.json can't be read: no JSON object"]),
    ],
)
def test_what_a_network_wants_stands_in_the_configuration_beside_it(
    config: object, words: list[str], capsys: Capture
) -> None:
    import torch
    from safetensors.torch import save_file

    Path("files").mkdir()
    save_file({"a": torch.zeros(3)}, "files/diffusion_pytorch_model.safetensors")
    Path("files/config.json").write_text(json.dumps(config))
    told("weights import controlnet-openpose files", 5, words, capsys)
