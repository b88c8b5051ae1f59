"""Names and encodings of results: videos, and folders of pictures."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

from animcli.cli.config import Options
from animcli.cli.plan import FrameSource, output_path
from animcli.pipeline.output import is_published
from animcli.pipeline.project import Project
from animcli.stages.encode import EncodeStage
from animcli.video.codecs import Codec, encoding_for

CODEC_SUFFIXES: Final[Mapping[str | None, str]] = {
    None: ".mp4",
    "h264": ".mp4",
    "h265": ".mp4",
    "av1": ".mp4",
    "prores4444": ".mov",
    "vp9": ".webm",
    "gif": ".gif",
    "webp": ".webp",
    "png": "",
}
"""Suffix of a video of each codec where its name wasn't said; `png` makes a folder."""


def encode_stage(source: FrameSource, out: Path, options: Options) -> EncodeStage:
    """The stage that makes the video `out` of a film.

    Raises UsageError where suffix, codec and quality don't go together.
    """
    rate, alpha = options.fps or Fraction(24), source.alpha
    encoding_for(out, rate, options.codec, options.quality, alpha=alpha)
    return EncodeStage(
        source.frames,
        out.suffix.lower(),
        options.codec,
        options.quality,
        sound=source.sound,
        sound_start=source.sound_start,
        looped=source.looped,
        speed=source.speed,
    )


def video_path(
    source: FrameSource, out: Path | None, options: Options, project: Project
) -> Path:
    """Path of the video of some frames.

    A folder of pictures that anim made is such a result again, and no place for one.
    """
    pictures = options.codec in (None, Codec.PNG.value)
    if out is not None and pictures and out.is_dir() and is_published(project, out):
        return out
    suffix = CODEC_SUFFIXES[options.codec]
    if source.alpha and options.codec is None:
        suffix = CODEC_SUFFIXES[Codec.PRORES4444.value]
    return output_path(out, source.name + suffix)
