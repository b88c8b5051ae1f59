"""What is kept on disk, under which names: cache, weights, presets, results."""

import json
import os
import re
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest
from builders.poses import random_pose
from builders.stages import Shout, WriteWord, executor, register, spot_pictures
from builders.videos import tiny_clip

from animcli.cli.cache import read_age, read_amount, to_remove
from animcli.cli.main import main
from animcli.errors import ProjectError, UsageError
from animcli.pipeline.cache import Listing
from animcli.pipeline.output import Step, publish
from animcli.pose.io_pose import write_pose
from animcli.presets import load_preset
from animcli.settings import read_toml
from animcli.video.images import write_picture

register()
Capture: TypeAlias = "pytest.CaptureFixture[str]"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ANIM_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


def asked(capsys: Capture, *words: str) -> list[dict[str, object]]:
    assert main(["--json", *words]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["results"]
    return found


def made(here: Path, word: str, days: float = 0) -> str:
    """A result called like the word, made so many days ago; the key of its stage."""
    at = executor(here)
    step = Step(Shout(WriteWord(word)), here / word)
    published = publish(at, step, force=False, command=["anim"])
    for artifact in at.chain(step.stage):
        then = time.time() - 86400 * days
        os.utime(artifact.path.parent, (then, then))
    return published.artifact.record.cache_key.digest


def test_the_cache_is_listed_with_dates_and_the_results_that_it_made(
    here: Path, capsys: Capture
) -> None:
    made(here, "hello", days=2)
    assert main(["cache", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[:-1]
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() - 2 * 86400))
    assert len(lines) == 2
    for line in lines:  # the stage that was delivered, and the one that it was made of
        assert line.endswith("hello")
        assert day in line
    listed = asked(capsys, "cache", "list")
    assert [each["result"] for each in listed] == ["hello", "hello"]


def test_the_oldest_go_until_the_rest_is_young_or_small_enough(
    here: Path, capsys: Capture
) -> None:
    old, young = made(here, "old", days=40), made(here, "young", days=1)
    looked = asked(capsys, "cache", "prune", "--older", "30d", "--dry-run")
    assert {each["result"] for each in looked} == {"old"}
    assert len(asked(capsys, "cache", "list")) == 4
    gone = asked(capsys, "cache", "prune", "--older", "30d")
    assert old in {each["key"] for each in gone}
    assert {each["result"] for each in asked(capsys, "cache", "list")} == {"young"}
    assert (here / "old").is_dir()  # what was delivered stays
    made(here, "younger")
    sizes = [int(str(each["bytes"])) for each in asked(capsys, "cache", "list")]
    kept = sum(sizes) - sum(sizes[:2]) // 2
    gone = asked(capsys, "cache", "prune", "--max-size", str(kept))
    assert {each["result"] for each in gone} == {"young"}
    left = asked(capsys, "cache", "list")
    assert sum(int(str(each["bytes"])) for each in left) <= kept
    assert young not in {each["key"] for each in gone} or len(gone) <= 2


def test_sizes_and_ages_are_read_as_people_write_them() -> None:
    assert read_amount("20GB") == read_amount("20 gb") == read_amount("20g") == 20 * 10**9
    assert read_amount("1.5M") == 1_500_000
    assert read_amount("512") == 512
    assert (read_age("12h"), read_age("2w")) == (43_200, 14 * 86_400)
    for word in ("", "much", "-1GB", "1PB"):
        with pytest.raises(UsageError, match="--max-size"):
            read_amount(word)
    for word in ("30", "soon", "1y"):
        with pytest.raises(UsageError, match="--older"):
            read_age(word)


def total(capsys: Capture) -> int:
    return sum(int(str(each["bytes"])) for each in asked(capsys, "cache", "list"))


def test_a_cache_with_a_limit_loses_its_oldest_when_a_command_ends(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here, "old", days=9)
    made(here, "young", days=1)
    write_pose(Path("a.pose"), random_pose(4, Fraction(24)))
    asked(capsys, "inspect", "a.pose")
    (here / "anim.toml").write_text(f'cache_max = "{total(capsys) - 1}"')
    asked(capsys, "inspect", "a.pose")  # all that it makes is there already
    left = asked(capsys, "cache", "list")
    assert total(capsys) < int(read_toml(here / "anim.toml", ProjectError)[0]["cache_max"])
    assert sum(each["result"] == "old" for each in left) == 1
    assert sum(each["result"] == "young" for each in left) == 2
    assert (here / "old").is_dir()  # what was delivered stays
    monkeypatch.setenv("ANIM_CACHE_MAX", "1KB")
    assert main(["inspect", "a.pose"]) == 0
    assert (
        "above its limit of 0.0 MB: this line alone needs that" in capsys.readouterr().err
    )
    names = {each["result"] for each in asked(capsys, "cache", "list")}
    assert names == {"a-curves.png", "a-overlay.mp4", "a-overlay.png"}  # of this line


@pytest.mark.parametrize("word", ["much", "20XB", "-1GB", ""])
def test_a_limit_that_is_no_size_is_refused(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("ANIM_CACHE_MAX", word)
    assert main(["cache", "list"]) == 4
    assert "20GB, 500MB" in capsys.readouterr().err


def entry(key: str, days: float, stage: str = "encode", state: str = "whole") -> Listing:
    return Listing(key, stage, state, 100, time.time() - 86400 * days)


def test_finished_frames_and_unfinished_work_go_last() -> None:
    found = [
        entry("frames", 9, "render"),
        entry("begun", 8, "", "unfinished"),
        entry("other frames", 7, "render"),
        entry("pose", 6),
        entry("video", 5),
        entry("busy", 4),
    ]
    delivered = {"frames", "video"}

    def gone(most: int) -> list[str]:
        return [x.key for x in to_remove(found, delivered, most, keep={"busy"})]

    assert gone(600) == []
    assert gone(599) == ["other frames"]
    assert gone(300) == ["other frames", "pose", "video"]
    assert gone(0) == ["other frames", "pose", "video", "frames", "begun"]


@pytest.mark.parametrize("line", ["cache clear", "cache prune --max-size 1"])
def test_frames_that_encode_needs_are_told_before_they_go(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(Shout, "name", "render")
    made(here, "dance.mp4")
    assert main([*line.split(), "--dry-run"]) == 0
    told = "which `anim encode` makes no other file of dance.mp4"
    assert told in capsys.readouterr().err
    assert main(line.split()) == 0
    assert told in capsys.readouterr().err
    assert asked(capsys, "cache", "list") == []
    assert main(line.split()) == 0
    assert told not in capsys.readouterr().err


def test_prune_says_what_it_wants(here: Path, capsys: Capture) -> None:
    assert main(["cache", "prune"]) == 2
    assert "--max-size 20GB, --older 30d" in capsys.readouterr().err


def entry_here(here: Path) -> Path:
    """The files of an entry, as the catalog names them; what they hold isn't looked at."""
    folder = here / "weights" / "densepose"
    from animcli.weights.catalog import load_catalog

    for file in load_catalog()["densepose"].files:
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(b"12345")
    return folder


def test_the_weights_list_says_where_from_and_what_for(here: Path, capsys: Capture) -> None:
    assert main(["weights", "list"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("dwpose"))
    assert re.search(r"from \S+/\S+, for .+", line)


def test_weights_that_are_here_are_told_by_their_size_on_disk(
    here: Path, capsys: Capture
) -> None:
    count = len(list(entry_here(here).iterdir()))
    listed = {each["name"]: each for each in asked(capsys, "weights", "list")}
    assert listed["densepose"]["bytes"] == 5 * count


def test_weights_are_shown_by_file_source_and_licence(here: Path, capsys: Capture) -> None:
    [told] = asked(capsys, "weights", "show", "animate-anyone")
    assert {"licence", "source", "revision", "needed_by", "files", "here"} <= told.keys()
    assert told["here"] is False
    assert main(["weights", "show", "sd-vae-ft-mse"]) == 0
    said = capsys.readouterr().out
    assert "licence" in said
    name, revision = "diffusion_pytorch_model.safetensors", "31f26fdeee1355a5c34592e401dd41"
    line = rf"file +https://.*/{revision}.*/{name}  334643276  a1d993488569e928"
    assert re.search(line, said)
    assert main(["weights", "show", "nothing"]) == 5


def test_weights_are_removed_and_the_room_is_told(here: Path, capsys: Capture) -> None:
    folder = entry_here(here)
    count = len(list(folder.iterdir()))
    [told] = asked(capsys, "weights", "remove", "densepose", "--dry-run")
    assert told["freed"] == 5 * count
    assert folder.is_dir()
    [told] = asked(capsys, "weights", "remove", "densepose")
    assert told["freed"] == 5 * count
    assert not folder.exists()
    assert asked(capsys, "weights", "remove", "densepose")[0]["freed"] == 0


def test_exported_weights_are_found_by_another_machine(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_here(here)
    assert asked(capsys, "weights", "export", "densepose", "stick")
    assert main(["weights", "export", "densepose", "stick"]) == 8
    capsys.readouterr()
    monkeypatch.setenv("ANIM_WEIGHTS", str(here / "stick"))
    listed = {each["name"]: each for each in asked(capsys, "weights", "list")}
    assert listed["densepose"]["here"] is True


def preset(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)


def test_a_preset_extends_another_and_says_where_each_value_comes_from(
    here: Path, capsys: Capture
) -> None:
    preset(here / "presets", "mine", '# For me.\nextends = "tiny"\nsteps = 7\n')
    preset(here / "presets", "ours", '# For us.\nextends = "mine"\nseed = 3\n')
    found, base = load_preset("ours", here), load_preset("tiny")
    assert (found.renderer, found.steps, found.seed) == ("tiny", 7, 3)
    assert (found.width, found.guidance) == (base.width, base.guidance)
    assert main(["presets", "show", "ours", "--origin"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"steps = 7 +# preset mine", said)
    assert re.search(r"seed = 3 +# preset ours", said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "mine"', "there is no preset 'mine' to extend"),
        ('extends = "other"', "extends this one in turn"),
        ("extends = 3", "there is no preset 3 to extend"),
        ('extends = "cutout"\nsteps = 5', "steps has no effect"),
    ],
)
def test_a_preset_that_extends_nothing_harms_no_other(
    here: Path, capsys: Capture, text: str, message: str
) -> None:
    preset(here / "presets", "mine", text)
    preset(here / "presets", "other", 'extends = "mine"')
    assert main(["presets", "list"]) == 0
    said = capsys.readouterr().out
    assert message in said
    assert "cutout" in said


def test_presets_of_the_users_own_hold_in_every_project(
    here: Path, capsys: Capture
) -> None:
    folder = here / "config" / "animcli" / "presets"
    preset(folder, "everywhere", '# Always.\nextends = "cutout"\nlife = 0.5\n')
    preset(folder, "broken", "life = ")
    assert load_preset("everywhere").life == 0.5
    assert {"everywhere", "broken"} <= {
        each["name"] for each in asked(capsys, "presets", "list")
    }


def test_a_result_is_named_after_what_it_is_made_of(here: Path, capsys: Capture) -> None:
    write_picture(here / "ref.png", next(spot_pictures(1)))
    tiny_clip(here / "dance.mp4", 12)
    line = "--dry-run --json render ref.png --motion dance.mp4 --preset cutout --seed 7 -o"
    assert main([*line.split(), "{reference}-{motion}-{preset}-{seed}-{size}.mp4"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert results[-1]["path"].startswith("ref-dance-cutout-7-")
    assert main([*line.split(), "{who}.mp4"]) == 2
    assert "there is no {who}" in capsys.readouterr().err


def test_onnx_runtime_is_kept_from_reporting(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    root = Path(__file__).parents[2]
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(root), "PATH": os.environ["PATH"]}
    program = "import animcli, onnxruntime; onnxruntime.get_available_providers()"
    subprocess.run([sys.executable, "-c", program], env=home, check=True)
    assert list(tmp_path.rglob("*")) == []  # no device id, no database of events
