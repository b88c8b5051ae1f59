"""Segments encoded apart and joined are one clip, with exact times and its sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from builders.videos import (
    clip_with_tone,
    heard_onset,
    losslessly_trimmed,
    moving_picture,
    tiny_clip,
)

from animcli.errors import StorageError
from animcli.video.audio import Sound
from animcli.video.codecs import Codec, Encoding, available_encoders, encoding_for
from animcli.video.encode import encode_segment, join_segments
from animcli.video.lossless import write_lossless
from animcli.video.reader import open_footage

NTSC = Fraction(30000, 1001)


def two_segments(tmp_path: Path, encoding: Encoding) -> list[Path]:
    """Frames 0 to 6 and 7 to 11, each as a segment."""
    segments = []
    for name, frames in (("one", range(7)), ("two", range(7, 12))):
        pictures = [moving_picture(index) for index in frames]
        write_lossless(tmp_path / f"{name}.frames", pictures, encoding.rate)
        encode_segment([tmp_path / f"{name}.frames"], encoding, tmp_path / name)
        segments.append(tmp_path / name)
    return segments


def joined(tmp_path: Path, name: str, codec: str | None, sound: Sound | None) -> Path:
    encoding = encoding_for(tmp_path / name, NTSC, codec, None)
    # Results are delivered under another name first, so that no suffix helps.
    join_segments(two_segments(tmp_path, encoding), encoding, tmp_path / "part", sound)
    return (tmp_path / "part").rename(tmp_path / name)


EVERY_KIND = [
    ("a.mp4", "h264"),
    ("a.mp4", "h265"),
    ("a.mp4", "av1"),
    ("a.mp4", "vp9"),
    ("a.mov", "h265"),
    ("a.mov", "prores4444"),
    ("a.mkv", "h264"),
    ("a.mkv", "av1"),
    ("a.mkv", "prores4444"),
    ("a.webm", "vp9"),
    ("a.webm", "av1"),
    ("a.webp", "webp"),
    ("frames", "png"),
    ("a.gif", "gif"),
]


@pytest.mark.parametrize(("name", "codec"), EVERY_KIND)
def test_two_segments_are_one_clip(tmp_path: Path, name: str, codec: str) -> None:
    if not available_encoders()[Codec(codec)]:
        pytest.skip(f"no encoder for {codec} in this build of FFmpeg")
    with open_footage(joined(tmp_path, name, codec, None), rate=NTSC) as reader:
        frames = list(reader.frames())
        assert reader.info.even
        if codec not in ("gif", "webp"):  # these count hundredths and thousandths
            assert reader.info.rate == NTSC
    assert [(frame.index, frame.tick) for frame in frames] == [(k, k) for k in range(12)]
    for frame in frames:
        # The flat band at the top says which frame it is: neighbours differ by 8 levels.
        wanted = moving_picture(frame.index)[4, 32].astype(int)
        assert np.abs(frame.picture[4, 32] - wanted).max() <= 3


def test_frames_of_the_whole_are_those_of_the_segments(tmp_path: Path) -> None:
    whole = joined(tmp_path, "a.mp4", "h264", None)
    apart = []
    for name in ("one", "two"):
        with open_footage(tmp_path / name) as reader:
            apart += list(reader.frames())
    with open_footage(whole) as reader:
        for frame, wanted in zip(reader.frames(), apart, strict=True):
            np.testing.assert_array_equal(frame.picture, wanted.picture)


def test_two_encodings_of_a_segment_are_the_same_bytes(tmp_path: Path) -> None:
    encoding = encoding_for(Path("a.mp4"), NTSC, "h264", None)
    segments = two_segments(tmp_path, encoding)
    first = segments[0].read_bytes()
    two_segments(tmp_path, encoding)
    assert segments[0].read_bytes() == first


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_the_index_comes_first_and_the_colours_are_tagged(
    tmp_path: Path, name: str
) -> None:
    whole = joined(tmp_path, name, None, None)
    data = whole.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(whole)) as container:
        context = container.streams.video[0].codec_context
        tags = context.color_primaries, context.color_trc, context.colorspace
        assert (*tags, context.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_an_odd_size_is_filled_up_with_its_own_edge(tmp_path: Path, name: str) -> None:
    pixels = moving_picture(0, 41, 33)
    encoding = encoding_for(tmp_path / name, NTSC, None, None)
    write_lossless(tmp_path / "frames", [pixels] * 2, NTSC)
    encode_segment([tmp_path / "frames"], encoding, tmp_path / "segment")
    join_segments([tmp_path / "segment"], encoding, tmp_path / name, None)
    with open_footage(tmp_path / name) as reader:
        assert (reader.info.width, reader.info.height) == encoding.stored_size(41, 33)


def test_a_damaged_source_comes_back_as_the_error_that_it_is(tmp_path: Path) -> None:
    write_lossless(tmp_path / "frames", [moving_picture(0)] * 3, NTSC)
    whole = (tmp_path / "frames").read_bytes()
    (tmp_path / "frames").write_bytes(whole[:-30])
    encoding = encoding_for(Path("a.mp4"), NTSC, None, None)
    with pytest.raises(StorageError, match="frames: is damaged at frame 2"):
        encode_segment([tmp_path / "frames"], encoding, tmp_path / "segment")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames"]


def test_segments_of_two_encodings_do_not_join(tmp_path: Path) -> None:
    encoding = encoding_for(Path("a.mp4"), NTSC, "h264", None)
    write_lossless(tmp_path / "small", [moving_picture(0, 32, 32)], NTSC)
    encode_segment([tmp_path / "small"], encoding, tmp_path / "other")
    segments = [*two_segments(tmp_path, encoding), tmp_path / "other"]
    with pytest.raises(StorageError, match="other: is encoded otherwise"):
        join_segments(segments, encoding, tmp_path / "a.mp4", None)


def test_a_module_in_the_users_folder_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    two_segments(tmp_path, encoding_for(Path("a.mp4"), NTSC, None, None))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.webm"])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(1, 5)])
def test_a_tone_starts_where_it_started_in_the_source(
    tmp_path: Path, name: str, start: Fraction
) -> None:
    source = clip_with_tone(tmp_path / "source.mp4", Fraction(1, 4))
    sound = Sound(source, start, 12 / NTSC)
    whole = joined(tmp_path, name, None, sound)
    # AAC and Opus smear an onset over a few milliseconds; a packet is 21.
    assert abs(heard_onset(whole) - float(Fraction(1, 4) - start)) <= 0.011
    with av.open(str(whole)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        rate = container.streams.audio[0].rate
    assert abs(samples / rate - float(12 / NTSC)) <= 2 * 1024 / 44100  # packets at the ends


def test_a_sound_that_starts_again_is_heard_again(tmp_path: Path) -> None:
    source = clip_with_tone(tmp_path / "source.mp4", Fraction(1, 10), frames=4)
    sound = Sound(source, Fraction(0), 12 / NTSC, 4 / NTSC)
    with av.open(str(joined(tmp_path, "a.mov", None, sound))) as container:
        frames = list(container.decode(audio=0))
        rate = container.streams.audio[0].rate
    wave = np.abs(np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[0])
    steps = 40  # windows of 10 ms over the 0.4 s
    loud = wave[: steps * rate // 100].reshape(steps, -1).max(axis=1) > 0.1
    onsets = np.flatnonzero(loud[1:] & ~loud[:-1]) / 100
    wanted = 0.1 + np.arange(3) * float(4 / NTSC)
    assert np.abs(onsets - wanted).max() <= 0.021


def test_sound_of_a_losslessly_trimmed_clip_stays_in_step(tmp_path: Path) -> None:
    whole = clip_with_tone(tmp_path / "whole.mp4", Fraction(5, 8))
    trimmed = losslessly_trimmed(tmp_path / "trimmed.mp4", whole, Fraction(10, 24))
    out = joined(tmp_path, "a.mp4", None, Sound(trimmed, Fraction(0), 12 / NTSC))
    assert abs(heard_onset(out) - float(Fraction(5, 8) - Fraction(10, 24))) <= 0.011


@pytest.mark.parametrize("speed", [Fraction(1, 2), Fraction(3, 2), Fraction(2)])
def test_sound_at_another_speed_keeps_its_pitch_and_its_place(
    tmp_path: Path, speed: Fraction
) -> None:
    """At twice the speed half a second is heard after a quarter, and a tone is the tone."""
    source = clip_with_tone(tmp_path / "source.mp4", Fraction(1, 2))
    sound = Sound(source, Fraction(0), 24 / NTSC, speed=speed)
    whole = joined(tmp_path, "a.mp4", None, sound)
    if speed > Fraction(1, 2):  # else it begins where the frames end
        assert abs(heard_onset(whole) - float(Fraction(1, 2) / speed)) <= 0.05
    with av.open(str(whole)) as container:
        pieces = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    samples = np.concatenate(pieces)
    assert abs(len(samples) / rate - float(24 / NTSC)) <= 3 * 1024 / 44100
    if speed > 1:
        late = samples[-rate // 4 : -rate // 20]
        spectrum = np.abs(np.fft.rfft(late * np.hanning(len(late))))
        pitch = spectrum.argmax() * rate / len(late)
        assert abs(pitch - 1000) < 15


def test_footage_without_sound_gives_none_and_no_error(tmp_path: Path) -> None:
    source = tiny_clip(tmp_path / "source.mp4")
    whole = joined(tmp_path, "a.mp4", None, Sound(source, Fraction(0), Fraction(1)))
    with open_footage(whole) as reader:
        assert not reader.info.has_sound


def test_sound_for_a_file_that_carries_none_is_a_mistake_of_the_caller(
    tmp_path: Path,
) -> None:
    encoding = encoding_for(Path("a.gif"), NTSC, None, None)
    assert not encoding.carries_sound
    with pytest.raises(ValueError, match="gif has no sound"):
        join_segments([], encoding, tmp_path / "a.gif", Sound(tmp_path, Fraction(0), NTSC))


@pytest.mark.parametrize("name", ["a.mp4", "a.webp", "a.gif", "frames"])
def test_a_damaged_segment_is_named(tmp_path: Path, name: str) -> None:
    encoding = encoding_for(Path(name), NTSC, None, None)
    one, two = two_segments(tmp_path, encoding)
    two.write_bytes(two.read_bytes()[:200])
    with pytest.raises(StorageError, match=r"two: (this segment )?is (damaged|cut short)"):
        join_segments([one, two], encoding, tmp_path / "part", None)


def test_a_gif_shows_every_picture_in_its_own_colours(tmp_path: Path) -> None:
    encoding = encoding_for(Path("a.gif"), Fraction(25), None, None)
    # The second segment is of other colours than the first: one palette would not do.
    warm, cold = np.zeros((2, 48, 64, 3), np.uint8)
    warm[..., 0], cold[..., 2] = 200, 200
    warm[..., 1] = cold[..., 1] = np.arange(64) * 3
    segments = []
    for name, picture in (("one", warm), ("two", cold)):
        moved = [np.roll(picture, 5 * index, axis=1) for index in range(3)]
        write_lossless(tmp_path / f"{name}.frames", moved, encoding.rate)
        encode_segment([tmp_path / f"{name}.frames"], encoding, tmp_path / name)
        segments.append(tmp_path / name)
    join_segments(segments, encoding, tmp_path / "a.gif", None)
    with open_footage(tmp_path / "a.gif") as reader:
        found = [frame.picture.astype(int) for frame in reader.frames()]
    wanted = [np.roll(each, 5 * k, axis=1) for each in (warm, cold) for k in range(3)]
    assert len(found) == 6
    for shown, meant in zip(found, wanted, strict=True):
        # 64 colours fit into a palette of 256; dithering costs a few levels.
        assert np.abs(shown - meant.astype(int)).max() <= 8


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    encoding = encoding_for(Path("a.mp4"), NTSC, None, None)
    segments = two_segments(tmp_path, encoding)
    out = tmp_path / "gone" / "a.mp4"
    with pytest.raises(StorageError, match=r"gone/a\.mp4: can't be written"):
        join_segments(segments, encoding, out, None)
    with pytest.raises(StorageError, match=r"gone/a\.mp4: can't be written"):
        encode_segment([tmp_path / "one.frames"], encoding, out)
