"""MagicAnimate's loss is the paper's formula, for clips and for single pictures."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from builders.tiny_networks import SPATIAL, TINY_MAGIC, random
from torch import Tensor

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.training.denoising import denoising_loss
from animcli.training.magic_animate import (
    MagicAnimateAdapter,
    MagicAnimateBatch,
    MagicAnimateNetworks,
)
from animcli.training.settings import MAGIC_OBJECTIVE

SYSTEM = MagicAnimateAdapter(TINY_MAGIC.unet, TINY_MAGIC.condition_channels)
TRAINED = {
    "1": {"appearance_encoder", "controlnet"},
    "2": {"unet"},
}


def networks(stage: Literal["1", "2"]) -> MagicAnimateNetworks:
    torch.manual_seed(0)
    made = MagicAnimateNetworks(
        random(UNet(TINY_MAGIC.unet)),
        random(ReferenceNet(SPATIAL)),
        random(ControlNet(SPATIAL, TINY_MAGIC.condition_channels)),
        torch.zeros(1, 3, 8),
    )
    made.train_only(stage)
    return made


def batch(frames: int, shown: int = 2) -> MagicAnimateBatch:
    """Two clips, the last `shown` with a reference."""
    drawn = torch.Generator().manual_seed(frames)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=drawn)

    return MagicAnimateBatch(
        latents=normal(2, 4, frames, 4, 6),
        noise=normal(2, 4, frames, 4, 6),
        timesteps=torch.tensor([20, 700]),
        reference=normal(2, 4, 4, 6)[2 - shown :],
        text=normal(1, 3, 8),
        control=torch.rand(2, 3, frames, 32, 48, generator=drawn),
    )


def plain_loss(net: MagicAnimateNetworks, given: MagicAnimateBatch) -> Tensor:
    """The paper's formula, one clip after the other."""
    errors = []
    for row, time in enumerate(given.timesteps):
        share = MAGIC_OBJECTIVE.scheduler.alphas_cumprod[time]
        noisy = share.sqrt() * given.latents + (1 - share).sqrt() * given.noise
        noisy, one = noisy[row : row + 1], time[None]
        encoder, text = net.appearance_encoder, given.text
        features = {}
        number = row - (2 - len(given.reference))
        if number >= 0:
            reference = given.reference[number : number + 1]
            features = encoder(reference, one, encoder.cache_kv(text))
            features = {k: v for k, v in features.items() if not k.startswith("down")}
        steer = net.controlnet(
            noisy, one, net.controlnet.cache_kv(text), given.control[row : row + 1]
        )
        predicted = net.unet(noisy, one, net.unet.cache_kv(text, features), residuals=steer)
        errors.append(((predicted - given.noise[row : row + 1]) ** 2).mean())
    return torch.stack(errors).mean()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("stage", ["1", "2"])
@pytest.mark.parametrize(("frames", "shown"), [(1, 2), (5, 1)])
def test_loss_and_gradients(
    stage: Literal["1", "2"], frames: int, shown: int, checkpointing: bool
) -> None:
    given, net, other = batch(frames, shown), networks(stage), networks(stage)
    loss = denoising_loss(SYSTEM, net, given, MAGIC_OBJECTIVE, checkpointing=checkpointing)
    loss.backward()
    expected = plain_loss(other, given)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    touched = set()
    for (name, found), right in zip(
        net.named_parameters(), other.parameters(), strict=True
    ):
        if right.grad is None:
            assert found.grad is None or not found.grad.any(), name
        else:
            # Sums over clips in another order.
            torch.testing.assert_close(found.grad, right.grad, rtol=1e-3, atol=1e-6)
            touched.add(name.split(".")[0])
    assert touched == TRAINED[stage]
    if stage == "2":
        assert all(
            "motion_modules" in n for n, p in net.named_parameters() if p.grad is not None
        )


def test_other_predictions_change_the_loss() -> None:
    net, given = networks("1"), batch(1)
    objectives = [
        replace(MAGIC_OBJECTIVE, prediction=each)
        for each in ("epsilon", "v_prediction", "sample")
    ]
    losses = {denoising_loss(SYSTEM, net, given, each).item() for each in objectives}
    assert len(losses) == 3
