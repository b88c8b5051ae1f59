"""Flags give checked values, or say what they could have been."""

import pytest

from animcli.cli.options import complete_preset, read_count, read_flags, read_size
from animcli.errors import UsageError


def test_flags_that_were_not_used_are_left_out() -> None:
    assert read_flags({"steps": "4", "hands": False, "face": None, "fps": None}) == {
        "steps": 4,
        "hands": False,
    }


def test_a_flag_that_cannot_be_is_named_as_it_was_typed() -> None:
    with pytest.raises(UsageError) as raised:
        read_flags({"fps": "0"})
    assert raised.value.message == "--fps 0: fps is above 0 and at most 1000, not 0"


def test_a_size_is_two_sides() -> None:
    assert read_size("512x768") == {"width": 512, "height": 768}
    assert read_size(None) == {}


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ("511x767", "512x768"),
        ("100x100", "96x96"),
        ("8x9000", "64x4096"),
        ("65x64", "64x64"),
    ],
)
def test_a_size_that_cannot_be_is_told_the_nearest(size: str, nearest: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_size(size)
    assert raised.value.message.startswith(f"--size {size}: both sides are multiples of 8")
    assert raised.value.hint == f"the nearest size is {nearest}"


@pytest.mark.parametrize(
    "size", ["", "512", "512x", "axb", "512x768x3", "-8x8", "5.5x8", "8²x8"]
)
def test_what_is_no_size_is_shown_one(size: str) -> None:
    with pytest.raises(UsageError, match="a size is WIDTHxHEIGHT, such as 512x768"):
        read_size(size)


@pytest.mark.parametrize("frames", [0, -1, 1_000_000_000])
def test_a_count_stays_within_bounds(frames: int) -> None:
    with pytest.raises(UsageError, match=f"^--frames {frames}: it is 1 to 1000000$"):
        read_count("--frames", frames, 1_000_000)


def test_presets_complete() -> None:
    assert "cutout" in complete_preset("cut")
    assert complete_preset("zzz") == []
