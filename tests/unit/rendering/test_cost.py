"""What a render costs is told from shapes."""

from dataclasses import replace

import pytest

from animcli.presets import Preset
from animcli.rendering.animate_anyone import AnimateAnyone
from animcli.rendering.cinemo import Cinemo
from animcli.rendering.cost import Cost, estimate_cost
from animcli.rendering.magic_animate import MagicAnimate

PRESET = Preset(
    "published", renderer="animate-anyone", width=512, height=784, steps=30, guidance=3.5,
    window=24, overlap=4, dtype="float32",
)  # fmt: skip
AUTOENCODER = 83.7  # millions of parameters, by the published file


def cost(frames: int, preset: Preset = PRESET, **how: bool) -> Cost:
    return estimate_cost(preset, frames, AnimateAnyone(), "cuda", **how)


def test_the_published_render_in_numbers() -> None:
    whole = cost(240)
    assert whole.windows == 12
    assert whole.calls == 12 * 30 * 2
    # 859.5 M spatial and 453.2 M temporal parameters, by the published files' manifests.
    assert round(whole.networks / 4e6, 1) == round(859.5 + 453.2 + AUTOENCODER, 1)
    assert whole.latents == 240 * 4 * 64 * 98 * 4
    assert whole.summary().startswith(
        "240 frames in 12 windows of 24, 30 steps, 720 calls of the network; about"
    )


def test_features_are_counted_for_the_frames_of_a_window_and_for_the_reference() -> None:
    short, long = cost(8), cost(240)
    channels, positions, bytes_each = 320, 64 * 98, 4
    a_frame = (long.features - short.features) / (24 - 8)
    assert round(a_frame / (channels * positions * bytes_each), 1) == 30.1
    # What is kept of the reference: keys and values of sixteen transformers, of which those
    # of five have all positions, five a quarter of them at twice the channels, and so on.
    kept = 2 * (5 + 5 / 2 + 5 / 4 + 1 / 16)
    assert kept == 17.625
    once = (short.features - 8 * a_frame) / (channels * positions * bytes_each)
    assert abs(once - kept) < 0.1  # the rest is single vectors


def test_a_frame_is_decoded_when_the_other_networks_are_gone() -> None:
    whole = cost(240)
    # Three tensors of 256 channels at the full size meet in the last level of the decoder.
    assert whole.decoding == 4 * (83_653_863 + 3 * 256 * 512 * 784)
    assert whole.memory == whole.networks + whole.features > whole.decoding


def test_fourteen_frames_decoded_together_can_be_the_most_of_all() -> None:
    preset = Preset("c", renderer="cinemo", width=512, height=320, window=15, overlap=5)
    preset = replace(preset, dtype="float32")
    cfg_batch = estimate_cost(preset, 16, Cinemo(), "cuda")
    assert cfg_batch.decoding == 4 * (97_742_847 + 14 * 1024 * 512 * 320)
    assert cfg_batch.memory == cfg_batch.decoding
    assert estimate_cost(preset, 160, Cinemo(), "cuda").memory == cfg_batch.memory
    one_by_one = estimate_cost(replace(preset, decoder="frame"), 16, Cinemo(), "cuda")
    assert one_by_one.memory == one_by_one.networks + one_by_one.features
    assert one_by_one.decoding < cfg_batch.decoding / 8


@pytest.mark.parametrize(
    ("renderer", "measured", "frames"),
    [(AnimateAnyone(), 6.58e9, 12), (MagicAnimate(), 11.42e9, 8)],
)
def test_what_was_resident_at_full_size_is_foreseen(
    renderer: AnimateAnyone | MagicAnimate, measured: float, frames: int
) -> None:
    name = "animate-anyone" if isinstance(renderer, AnimateAnyone) else "magic-animate"
    preset = replace(PRESET, renderer=name, width=256, height=256, steps=2, window=16)
    foreseen = estimate_cost(preset, frames, renderer, "cpu").memory
    # What a process on one core of a CPU had at most; docs/measurements.md has the table.
    # Allocators keep some of what was freed, so it is a little more than is alive.
    assert 0.9 * measured < foreseen < measured


def test_what_was_resident_while_fourteen_frames_were_decoded_is_foreseen() -> None:
    preset = Preset("c", renderer="cinemo", width=512, height=320, window=15, overlap=5)
    foreseen = estimate_cost(preset, 16, Cinemo(), "cpu").memory
    assert 13.5e9 < foreseen < 1.05 * 13.5e9  # sampled every half second


def test_memory_on_the_device_does_not_grow_with_the_clip() -> None:
    assert cost(48).memory == cost(4800).memory


def test_half_the_precision_is_half_the_memory() -> None:
    half, full = cost(48, replace(PRESET, dtype="bfloat16")), cost(48)
    assert (half.networks * 2, half.features * 2) == (full.networks, full.features)
    assert half.latents == full.latents


def test_operations_are_counted_from_shapes_on_a_cpu_only() -> None:
    short = replace(PRESET, steps=2)
    on_cpu = estimate_cost(short, 24, AnimateAnyone(), "cpu")
    # Measured once with torch's counter: 91.7 TFLOP a guided window at 512x784, and a frame
    # decoded takes 3.88.
    assert on_cpu.flops is not None
    assert abs(on_cpu.flops / 1e12 - (2 * 91.7 + 24 * 3.88)) < 1
    assert estimate_cost(short, 24, AnimateAnyone(), "cuda").flops is None
    half = estimate_cost(
        replace(short, guidance_stop=0.5), 24, AnimateAnyone(), "cpu"
    ).flops
    assert half is not None
    assert 40e12 < on_cpu.flops - half < 46e12  # the half that looks at nothing, once


def test_auto_is_half_the_memory_on_a_gpu_and_full_precision_on_a_cpu() -> None:
    auto, half = replace(PRESET, dtype="auto"), replace(PRESET, dtype="float16")
    assert cost(48, auto) == cost(48, half)
    on_cpu = [estimate_cost(each, 48, AnimateAnyone(), "cpu") for each in (auto, PRESET)]
    assert on_cpu[0] == on_cpu[1]
    assert cost(48, auto).memory < 6.5e9  # fits an 8 GB card; 11.5 GB in float32


def test_calls_are_counted_where_guidance_works() -> None:
    assert cost(240, replace(PRESET, guidance=1.0)).calls == 12 * 30
    assert cost(240, replace(PRESET, guidance_stop=0.8)).calls == 12 * 30 + 12 * 24


def test_frames_that_are_filled_in_cost_no_calls() -> None:
    every_other = cost(239, replace(PRESET, keyframe_interval=2))
    assert every_other.calls == cost(120).calls
    assert every_other.latents == cost(120).latents


def test_offloading_leaves_the_network_that_denoises_and_one_visitor() -> None:
    magic = replace(PRESET, renderer="magic-animate", window=16)
    all_there, offloaded = (
        estimate_cost(magic, 48, MagicAnimate(), "cuda", offload=offload)
        for offload in (False, True)
    )
    # ControlNet and the autoencoder go; the appearance encoder is larger.
    gone = (all_there.networks - offloaded.networks) / 4e6
    assert round(gone) == round(361.3 + AUTOENCODER)
    assert offloaded.features == all_there.features


def test_taking_a_motion_walks_back_first_without_guidance() -> None:
    preset = Preset(
        "c", renderer="cinemo", steps=10, guidance=7.5, window=15, overlap=3, prompt="waves"
    )
    forth = estimate_cost(preset, 16, Cinemo(), "cuda")
    both_ways = estimate_cost(preset, 16, Cinemo(), "cuda", inverted=True)
    assert (forth.runs, forth.calls) == (1, 20)
    assert (both_ways.runs, both_ways.calls) == (2, 30)
