"""The large systems as they are trained: what they begin with, see, and leave behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import cv2
import torch
from torch import Tensor, nn

from animcli.errors import WeightsError
from animcli.networks.controlnet import ControlNet, PoseGuider
from animcli.networks.reference_net import ReferenceUNet, unused_parts
from animcli.networks.unet import (
    ANIMATE_ANYONE,
    CINEMO,
    MAGIC_ANIMATE,
    MOTION_WAVES,
    MotionUNet,
    UNet,
    UNetConfig,
)
from animcli.rendering.animate_anyone import describe
from animcli.rendering.cinemo import read_prompts
from animcli.rendering.loading import load_image_encoder, load_text_encoder
from animcli.rendering.magic_animate import empty_prompt
from animcli.rendering.motion_score import motion_number
from animcli.training import animate_anyone, cinemo, magic_animate
from animcli.training.large import Lesson
from animcli.training.takes import Rows, Take
from animcli.video.ssim import neighbour_likeness
from animcli.weights.inspect import read_tensors

StageName = Literal["1", "2"]
Entries = Callable[[str], Path]
"""Name of a weights entry -> its folder."""

N = TypeVar("N", bound=nn.Module)
WHOLE = "diffusion_pytorch_model.safetensors"


class System(Protocol):
    """A large system as it is trained."""

    def wants(self, start: str) -> tuple[str, ...]:
        """The weights entries that it begins with."""

    def vae(self, entries: Entries) -> Path:
        """The folder of its autoencoder."""

    def words(self, entries: Entries, device: torch.device) -> Callable[[Take], Rows]:
        """What is kept of a take besides pictures; loads what reads it."""

    def lesson(self, entries: Entries, device: torch.device) -> Lesson[Any, Any]:
        """How it is taught."""

    def open(self, entries: Entries, made: Path, start: str, stage: StageName) -> nn.Module:
        """The networks at the beginning of a stage, what it teaches chosen.

        made: the folder of the run, with what stage 1 left.
        """

    def files(self, network: nn.Module, stage: StageName) -> dict[str, dict[str, Tensor]]:
        """What a stage leaves: file of the weights entry -> its tensors."""


@dataclass(frozen=True)
class AnimateAnyone:
    """Other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = ANIMATE_ANYONE
    guider_widths: tuple[int, ...] = (16, 32, 96, 256)

    def wants(self, start: str) -> tuple[str, ...]:
        own = "sd15" if start == "sd15" else "animate-anyone"
        return (own, "sd-vae-ft-mse", "clip-image-encoder")

    def vae(self, entries: Entries) -> Path:
        return entries("sd-vae-ft-mse")

    def words(self, entries: Entries, device: torch.device) -> Callable[[Take], Rows]:
        clip = load_image_encoder(entries("clip-image-encoder"), device, torch.float32)
        return lambda take: {"context": describe(clip, take.whole)[0].cpu()}

    def lesson(self, entries: Entries, device: torch.device) -> animate_anyone.Lesson:
        return animate_anyone.Lesson()

    def open(self, entries: Entries, made: Path, start: str, stage: StageName) -> nn.Module:
        spatial = replace(self.unet, motion=None)
        networks = animate_anyone.Networks(
            UNet(spatial if stage == "1" else self.unet),
            ReferenceUNet(spatial),
            PoseGuider(self.unet.widths[0], self.guider_widths),
        )
        unused = unused_parts(spatial)
        if stage == "1" and start == "sd15":  # the guider begins anew, and says nothing
            base = entries("sd15") / "unet" / WHOLE
            fill(networks.denoising_unet, base)
            fill(networks.reference_unet, base, unused=unused)
        else:
            folder = made if stage == "2" else entries("animate-anyone")
            fill(
                networks.denoising_unet,
                folder / "denoising_unet.safetensors",
                fresh=("motion_modules",),
            )
            file = folder / "reference_unet.safetensors"
            fill(networks.reference_unet, file, unused=unused)
            fill(networks.pose_guider, folder / "pose_guider.safetensors")
        if stage == "2" and start == "published":
            motion = entries("animate-anyone") / "motion_module.safetensors"
            fill(networks.denoising_unet, motion, only="motion_modules")
        networks.choose(stage)
        return networks

    def files(self, network: nn.Module, stage: StageName) -> dict[str, dict[str, Tensor]]:
        if stage == "2":
            return {"motion_module.safetensors": motion_of(network, "denoising_unet.")}
        names = ("denoising_unet", "reference_unet", "pose_guider")
        return {
            f"{name}.safetensors": network.get_submodule(name).state_dict()
            for name in names
        }


@dataclass(frozen=True)
class MagicAnimate:
    """Other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = MAGIC_ANIMATE
    condition_widths: tuple[int, ...] = (16, 32, 96, 256)

    def wants(self, start: str) -> tuple[str, ...]:
        own = ("magic-animate",) if start == "published" else ()
        return (*own, "sd15", "sd-vae-ft-mse")

    def vae(self, entries: Entries) -> Path:
        return entries("sd-vae-ft-mse")

    def words(self, entries: Entries, device: torch.device) -> Callable[[Take], Rows]:
        return lambda take: {}

    def lesson(self, entries: Entries, device: torch.device) -> magic_animate.Lesson:
        folder = entries("sd15") / "text_encoder"
        return magic_animate.Lesson(
            empty_prompt(load_text_encoder(folder, device, torch.float32)).clone()
        )

    def open(self, entries: Entries, made: Path, start: str, stage: StageName) -> nn.Module:
        spatial = replace(self.unet, motion=None, across_frames=False)
        config = replace(self.unet, motion=None) if stage == "1" else self.unet
        networks = magic_animate.Networks(
            UNet(config),
            ReferenceUNet(spatial),
            ControlNet(spatial, self.condition_widths),
        )
        base = entries("sd15") / "unet" / WHOLE
        fill(networks.unet, base, fresh=("motion_modules",))
        if stage == "1" and start == "sd15":
            fill(networks.appearance_encoder, base, unused=unused_parts(spatial))
            above = ("up_blocks.", "conv_norm_out.", "conv_out.")
            fill(networks.controlnet, base, unused=above, fresh=("controlnet_",))
        else:
            folder = made if stage == "2" else entries("magic-animate")
            fill(networks.appearance_encoder, folder / "appearance_encoder" / WHOLE)
            fill(networks.controlnet, folder / "densepose_controlnet" / WHOLE)
        if stage == "2" and start == "published":
            motion = entries("magic-animate") / "temporal_attention.safetensors"
            fill(networks.unet, motion, only="motion_modules")
        networks.choose(stage)
        return networks

    def files(self, network: nn.Module, stage: StageName) -> dict[str, dict[str, Tensor]]:
        if stage == "2":
            return {"temporal_attention.safetensors": motion_of(network, "unet.")}
        places = {
            "appearance_encoder": "appearance_encoder",
            "densepose_controlnet": "controlnet",
        }
        return {
            f"{place}/{WHOLE}": network.get_submodule(name).state_dict()
            for place, name in places.items()
        }


@dataclass(frozen=True)
class Cinemo:
    """Other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = CINEMO
    motion_waves: int = MOTION_WAVES

    def wants(self, start: str) -> tuple[str, ...]:
        return ("cinemo",)

    def vae(self, entries: Entries) -> Path:
        return entries("cinemo") / "vae"

    def words(self, entries: Entries, device: torch.device) -> Callable[[Take], Rows]:
        folder, read = entries("cinemo"), dict[str, Tensor]()

        def say(take: Take) -> Rows:
            if take.text not in read:
                said = read_prompts(folder, [take.text], device, torch.float32)
                read[take.text] = said[0].cpu()
            grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in take.frames)
            likeness = neighbour_likeness(grey)
            number = motion_number(1.0 if likeness is None else likeness)
            return {"context": read[take.text], "motion": torch.tensor(float(number))}

        return say

    def lesson(self, entries: Entries, device: torch.device) -> cinemo.Lesson:
        said = read_prompts(entries("cinemo"), [""], device, torch.float32)
        return cinemo.Lesson(said.clone())

    def open(self, entries: Entries, made: Path, start: str, stage: StageName) -> nn.Module:
        unet = MotionUNet(self.unet, self.motion_waves)
        fill(unet, entries("cinemo") / "unet" / WHOLE)
        return unet

    def files(self, network: nn.Module, stage: StageName) -> dict[str, dict[str, Tensor]]:
        return {f"unet/{WHOLE}": network.state_dict()}


def fill(
    network: N,
    file: Path,
    *,
    unused: tuple[str, ...] = (),
    fresh: tuple[str, ...] = (),
    only: str = "",
) -> N:
    """The network with the weights in a file, strictly.

    unused: how the names begin of what the file holds and the network doesn't want.
    fresh: parts of the names of what stays as it is. only: a part of the names of the rest.

    Raises WeightsError for a file that isn't there or doesn't fit.
    """
    own = network.state_dict()
    wanted = {
        name: tuple(value.shape)
        for name, value in own.items()
        if only in name and not any(part in name for part in fresh)
    }
    if not file.is_file():
        raise WeightsError(f"{file} isn't there", "train the stage before it first")
    found = read_tensors(file, wanted, unused=unused)
    network.load_state_dict({**own, **found})
    return network


def motion_of(network: nn.Module, before: str) -> dict[str, Tensor]:
    """The motion modules of a network, without what comes before their names."""
    return {
        name.removeprefix(before): value
        for name, value in network.state_dict().items()
        if "motion_modules" in name
    }


SYSTEMS: Mapping[str, System] = {
    "animate-anyone": AnimateAnyone(),
    "magic-animate": MagicAnimate(),
    "cinemo": Cinemo(),
}
