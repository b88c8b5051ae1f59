"""What fits into which file, said before any work."""

from fractions import Fraction
from pathlib import Path

import pytest

from animcli.errors import UsageError
from animcli.video.codecs import Codec, available_encoders, encoding_for

RATE = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.mp4", Codec.H264, "mp4"),
        ("a.MOV", Codec.H264, "mov"),
        ("a.mkv", Codec.H264, "matroska"),
        ("a.webm", Codec.VP9, "webm"),
        ("a.gif", Codec.GIF, "gif"),
        ("a.webp", Codec.WEBP, "webp"),
        ("frames", Codec.PNG, "pictures"),
    ],
)
def test_a_name_says_what_is_made(name: str, codec: Codec, container: str) -> None:
    encoding = encoding_for(Path(name), RATE, None, None)
    assert (encoding.codec, encoding.container, encoding.rate) == (codec, container, RATE)
    assert encoding.quality == encoding.encoder.quality


@pytest.mark.parametrize(
    ("name", "codec", "quality", "message", "hint"),
    [
        ("a.xyz", None, None, "don't know how to write .xyz files", "use one of .mp4 .mov"),
        (
            "a.png",
            None,
            None,
            "don't know how to write .png files",
            "name without a suffix",
        ),
        (
            "a.webm",
            "h264",
            None,
            "h264 doesn't go into a .webm file",
            ".mp4 or .mov or .mkv",
        ),
        ("a.mp4", "prores4444", None, "prores4444 doesn't go into a .mp4", ".mov or .mkv"),
        ("a.gif", "h264", None, "h264 doesn't go into a .gif file", "--codec gif"),
        ("frames", "h264", None, "h264 doesn't go into a folder of pictures", ".mp4"),
        ("a.mp4", "divx", None, "there is no codec 'divx'", "use one of h264 h265"),
        ("a.mp4", "h264", 52, "quality 52 is out of range for h264", "0 is best, 51 worst"),
        ("a.webp", None, -1, "quality -1 is out of range for webp", "100 is best, 0 worst"),
        ("a.gif", None, 5, "gif has no quality to choose", "leave --quality out"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    name: str, codec: str | None, quality: int | None, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        encoding_for(Path(name), RATE, codec, quality)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1), Fraction(1001)])
def test_a_rate_that_nothing_can_show_is_refused(rate: Fraction) -> None:
    with pytest.raises(UsageError, match="frames per second can't be"):
        encoding_for(Path("a.mp4"), rate, None, None)


def test_pillow_makes_webp_and_png_in_every_build() -> None:
    here = available_encoders()
    assert set(here) == set(Codec)
    assert here[Codec.WEBP]
    assert here[Codec.PNG]


def test_odd_sizes_grow_by_a_pixel_where_colour_planes_are_halved() -> None:
    assert encoding_for(Path("a.mp4"), RATE, "h264", None).stored_size(451, 677) == (
        452,
        678,
    )
    assert encoding_for(Path("a.gif"), RATE, None, None).stored_size(451, 677) == (451, 677)
