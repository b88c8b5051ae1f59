"""Between the colours of video (luma and chroma) and RGB, with nothing left to defaults.

Two traps of the libraries are why this exists. Tagging a stream as BT.709 doesn't make the
conversion use BT.709: without explicit matrices RGB is converted by BT.601, and RGB
(200, 30, 60) comes back as (212, 46, 57). And some paths of swscale are wrong. The fast
ones are off by up to 238 levels for 10-bit formats whose width isn't a multiple of 16;
`EXACT` keeps it off them. The exact one from 4:2:0 to packed RGB of 16 bits is off by 191;
planes of 16 bits are right.

Exactness costs 13 ms a frame at 1920x1080, the fast path 0.7 ms. For 8-bit frames it is off
by 0.6 levels on average (up to 15 at sharp edges of colour), which joints don't notice:
whoever looks at pictures without showing them may ask for it.

High dynamic range and wide colours (HDR) become what an 8-bit BT.709 picture can show.
Sources: SMPTE ST 2084 (PQ) and ITU-R BT.2100 (HLG, its system gamma) for the curves, ITU-R
BT.2408 for reference white at 203 cd/m2, SMPTE RP 177 for the matrices from chromaticities.
The shoulder above `KNEE` is ours: it leaves what an ordinary picture holds nearly as it is
and keeps the hue of highlights, which clipping each channel would not.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final, cast

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from animcli.errors import InputError

SDR_GAMMA: Final = 2.4  # ITU-R BT.1886, the display that SDR video is graded on
WHITE_NITS: Final = 203.0
HLG_PEAK_NITS: Final = 1000.0
DIM: Final = 36  # times less light than the brightest channel of a pixel
KNEE: Final = 0.6  # of reference white, linear light; below it nothing changes


class Transfer(Enum):
    """Transfer function from light to numbers."""

    SDR = "SDR"
    PQ = "PQ"
    HLG = "HLG"


class Primaries(Enum):
    """Primaries: the red, green and blue that the numbers mean."""

    BT709 = "BT.709"
    BT2020 = "BT.2020"
    DCI_P3 = "DCI-P3"
    DISPLAY_P3 = "Display P3"


D65: Final = (0.3127, 0.3290)
CHROMATICITIES: Final = {
    Primaries.BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    Primaries.BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    Primaries.DCI_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    Primaries.DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}


def to_sdr(
    pixels: NDArray[np.uint16], transfer: Transfer, primaries: Primaries
) -> NDArray[np.uint8]:
    """`(h, w, 3)` uint16 RGB as coded -> `(h, w, 3)` uint8 RGB of BT.709."""
    light = _linear(transfer)[pixels]  # (h, w, 3), 1 = reference white
    if transfer is Transfer.HLG:
        luminance = light @ _to_xyz(primaries)[1].astype(np.float32)
        # The OOTF: a display of 1000 cd/m2 shows scene light with a gamma of 1.2.
        scene_peak = HLG_PEAK_NITS / WHITE_NITS
        light = light * (np.maximum(luminance, 1e-6) / scene_peak)[..., None] ** 0.2
    matrix = np.linalg.inv(_to_xyz(Primaries.BT709)) @ _to_xyz(primaries)
    light = np.maximum(light @ matrix.T.astype(np.float32), 0)
    if transfer is not Transfer.SDR:
        brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
        light = light * (_shoulder(brightest) / brightest)
    coded = np.minimum(light, 1) ** np.float32(1 / SDR_GAMMA)
    # So far below the brightest channel, a channel is the rounding of its code, half a
    # step of which this steep curve would make 25 levels of.
    floor = np.maximum(light.max(axis=-1, keepdims=True) / DIM, 1e-6)
    coded = np.where(light < floor, light * floor ** (1 / SDR_GAMMA - 1), coded)
    return np.rint(coded * 255).astype(np.uint8)


def _shoulder(light: NDArray[np.float32]) -> NDArray[np.float32]:
    room = 1 - KNEE
    over = np.maximum(light - KNEE, 0)
    bent: NDArray[np.float32] = np.minimum(light, KNEE) + room * -np.expm1(-over / room)
    return bent


@cache
def _linear(transfer: Transfer) -> NDArray[np.float32]:
    """`(65536,)`: the light that each 16-bit code stands for, 1 = reference white."""
    code = np.linspace(0, 1, 65536)
    if transfer is Transfer.PQ:
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        root = code ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return (light * 10_000 / WHITE_NITS).astype(np.float32)
    if transfer is Transfer.HLG:
        a = 0.17883277
        b = 1 - 4 * a
        c = 0.5 - a * np.log(4 * a)
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        return (light * HLG_PEAK_NITS / WHITE_NITS).astype(np.float32)
    return (code**SDR_GAMMA).astype(np.float32)


@cache
def _to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    """`(3, 3)`: linear RGB of these primaries -> CIE XYZ, white at Y = 1."""
    *corners, white = (
        np.array([x / y, 1, (1 - x - y) / y]) for x, y in CHROMATICITIES[primaries]
    )
    matrix = np.stack(corners, axis=1)
    scaled: NDArray[np.float64] = matrix * np.linalg.solve(matrix, white)
    return scaled


# Flags of libswscale by number: PyAV 17, the last for Python 3.10, doesn't name them.
_ACCURATE_RND: Final = 1 << 18
_FULL_CHR_H_INT: Final = 1 << 13
EXACT: Final = int(Interpolation.BILINEAR) | _ACCURATE_RND | _FULL_CHR_H_INT
FAST: Final = int(Interpolation.BILINEAR)

# Numbers of ITU-T H.273: matrix coefficients, transfer characteristics, primaries.
UNTAGGED: Final = 2
MATRICES: Final[dict[int, int]] = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: 9,  # BT.2020, which PyAV 17 converts by the frame's tag without a name for it
}
UNKNOWN_MATRICES: Final = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "SMPTE 2085",
    12: "chromaticity-derived",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-PQ-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
TRANSFERS: Final = {16: Transfer.PQ, 18: Transfer.HLG}
PRIMARIES: Final = {9: Primaries.BT2020, 11: Primaries.DCI_P3, 12: Primaries.DISPLAY_P3}

TRANSPARENT: Final = frozenset(
    {"rgba", "bgra", "argb", "abgr", "ya8", "pal8"}
    | {f"{order}64{end}" for order in ("rgba", "bgra") for end in ("le", "be")}
    | {"ya16le", "ya16be"}
)

HD_HEIGHT: Final = (
    577  # the first height above PAL's; what nobody tagged is BT.709 from here
)


@dataclass(frozen=True)
class Colours:
    """Colour tags of decoded frames."""

    matrix: int
    full_range: bool
    transfer: Transfer
    primaries: Primaries
    transparent: bool

    @property
    def need_light(self) -> bool:
        """Tell if the conversion has to go through linear light."""
        return self.transfer is not Transfer.SDR or self.primaries is not Primaries.BT709

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user."""
        notes = []
        if self.transfer is not Transfer.SDR:
            notes.append(f"HDR ({self.transfer.value}), tone-mapped to standard range")
        elif self.primaries is not Primaries.BT709:
            notes.append(f"{self.primaries.value} colours, converted to BT.709")
        if self.transparent:
            notes.append("has transparent parts, shown on white")
        return tuple(notes)


def colours_of(frame: av.VideoFrame) -> Colours:
    """Read the tags of a frame; what isn't tagged is BT.601 up to PAL's size, else BT.709.

    Raises InputError, without the file's name, for colours that can't be converted.
    """
    name = frame.format.name
    matrix = MATRICES.get(frame.colorspace)
    grey = name.startswith(("gray", "ya", "mono", "pal8"))
    if frame.format.is_rgb or grey:
        matrix = Colorspace.ITU709
    elif frame.colorspace in UNKNOWN_MATRICES:
        colours = UNKNOWN_MATRICES[frame.colorspace]
        raise InputError(
            f"{colours} colours can't be converted", "convert it to BT.709 first"
        )
    elif matrix is None:
        matrix = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    full = frame.color_range == ColorRange.JPEG or name.startswith("yuvj")
    limited = frame.color_range == ColorRange.MPEG
    return Colours(
        matrix=matrix,
        full_range=full or frame.format.is_rgb or (grey and not limited),
        transfer=TRANSFERS.get(frame.color_trc, Transfer.SDR),
        primaries=PRIMARIES.get(frame.color_primaries, Primaries.BT709),
        transparent="yuva" in name or "gbrap" in name or name in TRANSPARENT,
    )


def to_rgb(
    frame: av.VideoFrame,
    colours: Colours,
    width: int,
    height: int,
    *,
    fast_colour: bool = False,
) -> NDArray[np.uint8]:
    """The frame as `(height, width, 3)` uint8 RGB of BT.709, at that size.

    fast_colour: about right is enough, where the format allows it.

    Raises InputError, without the file's name, for pixels that can't be converted.
    """
    try:
        return _to_rgb(frame, colours, width, height, fast_colour=fast_colour)
    except (av.error.OSError, ValueError) as error:
        raise InputError(
            f"its pixels ({frame.format.name}) can't be converted",
            "convert it to H.264 first",
        ) from error


def _to_rgb(
    frame: av.VideoFrame, colours: Colours, width: int, height: int, *, fast_colour: bool
) -> NDArray[np.uint8]:
    eight_bits = all(component.bits == 8 for component in frame.format.components)
    converts = colours.need_light
    deep, flat = ("gbrap16le", "rgba") if colours.transparent else ("gbrp16le", "rgb24")
    shown = frame.reformat(
        width,
        height,
        deep if converts else flat,
        src_colorspace=colours.matrix,
        dst_colorspace=Colorspace.ITU709,
        interpolation=FAST if fast_colour and eight_bits else EXACT,
        src_color_range=ColorRange.JPEG if colours.full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    coded = cast("NDArray[np.integer]", shown.to_ndarray())
    if not colours.full_range and frame.format.name.startswith(("gray", "ya")):
        coded = _expanded(coded)
    if converts:
        codes = coded.astype(np.uint16, copy=False)
        picture = to_sdr(codes[..., :3], colours.transfer, colours.primaries)
    else:
        picture = coded[..., :3].astype(np.uint8, copy=False)
    if colours.transparent:
        opaque = coded[..., 3:].astype(np.float32) / (65535 if converts else 255)
        picture = np.rint(picture * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return np.ascontiguousarray(picture)


def _expanded(grey: NDArray[np.integer]) -> NDArray[np.integer]:
    """Grey of limited range as full range, `(h, w, 3 or 4)`; alpha has no range.

    swscale takes all grey for full range, whatever it is told.
    """
    most = np.iinfo(grey.dtype).max
    unit = (most + 1) // 256
    wide = (grey[..., :3].astype(np.float32) - 16 * unit) * np.float32(most / (219 * unit))
    whole = np.rint(wide.clip(0, most)).astype(grey.dtype)
    return np.concatenate([whole, grey[..., 3:]], axis=2)


def to_video(
    pixels: NDArray[np.uint8], pixel_format: str, *, full_range: bool = False
) -> av.VideoFrame:
    """`(h, w, 3)` uint8 RGB, or `(h, w, 4)` RGBA, as a frame of BT.709, of `pixel_format`,
    tagged as such.
    """
    kind = "rgb24" if pixels.shape[2] == 3 else "rgba"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
    video = frame.reformat(
        format=pixel_format,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        interpolation=EXACT,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        threads=1,
    )
    video.color_primaries = video.color_trc = 1
    return video
