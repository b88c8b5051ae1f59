"""From high dynamic range and wide colours to what an 8-bit BT.709 picture can show.

Sources: SMPTE ST 2084 (PQ) and ITU-R BT.2100 (HLG, its system gamma) for the curves, ITU-R
BT.2408 for reference white at 203 cd/m2, SMPTE RP 177 for the matrices from chromaticities.
The shoulder above `KNEE` is ours: it leaves what an ordinary picture holds nearly as it is
and keeps the hue of highlights, which clipping each channel would not.
"""

from enum import Enum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

SDR_GAMMA: Final = 2.4  # ITU-R BT.1886, the display that SDR video is graded on
WHITE_NITS: Final = 203.0
HLG_PEAK_NITS: Final = 1000.0
KNEE: Final = 0.6  # of reference white, linear light; below it nothing changes


class Transfer(Enum):
    """How light became numbers."""

    SDR = "SDR"
    PQ = "PQ"
    HLG = "HLG"


class Primaries(Enum):
    """Which red, green and blue the numbers mean."""

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
