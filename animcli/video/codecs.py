"""Codecs of results, the files that they fit into, and their quality."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Final

from animcli.errors import DeviceError, UsageError


class Codec(str, Enum):
    """Codecs of pictures."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"
    PRORES4444 = "prores4444"
    VP9 = "vp9"
    GIF = "gif"
    WEBP = "webp"
    PNG = "png"


@dataclass(frozen=True)
class CodecEncoder:
    """One encoder of FFmpeg or Pillow, and how we drive it.

    name: FFmpeg's name for it; None where Pillow does the work.
    pixel_format: what it is fed. even: whether width and height have to be even.
    quality: the default; best and worst bound what may be asked for. None: no choice.
    quality_option: FFmpeg's name for it.
    segment: the container of a segment. tag: what players want the codec to be called.
    alpha_format: what it is fed where frames have alpha; None where it can't carry any.
    alpha_segment: the container of such a segment.
    """

    name: str | None
    pixel_format: str = "yuv420p"
    even: bool = True
    quality: int | None = None
    best: int = 0
    worst: int = 51
    _: KW_ONLY
    quality_option: str = "crf"
    options: Mapping[str, str] = field(default_factory=dict)
    segment: str = "mp4"
    tag: str | None = None
    alpha_format: str | None = None
    alpha_segment: str | None = None


ENCODERS: Final = {
    Codec.H264: CodecEncoder("libx264", quality=18, options={"preset": "medium"}),
    Codec.H265: CodecEncoder(
        "libx265",
        quality=20,
        options={
            "preset": "medium",
            "x265-params": "open-gop=0:log-level=error:pools=2:frame-threads=2",
        },
        tag="hvc1",
    ),
    Codec.AV1: CodecEncoder(
        "libsvtav1", quality=26, worst=63, options={"preset": "8", "svtav1-params": "lp=2"}
    ),
    Codec.VP9: CodecEncoder(
        "libvpx-vp9",
        quality=24,
        worst=63,
        options={"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
        alpha_format="yuva420p",
        alpha_segment="webm",  # MP4 has no place for the second picture that alpha is
    ),
    Codec.PRORES4444: CodecEncoder(
        "prores_ks",
        pixel_format="yuv444p10le",
        even=False,
        options={"profile": "4444", "vendor": "apl0"},
        segment="mov",
        tag="ap4h",
        alpha_format="yuva444p10le",
    ),
    # A palette of its own in each picture, so that segments can be joined. Whole pictures,
    # since what FFmpeg left out as unchanged showed up as specks in 1 pixel of 100.
    Codec.GIF: CodecEncoder(
        "gif",
        "pal8",
        even=False,
        options={"global_palette": "0", "gifflags": "0"},
        segment="gif",
        alpha_format="pal8",
    ),
    Codec.WEBP: CodecEncoder(
        None,
        "rgb24",
        even=False,
        quality=85,
        best=100,
        worst=0,
        segment="",
        alpha_format="rgba",
    ),
    Codec.PNG: CodecEncoder(None, "rgb24", even=False, segment="", alpha_format="rgba"),
}

NO_ALPHA: Final = frozenset({".mp4"})
"""Containers in which no codec has a place for alpha."""

PICTURE_FOLDER: Final = (
    "pictures"  # what stands for a container where the result is a folder
)

CONTAINERS: Final[Mapping[str, tuple[str, tuple[Codec, ...]]]] = {
    ".mp4": ("mp4", (Codec.H264, Codec.H265, Codec.AV1, Codec.VP9)),
    ".mov": ("mov", (Codec.H264, Codec.H265, Codec.PRORES4444)),
    ".mkv": (
        "matroska",
        (Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.PRORES4444),
    ),
    ".webm": ("webm", (Codec.VP9, Codec.AV1)),
    ".gif": ("gif", (Codec.GIF,)),
    ".webp": ("webp", (Codec.WEBP,)),
    "": (PICTURE_FOLDER, (Codec.PNG,)),
}
"""Muxer of FFmpeg for each suffix, and the codecs that fit, the default first."""


def usual_suffix(codec: str | None) -> str:
    """Suffix of a result in a codec, the usual one if None, where its name wasn't said."""
    if codec is None:
        return next(iter(CONTAINERS))
    homes = [(fits, suffix) for suffix, (_, fits) in CONTAINERS.items() if codec in fits]
    return min(homes, key=lambda home: home[0][0] != codec)[1]  # where it is the default


FASTEST: Final = 1000
"""Frames per second; nothing shows more, and WebP counts milliseconds."""


@dataclass(frozen=True)
class Encoding:
    """Encoding of frames as a file.

    container: FFmpeg's muxer, `webp`, or `pictures` for a folder of PNG files.
    rate: frames per second, exact.
    quality: as the codec counts it; None where there is nothing to choose.
    alpha: frames have it, and so does the file.
    """

    codec: Codec
    container: str
    rate: Fraction
    quality: int | None
    alpha: bool = False

    @property
    def encoder(self) -> CodecEncoder:
        """Encoder of the codec."""
        return ENCODERS[self.codec]

    @property
    def pixel_format(self) -> str:
        """Format of the pictures that the encoder is fed."""
        return (self.alpha and self.encoder.alpha_format) or self.encoder.pixel_format

    @property
    def segment(self) -> str:
        """Container of a segment."""
        return (self.alpha and self.encoder.alpha_segment) or self.encoder.segment

    @property
    def carries_sound(self) -> bool:
        """Tell if such a file can have a sound track."""
        return self.container not in ("gif", "webp", PICTURE_FOLDER)

    def stored_size(self, width: int, height: int) -> tuple[int, int]:
        """The size that frames of `width` x `height` have in the file.

        With half-size colour planes both have to be even, and the last column or row is
        then repeated.
        """
        if not self.encoder.even:
            return width, height
        return width + width % 2, height + height % 2


def encoding_for(
    path: Path,
    rate: Fraction,
    codec: str | None,
    quality: int | None,
    *,
    alpha: bool = False,
) -> Encoding:
    """The encoding that a path and the user's wishes mean.

    A path without a suffix means a folder of PNG pictures. alpha: the frames have it.

    Raises UsageError for what doesn't go together, DeviceError for an encoder that this
    build of FFmpeg doesn't have.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        hint = "use one of " + " ".join(name for name in CONTAINERS if name)
        if suffix == ".png":
            hint = "for a folder of PNG pictures give a name without a suffix"
        raise UsageError(f"{path}: don't know how to write {suffix} files", hint)
    container, fitting = CONTAINERS[suffix]
    usual = next((each for each in fitting if not alpha or has_alpha(suffix, each)), None)
    chosen = (usual or fitting[0]) if codec is None else _codec(codec)
    if chosen not in fitting:
        homes = [
            name or "a folder" for name, (_, fits) in CONTAINERS.items() if chosen in fits
        ]
        what = f"a {suffix} file" if suffix else "a folder of pictures"
        raise UsageError(
            f"{path}: {chosen.value} doesn't go into {what}",
            f"use {' or '.join(homes)}, or --codec {fitting[0].value}",
        )
    if alpha and not has_alpha(suffix, chosen):
        raise UsageError(
            f"{path}: {chosen.value} in {suffix or 'a folder'} has no place for alpha",
            "NAME.mov (ProRes 4444), NAME.webm (VP9), NAME.webp, NAME.gif, or a folder",
        )
    if not 0 < rate <= FASTEST:
        raise UsageError(f"{rate} frames per second can't be", f"give 1 to {FASTEST}")
    encoder = ENCODERS[chosen]
    low, high = sorted((encoder.best, encoder.worst))
    if quality is not None and encoder.quality is None:
        raise UsageError(f"{chosen.value} has no quality to choose", "leave --quality out")
    if quality is not None and not low <= quality <= high:
        raise UsageError(
            f"quality {quality} is out of range for {chosen.value}",
            f"{encoder.best} is best, {encoder.worst} worst, {encoder.quality} the default",
        )
    check_encoder(chosen)
    used = encoder.quality if quality is None else quality
    return Encoding(chosen, container, rate, used, alpha)


def has_alpha(suffix: str, codec: Codec) -> bool:
    """Tell if a file of this suffix and codec has a place for alpha."""
    return suffix not in NO_ALPHA and ENCODERS[codec].alpha_format is not None


def check_encoder(codec: Codec) -> None:
    """Raise DeviceError if this build of FFmpeg can't encode `codec`."""
    here = available_encoders()
    if not here[codec]:
        others = ", ".join(other.value for other, there in here.items() if there)
        raise DeviceError(
            f"{codec.value}: FFmpeg was built without its encoder {ENCODERS[codec].name}",
            f"use --codec with one of {others}",
        )


def available_encoders() -> Mapping[Codec, bool]:
    """Codecs that this build of FFmpeg can encode."""
    return {codec: _is_here(encoder.name) for codec, encoder in ENCODERS.items()}


def _is_here(name: str | None) -> bool:
    if name is None:
        return True
    import av.codec.codec  # help lists the codecs, and loads no FFmpeg
    import av.error

    try:
        av.codec.codec.Codec(name, "w")
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _codec(name: str) -> Codec:
    try:
        return Codec(name.lower())
    except ValueError:
        names = " ".join(codec.value for codec in Codec)
        raise UsageError(f"there is no codec {name!r}", f"use one of {names}") from None
