"""On a card the networks give the original ones' numbers, within what its dtype rounds.

The cases are those of `tests/parity`, which holds them in float32 on a CPU to the last
digits. Each runs as well on a CPU, as `rehearsal`, which is among the usual tests.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from builders.cinemo_set import cases, unet_of
from builders.golden_set import Case, golden_set, unet_config
from torch import Tensor, nn

from animcli.networks.reference_net import ReferenceNet
from animcli.networks.unet import UNet

ANYONE, MAGIC = golden_set("animate_anyone"), golden_set("magic_animate")

BOUNDS = {"float32": 5e-3, "float16": 2e-2, "bfloat16": 8e-2}
"""Norm of the difference, as a share of the golden's norm. A card multiplies float32 in
TF32, which has the 11 bits of float16; bfloat16 has 8."""


@dataclass(frozen=True)
class Place:
    """A device, and the dtypes that it works in."""

    device: torch.device
    dtypes: tuple[str, ...]

    def put(self, network: nn.Module, dtype: str) -> nn.Module:
        """A copy of a network there."""
        return deepcopy(network).to(self.device, getattr(torch, dtype)).eval()

    def given(self, case: Case, dtype: str) -> dict[str, Tensor]:
        """The tensors of a case there; numbers of steps stay whole."""
        kind = getattr(torch, dtype)
        return {
            name: x.to(self.device, kind) if x.is_floating_point() else x.to(self.device)
            for name, x in case.tensors.items()
        }

    def check(self, run: Callable[[str], tuple[Tensor, Tensor]]) -> None:
        """Hold (found, golden) of each dtype to its bound."""
        for dtype in self.dtypes:
            with torch.inference_mode():
                found, golden = run(dtype)
            assert found.device.type == self.device.type
            apart = (found.float().cpu() - golden).norm() / golden.norm()
            assert apart <= BOUNDS[dtype], (dtype, float(apart))


@pytest.fixture(
    scope="module",
    params=[pytest.param("card", marks=pytest.mark.gpu), pytest.param("rehearsal")],
)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "rehearsal":
        return Place(torch.device("cpu"), ("float32", "bfloat16"))
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device, or torch is a build without CUDA")
    torch.set_float32_matmul_precision("high")  # as renders do
    return Place(torch.device("cuda"), tuple(BOUNDS))


@ANYONE.each("in_ref_latents", "out_cfg", "out_nocfg")
def test_animate_anyone_with_a_reference(case: Case, place: Place) -> None:
    unet = ANYONE.load(UNet(unet_config(ANYONE.shapes["unet3d"])), "denoising_unet")
    looks = ANYONE.load(
        ReferenceNet(unet_config(ANYONE.shapes["unet2d"])), "reference_unet"
    )

    def run(dtype: str) -> tuple[Tensor, Tensor]:
        t = place.given(case, dtype)
        there, seen = place.put(unet, dtype), place.put(looks, dtype)
        token = t["in_clip_embeds"]
        clean = torch.zeros((), dtype=torch.long, device=place.device)
        features = seen(t["in_ref_latents"], clean, seen.cache_kv(token))
        both = there.cache_kv(torch.cat([torch.zeros_like(token), token]), features)
        latents = t["in_sample"].expand(2, -1, -1, -1, -1)
        said = there(latents, t["in_timestep"], both, pose=t["in_pose_fea"])
        return said, case.tensors["out_cfg"]

    place.check(run)


@MAGIC.each("bank/**", "out_midup")
def test_magic_animate_with_a_reference(case: Case, place: Place) -> None:
    unet = MAGIC.load(UNet(unet_config(MAGIC.shapes["unet"])), "unet")
    config = unet_config(MAGIC.shapes["appearance_encoder"])
    looks = MAGIC.load(ReferenceNet(config), "appearance_encoder")

    def run(dtype: str) -> tuple[Tensor, Tensor]:
        t = place.given(case, dtype)
        there, seen = place.put(unet, dtype), place.put(looks, dtype)
        text, step = t["in_ehs"], t["in_timestep"]
        every = seen(t["in_ref_latents"], step, seen.cache_kv(text[-1:]))
        upper = {path: x for path, x in every.items() if not path.startswith("down")}
        latents = t["in_sample"].expand(2, -1, -1, -1, -1)
        return there(latents, step, there.cache_kv(text, upper)), case.tensors["out_midup"]

    place.check(run)


@cases("*.in.base_content", "*.out.sample", weights=True)
def test_cinemo_with_its_first_frame(case: Case, place: Place) -> None:
    part = min(name[0] for name in case.tensors if name.endswith(".in.sample"))
    told = re.search(r"timestep (\d+)", case.entry["notes"])  # where no tensor says it
    usual = torch.tensor(int(told[1]) if told else 0)

    def run(dtype: str) -> tuple[Tensor, Tensor]:
        t, there = place.given(case, dtype), place.put(unet_of(case.entry["file"]), dtype)
        sample, motion = t[f"{part}.in.sample"], t[f"{part}.in.motion_ids"]
        words = t[f"{part}.in.encoder_hidden_states"]
        said = there(
            sample,
            t.get(f"{part}.in.timestep", usual.to(place.device)),
            there.cache_clip_kv(words, sample.shape[2]),
            first=t[f"{part}.in.base_content"],
            motion=there.add_embedding(motion),
        )
        return said, case.tensors[f"{part}.out.sample"]

    place.check(run)
