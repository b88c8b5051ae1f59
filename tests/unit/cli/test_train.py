"""`anim train`: what it finds in a folder, and what it refuses before any work."""

from pathlib import Path

import pytest

from animcli.cli.main import main
from animcli.cli.train import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    find_footage,
    training_source,
)
from animcli.errors import UsageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in (
        "b.mp4", "a.mov", "a-densepose.mp4", "b.txt", "c.png", "c-densepose.png", "n.json",
    ):  # fmt: skip
        (tmp_path / name).write_text("walks \n")
    return tmp_path


def test_drawn_footage_is_not_learnt_from(data: Path) -> None:
    assert [each.name for each in find_footage(data, VIDEO_SUFFIXES)] == ["a.mov", "b.mp4"]
    assert [each.name for each in find_footage(data, PICTURE_SUFFIXES)] == ["c.png"]
    assert find_footage(data, frozenset({".webm"}), needed=False) == []
    with pytest.raises(UsageError, match="holds no video"):
        find_footage(data, frozenset({".webm"}))


def test_what_lies_beside_footage_is_found_or_named(data: Path) -> None:
    assert (
        training_source("magic-animate", data / "a.mov").densepose
        == data / "a-densepose.mp4"
    )
    assert (
        training_source("magic-animate", data / "c.png").densepose
        == data / "c-densepose.png"
    )
    assert training_source("cinemo", data / "b.mp4").text == "walks"
    assert training_source("animate-anyone", data / "b.mp4").densepose is None
    with pytest.raises(UsageError, match=r"b\.mp4 has no DensePose beside it"):
        training_source("magic-animate", data / "b.mp4")
    with pytest.raises(UsageError, match=r"a\.mov has no words beside it, a\.txt"):
        training_source("cinemo", data / "a.mov")


@pytest.mark.parametrize(
    ("toml", "flags", "complaint"),
    [
        ("name = 'animate-anyone'", [], "animate-anyone learns from footage"),
        ("name = 'magic-animate'", [], "magic-animate learns from footage"),
        ("name = 'cinemo'", ["--stage", "2", "--data", "."], "cinemo has no stage 2"),
        (
            "name = 'animate-anyone'",
            ["--stage", "autoencoder", "--data", "."],
            "animate-anyone has no stage autoencoder",
        ),
        ("name = 'tiny'\nstart = 'sd15'", [], "tiny can't begin with start = 'sd15'"),
        ("name = 'cinemo'\nstart = 'sd15'", [], "cinemo can't begin with start = 'sd15'"),
        ("name = 'maxi'", [], "name is one of tiny, animate-anyone, magic-animate"),
    ],
)
def test_what_does_not_go_together_is_refused(
    toml: str,
    flags: list[str],
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = tmp_path / "train.toml"
    settings.write_text(f"[model]\n{toml}\n")
    line = [
        "-p",
        str(tmp_path),
        "train",
        str(tmp_path / "run"),
        "--settings",
        str(settings),
    ]
    assert main([*line, *flags]) in (2, 4)
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("start", "lacking"), [("published", "animate-anyone"), ("sd15", "sd15")]
)
def test_weights_that_are_lacking_are_named_before_any_work(
    start: str,
    lacking: str,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANIM_WEIGHTS", str(data / "no-weights"))
    settings = data / "train.toml"
    settings.write_text(f"[model]\nname = 'animate-anyone'\nstart = '{start}'\n")
    line = ["-p", str(data), "train", str(data / "run"), "--settings", str(settings)]
    assert main([*line, "--data", str(data)]) == 5
    said = capsys.readouterr().err
    assert f"the weights {lacking} aren't here" in said
    assert f"anim weights pull {lacking}" in said


@pytest.mark.parametrize(
    ("flags", "stages"),
    [([], ["autoencoder", "1", "2"]), (["--stage", "1"], ["1"])],
)
def test_a_dry_run_says_which_stages_would_run(
    flags: list[str],
    stages: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["-p", str(tmp_path), "train", str(tmp_path / "run"), "--dry-run", "--json"]
    assert main([*line, *flags]) == 0
    said = capsys.readouterr().out
    foreseen = [name for name in ("autoencoder", "1", "2") if f'"train {name}"' in said]
    assert foreseen == stages
    assert not (tmp_path / "run").exists()
