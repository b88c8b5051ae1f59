"""A segment is encoded the same wherever it lies, so that it may be encoded again."""

from fractions import Fraction
from pathlib import Path

import pytest
from builders.stages import spot_pictures

from animcli.video.codecs import encoding_for
from animcli.video.encode import encode_segment
from animcli.video.lossless import write_lossless


@pytest.mark.parametrize("length", [13, 73, 97, 121])  # each gave other pixels once
def test_the_length_of_a_path_does_not_show_in_the_pixels(
    tmp_path: Path, length: int
) -> None:
    encoded = []
    for folder in (tmp_path / "x", tmp_path / ("x" * length)):
        folder.mkdir()
        source, out = folder / "in.frames", folder / "out.mp4"
        write_lossless(source, spot_pictures(48), Fraction(24))
        encode_segment([source], encoding_for(out, Fraction(24), None, None), out)
        encoded.append(out.read_bytes())
    assert encoded[0] == encoded[1]
