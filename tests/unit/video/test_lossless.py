"""Frames in the cache come back bit for bit, or not at all."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.errors import StorageError
from animcli.video.lossless import lossless_info, read_lossless, write_lossless


def noise(width: int, height: int, frames: int = 3) -> list[NDArray[np.uint8]]:
    chance = np.random.default_rng(width * height)
    shape = (height, width, 3)
    return [chance.integers(0, 256, shape, dtype=np.uint8) for _ in range(frames)]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (64, 48), (65, 33), (511, 77)])
def test_frames_of_any_size_come_back_bit_for_bit(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    white = np.full((size[1], size[0], 3), 255, np.uint8)
    frames = [*noise(*size), white, white * 0]
    assert write_lossless(tmp_path / "a", iter(frames), Fraction(30000, 1001)) == 5
    for found, wanted in zip(read_lossless(tmp_path / "a"), frames, strict=True):
        np.testing.assert_array_equal(found, wanted)
    info = lossless_info(tmp_path / "a")
    assert (info.width, info.height, info.rate) == (*size, Fraction(30000, 1001))


def test_a_file_cut_anywhere_is_damaged_and_not_shorter(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a", noise(8, 6), Fraction(24))
    whole = (tmp_path / "a").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b").write_bytes(whole[:length])
        with pytest.raises(StorageError):
            list(read_lossless(tmp_path / "b"))


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a", noise(8, 6), Fraction(24))
    whole = (tmp_path / "a").read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        (tmp_path / "b").write_bytes(damaged)
        with pytest.raises(StorageError):
            list(read_lossless(tmp_path / "b"))


def test_something_after_the_end_is_damage_too(tmp_path: Path) -> None:
    write_lossless(tmp_path / "a", noise(8, 6), Fraction(24))
    with (tmp_path / "a").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(StorageError, match="is damaged at frame 3"):
        list(read_lossless(tmp_path / "a"))


def test_frames_of_two_sizes_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frame 1 is uint8"):
        write_lossless(tmp_path / "a", [*noise(8, 6, 1), *noise(6, 8, 1)], Fraction(24))


def test_no_frames_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frames"):
        write_lossless(tmp_path / "a", [], Fraction(24))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone/a: can't be written"):
        write_lossless(tmp_path / "gone" / "a", noise(8, 6), Fraction(24))
