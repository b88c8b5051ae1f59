"""What a render costs is told from shapes."""

from dataclasses import replace

from animcli.networks.unet import ANIMATE_ANYONE
from animcli.presets import Preset
from animcli.rendering.estimate import estimate

PRESET = Preset(
    "published", renderer="animate-anyone", width=512, height=784, steps=30, guidance=3.5,
    window=24, overlap=4,
)  # fmt: skip


def test_the_published_render_in_numbers() -> None:
    cost = estimate(PRESET, 240, ANIMATE_ANYONE)
    assert cost.windows == 12
    assert cost.calls == 12 * 30 * 2
    # 859.5 M spatial and 453.2 M temporal parameters, by the published files' manifests.
    assert round(cost.weights / 4e6, 1) == 1312.7
    assert cost.latents == 240 * 4 * 64 * 98 * 4


def test_memory_on_the_device_does_not_grow_with_the_clip() -> None:
    short, long = (estimate(PRESET, frames, ANIMATE_ANYONE) for frames in (48, 4800))
    assert short.features == long.features
    assert short.weights == long.weights


def test_half_the_precision_is_half_the_memory() -> None:
    half = estimate(replace(PRESET, dtype="bfloat16"), 48, ANIMATE_ANYONE)
    full = estimate(PRESET, 48, ANIMATE_ANYONE)
    assert (half.weights * 2, half.features * 2) == (full.weights, full.features)
    assert half.latents == full.latents


def test_calls_are_counted_where_guidance_works() -> None:
    never = estimate(replace(PRESET, guidance=1.0), 240, ANIMATE_ANYONE)
    mostly = estimate(replace(PRESET, guidance_stop=0.8), 240, ANIMATE_ANYONE)
    assert never.calls == 12 * 30
    assert mostly.calls == 12 * 30 + 12 * 24
