"""A file that isn't what its name says is called what it is."""

from pathlib import Path

import pytest
import torch
from builders.weights import entry, file, pickled, safetensors, tensors

from animcli.errors import WeightsError
from animcli.weights import inspect
from animcli.weights.inspect import (
    check_published,
    match_files,
    not_weights,
    read_tensors,
    sha256_of,
    shapes_of,
)

LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404", "a web page, not the file itself"),
        (b"\n  <html lang=en>", "a web page, not the file itself"),
        (b"<?xml version='1.0'?><Error>", "a web page, not the file itself"),
        (LFS, "a Git LFS pointer, not the file itself"),
        (b'{"error": "gated"}', "a message as JSON, not the file itself"),
        (b"PK\x03\x04" + bytes(500), "cut off: its end is missing"),
    ],
)
def test_what_a_failed_download_leaves_is_named(
    tmp_path: Path, content: bytes, what: str
) -> None:
    path = tmp_path / "unet.bin"
    path.write_bytes(content)
    assert not_weights(path) == what
    with pytest.raises(WeightsError) as caught:
        check_published(path, file("unet.bin"), "get it again")
    assert caught.value.message == f"{path} is {what}"
    assert caught.value.exit_code == 5


def test_good_files_are_let_pass(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    assert not_weights(config) is None
    assert not_weights(safetensors(tmp_path / "a.safetensors", tensors("a"))) is None
    assert not_weights(pickled(tmp_path / "a.pth", tensors("a"))) is None


@pytest.mark.parametrize("kept", [4, 40, -1])
def test_a_safetensors_file_is_cut_off_wherever_it_is(tmp_path: Path, kept: int) -> None:
    path = safetensors(tmp_path / "a.safetensors", tensors("a", "b"))
    path.write_bytes(path.read_bytes()[:kept])
    assert (not_weights(path) or "").startswith(("cut off", "no safetensors"))


@pytest.mark.parametrize(
    "header", [b"\xff" * 8, b"\x02" + bytes(7) + b"[]", b"\x03" + bytes(7) + b"{{{"]
)
def test_a_safetensors_file_with_a_wild_header_is_none(
    tmp_path: Path, header: bytes
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(header)
    assert not_weights(path) == "no safetensors file"


def test_a_file_shorter_than_published_says_how_much_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"abc")
    with pytest.raises(WeightsError, match="holds 3 of 6 bytes: it was cut off"):
        check_published(path, file("a.tflite", content=b"abcdef"), "")


def test_a_flipped_bit_is_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"abcdeg")
    with pytest.raises(WeightsError, match=r"isn't the published a\.tflite: its SHA-256"):
        check_published(path, file("a.tflite", content=b"abcdef"), "")
    path.write_bytes(b"abcdef")
    assert check_published(path, file("a.tflite", content=b"abcdef"), "") == sha256_of(path)


TOY = entry(
    file("unet.safetensors", "denoising_unet.pth"),
    file("encoder/model.safetensors", "encoder/pytorch_model.bin"),
    file("control/model.safetensors"),
    file("config.json"),
)


def touch(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return list(paths)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("denoising_unet.pth", "unet.safetensors"),
        ("unet.safetensors", "unet.safetensors"),
        ("unet.ckpt", "unet.safetensors"),
        ("denoising_unet.safetensors", "unet.safetensors"),
        ("pytorch_model.bin", "encoder/model.safetensors"),
        ("encoder/model.safetensors", "encoder/model.safetensors"),
        ("control/model.bin", "control/model.safetensors"),
        ("config.json", "config.json"),
    ],
)
def test_a_file_is_known_by_either_name_and_any_suffix(
    tmp_path: Path, given: str, name: str
) -> None:
    (path,) = touch(tmp_path / given)
    assert match_files(TOY, [path]) == {name: path}


def test_a_folder_gives_what_is_known_in_it_and_the_rest_stays(tmp_path: Path) -> None:
    known = touch(
        tmp_path / "got" / "control" / "model.safetensors",
        tmp_path / "got" / "denoising_unet.pth",
    )
    touch(tmp_path / "got" / "readme.md")
    found = match_files(TOY, [tmp_path / "got"])
    assert found == {"control/model.safetensors": known[0], "unet.safetensors": known[1]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["other.pth"], "is no file of toy"),
        (["model.safetensors"], "may be encoder/pytorch_model.bin or control/model.saf"),
        (["denoising_unet.pth", "unet.safetensors"], "are both denoising_unet.pth of toy"),
    ],
)
def test_a_file_that_fits_nothing_or_too_much_is_refused(
    tmp_path: Path, given: list[str], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        match_files(TOY, touch(*(tmp_path / each for each in given)))


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


def test_a_file_that_only_others_may_read_is_told_apart_from_an_absent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = safetensors(tmp_path / "a.safetensors", tensors("a"))

    def refused(*given: object, **named: object) -> None:
        raise FileNotFoundError("No such file or directory")  # as the library has it

    monkeypatch.setattr(inspect, "safe_open", refused)
    monkeypatch.setattr(inspect.os, "access", lambda path, mode: False)
    with pytest.raises(WeightsError, match="may not be read by you") as caught:
        read_tensors(path, {"a": (2, 3)})
    assert caught.value.hint == f"its owner can: chmod a+r {path}"
