"""Features and predictions that steps take over: less work, the same bits on resuming."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_networks import TINY, random
from builders.tiny_renders import PRESET, Kept
from builders.tiny_systems import NAMES, draw, system
from torch.utils.flop_counter import FlopCounterMode

from animcli.errors import PresetError
from animcli.networks.unet import ANIMATE_ANYONE_UNET, UNet
from animcli.networks.unet_blocks import Deep, UNetConfig
from animcli.presets import Preset
from animcli.rendering.animate_anyone import AnimateAnyone
from animcli.rendering.context import moving_windows
from animcli.rendering.cost import estimate_cost
from animcli.rendering.renderer import Renderer, RenderRequest
from animcli.rendering.reuse import Reuse

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")

BOTH = {"deep_interval": 2, "deep_branch": 1, "guidance_interval": 4}


def six(name: str, folder: Path, **changes: object) -> tuple[Renderer, RenderRequest]:
    """A renderer with tiny networks, and a request of several windows in six steps."""
    return system(name, folder, 9, steps=6, **changes)


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_render_goes_on_with_the_same_bits(name: str, tmp_path: Path) -> None:
    renderer, asked = six(name, tmp_path, **BOTH)
    whole = draw(renderer, asked)
    plain = replace(asked.preset, deep_interval=1, guidance_interval=1)
    assert not np.array_equal(whole, draw(renderer, replace(asked, preset=plain)))
    for stop in (3, 4):  # in the middle of both intervals, and where both begin again
        kept = Kept(saves=stop)
        with pytest.raises(KeyboardInterrupt):
            draw(renderer, asked, kept)
        assert np.array_equal(draw(renderer, asked, kept), whole)


@pytest.mark.parametrize(
    ("stop", "changes"),
    [
        (2, {"deep_interval": 3, "windows": "moving", "cfg_batch": "on"}),
        (3, {"guidance_interval": 2, "guidance_rescale": 0.5, "sampler": "dpmpp-2m"}),
        (3, {**BOTH, "guidance_start": 0.2, "guidance_stop": 0.7}),
    ],
)
def test_resuming_holds_for_other_ways_to_render(
    tmp_path: Path, stop: int, changes: dict[str, object]
) -> None:
    renderer, asked = six("animate-anyone", tmp_path, **changes)
    whole, kept = draw(renderer, asked), Kept(saves=stop)
    with pytest.raises(KeyboardInterrupt):
        draw(renderer, asked, kept)
    assert kept.arrays is not None
    assert any(name.startswith("seen.") for name in kept.arrays)
    assert np.array_equal(draw(renderer, asked, kept), whole)


def test_a_branch_alone_changes_no_bit_and_keeps_nothing(tmp_path: Path) -> None:
    renderer, asked = six("animate-anyone", tmp_path)
    kept = Kept()
    other = replace(asked, preset=replace(asked.preset, deep_branch=0))
    assert np.array_equal(draw(renderer, other, kept), draw(renderer, asked))
    assert kept.arrays is not None
    assert not any(name.startswith("seen.") for name in kept.arrays)


@pytest.mark.parametrize("branch", [0, 1, 2, 3])
def test_a_shallow_pass_over_its_own_features_gives_the_full_one(branch: int) -> None:
    torch.manual_seed(0)
    unet = random(UNet(TINY.unet)).eval()
    clip, step = torch.randn(1, 4, 3, 9, 11), torch.tensor(500)  # sizes that don't halve
    with torch.inference_mode():
        kv_cache, deep = unet.cache_kv(torch.randn(1, 2, 8)), Deep(branch)
        whole = unet(clip, step, kv_cache)
        assert torch.equal(unet(clip, step, kv_cache, deep=deep), whole)
        assert deep.features is not None
        assert torch.equal(unet(clip, step, kv_cache, deep=deep), whole)
        other = unet(clip + 1, step, kv_cache, deep=deep)
        assert not torch.equal(other, whole)
        assert not torch.equal(other, unet(clip + 1, step, kv_cache))


@pytest.mark.slow  # seconds: networks of the published size, without numbers
def test_a_shallow_pass_is_a_small_part_of_the_work_at_published_size() -> None:
    shares = []
    with torch.inference_mode(), torch.device("meta"):
        unet = UNet(ANIMATE_ANYONE_UNET)
        clip, step = torch.empty(1, 4, 4, 64, 64), torch.tensor(500)
        kv_cache = unet.cache_kv(torch.empty(1, 1, 768))
        for branch in (0, 2):
            deep, counts = Deep(branch), []
            for _ in range(2):
                with FlopCounterMode(display=False) as counter:
                    unet(clip, step, kv_cache, deep=deep)
                counts.append(counter.get_total_flops())
            shares.append(counts[1] / counts[0])
    assert 0.05 < shares[0] < 0.2 < shares[1] < 0.6


@pytest.mark.slow  # the same, four times
def test_the_cost_foretells_what_is_left_out() -> None:
    preset = Preset(
        "p", renderer="animate-anyone", width=128, height=128, steps=8, window=8,
        guidance=3.5,
    )  # fmt: skip
    usual = estimate_cost(preset, 8, AnimateAnyone(), "cpu")
    every_other = replace(preset, deep_interval=2, guidance_interval=2)
    less = estimate_cost(every_other, 8, AnimateAnyone(), "cpu")
    assert (usual.calls, less.calls) == (16, 12)
    assert usual.flops is not None
    assert less.flops is not None
    assert less.flops < 0.85 * usual.flops


def test_steps_work_out_anew_where_an_interval_or_guidance_begins() -> None:
    reuse = Reuse(interval=2, unconditional=4, begin=1, guided=3)
    assert [step for step in range(1, 9) if reuse.is_fresh(step)] == [1, 2, 3, 4, 6, 8]
    assert [step for step in range(1, 9) if reuse.predicts_both(step)] == [1, 3, 4, 8]
    assert [reuse.sources(step) for step in (1, 2, 5, 6, 7)] == [[], [1], [4], [4], [4, 6]]


def test_moving_windows_stay_as_long_as_anything_of_them_is_reused() -> None:
    cut = Reuse(interval=2, unconditional=4).cut(
        lambda step: moving_windows(30, 8, 2, step=step)
    )
    there = moving_windows(30, 8, 2, step=12)
    assert cut(12) == cut(13) == cut(14) == cut(15) == there
    assert there not in (cut(8), moving_windows(30, 8, 2, step=13))


def test_intervals_and_branches_that_can_t_be_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 1 or a multiple of deep_interval 2"):
        replace(PRESET, deep_interval=2, guidance_interval=3)
    small = UNetConfig(block_channels=(16, 16), layers_per_block=1, attention=(True, False))
    with pytest.raises(PresetError, match="branches 0 to 3"):
        Reuse.of(replace(PRESET, deep_branch=4), small)
