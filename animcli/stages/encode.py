"""Lossless frames in, a video that others can play out."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from animcli.files import put_folder_in_place, put_in_place, temp_path
from animcli.pipeline.cache import find_segment, keep_segment
from animcli.pipeline.stage import RunContext, Source, Stage

if TYPE_CHECKING:
    from animcli.video.codecs import Encoding


@dataclass(frozen=True)
class EncodeStage(Stage):
    """Encodes lossless frames for delivery.

    frames: the folder that a render, a comparison or a drawing stage makes.
    container: suffix of the file, such as `.mp4`; it decides the codec where none is named.
    codec, quality: as `anim encode --codec --quality` says; None takes the usual.
    rate: frames per second that the file claims; None keeps that of the frames. No frame
        is added or left out.
    sound: a video whose sound goes along, cut to the length of the frames; one without
        sound is fine.
    sound_start: seconds into the sound at which the first frame is shown.
    looped: the motion that the frames start again with where it ends; so does its sound.
    speed: of the sound, its pitch kept; 2 takes half of the time.
    """

    name: ClassVar[str] = "encode"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("av", "pillow")

    frames: Source
    container: str = ".mp4"
    codec: str | None = None
    quality: int | None = None
    rate: Fraction | None = None
    sound: Source | None = None
    _: KW_ONLY
    sound_start: Fraction = Fraction(0)
    looped: Source | None = None
    speed: Fraction = Fraction(1)

    @property
    def suffix(self) -> str:
        return self.container

    @property
    def has_alpha(self) -> bool:
        """True if such a file has a place for alpha."""
        from animcli.video.codecs import CONTAINERS, Codec, has_alpha

        codecs = [Codec(self.codec)] if self.codec else CONTAINERS[self.container][1]
        return any(has_alpha(self.container, codec) for codec in codecs)

    def run(self, context: RunContext) -> None:
        from animcli.pose.io_pose import read_pose
        from animcli.stages.fitting import resample
        from animcli.stages.frames import open_frames
        from animcli.video.audio import Sound, has_sound
        from animcli.video.codecs import encoding_for
        from animcli.video.encode import join_segments

        frames = open_frames(context.inputs["frames"])
        rate = self.rate or frames.rate
        alpha = frames.alpha and self.has_alpha
        encoding = encoding_for(context.out, rate, self.codec, self.quality, alpha=alpha)
        if frames.alpha and not alpha:
            context.warn(f"{encoding.codec.value} has no alpha: laid on white")

        def told(done: int) -> None:
            context.progress("encoding", done, len(frames.segments))
            context.check_cancelled()

        segments = encode_each(
            frames.segments, encoding, context.work, self.container, told
        )
        sound = None
        if "sound" in context.inputs and encoding.carries_sound:
            length, period = frames.frames / rate, None
            if "looped" in context.inputs:
                motion = resample(read_pose(context.inputs["looped"]), frames.rate)
                period = len(motion) / rate / self.speed
            sound = Sound(
                context.inputs["sound"], self.sound_start, length, period, self.speed
            )
        elif "sound" in context.inputs and has_sound(context.inputs["sound"]):
            context.warn(f"{self.container or 'pictures'}: there is no room for the sound")
        with temp_path(context.out) as part:
            join_segments(segments, encoding, part, sound)
        if part.is_dir():
            shutil.rmtree(
                context.out, ignore_errors=True
            )  # of a run killed just after this
            put_folder_in_place(part, context.out)
        else:
            put_in_place(part, context.out)


def encode_each(
    sources: Sequence[Path],
    encoding: "Encoding",
    folder: Path,
    suffix: str,
    told: Callable[[int], None] = lambda done: None,
) -> list[Path]:
    """Encode segments of lossless frames, those alone that `folder` doesn't hold yet.

    suffix: of the segments' names. told: how many there are, after each.
    """
    from animcli.video.encode import encode_segment

    segments = []
    for number, source in enumerate(sources):
        stem = f"segment-{number:06d}"
        kept = find_segment(folder, stem)
        if kept is None:
            with temp_path(folder / f"{stem}{suffix}") as part:
                encode_segment([source], encoding, part)
            kept = keep_segment(part, folder, stem)
        segments.append(kept)
        told(number + 1)
    return segments
