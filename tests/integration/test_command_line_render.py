"""The main job from the command line: a drawn dancer's motion moves a drawn character."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders.videos import clip_with_tone

from animcli.cli.main import main
from animcli.pose.io_pose import read_pose
from animcli.video.images import read_picture
from animcli.video.reader import open_footage

FRAMES = 10
Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.blazepose


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, blazepose_models: Path
) -> Iterator[Path]:
    """A project in which `anim demo` has run; small, so that it takes seconds."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "anim.toml").write_text("width = 192\nheight = 288\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ANIM_")]:
            patch.delenv(name)
        patch.setenv("ANIM_WEIGHTS", str(blazepose_models.parent))
        patch.chdir(folder)
        assert main(["demo", "-o", ".", "--frames", str(FRAMES), "--quiet"]) == 0
        yield folder


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch, blazepose_models: Path) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("ANIM_WEIGHTS", str(blazepose_models.parent))
    return made


def frames_of(video: str) -> int:
    with open_footage(Path(video)) as reader:
        return sum(1 for _ in reader.frames())


def answer(words: list[str], capsys: Capture) -> dict[str, list[dict[str, object]]]:
    capsys.readouterr()
    assert main([*words, "--json", "--quiet"]) == 0
    read: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return read


def test_the_demo_ends_in_videos_and_a_sheet(here: Path) -> None:
    assert [
        frames_of(name) for name in ("dance.mp4", "ref-dance.mp4", "side-by-side.mp4")
    ] == [FRAMES] * 3
    with open_footage(here / "side-by-side.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (3 * 192, 288)
    with open_footage(here / "tiny-dance.mp4") as reader:
        assert (reader.info.width, reader.info.height, reader.info.frames) == (
            256,
            256,
            min(FRAMES, 24),
        )
    assert len(read_pose(here / "dance.pose")) == FRAMES
    assert read_picture(here / "sheet.png").pixels.shape[2] == 3


def test_the_result_moves(here: Path) -> None:
    with open_footage(here / "ref-dance.mp4") as reader:
        pictures = [frame.picture.astype(np.int16) for frame in reader.frames()]
    changed = (np.abs(pictures[-1] - pictures[0]).max(axis=2) > 40).mean()
    assert changed > 0.005  # of the picture: arms have moved, the room hasn't
    assert changed < 0.5


def test_the_same_demo_again_is_there_already(capsys: Capture) -> None:
    stages = answer(["demo", "-o", ".", "--frames", str(FRAMES)], capsys)["stages"]
    assert {stage["outcome"] for stage in stages} == {"cached"}


def test_a_chain_is_the_same_as_its_parts(capsys: Capture) -> None:
    line = "extract-pose dance.mp4 -o again.pose then retarget --to ref.png -o fit.pose "
    line += "then render ref.png --frames 4 -o chain.mp4 then encode -o chain.webm"
    results = answer(line.split(), capsys)["results"]
    assert [each["path"] for each in results] == [
        "again.pose",
        "fit.pose",
        "chain.mp4",
        "chain.webm",
    ]
    assert Path("again.pose").read_bytes() == Path("dance.pose").read_bytes()
    assert [frames_of(name) for name in ("chain.mp4", "chain.webm")] == [4, 4]


def test_results_are_named_after_what_they_are_made_of(capsys: Capture) -> None:
    line = "render ref.png --motion dance.pose --frames 3 --compare --codec vp9"
    results = answer(line.split(), capsys)["results"]
    assert [each["path"] for each in results] == [
        "ref-dance.webm",
        "ref-dance-compare.webm",
    ]
    results = answer(["encode", "ref-dance.webm", "--codec", "gif"], capsys)["results"]
    assert [each["path"] for each in results] == ["ref-dance-gif.gif"]
    assert frames_of("ref-dance-gif.gif") == 3


def test_a_name_that_another_recipe_took_gains_the_preset(capsys: Capture) -> None:
    theirs = Path("ref-dance.mp4").read_bytes()  # of the demo: more frames
    line = "render ref.png --motion dance.pose --preset cutout --frames 2"
    for _ in range(2):  # the second finds its own
        results = answer(line.split(), capsys)["results"]
        assert [each["path"] for each in results] == ["ref-dance-cutout.mp4"]
    assert Path("ref-dance.mp4").read_bytes() == theirs
    assert main([*line.split(), "--life", "0.5"]) == 8  # both names are others' now
    assert "ref-dance-cutout.mp4 exists already" in capsys.readouterr().err
    Path("mine").mkdir()
    Path("mine/ref-dance.mp4").write_bytes(b"not anim's")
    assert main([*line.split(), "-o", "mine"]) == 8
    assert "mine/ref-dance.mp4 exists already" in capsys.readouterr().err


def test_without_weights_and_a_preset_cutout_renders(capsys: Capture) -> None:
    line = "render ref.png -m dance.pose --frames 4 -o said.mp4"
    assert main(line.split()) == 0
    assert "rendering with the preset cutout" in capsys.readouterr().err
    stages = answer([*line.split(), "--preset", "cutout"], capsys)["stages"]
    assert {stage["outcome"] for stage in stages} == {"cached"}  # the same work
    with open_footage(Path("said.mp4")) as reader:
        pictures = [frame.picture.astype(np.int16) for frame in reader.frames()]
    assert len(pictures) == 4
    still = read_picture(Path("ref.png")).pixels.astype(np.int16)
    assert still.shape == pictures[0].shape
    assert np.median(np.abs(pictures[0] - still)) < 8  # levels: the same room
    assert np.abs(pictures[3] - pictures[0]).max() > 20


def test_a_video_is_encoded_again_at_another_size(capsys: Capture) -> None:
    line = "render ref.png -m dance.pose -o whole.mp4 --quiet"
    assert main(line.split()) == 0
    answer(["encode", "whole.mp4", "--size", "96x96", "-o", "small.mp4"], capsys)
    with open_footage(Path("whole.mp4")) as large, open_footage(Path("small.mp4")) as small:
        assert (large.info.width, large.info.height) == (192, 288)
        assert (small.info.width, small.info.height, small.info.frames) == (96, 96, FRAMES)
        assert small.info.rate == large.info.rate
    answer(["encode", "small.mp4", "-o", "again.webm"], capsys)
    with open_footage(Path("again.webm")) as again:
        assert (again.info.width, again.info.height) == (96, 96)


def test_a_folder_of_pictures_is_made_again_in_its_place(capsys: Capture) -> None:
    line = "encode ref-dance.mp4 -o pictures"
    for _ in range(2):
        assert answer(line.split(), capsys)["results"][0]["path"] == "pictures"
    assert len(list(Path("pictures").iterdir())) == FRAMES


def test_a_video_encoded_into_a_folder_keeps_its_name(capsys: Capture) -> None:
    Path("films").mkdir()
    line = "encode ref-dance.mp4 -o films"
    assert answer(line.split(), capsys)["results"][0]["path"] == "films/ref-dance.mp4"


def test_more_frames_than_the_motion_has_are_refused_or_looped(capsys: Capture) -> None:
    line = f"render ref.png --motion dance.pose --frames {FRAMES + 2} -o long.mp4"
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert f"the motion has {FRAMES} frames" in err
    assert "--loop" in err
    assert main([*line.split(), "--loop", "--quiet"]) == 0
    assert frames_of("long.mp4") == FRAMES + 2


def test_the_sound_of_the_dance_goes_along_unless_told_otherwise(
    capsys: Capture, here: Path
) -> None:
    clip_with_tone(here / "tone.mkv", onset=0)
    line = "render ref.png --motion dance.pose --frames 4 -o plain.mp4 then encode"
    loud = [*line.split(), "--sound", "tone.mkv", "--quiet"]
    assert main([*loud, "-o", "loud.mp4"]) == 0
    assert main([*loud, "-o", "mute.mp4", "--no-audio"]) == 0
    found = []
    for name in ("plain.mp4", "loud.mp4", "mute.mp4"):
        with open_footage(Path(name)) as reader:
            found.append(reader.info.has_sound)
    assert found == [False, True, False]


def test_a_sound_that_is_not_there_is_told_or_refused(capsys: Capture, here: Path) -> None:
    (here / "alone").mkdir()
    copy = here / "alone" / "moves.pose"
    copy.write_bytes((here / "dance.pose").read_bytes())
    line = f"render ref.png --motion {copy} --frames 2 -o silent.mp4"
    assert main(line.split()) == 0
    assert "its video isn't beside it" in capsys.readouterr().err
    assert main([*line.split(), "--audio", "--force"]) == 2
    assert f"--audio: {copy} has no sound" in capsys.readouterr().err
    assert main(["render", "ref.png", "--motion", "ref-dance.mp4", "--audio"]) == 2
    assert "--audio: ref-dance.mp4 has no sound" in capsys.readouterr().err


def test_the_pose_of_a_result_is_inspected(capsys: Capture) -> None:
    results = answer(["inspect", "ref-dance.mp4", "--pose", "-o", "look"], capsys)[
        "results"
    ]
    assert [each["path"] for each in results[1:]] == [
        f"look/ref-dance-{name}"
        for name in ("sheet.png", "overlay.mp4", "overlay.png", "curves.png", "people.png")
    ]
    assert frames_of("look/ref-dance-overlay.mp4") == FRAMES


def test_the_frames_of_a_video_may_be_gone_from_the_cache(
    capsys: Capture, tmp_path: Path
) -> None:
    assert main(
        ["--cache-dir", str(tmp_path / "new"), "encode", "ref-dance.mp4", "-o", "x.webm"]
    )
    err = capsys.readouterr().err
    assert err.startswith(
        "error: ref-dance.mp4: the cache doesn't hold its frames any more\n"
    )
    assert " hint: make it again first: anim demo -o . --frames" in err


def test_a_picture_without_a_person_is_named(capsys: Capture, here: Path) -> None:
    from PIL import Image

    Image.new("RGB", (192, 288), (90, 120, 90)).save(here / "meadow.png")
    assert main(["render", "meadow.png", "--motion", "dance.pose"]) == 3
    assert "meadow.png" in capsys.readouterr().err


def test_some_of_a_batch_may_fail(capsys: Capture, here: Path) -> None:
    (here / "page.mp4").write_text("<html>no video</html>")
    (here / "empty.mp4").touch()
    (here / "batch").mkdir()
    words = ["extract-pose", "page.mp4", "dance.mp4", "empty.mp4", "gone.mp4"]
    code = main([*words, "-o", "batch"])
    out, err = capsys.readouterr()
    assert (code, out) == (9, "batch/dance.pose\n")
    mistakes = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(mistakes) == 4
    assert mistakes[-1] == "error: 3 of 4 failed; the others are done"
