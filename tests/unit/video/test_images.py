"""Pictures of every usual kind become 8-bit sRGB, upright, or are refused by name."""

import io
import struct
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from builders.videos import moving_picture
from PIL import Image, ImageCms

from animcli.errors import InputError
from animcli.video import images
from animcli.video.images import read_picture, write_picture
from animcli.video.limits import Limits
from animcli.video.reader import open_footage


def test_a_picture_that_was_written_is_read_back(tmp_path: Path) -> None:
    pixels = moving_picture(3, 31, 17)
    write_picture(tmp_path / "a.png.part", pixels)
    found = read_picture(tmp_path / "a.png.part")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.alpha is None
    assert found.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_says_which_way_is_up(tmp_path: Path, orientation: int) -> None:
    pixels = moving_picture(0, 32, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    wanted = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    found = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(found.pixels, wanted)
    assert bool(found.notes) == (orientation != 1)


def test_alpha_is_kept_apart_from_the_colours(tmp_path: Path) -> None:
    pixels = moving_picture(1, 16, 16)
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_picture(tmp_path / "a.png", np.dstack([pixels, alpha]))
    found = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(found.pixels, pixels)
    np.testing.assert_array_equal(found.alpha, alpha)


def test_an_alpha_channel_that_hides_nothing_is_none(tmp_path: Path) -> None:
    pixels = moving_picture(1, 16, 16)
    write_picture(tmp_path / "a.png", np.dstack([pixels, np.full((16, 16), 255, np.uint8)]))
    assert read_picture(tmp_path / "a.png").alpha is None


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    grey = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(found.pixels[..., 0], np.arange(256).reshape(16, 16))
    assert found.notes == ("16 bits a channel, brought down to 8",)


def test_cmyk_becomes_rgb_and_it_is_said(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    found = read_picture(tmp_path / "a.jpg")
    assert np.abs(found.pixels.astype(int) - (255, 0, 0)).max() <= 3  # JPEG's own loss
    assert found.notes == ("CMYK, converted to sRGB",)


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 2), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    found = read_picture(tmp_path / "a.png")
    assert found.pixels[0, 1].tolist() == [200, 100, 50]
    assert found.alpha is not None
    assert found.alpha[0].tolist() == [0, 255, 0, 0]


def test_the_first_picture_of_an_animation_is_used_and_it_is_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(moving_picture(index)) for index in range(3)]
    frames[0].save(
        tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True
    )
    found = read_picture(tmp_path / "a.webp")
    np.testing.assert_array_equal(found.pixels, moving_picture(0))
    assert found.notes == ("has several pictures, the first is used",)


def test_a_colour_profile_is_followed(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = moving_picture(2)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    found = read_picture(tmp_path / "a.png")
    # sRGB to sRGB, through the colour engine and its rounding
    assert np.abs(found.pixels.astype(int) - pixels).max() <= 1


def test_a_damaged_colour_profile_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    Image.fromarray(moving_picture(2)).save(tmp_path / "a.png", icc_profile=b"nonsense")
    found = read_picture(tmp_path / "a.png")
    assert found.notes == ("its colour profile doesn't fit and is left out",)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that says it has this size."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + check

    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 6000), (10000, 10000), (60000, 60000)])
def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "a.png").write_bytes(bomb(*size))
    with pytest.raises(InputError, match="is over the limit of 40 Mpx"):
        read_picture(tmp_path / "a.png")


def test_a_bomb_of_a_gif_is_told_by_its_size(tmp_path: Path) -> None:
    screen = struct.pack("<HHBBB", 20000, 20000, 0, 0, 0)
    frame = b",\0\0\0\0" + struct.pack("<HHB", 20000, 20000, 0) + b"\x02\x02\x4c\x01\x00;"
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + screen + frame)
    with pytest.raises(InputError, match="400 Mpx is over the limit of 40 Mpx"):
        read_picture(tmp_path / "a.gif")


def saved(kind: str) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(moving_picture(0)).save(memory, kind)
    return memory.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_cut_off_picture_is_named(tmp_path: Path, kind: str, share: float) -> None:
    data = saved(kind)
    (tmp_path / "cut").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"cut: is (damaged|not a picture)"):
        read_picture(tmp_path / "cut")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_flipped_bits_never_end_in_anything_but_a_picture_or_one_clear_error(
    tmp_path: Path, kind: str
) -> None:
    whole = saved(kind)
    chance = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in chance.integers(0, len(whole), 3):
            damaged[at] ^= 1 << int(chance.integers(8))
        (tmp_path / "a").write_bytes(damaged)
        with suppress(InputError):
            assert read_picture(tmp_path / "a").pixels.ndim == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<!DOCTYPE html><html>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        (b"%PDF-1.7", "looks like a PDF document"),
        (b"just words", "looks like text"),
    ],
)
def test_what_is_no_picture_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_picture(tmp_path / "a.png")


def test_a_folder_and_nothing_at_all_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, expected a picture"):
        read_picture(tmp_path)
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read_picture(tmp_path / "a.png")


def heic(path: Path) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray(moving_picture(0))
    pillow_heif.from_pillow(image).save(path, quality=-1)
    return path


def test_a_heic_picture_is_read(tmp_path: Path) -> None:
    found = read_picture(heic(tmp_path / "a.heic")).pixels.astype(int)
    off = np.abs(found - moving_picture(0))
    assert np.median(off) <= 4  # its chroma has half the size


def test_a_damaged_heic_picture_is_named(tmp_path: Path) -> None:
    data = heic(tmp_path / "a.heic").read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / "cut.heic").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError, match=r"cut\.heic: is"):
            read_picture(tmp_path / "cut.heic")


def test_without_the_package_a_heic_picture_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it weren't installed
    monkeypatch.setattr(images, "FORMATS", ("PNG", "JPEG"))
    images._formats.cache_clear()
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(60))
    try:
        with pytest.raises(InputError, match="is a HEIC picture") as caught:
            read_picture(tmp_path / "a.jpg")
    finally:
        images._formats.cache_clear()
    assert "animcli[heif]" in caught.value.hint


def gif(size: tuple[int, int], frames: int) -> bytes:
    """A GIF whose frames are a few bytes each, whatever their size."""
    screen = struct.pack("<HHBBB", *size, 0, 0, 0)
    control = b"!\xf9\x04\0\x05\0\0\0"
    frame = b",\0\0\0\0" + struct.pack("<HHB", *size, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + screen + frames * (control + frame) + b";"


@pytest.mark.parametrize(
    ("size", "frames", "message"),
    [
        ((6000, 6000), 100_000, "100000 frames of 6000x6000 are more than"),
        ((64, 64), 1_200_000, "more than 1000000 frames"),
    ],
)
def test_a_gif_that_would_take_a_day_is_refused_at_once(
    tmp_path: Path, size: tuple[int, int], frames: int, message: str
) -> None:
    (tmp_path / "a.gif").write_bytes(gif(size, frames))
    started = time.process_time()
    with pytest.raises(InputError, match=message):
        open_footage(tmp_path / "a.gif")
    assert time.process_time() - started < 8  # it took minutes


def test_a_gif_that_is_shown_for_too_long_is_refused_before_all_of_it_is_drawn(
    tmp_path: Path,
) -> None:
    screen = struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    dot = b",\0\0\0\0" + struct.pack("<HHB", 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    frames = 100_000 * (b"!\xf9\x04\0\x05\0\0\0" + dot)
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + screen + frames + b";")
    started = time.process_time()
    with pytest.raises(InputError, match="5000 s long, over the limit of 10 s"):
        images.AnimatedImage(tmp_path / "a.gif", Limits(seconds=10))
    assert time.process_time() - started < 3  # all of it takes three times as long


def test_the_pictures_of_a_gif_are_counted_without_decoding(tmp_path: Path) -> None:
    frames = [Image.fromarray(moving_picture(index)) for index in range(5)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert images.gif_frames(tmp_path / "a.gif", Limits()) == 5
    (tmp_path / "b.gif").write_bytes(gif((8, 8), 7))
    assert images.gif_frames(tmp_path / "b.gif", Limits()) == 7
