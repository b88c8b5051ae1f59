"""Weights come out of a pickle; nothing else that a pickle may hold does."""

import argparse
import collections
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from weight_builders import pickled, tensors

from animcli.errors import WeightsError
from animcli.weights.pickles import read_pickle


class Evil:
    """Unpickled by an ordinary reader, this would make a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.mark), 0o700)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_tensors_come_out_as_they_went_in(tmp_path: Path, zipped: bool) -> None:
    content = tensors("a.weight", "a.bias")
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = read_pickle(path)
    assert found.keys() == content.keys()
    for name, tensor in content.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda own, _: {"state_dict": own, "global_step": 7},
        lambda own, other: {"model": other, "ema": own},
        lambda own, _: collections.OrderedDict(own),
    ],
    ids=["state_dict", "ema before model", "ordered"],
)
def test_a_training_runs_wrapping_is_taken_off(tmp_path: Path, wrap: object) -> None:
    own, other = tensors("a"), tensors("b")
    assert read_pickle(pickled(tmp_path / "a.ckpt", wrap(own, other))).keys() == {"a"}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("forced", [None, "1"], ids=["", "unsafe loading forced"])
def test_code_is_refused_and_never_run(
    tmp_path: Path, zipped: bool, forced: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    mark, path = tmp_path / "was-run", tmp_path / "evil.pth"
    content = {**tensors("a"), "b": Evil(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError) as caught:
        read_pickle(path)
    assert not mark.exists()
    assert "mkdir" in caught.value.message
    assert caught.value.exit_code == 5


def test_every_name_that_would_be_run_is_listed(tmp_path: Path) -> None:
    path = pickled(
        tmp_path / "a.pth", {"a": argparse.Namespace(), "b": Evil(tmp_path / "x")}
    )
    with pytest.raises(WeightsError, match=r"argparse\.Namespace, (posix|nt)\.mkdir"):
        read_pickle(path)


def test_a_bare_pickle_of_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(pickle.dumps({"a": Evil(tmp_path / "was-run")}))
    with pytest.raises(WeightsError):
        read_pickle(path)
    assert not (tmp_path / "was-run").exists()


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path) -> None:
    plain = pickled(tmp_path / "plain.pth", {"a": torch.zeros(1_000_000)})
    packed = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for member in source.infolist():
            out.writestr(member.filename, source.read(member))
    with pytest.raises(WeightsError, match=r"unpacks to 4,00\d,\d+ bytes"):
        read_pickle(packed)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of building, not reading
@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.zeros(1).expand(10**11),
        lambda: torch.zeros(1).as_strided((10**6, 10**6), (0, 0)),
        lambda: torch.empty(10**11, device="meta"),
        lambda: torch.sparse_coo_tensor(size=(10**9, 10**9)),
    ],
    ids=["expanded", "strided", "meta", "sparse"],
)
def test_a_tensor_that_claims_more_than_its_data_is_refused(
    tmp_path: Path, build: Callable[[], torch.Tensor]
) -> None:
    path = pickled(tmp_path / "a.pth", {"a": build()})
    with pytest.raises(
        WeightsError, match=r"a claims [\d,]+ values that aren't in the file"
    ):
        read_pickle(path)


def test_many_views_of_one_tensor_are_refused(tmp_path: Path) -> None:
    one = torch.zeros(1000)
    path = pickled(tmp_path / "a.pth", {f"a{i}": one for i in range(1000)})
    with pytest.raises(WeightsError, match="claims 4,000,000 bytes"):
        read_pickle(path)


def test_two_names_of_one_tensor_are_fine(tmp_path: Path) -> None:
    one = torch.ones(1000)
    assert len(read_pickle(pickled(tmp_path / "a.pth", {"a": one, "b": one}))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds no tensors by name, but a list"),
        ({}, "holds no tensors by name, but a dict"),
        ({"a": 1.5}, "holds a float as 'a'"),
        ({3: torch.zeros(1)}, "holds a Tensor as 3"),
    ],
)
def test_what_isnt_tensors_by_name_is_named(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        read_pickle(pickled(tmp_path / "a.pth", content))


@pytest.mark.parametrize("kept", [1, 30, 200, -30])
def test_a_cut_pickle_is_one_line_of_error(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.pth"
    torch.save(tensors("a", "b"), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError) as caught:
        read_pickle(path)
    assert "\n" not in caught.value.message


def test_a_flipped_bit_gives_the_tensors_or_one_error(tmp_path: Path) -> None:
    content = pickled(tmp_path / "a.pth", tensors("a", "b")).read_bytes()
    path = tmp_path / "b.pth"
    for place in range(0, len(content), 7):
        wrong = bytearray(content)
        wrong[place] ^= 0x55
        path.write_bytes(wrong)
        with suppress(WeightsError):
            assert read_pickle(path).keys() <= {"a", "b"}
