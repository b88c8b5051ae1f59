"""Settings of a run: read, checked, and refused by name."""

from pathlib import Path

import pytest

from animcli.errors import ProjectError
from animcli.training.settings import TrainSettings, read_settings


def test_what_a_file_does_not_say_is_as_usual(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[1]\nupdates = 7\nno_clue = 0.5\nfirst = 3\n")
    settings, usual = read_settings(tmp_path / "a.toml"), TrainSettings()
    assert settings.frames.schedule.updates == 7
    assert settings.frames.recipe.no_clue == 0.5
    assert settings.frames.growth.first == 3
    assert settings.frames.schedule.seed == usual.frames.schedule.seed
    assert settings.autoencoder == usual.autoencoder
    assert settings.data == usual.data


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]\nupdate = 7\n", r"a\.toml:2: unknown key 'update'"),
        ("[1]\nno_clue = 2\n", r"a\.toml:2: no_clue is at most 1, not 2"),
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
