"""The networks of Animate Anyone give what the original ones give, to the last digits."""

import pytest
import torch
from builders.golden_set import Case, close, golden_set, unet_config
from torch import Tensor

from animcli.networks.controlnet import PoseGuider
from animcli.networks.motion_module import MotionModule
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet

SET = golden_set("animate_anyone")

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture(scope="module")
def unet() -> UNet:
    return SET.load(UNet(unet_config(SET.shapes["unet3d"])), "denoising_unet")


@pytest.fixture(scope="module")
def reference_unet() -> ReferenceNet:
    config = unet_config(SET.shapes["unet2d"])
    return SET.load(ReferenceNet(config), "reference_unet")


@SET.each("in_pose", "out")
def test_the_pose_guider(case: Case) -> None:
    shape = SET.shapes["pose_guider"]
    guider = PoseGuider(
        shape["conditioning_embedding_channels"], tuple(shape["block_out_channels"])
    )
    SET.load(guider, "pose_guider")
    close(case, guider(case.tensors["in_pose"]), "out")


@SET.each("in", "out", "out_first_frame_only")
def test_the_motion_module(case: Case) -> None:
    config = case.entry["config"]
    module = MotionModule(
        config["in_channels"],
        heads=config["num_attention_heads"],
        max_frames=config["temporal_position_encoding_max_len"],
    )
    SET.load(module, "motion_module", case.under("weights/"))
    clip = case.tensors["in"]
    close(case, over_clip(module, clip), "out")
    close(case, over_clip(module, clip[:, :, :1]), "out_first_frame_only")


def over_clip(module: MotionModule, clip: Tensor) -> Tensor:
    """The module on a clip (b, c, f, h, w), folded and unfolded."""
    folded = clip.transpose(1, 2).flatten(0, 1)
    out = module(folded, clip.shape[2])
    return out.unflatten(0, (len(clip), -1)).transpose(1, 2)


@SET.each("in_sample", "in_ehs", "in_pose_fea", "out")
def test_the_unet(case: Case, unet: UNet) -> None:
    t = case.tensors
    latents, step, kv_cache = t["in_sample"], t["in_timestep"], unet.cache_kv(t["in_ehs"])
    close(case, unet(latents, step, kv_cache, pose=t["in_pose_fea"]), "out")
    close(case, unet(latents, step, kv_cache), "out_no_pose")
    batch = unet(latents, t["in_timestep_batch"], kv_cache, pose=t["in_pose_fea"])
    close(case, batch, "out_timestep_batch")
    five = unet.cache_kv(t["in_ehs_5tokens"])
    close(case, unet(latents, step, five, pose=t["in_pose_fea"]), "out_ehs_5tokens")


@SET.each("odd_in_sample", "odd_out")
def test_the_unet_at_sizes_that_are_no_multiple_of_eight(case: Case, unet: UNet) -> None:
    t = case.tensors
    kv_cache = unet.cache_kv(t["in_ehs"][:1])
    out = unet(t["odd_in_sample"], t["in_timestep"], kv_cache, pose=t["odd_in_pose_fea"])
    close(case, out, "odd_out")


@SET.each("in_ref_latents", "bank_cfg/**")
def test_what_the_reference_network_shows(case: Case, reference_unet: ReferenceNet) -> None:
    token = case.tensors["in_clip_embeds"]
    kv_cache = reference_unet.cache_kv(torch.cat([torch.zeros_like(token), token]))
    reference = case.tensors["in_ref_latents"].expand(2, -1, -1, -1)
    features = reference_unet(reference, torch.tensor(0), kv_cache)
    shown = {
        f"bank_cfg/{path}.transformer_blocks.0": rows for path, rows in features.items()
    }
    assert shown.keys() == {name for name in case.tensors if name.startswith("bank_cfg/")}
    for name, rows in shown.items():
        close(case, rows, name)


@SET.each("in_ref_latents", "out_cfg", "out_nocfg")
@pytest.mark.parametrize("rounded", [False, True], ids=["exact", "as-float16"])
def test_looking_at_a_reference(
    case: Case, rounded: bool, unet: UNet, reference_unet: ReferenceNet
) -> None:
    t, ending = case.tensors, "_bank_fp16" if rounded else ""
    token, zeros = t["in_clip_embeds"], torch.zeros_like(t["in_clip_embeds"])
    features = reference_unet(
        t["in_ref_latents"], torch.tensor(0), reference_unet.cache_kv(token)
    )
    if rounded:  # what upstream does with the features on their way
        features = {path: rows.half().float() for path, rows in features.items()}

    alone = unet.cache_kv(token, features)
    out = unet(t["in_sample"], t["in_timestep"], alone, pose=t["in_pose_fea"])
    close(case, out, f"out_nocfg{ending}")

    both = unet.cache_kv(torch.cat([zeros, token]), features)
    doubled = t["in_sample"].expand(2, -1, -1, -1, -1)
    out = unet(doubled, t["in_timestep"], both, pose=t["in_pose_fea"])
    close(case, out, f"out_cfg{ending}")

    # Guidance in two calls instead of one is the same thing in less memory.
    plain = unet(
        t["in_sample"], t["in_timestep"], unet.cache_kv(zeros), pose=t["in_pose_fea"]
    )
    torch.testing.assert_close(plain, out[:1], rtol=0, atol=case.tolerance)
