"""Measuring stages: what they find by a record, and what they don't do twice."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.stages import register, spot_motion, spot_pictures
from builders.videos import moving_picture, tiny_clip
from safetensors.torch import save_file

from animcli.errors import InputError
from animcli.metrics.measurement import METRICS, Measurement, left_out, over_videos
from animcli.metrics.networks.inception import FIDInception
from animcli.metrics.report.tables import from_table, to_table
from animcli.pipeline.executor import Executor
from animcli.pipeline.project import find_project
from animcli.pipeline.stage import Outcome, Stage
from animcli.pose.io_pose import read_pose, write_pose
from animcli.presets import Preset, load_preset
from animcli.rendering.context import context_windows
from animcli.stages.against_truth import CompareTruths, Manner
from animcli.stages.evaluate import MeasureRender, borders_of
from animcli.stages.extract import FindAgain
from animcli.stages.render import RenderStage
from animcli.stages.report import read_measured
from animcli.weights.catalog import load_catalog
from animcli.weights.store import WeightsStore


@pytest.fixture
def inception(tmp_path: Path) -> WeightsStore:
    """A store with an Inception that nobody trained, taken as it is."""
    torch.manual_seed(0)
    entry = load_catalog()["fid-inception"]
    files = tuple(replace(f, bytes=None, sha256=None, about=0) for f in entry.files)
    folder = tmp_path / "weights" / entry.name
    folder.mkdir(parents=True)
    save_file(FIDInception().state_dict(), folder / files[0].name)
    catalog = {**load_catalog(), entry.name: replace(entry, files=files)}
    return WeightsStore(tmp_path / "weights", catalog)


def test_the_features_of_a_truth_are_found_once(
    tmp_path: Path, inception: WeightsStore
) -> None:
    done: list[tuple[str, Outcome]] = []

    def told(stage: Stage, outcome: Outcome, seconds: float) -> None:
        done.append((stage.name, outcome))

    shop = Executor(find_project(tmp_path), inception, done=told)
    clips = [
        tiny_clip(tmp_path / f"{name}.mp4", 3, picture=lambda i, w, h, by=by: (
            moving_picture(i + by, w, h)
        ))
        for name, by in (("truth", 0), ("a", 2), ("b", 5))
    ]  # fmt: skip
    truth = clips[0]

    def fid(result: Path) -> Measurement:
        names = ((result.name, truth.name),)
        stage = CompareTruths(
            (result,), (truth,), names, Manner(), ("fid",), networks=("fid-inception",)
        )
        (found,) = read_measured(shop.make(stage).path).measurements
        return found

    first = fid(clips[1])
    assert first.samples == (3, 3)
    assert first.value is not None
    assert first.value > 0
    assert [name for name, _ in done] == ["features", "features", "compare-truth"]
    done.clear()
    second = fid(clips[2])
    assert second.value != first.value
    assert [name for name, outcome in done if outcome is Outcome.RAN] == [
        "features", "compare-truth",
    ]  # fmt: skip
    assert fid(truth).value == pytest.approx(0, abs=1e-3 * first.value)


@pytest.mark.parametrize("windows", ["uniform", "moving"])
@pytest.mark.parametrize("spacing", [1, 3])
def test_a_record_tells_the_borders_of_the_last_steps_windows(
    windows: str, spacing: int
) -> None:
    preset = replace(
        load_preset("animate-anyone"), windows=windows, keyframe_interval=spacing, steps=7
    )
    record = RenderStage(Path("a.png"), Path("a.pose"), preset).settings()
    record = json.loads(json.dumps(record))  # as a manifest holds it
    borders = borders_of(record, 100)
    assert borders
    denoised = [*range(0, 99, spacing), 99]
    last = context_windows(preset, len(denoised))(6)
    starts = {denoised[window.frames[0]] for window in last} - {0}
    assert starts <= set(borders)
    assert all(0 < border < 100 for border in borders)


def test_a_renderer_without_windows_has_no_borders() -> None:
    record = RenderStage(Path("a.png"), Path("a.pose"), Preset("x")).settings()
    assert borders_of(record, 100) == ()


def test_a_pose_shorter_than_the_result_is_refused(tmp_path: Path) -> None:
    register()
    write_pose(tmp_path / "short.pose", spot_motion(4))
    stage = MeasureRender(
        tiny_clip(tmp_path / "a.mp4", 6),
        motion=tmp_path / "short.pose",
        detector="bright-spot",
    )
    shop = Executor(find_project(tmp_path), WeightsStore(tmp_path / "none"))
    with pytest.raises(InputError, match=r"a\.mp4 has 6 frames, and the pose .* 4"):
        shop.make(stage)


def test_frames_without_anybody_are_an_answer(tmp_path: Path) -> None:
    register()
    shown = list(spot_pictures(6))
    dark = [np.zeros_like(picture) for picture in shown]
    pictures = [*dark[:4], *shown[4:]]  # extraction refuses so few
    shop = Executor(find_project(tmp_path), WeightsStore(tmp_path / "none"))

    def found(name: str, frames: list[np.ndarray]) -> list[bool]:
        path = tiny_clip(
            tmp_path / name, 6, width=64, height=96, options={"qp": "0"},
            picture=lambda i, w, h: frames[i],
        )  # fmt: skip
        pose = read_pose(shop.make(FindAgain(path, "bright-spot")).path, may_be_empty=True)
        return pose.scores.any(axis=1).tolist()

    assert found("some.mp4", pictures) == [False] * 4 + [True] * 2
    assert found("none.mp4", dark) == [False] * 6


def test_a_measurement_comes_back_from_its_table_as_it_was() -> None:
    whole = Measurement(
        METRICS["seam"],
        2.5,
        "seam: so",
        9,
        (4, 5),
        (None, 1.0),
        per_video=(("a", 2.0),),
        over_videos=2.25,
        floor=1.5,
        marks=(3, 6),
        notes=("a note",),
    )
    for found in (whole, left_out("fid", "no weights"), Measurement(METRICS["l1"], 0, "x")):
        table = json.loads(json.dumps(to_table(found)))
        back = from_table(found.metric.key, table)
        assert vars(back) == vars(found)


def test_a_set_has_the_mean_over_frames_and_that_over_videos() -> None:
    def of(key: str, value: float, frames: int) -> Measurement:
        return Measurement(METRICS[key], value, "p", frames, floor=value / 2)

    pooled = over_videos(
        [("a", of("flicker", 1, 10)), ("b", of("flicker", 4, 20)),
         ("c", left_out("flicker", "why"))]
    )  # fmt: skip
    assert (pooled.value, pooled.over_videos, pooled.floor) == (3, 2.5, 1.25)
    assert pooled.notes == ("mean over 2 of 3 videos", "c: why")
    ratio = over_videos([("a", of("seam", 1, 10)), ("b", of("seam", 4, 20))])
    assert (ratio.value, ratio.over_videos) == (2.5, None)


def test_features_depend_on_the_other_side_only_where_it_chooses_the_frames() -> None:
    sides = (Path("a.mp4"),), (Path("t.mp4"),), (("a", "t"),)

    def truths(manner: Manner) -> set[object]:
        stage = CompareTruths(*sides, manner, ("fid",), networks=("fid-inception",))
        return {type(s.partner) for n, s in stage.inputs().items() if "fid of" in n}

    assert truths(Manner()) == {type(None)}
    assert truths(Manner(span=(0, 3))) == {type(None)}
    assert truths(Manner(shortest=True)) == {type(Path())}
