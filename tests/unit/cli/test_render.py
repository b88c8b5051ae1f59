"""Cinemo from the command line: words and clips instead of a motion."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from builders.videos import tiny_clip

from animcli.cli.config import Layers
from animcli.cli.inspect import VideoFacts
from animcli.cli.main import parse
from animcli.cli.plan import Desk, LineOptions, Motion, Thread
from animcli.cli.render import Render
from animcli.errors import UsageError
from animcli.pipeline.output import Step
from animcli.pipeline.project import find_project
from animcli.stages.encode import EncodeStage
from animcli.stages.fitting import Fit
from animcli.stages.render import RenderStage
from animcli.video.ssim import motion_bucket, motion_strength
from animcli.weights.store import WeightsStore


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(
        find_project(tmp_path),
        WeightsStore(tmp_path / "weights"),
        Layers({}, {}, (), tmp_path),
        LineOptions(),
        lambda what, done, of: None,
    )


def rendering(chosen: Mapping[str, object], **changes: object) -> Render:
    plain = Render(
        Path("ref.png"), Path("dance.mp4"), None, None, False, True, False, False, None,
        None, chosen,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def planned(
    desk: Desk, chosen: Mapping[str, object] | None = None, **changes: object
) -> tuple[RenderStage, Path]:
    asked = rendering({"preset": "cinemo", **(chosen or {})}, motion=None, **changes)
    (step,) = asked.plan(desk, Thread()).entries
    assert isinstance(step, Step)
    assert isinstance(step.stage, EncodeStage)
    assert isinstance(step.stage.frames, RenderStage)
    return step.stage.frames, step.out


def test_a_prompt_and_a_strength_need_no_motion(desk: Desk) -> None:
    chosen = {"prompt": "people walking", "motion_strength": 12}
    stage, out = planned(desk, chosen)
    assert (stage.motion, stage.control, stage.fit) == (None, None, Fit.COVER)
    assert (stage.preset.prompt, stage.preset.motion_strength) == ("people walking", 12)
    assert out == Path("ref-cinemo.mp4")


def test_the_motion_of_a_clip_is_a_control(desk: Desk) -> None:
    stage, out = planned(desk, motion_from=Path("clip.mp4"))
    assert stage.control == Path("clip.mp4")
    assert out == Path("ref-clip.mp4")


def test_a_motion_is_refused_with_a_hint(desk: Desk) -> None:
    with pytest.raises(UsageError, match="follows words") as refused:
        rendering({"preset": "cinemo"}).plan(desk, Thread())
    assert "--motion-from" in (refused.value.hint or "")
    left = Thread(Motion(Path("dance.pose"), "dance"))
    with pytest.raises(UsageError, match="follows words"):
        rendering({"preset": "cinemo"}, motion=None).plan(desk, left)


@pytest.mark.parametrize("name", ["motion_from", "motion_like"])
def test_other_presets_take_no_such_clip(desk: Desk, name: str) -> None:
    asked = replace(rendering({"preset": "cutout"}), **{name: Path("clip.mp4")})
    with pytest.raises(UsageError, match=r"--motion-.* is for presets that follow words"):
        asked.plan(desk, Thread())


def test_how_much_moves_is_said_once(desk: Desk) -> None:
    with pytest.raises(UsageError, match="--motion-like says how much moves"):
        planned(desk, {"motion_strength": 3}, motion_like=Path("clip.mp4"))


def test_two_strengths_on_one_line_are_refused(desk: Desk) -> None:
    with pytest.raises(UsageError, match=r"--motion-strength says .* does --motion-id"):
        planned(desk, {"motion_strength": 3, "motion_id": 95.0})


def test_a_strength_on_the_line_outdoes_a_motion_id_from_elsewhere(desk: Desk) -> None:
    layers = Layers({"motion_id": 95.0}, {"motion_id": "anim.toml:1"}, (), Path())
    elsewhere = replace(desk, layers=layers)
    assert planned(elsewhere)[0].preset.motion_id == 95.0
    stage, _ = planned(elsewhere, {"motion_strength": 3})
    assert (stage.preset.motion_id, stage.preset.motion_strength) == (None, 3)


@pytest.mark.parametrize(
    ("chosen", "changes", "said"),
    [
        ({"detector": "dwpose"}, {}, "--detector is about joints"),
        ({}, {"retarget": False}, "--no-retarget is about joints"),
        ({}, {"loop": True}, "--loop is about the clip whose motion is taken"),
        ({"source_prompt": "a dog"}, {}, "--source-prompt is about the clip"),
    ],
    ids=["detector", "retarget", "loop", "source-prompt"],
)
def test_what_nothing_would_hear_is_refused(
    desk: Desk, chosen: Mapping[str, object], changes: Mapping[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        planned(desk, chosen, **changes)


def test_a_picture_without_words_goes_as_it_likes_and_that_is_said(desk: Desk) -> None:
    def note(chosen: Mapping[str, object], **changes: object) -> str:
        asked = rendering({"preset": "cinemo", **chosen}, motion=None, **changes)
        return asked.plan(desk, Thread()).note

    assert "no --prompt" in note({})
    assert note({"prompt": "rain"}) == ""
    assert note({}, motion_from=Path("clip.mp4")) == ""


@pytest.mark.parametrize("strength", ["0", "21"])
def test_a_strength_is_1_to_20(strength: str) -> None:
    line = f"render ref.png --preset cinemo --motion-strength {strength}"
    assert parse(line.split()).mistakes


@pytest.mark.parametrize(
    ("likeness", "number", "strength"),
    [(0.945, 94, 6), (1.0, 99, 1), (0.5, 50, 20), (-0.2, 0, 20)],
)
def test_a_likeness_falls_into_a_bucket(
    likeness: float, number: int, strength: int
) -> None:
    assert (motion_bucket(likeness), motion_strength(likeness)) == (number, strength)


def test_inspect_says_how_much_a_clip_moves(desk: Desk, tmp_path: Path) -> None:
    (facts,) = VideoFacts(tiny_clip(tmp_path / "clip.mkv")).answer(desk).data
    assert isinstance(facts, dict)
    assert -1 <= facts["neighbour SSIM"] <= 1
    assert facts["motion"].startswith("--motion-strength ")


def test_a_prompt_alone_renders_into_a_measured_clip(desk: Desk) -> None:
    stage, _ = planned(desk, motion_like=Path("clip.mp4"))
    assert set(stage.inputs()) == {"reference", "like"}
