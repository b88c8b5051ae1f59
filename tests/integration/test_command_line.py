"""The command line as a user meets it: what it prints, what it makes, how it exits."""

import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.poses import random_pose
from builders.videos import tiny_clip
from PIL import Image

from animcli.cli.main import main
from animcli.pipeline.cache import Listing
from animcli.pipeline.project import find_project
from animcli.pose.io_pose import read_pose, write_pose

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and nothing said by variables."""
    for name in [name for name in os.environ if name.startswith("ANIM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANIM_WEIGHTS", str(tmp_path / "weights"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def a_pose(name: str = "dance.pose", frames: int = 6) -> Path:
    path = Path(name)
    write_pose(path, random_pose(frames, Fraction(24), (64, 96)))
    return path


def a_clip(name: str = "dance.mp4", frames: int = 6) -> Path:
    return tiny_clip(Path(name), frames)


def a_picture(name: str = "ref.png") -> Path:
    Image.fromarray(np.full((96, 64, 3), 200, np.uint8)).save(name)
    return Path(name)


def in_cache() -> list[Listing]:
    return list(find_project(Path.cwd()).store.ls())


def errors(words: list[str], capsys: Capture) -> tuple[int, str]:
    code = main(words)
    return code, capsys.readouterr().err.splitlines()[0]


def test_a_pose_is_inspected(capsys: Capture) -> None:
    a_pose()
    assert main(["inspect", "dance.pose", "-o", "look"]) == 0
    out = capsys.readouterr().out
    assert "frames:                 6\n" in out
    assert "seconds:                0.25\n" in out  # as of a video of so many frames
    assert out.splitlines()[-3:] == [
        f"look/dance-{name}" for name in ("overlay.mp4", "overlay.png", "curves.png")
    ]
    with Image.open("look/dance-curves.png") as curves:
        assert curves.size == (1200, 720)


def test_another_look_replaces_the_pictures_of_the_last(capsys: Capture) -> None:
    a_pose()
    a_clip()
    assert main(["inspect", "dance.pose"]) == 0
    assert main(["inspect", "dance.pose", "--on", "dance.mp4"]) == 0
    Path("dance-curves.png").write_text("mine")
    capsys.readouterr()
    assert main(["inspect", "dance.pose"]) == 8  # and the facts are told all the same
    assert "frames:                 6\n" in capsys.readouterr().out
    assert Path("dance-curves.png").read_text() == "mine"


def test_a_motion_goes_to_node_editors_and_comes_back(capsys: Capture) -> None:
    pose = read_pose(a_pose())
    assert main(["extract-pose", "dance.pose", "-o", "dance.json"]) == 0
    assert main(["extract-pose", "dance.json", "--fps", "12", "-o", "back.pose"]) == 0
    assert capsys.readouterr().out == "dance.json\nback.pose\n"
    back = read_pose(Path("back.pose"))
    assert (back.rate, back.size, len(back)) == (12, pose.size, len(pose))
    body = pose.visible[:, :18]
    np.testing.assert_allclose(
        back.points[:, :18][body], pose.points[:, :18][body], atol=0.01
    )


def test_a_video_is_inspected_as_json(capsys: Capture) -> None:
    a_clip()
    assert main(["inspect", "dance.mp4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    facts, sheet = answer["results"]
    assert (facts["frames"], facts["size"], facts["sound"]) == (6, [64, 48], False)
    assert sheet["path"] == "dance-sheet.png"
    assert [stage["outcome"] for stage in answer["stages"]] == ["ran"]
    assert Path("dance-sheet.png").is_file()


def test_the_same_line_again_does_nothing_again(capsys: Capture) -> None:
    a_clip()
    main(["inspect", "dance.mp4"])
    before = Path("dance-sheet.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["inspect", "dance.mp4", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["outcome"] for stage in stages] == ["cached"]
    assert Path("dance-sheet.png").stat().st_mtime_ns == before


def test_a_dry_run_says_what_is_done_and_what_would_run(capsys: Capture) -> None:
    a_pose()
    main(["inspect", "dance.pose"])
    capsys.readouterr()
    for overlay in Path().glob("dance-overlay.*"):
        overlay.unlink()
    a_clip()
    assert main(["--dry-run", "inspect", "dance.pose", "--on", "dance.mp4"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-4:] == [
        "overlay       would run",
        "encode        pending -> dance-overlay.mp4",
        "contact-sheet pending -> dance-overlay.png",
        "curves        done -> dance-curves.png",
    ]
    assert err == ""


def test_a_dry_run_makes_nothing(here: Path, capsys: Capture) -> None:
    line = (
        "demo -o out then init new then cache clear then extract-pose dance.mp4 --dry-run"
    )
    a_clip()
    assert main(line.split()) == 0
    assert [path.name for path in here.iterdir()] == ["dance.mp4"]
    assert "extract-pose  would run; lacks weights" in capsys.readouterr().out


def test_a_dry_run_of_training_tells_its_stages(here: Path, capsys: Capture) -> None:
    Path("train.toml").write_text("[1]\nupdates = 7\n")
    a_clip()
    line = "--dry-run train out --settings train.toml --data ."
    assert main(line.split()) == 0
    found, *stages = capsys.readouterr().out.splitlines()
    assert found.startswith("extract-pose  would run")
    assert stages == [
        "train autoencoder would run, 12000 updates in all -> out/autoencoder",
        "train 1 would run, 7 updates in all -> out/1",
        "train 2 would run, 8000 updates in all -> out/2",
    ]
    assert not Path("out").exists()


def test_a_dry_run_of_an_import_takes_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIM_WEIGHTS", "weights")
    Path("a.onnx").write_bytes(b"not checked either")
    assert main(["--dry-run", "weights", "import", "dwpose", "a.onnx"]) == 0
    assert capsys.readouterr().out == "dwpose: would take a.onnx\n"
    assert not Path("weights").exists()


def test_all_weights_that_a_render_lacks_are_named_in_one_command(capsys: Capture) -> None:
    a_pose()
    a_picture()
    line = "render ref.png -m dance.pose --preset animate-anyone --dry-run"
    assert main(line.split()) == 0
    pull = "anim weights pull animate-anyone sd-vae-ft-mse clip-image-encoder"
    assert f"lacks weights ({pull})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "told"), [("presets list", "Cinemo as pub"), ("weights list", "Cinemo: den")]
)
def test_what_a_list_tells_stands_in_one_column(
    line: str, told: str, capsys: Capture
) -> None:
    assert main(line.split()) == 0
    rows = capsys.readouterr().out.splitlines()
    (at,) = {row.index(told) for row in rows if row.startswith("cinemo ")}
    entries = [row for row in rows if not row.startswith("kept in")]
    assert len(entries) > 5
    assert {row[at - 2 : at] for row in entries} == {"  "}
    assert " " not in {row[at] for row in entries}


def test_a_mistake_late_in_the_line_stops_it_before_any_work(here: Path) -> None:
    a_pose()
    assert main(["inspect", "dance.pose", "then", "retarget", "--too", "ref.png"]) == 2
    assert [path.name for path in here.iterdir()] == ["dance.pose"]


@pytest.mark.parametrize("line", ["retarget --to ref.png", "render ref.png"])
def test_without_a_motion_the_way_to_say_one_is_shown(line: str, capsys: Capture) -> None:
    a_picture()
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: there is no motion\n hint: say which: anim ")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (
            "render ref.png -m dance.pose --size 511x767",
            2,
            "--size 511x767: both sides are",
        ),
        ("render ref.png -m dance.pose --frames 0", 2, "--frames 0: it is 1 to 1000000"),
        ("render ref.png -m dance.pose --frames -1", 2, "--frames -1: it is 1 to 1000000"),
        ("render ref.png -m dance.pose --frames 1e9", 2, "invalid value for '--frames'"),
        (
            "render ref.png -m dance.pose --fps nan",
            2,
            "--fps nan: fps is a number or a frac",
        ),
        (
            "render ref.png -m dance.pose --seed -1",
            2,
            "--seed -1: seed is at least 0, not -1",
        ),
        (
            "render ref.png -m dance.pose --seed 9223372036854775808",
            2,
            "--seed 9223372036854775808: seed is at most 9223372036854775807",
        ),
        ("render ref.png -m dance.pose --preset cutuot", 4, "no preset 'cutuot'"),
        ("render ref.png -m dance.pose --preset ../../x", 4, "'../../x' can't be a preset"),
        (
            "render ref.png -m dance.pose --preset cutout --steps 3",
            2,
            "--steps has no effect with the preset",
        ),
        (
            "render ref.png -m dance.pose --preset cutout --device cuda",
            2,
            "--device cuda has no effect with",
        ),
        ("render ref.png -m dance.pose -o a.avi", 2, "a.avi: don't know how to write .avi"),
        ("render ref.png -m dance.pose -o ref.png", 2, "ref.png: don't know how to write"),
        (
            "render ref.png -m dance.pose -o a.mp4 --codec prores4444",
            2,
            "a.mp4: prores4444 doesn't go into a .mp4 file",
        ),
        ("render ref.png -m dance.pose -o no/a.mp4", 2, "no: no such folder"),
        ("render ref.png -m dance.pose -o no/", 2, "no/: no such folder"),
        ("render ref.png -m no.pose -o a.mp4", 3, "no.pose: no such file or directory"),
        (
            "inspect dance.pose then render no.png -m dance.pose --preset cutout",
            3,
            "no.png: no such file",
        ),
        (
            "extract-pose dance.mp4 -o a.pose then retarget a.pose --to ref.png",
            2,
            "a.pose is made by this line, and is an input of another command in it",
        ),
        ("then render", 2, "there is no command before `then`"),
        ("inspect dance.pose then", 2, "there is no command behind `then`"),
        ("inspect then --json then doctor", 2, "there is no command behind `then`"),
        ("render ref.png -m dance.pose -o taken.mp4", 8, "taken.mp4 exists already"),
        (  # what exists is told last: it must not hide a worse mistake
            "render ref.png -m dance.pose --preset animate-anyone -o taken.mp4",
            5,
            "weights aren't here: animate-anyone",
        ),
        (
            "render ref.png -m no.pose -o taken.mp4",
            3,
            "no.pose: no such file or directory",
        ),
        ("render ref.png -m dance.pose -o taken.mp4 --person bob", 2, "--person"),
        (  # before the motion is fitted, and in a dry run as well
            "--dry-run render ref.png -m dance.pose --frames 240 --preset cutout",
            2,
            "frames, 240 were asked for",
        ),
        ("render ref.png -m dance.pose --frames 240", 2, "frames, 240 were asked for"),
        ("inspect no.mp4", 3, "no.mp4: no such file"),
        ("inspect no.pose", 3, "no.pose"),
        ("inspect dance.mp4 --on dance.mp4", 2, "--on is for poses, and dance.mp4 is none"),
        (
            "encode dance.mp4 --codec vp9",
            3,
            "dance.mp4: there is no dance.mp4.json beside it",
        ),
        ("encode", 2, "there is no video"),
        ("extract-pose dance.pose", 2, "dance.pose is a pose already"),
        ("extract-pose dance.mp4 -o a.txt", 2, "a.txt: a motion is kept as .pose, .json"),
        ("extract-pose dance.mp4 --fps 12", 2, "--fps is for pictures and keypoints"),
        ("extract-pose a b -o c.pose", 2, "c.pose can't hold the poses of 2 videos"),
        ("weights pull nothing", 5, "no weights are called 'nothing'"),
        ("weights verify nothing", 5, "no weights are called 'nothing'"),
        ("train out --data nowhere", 3, "nowhere: no such folder"),
        ("presets show nothing", 4, "no preset 'nothing'"),
        ("init taken", 8, "taken/anim.toml exists already"),
    ],
)
def test_each_mistake_has_its_message_and_exit_code(
    line: str, code: int, message: str, capsys: Capture
) -> None:
    a_pose()
    a_picture()
    a_clip()
    Path("taken.mp4").touch()
    Path("taken").mkdir()
    Path("taken/anim.toml").touch()
    found, said = errors(line.split(), capsys)
    assert (found, message in said) == (code, True), said
    assert in_cache() == []


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("\n\nstpes = 3\n", "anim.toml:3: unknown key 'stpes'"),
        ("steps = = 3\n", "anim.toml:1: not TOML"),
        ("fps = true\n", "anim.toml:1: fps is a number or a fraction such as 30000/1001"),
        ('hands = "no"\n', "anim.toml:1: hands is true or false, not 'no'"),
        ('preset = "danse"\n', "no preset 'danse'"),
    ],
)
def test_a_mistake_in_the_settings_is_named_with_its_line(
    toml: str, message: str, capsys: Capture
) -> None:
    Path("anim.toml").write_text(toml)
    code, said = errors(["render", "r.png", "-m", "d.pose"], capsys)
    assert code == 4
    assert message in said


def test_a_variable_that_cannot_be_is_named(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIM_STEPS", "abc")
    assert errors(["presets", "list"], capsys) == (
        4,
        "error: ANIM_STEPS=abc: steps is a whole number, not 'abc'",
    )


def linked(how: str) -> None:
    if how == "symlink":
        Path("out.mp4").symlink_to("dance.mp4")
    else:
        os.link("dance.mp4", "out.mp4")


@pytest.mark.parametrize("how", ["symlink", "hard link"])
def test_a_result_never_replaces_its_input(how: str, capsys: Capture) -> None:
    a_picture()
    a_clip()
    linked(how)
    line = "render ref.png -m dance.mp4 -o out.mp4 --force"
    assert errors(line.split(), capsys) == (2, "error: out.mp4 would replace its own input")


def test_force_replaces_what_is_there(capsys: Capture) -> None:
    a_clip()
    Path("dance-sheet.png").write_text("mine")
    assert errors(["inspect", "dance.mp4"], capsys)[0] == 8
    assert Path("dance-sheet.png").read_text() == "mine"
    assert main(["inspect", "dance.mp4", "--force"]) == 0
    assert Path("dance-sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name",
    [
        "-dance.mp4",
        "a\nb.mp4",
        "f_%d.mp4",
        "concat:z.mp4",
        "then.mp4",
        os.fsdecode(b"\xff.mp4"),
    ],
)
def test_strange_names_are_only_names(name: str, here: Path) -> None:
    a_clip("plain.mp4").rename(here / name)
    assert main(["inspect", "--quiet", "--json", "--", name]) == 0
    assert (here / f"{Path(name).stem}-sheet.png").is_file()


def test_settings_in_anim_toml_name_every_key(capsys: Capture) -> None:
    assert main(["init", "new"]) == 0
    assert capsys.readouterr().out == "new/anim.toml\n"
    text = Path("new/anim.toml").read_text()
    set_all = "\n".join(
        line[2:]
        for line in text.splitlines()
        if line.startswith("# ")
        and line[2:].partition(" = ")[0].isidentifier()
        and line[-1] != "="
    )
    Path("new/anim.toml").write_text(set_all)
    assert main(["-p", "new", "presets", "show", "cutout", "--origin"]) == 0
    assert "seed = 42                    # anim.toml:" in capsys.readouterr().out


def test_new_settings_say_which_defaults_a_preset_may_replace() -> None:
    assert main(["init"]) == 0
    blocks = Path("anim.toml").read_text().split("\n\n")
    differ = {block.split()[-3] for block in blocks if " Presets differ.\n" in block}
    assert {"width", "height", "steps", "guidance", "window"} <= differ
    assert not differ & {"stride", "fps", "codec", "device"}


def test_the_origin_of_each_value_is_told(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIM_SEED", "7")
    Path("anim.toml").write_text("height = 512\n")
    assert main(["presets", "show", "cutout", "--origin"]) == 0
    rows = [line.split("#") for line in capsys.readouterr().out.splitlines()]
    assert {value.strip(): origin.strip() for value, origin in rows} == {
        'renderer = "cutout"': "preset cutout",
        "width = 512": "preset cutout",
        "height = 512": "anim.toml:1",
        "own_size = true": "preset cutout",
        "life = 1.0": "preset cutout",
        "expression = true": "preset cutout",
        "seed = 7": "ANIM_SEED",
    }


def test_the_cache_is_listed_verified_and_cleared(capsys: Capture) -> None:
    a_clip()
    main(["inspect", "dance.mp4"])
    capsys.readouterr()
    assert main(["cache", "list"]) == 0
    assert " contact-sheet whole " in capsys.readouterr().out
    (made,) = Path(".anim/store").glob("*/contact-sheet.png")
    made.write_bytes(b"damaged")
    assert main(["cache", "verify", "--dry-run"]) == 7
    assert made.exists()
    assert main(["cache", "verify"]) == 7
    assert capsys.readouterr().out.count("1 read, 1 damaged") == 2
    assert main(["cache", "clear"]) == 0
    assert in_cache() == []


def test_a_busy_cache_is_waited_for_unless_told_otherwise(capsys: Capture) -> None:
    from animcli.files import locked
    from animcli.stages.inspect import SheetStage

    a_clip()
    assert main(["--dry-run", "--json", "inspect", "dance.mp4"]) == 0
    (_, sheet) = json.loads(capsys.readouterr().out)["results"]
    assert sheet["stage"] == SheetStage.name
    store = find_project(Path.cwd()).store
    with locked(store.lock_of(sheet["key"])) as free:
        assert free
        code, said = errors(["--no-wait", "inspect", "dance.mp4"], capsys)
    assert (code, said) == (
        8,
        "error: another anim process is busy with the same contact-sheet",
    )


def test_the_doctor_looks_at_everything(capsys: Capture) -> None:
    code = main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["results"]
    named = {finding["name"] for finding in findings}
    assert {"python", "device", "onnx", "litert", "encoders", "weights", "cache"} <= named
    assert code == (6 if any(finding["state"] == "bad" for finding in findings) else 0)
    assert all(finding["advice"] for finding in findings if finding["state"] != "ok")


def test_weights_that_are_elsewhere_are_listed(capsys: Capture) -> None:
    assert main(["weights", "list"]) == 0
    row = next(row for row in capsys.readouterr().out.splitlines() if "blazepose" in row)
    assert row.split()[:4] == ["blazepose", "-", "16.7", "MB"]
    assert main(["weights", "verify"]) == 0
    assert main(["weights", "verify", "dwpose"]) == 5
    assert "anim weights pull dwpose" in capsys.readouterr().out


def test_a_pull_takes_what_goes_with_an_entry_and_each_once(capsys: Capture) -> None:
    assert main(["weights", "pull", "animate-anyone", "sd-vae-ft-mse", "--dry-run"]) == 0
    told = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert told == ["animate-anyone", "sd-vae-ft-mse", "clip-image-encoder"]


def test_a_web_page_is_no_weights(capsys: Capture) -> None:
    Path("pose_detection.tflite").write_text("<!DOCTYPE html><html></html>")
    assert main(["weights", "import", "blazepose", "pose_detection.tflite"]) == 5
    assert capsys.readouterr().err.startswith("error: ")


def test_no_more_memory_is_no_bug(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from animcli.stages.inspect import SheetStage

    def greedy(self: SheetStage, context: object) -> None:
        raise MemoryError

    a_clip()
    monkeypatch.setattr(SheetStage, "run", greedy)
    assert errors(["inspect", "dance.mp4"], capsys) == (6, "error: out of memory")


def test_a_bug_is_shown_as_a_bug(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from animcli.stages.inspect import SheetStage

    def broken(self: SheetStage, context: object) -> None:
        raise ZeroDivisionError("by zero")

    a_clip()
    monkeypatch.setattr(SheetStage, "run", broken)
    assert main(["inspect", "dance.mp4"]) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "error: this is a bug in animcli\n hint: report it with the lines above" in err
