"""A network of dlib is read to the last number, and nothing else is taken for one."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from animcli.errors import WeightsError
from animcli.weights.convert import NAMINGS, to_safetensors
from animcli.weights.dlib_file import read_dlib


def integer(value: int) -> bytes:
    size = max((abs(value).bit_length() + 7) // 8, 1)
    sign = 128 if value < 0 else 0
    return bytes([size | sign]) + abs(value).to_bytes(size, "little")


def integers(*values: int) -> bytes:
    return b"".join(map(integer, values))


def name(word: str) -> bytes:
    return integer(len(word)) + word.encode()


def tensor(values: NDArray[np.float32]) -> bytes:
    return integers(2, values.size, 1, 1, 1) + values.astype("<f4").tobytes()


RNG = np.random.default_rng(0)
FILTERS = RNG.standard_normal((300, 2, 3, 1)).astype(np.float32)
BIAS = RNG.standard_normal(300).astype(np.float32)
AFFINE = RNG.standard_normal((2, 5)).astype(np.float32)
FC = RNG.standard_normal((4, 3)).astype(np.float32)


def network() -> bytes:
    """One layer of each kind, the size of the convolution written in two bytes."""
    conv = np.concatenate([FILTERS.ravel(), BIAS])
    return b"".join(
        [
            integers(1, 2, 2, 2),
            name("input_rgb_image_sized"),
            name("con_4") + tensor(conv),
            integers(300, 3, 1, 2, 2, 0, 0, 1, 300, 2, 3, 1),
            name("affine_") + tensor(AFFINE.ravel()) + integers(1, -5),
            name("fc_2") + integers(3, 4) + tensor(FC.ravel()),
        ]
    )


def test_layers_are_numbered_from_the_picture_on(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(network())
    found = read_dlib(path)
    expected = {
        "convs.0.weight": FILTERS,
        "convs.0.bias": BIAS,
        "affines.0.weight": AFFINE[0],
        "affines.0.bias": AFFINE[1],
        "fc.weight": FC.T,
    }
    assert list(found) == list(expected)
    for key, values in expected.items():
        torch.testing.assert_close(
            found[key], torch.from_numpy(values.copy()), rtol=0, atol=0
        )


def test_numbers_that_look_like_a_layers_name_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    odd = np.frombuffer(b"\x01\x05con_4.", "<f4")
    path.write_bytes(name("affine_") + tensor(odd))
    assert list(read_dlib(path)) == ["affines.0.weight", "affines.0.bias"]


def test_it_becomes_safetensors(tmp_path: Path) -> None:
    source, target = tmp_path / "a.dat", tmp_path / "a.safetensors"
    source.write_bytes(network())
    to_safetensors(source, target, NAMINGS["published"])
    torch.testing.assert_close(
        load_file(target)["fc.weight"], torch.from_numpy(FC.T.copy())
    )


@pytest.mark.parametrize("kept", [0.5, 0.95, 0.999])
def test_half_a_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(network()[: int(kept * len(network()))])
    with pytest.raises(WeightsError, match=r"a\.dat is damaged, or no network of dlib"):
        read_dlib(path)


def test_another_version_of_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(
        name("affine_") + integers(3, 4, 1, 1, 1) + struct.pack("<4f", 1, 2, 3, 4)
    )
    with pytest.raises(WeightsError, match="no network of dlib"):
        read_dlib(path)
