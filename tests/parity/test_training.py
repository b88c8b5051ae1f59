"""The loss of training, to the last digits: losses and gradients of the originals."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from builders.golden_set import Case, close, golden_set, unet_config
from safetensors.torch import save_file
from torch import nn

from animcli.networks.unet import UNet
from animcli.rendering.animate_anyone import AnimateAnyoneConfig
from animcli.training.animate_anyone import (
    AnimateAnyoneAdapter,
    AnimateAnyoneBatch,
    AnimateAnyoneNetworks,
)
from animcli.training.denoising import denoising_loss
from animcli.training.settings import DEFAULTS

SET = golden_set("animate_anyone")
OBJECTIVE = DEFAULTS["animate-anyone"].first.objective


@pytest.fixture(scope="module")
def system() -> AnimateAnyoneAdapter:
    """The adapter, for networks of the set's shapes."""
    widths = tuple(SET.shapes["pose_guider"]["block_out_channels"])
    return AnimateAnyoneAdapter(
        AnimateAnyoneConfig(unet_config(SET.shapes["unet3d"]), widths)
    )


@pytest.fixture(scope="module")
def weights(system: AnimateAnyoneAdapter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set's weights in the files of the weights entry."""
    folder = tmp_path_factory.mktemp("weights")
    spatial = replace(system.config.unet, motion=None)
    made = AnimateAnyoneNetworks(replace(system.config, unet=spatial))
    for name, network in made.named_children():
        SET.load(network, name)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    whole = SET.load(UNet(system.config.unet), "denoising_unet").state_dict()
    motion = {name: each for name, each in whole.items() if "motion_modules" in name}
    save_file(motion, folder / "motion_module.safetensors")
    return folder


def test_both_stages_of_animate_anyone_have_the_loss_of_the_set() -> None:
    second = DEFAULTS["animate-anyone"].second
    assert second is not None
    assert second.objective == OBJECTIVE


@SET.each("train/alphas_cumprod")
def test_the_noise_schedule_of_training(case: Case) -> None:
    close(case, OBJECTIVE.scheduler.alphas_cumprod, "train/alphas_cumprod")


@SET.each("stage1/in_latents")
@pytest.mark.parametrize("stage", ["1", "2"])
@pytest.mark.parametrize("shown", ["cond", "uncond"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_losses_and_gradients_of_animate_anyone(
    case: Case,
    stage: Literal["1", "2"],
    shown: str,
    checkpointing: bool,
    system: AnimateAnyoneAdapter,
    weights: Path,
) -> None:
    given, name = case.under(f"stage{stage}/"), f"stage{stage}_{shown}"
    reference = given["in_ref_latents"]
    batch = AnimateAnyoneBatch(
        latents=given["in_latents"],
        noise=given["in_noise"],
        timesteps=given["in_timesteps"],
        reference=reference if shown == "cond" else reference[:0],
        token=given["in_clip_embeds"],
        pose=given["in_pose_u8"].float() / 255,
    )
    steps = batch.latents, batch.noise, batch.timesteps
    close(case, OBJECTIVE.add_noise(*steps), f"stage{stage}/noisy")
    close(case, OBJECTIVE.target(*steps), f"stage{stage}/target")
    close(case, OBJECTIVE.weights(batch.timesteps), f"{name}/weight")

    model = system.networks(lambda entry: weights, weights, "published", stage)
    loss = denoising_loss(system, model, batch, OBJECTIVE, checkpointing=checkpointing)
    loss.backward()
    close(case, loss.detach().reshape(1), f"{name}/loss")
    gradients = dict(gradients_of(model))
    for key in case.under(f"{name}/grad/"):
        close(case, gradients[key], f"{name}/grad/{key}")
    norm = torch.stack([each.double().norm() for each in gradients.values()]).norm()
    assert norm.item() == pytest.approx(case.entry["gradnorm"][name], abs=case.tolerance)


def gradients_of(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            yield name, parameter.grad
