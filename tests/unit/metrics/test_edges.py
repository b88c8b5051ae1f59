"""Networks come strictly from the store, and clips from files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import metric_goldens as golden
from PIL import Image
from safetensors.torch import save_file

from animcli.errors import InputError, WeightsError
from animcli.metrics.edges import StoredNetworks, expected_tensors, open_clip
from animcli.weights.catalog import load_catalog
from animcli.weights.store import WeightsStore

ENTRIES = [
    "lpips-heads", "vgg16", "alexnet", "fid-inception", "fvd-i3d", "fid-vid-resnet3d",
    "dlib-face",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    """A store that takes any file for the published one."""
    catalog = {
        name: replace(
            entry,
            files=tuple(replace(f, bytes=None, sha256=None, about=0) for f in entry.files),
        )
        for name, entry in load_catalog().items()
    }
    return WeightsStore(tmp_path / "store", catalog)


def put(store: WeightsStore, name: str, *files: Path) -> None:
    store.import_files(name, files, expect=lambda paths: expected_tensors(name))


@pytest.fixture
def heads(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "vgg.pth", tmp_path / "alex.pth"]
    for path in paths:
        shapes = expected_tensors("lpips-heads")[f"{path.stem}.safetensors"]
        torch.save({name: torch.ones(shape) for name, shape in shapes.items()}, path)
    return paths


def test_a_network_is_put_together_from_its_files(
    store: WeightsStore, tmp_path: Path, heads: list[Path]
) -> None:
    trunk = tmp_path / "alexnet-owt-7be5be79.pth"
    whole = {**golden.made_up("alexnet_features"), "classifier.1.weight": torch.zeros(3)}
    torch.save(whole, trunk)
    put(store, "alexnet", trunk)
    put(store, "lpips-heads", *heads)
    networks = StoredNetworks(store)
    network = networks.network("lpips_alex")
    assert networks.network("lpips_alex") is network
    assert not network.training
    for name, weights in golden.made_up("alexnet_features").items():
        torch.testing.assert_close(network.trunk.state_dict()[name], weights)
    assert networks.digest("lpips_alex").count(" ") == 1
    with pytest.raises(WeightsError, match="vgg16 aren't here"):
        networks.network("lpips_vgg")


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_file_of_an_entry_is_known_by_its_tensors(entry: str) -> None:
    assert expected_tensors(entry).keys() == {f.name for f in load_catalog()[entry].files}


@pytest.mark.parametrize(
    ("entry", "manifest"),
    [
        ("vgg16", "vgg16_features"),
        ("alexnet", "alexnet_features"),
        ("fid-inception", "fid_inception"),
        ("fvd-i3d", "i3d"),
        ("fid-vid-resnet3d", "resnet3d50"),
    ],
)
def test_a_published_file_comes_into_the_store_whole(
    store: WeightsStore, tmp_path: Path, entry: str, manifest: str
) -> None:
    """Names and shapes of the published file, as a training run would have saved them."""
    path = tmp_path / Path(load_catalog()[entry].files[0].path).name
    shapes = golden.shapes(manifest)
    prefix = "module." if entry == "fid-vid-resnet3d" else ""
    tensors = {f"{prefix}{name}": torch.zeros(shape) for name, shape in shapes.items()}
    if path.suffix == ".safetensors":
        save_file({**tensors, "head.fc.weight": torch.zeros(1)}, path)
    else:
        torch.save({"state_dict": tensors, "optimizer": {}} if prefix else tensors, path)
    put(store, entry, path)
    assert store.has(entry)


def test_a_file_of_another_network_is_refused(store: WeightsStore, tmp_path: Path) -> None:
    path = tmp_path / "i3d_pretrained_400.pt"
    torch.save({"logits.conv3d.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"343 missing \(first: logits\.conv3d\.bias"):
        put(store, "fvd-i3d", path)


def test_a_folder_of_pictures_is_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for level in range(3):
        picture = np.full((16, 24, 3), 60 * level, np.uint8)
        Image.fromarray(picture).save(folder / f"{level}.png")
    clip = open_clip(folder)
    assert (clip.name, clip.frames, clip.size, clip.rate) == ("clip", 3, (24, 16), 24)
    for _ in range(2):
        assert [int(frame.flat[0]) for frame in clip.read()] == [0, 60, 120]
    before = clip.digest
    Image.fromarray(np.zeros((16, 24, 3), np.uint8)).save(folder / "2.png")
    assert open_clip(folder).digest != before


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(InputError):
        open_clip(path)
