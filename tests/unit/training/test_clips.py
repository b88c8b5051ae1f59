"""Stage 2 of the small model: what learns, from what, and how clips are judged."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from animcli.errors import ProjectError
from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig
from animcli.networks.mini import SHARES, MiniConfig, MiniModel
from animcli.training.clips import Clips, with_motion
from animcli.training.preparing import Preparation
from animcli.training.procedural import draw_clip
from animcli.training.shards import Growth, ShardFolder
from animcli.training.single_frames import Recipe
from animcli.training.validation import Cases, make_cases, measure_motion, paint

FRAMES = 4


@pytest.fixture(scope="module")
def single() -> MiniModel:
    """A model of single frames that says something."""
    torch.manual_seed(0)
    model = MiniModel(MiniConfig(positions=0))
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.05)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def cases() -> Cases:
    return make_cases([draw_clip(800_000 + n, FRAMES, 64) for n in range(2)], FRAMES)


@pytest.fixture(scope="module")
def coder() -> Autoencoder:
    return Autoencoder(AutoencoderConfig()).requires_grad_(False)


def test_motion_begins_by_changing_nothing(
    single: MiniModel, cases: Cases, coder: Autoencoder
) -> None:
    model = with_motion(single.state_dict(), MiniConfig())
    alone = paint(single, coder, cases, SHARES, 2)
    together = paint(model, coder, cases, SHARES, 2, frames=FRAMES)
    # Batches of other sizes are multiplied in another order.
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


def test_only_motion_modules_learn(
    single: MiniModel, cases: Cases, coder: Autoencoder, tmp_path: Path
) -> None:
    folder = ShardFolder(tmp_path, Growth(first=1, every=100, most=1))
    Preparation(partial(draw_clip, frames=FRAMES, size=64), tmp_path, 2, 1).make(0)
    recipe = Recipe(clips=2, targets=3, shared_noise=0.5)
    model = with_motion(single.state_dict(), MiniConfig())
    course = Clips(model, coder, folder, recipe, cases, FRAMES, seed=1)
    course.loss(0, torch.Generator().manual_seed(0)).backward()
    learnt = {n for n, p in model.named_parameters() if p.grad is not None}
    assert learnt == {n for n, _ in model.named_parameters() if "motion_modules" in n}
    # What comes before the silent last layers gets its first gradient with them.
    loud = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {n.rsplit(".", 2)[1] for n in loud} == {"proj_out"}

    other = Clips(model, coder, folder, Recipe(2, 3), cases, FRAMES, seed=1)
    random = torch.Generator().manual_seed(0)
    assert course.loss(0, random) != other.loss(0, random.manual_seed(0))
    assert course.samples == 6

    small = Recipe(2, 3, small_until=1)
    halved = Clips(model, coder, folder, small, cases, FRAMES, seed=1)
    early, late = (halved.loss(n, random.manual_seed(0)).item() for n in (0, 1))
    assert early != other.loss(0, random.manual_seed(0)).item()
    assert late == other.loss(1, random.manual_seed(0)).item()


def test_more_frames_than_there_are_are_refused(
    single: MiniModel, cases: Cases, coder: Autoencoder, tmp_path: Path
) -> None:
    folder = ShardFolder(tmp_path, Growth())
    with pytest.raises(ProjectError, match="targets = 5 is more than frames = 4"):
        Clips(
            with_motion(single.state_dict(), MiniConfig()),
            coder,
            folder,
            Recipe(1, 5),
            cases,
            4,
            1,
        )


def test_flicker_is_what_the_background_changes(cases: Cases) -> None:
    true = measure_motion(cases.targets, cases, FRAMES)
    assert true == {"flicker": 0, "change": 0}
    grey = Cases(**(vars(cases) | {"targets": torch.zeros_like(cases.targets)}))
    flashing = grey.targets.clone()
    flashing[1::2] += 8 / 127.5  # every other frame is 8 levels lighter
    found = measure_motion(flashing, grey, FRAMES)
    assert found == pytest.approx({"flicker": 8, "change": 8}, rel=1e-5)
    over_figure = flashing * (grey.masks == 1)
    within = measure_motion(over_figure, grey, FRAMES)
    assert within["flicker"] == 0
    assert 0 < within["change"] < 8


def test_a_drawn_clip_goes_on_from_frame_to_frame() -> None:
    clip = draw_clip(5, 6, 64)
    assert clip.pictures.shape == (7, 64, 64, 3)
    np.testing.assert_array_equal(clip.pictures, draw_clip(5, 6, 64).pictures)
    joints = [draw_clip(seed, 6, 64).joints for seed in range(5)]
    steps = np.mean([np.abs(np.diff(each[1:], axis=0)).mean() for each in joints])
    away = np.mean([np.abs(each[:1] - each[1:]).mean() for each in joints])
    assert 3 * steps < away  # the reference is of another moment
