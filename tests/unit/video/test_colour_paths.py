"""Every pixel format and colour space is converted as plain arithmetic says.

libswscale's paths depend on the format, the size and the CPU, and some of them are
wrong: each is compared with the equations of ITU-R BT.709, BT.601 and BT.2020, written out
here with numpy.
"""

import itertools
from pathlib import Path
from typing import Final

import av
import numpy as np
import pytest
from av.video.format import VideoFormat, names
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.video.colour import MATRICES, colours_of, to_rgb, to_sdr
from animcli.video.reader import open_footage

WEIGHTS: Final = {  # of red and blue in luma, by the number of the matrix in ITU-T H.273
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
SIZES: Final = ((64, 48), (88, 56))  # one is a multiple of 16, which has paths of its own
EDGE: Final = 8  # px, where chroma is guessed beyond the border
PACKED: Final = {  # the order of channels, bits of each
    **{name: (name, 8) for name in ("rgb24", "bgr24", "rgba", "bgra", "argb", "abgr")},
    **{name: (name, 8) for name in ("rgb0", "bgr0", "0rgb", "0bgr")},
    **{f"{order}48{end}": (order, 16) for order in ("rgb", "bgr") for end in ("le", "be")},
    **{
        f"{order}64{end}": (order, 16) for order in ("rgba", "bgra") for end in ("le", "be")
    },
}
INTERLEAVED: Final = {  # chroma in pairs; steps across and down, bits, and bits below them
    "nv12": (2, 2, 8, 0),
    "nv21": (2, 2, 8, 0),
    "nv16": (2, 1, 8, 0),
    "nv24": (1, 1, 8, 0),
    "p010le": (2, 2, 10, 6),
    "p010be": (2, 2, 10, 6),
    "p016le": (2, 2, 16, 0),
    "p210le": (2, 1, 10, 6),
    "p410le": (1, 1, 10, 6),
}
YUYV: Final = {"yuyv422": "yuyv", "uyvy422": "uyvy", "yvyu422": "yvyu"}


def planar() -> list[str]:
    """All formats of this FFmpeg with a plane of whole numbers for each channel."""
    found = []
    for name in sorted(names):
        fits = name.startswith(("yuv", "gbr", "gray")) and name not in YUYV
        if fits and not any(odd in name for odd in ("msb", "f32", "f16", "32")):
            form = VideoFormat(name, 64, 48)
            if {part.plane for part in form.components} == set(range(len(form.components))):
                found.append(name)
    return found


def ramps(size: tuple[int, int]) -> NDArray[np.float64]:
    """`(h, w, 3)` RGB in 0..1 that goes through all the hues without an edge."""
    across = np.linspace(0, 1, size[0])[None, :]
    down = np.linspace(0, 1, size[1])[:, None]
    both = (across + down) / 2
    return np.stack([across + 0 * down, down + 0 * across, 1 - both], axis=2) * 0.5 + 0.35


def coded(
    rgb: NDArray[np.float64], matrix: int, bits: int, *, full: bool
) -> list[NDArray[np.float64]]:
    """Luma and the two chromas as code values, not rounded."""
    red_share, blue_share = WEIGHTS[matrix]
    luma = rgb @ (red_share, 1 - red_share - blue_share, blue_share)
    blue = (rgb[..., 2] - luma) / (2 * (1 - blue_share))
    red = (rgb[..., 0] - luma) / (2 * (1 - red_share))
    unit, most = 2.0 ** (bits - 8), 2.0**bits - 1
    if full:
        return [luma * most, *(128 * unit + most * part for part in (blue, red))]
    return [(16 + 219 * luma) * unit, *((128 + 224 * part) * unit for part in (blue, red))]


def fewer(plane: NDArray[np.float64], across: int, down: int) -> NDArray[np.float64]:
    """Means of blocks: chroma that lies between the pixels it belongs to."""
    high, wide = plane.shape
    blocks = plane.reshape(high // down, down, wide // across, across)
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return means


def put(plane: av.video.plane.VideoPlane, rows: NDArray[np.float64], kind: str) -> None:
    """Fill a plane with rows of code values, rounded."""
    values = np.rint(rows).astype(kind)
    room = np.zeros((plane.height, plane.line_size // values.itemsize), kind)
    room[:, : values.shape[1]] = values
    plane.update(room.tobytes())


def frame_of(
    name: str, rgb: NDArray[np.float64], matrix: int, *, full: bool
) -> av.VideoFrame:
    """The picture in a pixel format, written by hand."""
    height, width, _ = rgb.shape
    frame = av.VideoFrame(width, height, name)
    end = ">" if name.endswith("be") else "<"
    if name in PACKED:
        order, bits = PACKED[name]
        channels = {"r": rgb[..., 0], "g": rgb[..., 1], "b": rgb[..., 2]}
        opaque = np.ones(rgb.shape[:2])
        rows = np.stack(
            [channels.get(each, opaque) for each in order if each in "rgba0"], 2
        )
        kind = "u1" if bits == 8 else f"{end}u2"
        put(frame.planes[0], rows.reshape(height, -1) * (2**bits - 1), kind)
    elif name in INTERLEAVED:
        across, down, bits, below = INTERLEAVED[name]
        kind = "u1" if bits == 8 else f"{end}u2"
        luma, blue, red = (np.rint(part) for part in coded(rgb, matrix, bits, full=full))
        pair = [red, blue] if name == "nv21" else [blue, red]
        chroma = np.stack([np.rint(fewer(part, across, down)) for part in pair], 2)
        put(frame.planes[0], luma * 2**below, kind)
        put(frame.planes[1], chroma.reshape(len(chroma), -1) * 2**below, kind)
    elif name in YUYV:
        luma, blue, red = coded(rgb, matrix, 8, full=full)
        cfg_batch = {"u": fewer(blue, 2, 1), "v": fewer(red, 2, 1)}
        lumas = iter([luma[:, ::2], luma[:, 1::2]])
        rows = np.stack([next(lumas) if c == "y" else cfg_batch[c] for c in YUYV[name]], 2)
        put(frame.planes[0], rows.reshape(height, -1), "u1")
    else:
        bits = frame.format.components[0].bits
        kind = "u1" if bits == 8 else f"{end}u2"
        most = 2.0**bits - 1
        opaque = np.full((height, width), most)
        if name.startswith("gbr"):
            parts = [rgb[..., place] * most for place in (1, 2, 0)] + [opaque]
        else:
            parts = [*coded(rgb, matrix, bits, full=full), opaque]
        for plane, part in zip(frame.planes, parts, strict=False):
            steps = (width // plane.width, height // plane.height)
            put(plane, fewer(part, *steps), kind)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


def converts(
    frame: av.VideoFrame,
    rgb: NDArray[np.float64],
    *,
    fast_colour: bool = False,
    allowed: int = 3,
) -> None:
    """Assert that the frame becomes the picture, whatever its light means."""
    height, width, _ = rgb.shape
    if frame.format.name.startswith("gray"):
        rgb = np.repeat((rgb @ (0.2126, 0.7152, 0.0722))[..., None], 3, axis=2)
    codes = np.rint(rgb * 65535).astype(np.uint16)
    tags = {"BT.709": (1, 1), "Display P3": (1, 12), "HLG": (18, 9), "PQ": (16, 9)}
    for light, (frame.color_trc, frame.color_primaries) in tags.items():
        colours = colours_of(frame)
        found = to_rgb(frame, colours, width, height, fast_colour=fast_colour).astype(int)
        wanted = np.rint(rgb * 255).astype(np.uint8)
        if colours.need_light:
            wanted = to_sdr(codes, colours.transfer, colours.primaries)
        off = np.abs(found - wanted)[EDGE:-EDGE, EDGE:-EDGE]
        # A step of 8-bit PQ near black is up to 60 levels of what is shown: few pixels.
        assert off.mean() <= 2, f"{light}: {off.mean():.2f} levels off on average"
        assert colours.need_light or off.max() <= allowed, f"{off.max()} levels off"


@pytest.mark.parametrize("name", [*planar(), *PACKED, *INTERLEAVED, *YUYV])
def test_each_pixel_format_is_converted_as_the_equations_say(name: str) -> None:
    if name not in names:
        pytest.skip(f"this FFmpeg has no {name}")
    for size in SIZES:
        rgb = ramps(size)
        if name.startswith("yuvj"):
            converts(frame_of(name, rgb, 1, full=True), rgb)
            continue
        for full in (False, True):
            if full and name.startswith(("gbr", *PACKED)):
                continue
            converts(frame_of(name, rgb, 1, full=full), rgb)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "p010le", "yuv444p12le"])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize("full", [False, True])
def test_each_matrix_and_range_is_converted_as_the_equations_say(
    name: str, matrix: int, full: bool
) -> None:
    assert WEIGHTS.keys() == MATRICES.keys()
    rgb = ramps(SIZES[1])
    frame = frame_of(name, rgb, matrix, full=full)
    converts(frame, rgb)
    converts(frame, rgb, fast_colour=True, allowed=5)


def test_pixels_that_swscale_does_not_know_are_named() -> None:
    frame = av.VideoFrame(64, 48, "gray32le")
    with pytest.raises(InputError, match=r"gray32le.*can't be converted"):
        to_rgb(frame, colours_of(frame), 64, 48)


BARS: Final = np.array([*itertools.product((0, 0.75), repeat=3)])


def hlg_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Display light of BT.2020, 1 = reference white of 203 cd/m2, by ITU-R BT.2100."""
    shown = light * 0.203  # of a display of 1000 cd/m2
    luminance = np.maximum(shown @ (0.2627, 0.678, 0.0593), 1e-9)[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    bright = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def pq_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same by SMPTE ST 2084."""
    power = (light * 203 / 10_000) ** (2610 / 16384)
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    return ((c1 + c2 * power) / (1 + c3 * power)) ** (2523 / 4096 * 128)


TO_BT2020: Final = np.array(  # ITU-R BT.2087, with more digits
    [
        [0.627404, 0.329283, 0.043313],
        [0.069097, 0.919540, 0.011362],
        [0.016391, 0.088013, 0.895595],
    ]
)
TO_P3: Final = np.array(  # of linear BT.709
    [[0.822462, 0.177538, 0], [0.033194, 0.966806, 0], [0.017083, 0.072397, 0.910520]]
)


@pytest.mark.parametrize("fast_colour", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize("kind", ["HLG", "PQ", "Display P3"])
def test_bars_of_a_wide_clip_are_those_of_an_ordinary_one(
    tmp_path: Path, kind: str, pixel_format: str, fast_colour: bool
) -> None:
    light = BARS**2.4
    codes, tags = {
        "HLG": (hlg_code(light @ TO_BT2020.T), (18, 9, 9)),
        "PQ": (pq_code(light @ TO_BT2020.T), (16, 9, 9)),
        "Display P3": ((light @ TO_P3.T) ** (1 / 2.4), (1, 12, 1)),
    }[kind]
    bars = np.repeat(codes, 24, axis=0)[None].repeat(48, axis=0)
    frame = frame_of(pixel_format, bars, tags[2], full=False)
    with av.open(str(tmp_path / "bars.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=24, options={"qp": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 192, 48, pixel_format
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = tags
        context.color_range = 1
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with open_footage(tmp_path / "bars.mp4", fast_colour=fast_colour) as reader:
        found = next(reader.frames()).picture[24, 12::24].astype(int)
        assert any(kind in note for note in reader.info.notes)
    off = np.abs(found - np.rint(BARS * 255))
    assert off[BARS > 0].max() <= 4
    assert off.max() <= 15  # dark channels, whose light is below half a step of the codes
