"""Presets are checked on the way in, and each mistake names file, key and value."""

from dataclasses import replace
from pathlib import Path

import pytest

from animcli.errors import PresetError
from animcli.presets import (
    Preset,
    advice,
    find_presets,
    is_name,
    load_preset,
    read_preset,
    shipped_presets,
)


def written(folder: Path, text: str, name: str = "dance") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "path", sorted(shipped_presets().rglob("*.toml")), ids=lambda p: p.stem
)
def test_every_shipped_preset_loads_and_says_when_to_use_it(path: Path) -> None:
    preset = read_preset(path)
    assert preset.about
    assert advice(path).endswith(".")
    assert is_name(path.stem)
    assert load_preset(path.stem) == preset


def test_presets_are_shipped() -> None:
    assert "cutout" in find_presets()


def test_what_a_preset_leaves_out_has_its_default(tmp_path: Path) -> None:
    path = written(tmp_path, 'about = "Small"\nwidth = 128\n')
    assert read_preset(path) == replace(Preset("dance", "Small"), width=128)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("stpes = 3\n", ":1: unknown key 'stpes'"),
        ('\nwidth = "wide"\n', ":2: width is a whole number, not 'wide'"),
        ("width = 100\n", ":1: width is a multiple of 8, not 100; nearest is 96"),
        ("seed = -1\n", ":1: seed is at least 0, not -1"),
        ("seed = 9223372036854775808\n", "seed is at most 9223372036854775807"),
        (
            'renderer = "magic"\n',
            ":1: renderer is one of cutout, tiny, animate-anyone, magic-animate, cinemo, "
            "ipa-controlnet, ipa-controlnet-video, animatediff, wan-animate, "
            "wan-animate-replace, wan-animate-2, not 'magic'",
        ),
        ("about = 3\n", ":1: about is text, not 3"),
        (
            'renderer = "animate-anyone"\nwindow = 8\noverlap = 8\n',
            ": overlap 8 must be smaller than window 8",
        ),
        ("steps = 3\n", ":1: steps has no effect with the renderer cutout"),
    ],
)
def test_a_mistake_names_file_line_key_and_value(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PresetError) as raised:
        read_preset(path)
    assert raised.value.message.startswith(str(path))
    assert complaint in raised.value.message


def test_more_steps_than_lcm_can_take_are_refused(tmp_path: Path) -> None:
    text = 'renderer = "animate-anyone"\nsampler = "lcm"\nsteps = 51\n'
    with pytest.raises(PresetError, match="takes at most 50 steps, not 51"):
        read_preset(written(tmp_path, text))


def test_a_project_may_have_presets_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    path = written(tmp_path / "presets", "width = 256\n", "mine")
    assert find_presets(tmp_path)["mine"] == path
    assert load_preset("mine", tmp_path).width == 256


def test_a_name_that_is_nearly_right_is_told_the_right_one() -> None:
    with pytest.raises(PresetError) as raised:
        load_preset("cutuot")
    assert (raised.value.message, raised.value.hint) == (
        "no preset 'cutuot'",
        "did you mean 'cutout'?",
    )


@pytest.mark.parametrize(
    "name", ["../../x", "", "A", "a" * 65, "nul", "com1", "-a", "a.b", "ä"]
)
def test_a_name_that_could_be_a_path_or_a_device_is_refused(name: str) -> None:
    with pytest.raises(PresetError, match="can't be a preset"):
        load_preset(name)


def test_keys_about_denoising_mean_nothing_to_a_cut_out() -> None:
    preset = Preset("x")
    assert not preset.supports("steps")
    assert preset.supports("seed")
    assert replace(preset, renderer="animate-anyone").supports("steps")
