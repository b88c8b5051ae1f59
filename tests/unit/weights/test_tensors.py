"""A network gets exactly the tensors it expects, or an error names the first wrong one."""

from pathlib import Path

import pytest
import torch
from weight_builders import safetensors, tensors

from animcli.errors import WeightsError
from animcli.weights.tensors import read_tensors, shapes_of


def test_expected_tensors_are_read(tmp_path: Path) -> None:
    content = tensors("a", "b")
    path = safetensors(tmp_path / "a.safetensors", content)
    assert shapes_of(path) == {"a": (2, 3), "b": (2, 3)}
    found = read_tensors(path, {"a": (2, 3), "b": (2, 3)})
    for name, tensor in content.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_tensors_known_to_be_unused_may_be_there(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "a.safetensors", tensors("a", "out.b"))
    assert read_tensors(path, {"a": (2, 3)}, unused=("out.",)).keys() == {"a"}


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"a": (2, 3), "b": (2, 3), "c": (1,)}, r"1 missing \(first: c\)"),
        ({"a": (2, 3)}, r"1 unexpected \(first: b\)"),
        (
            {"a": (2, 3), "b": (3, 2)},
            r"1 of another shape \(first: b is \(2, 3\), expected",
        ),
    ],
)
def test_what_doesnt_fit_is_named(
    tmp_path: Path, expected: dict[str, tuple[int, ...]], message: str
) -> None:
    path = safetensors(tmp_path / "a.safetensors", tensors("a", "b"))
    with pytest.raises(WeightsError, match=message) as caught:
        read_tensors(path, expected)
    assert caught.value.exit_code == 5


def test_a_web_page_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"<!doctype html>")
    with pytest.raises(WeightsError, match="is a web page, not the file itself"):
        read_tensors(path, {})
