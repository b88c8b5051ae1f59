"""Lossless frames in, a video that others can play out."""

import shutil
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar

from animcli.files import put_folder_in_place, put_in_place, temp_path
from animcli.pipeline.cache import find_segment, keep_segment
from animcli.pipeline.stage import RunContext, Source, Stage


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
        from animcli.video.encode import encode_segment, join_segments

        frames = open_frames(context.inputs["frames"])
        rate = self.rate or frames.rate
        alpha = frames.alpha and self.has_alpha
        encoding = encoding_for(context.out, rate, self.codec, self.quality, alpha=alpha)
        if frames.alpha and not alpha:
            context.warn(f"{encoding.codec.value} has no alpha: laid on white")
        segments = []
        for number, source in enumerate(frames.segments):
            kept = find_segment(context.work, f"segment-{number:06d}")
            if kept is None:
                segment = context.work / f"segment-{number:06d}{self.container}"
                with temp_path(segment) as part:
                    encode_segment([source], encoding, part)
                kept = keep_segment(part, context.work, f"segment-{number:06d}")
            segments.append(kept)
            context.progress("encoding", number + 1, len(frames.segments))
            context.check_cancelled()
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
