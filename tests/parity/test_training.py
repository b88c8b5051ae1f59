"""What is learnt in training, to the last digits: losses and gradients of the originals."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from builders.golden_set import Case, close, golden_set, unet_config

from animcli.networks.controlnet import PoseGuider
from animcli.networks.reference_net import ReferenceUNet
from animcli.networks.unet import UNet
from animcli.training.animate_anyone import Batch, Networks, follow_loss
from animcli.training.diffusion import Diffusion

SET = golden_set("animate_anyone")
PUBLISHED = Diffusion()


def networks(stage: Literal["1", "2"]) -> Networks:
    """With the set's weights, learning what the stage is about."""
    config = unet_config(SET.shapes["unet3d"])
    if stage == "1":  # single frames: no motion modules
        config = replace(config, motion=None)
    shape = SET.shapes["pose_guider"]
    made = Networks(
        UNet(config),
        ReferenceUNet(unet_config(SET.shapes["unet2d"])),
        PoseGuider(
            shape["conditioning_embedding_channels"], tuple(shape["block_out_channels"])
        ),
    )
    for name, network in made.named_children():
        SET.load(network, name)
    made.choose(stage)
    return made


@SET.each("train/alphas_cumprod")
def test_the_noise_schedule_of_training(case: Case) -> None:
    close(case, PUBLISHED.shares, "train/alphas_cumprod")


@SET.each("stage1/in_latents")
@pytest.mark.parametrize("stage", ["1", "2"])
@pytest.mark.parametrize("shown", ["cond", "uncond"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_losses_and_gradients_of_animate_anyone(
    case: Case, stage: Literal["1", "2"], shown: str, checkpointing: bool
) -> None:
    given, name = case.under(f"stage{stage}/"), f"stage{stage}_{shown}"
    reference = given["in_ref_latents"]
    batch = Batch(
        latents=given["in_latents"],
        noise=given["in_noise"],
        timesteps=given["in_timesteps"],
        reference=reference if shown == "cond" else reference[:0],
        token=given["in_clip_embeds"],
        poses=given["in_pose_u8"].float() / 255,
    )
    steps = batch.latents, batch.noise, batch.timesteps
    close(case, PUBLISHED.mix(*steps), f"stage{stage}/noisy")
    close(case, PUBLISHED.target(*steps), f"stage{stage}/target")
    close(case, PUBLISHED.weights(batch.timesteps), f"{name}/weight")

    learning = networks(stage)
    loss = follow_loss(learning, batch, PUBLISHED, checkpointing=checkpointing)
    loss.backward()
    close(case, loss.detach().reshape(1), f"{name}/loss")
    gradients = {
        key: parameter.grad
        for key, parameter in learning.named_parameters()
        if parameter.grad is not None
    }
    for key in case.under(f"{name}/grad/"):
        close(case, gradients[key], f"{name}/grad/{key}")
    norm = torch.stack([each.double().norm() for each in gradients.values()]).norm()
    assert norm.item() == pytest.approx(case.entry["gradnorm"][name], abs=case.tolerance)
