"""What is done once, or without copies, comes to the same as done twice, or with them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from animcli.networks.controlnet import ControlNet
from animcli.networks.layers import GroupNorm, ResnetBlock, fold_frames, unfold_frames
from animcli.networks.motion_module import MotionModule
from animcli.networks.unet import MAGIC_ANIMATE_UNET, Residuals, UNet
from animcli.networks.unet_blocks import MotionConfig, UNetConfig

SMALL = UNetConfig(
    block_channels=(16, 32), layers_per_block=1, attention=(True, False), heads=2, groups=4,
    context_dim=8, motion=MotionConfig(max_frames=12, middle=False, heads=2, groups=4),
    across_frames=True,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def random(network: torch.nn.Module) -> Any:
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(False)


class Operations(TorchDispatchMode):
    """Counts what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.counts[str(operation.overloadpacket).removeprefix("aten.")] += 1
        return operation(*args, **(kwargs or {}))


def done_by(call: Callable[[], object]) -> Counter[str]:
    with torch.no_grad(), Operations() as operations:
        call()
    return operations.counts


@pytest.mark.parametrize("rows", [1, 2])
def test_the_way_down_serves_both_halves_of_guidance_bit_for_bit(rows: int) -> None:
    unet, frames = random(UNet(SMALL)), 3
    text, step = torch.randn(1, 5, 8), torch.tensor(500)
    clip = torch.randn(1, 4, frames, 8, 8)
    residuals = Residuals(
        [torch.randn(1, w, frames, s, s) for w, s in ((16, 8), (16, 8), (16, 4), (32, 4))],
        torch.randn(1, 32, frames, 4, 4),
    )
    features = {
        path: torch.randn(1, 64, 16)
        for path in unet.cache_kv(text)
        if path.startswith("up")
    }
    plain, shown = unet.cache_kv(text), unet.cache_kv(text, features)
    with torch.inference_mode():
        half = unet.halfway(clip, step, plain, residuals=residuals)
        if rows == 2:
            expected = unet(
                clip.expand(2, -1, -1, -1, -1), step, shown, residuals=residuals
            )
            found = unet.rest(half, shown, rows=2)
            torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
            return
        for kv_cache in (plain, shown, plain):  # each leaves the half as it was
            expected = unet(clip, step, kv_cache, residuals=residuals)
            assert torch.equal(unet.rest(half, kv_cache), expected)


def test_the_way_down_is_a_sixth_of_the_work_at_published_size() -> None:
    with torch.inference_mode(), torch.device("meta"):
        unet = UNet(MAGIC_ANIMATE_UNET)
        clip, text = torch.empty(1, 4, 16, 64, 64), torch.empty(1, 77, 768)
        kv_cache, step = unet.cache_kv(text), torch.tensor(500)
        with FlopCounterMode(display=False) as whole:
            unet(clip, step, kv_cache)
        with FlopCounterMode(display=False) as down:
            half = unet.halfway(clip, step, kv_cache)
        with FlopCounterMode(display=False) as rest:
            unet.rest(half, kv_cache)
    total = whole.get_total_flops()
    assert down.get_total_flops() + rest.get_total_flops() == total
    # Of two calls, one way down is saved.
    assert 0.15 < down.get_total_flops() / (2 * total) < 0.2


def test_a_condition_looked_at_beforehand_steers_as_one_looked_at_in_the_call() -> None:
    controlnet = random(ControlNet(replace(SMALL, motion=None), (4, 4, 4, 4)))
    kv_cache, step = controlnet.cache_kv(torch.randn(1, 5, 8)), torch.tensor(500)
    clip, pictures = torch.randn(1, 4, 3, 8, 8), torch.rand(1, 3, 3, 64, 64)
    with torch.inference_mode():
        expected = controlnet(clip, step, kv_cache, pictures)
        frames = [controlnet.look_at(pictures[:, :, [i]])[0] for i in range(3)]
        found = controlnet.steer(clip, step, kv_cache, torch.stack(frames))
    # Frames one by one may be rounded otherwise than three at once.
    for mine, theirs in zip(found.skips, expected.skips, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.middle, expected.middle, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_joint_norm_without_copies_is_the_norm_of_the_whole_clip(
    samples: int, layout: torch.memory_format
) -> None:
    frames, norm = 5, random(GroupNorm(4, 16, across_frames=True))
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(samples * frames, 16, 6, 7).contiguous(memory_format=layout)
    clip = unfold_frames(x, frames)
    expected = fold_frames(functional.group_norm(clip, 4, norm.weight, norm.bias, norm.eps))
    with torch.inference_mode():
        found = norm(x, frames)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_joint_norm_copies_nothing() -> None:
    norm = random(GroupNorm(4, 16, across_frames=True))
    x = torch.randn(5, 16, 6, 7).contiguous(memory_format=torch.channels_last)
    done = done_by(lambda: norm(x, 5))
    assert done["clone"] == done["copy_"] == done["contiguous"] == 0
    assert done["native_group_norm"] == 1


def test_a_shortcut_to_another_width_is_a_matrix_product() -> None:
    block = random(ResnetBlock(16, 32, 64, groups=4))
    x, time = torch.randn(3, 16, 6, 7), torch.randn(1, 64)
    with torch.inference_mode():
        found = block.shortcut(x)
        torch.testing.assert_close(found, block.conv_shortcut(x), rtol=0, atol=1e-5)
    layered = x.contiguous(memory_format=torch.channels_last)
    done = done_by(lambda: block(layered, time, 3))
    assert done["convolution"] == 2  # the two of the block itself


def test_layers_over_time_are_products_of_one_matrix_not_batches_of_many() -> None:
    module = random(MotionModule(16, heads=2, max_frames=8, groups=4))
    x = torch.randn(4, 16, 6, 7).contiguous(memory_format=torch.channels_last)
    done = done_by(lambda: module(x, 4))
    batches = done["bmm"] + done["baddbmm"]
    assert batches == 0, done


def test_the_frames_of_several_samples_stay_apart_over_time() -> None:
    module = random(MotionModule(16, heads=2, max_frames=8, groups=4))
    x: Tensor = torch.randn(8, 16, 6, 7)
    with torch.inference_mode():
        both = module(x, 4)
        each = torch.cat([module(x[:4], 4), module(x[4:], 4)])
    torch.testing.assert_close(both, each, rtol=0, atol=2e-6)
