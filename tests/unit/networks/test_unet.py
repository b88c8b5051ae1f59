"""UNets of shapes that nobody published: small ones, and such without a context."""

from dataclasses import replace

import pytest
import torch

from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet
from animcli.networks.unet_blocks import MotionConfig, UNetConfig

SMALL = UNetConfig(
    in_channels=12,
    block_channels=(16, 32, 48),
    layers_per_block=1,
    attention=(False, True, True),
    heads=4,
    groups=8,
    context_dim=0,
    motion=MotionConfig(max_frames=8, middle=False, heads=2, groups=8),
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_a_small_network_without_context_looks_at_a_reference() -> None:
    unet, reference = UNet(SMALL), ReferenceNet(SMALL)
    latents, step = torch.randn(2, 12, 3, 8, 8), torch.tensor(500)
    features = reference(
        torch.randn(2, 12, 8, 8),
        torch.tensor(0),
        reference.cache_kv(),
        torch.randn(2, 16, 8, 8),
    )
    alone = unet(latents, step, unet.cache_kv())
    shown = unet(
        latents, step, unet.cache_kv(reference=features), pose=torch.zeros(1, 16, 3, 8, 8)
    )
    assert shown.shape == latents.shape
    assert not torch.allclose(alone, shown)


def test_the_reference_ends_with_the_last_attention() -> None:
    reference = ReferenceNet(SMALL)
    assert len(reference.up_blocks) == 2  # the full size has no attention
    features = reference(torch.randn(1, 12, 8, 8), torch.tensor(0), reference.cache_kv())
    with_attention = {path.rpartition(".attentions")[0] for path in features}
    assert with_attention == {
        "down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.0", "up_blocks.1",
    }  # fmt: skip


def test_samples_that_come_before_those_with_a_reference_do_without() -> None:
    unet = UNet(SMALL)
    latents, step = torch.randn(3, 12, 2, 8, 8), torch.tensor(10)
    features = {
        path: torch.randn(1, 5, width)
        for path, width in [
            ("mid_block.attentions.0", 48),
            ("up_blocks.0.attentions.1", 48),
        ]
    }
    plain = unet(latents, step, unet.cache_kv())
    last_looks = unet(latents, step, unet.cache_kv(reference=features))
    torch.testing.assert_close(last_looks[:2], plain[:2])
    assert not torch.allclose(last_looks[2], plain[2], atol=1e-3)


def test_one_reference_serves_all_frames_of_its_sample() -> None:
    unet = UNet(SMALL)
    frame = torch.randn(1, 12, 1, 8, 8)
    kv_cache = unet.cache_kv(reference={"mid_block.attentions.0": torch.randn(1, 5, 48)})
    single = unet(frame, torch.tensor(3), kv_cache)
    clip = unet(frame.expand(-1, -1, 4, -1, -1), torch.tensor(3), kv_cache)
    # New motion modules change nothing, so equal frames stay equal.
    torch.testing.assert_close(clip, single.expand_as(clip))


def test_norms_across_frames_mix_them_and_norms_per_frame_do_not() -> None:
    clip = torch.randn(1, 12, 3, 8, 8)
    changed = clip.clone()
    changed[:, :, 2] += 1
    for across_frames in (False, True):
        config = UNetConfig(
            in_channels=12, block_channels=(16, 16), layers_per_block=1,
            attention=(True, False), heads=2, groups=8, context_dim=0,
            across_frames=across_frames,
        )  # fmt: skip
        unet = UNet(config)
        before = unet(clip, torch.tensor(3), unet.cache_kv())
        after = unet(changed, torch.tensor(3), unet.cache_kv())
        assert torch.equal(before[:, :, 0], after[:, :, 0]) is not across_frames


def test_motion_modules_begin_at_the_level_that_is_asked_for() -> None:
    coarse = replace(
        SMALL, motion=MotionConfig(max_frames=8, heads=2, groups=8, first_block=2)
    )
    with_motion = {
        name.rpartition(".motion_modules")[0]
        for name, _ in UNet(coarse).named_parameters()
        if "motion_modules" in name
    }
    assert with_motion == {"down_blocks.2", "mid_block", "up_blocks.0"}


def test_more_frames_than_the_motion_modules_know_are_refused() -> None:
    unet = UNet(SMALL)
    with pytest.raises(ValueError, match="know 8 frames, got 9"):
        unet(torch.randn(1, 12, 9, 8, 8), torch.tensor(3), unet.cache_kv())


def test_a_context_for_a_network_without_one_is_refused() -> None:
    with pytest.raises(ValueError, match="looks at 0 channels of context"):
        UNet(SMALL).cache_kv(torch.zeros(1, 1, 768))


def test_a_reference_for_a_block_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no such blocks.*down_blocks\.0"):
        UNet(SMALL).cache_kv(
            reference={"down_blocks.0.attentions.0": torch.zeros(1, 4, 16)}
        )


def test_motion_modules_learn_behind_layers_that_do_not() -> None:
    unet = UNet(SMALL)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_("motion_modules" in name)
    out = unet(
        torch.randn(1, 12, 2, 8, 8), torch.tensor(3), unet.cache_kv(), checkpointing=True
    )
    out.square().mean().backward()
    last = unet.up_blocks[-1].motion_modules[-1].temporal_transformer
    assert last.proj_out.weight.grad is not None
    assert float(last.proj_out.weight.grad.abs().sum()) > 0
