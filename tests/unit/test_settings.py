"""A key is checked the same way, whether it comes from a flag, a variable or TOML."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animcli.errors import PresetError, ProjectError
from animcli.settings import check, check_table, line_of, parse, read_toml, setting, suggest


@dataclass(frozen=True)
class Dance:
    steps: int = setting(4, "Steps.", low=1, high=64)
    width: int = setting(64, "Width.", low=8, high=512, multiple=8)
    speed: float = setting(1.0, "Speed.", low=0.5, high=2)
    mirrored: bool = setting(False, "Left for right.")
    style: Literal["waltz", "tango"] = setting("waltz", "Style.")
    fps: Fraction | None = setting(None, "Rate.")  # noqa: RUF009  # made anew for each class
    title: str = setting("", "Title.")


HOMES = dict.fromkeys(
    ["steps", "width", "speed", "mirrored", "style", "fps", "title"], Dance
)


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("steps", "12", 12),
        ("width", "64", 64),
        ("speed", "1.5", 1.5),
        ("speed", "2", 2.0),
        ("mirrored", "yes", True),
        ("mirrored", "0", False),
        ("style", "tango", "tango"),
        ("fps", "30000/1001", Fraction(30000, 1001)),
        ("fps", "23.976", Fraction(2997, 125)),
        ("title", "5", "5"),
    ],
)
def test_a_word_becomes_a_value_of_the_right_type(
    name: str, word: str, value: object
) -> None:
    read = parse(Dance, name, word)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "word", "complaint"),
    [
        ("steps", "abc", "steps is a whole number, not 'abc'"),
        ("steps", "1.5", "steps is a whole number, not '1.5'"),
        ("steps", "0", "steps is at least 1, not 0"),
        ("steps", "65", "steps is at most 64, not 65"),
        ("width", "100", "width is a multiple of 8, not 100; nearest is 96"),
        ("speed", "nan", "speed is a number, not nan"),
        ("speed", "inf", "speed is a number, not inf"),
        ("mirrored", "maybe", "mirrored is true or false, not 'maybe'"),
        ("style", "polka", "style is one of waltz, tango, not 'polka'"),
        ("fps", "nan", "fps is a number or a fraction such as 30000/1001, not 'nan'"),
        ("fps", "1/0", "fps is a number or a fraction such as 30000/1001, not '1/0'"),
        ("fps", "0", "fps is above 0 and at most 1000, not 0"),
        ("fps", "-24", "fps is above 0 and at most 1000, not -24"),
    ],
)
def test_a_word_that_cannot_be_is_told_what_could(
    name: str, word: str, complaint: str
) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # compared whole below
        parse(Dance, name, word)
    assert str(raised.value) == complaint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", True),
        ("steps", 4.0),
        ("speed", "1"),
        ("mirrored", 1),
        ("title", 5),
        ("fps", True),
    ],
)
def test_toml_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        check(Dance, name, value)


@given(st.integers(-(10**30), 10**30))
def test_a_whole_number_is_kept_or_its_bound_is_named(number: int) -> None:
    if 1 <= number <= 64:
        assert parse(Dance, "steps", str(number)) == number
    else:
        with pytest.raises(ValueError, match=r"steps is at (least 1|most 64), not"):
            parse(Dance, "steps", str(number))


def test_an_unknown_key_is_named_with_its_line_and_the_near_one(tmp_path: Path) -> None:
    path = tmp_path / "anim.toml"
    path.write_text("# settings\n\nstpes = 3\n")
    table, text = read_toml(path, ProjectError)
    with pytest.raises(ProjectError) as raised:
        check_table(HOMES, table, path, text, ProjectError)
    assert raised.value.message == f"{path}:3: unknown key 'stpes'"
    assert raised.value.hint == "did you mean 'steps'?"


def test_a_value_out_of_range_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "anim.toml"
    path.write_text('style = "tango"\nsteps = 99\n')
    table, text = read_toml(path, ProjectError)
    with pytest.raises(ProjectError) as raised:
        check_table(HOMES, table, path, text, ProjectError)
    assert raised.value.message == f"{path}:2: steps is at most 64, not 99"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"steps =\n", r":1: not TOML: "),
        (b"a = 1\nb = = 2\n", r":2: not TOML: "),
        (b"a = " + b"[" * 5000 + b"]" * 5000, r": arrays or tables nested too deeply$"),
        (b"a = " + b"9" * 5000, r": not TOML: "),
        (b"a = '\xff'\n", r": not TOML: "),
        (b"#" * (1 << 20) + b"#", r": larger than 1048576 bytes$"),
    ],
)
def test_text_that_is_no_toml_is_one_clear_line(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(PresetError, match=complaint):
        read_toml(path, PresetError)


def test_a_file_that_is_not_there_is_told_in_small_letters(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"x\.toml: no such file or directory$"):
        read_toml(tmp_path / "x.toml", PresetError)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfsteps = 3\n")
    assert read_toml(path, PresetError)[0] == {"steps": 3}


def test_lines_are_counted_from_one_and_zero_is_unknown() -> None:
    text = 'a = 1\n"b" = 2\n  c.d = 3\n# e = 4\n'
    assert [line_of(text, name) for name in "abce"] == [1, 2, 3, 0]


def test_a_word_like_no_other_has_no_near_one() -> None:
    assert suggest("xyzzy", ["steps", "width"]) == ""
