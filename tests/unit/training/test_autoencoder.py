"""The autoencoder's task: what it begins with, its crops, its loss, its files."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from animcli.rendering.loading import load_autoencoder
from animcli.rendering.vae import Autoencoder, scaling_factor
from animcli.training.autoencoder import (
    TINY_VAE,
    AutoencoderRecipe,
    AutoencoderTask,
    CropDataset,
    differences,
    open_vae,
    vae_files,
)
from animcli.training.samples import Sample

SMALL_VAE = {**TINY_VAE, "block_out_channels": [8] * 4, "latent_channels": 4}
RECIPE = AutoencoderRecipe(samples=2, crop=32)


@dataclass(frozen=True)
class Ramps:
    """Number of a sample -> three frames whose colours and mask say the place in them."""

    masked: bool = True

    def __call__(self, number: int) -> Sample:
        y, x = np.mgrid[:48, :40].astype(np.uint8)
        frames = np.stack([np.dstack([x, y, np.full_like(x, 80 + n)]) for n in range(3)])
        masks = np.stack([x] * 3) if self.masked else None
        return Sample(frames[0], frames[0], frames, masks=masks)


def task_of(model: nn.Module, **changes: object) -> AutoencoderTask:
    rng = torch.Generator().manual_seed(5)
    validation = torch.rand(2, 3, 32, 32, generator=rng) * 2 - 1
    return AutoencoderTask(model, Ramps(), validation, replace(RECIPE, **changes), seed=3)


@pytest.fixture
def vae() -> nn.Module:
    torch.manual_seed(0)
    return open_vae(SMALL_VAE)


def test_it_begins_with_residual_branches_that_say_nothing(vae: nn.Module) -> None:
    found = 0
    x = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    for module in vae.modules():
        if type(module).__name__ != "ResnetBlock2D":
            continue
        found += 1
        with torch.no_grad():
            torch.testing.assert_close(module(x, None), x, rtol=0, atol=0)
    # Two in the middle of both halves, 4 levels of 1 down and of 2 up.
    assert found == 2 * 2 + 4 + 8


def test_its_convolutions_keep_the_variance_at_first() -> None:
    torch.manual_seed(0)
    for name, module in open_vae().named_modules():
        if isinstance(module, nn.Conv2d) and not name.endswith("conv2"):
            inputs = module.weight[0].numel()
            deviation = float(module.weight.detach().std())
            assert deviation == pytest.approx(inputs**-0.5, rel=0.25), name


def test_its_posterior_begins_nearly_without_noise(vae: nn.Module) -> None:
    pictures = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        posterior = vae.encode(pictures).latent_dist
    assert posterior.std.median() < 0.3
    assert posterior.mean.std() > 0.3


def test_crops_are_a_function_of_their_number_and_hold_mask_and_picture() -> None:
    crops = CropDataset(Ramps(), RECIPE, seed=3)
    batch = crops[5]
    assert batch.shape == (4, 4, 32, 32)
    assert batch.dtype == torch.uint8
    torch.testing.assert_close(crops[5], batch)
    assert not torch.equal(crops[6], batch)
    assert not torch.equal(replace(crops, seed=4)[5], batch)
    plain = mirrored = 0
    for number in range(30):
        for red, green, _, mask in crops[number].int():
            step = mask[0, 1] - mask[0, 0]
            assert abs(int(step)) == 1  # columns, one by one, in either direction
            mirrored += int(step) == -1
            if torch.equal(red, mask):  # colours as they were
                plain += 1
                torch.testing.assert_close(green[1:] - green[:-1], torch.ones(31, 32).int())
    # 120 crops: half of them mirrored, 23 in 100 in other colours or with noise.
    assert 40 < mirrored < 80
    assert 75 < plain < 110


def test_without_masks_nothing_is_the_figure() -> None:
    assert not CropDataset(Ramps(masked=False), RECIPE, seed=3)[0][:, 3].any()


def test_the_loss_is_the_error_of_the_reconstruction_and_the_divergence(
    vae: nn.Module,
) -> None:
    task = task_of(vae, figure=3.0, edges=0.2, kl=0.01)
    batch = task.dataset[0]
    loss = task.loss(batch, torch.Generator().manual_seed(9))
    pictures = batch[:, :3].float() / 127.5 - 1
    masks = batch[:, 3:].float() / 255
    with torch.no_grad():
        posterior = vae.encode(pictures).latent_dist
        noise = torch.randn(
            posterior.mean.shape, generator=torch.Generator().manual_seed(9)
        )
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        squared = ((0.5 + masks) * (decoded - pictures) ** 2).mean()  # (1 + 2 m) / 2
        edges = (differences(decoded) - differences(pictures)).abs().mean()
        variance = posterior.std**2
        kl = 0.5 * (posterior.mean**2 + variance - 1 - variance.log()).mean()
    torch.testing.assert_close(loss.detach(), squared + 0.2 * edges + 0.01 * kl)


def test_differences_are_those_of_neighbours() -> None:
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    found = differences((2 * x + 3 * y).expand(1, 3, 5, 6))
    torch.testing.assert_close(found[:, :3], torch.full((1, 3, 4, 5), 2.0))
    torch.testing.assert_close(found[:, 3:], torch.full((1, 3, 4, 5), 3.0))


def test_training_lowers_the_error(vae: nn.Module) -> None:
    task = task_of(vae)
    optimizer = torch.optim.AdamW(vae.parameters(), 2e-3)
    losses = []
    for step in range(30):
        loss = task.loss(task.dataset[step], torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5]) / 3


def test_evaluation_decodes_means_one_by_one(vae: nn.Module) -> None:
    task = task_of(vae)
    with torch.no_grad():
        found = task.evaluate()
        whole = vae.decode(vae.encode(task.validation).latent_dist.mean).sample
        mean = vae.encode(task.validation).latent_dist.mean
    torch.testing.assert_close(found.rows[1], whole.clamp(-1, 1), rtol=1e-4, atol=1e-5)
    error = (found.rows[1] - task.validation).square().mean(dim=(1, 2, 3))
    psnr = float((10 * torch.log10(4 / error)).mean())
    assert found.figures["psnr"] == pytest.approx(psnr)
    assert found.figures["latent_deviation"] == pytest.approx(float(mean.std()), rel=1e-4)


def test_its_files_are_those_that_renderers_load(vae: nn.Module, tmp_path: Path) -> None:
    files = vae_files(vae, 0.5)
    (tmp_path / "vae").mkdir()
    for name, content in files.items():
        if name.endswith(".json"):
            (tmp_path / name).write_text(json.dumps(content))
        else:
            tensors: dict[str, Tensor] = {n: t.contiguous() for n, t in content.items()}
            save_file(tensors, tmp_path / name)
    loaded = load_autoencoder(tmp_path / "vae", torch.device("cpu"), torch.float32)
    assert scaling_factor(loaded) == 0.5
    picture = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    signed = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        mean = vae.encode(signed).latent_dist.mean
        decoded = vae.decode(mean).sample[0] / 2 + 0.5
    autoencoder = Autoencoder(loaded)
    torch.testing.assert_close(autoencoder.encode(picture), 0.5 * mean)
    torch.testing.assert_close(autoencoder.decode(0.5 * mean[0]), decoded.clamp(0, 1))
