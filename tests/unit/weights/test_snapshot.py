"""Snapshots: whole folders whose files stay where they are; and terms to accept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from animcli.errors import WeightsError
from animcli.weights import snapshot, store
from animcli.weights.catalog import (
    CatalogEntry,
    Snapshot,
    WeightFile,
    load_catalog,
    read_catalog,
)
from animcli.weights.stamp import read_stamp
from animcli.weights.store import WeightsStore

FILE = "diffusion_pytorch_model.safetensors"
SOURCE = Snapshot("owner/name", "main")
ENTRY = CatalogEntry(
    "big", "a folder", "MIT", SOURCE,
    tuple(WeightFile(name, name, None, None, 10, None) for name in ("unet/config.json",)),
    ("render",), terms="open",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A diffusers folder, with a file that may run code."""
    place = tmp_path / "there"
    (place / "unet").mkdir(parents=True)
    (place / "unet" / "config.json").write_text("{}")
    save_file({"a": torch.zeros(2)}, place / "unet" / "diffusion_pytorch_model.safetensors")
    (place / "unet" / "old.bin").write_bytes(b"pickle")
    return place


@pytest.fixture
def weights(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "store", {"big": ENTRY})


def test_an_imported_folder_stays_where_it_is_and_is_noted(
    weights: WeightsStore, folder: Path
) -> None:
    assert not weights.has("big")
    assert weights.import_files("big", [folder]) == folder.resolve()
    assert weights.has("big")
    assert weights.path("big") == folder.resolve()
    assert sorted(weights.digests("big")) == [
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert [path.name for path in (weights.root / "big").iterdir()] == ["stamp.json"]


def test_a_file_that_changes_or_goes_is_named(weights: WeightsStore, folder: Path) -> None:
    weights.import_files("big", [folder])
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="has changed since"):
        weights.path("big")
    with pytest.raises(WeightsError, match="has changed since"):
        weights.verify("big")
    file.unlink()
    with pytest.raises(WeightsError, match="isn't there any more"):
        weights.path("big")


def test_another_folder_and_single_files_are_refused(
    weights: WeightsStore, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"has no unet/config\.json"):
        weights.import_files("big", [tmp_path])
    with pytest.raises(WeightsError, match="whole diffusers folder"):
        weights.import_files("big", [folder / "unet" / "config.json"])


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ({"a": "b.safetensors"}, r"b\.safetensors lacks 1 tensors \(first: a\)"),
        ({"a": FILE, "b": FILE}, r"model\.safetensors lacks 1 tensors \(first: b\)"),
        ({}, None),
        ([], "lists no tensors"),
        ({"a": ["b"]}, "lists no tensors"),
    ],
)
def test_a_network_in_several_files_is_whole_by_its_list(
    weights: WeightsStore, folder: Path, listed: object, message: str | None
) -> None:
    (folder / "unet" / f"{FILE}.index.json").write_text(json.dumps({"weight_map": listed}))
    if message is None:
        weights.import_files("big", [folder])
    else:
        with pytest.raises(WeightsError, match=message):
            weights.import_files("big", [folder])
        assert not weights.has("big")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, r"unet has no \.safetensors file"), (b"<html>", "is a web page")],
)
def test_a_network_without_its_tensors_is_refused(
    weights: WeightsStore, folder: Path, content: bytes | None, message: str
) -> None:
    (folder / "unet" / FILE).unlink()
    if content is not None:
        (folder / "unet" / FILE).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        weights.import_files("big", [folder])


def test_a_pulled_snapshot_stays_in_the_cache_with_the_digests_that_it_states(
    weights: WeightsStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "ab" * 32
    blob = folder.parent / digest
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.replace(blob)
    file.symlink_to(blob)
    monkeypatch.setattr(
        store, "fetch_snapshot", lambda entry, source, progress: (folder, "c" * 40)
    )
    assert weights.pull("big") == folder
    stamp = read_stamp(weights.root / "big")
    assert stamp is not None
    assert (stamp.revision, stamp.source) == ("c" * 40, "owner/name")
    assert stamp.files["unet/diffusion_pytorch_model.safetensors"].sha256 == digest
    assert weights.pull("big") == folder


def test_a_folder_put_into_the_store_by_hand_is_taken_as_it_is(
    weights: WeightsStore, folder: Path
) -> None:
    weights.root.mkdir()
    folder.rename(weights.root / "big")
    assert weights.path("big") == weights.root / "big"
    assert len(weights.digests("big")) == 2


def test_only_named_kinds_of_files_belong_to_a_snapshot(folder: Path) -> None:
    assert "unet/old.bin" not in snapshot.wanted_files(folder, SOURCE)
    only = replace(SOURCE, patterns=("*.json",))
    assert snapshot.wanted_files(folder, only) == ["unet/config.json"]


@pytest.mark.parametrize("terms", ["community", "non-commercial"])
def test_such_terms_have_to_be_accepted_by_name(tmp_path: Path, terms: str) -> None:
    entry = replace(ENTRY, terms=terms)
    weights = WeightsStore(tmp_path, {"big": entry})
    with pytest.raises(WeightsError, match=terms) as raised:
        weights.check_terms("big", [])
    assert raised.value.hint.endswith("--accept big")
    weights.check_terms("big", ["big"])
    WeightsStore(tmp_path, {"big": ENTRY}).check_terms("big", [])


def test_the_catalog_knows_snapshots_and_terms() -> None:
    wan = load_catalog()["wan-animate"]
    assert isinstance(wan.source, Snapshot)
    assert wan.bytes == pytest.approx(82.3e9, rel=0.01)
    assert {entry.terms for entry in load_catalog().values()} == {
        "open", "responsible-use", "unstated", "non-commercial",
    }  # fmt: skip
    text = '[a]\nabout = "a"\nlicence = "x"\nneeded_by = []\nfiles = []\nterms = "mine"\n'
    text += 'source = {kind = "snapshot", repository = "o/r", revision = "main"}'
    with pytest.raises(ValueError, match="terms are one of open"):
        read_catalog(text)
