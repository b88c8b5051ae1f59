"""Settings of a run: read, checked, and refused by name."""

from collections import Counter
from pathlib import Path

import pytest

from animcli.errors import ProjectError
from animcli.settings import check, constraint_of, settings_in
from animcli.training.settings import DEFAULTS, Model, read_settings, settings_parts


def test_what_a_file_does_not_say_is_as_usual(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[1]\nupdates = 7\ndropped = 0.5\nsnr_gamma = 2\n")
    settings, usual = read_settings(tmp_path / "a.toml"), DEFAULTS["tiny"]
    assert settings.first.trainer.updates == 7
    assert settings.first.recipe.dropped == 0.5
    assert settings.first.objective.snr_gamma == 2
    assert settings.first.trainer.seed == usual.first.trainer.seed
    assert settings.first.recipe.batch == usual.first.recipe.batch
    assert settings.first.objective.prediction == usual.first.objective.prediction
    assert settings.first.sample_schedule == usual.first.sample_schedule
    assert settings.second == usual.second
    assert settings.data == usual.data
    assert settings.autoencoder == usual.autoencoder


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]\nupdate = 7\n", r"a\.toml:2: unknown key 'update'"),
        ("[1]\ndropped = 2\n", r"a\.toml:2: dropped is at most 1, not 2"),
        ("[3]\nupdates = 7\n", r"a\.toml: no table \[3\]"),
        ("size = 64\n", r"a\.toml: no table \[size\]"),
        ("[model]\nname = 'maxi'\n", "name is one of tiny, animate-anyone"),
        ("[autoencoder]\nkl = -1\n", r"a\.toml:2: kl is at least 0"),
        ("[autoencoder]\nbatch = 2\n", r"a\.toml:2: unknown key 'batch'"),
        ("[data]\nwidth = 64\n", "crop = 128 is larger than the pictures, of 64 pixels"),
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
        "[model]\nname = 'magic-animate'\nstart = 'published'\ndevice = 'cuda'\n"
        "[2]\nprediction = 'v_prediction'\nsingle_pictures = 0.1\nupdates = 5\n"
    )
    settings = read_settings(tmp_path / "a.toml")
    assert settings.second is not None
    assert settings.second.objective.prediction == "v_prediction"
    assert settings.second.shares.single_pictures == 0.1
    assert settings.second.trainer.updates == 5
    assert settings.first == DEFAULTS["magic-animate"].first
    assert settings.model == Model("magic-animate", "published", device="cuda")


@pytest.mark.parametrize("name", list(DEFAULTS))
def test_a_system_begins_as_it_can_where_the_file_does_not_say(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(f"[model]\nname = '{name}'\n")
    assert read_settings(tmp_path / "a.toml") == DEFAULTS[name]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[autoencoder]\nupdates = 7\n", r"no table \[autoencoder\]"),
        ("[2]\nprediction = 'epsilon'\n", "zero_snr doesn't go with"),
        ("[1]\nsingle_pictures = 0.7\nsingle_frames = 0.5\n", "are more than 1"),
        ("[data]\nwidth = 500\n", "width is a multiple of 8"),
    ],
)
def test_mistakes_about_a_system_are_named(
    text: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(f"[model]\nname = 'animate-anyone'\n{text}")
    with pytest.raises(ProjectError, match=complaint):
        read_settings(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("name", "start"),
    [("tiny", "published"), ("cinemo", "sd15"), ("animate-anyone", "nothing")],
)
def test_a_start_that_a_system_does_not_have_is_refused(
    name: str, start: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(f"[model]\nname = '{name}'\nstart = '{start}'\n")
    with pytest.raises(ProjectError, match=f"{name} can't begin with start = '{start}'"):
        read_settings(tmp_path / "a.toml")


@pytest.mark.parametrize("name", list(DEFAULTS))
def test_defaults_are_within_their_own_bounds_and_keys_are_unambiguous(name: str) -> None:
    settings = DEFAULTS[name]
    for field in settings.tables().values():
        names: Counter[str] = Counter()
        for part in settings_parts(getattr(settings, field)).values():
            for key, each in settings_in(type(part)).items():
                check(type(part), key, getattr(part, key))
                assert constraint_of(each).help.endswith(".")
                names[key] += 1
        assert set(names.values()) == {1}


def test_stages_come_in_their_order() -> None:
    assert list(DEFAULTS["tiny"].updates()) == ["autoencoder", "1", "2"]
    assert list(DEFAULTS["cinemo"].updates()) == ["1"]
