"""What people bring and how they say it: clips, folders and words a little wrong."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from builders.stages import executor, register, spot_pictures
from builders.videos import clip_with_tone, tiny_clip
from PIL import Image

from animcli.cli.config import Options
from animcli.cli.extract import ExtractPose
from animcli.cli.main import main, parse_line
from animcli.cli.motion import read_motion
from animcli.cli.options import read_part
from animcli.errors import InputError, UsageError
from animcli.pipeline.stage import Outcome
from animcli.pose.io_pose import read_pose
from animcli.stages.convert import TakePart
from animcli.stages.extract import ExtractStage
from animcli.stages.reference import FindPose
from animcli.video.images import write_picture

register()
Capture: TypeAlias = "pytest.CaptureFixture[str]"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without_frames(path: Path) -> Path:
    """A clip whose header is right, and of whose frames none can be decoded."""
    data = bytearray(tiny_clip(path, 12).read_bytes())
    start = data.index(b"mdat")
    size = int.from_bytes(data[start - 4 : start], "big")
    data[start + 4 : start - 4 + size] = bytes(size - 8)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("folder", ["out", "deep/er", "there"])
def test_an_inspection_that_fails_leaves_no_folder(
    here: Path, capsys: Capture, folder: str
) -> None:
    (here / "there").mkdir()
    without_frames(here / "a.mp4")
    assert main(["inspect", "a.mp4", "-o", folder]) == 3
    said = capsys.readouterr().err
    assert "none of its frames can be decoded" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in here.iterdir()) == ["a.mp4", "there"]


def test_an_inspection_that_succeeds_keeps_its_folder(here: Path) -> None:
    tiny_clip(here / "a.mp4", 12)
    assert main(["inspect", "a.mp4", "-o", "deep/er"]) == 0
    assert (here / "deep" / "er" / "a-sheet.png").is_file()


def test_of_a_folder_of_pictures_only_the_pictures_count(here: Path) -> None:
    for number, picture in enumerate(spot_pictures(4)):
        write_picture(here / f"{number}.png", picture)
    outcomes: list[Outcome] = []
    for _ in range(2):  # the cache lies in the folder, and so does what isn't a picture
        at = executor(here, done=lambda stage, outcome, seconds: outcomes.append(outcome))
        at.make(ExtractStage(Path(), "bright-spot"))
        (here / "dance.pose").write_bytes(b"a result")
    assert outcomes == [Outcome.RAN, Outcome.CACHED]
    write_picture(here / "4.png", np.zeros((96, 64, 3), np.uint8))
    at.make(ExtractStage(Path(), "bright-spot"))
    assert outcomes[-1] is Outcome.RAN


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("render dance.mp4 --motion ref.png", "anim render ref.png --motion dance.mp4"),
        ("retarget ref.png --to dance.mp4", "anim retarget dance.mp4 --to ref.png"),
    ],
)
def test_picture_and_motion_the_wrong_way_round_are_recognised(
    here: Path, capsys: Capture, words: str, hint: str
) -> None:
    write_picture(here / "ref.png", next(spot_pictures(1)))
    tiny_clip(here / "dance.mp4", 12)
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert "ref.png is a picture and dance.mp4 a motion" in said
    assert hint in said


def test_a_result_is_not_written_to_the_standard_output(
    here: Path, capsys: Capture
) -> None:
    tiny_clip(here / "dance.mp4", 12)
    assert main(["extract-pose", "dance.mp4", "-o", "-"]) == 2
    assert "results are files" in capsys.readouterr().err
    assert not (here / "-").exists()


def test_an_address_is_shown_as_it_was_typed(here: Path, capsys: Capture) -> None:
    assert main(["extract-pose", "https://example.org/a/dance.mp4"]) == 3
    said = capsys.readouterr().err
    assert "https://example.org/a/dance.mp4: is an address" in said


def test_a_project_that_is_not_there_is_named(here: Path, capsys: Capture) -> None:
    assert main(["-p", "nowhere", "doctor"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ({}, range(24)),
        ({"start": Fraction(1, 2)}, range(12, 24)),
        ({"start": Fraction(1, 3), "end": Fraction(5, 6)}, range(8, 20)),
        ({"start": Fraction(1, 4), "step": 3}, range(6, 24, 3)),
    ],
)
def test_a_part_of_the_video_is_that_of_the_whole(
    here: Path, suffix: str, part: dict[str, Fraction | int], wanted: range
) -> None:
    pictures = list(spot_pictures(24))
    clip = tiny_clip(
        here / f"a{suffix}", 24, width=64, height=96, picture=lambda t, *_: pictures[t]
    )
    plain = {"detector": "bright-spot", "clean": False}
    whole = read_pose(executor(here).make(ExtractStage(clip, **plain)).path)  # type: ignore[arg-type]
    stage = ExtractStage(clip, **plain, **part)  # type: ignore[arg-type]
    cut = read_pose(executor(here).make(stage).path)
    middles = whole.points.mean(axis=1)[list(wanted)]
    assert np.abs(cut.points.mean(axis=1) - middles).max() < 0.01
    assert cut.rate == Fraction(24) / part.get("step", 1)
    assert Fraction(str(cut.origin.source.get("start", 0))) == part.get("start", 0)


def test_a_part_without_frames_is_named(here: Path) -> None:
    clip = tiny_clip(here / "a.mp4", 12)
    with pytest.raises(InputError, match="can be read between --start") as refusal:
        executor(here).make(ExtractStage(clip, "bright-spot", start=Fraction(9)))
    assert refusal.value.hint == "it is 0.50 s long"


def test_times_are_read_as_people_write_them() -> None:
    assert read_part("1:02.5", "1:00:00", 2) == {
        "start": Fraction(125, 2),
        "end": Fraction(3600),
        "step": 2,
    }
    assert read_part(None, None, None) == {}
    for words in (("soon", None), ("-1", None), ("2", "1"), (None, "0"), ("1:2:3:4", None)):
        with pytest.raises(UsageError):
            read_part(*words, None)
    with pytest.raises(UsageError, match="--every 0"):
        read_part(None, None, 0)


def test_extract_pose_finds_the_part_that_is_said(here: Path) -> None:
    clip = tiny_clip(here / "a.mp4", 24)
    words = ["extract-pose", str(clip), "--start", "0.25", "--end", "0.75", "--every", "2"]
    (command,) = parse_line(words).commands
    assert isinstance(command, ExtractPose)
    found = command.motion(clip, Options()).source
    assert isinstance(found, ExtractStage)
    assert (found.start, found.end, found.step) == (Fraction(1, 4), Fraction(3, 4), 2)


def test_the_sound_of_a_part_begins_there(here: Path) -> None:
    clip = clip_with_tone(here / "tone.mp4", Fraction(0))
    motion = read_motion(clip, Options(), part={"start": Fraction(1, 2)})
    assert (motion.video, motion.begins) == (clip, Fraction(1, 2))


def test_a_part_of_a_pose_is_that_of_the_video(here: Path) -> None:
    pictures = list(spot_pictures(24))
    clip = tiny_clip(
        here / "a.mp4", 24, width=64, height=96, picture=lambda t, *_: pictures[t]
    )
    plain = {"detector": "bright-spot", "clean": False}
    whole = ExtractStage(clip, **plain)  # type: ignore[arg-type]
    part = {"start": Fraction(1, 3), "end": Fraction(5, 6), "step": 3}
    cut = read_pose(executor(here).make(TakePart(whole, **part)).path)  # type: ignore[arg-type]
    points = read_pose(executor(here).make(whole).path).points
    np.testing.assert_array_equal(cut.points, points[8:20:3])
    assert cut.rate == 8
    assert Fraction(str(cut.origin.source["start"])) == Fraction(1, 3)
    with pytest.raises(InputError, match="has no frames between --start and --end"):
        executor(here).make(TakePart(whole, start=Fraction(9)))


@pytest.mark.parametrize("name", ["a.pose", "a.json", "a.bvh"])
def test_a_part_of_keypoints_is_planned_as_one_of_footage(here: Path, name: str) -> None:
    (here / name).write_bytes(b"")
    motion = read_motion(here / name, Options(), part={"start": Fraction(2), "step": 2})
    assert isinstance(motion.source, TakePart)
    assert (motion.source.start, motion.source.step, motion.begins) == (2, 2, 2)


def test_a_still_picture_is_a_motion_that_holds_its_pose(
    here: Path, capsys: Capture
) -> None:
    write_picture(here / "pose.png", next(spot_pictures(1)))
    motion = read_motion(here / "pose.png", replace(Options(), person="2"))
    assert motion.source == FindPose(here / "pose.png", person="2")
    write_picture(here / "ref.png", next(spot_pictures(1)))
    line = "--dry-run --json render ref.png --motion pose.png --preset cutout"
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert "is held for 48 frames" in said.err
    assert main([*line.split(), "--start", "1"]) == 2
    assert "--start is for footage" in capsys.readouterr().err


def test_an_animation_is_no_still_picture(here: Path) -> None:
    frames = [Image.fromarray(picture) for picture in spot_pictures(4)]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(here / name, save_all=True, append_images=frames[1:])
        assert isinstance(read_motion(here / name, Options()).source, ExtractStage)
