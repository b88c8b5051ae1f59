"""MagicAnimate learns from clips and single pictures in one loop."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from builders.tiny_networks import SPATIAL, TINY_MAGIC, random
from torch import Tensor

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceUNet
from animcli.networks.unet import UNet
from animcli.training.diffusion import Diffusion
from animcli.training.magic_animate import Batch, Networks, draw_kind, joint_loss

DIFFUSION = Diffusion(
    "epsilon", "linear", zero_snr=False, snr_weights="none", noise_offset=0
)
LEARNS = {
    "1": {"appearance_encoder", "controlnet"},
    "2": {"unet"},
}


def networks(stage: Literal["1", "2"]) -> Networks:
    torch.manual_seed(0)
    made = Networks(
        random(UNet(TINY_MAGIC.unet)),
        random(ReferenceUNet(SPATIAL)),
        random(ControlNet(SPATIAL, TINY_MAGIC.condition_widths)),
    )
    made.choose(stage)
    return made


def batch(frames: int, shown: int = 2) -> Batch:
    """Two clips, the last `shown` with a reference."""
    drawn = torch.Generator().manual_seed(frames)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=drawn)

    return Batch(
        latents=normal(2, 4, frames, 4, 6),
        noise=normal(2, 4, frames, 4, 6),
        timesteps=torch.tensor([20, 700]),
        reference=normal(2, 4, 4, 6)[2 - shown :],
        text=normal(1, 3, 8),
        control=torch.rand(2, 3, frames, 32, 48, generator=drawn),
    )


def plain_loss(net: Networks, given: Batch) -> Tensor:
    """The paper's formula, one clip after the other."""
    errors = []
    for row, time in enumerate(given.timesteps):
        share = DIFFUSION.shares[time]
        noisy = share.sqrt() * given.latents + (1 - share).sqrt() * given.noise
        noisy, one = noisy[row : row + 1], time[None]
        encoder, text = net.appearance_encoder, given.text
        features = {}
        number = row - (2 - len(given.reference))
        if number >= 0:
            reference = given.reference[number : number + 1]
            features = encoder(reference, one, encoder.see(text))
            features = {k: v for k, v in features.items() if not k.startswith("down")}
        steer = net.controlnet(
            noisy, one, net.controlnet.see(text), given.control[row : row + 1]
        )
        told = net.unet(noisy, one, net.unet.see(text, features), residuals=steer)
        errors.append(((told - given.noise[row : row + 1]) ** 2).mean())
    return torch.stack(errors).mean()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("stage", ["1", "2"])
@pytest.mark.parametrize(("frames", "shown"), [(1, 2), (5, 1)])
def test_loss_and_gradients(
    stage: Literal["1", "2"], frames: int, shown: int, checkpointing: bool
) -> None:
    given, net, other = batch(frames, shown), networks(stage), networks(stage)
    loss = joint_loss(net, given, DIFFUSION, checkpointing=checkpointing)
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
    assert touched == LEARNS[stage]
    if stage == "2":
        assert all(
            "motion_modules" in n for n, p in net.named_parameters() if p.grad is not None
        )


def test_pictures_frames_and_clips_come_as_often_as_said() -> None:
    chance = torch.Generator().manual_seed(0)
    kinds = [draw_kind(0.2, 0.3, chance) for _ in range(2000)]
    # Shares of 2000 draws have a deviation of 0.011 at most.
    for kind, share in (("picture", 0.2), ("frame", 0.3), ("clip", 0.5)):
        assert kinds.count(kind) / 2000 == pytest.approx(share, abs=0.04)
    assert {draw_kind(0, 0, chance) for _ in range(50)} == {"clip"}
    assert {draw_kind(1, 0, chance) for _ in range(50)} == {"picture"}


def test_other_predictions_change_the_loss() -> None:
    net, given = networks("1"), batch(1)
    by = {p: replace(DIFFUSION, prediction=p) for p in ("epsilon", "v", "x0")}
    losses = {joint_loss(net, given, each).item() for each in by.values()}
    assert len(losses) == 3
