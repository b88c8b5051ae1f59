"""A small picture shows what comes, and changes nothing of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import random, save
from builders.tiny_renders import Kept
from builders.tiny_systems import draw, system
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from numpy.typing import NDArray

from animcli.rendering import preview as previews
from animcli.rendering.preview import (
    CLEAN,
    Watch,
    by_colours,
    fit_colours,
    kept_pictures,
    write_preview,
)
from animcli.rendering.renderer import Preview, spread
from animcli.rendering.schedulers import (
    ANIMATE_ANYONE_SCHEDULE,
    CINEMO_SCHEDULE,
    FLOW_SAMPLERS,
    MAGIC_ANIMATE_SCHEDULE,
    FlowSchedule,
    Scheduler,
)
from animcli.video.images import read_picture

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

TAESD = {
    "encoder_block_out_channels": [8] * 4, "decoder_block_out_channels": [8] * 4,
    "num_encoder_blocks": [1] * 4, "num_decoder_blocks": [1] * 4,
}  # fmt: skip


COLOURLESS = np.zeros((5, 3), np.float32)


@pytest.fixture
def taesd(tmp_path: Path) -> Path:
    """The store's entry, with a decoder of a few thousand random weights."""
    folder = tmp_path / "taesd"
    folder.mkdir()
    network = random(AutoencoderTiny.from_config(TAESD))
    save(network.state_dict(), folder / "diffusion_pytorch_model")
    (folder / "config.json").write_text(json.dumps(TAESD))
    return folder


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2m", "unipc", "euler", "lcm"])
@pytest.mark.parametrize(
    "schedule", [ANIMATE_ANYONE_SCHEDULE, MAGIC_ANIMATE_SCHEDULE, CINEMO_SCHEDULE]
)
def test_the_right_prediction_gives_the_clean_latents_at_every_step(
    sampler: str, schedule: object
) -> None:
    scheduler = Scheduler(sampler, schedule, 4, 0)  # type: ignore[arg-type]
    clean, noise = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    signals = scheduler._scheduler.alphas_cumprod
    for step, at in enumerate(scheduler.timesteps):
        signal = signals[round(float(at))]
        seen = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        velocity = signal.sqrt() * noise - (1 - signal).sqrt() * clean
        is_velocity = schedule is ANIMATE_ANYONE_SCHEDULE
        found = scheduler.clean(seen, velocity if is_velocity else noise, step)
        torch.testing.assert_close(found, clean, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sampler", FLOW_SAMPLERS)
def test_along_a_flow_the_right_prediction_gives_them_as_well(sampler: str) -> None:
    scheduler = Scheduler(sampler, FlowSchedule(), 4, 0)
    clean, noise = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    for step, at in enumerate(scheduler.timesteps):
        part = float(at) / 1000  # timesteps are thousandths of the way, rounded down
        seen = (1 - part) * clean + part * noise
        found = scheduler.clean(seen, noise - clean, step)
        torch.testing.assert_close(found, clean, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["animate-anyone", "magic-animate", "cinemo"])
def test_it_is_renewed_every_few_steps_and_changes_no_frame(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer, asked = system(name, tmp_path, 6, steps=5)
    plain = draw(renderer, asked)
    path, written = tmp_path / "out.preview.png", []

    def watched(place: Path, picture: NDArray[np.uint8]) -> None:
        write_preview(place, picture)
        written.append(read_picture(place).pixels)

    monkeypatch.setattr(previews, "write_preview", watched)
    shown = draw(renderer, replace(asked, preview=Preview(path)))
    assert np.array_equal(shown, plain)
    assert len(written) % 3 == 0  # after steps 1, 4 and 5, of each part
    assert len({picture.tobytes() for picture in written}) > 1
    height, width = asked.size[1] // 8, asked.size[0] // 8
    assert written[0].shape[0] == height
    assert written[0].shape[1] % width == 0
    assert [each for each in tmp_path.iterdir() if each.suffix == ".png"] == [path]


def test_taesd_shows_a_frame_at_full_size(tmp_path: Path, taesd: Path) -> None:
    scheduler = Scheduler("ddim", MAGIC_ANIMATE_SCHEDULE, 3, 0)
    path = tmp_path / "preview.png"
    watch = Watch(
        scheduler, torch.float32, lambda: COLOURLESS, preview=Preview(path, taesd)
    )
    latents = torch.randn(5, 4, 6, 7)
    watch(1, latents, latents)
    assert not path.exists()  # not every step
    watch(2, latents, latents)
    assert read_picture(path).pixels.shape == (48, 56, 3)


def test_latents_that_are_linear_in_the_colours_are_seen_as_they_are() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    picture = small.repeat(8, axis=0).repeat(8, axis=1)
    mix = rng.normal(size=(3, 4))
    latents = np.einsum("hwr,rc->chw", small.astype(float), mix).astype(np.float32)
    colours = fit_colours(latents, picture)
    seen = by_colours(latents[None], colours)
    assert np.abs(seen.astype(int) - small).max() <= 1


@pytest.mark.parametrize("name", ["animate-anyone", "magic-animate", "cinemo"])
def test_each_step_keeps_the_frames_that_the_picture_beside_the_result_shows(
    name: str, tmp_path: Path
) -> None:
    renderer, asked = system(name, tmp_path, 6, steps=5)
    path, kept = tmp_path / "out.preview.png", Kept(saves=1)
    with pytest.raises(KeyboardInterrupt):  # after the first step, which is shown
        renderer.prepare(
            replace(asked, preview=Preview(path)), kept, lambda what, done, of: None
        )
    assert kept.arrays is not None
    strip = np.concatenate(kept_pictures(kept.arrays), axis=1)
    assert np.array_equal(strip, read_picture(path).pixels)


def test_what_is_kept_is_clean_while_the_latents_are_noisy() -> None:
    scheduler = Scheduler("ddim", MAGIC_ANIMATE_SCHEDULE, 4, 0)
    clean, noise = torch.randn(2, 20, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    signal = scheduler._scheduler.alphas_cumprod[int(scheduler.timesteps[0])]
    watch = Watch(scheduler, torch.float32, lambda: COLOURLESS)
    assert kept_pictures(watch.arrays()) == []
    watch(0, signal.sqrt() * clean + (1 - signal).sqrt() * noise, noise)
    chosen = spread(20)
    assert (len(chosen), chosen[0], chosen[-1]) == (8, 0, 19)
    found = torch.from_numpy(watch.arrays()[CLEAN])
    torch.testing.assert_close(found, clean[chosen], rtol=0, atol=1e-4)
    assert len(kept_pictures(watch.arrays())) == 8


def test_a_preview_without_memory_is_left_out_and_nothing_else() -> None:
    def full() -> NDArray[np.float32]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    def broken() -> NDArray[np.float32]:
        raise RuntimeError("device-side assert triggered")

    scheduler = Scheduler("ddim", MAGIC_ANIMATE_SCHEDULE, 3, 0)
    latents = torch.randn(5, 4, 6, 7)
    watch = Watch(scheduler, torch.float32, full, preview=Preview(Path("never.png")))
    watch(0, latents, latents)
    assert watch.arrays().keys() == {CLEAN}
    assert not Path("never.png").exists()
    watch = Watch(scheduler, torch.float32, broken)
    watch(0, latents, latents)
    with pytest.raises(RuntimeError, match="assert"):
        watch.arrays()


def test_nothing_is_seen_in_a_checkpoint_without_colours() -> None:
    assert kept_pictures({CLEAN: np.zeros((1, 4, 2, 2), np.float32)}) == []
