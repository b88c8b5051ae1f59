"""Flag before variable before anim.toml before preset before default."""

from pathlib import Path

import pytest

from animcli.cli.config import ConfigSources, read_sources
from animcli.errors import ProjectError, UsageError


def config(tmp_path: Path, toml: str = "", **environment: str) -> ConfigSources:
    file = tmp_path / "anim.toml"
    file.write_text(toml)
    (tmp_path / "presets").mkdir(exist_ok=True)
    (tmp_path / "presets" / "slow.toml").write_text(
        'renderer = "animate-anyone"\nsteps = 40\nwidth = 640\n'
    )
    return read_sources(tmp_path, file, environment)


def test_nobody_said_anything(tmp_path: Path) -> None:
    settings = config(tmp_path).resolve({}, "cutout")
    assert settings.preset.name == "cutout"
    assert settings.origins == {}


def test_each_layer_goes_before_the_next(tmp_path: Path) -> None:
    said = config(
        tmp_path,
        'preset = "slow"\nsteps = 30\nwidth = 256\nseed = 1\n',
        ANIM_STEPS="20",
        ANIM_SEED="2",
    )
    settings = said.resolve({"seed": 3}, "cutout")
    preset = settings.preset
    assert (preset.steps, preset.width, preset.seed, preset.overlap) == (20, 256, 3, 4)
    assert settings.origins == {
        "preset": "anim.toml:1",
        "steps": "ANIM_STEPS",
        "width": "anim.toml:3",
        "seed": "--seed",
    }


def test_a_variable_that_cannot_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as raised:
        config(tmp_path, ANIM_STEPS="abc")
    assert raised.value.message == "ANIM_STEPS=abc: steps is a whole number, not 'abc'"


def test_a_variable_that_is_nearly_one_is_doubted(tmp_path: Path) -> None:
    said = config(tmp_path, ANIM_STPES="3", ANIM_WEIGHTS="/w", ANIM_XYZZY="3", HOME="/")
    assert said.warnings == ("ANIM_STPES: there is no key stpes; did you mean 'steps'?",)
    assert said.values == {}


def test_a_flag_that_the_renderer_cannot_hear_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        config(tmp_path).resolve({"steps": 3}, "cutout")
    assert raised.value.message == (
        "--steps has no effect with the preset cutout, which renders with cutout"
    )


def test_a_general_wish_that_the_renderer_cannot_hear_waits_for_another(
    tmp_path: Path,
) -> None:
    said = config(tmp_path, "steps = 30\n")
    assert said.resolve({}, "cutout").preset.steps == 25
    assert said.resolve({"preset": "slow"}, "cutout").preset.steps == 30


def test_flags_that_do_not_fit_together_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="overlap 24 must be smaller than window 24"):
        config(tmp_path).resolve({"preset": "slow", "overlap": 24}, "cutout")


def test_a_file_that_does_not_fit_the_preset_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"anim\.toml:1: overlap 24 must be smaller"):
        config(tmp_path, "overlap = 24\n").resolve({"preset": "slow"}, "cutout")


def test_the_renderer_is_the_choice_of_the_preset(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="unknown key 'renderer'"):
        config(tmp_path, 'renderer = "cutout"\n')
