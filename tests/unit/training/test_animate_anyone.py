"""Animate Anyone and tiny as they are trained: networks, batches, files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders.small_tiny import SMALL, SYSTEM
from builders.tiny_networks import random
from torch import Tensor

from animcli.networks.attention import SpatialTransformer
from animcli.networks.layers import ResnetBlock
from animcli.networks.limb_maps import LIMB_MAP_CHANNELS, limb_map
from animcli.rendering.animate_anyone import (
    AnimateAnyoneConfig,
    pose_features,
    reference_features,
)
from animcli.training.animate_anyone import (
    TINY,
    AnimateAnyoneAdapter,
    AnimateAnyoneBatch,
    AnimateAnyoneNetworks,
)
from animcli.training.objective import Objective
from animcli.training.samples import Tensors

SAMPLES, FRAMES, SIDE = 3, 2, 4


def rows() -> Tensors:
    """Samples of noise, with keypoints inside of the picture."""
    rng = torch.Generator().manual_seed(0)

    def keypoints(*shape: int) -> Tensor:
        points = torch.rand(*shape, 18, 2, generator=rng) * 0.8 + 0.1
        return torch.cat([points, torch.ones(*shape, 18, 1)], dim=-1)

    return {
        "latents": torch.rand(SAMPLES, FRAMES, 32, SIDE, SIDE, generator=rng),
        "reference": torch.rand(SAMPLES, 32, SIDE, SIDE, generator=rng),
        "keypoints": keypoints(SAMPLES, FRAMES),
        "reference_keypoints": keypoints(SAMPLES),
        "masks": torch.randint(
            0, 256, (SAMPLES, FRAMES, 1, SIDE, SIDE), generator=rng
        ).byte(),
    }


def networks(config: AnimateAnyoneConfig = SMALL) -> AnimateAnyoneNetworks:
    """With random weights throughout, so that nothing is silent."""
    torch.manual_seed(0)
    return random(AnimateAnyoneNetworks(config))


def batch_of(
    model: AnimateAnyoneNetworks, conditioned: int = SAMPLES
) -> AnimateAnyoneBatch:
    """Without jitter, as in evaluation."""
    with torch.no_grad():
        return SYSTEM.batch(
            model, rows(), conditioned, Objective("sample"),
            torch.Generator().manual_seed(1),
        )  # fmt: skip


@torch.no_grad()
def predict(model: AnimateAnyoneNetworks, batch: AnimateAnyoneBatch) -> Tensor:
    return SYSTEM.predict(model, batch, batch.noise, checkpointing=False)


def changed_samples(one: Tensor, other: Tensor) -> list[bool]:
    return [not torch.equal(x, y) for x, y in zip(one, other, strict=True)]


def test_limb_maps_of_target_and_reference_come_from_their_keypoints() -> None:
    given, batch = rows(), batch_of(networks(), 2)
    assert batch.pose.shape == (SAMPLES, LIMB_MAP_CHANNELS, FRAMES, SIDE, SIDE)
    one = given["keypoints"][1, 1][None]
    wanted = limb_map(one[..., :2], one[..., 2] > 0, (SIDE, SIDE))
    torch.testing.assert_close(batch.pose[1, :, 1], wanted[0])
    there = given["reference_keypoints"][1:]
    wanted = limb_map(there[..., :2], there[..., 2] > 0, (SIDE, SIDE))
    torch.testing.assert_close(batch.reference_pose, wanted)
    assert batch.token.flatten().tolist() == [0, 1, 1]
    share = given["masks"].transpose(1, 2) / 255
    torch.testing.assert_close(batch.emphasis, 1 + 2 * share)


@pytest.mark.parametrize("part", ["reference", "reference_pose", "pose", "token"])
def test_what_leads_it_reaches_the_prediction(part: str) -> None:
    model = networks()
    batch = batch_of(model)
    value = getattr(batch, part).clone()
    value[1] += 0.5  # of the second sample alone
    changed = predict(model, replace(batch, **{part: value}))
    assert changed_samples(predict(model, batch), changed) == [False, True, False]


def test_the_learned_token_reaches_samples_with_a_reference_alone() -> None:
    model = networks()
    batch = batch_of(model, conditioned=2)
    before = predict(model, batch)
    with torch.no_grad():
        model.image_token += 0.5
    assert changed_samples(before, predict(model, batch)) == [False, True, True]


def test_the_learned_token_and_the_reference_pose_are_trained() -> None:
    model = networks()
    batch = batch_of(model)
    prediction = SYSTEM.predict(model, batch, batch.noise, checkpointing=True)
    prediction.square().mean().backward()
    assert model.image_token.grad.any()
    # The guider alone would have a gradient by the target's pose, too.
    model.zero_grad()
    still = replace(batch, pose=torch.zeros_like(batch.pose))
    SYSTEM.predict(model, still, batch.noise, checkpointing=False).sum().backward()
    assert model.pose_guider.conv_in.weight.grad.any()


def test_keypoints_are_jittered_in_training_alone() -> None:
    model = networks()

    def pose(system: AnimateAnyoneAdapter, seed: int = 1) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return system.batch(model, rows(), SAMPLES, Objective("sample"), rng).pose

    still = batch_of(model).pose
    moved = pose(SYSTEM)
    assert not torch.equal(moved, still)
    torch.testing.assert_close(pose(SYSTEM), moved, rtol=0, atol=0)
    torch.testing.assert_close(pose(replace(SYSTEM, jitter=0.0)), still)
    model.eval()
    torch.testing.assert_close(pose(SYSTEM), still)


def test_a_prediction_in_training_is_that_of_the_renderer() -> None:
    model = networks().eval()
    batch = batch_of(model, conditioned=SAMPLES)
    one = AnimateAnyoneBatch(
        latents=batch.latents[:1], noise=batch.noise[:1],
        timesteps=torch.tensor([700]), reference=batch.reference[:1],
        token=batch.token[:1], pose=batch.pose[:1], reference_pose=batch.reference_pose[:1],
    )  # fmt: skip
    trained = predict(model, one)
    with torch.no_grad():
        token, cpu = model.image_token.detach(), torch.device("cpu")
        said = model.pose_guider(one.reference_pose[:, :, None])[:, :, 0]
        features = reference_features(model.reference_unet, one.reference, token, said)
        frames = pose_features(
            model.pose_guider, lambda frame: one.pose[:, :, frame : frame + 1], cpu,
            torch.float32,
        )  # fmt: skip
        hint = frames.stack(range(FRAMES)).transpose(0, 1)[None]
        unet = model.denoising_unet
        rendered = unet(
            one.noise, torch.tensor(700), unet.cache_kv(token, features), pose=hint
        )
    torch.testing.assert_close(trained, rendered)


def test_it_begins_anew_so_that_a_match_is_found() -> None:
    torch.manual_seed(0)
    model = AnimateAnyoneNetworks(replace(SMALL, unet=replace(SMALL.unet, motion=None)))
    model.start_anew()
    unet, reference = model.denoising_unet, model.reference_unet
    own = unet.state_dict()
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(value, own[name], rtol=0, atol=0)
    transformers = blocks = 0
    for module in unet.modules():
        if isinstance(module, SpatialTransformer):
            transformers += 1
            attention = module.block.attn1
            torch.testing.assert_close(attention.to_k.weight, attention.to_q.weight)
            assert not module.proj_out.weight.any()
        elif isinstance(module, ResnetBlock):
            blocks += 1
            assert not module.conv2.weight.any()
    # Two levels with one layer down, two up, and a middle.
    assert (transformers, blocks) == (7, 8)
    assert model.pose_guider.conv_out.weight.any()


@pytest.mark.parametrize("stage", ["1", "2"])
def test_files_of_a_stage_are_what_the_next_one_and_the_renderer_read(
    stage: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    made = SYSTEM.networks(lambda name: tmp_path, tmp_path, "nothing", "1")
    files = SYSTEM.files(made if stage == "1" else AnimateAnyoneNetworks(SMALL), stage)
    config = AnimateAnyoneConfig.parse(files["config.json"])
    spatial = replace(SMALL, unet=replace(SMALL.unet, motion=None))
    assert config == (spatial if stage == "1" else SMALL)
    names = {name for name in files if name.endswith(".safetensors")}
    if stage == "2":
        assert names == {"motion_module.safetensors"}
        assert all("motion_modules" in name for name in files["motion_module.safetensors"])
        return
    assert names == {
        "denoising_unet.safetensors", "reference_unet.safetensors",
        "pose_guider.safetensors", "image_token.safetensors",
    }  # fmt: skip
    assert all(parameter.requires_grad for parameter in made.parameters())


def test_tiny_has_the_size_that_it_says() -> None:
    with torch.device("meta"):
        count = sum(
            parameter.numel() for parameter in AnimateAnyoneNetworks(TINY).parameters()
        )
    assert round(count / 1e6, 1) == 8.7
