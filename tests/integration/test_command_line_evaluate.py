"""`anim evaluate` as a user meets it: numbers, reports, refusals, and what it remembers."""

import csv
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from builders.stages import (
    executor,
    gradient_render,
    register,
    spot_motion,
    spot_pictures,
)
from builders.videos import moving_picture, tiny_clip

from animcli.cli.config import read_sources
from animcli.cli.main import main, parse_line
from animcli.cli.plan import Context, FrameSource, GlobalOptions, Tell
from animcli.cli.recorded import measure_of, of_film, recorded
from animcli.cli.runner import plan_commands
from animcli.metrics.measurement import METRICS
from animcli.pipeline.output import Step, publish
from animcli.pipeline.project import find_project
from animcli.pose.io_pose import write_pose
from animcli.stages.encode import EncodeStage
from animcli.stages.report import MakeReport
from animcli.video.images import write_picture
from animcli.weights.store import WeightsStore

Capture = pytest.CaptureFixture[str]
PIXELS = "l1,psnr,ssim"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder without weights, and nothing said by variables."""
    for name in [name for name in os.environ if name.startswith("ANIM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANIM_WEIGHTS", str(tmp_path / "weights"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def clip(name: str, frames: int = 4, **options: object) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    return tiny_clip(path, frames, **options)  # type: ignore[arg-type]


def later(index: int, width: int, height: int) -> np.ndarray:
    return moving_picture(index + 1, width, height)


def much_later(index: int, width: int, height: int) -> np.ndarray:
    return moving_picture(index + 7, width, height)


def evaluated(line: str, capsys: Capture) -> list[dict]:
    """The results of a report that is told as JSON."""
    capsys.readouterr()
    assert main(["evaluate", *line.split(), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["results"]
    return report["results"]


def refused(line: str, capsys: Capture) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["evaluate", *line.split()])
    lines = capsys.readouterr().err.splitlines()
    errors = [each for each in lines if each.startswith("error: ")]
    hints = [each for each in lines if each.startswith(" hint: ")]
    assert len(errors) == 1
    return code, errors[0].removeprefix("error: "), "".join(hints)


def test_a_video_is_as_good_as_itself_and_not_as_the_next_frame(capsys: Capture) -> None:
    clip("a.mp4")
    clip("late.mp4", picture=later)
    (same,) = evaluated(f"a.mp4 --truth a.mp4 --metrics {PIXELS}", capsys)
    values = {key: each["value"] for key, each in same["metrics"].items()}
    assert values == {"l1": 0, "psnr": 100, "ssim": pytest.approx(1)}
    assert "4 frames are identical" in " ".join(same["metrics"]["psnr"]["notes"])
    (other,) = evaluated(f"late.mp4 --truth a.mp4 --metrics {PIXELS}", capsys)
    assert other["metrics"]["l1"]["value"] > 2
    assert other["metrics"]["psnr"]["value"] < 35
    assert other["metrics"]["ssim"]["value"] < 0.99


def test_every_number_is_told_with_its_protocol(capsys: Capture) -> None:
    clip("a.mp4")
    line = "evaluate a.mp4 --truth a.mp4 --metrics psnr,ssim_disco --as-published"
    assert main(line.split()) == 0
    out = capsys.readouterr().out
    assert out.startswith("a.mp4: Compared with the truth; a number alone doesn't say")
    for title in ("PSNR  ", "PSNR, uint8 mistake", "SSIM (tables)"):
        assert re.search(rf"^{re.escape(title)}", out, re.M)
    assert "psnr/disco: RGB, 256x256 bilinear; float64" in out
    assert "The clips that the papers' tables are made of are not public" in out


def test_the_wrong_psnr_comes_only_if_it_is_asked_for(capsys: Capture) -> None:
    clip("a.mp4")
    clip("b.mp4", picture=much_later)
    (plain,) = evaluated("b.mp4 --truth a.mp4 --metrics psnr", capsys)
    assert plain["metrics"].keys() == {"psnr"}
    (both,) = evaluated("b.mp4 --truth a.mp4 --metrics psnr --as-published", capsys)
    wrong, right = (both["metrics"][key]["value"] for key in ("psnr_published", "psnr"))
    assert wrong > right
    assert right == plain["metrics"]["psnr"]["value"]


@pytest.mark.parametrize("form", ["html", "json", "csv", "md", "txt", "png"])
def test_a_report_has_the_form_of_its_suffix(form: str, capsys: Capture) -> None:
    clip("a.mp4")
    clip("b.mp4", picture=later)
    line = f"evaluate b.mp4 --truth a.mp4 --metrics {PIXELS} -o r.{form}"
    assert main(line.split()) == 0
    assert capsys.readouterr().out == f"r.{form}\n"
    data = Path(f"r.{form}").read_bytes()
    if form == "html":
        assert b"http" not in re.sub(rb"base64,[^']*", b"", data)
        assert data.count(b"data:image/jpeg;base64,") == 2  # the worst frame, its truth
    elif form == "csv":
        rows = list(csv.DictReader(data.decode().splitlines()))
        assert [row["metric"] for row in rows] == ["l1", "psnr", "ssim"]
    elif form == "json":
        assert json.loads(data)["truth"] == "a.mp4"
    elif form == "png":
        assert data.startswith(b"\x89PNG")
    else:
        assert b"PSNR" in data


def test_the_best_of_several_results_is_marked(capsys: Capture) -> None:
    clip("truth.mp4")
    clip("near.mp4", picture=later)
    clip("far.mp4", picture=much_later)
    line = f"evaluate near.mp4 far.mp4 --truth truth.mp4 --metrics {PIXELS} -o r.csv"
    assert main(line.split()) == 0
    rows = list(csv.DictReader(Path("r.csv").read_text().splitlines()))
    best = {(row["metric"], row["result"]) for row in rows if row["best"]}
    assert best == {(metric, "near.mp4") for metric in PIXELS.split(",")}


def test_folders_are_paired_by_name_and_give_both_means(capsys: Capture) -> None:
    for name, frames in (("x", 2), ("y", 6)):
        clip(f"truths/{name}.mp4", frames)
        clip(f"results/{name}.mov", frames, picture=much_later if name == "x" else later)
    clip("truths/left-over.mp4")
    (found,) = evaluated(f"results --truth truths --metrics {PIXELS}", capsys)
    l1 = found["metrics"]["l1"]
    each = l1["per_video"]
    assert each.keys() == {"x.mov", "y.mov"}
    assert l1["frames"] == found["frames"] == 8
    assert l1["value"] == pytest.approx((2 * each["x.mov"] + 6 * each["y.mov"]) / 8)
    assert l1["over_videos"] == pytest.approx((each["x.mov"] + each["y.mov"]) / 2)


def test_a_result_without_its_truth_is_no_number(capsys: Capture) -> None:
    clip("truths/x.mp4")
    clip("results/x.mp4")
    clip("results/y.mp4")
    code, error, _ = refused("results --truth truths", capsys)
    assert (code, error) == (3, "no truth for y.mp4")


def test_unequal_lengths_are_an_error_and_the_shorter_may_be_taken(capsys: Capture) -> None:
    clip("a.mp4", 4)
    clip("b.mp4", 6)
    code, error, hint = refused(f"b.mp4 --truth a.mp4 --metrics {PIXELS}", capsys)
    assert (code, error) == (3, "b.mp4 has 6 frames and a.mp4 4")
    assert "--shortest" in hint
    (found,) = evaluated(f"b.mp4 --truth a.mp4 --shortest --metrics {PIXELS}", capsys)
    assert found["frames"] == 4
    assert found["metrics"]["l1"]["value"] < 1
    (found,) = evaluated(f"b.mp4 --truth a.mp4 --frames 1:3 --metrics {PIXELS}", capsys)
    assert found["frames"] == 2


def test_one_of_several_results_that_fails_is_left_out_and_told(capsys: Capture) -> None:
    clip("truth.mp4")
    clip("good.mp4", picture=later)
    for bad in ("short.mp4", "shorter.mp4"):
        clip(bad, 3)
    line = f"--truth truth.mp4 --metrics {PIXELS}".split()
    assert main(["evaluate", "good.mp4", "short.mp4", *line]) == 9
    said = capsys.readouterr()
    assert "good.mp4" in said.out
    assert "short.mp4" not in said.out
    assert "error: short.mp4 has 3 frames and truth.mp4 4" in said.err
    assert "error: 1 of 2 failed; the others are done" in said.err
    assert main(["--json", "evaluate", "good.mp4", "short.mp4", *line]) == 9
    results = json.loads(capsys.readouterr().out)["results"]
    (failed,) = (each for each in results if "error" in each)
    assert failed["input"] == "short.mp4"
    assert failed["error"]["message"] == "short.mp4 has 3 frames and truth.mp4 4"
    assert main(["evaluate", "good.mp4", "short.mp4", *line, "-o", "r.json"]) == 9
    (told,) = json.loads(Path("r.json").read_text())["results"]
    assert told["name"] == "good.mp4"
    assert main(["evaluate", "short.mp4", "shorter.mp4", *line]) == 3  # nothing is left


def test_unequal_rates_are_an_error_and_frames_may_be_taken_by_time(
    capsys: Capture,
) -> None:
    clip("a.mp4", 8)
    clip("half.mp4", 4, rate=Fraction(12), picture=lambda i, w, h: moving_picture(2 * i))
    code, error, hint = refused("half.mp4 --truth a.mp4 --shortest --metrics l1", capsys)
    assert (code, error) == (
        3, "half.mp4 has 12 frames per second and a.mp4 24",
    )  # fmt: skip
    assert "--at-rate" in hint
    (found,) = evaluated("half.mp4 --truth a.mp4 --at-rate --metrics l1", capsys)
    assert found["metrics"]["l1"]["value"] < 2


@pytest.mark.parametrize(
    ("line", "code", "error", "hint"),
    [
        ("a.mp4 --metrics psrn --truth a.mp4", 2, "no metric is called so", "psnr"),
        ("a.mp4 --metrics psnr", 2, "compares with a truth", "--truth"),
        ("a.mp4 --shortest", 2, "--shortest is about a comparison", "--truth"),
        ("a.mp4 --as-published", 2, "--as-published is about a compar", "--truth"),
        ("a.mp4 --truth a.mp4 --frames 3:1", 2, "--frames 3:1: it is A:B", ""),
        ("a.mp4 --truth a.mp4 --size big", 2, "--size big: a size is", ""),
        ("a.mp4 --truth a.mp4 -o r.pdf", 2, "r.pdf: a report is one of .html", ""),
        ("", 2, "there is no result", "anim evaluate VIDEO"),
        ("gone.mp4", 3, "gone.mp4: no such file or folder", ""),
        ("a.mp4 --truth gone.mp4 --metrics l1", 3, "gone.mp4: no such file", ""),
        ("a.mp4 --truth text.mp4 --metrics l1", 3, "text.mp4", ""),
        ("a.mp4 --truth a.mp4 --metrics fid", 5, "weights fid-inception aren't here (9",
         "anim weights pull fid-inception"),
        ("a.mp4 --metrics identity", 5, "weights dlib-face", "anim weights pull dlib-face"),
        ("results --truth a.mp4", 2, "a.mp4 is one truth for 1 results", "a folder"),
        ("results --pose a.pose", 2, "--pose is of one result", ""),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_clear_line(
    line: str, code: int, error: str, hint: str, capsys: Capture
) -> None:
    clip("a.mp4")
    clip("results/x.mp4")
    Path("text.mp4").write_text("no video")
    found = refused(line, capsys)
    assert (found[0], error in found[1], hint in found[2]) == (code, True, True), found


def test_metrics_without_weights_are_left_out_and_say_how_to_get_them(
    capsys: Capture,
) -> None:
    clip("a.mp4", 2)
    (found,) = evaluated("a.mp4 --truth a.mp4", capsys)
    absent = {k: v["left_out"] for k, v in found["metrics"].items() if v["value"] is None}
    assert absent.keys() == {"lpips_disco", "fid", "fid_vid", "fvd"}
    assert re.search(r"\([\d.]+ MB, .*\); get them with: anim weights pull vgg16",
                     absent["lpips_disco"])  # fmt: skip
    assert found["metrics"]["psnr"]["value"] == 100


def test_another_form_or_the_same_again_measures_nothing_again(capsys: Capture) -> None:
    clip("a.mp4")
    line = f"evaluate a.mp4 --truth a.mp4 --metrics {PIXELS}"
    main([*line.split(), "--json"])
    made = json.loads(capsys.readouterr().out)["stages"]
    assert {each["stage"]: each["outcome"] for each in made} == {
        "compare-truth": "ran", "report": "ran",
    }  # fmt: skip
    main([*line.split(), "-o", "r.html", "--json"])
    made = json.loads(capsys.readouterr().out)["stages"]
    assert {each["stage"]: each["outcome"] for each in made} == {
        "compare-truth": "cached", "report": "ran",
    }  # fmt: skip


def test_a_dry_run_says_what_would_be_measured_and_makes_nothing(
    here: Path, capsys: Capture
) -> None:
    clip("a.mp4")
    line = "evaluate a.mp4 --truth a.mp4 --metrics l1 -o r.html --dry-run"
    assert main(line.split()) == 0
    assert capsys.readouterr().out.splitlines() == [
        "compare-truth would run",
        "report        pending -> r.html",
    ]
    assert [path.name for path in here.iterdir()] == ["a.mp4"]


def desk(folder: Path) -> Context:
    return Context(
        find_project(folder),
        WeightsStore(folder / "no-weights"),
        read_sources(folder, None, {}),
        GlobalOptions(),
        lambda what, done, of: None,
    )


def small_render(here: Path) -> FrameSource:
    """A render by small stand-ins, delivered with its manifest as `anim render` does."""
    register()
    tiny_clip(Path("dance.mp4"), 6)
    write_pose(Path("dance.pose"), spot_motion(6))
    write_picture(Path("ref.png"), next(spot_pictures(1)))
    render = gradient_render(Path("ref.png"), Path("dance.pose"))
    step = Step(EncodeStage(render), Path("out.mp4"), manifest=True)
    command = ["anim", "render", "ref.png", "-m", "dance.pose"]
    publish(executor(here), step, force=False, command=command)
    return FrameSource(render, "out")


def test_a_record_leads_to_lossless_frames_pose_and_reference(
    here: Path, capsys: Capture
) -> None:
    film = small_render(here)
    (found,) = evaluated("out.mp4", capsys)
    made = found["made"]
    assert made["frames measured"] == "lossless, from the cache"
    assert made["command"] == "anim render ref.png -m dance.pose"
    assert made["seed"] == "42"
    later, now = (recorded(Path("out.mp4"), desk(here)), of_film(film))
    for name in ("motion", "picture", "pose", "source"):
        assert getattr(later, name) is not None, name
        assert getattr(now, name) is not None, name
    assert later.original == now.original == Path("ref.png")
    assert found["metrics"]["pose_found"]["frames"] == 6


def test_asked_at_once_or_later_a_render_is_measured_once(here: Path) -> None:
    film, table = small_render(here), desk(here)
    options = table.config.options({})
    now = measure_of(of_film(film), options, table)
    after = measure_of(recorded(Path("out.mp4"), table), options, table)
    context = executor(here)
    context.make(now)
    assert context.dry_run(after)[-1].key == context.dry_run(now)[-1].key


def test_without_the_cache_the_encoded_file_is_measured_and_it_is_said(
    here: Path, capsys: Capture
) -> None:
    small_render(here)
    assert main(["cache", "clear"]) == 0
    (found,) = evaluated("out.mp4", capsys)
    assert found["made"]["frames measured"] == "of the encoded file"
    assert found["made"]["command"].startswith("anim render")


def test_a_record_says_nothing_of_another_video(here: Path) -> None:
    small_render(here)
    assert recorded(Path("out.mp4"), desk(here)).record is not None
    tiny_clip(Path("out.mp4"), 3)
    assert recorded(Path("out.mp4"), desk(here)).record is None


def test_every_measure_without_a_truth_is_told_or_left_out(
    here: Path, capsys: Capture
) -> None:
    small_render(here)
    (found,) = evaluated("out.mp4", capsys)
    assert found["metrics"]["warp_error"]["value"] is not None
    keys = {key for key, metric in METRICS.items() if metric.topic != "truth"}
    assert found["metrics"].keys() == keys


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("render ref.png -m dance.pose --preset cutout --report", [Step, Step]),
        ("render ref.png -m dance.pose --preset cutout then evaluate", [Step, Tell]),
        ("render ref.png -m dance.pose --preset cutout then evaluate -o r.html",
         [Step, Step]),
    ],
)  # fmt: skip
def test_a_render_goes_on_to_its_report(
    line: str, kinds: list[type], here: Path, find: Callable[[object], MakeReport]
) -> None:
    write_pose(Path("dance.pose"), spot_motion(6))
    write_picture(Path("ref.png"), next(spot_pictures(1)))
    plans = plan_commands(parse_line(line.split()).commands, desk(here))
    entries = [entry for planned in plans for entry in planned.tasks]
    assert [type(entry) for entry in entries] == kinds
    encoded, report = entries[0].stage, find(entries[1])
    ((name, measure),) = report.subjects[0].videos
    assert name.startswith("ref-dance")
    assert measure.result == encoded.frames
    assert measure.motion == encoded.frames.fitted_motion
    assert replace(measure, record=None).detector == "blazepose"


@pytest.fixture
def find() -> Callable[[object], MakeReport]:
    def stage(entry: object) -> MakeReport:
        step = entry.step if isinstance(entry, Tell) else entry
        assert isinstance(step, Step)
        assert isinstance(step.stage, MakeReport)
        return step.stage

    return stage
