"""How samples become batches of noise, and that evaluation changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders.tiny_cinemo import TINY_CINEMO
from builders.tiny_networks import SPATIAL, TINY, TINY_MAGIC, random
from torch import Tensor, nn

from animcli.errors import ProjectError
from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import MotionUNet, UNet
from animcli.rendering.schedulers import Scheduler
from animcli.training import animate_anyone, cinemo, magic_animate
from animcli.training.denoising import (
    PROBES,
    DenoisingRecipe,
    DenoisingTask,
    at,
    denoising_loss,
    picture_metrics,
)
from animcli.training.objective import Objective
from animcli.training.samples import SampleSchedule, SampleStore, Shares, Tensors
from animcli.training.systems import SystemAdapter

SAMPLES, FRAMES = 4, 3
ANIMATE_ANYONE = animate_anyone.AnimateAnyoneAdapter(TINY.config)


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    """Samples of noise; each has its own token and motion."""
    rng = torch.Generator().manual_seed(0)

    def make(number: int) -> Tensors:
        return {
            "latents": torch.rand(FRAMES, 8, 4, 4, generator=rng).half(),
            "reference": torch.rand(8, 4, 4, generator=rng).half(),
            "conditions": torch.randint(0, 256, (FRAMES, 3, 32, 32), generator=rng).byte(),
            "context": torch.full((1, 8), 1.0 + number),
            "motion": torch.tensor(90.0 + number),
        }

    store = SampleStore(tmp_path, SAMPLES, make)
    for number in range(SAMPLES):
        store.prepare(number)
    return replace(store, make=None)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def networks(system: SystemAdapter) -> nn.Module:
    """Of the system, small and random, with what it trains in its last stage."""
    torch.manual_seed(0)
    if isinstance(system, animate_anyone.AnimateAnyoneAdapter):
        made: nn.Module = random(animate_anyone.AnimateAnyoneNetworks(TINY.config))
        for name, parameter in made.named_parameters():
            parameter.requires_grad_("motion_modules" in name)
        return made
    if isinstance(system, magic_animate.MagicAnimateAdapter):
        made = magic_animate.MagicAnimateNetworks(
            random(UNet(TINY_MAGIC.unet)),
            random(ReferenceNet(SPATIAL)),
            random(ControlNet(SPATIAL, TINY_MAGIC.condition_channels)),
            torch.randn(1, 5, 8),
        )
        made.train_only("2")
        return made
    unet = random(MotionUNet(TINY_CINEMO.unet, TINY_CINEMO.motion_embed_dim))
    return cinemo.CinemoNetworks(unet, torch.full((1, 1, 8), -1.0))


def decode(latents: Tensor) -> Tensor:
    return nn.functional.interpolate(latents[:, :3], scale_factor=8)


def task_of(
    store: SampleStore,
    recipe: DenoisingRecipe = DenoisingRecipe(batch=2, frames=FRAMES, dropped=0, steps=3),  # noqa: B008
    system: SystemAdapter = ANIMATE_ANYONE,
    **changes: object,
) -> DenoisingTask:
    task = DenoisingTask(
        networks(system),
        system,
        store,
        SampleStore(store.folder, 0),
        store,
        recipe,
        shares=Shares(),
        sample_schedule=SampleSchedule(),
        objective=Objective(),
        decode=decode,
        seed=3,
    )
    return replace(task, **changes)


def losses(task: DenoisingTask, steps: range = range(2)) -> list[float]:
    return [task.loss(task.dataset[step], generator(step)).item() for step in steps]


SYSTEMS = {
    "animate-anyone": ANIMATE_ANYONE,
    "magic-animate": magic_animate.MagicAnimateAdapter(
        TINY_MAGIC.unet, TINY_MAGIC.condition_channels
    ),
    "cinemo": cinemo.CinemoAdapter(TINY_CINEMO.unet, TINY_CINEMO.motion_embed_dim),
}


def test_a_sample_without_its_reference_has_no_token_either(store: SampleStore) -> None:
    rows = store.first(3, FRAMES)
    system, model = ANIMATE_ANYONE, networks(ANIMATE_ANYONE)
    batch = system.batch(model, rows, 1, Objective(), generator())
    assert batch.latents.shape == batch.noise.shape == (3, 4, FRAMES, 4, 4)
    assert batch.reference.shape == (1, 4, 4, 4)
    assert not batch.token[:2].any()
    torch.testing.assert_close(batch.token[2:], rows["context"][2:])
    shown = rows["conditions"].transpose(1, 2) / 255
    torch.testing.assert_close(batch.pose, shown)
    # Means of 0.5 and deviations of 0.5 at most.
    assert batch.reference.abs().max() < 4
    assert batch.reference_pose is batch.emphasis is None


def test_magic_animate_always_hears_the_empty_prompt(store: SampleStore) -> None:
    system = SYSTEMS["magic-animate"]
    model = networks(system)
    batch = system.batch(model, store.first(3, FRAMES), 2, Objective(), generator())
    assert len(batch.reference) == 2
    torch.testing.assert_close(batch.text, model.empty_prompt)


def test_a_clip_without_its_text_hears_the_empty_prompt(store: SampleStore) -> None:
    rows, system = store.first(3, FRAMES), SYSTEMS["cinemo"]
    model = networks(system)
    batch = system.batch(model, rows, 1, cinemo.PUBLISHED, generator())
    torch.testing.assert_close(batch.text[:2], model.empty_prompt.expand(2, -1, -1))
    torch.testing.assert_close(batch.text[2:], rows["context"][2:])
    torch.testing.assert_close(batch.motion, rows["motion"])
    assert batch.noise.shape == batch.latents.shape == (3, 4, FRAMES - 1, 4, 4)
    torch.testing.assert_close(system.clip(batch, batch.latents), batch.clips)


@pytest.mark.parametrize("dropped", [0.0, 0.4, 1.0])
def test_conditions_are_dropped_as_often_as_said(
    store: SampleStore, dropped: float
) -> None:
    shown: list[int] = []

    class Counting(animate_anyone.AnimateAnyoneAdapter):
        def batch(
            self, network: nn.Module, rows: Tensors, conditioned: int, *rest: object
        ) -> animate_anyone.AnimateAnyoneBatch:
            shown.append(conditioned)
            return super().batch(network, rows, conditioned, *rest)

        def predict(
            self,
            network: nn.Module,
            batch: animate_anyone.AnimateAnyoneBatch,
            noisy: Tensor,
            *,
            checkpointing: bool,
        ) -> Tensor:
            return noisy

    recipe = DenoisingRecipe(batch=4, frames=1, dropped=dropped)
    task = task_of(store, recipe, system=Counting(TINY.config))
    with torch.no_grad():
        losses(task, range(60))
    # Of 240 draws with a deviation of 0.032.
    assert sum(shown) / 240 == pytest.approx(1 - dropped, abs=0.1)


def test_a_dropped_sample_stays_with_its_own_frames(store: SampleStore) -> None:
    batches: list[tuple[Tensor, animate_anyone.AnimateAnyoneBatch, int]] = []

    class Noting(animate_anyone.AnimateAnyoneAdapter):
        def batch(
            self, network: nn.Module, rows: Tensors, conditioned: int, *rest: object
        ) -> animate_anyone.AnimateAnyoneBatch:
            made = super().batch(network, rows, conditioned, *rest)
            batches.append((rows["motion"], made, conditioned))
            return made

        def predict(
            self,
            network: nn.Module,
            batch: animate_anyone.AnimateAnyoneBatch,
            noisy: Tensor,
            *,
            checkpointing: bool,
        ) -> Tensor:
            return noisy

    recipe = DenoisingRecipe(batch=4, frames=1, dropped=0.5)
    task = task_of(store, recipe, system=Noting(TINY.config))
    with torch.no_grad():
        losses(task, range(5))
    for motion, made, conditioned in batches:
        # Token and motion both say the number of a sample.
        tokens = made.token[4 - conditioned :, 0, 0]
        torch.testing.assert_close(tokens, motion[4 - conditioned :] - 89)
        assert sorted(motion.tolist()) == [90, 91, 92, 93]


def test_sampling_finds_what_a_perfect_model_says(store: SampleStore) -> None:
    class Perfect(animate_anyone.AnimateAnyoneAdapter):
        def predict(
            self, network: nn.Module, batch: animate_anyone.AnimateAnyoneBatch,
            noisy: Tensor, *, checkpointing: bool,
        ) -> Tensor:  # fmt: skip
            return batch.latents

    task = task_of(
        store, system=Perfect(TINY.config), objective=Objective("sample", zero_snr=True)
    )
    with torch.no_grad():
        found = task.evaluate()
    assert found.figures["psnr_1"] > 60
    assert found.figures["psnr_3"] > 60
    assert found.figures["loss_validation"] < 1e-10
    reference, right, *made = found.rows
    for each in made:
        torch.testing.assert_close(each, right, rtol=0, atol=1e-3)
    assert not torch.equal(reference, right)


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_evaluation_changes_no_loss_and_repeats_itself(
    name: str, store: SampleStore
) -> None:
    task = task_of(store, system=SYSTEMS[name])
    before = losses(task)
    with torch.no_grad():
        first = task.evaluate()
        again = task.evaluate()
    assert losses(task) == before
    assert task.model.training
    assert first.figures == again.figures
    wrong = {"psnr_wrong_reference", "ssim_wrong_reference"}
    others = {
        "loss_validation", "psnr_1", "ssim_1", "psnr_3", "ssim_3",
    }  # fmt: skip
    assert first.figures.keys() == (others if name == "cinemo" else others | wrong)
    assert len(first.rows) == 4
    assert all(row.shape == (3, 3, 32, 32) for row in first.rows)


def test_the_loss_of_validation_is_the_mean_over_five_timesteps(
    store: SampleStore,
) -> None:
    task = task_of(store)
    with torch.no_grad():
        found = task.evaluate().figures["loss_validation"]
        rows = store.first(3, FRAMES)
        batch = task.system.batch(task.model, rows, 3, task.objective, generator(1))
        each = [
            denoising_loss(task.system, task.model, at(batch, step), task.objective)
            for step in PROBES
        ]
    assert found == pytest.approx(float(torch.stack(each).mean()), rel=1e-6)
    assert len({float(loss) for loss in each}) == len(PROBES)


@pytest.mark.parametrize("name", ["animate-anyone", "magic-animate"])
def test_a_wrong_reference_is_wrong_in_all_that_it_gives(
    name: str, store: SampleStore
) -> None:
    system = SYSTEMS[name]
    model, rows = networks(system), store.first(3, FRAMES)
    batch = system.batch(model, rows, 3, Objective(), generator())
    wrong = system.wrong_reference(batch)
    torch.testing.assert_close(wrong.reference, batch.reference[[2, 0, 1]])
    torch.testing.assert_close(wrong.latents, batch.latents)
    if name == "animate-anyone":
        torch.testing.assert_close(wrong.token, batch.token[[2, 0, 1]])


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_checkpointing_changes_no_gradient(name: str, store: SampleStore) -> None:
    gradients, found = [], []
    for checkpointing in (False, True):
        recipe = DenoisingRecipe(
            batch=2, frames=FRAMES, dropped=0, checkpointing=checkpointing
        )
        task = task_of(store, recipe, SYSTEMS[name])
        loss = task.loss(task.dataset[0], generator())
        loss.backward()
        found.append(loss.item())
        gradients.append(
            {n: p.grad for n, p in task.model.named_parameters() if p.grad is not None}
        )
    assert gradients[0]
    torch.testing.assert_close(gradients[0], gradients[1])
    assert found[0] == found[1]


def test_the_recipe_changes_the_loss(store: SampleStore) -> None:
    plain = task_of(store)
    changed = task_of(store, replace(plain.recipe, dropped=1.0))
    other = task_of(store, replace(plain.recipe, batch=1))
    single = task_of(store, shares=Shares(single_frames=1.0))
    seeded = task_of(store, seed=4)
    tasks = (plain, changed, other, single, seeded)
    assert len({losses(each)[0] for each in tasks}) == len(tasks)


def test_emphasis_reaches_the_loss(store: SampleStore) -> None:
    system, model = ANIMATE_ANYONE, networks(ANIMATE_ANYONE)
    rows = store.first(2, FRAMES)
    plain = system.batch(model, rows, 2, Objective(), generator())
    rows["masks"] = torch.full((2, FRAMES, 1, 4, 4), 255, dtype=torch.uint8)
    with torch.no_grad():
        weighed = system.batch(model, rows, 2, Objective(), generator())
        one, three = (
            denoising_loss(system, model, each, Objective()) for each in (plain, weighed)
        )
    torch.testing.assert_close(three, 3 * one)


def test_a_share_of_pictures_where_there_is_none_is_refused(store: SampleStore) -> None:
    with pytest.raises(ProjectError, match="the data holds no picture"):
        task_of(store, shares=Shares(single_pictures=0.5))


def test_figures_of_pictures() -> None:
    right = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    off = right * 0.9
    error = float((off - right).square().mean())
    found = picture_metrics(off, right, "_x")
    assert found["psnr_x"] == pytest.approx(float(10 * torch.tensor(4 / error).log10()))
    assert 0 < found["ssim_x"] < 1
    assert picture_metrics(right, right, "")["ssim"] == pytest.approx(1)


def test_evaluation_samples_as_renders_do(store: SampleStore) -> None:
    task = task_of(store)
    with torch.no_grad():
        shown = task.evaluate().rows[-1]
        rows = store.first(3, FRAMES)
        batch = task.system.batch(task.model, rows, 3, task.objective, generator(1))
        scheduler = Scheduler("ddim", task.objective.schedule, 3)
        noisy = batch.noise
        for step, timestep in enumerate(scheduler.timesteps):
            predicted = task.model(at(batch, int(timestep)), noisy, checkpointing=False)
            noisy = scheduler.step(predicted, step, noisy)
    torch.testing.assert_close(shown, decode(noisy[:, :, 1]).clamp(-1, 1))
