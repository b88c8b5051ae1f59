"""Frames come out of a clip whole, at their exact times, and the same from any start."""

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from builders.videos import (
    INTERLACED,
    avi_with_gaps,
    clip_of_tracks,
    clip_of_unknown_codec,
    clip_of_unknown_letters,
    copied_to_avi,
    losslessly_trimmed,
    moving_picture,
    tiny_clip,
)
from PIL import Image

from animcli.errors import InputError
from animcli.video.limits import Limits
from animcli.video.reader import open_footage


def test_frames_come_in_order_with_what_was_drawn_on_them(tmp_path: Path) -> None:
    with open_footage(tiny_clip(tmp_path / "a.mp4")) as reader:
        frames = list(reader.frames())
    assert [frame.index for frame in frames] == list(range(12))
    for frame in frames:
        band = frame.picture[2:8].astype(int) - moving_picture(frame.index)[2:8]
        assert np.abs(band).max() <= 6  # the flat band, through x264 at its default quality


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".ts"])
@pytest.mark.parametrize("start", [0, 1, 7, 29, 30, 39])
def test_any_start_gives_the_frames_that_reading_from_the_beginning_gives(
    tmp_path: Path, suffix: str, start: int
) -> None:
    clip = tiny_clip(tmp_path / f"a{suffix}", frames=40)
    with open_footage(clip) as reader:
        everything = list(reader.frames())
    with open_footage(clip) as reader:
        some = list(reader.frames(start, start + 5))
    assert [frame.index for frame in some] == list(range(start, min(start + 5, 40)))
    for frame in some:
        assert frame.tick == everything[frame.index].tick
        np.testing.assert_array_equal(frame.picture, everything[frame.index].picture)


def test_chunks_one_after_the_other_are_the_whole(tmp_path: Path) -> None:
    with open_footage(tiny_clip(tmp_path / "a.mp4", frames=20)) as reader:
        chunks = [f for start in range(0, 20, 6) for f in reader.frames(start, start + 6)]
        again = list(reader.frames())
    assert [frame.index for frame in chunks] == list(range(20))
    for one, other in zip(chunks, again, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24), Fraction(25, 2)])
def test_an_even_rate_is_exact(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    with open_footage(tiny_clip(tmp_path / f"a{suffix}", 20, rate=rate)) as reader:
        assert reader.info.rate == rate
        assert reader.info.even
        times = [frame.tick * reader.info.time_base for frame in reader.frames()]
    assert times == [index / rate for index in range(20)]


def test_uneven_frames_keep_their_times_and_it_is_said(tmp_path: Path) -> None:
    ticks = [0, 40, 50, 130, 133, 200]
    clip = tiny_clip(tmp_path / "a.mp4", 6, rate=Fraction(25), ticks=ticks)
    with open_footage(clip) as reader:
        times = [frame.tick * reader.info.time_base for frame in reader.frames()]
        assert any("variable frame rate" in note for note in reader.info.notes)
    assert times == [Fraction(tick, 1000) for tick in ticks]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_the_file_says_is_up_is_up(
    tmp_path: Path, degrees: int, mirrored: bool
) -> None:
    plain = tiny_clip(tmp_path / "plain.mp4", 2)
    turned = tiny_clip(
        tmp_path / "turned.mp4",
        2,
        prepare=lambda stream: stream.set_display_rotation(degrees, hflip=mirrored),
    )
    with open_footage(plain) as reader:
        (first, *_) = reader.frames()
    upright = np.rot90(first.picture, degrees // 90)  # FFmpeg counts against the clock
    with open_footage(turned) as reader:
        info = reader.info
        (found, *_) = reader.frames()
    assert found.picture.shape == (info.height, info.width, 3)
    flipped = [upright, upright[:, ::-1], upright[::-1]] if mirrored else [upright]
    assert any(np.array_equal(found.picture, wanted) for wanted in flipped)
    if not mirrored:
        assert info.rotation == -degrees % 360


@pytest.mark.parametrize("options", [{"g": "48", "bf": "2"}, {"g": "48", "bf": "0"}])
def test_what_an_edit_list_hides_is_not_shown_and_all_the_rest_is(
    tmp_path: Path, options: dict[str, str]
) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 60, options=options)
    with open_footage(clip) as reader:
        whole = [frame.picture for frame in reader.frames()]
    trimmed = losslessly_trimmed(tmp_path / "trimmed.mp4", clip, Fraction(10, 24))
    with open_footage(trimmed) as reader:
        info = reader.info
        found = list(reader.frames())
        later = next(reader.frames(41))
    assert (info.frames, info.rate, info.notes) == (50, 24, ())
    assert [frame.tick for frame in found] == list(range(50))
    assert all(
        np.array_equal(frame.picture, picture)
        for frame, picture in zip(found, whole[10:], strict=True)
    )
    assert np.array_equal(later.picture, whole[51])


GAP = [index for index in range(48) if not 10 <= index < 34]


@pytest.mark.parametrize(
    ("codec", "pixel_format", "options"),
    [
        ("mjpeg", "yuvj420p", {}),
        ("libx264", "yuv420p", {"bf": "0"}),
        ("mpeg4", "yuv420p", {"bf": "0"}),
    ],
)
def test_the_last_picture_stays_through_frames_of_an_avi_without_data(
    tmp_path: Path, codec: str, pixel_format: str, options: dict[str, str]
) -> None:
    clip = avi_with_gaps(
        tmp_path / "a.avi", GAP, codec=codec, pixel_format=pixel_format, options=options
    )
    with open_footage(clip) as reader:
        assert (reader.info.rate, reader.info.duration) == (24, 2)
        found = list(reader.frames())
        inside = list(reader.frames(20, 36))
    assert [frame.index for frame in found] == [frame.tick for frame in found]
    assert len(found) == 48
    same = [np.array_equal(found[9].picture, frame.picture) for frame in found]
    assert [index for index, like in enumerate(same) if like] == list(range(9, 34))
    assert [frame.index for frame in inside] == list(range(20, 36))
    assert np.array_equal(inside[0].picture, found[9].picture)
    assert np.array_equal(inside[-1].picture, found[35].picture)


def test_pictures_that_were_copied_into_an_avi_keep_their_rate(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 24)
    with open_footage(clip) as reader:
        wanted = [frame.picture for frame in reader.frames()]
    with open_footage(copied_to_avi(tmp_path / "a.avi", clip)) as reader:
        assert (reader.info.rate, reader.info.duration, reader.info.even) == (24, 1, True)
        found = [frame.picture for frame in reader.frames()]
    assert np.array_equal(found, wanted)


def test_frames_of_an_avi_at_no_steady_step_keep_their_times(tmp_path: Path) -> None:
    shown = [index for index in range(48) if index % 5 in (0, 2)]  # steps of 2 and 3
    clip = avi_with_gaps(tmp_path / "a.avi", shown, options={"bf": "0"})
    with open_footage(clip) as reader:
        assert not reader.info.even
        seconds = [frame.tick * reader.info.time_base for frame in reader.frames()]
    assert seconds == [Fraction(index, 24) for index in shown]


def test_a_clip_that_was_cut_off_says_how_much_is_gone(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 40, container="mp4", options={"g": "6"})
    whole = tmp_path / "fast.mp4"
    with (
        av.open(str(clip)) as source,
        av.open(str(whole), "w", options={"movflags": "+faststart"}) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    data = whole.read_bytes()
    clip.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    with (
        open_footage(clip) as reader,
        pytest.raises(InputError, match=r"\d+ frames of 40 could not be decoded") as caught,
    ):
        list(reader.frames())
    assert "--keep-going" in caught.value.hint
    with open_footage(clip, keep_going=True) as reader:
        rest = list(reader.frames())
        assert len(rest) + len(reader.damaged) == 40
        assert len(rest) > 5


def test_damaged_frames_are_counted_or_left_out(tmp_path: Path) -> None:
    clip = tiny_clip(
        tmp_path / "a.mov", 20, codec="mjpeg", pixel_format="yuvj420p", options={}
    )
    data = bytearray(clip.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 20
    for frame in (4, 5, 11):
        data[starts[frame] + 24 : starts[frame] + 224] = bytes(200)  # its tables
    clip.write_bytes(data)
    with (
        open_footage(clip) as reader,
        pytest.raises(InputError, match=r"3 frames of 20 .*at 0\.17 s"),
    ):
        list(reader.frames())
    with open_footage(clip, keep_going=True) as reader:
        indexes = [frame.index for frame in reader.frames()]
        assert [lost.index for lost in reader.damaged] == [4, 5, 11]
    assert indexes == [index for index in range(20) if index not in (4, 5, 11)]


def test_square_pixels_come_out_of_anamorphic_video(tmp_path: Path) -> None:
    def stretch(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)

    with open_footage(tiny_clip(tmp_path / "a.mp4", 2, prepare=stretch)) as reader:
        assert (reader.info.width, reader.info.height) == (96, 48)
        assert next(reader.frames()).picture.shape == (48, 96, 3)
        assert "its pixels aren't square, stretched to 96x48" in reader.info.notes


def test_hdr_is_tone_mapped_and_said(tmp_path: Path) -> None:
    def hdr(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9

    clip = tiny_clip(tmp_path / "a.mp4", 2, pixel_format="yuv420p10le", prepare=hdr)
    with open_footage(clip) as reader:
        assert reader.info.notes == ("HDR (PQ), tone-mapped to standard range",)
        assert next(reader.frames()).picture.dtype == np.uint8


def test_colours_without_a_conversion_are_refused_by_name(tmp_path: Path) -> None:
    def odd(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace = 8

    clip = tiny_clip(tmp_path / "a.mp4", 2, prepare=odd)
    with pytest.raises(InputError, match=r"a\.mp4: YCgCo colours can't be converted"):
        open_footage(clip)


def test_fields_instead_of_frames_are_said(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 6, options=INTERLACED)
    with open_footage(clip) as reader:
        assert any("is interlaced" in note for note in reader.info.notes)
        assert len(list(reader.frames())) == 6


def test_of_several_streams_one_is_used_and_it_is_said(tmp_path: Path) -> None:
    with open_footage(clip_of_tracks(tmp_path / "a.mp4", "libx264", "libx264")) as reader:
        assert reader.info.notes == ("has 2 video streams, the default one is used",)
        assert len(list(reader.frames())) == 6


@pytest.mark.parametrize("order", [("libx264", "mjpeg"), ("mjpeg", "libx264")])
def test_a_cover_picture_is_not_the_video(tmp_path: Path, order: tuple[str, str]) -> None:
    with open_footage(clip_of_tracks(tmp_path / "a.mp4", *order)) as reader:
        assert (reader.info.codec, reader.info.notes) == ("h264", ())
        assert len(list(reader.frames())) == 6


def test_a_cover_picture_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no moving pictures, only a cover picture"):
        open_footage(clip_of_tracks(tmp_path / "a.mp4", "mjpeg"))


def test_a_codec_that_nobody_knows_is_refused_by_its_name(tmp_path: Path) -> None:
    clip = clip_of_unknown_codec(tmp_path / "a.mkv")
    for _ in range(2):  # FFmpeg doesn't say a thing twice in a row unless it is told to
        with pytest.raises(InputError, match=r"a\.mkv: its codec V_MPEG4/ISO/XYZ is not"):
            open_footage(clip)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_codec_that_nobody_knows_is_refused_by_its_letters(
    tmp_path: Path, suffix: str
) -> None:
    clip = clip_of_unknown_letters(tmp_path / f"a{suffix}")
    with pytest.raises(InputError, match="its codec Qq9X is not in this build of FFmpeg"):
        open_footage(clip)


def test_a_codec_that_ffmpeg_knows_and_lacks_is_refused(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 6)
    before, found, after = clip.read_bytes().partition(b"stsd")
    clip.write_bytes(before + found + after.replace(b"avc1", b"lvc1"))  # LCEVC, enhancement
    with pytest.raises(InputError, match="its codec is not in this build of FFmpeg"):
        open_footage(clip)


def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 2000, options={"g": "48", "preset": "ultrafast"})
    process = psutil.Process()
    resident = []
    with open_footage(clip) as reader:
        for frame in reader.frames():
            if frame.index in (200, 1999):
                gc.collect()
                resident.append(process.memory_info().rss)
    # All the frames between are 16.6 MB; the decoder has what it wants by frame 200.
    assert resident[1] - resident[0] < 4e6


def test_one_frame_is_no_motion_where_the_caller_says_so(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", 1)
    assert open_footage(clip).info.frames == 1
    with pytest.raises(InputError, match="has 1 frame, needs at least 2"):
        open_footage(clip, limits=Limits(least_frames=2))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(pixels=64 * 48 - 1), "64x48 is over the limit of 0.003071 Mpx"),
        (Limits(frames=11), "more than 11 frames"),
        (Limits(seconds=0), "over the limit of 0 s"),
    ],
)
def test_footage_over_a_limit_is_refused(
    tmp_path: Path, limits: Limits, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_footage(tiny_clip(tmp_path / "a.mp4"), limits=limits)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animated_picture_is_footage(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.fromarray(moving_picture(index)) for index in range(5)]
    path = tmp_path / f"a{suffix}"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=40, lossless=True
    )
    with open_footage(path) as reader:
        frames = list(reader.frames(1, 4))
        assert (reader.info.rate, reader.info.frames) == (25, 5)
    assert [(frame.index, frame.tick) for frame in frames] == [(1, 1), (2, 2), (3, 3)]
    if suffix != ".gif":  # a palette changes colours
        for frame in frames:
            np.testing.assert_array_equal(frame.picture, moving_picture(frame.index))


def test_transparent_animation_is_shown_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    red = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    path = tmp_path / "a.webp"
    clear.save(path, save_all=True, append_images=[red], duration=100, lossless=True)
    with open_footage(path) as reader:
        first, second = reader.frames()
        assert "has transparent parts, shown on white" in reader.info.notes
    assert (first.picture == 255).all()
    assert (second.picture == (255, 0, 0)).all()


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for index in (1, 2, 10):
        Image.fromarray(moving_picture(index)).save(tmp_path / f"frame_{index}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_footage(tmp_path, rate=Fraction(30000, 1001)) as reader:
        frames = list(reader.frames())
        assert reader.info.rate == Fraction(30000, 1001)
    for frame, drawn in zip(frames, (1, 2, 10), strict=True):
        np.testing.assert_array_equal(frame.picture, moving_picture(drawn))


def test_a_damaged_picture_of_a_folder_counts_as_a_damaged_frame(tmp_path: Path) -> None:
    for index in range(4):
        Image.fromarray(moving_picture(index)).save(tmp_path / f"{index}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    with open_footage(tmp_path) as reader, pytest.raises(InputError, match="1 frame of 4"):
        list(reader.frames())
    with open_footage(tmp_path, keep_going=True) as reader:
        assert [frame.index for frame in reader.frames()] == [0, 1, 3]


def test_pictures_of_two_sizes_are_not_one_clip(tmp_path: Path) -> None:
    Image.fromarray(moving_picture(0)).save(tmp_path / "0.png")
    Image.fromarray(moving_picture(1, 32, 32)).save(tmp_path / "1.png")
    with (
        open_footage(tmp_path) as reader,
        pytest.raises(InputError, match=r"1\.png: is 32x32, the first .* is 64x48"),
    ):
        list(reader.frames())
