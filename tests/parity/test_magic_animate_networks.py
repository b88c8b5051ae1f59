"""The networks of MagicAnimate give what the original ones give, to the last digits."""

import pytest
import torch
from builders.golden_set import Case, close, golden_set, unet_config

from animcli.networks.controlnet import ControlNet
from animcli.networks.motion_module import MotionModule
from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import Residuals, UNet

SET = golden_set("magic_animate")

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture(scope="module")
def unet() -> UNet:
    return SET.load(UNet(unet_config(SET.shapes["unet"])), "unet")


@pytest.fixture(scope="module")
def appearance_encoder() -> ReferenceNet:
    config = unet_config(SET.shapes["appearance_encoder"])
    return SET.load(ReferenceNet(config), "appearance_encoder")


def residuals(case: Case) -> Residuals:
    """What a ControlNet would add, from the case's inputs."""
    skips = case.under("in_down_residual_")
    return Residuals(
        [skips[str(number)] for number in range(len(skips))],
        case.tensors["in_mid_residual"],
    )


@SET.each("in_sample", "out", "in_mid_residual")
def test_the_unet(case: Case, unet: UNet) -> None:
    t = case.tensors
    close(case, unet(t["in_sample"], t["in_timestep"], unet.cache_kv(t["in_ehs"])), "out")
    out = unet(
        t["in_sample"][:1],
        t["in_timestep"],
        unet.cache_kv(t["in_ehs"][:1]),
        residuals=residuals(case),
    )
    close(case, out, "out_with_residuals")


@SET.each("bank/**", "out_midup")
def test_looking_at_the_reference(
    case: Case, unet: UNet, appearance_encoder: ReferenceNet
) -> None:
    t = case.tensors
    (steered,) = SET.cases("in_mid_residual")
    text = t["in_ehs"]
    every = appearance_encoder(
        t["in_ref_latents"], t["in_timestep"], appearance_encoder.cache_kv(text[-1:])
    )
    upper = {path: rows for path, rows in every.items() if not path.startswith("down")}
    for path, rows in upper.items():
        expected = t[f"bank/{path}.transformer_blocks.0"]
        torch.testing.assert_close(rows, expected[-1:], rtol=0, atol=case.tolerance)
    assert len(upper) == len(case.under("bank/"))

    def both_rows(
        features: dict[str, torch.Tensor], extra: Residuals | None = None
    ) -> torch.Tensor:
        latents = t["in_sample"].expand(2, -1, -1, -1, -1)
        kv_cache = unet.cache_kv(text, features)
        return unet(latents, t["in_timestep"], kv_cache, residuals=extra)

    close(case, both_rows(upper), "out_midup")
    close(case, both_rows(every), "out_full")
    close(case, both_rows(upper, residuals(steered)), "out_midup_with_residuals")
    rounded = {path: rows.half().float() for path, rows in upper.items()}
    close(case, both_rows(rounded), "out_midup_bank_fp16")


@SET.each("in_cond_blocks_u8", "out_mid")
def test_the_controlnet(case: Case) -> None:
    t, shape = case.tensors, SET.shapes["controlnet"]
    controlnet = SET.load(
        ControlNet(unet_config(shape), tuple(shape["conditioning_embedding_out_channels"])),
        "controlnet",
    )
    pictures = t["in_cond_blocks_u8"].repeat_interleave(8, -1).repeat_interleave(8, -2)
    # The case has frames in the batch; here they are samples of one frame each.
    said = controlnet(
        t["in_sample"][:, :, None],
        t["in_timestep"],
        controlnet.cache_kv(t["in_ehs"]),
        pictures[:, :, None].float() / 255,
    )
    close(case, said.middle[:, :, 0], "out_mid")
    close(case, said.middle[:, :, 0] * 0.6, "out_mid_scale0.6")
    assert len(said.skips) == len(case.under("out_down_"))
    for number, skip in enumerate(said.skips):
        close(case, skip[:, :, 0], f"out_down_{number}")


def test_the_motion_module() -> None:
    found = [
        case for case in SET.cases("in", "out") if "in_channels" in case.entry["config"]
    ]
    assert found
    for case in found:
        config = case.entry["config"]
        module = MotionModule(
            config["in_channels"],
            heads=config["num_attention_heads"],
            max_frames=config["temporal_position_encoding_max_len"],
        )
        SET.load(module, "motion_module", case.under("weights/"))
        clip = case.tensors["in"]
        out = module(clip.transpose(1, 2).flatten(0, 1), clip.shape[2])
        close(case, out.unflatten(0, (len(clip), -1)).transpose(1, 2), "out")
