"""Samplers find clean latents, and go on with the same bits after a stop."""

import pytest
import torch
from torch import Tensor

from animcli.rendering.context import ContextWindow, DenoiseFn, uniform_windows
from animcli.rendering.noise import (
    SHARED_VARIANCE,
    TILED_FRAMES,
    NoiseKind,
    clip_noise,
)
from animcli.rendering.pipeline import denoise, sample
from animcli.rendering.schedulers import (
    ANIMATE_ANYONE_SCHEDULE,
    MAGIC_ANIMATE_SCHEDULE,
    SAMPLERS,
    NoiseSchedule,
    Scheduler,
    make_scheduler,
)

# diffusers hands its tensors to numpy, which would like them to know a newer protocol.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

STEPS, FRAMES = 5, 5
CLEAN = torch.linspace(-2, 2, FRAMES * 4 * 4 * 4).reshape(FRAMES, 4, 4, 4)

every_sampler = pytest.mark.parametrize("sampler", list(SAMPLERS))
both_schedules = pytest.mark.parametrize(
    "schedule",
    [ANIMATE_ANYONE_SCHEDULE, MAGIC_ANIMATE_SCHEDULE],
    ids=["animate-anyone", "magic-animate"],
)


def knows(schedule: NoiseSchedule, sampler: str):  # noqa: ANN201
    """A network that knows the clean clip, and predicts what leads there."""
    levels = make_scheduler("ddim", schedule).alphas_cumprod

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        signal, noise = levels[int(timestep)].sqrt(), (1 - levels[int(timestep)]).sqrt()

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            clean = CLEAN[list(window.frames)]
            eps = (part - signal * clean) / noise
            return eps if schedule.prediction == "epsilon" else signal * eps - noise * clean

        return predict

    return step_fn


def windows(step: int) -> list[ContextWindow]:
    return uniform_windows(FRAMES, 3, 1)


@every_sampler
@both_schedules
def test_a_perfect_prediction_leads_to_the_clean_clip(
    sampler: str, schedule: NoiseSchedule
) -> None:
    scheduler = Scheduler(sampler, schedule, STEPS)
    noise = (
        clip_noise("independent", FRAMES, (4, 4, 4), seed=0) * scheduler.init_noise_sigma
    )
    *_, latents = denoise(noise, scheduler, knows(schedule, sampler), windows)
    # Nothing but rounding is left, of velocities in which noise of 4096 was divided out.
    torch.testing.assert_close(latents, CLEAN, rtol=0, atol=2e-3)


class Memory:
    """A checkpoint in memory, which ends the run after some saves."""

    def __init__(self, saves: int) -> None:
        self.saves, self.kept = saves, None

    def load(self):  # noqa: ANN201
        return self.kept

    def save(self, arrays) -> None:  # noqa: ANN001
        self.kept = {name: array.copy() for name, array in arrays.items()}
        self.saves -= 1
        if self.saves == 0:
            raise KeyboardInterrupt


def render(sampler: str, schedule: NoiseSchedule, checkpoint: Memory) -> Tensor:
    return sample(
        lambda: clip_noise("independent", FRAMES, (4, 4, 4), seed=0),
        Scheduler(sampler, schedule, STEPS),
        lambda: knows(schedule, sampler),
        windows,
        checkpoint,
        lambda what, done, total: None,
    )


@every_sampler
@both_schedules
def test_a_stop_after_any_step_changes_no_bit(
    sampler: str, schedule: NoiseSchedule
) -> None:
    unbroken = render(sampler, schedule, Memory(saves=-1))
    for stop in range(1, STEPS + 1):
        checkpoint = Memory(saves=stop)
        with pytest.raises(KeyboardInterrupt):
            render(sampler, schedule, checkpoint)
        assert int(checkpoint.kept["done"]) == stop
        assert torch.equal(render(sampler, schedule, checkpoint), unbroken)


@every_sampler
def test_a_stop_after_every_step_changes_no_bit(sampler: str) -> None:
    unbroken = render(sampler, ANIMATE_ANYONE_SCHEDULE, Memory(saves=-1))
    checkpoint = Memory(saves=1)
    for _ in range(STEPS):
        checkpoint.saves = 1
        with pytest.raises(KeyboardInterrupt):
            render(sampler, ANIMATE_ANYONE_SCHEDULE, checkpoint)
    assert torch.equal(render(sampler, ANIMATE_ANYONE_SCHEDULE, checkpoint), unbroken)


def test_noise_that_a_sampler_adds_is_each_frame_s_own() -> None:
    noise = clip_noise("independent", FRAMES, (4, 4, 4), seed=0)
    said = torch.zeros_like(noise)
    whole = Scheduler("lcm", MAGIC_ANIMATE_SCHEDULE, STEPS, seed=9).step(said, 0, noise)
    part = Scheduler("lcm", MAGIC_ANIMATE_SCHEDULE, STEPS, seed=9).step(
        said[:2], 0, noise[:2]
    )
    assert torch.equal(whole[:2], part)
    assert not torch.equal(
        whole, Scheduler("lcm", MAGIC_ANIMATE_SCHEDULE, STEPS, seed=8).step(said, 0, noise)
    )


@pytest.mark.parametrize(
    ("kind", "alike"), [("independent", 0.0), ("shared", SHARED_VARIANCE), ("tiled", 1.0)]
)
def test_noise_that_a_sampler_adds_is_related_between_frames_as_asked(
    kind: NoiseKind, alike: float
) -> None:
    frames, shape = TILED_FRAMES + 1, (4, 32, 32)
    noise = clip_noise("independent", frames, shape, seed=0)
    scheduler = Scheduler("lcm", NoiseSchedule(prediction="sample"), STEPS, noise=kind)
    made = scheduler.step(torch.zeros_like(noise), 0, noise)  # hardly more than new noise
    pair = made[[0, TILED_FRAMES]].reshape(2, -1)
    assert torch.corrcoef(pair)[0, 1].item() == pytest.approx(alike, abs=0.06)


@every_sampler
@both_schedules
@pytest.mark.parametrize("begin", [1, STEPS // 2, STEPS - 1])
def test_a_network_that_knows_the_clip_finds_it_from_any_step_on(
    sampler: str, schedule: NoiseSchedule, begin: int
) -> None:
    noise = clip_noise("independent", FRAMES, (4, 4, 4), seed=0)
    scheduler = Scheduler(sampler, schedule, STEPS)
    other = CLEAN + 0.3
    asked: list[int] = []

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        asked.append(step)
        return knows(schedule, sampler)(step, timestep, latents)

    found = sample(
        lambda: scheduler.noised(other, noise, begin), scheduler, lambda: step_fn, windows,
        Memory(saves=-1), lambda what, done, total: None, begin=begin,
    )  # fmt: skip
    assert asked == list(range(begin, STEPS))
    torch.testing.assert_close(found, CLEAN, rtol=0, atol=2e-3)


@both_schedules
def test_frames_to_start_from_get_the_noise_of_their_step(schedule: NoiseSchedule) -> None:
    noise = clip_noise("independent", FRAMES, (4, 4, 4), seed=0)
    scheduler = Scheduler("ddim", schedule, STEPS)
    signal = make_scheduler("ddim", schedule).alphas_cumprod[scheduler.timesteps[2]]
    expected = signal.sqrt() * CLEAN + (1 - signal).sqrt() * noise
    torch.testing.assert_close(scheduler.noised(CLEAN, noise, 2), expected)


@every_sampler
def test_a_start_from_frames_that_was_stopped_changes_no_bit(sampler: str) -> None:
    noise = clip_noise("independent", FRAMES, (4, 4, 4), seed=0)

    def run(checkpoint: Memory) -> Tensor:
        scheduler = Scheduler(sampler, ANIMATE_ANYONE_SCHEDULE, STEPS)
        return sample(
            lambda: scheduler.noised(CLEAN + 0.3, noise, 2), scheduler,
            lambda: knows(ANIMATE_ANYONE_SCHEDULE, sampler), windows, checkpoint,
            lambda what, done, total: None, begin=2,
        )  # fmt: skip

    unbroken = run(Memory(saves=-1))
    checkpoint = Memory(saves=2)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint)
    assert (int(checkpoint.kept["done"]), int(checkpoint.kept["begun"])) == (4, 2)
    assert torch.equal(run(checkpoint), unbroken)
