"""A colour that goes through a video comes back."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from builders.videos import tiny_clip
from numpy.typing import NDArray

from animcli.video.codecs import Codec, Encoding, available_encoders
from animcli.video.colour import Primaries, Transfer, to_sdr, to_video
from animcli.video.encode import encode_segment, join_segments
from animcli.video.lossless import write_lossless
from animcli.video.reader import open_footage

COLOURS = np.array([*itertools.product((0, 70, 128, 200, 255), repeat=3), (200, 30, 60)])
PATCH = 32  # pixels; a codec's blocks then hold one colour, so that its own loss is small


def chart(width: int, height: int) -> NDArray[np.uint8]:
    """All colours as flat patches, in rows."""
    across = width // PATCH
    rows = np.arange(height)[:, None] // PATCH * across
    patch = rows + np.minimum(np.arange(width)[None] // PATCH, across - 1)
    return COLOURS[patch % len(COLOURS)].astype(np.uint8)


def middles(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The middle of each patch, away from the neighbours' colours."""
    return pixels[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].astype(np.int64)


@pytest.mark.parametrize(
    ("codec", "container", "suffix"),
    [
        (Codec.H264, "mp4", ".mp4"),
        (Codec.H264, "matroska", ".mkv"),
        (Codec.H265, "mp4", ".mp4"),
        (Codec.AV1, "mp4", ".mp4"),
        (Codec.VP9, "webm", ".webm"),
        (Codec.PRORES4444, "mov", ".mov"),
    ],
)
@pytest.mark.parametrize("size", [(384, 352), (390, 358), (385, 353)])
def test_every_colour_comes_back_within_three_levels(
    tmp_path: Path, codec: Codec, container: str, suffix: str, size: tuple[int, int]
) -> None:
    if not available_encoders()[codec]:
        pytest.skip(f"no encoder for {codec.value} in this build of FFmpeg")
    pixels = chart(*size)
    encoding = Encoding(codec, container, Fraction(24), None)
    encoding = Encoding(codec, container, Fraction(24), encoding.encoder.quality)
    write_lossless(tmp_path / "frames", [pixels] * 2, Fraction(24))
    encode_segment([tmp_path / "frames"], encoding, tmp_path / "segment")
    out = tmp_path / f"out{suffix}"
    join_segments([tmp_path / "segment"], encoding, out, None)
    with open_footage(out) as reader:
        found = next(reader.frames()).picture
    assert np.abs(middles(found[: size[1], : size[0]]) - middles(pixels)).max() <= 3


@pytest.mark.parametrize(
    ("tag", "height", "kr", "kb"),
    [
        (1, 48, 0.2126, 0.0722),
        (5, 48, 0.299, 0.114),
        (6, 720, 0.299, 0.114),
        (2, 48, 0.299, 0.114),  # untagged and small: BT.601
        (2, 720, 0.2126, 0.0722),  # untagged and large: BT.709
    ],
)
@pytest.mark.parametrize("full_range", [False, True])
def test_the_matrix_and_range_that_a_file_names_are_used(
    tmp_path: Path, tag: int, height: int, kr: float, kb: float, full_range: bool
) -> None:
    red, green, blue = 200 / 255, 30 / 255, 60 / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    scale, offset, chroma_scale = (255, 0, 255) if full_range else (219, 16, 224)
    planes = [offset + scale * luma, *(128 + chroma_scale * c for c in chroma)]
    frame = av.VideoFrame(64, height, "yuv444p")
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=24, options={"qp": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv444p"
        stream.codec_context.colorspace = tag
        stream.codec_context.color_range = 2 if full_range else 1
        frame.colorspace, frame.color_range = tag, 2 if full_range else 1
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with open_footage(tmp_path / "a.mp4") as reader:
        picture = next(reader.frames()).picture.astype(int)
    # Luma and chroma are whole numbers: up to 1.2 levels of blue for half a step.
    assert np.abs(picture - (200, 30, 60)).max() <= 2


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
@pytest.mark.parametrize("width", [48, 66, 70, 72, 94])
def test_ten_bits_convert_at_any_width(pixel_format: str, width: int) -> None:
    """swscale's fast paths are off by up to 238 levels at such widths."""
    pixels = np.full((32, width, 3), (255, 0, 128), np.uint8)
    luma = to_video(pixels, pixel_format).planes[0]
    row = np.frombuffer(bytes(luma), np.uint16)[:width]
    wanted = 64 + 876 * (0.2126 + 0.0722 * 128 / 255)
    assert np.abs(row - wanted).max() <= 1


def test_an_ordinary_picture_in_hdr_stays_as_it_is_below_the_knee() -> None:
    # 48 cd/m2 by ST 2084 is code 0.42; in SDR it is (48 / 203) ** (1 / 2.4) of white
    nits, m1, m2 = 48 / 10000, 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    code = ((c1 + c2 * nits**m1) / (1 + c3 * nits**m1)) ** m2
    grey = np.full((1, 1, 3), round(code * 65535), np.uint16)
    wanted = round(255 * (48 / 203) ** (1 / 2.4))
    found = to_sdr(grey, Transfer.PQ, Primaries.BT2020)
    assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("transfer", [Transfer.PQ, Transfer.HLG])
def test_tone_mapping_keeps_grey_grey_and_brighter_brighter(transfer: Transfer) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    grey = np.repeat(ramp[None, :, None], 3, axis=2)
    found = to_sdr(grey, transfer, Primaries.BT2020).astype(int)
    assert np.ptp(found, axis=2).max() <= 1
    assert (np.diff(found[0, :, 0]) >= 0).all()
    assert found[0, 0, 0] == 0
    assert found[0, -1, 0] >= 250


def test_the_quick_conversion_is_about_right(tmp_path: Path) -> None:
    tiny_clip(tmp_path / "clip.mp4")
    with open_footage(tmp_path / "clip.mp4") as exact:
        right = np.stack([frame.picture for frame in exact.frames()]).astype(int)
    with open_footage(tmp_path / "clip.mp4", fast_colour=True) as fast_colour:
        about = np.stack([frame.picture for frame in fast_colour.frames()]).astype(int)
    assert np.abs(about - right).mean() < 1.5  # 0.6 on a photographed dance
