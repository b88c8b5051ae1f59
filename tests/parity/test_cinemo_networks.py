"""The network of Cinemo gives what the original one gives, to the last digits."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from builders.cinemo_set import cases, close, unet_of, weights_of
from builders.golden_set import Case
from torch import Tensor, nn

from animcli.networks.attention import (
    RelativeBias,
    RotaryCache,
    SpatialTransformer,
    TemporalSelfAttention,
    apply_rotary,
    distance_buckets,
    rotary_angles,
)
from animcli.networks.layers import ResnetBlock, fold_frames, unfold_frames
from animcli.networks.unet import MotionUNet

pytestmark = pytest.mark.usefixtures("no_gradients")


def predicted(case: Case, part: str, strength: float = 1.0) -> Tensor:
    """What the network says of one part of a case."""
    unet, given = unet_of(case.entry["file"]), case.under(f"{part}.in.")
    told = re.search(r"timestep (\d+)", case.entry["notes"])  # where no tensor says it
    step = given.get("timestep", torch.tensor(int(told[1]) if told else 0))
    sample = given["sample"]
    return unet(
        sample,
        step,
        unet.cache_clip_kv(given["encoder_hidden_states"], sample.shape[2]),
        first=given["base_content"],
        motion=unet.add_embedding(strength * given["motion_ids"]),
    )


@cases("*.in.base_content", "*.out.sample", weights=True)
def test_the_unet(case: Case) -> None:
    parts = {name[0] for name in case.tensors if name.endswith(".in.sample")}
    assert parts
    for part in parts:
        close(case, predicted(case, part), f"{part}.out.sample")
        still = f"{part}.out.sample_with_motion_ids_zero"
        if still in case.tensors:
            close(case, predicted(case, part, strength=0), still)


@cases("*.tap.*", weights=True)
def test_every_part_of_the_unet(case: Case) -> None:
    unet = unet_of(case.entry["file"])
    part = next(name for name in case.tensors if ".tap." in name)[0]
    taps = case.under(f"{part}.tap.")
    frames = 1 + case.tensors[f"{part}.in.sample"].shape[2]
    with heard_of(unet, list(taps)) as heard:
        predicted(case, part)
    for name, expected in taps.items():
        said = heard[name]
        if name.endswith("attn_temp"):  # (b f, n, c), where upstream has (b n, f, c)
            said = said.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)
        elif expected.ndim == 5:
            said = unfold_frames(said, frames)
        close(case, said, f"{part}.tap.{name}")


@contextmanager
def heard_of(unet: MotionUNet, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """What the named parts said last in the block; after a level, its change of size."""
    heard: dict[str, Tensor] = {}
    hooks = []
    for name in names:

        def keep(_module: nn.Module, _given: object, said: Tensor, at: str = name) -> None:
            heard[at] = said.clone()

        part = unet.get_submodule(name)
        changes = [*getattr(part, "upsamplers", []), *getattr(part, "downsamplers", [])]
        hooks += [each.register_forward_hook(keep) for each in (part, *changes)]
    yield heard
    for hook in hooks:
        hook.remove()


@cases("in.hidden_states", "out.hidden_states_first8frames", weights=True)
def test_attention_over_time(case: Case) -> None:
    t, config = case.tensors, case.entry["config"]
    attention = TemporalSelfAttention(config["query_dim"], config["heads"])
    attention.load_state_dict(weights_of(case))

    def over(clip: Tensor) -> Tensor:  # (positions, f, c), one sample
        frames = clip.shape[1]
        said = attention(clip.transpose(0, 1), attention.cache_rotary(frames))
        return said.transpose(0, 1)

    clip = t["in.hidden_states"]
    close(case, over(clip), "out.hidden_states")
    shorter = over(clip[:, :8])
    close(case, shorter, "out.hidden_states_first8frames")


@cases("rotary.in", "relbias.bucket_index_40x40", weights=True)
def test_what_tells_frames_apart(case: Case) -> None:
    t, config = case.tensors, case.entry["config"]
    frames = t["rotary.in"].shape[-2]
    angles = rotary_angles(frames)
    close(case, angles[1], "rotary.freqs", rtol=0, atol=1e-6)  # of frame 1: the frequencies
    bias = RelativeBias(config["heads"])
    learned = "relative_attention_bias.weight"
    bias.load_state_dict({learned: weights_of(case)[f"time_rel_pos_bias.{learned}"]})
    order = RotaryCache(bias(frames), angles.cos(), angles.sin())
    close(case, apply_rotary(t["rotary.in"], order), "rotary.out")
    assert torch.equal(order.bias, t["relbias.out"])
    table = t["relbias.bucket_index_40x40"]
    assert torch.equal(distance_buckets(len(table)), table)


@cases("in.hidden_states", "in.encoder_hidden_states", "out.sample", weights=True)
def test_the_transformer(case: Case) -> None:
    t, config = case.tensors, case.entry["config"]
    clip = t["in.hidden_states"]
    transformer = SpatialTransformer(
        config["in_channels"],
        config["cross_attention_dim"],
        heads=config["num_attention_heads"],
        groups=config["norm_num_groups"],
        over_time=True,
    )
    transformer.load_state_dict(weights_of(case))
    seen = transformer.cache_kv(t["in.encoder_hidden_states"], None, clip.shape[2])
    said = unfold_frames(transformer(fold_frames(clip), clip.shape[2], seen), clip.shape[2])
    close(case, said, "out.sample")


@cases("in.temb", "out.hidden_states", weights=True)
def test_the_residual_block_norms_all_frames_together(case: Case) -> None:
    t, config = case.tensors, case.entry["config"]
    block = ResnetBlock(
        config["in_channels"],
        config["out_channels"],
        config["temb_channels"],
        groups=config["groups"],
        across_frames=True,
    )
    block.load_state_dict(weights_of(case))
    clip, time = t["in.hidden_states"], torch.nn.functional.silu(t["in.temb"])
    frames = clip.shape[2]
    said = unfold_frames(block(fold_frames(clip), time, frames), frames)
    close(case, said, "out.hidden_states")
