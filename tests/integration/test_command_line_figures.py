"""Options about the figure: a cast, backgrounds and alpha, as users type them."""

from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest
from builders.stages import register, spot_pictures
from builders.videos import tiny_clip
from PIL import Image

from animcli.cli.config import Options
from animcli.cli.figures import background_of, read_cast
from animcli.cli.following import OnlyPart
from animcli.cli.main import main
from animcli.errors import ProjectError, UsageError
from animcli.stages.extract import ExtractStage
from animcli.stages.reference import FitClip, FitPicture, box_of
from animcli.video.images import write_picture

register()
Capture: TypeAlias = "pytest.CaptureFixture[str]"

CAST = """
[[character]]
person = 1
motion = "dance.mp4"

[[character]]
box = [10, 20, 50, 90]
motion = "clips/walk.mp4"
motion_person = 2
speed = 0.5
only = "upper"
start = "0.25"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "ref.png", next(spot_pictures(1)))
    tiny_clip(tmp_path / "dance.mp4", 12)
    (tmp_path / "clips").mkdir()
    tiny_clip(tmp_path / "clips" / "walk.mp4", 12)
    (tmp_path / "cast.toml").write_text(CAST)
    return tmp_path


@pytest.mark.parametrize(
    "option", ["--alpha", "--background white", "--cast cast.toml", "--background driving"]
)
def test_a_renderer_that_does_not_know_the_figure_refuses_by_name(
    here: Path, capsys: Capture, option: str
) -> None:
    words = f"render ref.png --motion dance.mp4 --preset tiny {option}".split()
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{option.split()[0]} has no effect with the preset tiny" in said
    assert "--preset cutout" in said


def test_a_cast_says_for_each_character_who_moves_and_how(here: Path) -> None:
    one, other = read_cast(here / "cast.toml", Options())
    assert (one.person, one.speed, one.only) == ("1", 1, OnlyPart.ALL)
    assert (other.person, other.speed) == ("10,20,50,90", Fraction(1, 2))
    assert other.only is OnlyPart.UPPER
    assert isinstance(other.motion.source, ExtractStage)
    assert other.motion.source.video == here / "clips" / "walk.mp4"  # beside the file
    assert (other.motion.source.person, other.motion.source.start) == ("2", Fraction(1, 4))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no \[\[character\]\]"),
        ("person = 1", "cast.toml:1: unknown key 'person'"),
        ("character = 3", r"has no \[\[character\]\]"),
        ("character = [1]", "character 1 is 1, and no table"),
        ('[[character]]\nmotion = "dance.mp4"', "says its person or its box"),
        ('[[character]]\nperson = 0\nmotion = "dance.mp4"', "person is largest, center or"),
        ('[[character]]\nbox = [1, 2, 3]\nmotion = "dance.mp4"', "box is"),
        ("[[character]]\nperson = 1", "motion is the name of a file"),
        ('[[character]]\nperson = 1\nmoton = "dance.mp4"', "unknown key 'moton'"),
        ('[[character]]\nperson = 1\nmotion = "dance.mp4"\nspeed = 9', "speed is 0.5 to 2"),
        (
            '[[character]]\nperson = 1\nmotion = "dance.mp4"\nonly = "legs"',
            "only is one of",
        ),
        ('[[character]]\nperson = 1\nmotion = "dance.mp4"\nstart = "x"', "--start x"),
        (
            '[[character]]\nperson = 1\nmotion = "dance.mp4"\nevery = 1.5',
            "every is a whole",
        ),
        (2 * '[[character]]\nperson = 1\nmotion = "dance.mp4"\n', "two characters are"),
    ],
)
def test_what_is_wrong_in_a_cast_is_named(here: Path, text: str, message: str) -> None:
    (here / "cast.toml").write_text(text)
    with pytest.raises(ProjectError, match=message):
        read_cast(here / "cast.toml", Options())


@pytest.mark.parametrize(
    "option",
    [
        *("--motion dance.mp4", "--speed 2", "--only arms", "--start 1", "--person 1"),
        *("--no-retarget", "--reference-person 1", "--background driving", "--report"),
    ],
)
def test_what_a_cast_says_for_each_is_not_said_for_all(
    here: Path, capsys: Capture, option: str
) -> None:
    words = f"render ref.png --preset cutout --cast cast.toml {option}".split()
    assert main(words) == 2
    assert "is about one character, and --cast has several" in capsys.readouterr().err


def test_a_background_is_a_picture_a_video_or_a_colour(here: Path) -> None:
    size = (64, 96)
    assert background_of("white", size) == "#ffffff"
    assert background_of("#00B140", size) == "#00b140"
    assert isinstance(background_of("ref.png", size), FitPicture)
    Image.open("ref.png").save("beach.webp")
    assert isinstance(background_of("beach.webp", size), FitPicture)
    assert isinstance(background_of("dance.mp4", size), FitClip)
    with pytest.raises(UsageError, match="no such file, and no colour"):
        background_of("beach.jpg", size)


def test_alpha_has_no_background_and_needs_a_file_with_a_place_for_it(
    here: Path, capsys: Capture
) -> None:
    line = "render ref.png --motion dance.mp4 --preset cutout --alpha"
    assert main([*line.split(), "--background", "white"]) == 2
    assert "--alpha leaves the background out" in capsys.readouterr().err
    assert main([*line.split(), "-o", "a.mp4"]) == 2
    said = capsys.readouterr().err
    assert "no place for alpha" in said
    assert "ProRes 4444" in said


def test_the_background_of_a_driving_video_wants_that_video(
    here: Path, capsys: Capture
) -> None:
    (here / "alone.pose").write_bytes(b"")
    words = "render ref.png --motion alone.pose --preset cutout --background driving"
    assert main(words.split()) == 2
    assert "the video of alone isn't here" in capsys.readouterr().err


def test_a_box_says_who_is_meant() -> None:
    assert box_of("10,20,50,90") == (10, 20, 50, 90)
    assert box_of("largest") is None
    assert box_of("1,2,3") is None
    assert box_of(None) is None
