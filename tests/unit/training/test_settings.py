"""Settings of a run: read, checked, and refused by name."""

from pathlib import Path

import pytest

from animcli.errors import ProjectError
from animcli.training.large_settings import ANIMATE_ANYONE, MAGIC_ANIMATE, Model
from animcli.training.settings import read_settings


def test_what_a_file_does_not_say_is_as_usual(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[1]\nupdates = 7\ndropped = 0.5\n")
    settings, usual = read_settings(tmp_path / "a.toml"), ANIMATE_ANYONE
    assert settings.first.schedule.updates == 7
    assert settings.first.recipe.dropped == 0.5
    assert settings.first.schedule.seed == usual.first.schedule.seed
    assert settings.first.recipe.batch == usual.first.recipe.batch
    assert settings.first.diffusion == usual.first.diffusion
    assert settings.second == usual.second
    assert settings.data == usual.data


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]\nupdate = 7\n", r"a\.toml:2: unknown key 'update'"),
        ("[1]\ndropped = 2\n", r"a\.toml:2: dropped is at most 1, not 2"),
        ("[3]\nupdates = 7\n", r"a\.toml: no table \[3\]"),
        ("size = 64\n", r"a\.toml: no table \[size\]"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    text: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ProjectError, match=complaint):
        read_settings(tmp_path / "a.toml")


def test_a_system_has_its_own_tables_and_defaults(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        "[model]\nname = 'magic-animate'\ndevice = 'cuda'\n"
        "[2]\nprediction = 'v'\npictures = 0.1\nupdates = 5\n"
    )
    settings = read_settings(tmp_path / "a.toml")
    assert settings.second is not None
    assert settings.second.diffusion.prediction == "v"
    assert settings.second.recipe.pictures == 0.1
    assert settings.second.schedule.updates == 5
    assert settings.first == MAGIC_ANIMATE.first
    assert settings.model == Model("magic-animate", device="cuda")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[autoencoder]\nupdates = 7\n", r"no table \[autoencoder\]"),
        ("[2]\nprediction = 'epsilon'\n", "zero_snr doesn't go with"),
        ("[1]\npictures = 0.7\nsingles = 0.5\n", "are more than 1"),
        ("[data]\nwidth = 500\n", "width is a multiple of 8"),
    ],
)
def test_mistakes_about_a_system_are_named(
    text: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(f"[model]\nname = 'animate-anyone'\n{text}")
    with pytest.raises(ProjectError, match=complaint):
        read_settings(tmp_path / "a.toml")
