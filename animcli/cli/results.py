"""Names and encodings of results: videos, and folders of pictures."""

from pathlib import Path

from animcli.cli.config import Options
from animcli.cli.plan import FrameSource, output_path
from animcli.pipeline.output import is_published
from animcli.pipeline.project import Project
from animcli.registry import DEFAULT_RATE
from animcli.stages.encode import EncodeStage
from animcli.video.codecs import Codec, encoding_for, usual_suffix


def encode_stage(source: FrameSource, out: Path, options: Options) -> EncodeStage:
    """The stage that makes the video `out` of a film.

    Raises UsageError where suffix, codec and quality don't go together.
    """
    rate, alpha = options.fps or DEFAULT_RATE, source.alpha
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
    codec = options.codec or (Codec.PRORES4444.value if source.alpha else None)
    return output_path(out, source.name + usual_suffix(codec))
