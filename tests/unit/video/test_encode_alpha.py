"""Results with alpha: what is transparent stays so in each kind of file that can say it."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import UsageError
from animcli.video.codecs import CONTAINERS, Codec, encoding_for, has_alpha
from animcli.video.encode import encode_segment, join_segments
from animcli.video.lossless import (
    lay_on_white,
    lossless_info,
    read_lossless,
    write_lossless,
)

RATE, FRAMES, SIZE = Fraction(24), 6, (96, 64)
COLOUR = (200, 60, 30)
Array = NDArray[np.uint8]


def picture(index: int) -> Array:
    """A square that moves, opaque but for its half transparent lower part."""
    frame = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    frame[..., :3] = COLOUR  # as `straight` leaves it beside a figure
    left = 8 + 8 * index
    frame[16:32, left : left + 24, 3] = 255
    frame[32:48, left : left + 24, 3] = 128
    return frame


def encoded(folder: Path, name: str, codec: str | None = None) -> Path:
    for number in range(2):  # two segments, joined by copying
        frames = [picture(3 * number + k) for k in range(3)]
        write_lossless(folder / f"{number}.frames", frames, RATE)
    out = folder / name
    encoding = encoding_for(out, RATE, codec, None, alpha=True)
    segments = []
    for number in range(2):
        segments.append(folder / f"segment-{number}{out.suffix}")
        encode_segment([folder / f"{number}.frames"], encoding, segments[-1])
    join_segments(segments, encoding, out, None)
    return out


def by_pyav(path: Path) -> Iterator[Array]:
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        if stream.codec_context.name == "vp9":  # FFmpeg's own decoder leaves alpha out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            for packet in source.demux(stream):
                for frame in decoder.decode(packet if packet.size else None):
                    yield frame.to_ndarray(format="rgba")
        else:
            for frame in source.decode(stream):
                yield frame.to_ndarray(format="rgba")


def by_pillow(path: Path) -> Iterator[Array]:
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            yield np.asarray(image.convert("RGBA"))


def by_folder(path: Path) -> Iterator[Array]:
    for file in sorted(path.iterdir()):
        yield from by_pillow(file)


@pytest.mark.parametrize(
    ("name", "codec", "read", "alpha_off", "colour_off"),
    [
        ("a.mov", None, by_pyav, 2, 6),
        ("a.mkv", "prores4444", by_pyav, 2, 6),
        ("a.webm", None, by_pyav, 12, 12),
        ("a.webp", None, by_pillow, 2, 14),
        ("a.gif", None, by_pillow, 127, 8),  # half a pixel can't be
        ("a", None, by_folder, 0, 0),
    ],
)
def test_what_is_transparent_stays_so(
    tmp_path: Path,
    name: str,
    codec: str | None,
    read: Callable[[Path], Iterator[Array]],
    alpha_off: int,
    colour_off: int,
) -> None:
    found = list(read(encoded(tmp_path, name, codec)))
    assert len(found) == FRAMES
    for index, frame in enumerate(found):
        wanted = picture(index)
        inner = np.zeros(wanted.shape[:2], bool)  # away from edges, which codecs soften
        left = 8 + 8 * index
        for top in (16, 32):
            inner[top + 4 : top + 12, left + 4 : left + 20] = True
        outside = np.ones_like(inner)
        outside[10:54, max(left - 6, 0) : left + 30] = False
        off = np.abs(frame.astype(int) - wanted)
        assert off[inner, 3].max() <= alpha_off, index
        assert off[outside, 3].max() <= min(alpha_off, 12), index
        assert off[20:28, left + 4 : left + 20, :3].max() <= colour_off, index


def test_lossless_frames_keep_alpha_and_show_white_to_others(tmp_path: Path) -> None:
    frames = [picture(index) for index in range(3)]
    write_lossless(tmp_path / "a", frames, RATE)
    assert lossless_info(tmp_path / "a").alpha
    for found, wanted in zip(
        read_lossless(tmp_path / "a", alpha=True), frames, strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
    for found, wanted in zip(read_lossless(tmp_path / "a"), frames, strict=True):
        np.testing.assert_array_equal(found, lay_on_white(wanted))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", None), ("a.mp4", "vp9"), ("a.mov", "h264")]
)
def test_a_file_without_a_place_for_alpha_is_refused(name: str, codec: str | None) -> None:
    with pytest.raises(UsageError, match="no place for alpha"):
        encoding_for(Path(name), RATE, codec, None, alpha=True)


def test_with_alpha_the_usual_codec_of_a_suffix_is_one_that_has_it() -> None:
    usual = {
        suffix: encoding_for(Path(f"a{suffix}"), RATE, None, None, alpha=True).codec
        for suffix, (_, codecs) in CONTAINERS.items()
        if any(has_alpha(suffix, codec) for codec in codecs)
    }
    assert usual[".mov"] is Codec.PRORES4444
    assert usual[".webm"] is Codec.VP9
    assert set(usual) == {".mov", ".mkv", ".webm", ".gif", ".webp", ""}
