"""The sound of the driving video, cut to the span of the frames that were used.

It is copied as it is where the span begins with the sound and the codec fits the file: the
start is then exact and the end within one packet (21 ms). Anywhere else a cut between
packets would be off by up to a packet, so that the span is decoded, cut at the sample and
encoded again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.video.container import (
    FFMPEG_ERRORS,
    ffmpeg_message,
    open_container,
    picture_stream,
    read_timeline,
)
from animcli.video.images import is_animation
from animcli.video.limits import Limits, checked_start, regular_file

COPIED: Final = {
    "mp4": ("aac", "mp3", "ac3", "alac"),
    "mov": ("aac", "mp3", "alac", "pcm_s16le"),
    "matroska": ("aac", "mp3", "opus", "vorbis", "flac", "ac3"),
    "webm": ("opus", "vorbis"),
}
"""The codecs of sound that each container takes as they are."""

AAC_RATES: Final = (48000, 44100, 32000, 24000, 22050, 16000)
BITS_PER_SECOND: Final = 192_000  # of two channels
CHANNEL_LAYOUTS: Final = {1: "mono", 2: "stereo"}
LONGEST_PRIMING_S: Final = Fraction(1, 10)  # AAC's is 21 to 48 ms


@dataclass(frozen=True)
class Sound:
    """A span of the sound of a video.

    start: seconds after the video's first frame. duration: seconds of the result.
    period: seconds of the result after which it starts again, if it does.
    speed: how much faster it is than in the video, its pitch kept; 1/2 to 2.
    """

    source: Path
    start: Fraction
    duration: Fraction
    period: Fraction | None = None
    speed: Fraction = Fraction(1)

    @property
    def repeats(self) -> bool:
        """True if it starts again before its end."""
        return self.period is not None and self.period < self.duration


def has_sound(source: Path) -> bool:
    """Tell if there is a sound track in what the user gave as footage."""
    if source.is_dir():
        return False
    path, start = checked_start(source, "a video")
    if is_animation(start):
        return False
    with open_container(source, path) as container:
        return _first_track(container) is not None


def _first_track(container: InputContainer) -> int | None:
    """Index of the first sound track that this build of FFmpeg can decode."""
    tracks = enumerate(container.streams.audio)
    return next((place for place, track in tracks if track.codec_context), None)


def add_sound(
    output: OutputContainer, container: str, sound: Sound
) -> Iterator["Packet[AudioStream]"]:
    """Add a sound track to `output`, and give its packets; none if `sound` has no sound.

    container: FFmpeg's name for the kind of file that `output` is.
    """
    if not has_sound(sound.source):
        return iter(())
    path = regular_file(sound.source, "a video")
    with open_container(sound.source, path) as source:
        pictures = picture_stream(sound.source, source)
        timeline = read_timeline(sound.source, source, pictures, Limits())
    begin = int(timeline.ticks[0]) * timeline.time_base + sound.start
    with open_container(sound.source, path) as source:
        track = _first_track(source)
        if track is None:
            return iter(())
        stream = source.streams.audio[track]
        changed = sound.repeats or sound.speed != 1
        if not changed and _can_be_copied(source, stream, container, begin):
            copy = output.add_stream_from_template(stream)
            return _copied(sound, path, track, copy, begin)
        channels = min(stream.channels, 2)
        native = stream.rate
    name = "libopus" if container == "webm" else "aac"
    rate = native if name == "aac" and native in AAC_RATES else 48000
    encoder = output.add_stream(name, rate=rate, layout=CHANNEL_LAYOUTS[channels])
    if not isinstance(encoder, AudioStream):
        raise TypeError(f"{name} doesn't encode sound")
    encoder.codec_context.bit_rate = BITS_PER_SECOND * channels // 2
    return _encoded(sound, path, track, encoder, begin)


def _can_be_copied(
    source: InputContainer, stream: AudioStream, container: str, begin: Fraction
) -> bool:
    """Tell if the span starts with the sound, so that no packet is cut at its start."""
    if stream.codec_context.name not in COPIED.get(container, ()):
        return False
    first = next(source.demux(stream), None)
    if first is None or first.pts is None:
        return False
    lead = first.pts * first.time_base - begin
    # An encoder's priming before time zero stays hidden behind an edit list, which only
    # these two containers have.
    return lead >= 0 or (container in ("mp4", "mov") and lead > -LONGEST_PRIMING_S)


def _copied(
    sound: Sound, path: Path, track: int, copy: AudioStream, begin: Fraction
) -> Iterator["Packet[AudioStream]"]:
    with open_container(sound.source, path) as source:
        stream = source.streams.audio[track]
        try:
            for packet in source.demux(stream):
                if packet.size == 0 or packet.pts is None:
                    continue
                if packet.pts * packet.time_base - begin >= sound.duration:
                    return
                shift = round(begin / packet.time_base)
                packet.pts -= shift
                packet.dts = packet.pts
                packet.stream = copy
                yield packet
        except FFMPEG_ERRORS as error:
            raise _damage(sound, error) from error


def _encoded(
    sound: Sound, path: Path, track: int, encoder: AudioStream, begin: Fraction
) -> Iterator["Packet[AudioStream]"]:
    rate = encoder.codec_context.sample_rate
    layout = encoder.codec_context.layout.name
    written = 0
    for samples in _repeated(sound, path, track, begin, rate, layout):
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = written
        written += samples.shape[1]
        yield from encoder.encode(frame)
    if written:
        yield from encoder.encode(None)


def _repeated(
    sound: Sound, path: Path, track: int, begin: Fraction, rate: int, layout: str
) -> Iterator[NDArray[np.float32]]:
    """The samples `(channels, n)` of the span, from its start again after each period.

    Where the sound is shorter than that, there is silence.
    """
    if not sound.repeats or sound.period is None:
        yield from _paced(sound, path, track, begin, rate, layout)
        return
    total, done, number = round(sound.duration * rate), 0, 0
    while done < total:
        number += 1
        until = min(round(number * sound.period * rate), total)
        part = replace(sound, duration=Fraction(until - done, rate))
        channels = 1
        for samples in _paced(part, path, track, begin, rate, layout):
            channels, done = len(samples), done + samples.shape[1]
            yield samples
        if done < until:
            yield np.zeros((channels, until - done), np.float32)
            done = until


def _paced(
    sound: Sound, path: Path, track: int, begin: Fraction, rate: int, layout: str
) -> Iterator[NDArray[np.float32]]:
    """The samples `(channels, n)` of the span at its speed, by FFmpeg's filter atempo."""
    whole = replace(sound, duration=sound.duration * sound.speed)
    pieces = _cut(whole, path, track, begin, rate, layout)
    if sound.speed == 1:
        yield from pieces
        return
    graph = Graph()
    form = {"sample_rate": str(rate), "sample_fmt": "fltp", "channel_layout": layout}
    source = graph.add("abuffer", time_base=f"1/{rate}", **form)
    tempo = graph.add("atempo", str(float(sound.speed)))
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    given, left = 0, round(sound.duration * rate)
    for samples in chain(pieces, [None]):
        if samples is None:
            graph.push(None)
        else:
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), given
            given += samples.shape[1]
            graph.push(frame)
        while left > 0:
            try:
                changed = graph.pull()
            except (BlockingIOError, EOFError):
                break
            kept = changed.to_ndarray().astype(np.float32, copy=False)[:, :left]
            left -= kept.shape[1]
            yield np.ascontiguousarray(kept)


def _cut(
    sound: Sound, path: Path, track: int, begin: Fraction, rate: int, layout: str
) -> Iterator[NDArray[np.float32]]:
    """The samples `(channels, n)` of the span, gaps filled with silence, none twice."""
    total = round(sound.duration * rate)
    due = 0
    with open_container(sound.source, path) as source:
        stream = source.streams.audio[track]
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        try:
            for decoded in chain(source.decode(stream), [None]):
                for frame in resampler.resample(decoded):
                    samples = frame.to_ndarray().astype(np.float32, copy=False)
                    place = due
                    if frame.pts is not None and frame.time_base is not None:
                        place = round((frame.pts * frame.time_base - begin) * rate)
                    if due > 0 and abs(place - due) <= rate // 100:
                        place = due  # the rounding of the container's clock
                    if place > due:
                        gap = min(place, total) - due
                        yield np.zeros((len(samples), gap), np.float32)
                        due += gap
                    kept = samples[:, max(due - place, 0) : max(total - place, 0)]
                    if kept.shape[1]:
                        yield np.ascontiguousarray(kept)
                        due += kept.shape[1]
                if due >= total:
                    return
        except FFMPEG_ERRORS as error:
            raise _damage(sound, error) from error


def _damage(sound: Sound, error: BaseException) -> InputError:
    return InputError(
        f"{sound.source}: its sound is damaged ({ffmpeg_message(error)})",
        "--no-audio leaves the sound out",
    )
