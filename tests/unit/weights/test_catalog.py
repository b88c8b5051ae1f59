"""The catalog is sound: what it says can be found, checked and converted."""

import re

import pytest

from animcli.weights.catalog import (
    CatalogEntry,
    Hub,
    Packaged,
    Wheel,
    load_catalog,
    read_catalog,
)
from animcli.weights.convert import NAMINGS

ENTRIES = list(load_catalog().values())


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_an_entry_is_sound(entry: CatalogEntry) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", entry.name)
    assert entry.files
    assert entry.needed_by
    assert entry.licence
    assert set(entry.goes_with) <= load_catalog().keys() - {entry.name}
    names = [file.name for file in entry.files]
    assert len(set(names)) == len(names)
    for file in entry.files:
        parts = [*file.name.split("/"), *file.path.split("/")]
        assert not {"", ".", ".."} & set(parts)
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.sha256 is not None or file.bytes is None
        assert file.naming is None or file.naming in NAMINGS
        ours = isinstance(entry.source, Packaged)  # under the names that networks use
        tensors = file.name.endswith(".safetensors") and not ours
        assert (file.naming is not None) == tensors


def test_a_pickle_never_keeps_its_name_in_the_store() -> None:
    pickles = [
        file
        for entry in ENTRIES
        for file in entry.files
        if file.path.endswith((".pth", ".bin", ".ckpt", ".pt"))
    ]
    assert len(pickles) == 18
    assert all(file.name.endswith(".safetensors") for file in pickles)


def test_each_kind_of_source_is_read() -> None:
    text = """
    [a]
    about = "a"
    licence = "MIT"
    needed_by = ["a"]
    files = [{name = "x.bin", path = "deep/x.bin", about = 7}, {name = "y"}]
    on_first_use = true
    """
    hub = text + 'source = {kind = "hub", repository = "o/r", revision = "main"}'
    entry = read_catalog(hub)["a"]
    assert entry.source == Hub("o/r", "main")
    assert not entry.source.pinned
    assert (entry.bytes, entry.on_first_use) == (7, True)
    assert [file.path for file in entry.files] == ["deep/x.bin", "y"]
    packaged = text + 'source = {kind = "packaged", folder = "models"}'
    assert read_catalog(packaged)["a"].source == Packaged("models")
    wheel = (
        'kind = "wheel", package = "p", version = "1", python = "3.12", platform = "any"'
    )
    assert read_catalog(text + f"source = {{{wheel}}}")["a"].source == Wheel(
        "p", "1", "3.12", "any"
    )


def test_a_misspelt_key_is_named() -> None:
    with pytest.raises(ValueError, match="no key license"):
        read_catalog('[a]\nlicense = "MIT"')
