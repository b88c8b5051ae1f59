"""A checkpoint gives the arrays of the last save, or nothing."""

from pathlib import Path

import numpy as np
import pytest
from builders.faults import Fault

from animcli import files
from animcli.errors import StorageError
from animcli.pipeline.checkpoint import FileCheckpoint

ARRAYS = {
    "latents": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "step": np.array(7),
    "none": np.zeros((0, 3), np.float16),
    "flags": np.array([True, False]),
}


def test_arrays_come_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path / "c.npz")
    checkpoint.save(ARRAYS)
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_there_is_nothing_before_the_first_save(tmp_path: Path) -> None:
    assert FileCheckpoint(tmp_path / "c.npz").load() is None


def test_equal_arrays_are_saved_as_equal_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "1.npz", tmp_path / "2.npz"
    FileCheckpoint(one).save(ARRAYS)
    FileCheckpoint(two).save(ARRAYS)
    assert one.read_bytes() == two.read_bytes()


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        FileCheckpoint(tmp_path / "c.npz").save({"x": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_damage_anywhere_means_nothing_was_saved(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path / "c.npz")
    checkpoint.save(ARRAYS)
    whole = checkpoint.path.read_bytes()
    for damaged in (
        *(
            whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :]
            for n in range(0, len(whole), 5)
        ),
        *(whole[:n] for n in range(0, len(whole), 11)),
        whole + b"x",
    ):
        checkpoint.path.write_bytes(damaged)
        assert checkpoint.load() is None


def test_the_last_save_stays_when_the_next_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = FileCheckpoint(tmp_path / "c.npz")
    checkpoint.save({"step": np.array(1)})
    monkeypatch.setattr(files, "about_to", Fault("write", 1, "ENOSPC"))
    with pytest.raises(StorageError):
        checkpoint.save({"step": np.array(2)})
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded["step"] == 1


def test_a_good_moment_to_stop_is_after_the_save(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    checkpoint = FileCheckpoint(tmp_path / "c.npz", stop)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(ARRAYS)
    assert checkpoint.load() is not None
