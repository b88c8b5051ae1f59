"""A network with DensePose's signature is asked, and its answer laid out."""

from pathlib import Path

import numpy as np
import pytest
from builders.densepose_models import (
    STEP,
    BandParts,
    Classifier,
    Nobody,
    figure,
    write_onnx,
    write_torchscript,
)

from animcli.errors import WeightsError
from animcli.pose.detectors.densepose import FILE, DensePoseNetwork, lay

# torch tells Python 3.14 that TorchScript will go; what is published is TorchScript.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def test_torchscript_finds_every_part_where_it_is(tmp_path: Path) -> None:
    write_torchscript(tmp_path / FILE, BandParts())
    picture = figure()
    found = DensePoseNetwork(tmp_path).parts(picture)
    # Blocks are 24 pixels wide; their outermost pixel is mixed when maps are enlarged.
    wanted = picture[..., 0] // STEP
    assert set(np.unique(found)) == set(range(25))
    assert (found == wanted).mean() > 0.9
    middle = wanted[40:200:32, 40:200:32]
    np.testing.assert_array_equal(found[40:200:32, 40:200:32], middle)


def test_onnx_finds_the_same_as_torchscript(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    write_torchscript(tmp_path / FILE, BandParts())
    write_onnx(tmp_path / "onnx" / FILE, 224)
    picture = figure(224)
    np.testing.assert_array_equal(
        DensePoseNetwork(tmp_path).parts(picture),
        DensePoseNetwork(tmp_path / "onnx").parts(picture),
    )


def test_an_empty_picture_has_nobody(tmp_path: Path) -> None:
    write_torchscript(tmp_path / FILE, Nobody())
    assert not DensePoseNetwork(tmp_path).parts(figure()).any()


def test_another_network_is_named_as_such(tmp_path: Path) -> None:
    write_torchscript(tmp_path / FILE, Classifier())
    with pytest.raises(WeightsError, match=r"fine maps \(1, 80, 8, 8\) for 1 people"):
        DensePoseNetwork(tmp_path).parts(figure())


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x08\x09"])
def test_a_file_that_is_no_network_is_named_as_such(tmp_path: Path, start: bytes) -> None:
    (tmp_path / FILE).write_bytes(start + bytes(200))
    with pytest.raises(WeightsError, match="isn't a whole"):
        DensePoseNetwork(tmp_path).parts(figure())


def maps(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coarse and fine maps that are sure of `parts`."""
    fine = (parts == np.arange(25)[:, None, None]).astype(np.float32)
    coarse = np.stack([parts == 0, parts > 0]).astype(np.float32)
    return coarse, fine


def test_a_person_lies_in_its_box_and_ground_leaves_others_alone() -> None:
    found = np.full((10, 12), 9, np.uint8)
    half = np.zeros((4, 4), np.uint8)
    half[:, 2:] = 5
    lay(found, np.array([3, 2, 7, 6], np.float32), *maps(half))
    wanted = np.full((10, 12), 9, np.uint8)
    wanted[2:6, 5:7] = 5
    np.testing.assert_array_equal(found, wanted)


def test_a_box_over_the_edge_is_cut_there() -> None:
    found = np.zeros((6, 6), np.uint8)
    numbers = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    lay(found, np.array([-1, 4, 3, 8], np.float32), *maps(numbers))
    wanted = np.zeros((6, 6), np.uint8)
    wanted[4:, :3] = numbers[:2, 1:]
    np.testing.assert_array_equal(found, wanted)
