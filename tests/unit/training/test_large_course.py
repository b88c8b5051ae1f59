"""How takes become batches, and that looking at results changes nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import SPATIAL, TINY, random
from torch import Tensor

from animcli.networks.controlnet import PoseGuider
from animcli.networks.reference_net import ReferenceUNet
from animcli.networks.unet import UNet
from animcli.training import animate_anyone, cinemo, magic_animate
from animcli.training.diffusion import Diffusion
from animcli.training.large import LargeCourse, LargeRecipe, descend
from animcli.training.takes import Rows, TakeFolder, sample, write_take

TAKES, FRAMES = 4, 3


@pytest.fixture
def folder(tmp_path: Path) -> TakeFolder:
    """Takes of noise; each has its own token and motion."""
    folder = TakeFolder(tmp_path, TAKES)
    drawn = torch.Generator().manual_seed(0)
    for number in range(TAKES):
        rows = {
            "latents": torch.rand(FRAMES, 8, 4, 4, generator=drawn).half(),
            "reference": torch.rand(8, 4, 4, generator=drawn).half(),
            "conditions": torch.randint(
                0, 256, (FRAMES, 3, 32, 32), generator=drawn
            ).byte(),
            "context": torch.full((1, 8), 1.0 + number),
            "motion": torch.tensor(90.0 + number),
        }
        write_take(rows, folder.path(number))
    return folder


def rows_of(folder: TakeFolder) -> Rows:
    return folder.first(3, FRAMES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def course(folder: TakeFolder, recipe: LargeRecipe) -> LargeCourse:
    torch.manual_seed(0)
    networks = animate_anyone.Networks(
        random(UNet(TINY.unet)),
        random(ReferenceUNet(SPATIAL)),
        random(PoseGuider(16, TINY.guider_widths)),
    )
    networks.choose("2")

    def decode(latents: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(latents[:, :3], scale_factor=8)

    nothing = TakeFolder(folder.folder, 0)
    return LargeCourse(
        networks, animate_anyone.Lesson(), folder, nothing, folder, recipe, Diffusion(),
        decode, seed=3, averaged=False,
    )  # fmt: skip


def test_latents_are_drawn_from_what_the_autoencoder_is_unsure_of() -> None:
    mean, deviation = torch.randn(40, 4, 20, 20), torch.rand(40, 4, 20, 20)
    found = sample(torch.cat([mean, deviation], dim=1), generator())
    wanted = torch.randn(mean.shape, generator=generator())
    torch.testing.assert_close(found, mean + deviation * wanted)


def test_takes_give_frames_on_end_of_different_takes(folder: TakeFolder) -> None:
    rows = folder.draw(3, 2, np.random.default_rng(0))
    assert rows["latents"].shape == (3, 2, 8, 4, 4)
    assert len(set(rows["motion"].tolist())) == 3
    whole = folder.first(TAKES, FRAMES)
    for take, motion in zip(rows["latents"], rows["motion"], strict=True):
        source = whole["latents"][int(motion) - 90]
        assert any(torch.equal(take, source[start : start + 2]) for start in range(2))
    assert len(folder.draw(9, 1, np.random.default_rng(0))["latents"]) == TAKES


def test_a_take_without_its_reference_has_no_token_either(folder: TakeFolder) -> None:
    rows = rows_of(folder)
    batch = animate_anyone.Lesson().batch(rows, 1, Diffusion(), generator())
    assert batch.latents.shape == batch.noise.shape == (3, 4, FRAMES, 4, 4)
    assert batch.reference.shape == (1, 4, 4, 4)
    assert not batch.token[:2].any()
    torch.testing.assert_close(batch.token[2:], rows["context"][2:])
    shown = rows["conditions"].transpose(1, 2) / 255
    torch.testing.assert_close(batch.poses, shown)
    # Means of 0.5 and deviations of 0.5 at most.
    assert batch.reference.abs().max() < 4

    words = torch.ones(1, 5, 8)
    other = magic_animate.Lesson(words).batch(rows, 2, Diffusion(), generator())
    assert len(other.reference) == 2
    torch.testing.assert_close(other.text, words)


def test_a_clip_without_its_words_hears_none(folder: TakeFolder) -> None:
    rows, nothing = rows_of(folder), torch.full((1, 1, 8), -1.0)
    lesson = cinemo.Lesson(nothing)
    batch = lesson.batch(rows, 1, cinemo.PUBLISHED, generator())
    torch.testing.assert_close(batch.text[:2], nothing.expand(2, -1, -1))
    torch.testing.assert_close(batch.text[2:], rows["context"][2:])
    torch.testing.assert_close(batch.motion, rows["motion"])
    assert batch.noise.shape == batch.latents.shape == (3, 4, FRAMES - 1, 4, 4)
    torch.testing.assert_close(lesson.clip(batch, batch.latents), batch.clips)


@pytest.mark.parametrize("dropped", [0.0, 0.4, 1.0])
def test_conditions_are_dropped_as_often_as_said(
    folder: TakeFolder, dropped: float
) -> None:
    learning = course(folder, LargeRecipe(batch=4, frames=1, dropped=dropped))
    shown: list[int] = []

    class Counting(animate_anyone.Lesson):
        def batch(
            self, rows: Rows, known: int, diffusion: Diffusion, random: torch.Generator
        ) -> animate_anyone.Batch:
            shown.append(known)
            return super().batch(rows, known, diffusion, random)

    learning.lesson = Counting()
    with torch.no_grad():
        for step in range(60):
            learning.loss(step, generator(step))
    # Of 240 draws with a deviation of 0.032.
    assert sum(shown) / 240 == pytest.approx(1 - dropped, abs=0.1)


def test_sampling_finds_what_a_perfect_model_says() -> None:
    truth, shares = torch.randn(2, 4, 1, 8, 8), Diffusion().shares
    for steps in (1, 3, 8):
        found = descend(torch.randn(truth.shape), lambda x, t: truth, shares, steps)
        torch.testing.assert_close(found, truth)


def test_looking_at_results_changes_no_loss(folder: TakeFolder) -> None:
    learning = course(folder, LargeRecipe(batch=2, frames=FRAMES, dropped=0))
    before = [learning.loss(step, generator(step)).item() for step in (0, 1)]
    first = learning.judge()
    after = [learning.loss(step, generator(step)).item() for step in (0, 1)]
    assert before == after
    assert first.figures == learning.judge().figures
    assert all(row.shape == (3, 3, 32, 32) for row in first.rows)


def test_checkpointing_changes_no_gradient(folder: TakeFolder) -> None:
    gradients = []
    for checkpointing in (False, True):
        recipe = LargeRecipe(batch=2, frames=FRAMES, dropped=0, checkpointing=checkpointing)
        learning = course(folder, recipe)
        learning.loss(0, generator()).backward()
        gradients.append(
            {
                n: p.grad
                for n, p in learning.network.named_parameters()
                if p.grad is not None
            }
        )
    assert gradients[0]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_recipe_changes_the_loss(folder: TakeFolder) -> None:
    plain = course(folder, LargeRecipe(batch=2, frames=FRAMES, dropped=0))
    changed = course(folder, replace(plain.recipe, dropped=1.0))
    other = course(folder, replace(plain.recipe, batch=1))
    losses = {each.loss(0, generator()).item() for each in (plain, changed, other)}
    assert len(losses) == 3
