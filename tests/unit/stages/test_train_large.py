"""Large systems learn from footage, with tiny random networks and the real path."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from builders.tiny_cinemo import TINY_CINEMO, write_tiny_cinemo
from builders.tiny_networks import (
    TINY,
    TINY_MAGIC,
    write_tiny_magic_weights,
    write_tiny_weights,
)
from numpy.typing import NDArray
from safetensors.torch import load_file

from animcli.errors import InputError, ProjectError, WeightsError
from animcli.pipeline.checkpoint import FileCheckpoint
from animcli.pose.draw_densepose import COLOURS
from animcli.pose.io_pose import read_pose, write_pose
from animcli.pose.keypoints import JOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.stages.train_large import LargeRun
from animcli.stages.train_systems import AnimateAnyone, Cinemo, MagicAnimate, System
from animcli.stages.training import show
from animcli.training.large_settings import (
    ANIMATE_ANYONE,
    CINEMO,
    MAGIC_ANIMATE,
    LargeSettings,
)
from animcli.training.takes import APART, Reel, Takes
from animcli.training.teaching import School
from animcli.video.images import write_picture

FRAMES, WIDTH, HEIGHT = 12, 48, 64
SYSTEMS: Mapping[str, tuple[System, LargeSettings]] = {
    "animate-anyone": (AnimateAnyone(TINY.unet, TINY.guider_widths), ANIMATE_ANYONE),
    "magic-animate": (
        MagicAnimate(TINY_MAGIC.unet, TINY_MAGIC.condition_widths),
        MAGIC_ANIMATE,
    ),
    "cinemo": (Cinemo(TINY_CINEMO.unet, TINY_CINEMO.motion_waves), CINEMO),
}
LEAVES = {
    ("animate-anyone", "1"): {
        "denoising_unet.safetensors", "reference_unet.safetensors",
        "pose_guider.safetensors",
    },
    ("animate-anyone", "2"): {"motion_module.safetensors"},
    ("magic-animate", "1"): {
        "appearance_encoder/diffusion_pytorch_model.safetensors",
        "densepose_controlnet/diffusion_pytorch_model.safetensors",
    },
    ("magic-animate", "2"): {"temporal_attention.safetensors"},
    ("cinemo", "1"): {"unet/diffusion_pytorch_model.safetensors"},
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("weights")
    return (
        write_tiny_weights(root / "aa")
        | write_tiny_magic_weights(root / "ma")
        | write_tiny_cinemo(root / "cinemo")
    )


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> Reel:
    """Joints that walk; frames are numbered by blue, DensePose parts by column."""
    root = tmp_path_factory.mktemp("reel")
    chance = np.random.default_rng(0)
    points = chance.uniform(8, 40, (JOINTS, 2)).astype(np.float32)
    moving = points + np.arange(FRAMES, dtype=np.float32)[:, None, None] / 3
    for name in ("film", "film-densepose"):
        (root / name).mkdir()
    for n in range(FRAMES):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[..., 2] = 20 * n
        picture[:, :, 0] = np.arange(WIDTH) * 5
        write_picture(root / "film" / f"{n:02}.png", picture)
        parts = COLOURS[(np.arange(WIDTH) // 4 + n) % 24].astype(np.uint8)
        drawn = np.broadcast_to(parts, (HEIGHT, WIDTH, 3))
        write_picture(root / "film-densepose" / f"{n:02}.png", np.array(drawn))
    ticks, base = even_ticks(FRAMES, Fraction(24))
    scores = np.ones((FRAMES, JOINTS), np.float32)
    pose = PoseSequence(moving, scores, ticks, base, (WIDTH, HEIGHT))
    write_pose(root / "film.pose", pose)
    return Reel(root / "film", root / "film.pose", root / "film-densepose", text="walks")


class KilledError(Exception):
    """In the place of a kill."""


@dataclass(frozen=True)
class Mortal(FileCheckpoint):
    """Dies at the second save."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        if int(arrays["step"]) == 2:
            raise KilledError
        super().save(arrays)


def known(system: str, reel: Reel) -> Reel:
    """What the system wants to know of a reel."""
    lacking = {
        "animate-anyone": {"drawn": None},
        "magic-animate": {"pose": None},
        "cinemo": {"pose": None, "drawn": None},
    }[system]
    return replace(reel, **lacking)


def tiny(settings: LargeSettings) -> LargeSettings:
    """Of three updates, on takes of a few small frames."""

    def short(stage: object, frames: int) -> object:
        schedule = replace(
            stage.schedule, updates=3, learning_rate=1e-3, save_every=1, show_every=2,
            ema=0.9,
        )  # fmt: skip
        recipe = replace(stage.recipe, batch=2, frames=frames, dropped=0.4)
        return replace(stage, schedule=schedule, recipe=recipe)

    second = settings.second and short(settings.second, 4)
    return replace(
        settings,
        first=short(settings.first, 4 if second is None else 1),
        second=second,
        data=replace(
            settings.data, width=32, height=40, takes=3, targets=2, frames=4, every=1,
            every_most=2, validation=2,
        ),
    )  # fmt: skip


def run_of(
    name: str,
    folder: Path,
    weights: Mapping[str, Path],
    reel: Reel,
    checkpoint: type[FileCheckpoint] = FileCheckpoint,
    **changes: object,
) -> LargeRun:
    system, settings = SYSTEMS[name]
    school = School(checkpoint, lambda *_: None, show)
    made = LargeRun(
        folder,
        tiny(settings),
        system,
        (known(name, reel),),
        (),
        weights.__getitem__,
        school,
    )
    return replace(made, **changes)


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_stages_leave_what_renderers_load_and_survive_a_kill(
    name: str, tmp_path: Path, weights: dict[str, Path], reel: Reel
) -> None:
    whole = run_of(name, tmp_path / "whole", weights, reel)
    mortal = run_of(name, tmp_path / "broken", weights, reel, Mortal)
    resumed = run_of(name, tmp_path / "broken", weights, reel)
    stages: list[Literal["1", "2"]] = ["1"] if name == "cinemo" else ["1", "2"]
    for stage in stages:
        whole.stage(stage)
        with pytest.raises(KilledError):
            mortal.stage(stage)
        resumed.stage(stage)
        for file in LEAVES[name, stage]:
            there = load_file(tmp_path / "whole" / file)
            here = load_file(tmp_path / "broken" / file)
            before = load_file(weights[name] / file)
            torch.testing.assert_close(there, here, rtol=0, atol=0)
            assert there.keys() <= before.keys()
            assert any(not torch.equal(there[key], before[key]) for key in there)
        rows = (tmp_path / "whole" / stage / "curve.jsonl").read_text().splitlines()
        curve = [json.loads(row) for row in rows]
        assert [row["updates"] for row in curve] == [2, 3]
        assert {"loss", "loss_validation", "psnr", "ssim"} <= curve[-1].keys()
        assert (tmp_path / "whole" / stage / "sheet.png").is_file()
        assert (tmp_path / "whole" / stage / "curve.png").is_file()


def test_stage_two_leaves_frames_as_they_were(
    tmp_path: Path, weights: dict[str, Path], reel: Reel
) -> None:
    run = run_of("animate-anyone", tmp_path, weights, reel)
    with pytest.raises(WeightsError, match=r"denoising_unet\.safetensors isn't there"):
        run.stage("2")
    run.stage("1")
    spatial = {n: (tmp_path / n).read_bytes() for n in LEAVES["animate-anyone", "1"]}
    run.stage("2")
    assert spatial == {n: (tmp_path / n).read_bytes() for n in spatial}


def test_pictures_join_the_videos(
    tmp_path: Path, weights: dict[str, Path], reel: Reel
) -> None:
    picture = Reel(reel.footage / "03.png", drawn=reel.drawn / "03.png")
    alone = run_of("magic-animate", tmp_path / "videos", weights, reel)
    recipe = replace(alone.settings.first.recipe, pictures=0.5)
    settings = replace(alone.settings, first=replace(alone.settings.first, recipe=recipe))
    with pytest.raises(ProjectError, match="the data holds no picture"):
        replace(alone, settings=settings).stage("1")
    joint = replace(
        alone, folder=tmp_path / "joint", settings=settings, pictures=(picture,)
    )
    joint.stage("1")
    kept = load_file(tmp_path / "joint" / "pictures" / "000000.safetensors")
    # It is its own reference.
    torch.testing.assert_close(kept["latents"][0], kept["reference"], rtol=0, atol=0)
    assert (tmp_path / "joint" / "1" / "sheet.png").is_file()


def test_takes_show_the_frames_that_they_say(reel: Reel) -> None:
    for number in range(4):
        take = Takes((known("animate-anyone", reel),), (32, 40), 4, (1, 2))(number)
        shown = [round(float(np.median(frame[..., 2])) / 20) for frame in take.frames]
        assert set(np.diff(shown)) in ({1}, {2})
        assert take.conditions.shape == take.frames.shape == (4, 40, 32, 3)
        assert take.whole.shape == (HEIGHT, WIDTH, 3)
        assert all(drawn.any() for drawn in take.conditions)
    apart = Takes((known("animate-anyone", reel),), (32, 40), 3, None)(0)
    assert apart.frames.shape == (3, 40, 32, 3)


def test_skeletons_lie_where_the_joints_of_their_frames_do(reel: Reel) -> None:
    take = Takes((known("animate-anyone", reel),), (96, 128), 2, (1, 1))(1)
    first = round(float(np.median(take.frames[0][..., 2])) / 20)
    points = read_pose(reel.pose).points[first, :18]
    columns = np.round(take.frames[0][64, :, 0].astype(float) / 5)  # of the frame
    across = [int(np.abs(columns - x).argmin()) for x, _ in points]
    lit = take.conditions[0].any(axis=(0, 2))
    assert all(lit[max(x - 2, 0) : x + 3].any() for x in across)
    assert not lit.all()


def test_targets_are_far_from_the_reference(tmp_path: Path) -> None:
    for n in range(40):
        write_picture(tmp_path / f"{n:02}.png", np.full((32, 32, 3), 6 * n, np.uint8))
    takes = Takes((Reel(tmp_path),), (32, 32), 3, None)
    for number in range(8):
        take = takes(number)
        reference = round(float(np.median(take.reference)) / 6)
        shown = [round(float(np.median(frame)) / 6) for frame in take.frames]
        reachable = max(reference, 39 - reference) >= APART
        assert all(abs(n - reference) >= APART for n in shown) or not reachable
        again = takes(number)
        np.testing.assert_array_equal(again.frames, take.frames)


def test_the_last_video_is_kept_for_validation(
    tmp_path: Path, weights: dict[str, Path], reel: Reel
) -> None:
    gone = replace(known("cinemo", reel), footage=tmp_path / "gone.mp4")
    run = run_of("cinemo", tmp_path, weights, reel)
    both = replace(run, reels=(*run.reels, gone))
    with pytest.raises(InputError, match=r"gone\.mp4"):
        both.stage("1")
    assert len(list((tmp_path / "takes-1").glob("*.safetensors"))) == 3
    assert not list((tmp_path / "validation-1").glob("*.safetensors"))


def test_densepose_is_cut_with_its_frame_and_keeps_its_colours(reel: Reel) -> None:
    take = Takes((known("magic-animate", reel),), (96, 128), 2, (1, 1))(1)
    colours = {tuple(c) for c in COLOURS.astype(int).tolist()}
    assert {tuple(c) for c in take.conditions.reshape(-1, 3).tolist()} <= colours
    # Parts and red both change along the columns: four columns to a part.
    first = round(float(np.median(take.frames[0][..., 2])) / 20)
    columns = np.round(take.frames[0][64, :, 0].astype(float) / 5)
    parts = COLOURS[((columns // 4).astype(int) + first) % 24]
    agree = (parts.astype(int) == take.conditions[0][64]).all(axis=-1).mean()
    assert agree > 0.8  # all but the columns at the edges of parts


def test_short_footage_is_named(reel: Reel) -> None:
    with pytest.raises(InputError, match="has 12 frames, takes of 13 are wanted"):
        Takes((known("cinemo", reel),), (32, 40), 13, (1, 1))(0)
