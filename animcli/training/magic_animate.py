"""MagicAnimate as it is trained, from videos and single pictures in one loop.

Source: Xu et al., "MagicAnimate", arXiv:2311.16498, section 3.3 (the objectives of both
stages, image-video joint training). The authors published no training code; what the paper
leaves open is as in their rendering.

Shapes: b samples, f frames, h by w latent positions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from animcli.networks.controlnet import ControlNet
from animcli.networks.reference_net import ReferenceNet, unused_keys
from animcli.networks.unet import MAGIC_ANIMATE_UNET, Residuals, UNet
from animcli.networks.unet_blocks import UNetConfig
from animcli.rendering.loading import load_text_encoder
from animcli.rendering.magic_animate import encode_empty_prompt
from animcli.training.objective import Objective
from animcli.training.samples import Sample, Tensors, sample_latents
from animcli.training.systems import (
    DIFFUSERS_FILE,
    Entries,
    StageName,
    load_weights,
    motion_module_tensors,
    no_embeddings,
)


@dataclass(frozen=True, eq=False)
class MagicAnimateBatch:
    """Clips to train on; single frames and pictures are clips of one.

    latents: clean, (b, 4, f, h, w). noise: the same shape.
    timesteps: (b,), whole numbers.
    reference: latents of the references of the last r samples, (r, 4, h, w). The samples
        before have none.
    text: embedding of the empty prompt, (1, m, context channels).
    control: DensePose pictures, (b, 3, f, 8 h, 8 w) in 0..1.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    reference: Tensor
    text: Tensor
    control: Tensor


class MagicAnimateNetworks(nn.Module):
    """UNet, appearance encoder and ControlNet, and the empty prompt's embedding."""

    empty_prompt: Tensor

    def __init__(
        self,
        unet: UNet,
        appearance_encoder: ReferenceNet,
        controlnet: ControlNet,
        empty_prompt: Tensor,
    ) -> None:
        super().__init__()
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)
        self.unet = unet
        self.appearance_encoder = appearance_encoder
        self.controlnet = controlnet

    def train_only(self, stage: StageName) -> None:
        """Train the appearance encoder and the ControlNet, or the motion modules alone."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(
                "motion_modules" in name if stage == "2" else not name.startswith("unet.")
            )

    def forward(
        self, batch: MagicAnimateBatch, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        """Prediction for `noisy` (b, 4, f, h, w), same shape.

        checkpointing: recompute in the backward pass instead of keeping.
        """

        def run(part: Callable[..., Any], *given: Tensor) -> Any:
            return (
                checkpoint(part, *given, use_reentrant=False)
                if checkpointing
                else part(*given)
            )

        def look(latents: Tensor, timesteps: Tensor) -> dict[str, Tensor]:
            kv_cache = self.appearance_encoder.cache_kv(batch.text)
            features = self.appearance_encoder(latents, timesteps, kv_cache)
            # The way down doesn't look at the reference.
            return {path: x for path, x in features.items() if path[:4] != "down"}

        def steer(latents: Tensor, timesteps: Tensor, pictures: Tensor) -> Residuals:
            kv_cache = self.controlnet.cache_kv(batch.text)
            return self.controlnet(latents, timesteps, kv_cache, pictures)

        time, features = batch.timesteps, {}
        if shown := len(batch.reference):
            features = run(look, batch.reference, time[-shown:])
        return self.unet(
            noisy,
            time,
            self.unet.cache_kv(batch.text, features),
            residuals=run(steer, noisy, time, batch.control),
            checkpointing=checkpointing,
        )


@dataclass(frozen=True)
class MagicAnimateAdapter:
    """The adapter; other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = MAGIC_ANIMATE_UNET
    condition_channels: tuple[int, ...] = (16, 32, 96, 256)

    def entries(self, start: str) -> tuple[str, ...]:
        own = ("magic-animate",) if start == "published" else ()
        return (*own, "sd15", "sd-vae-ft-mse")

    def vae(self, entries: Entries, run: Path) -> Path:
        return entries("sd-vae-ft-mse")

    def embeddings(
        self, entries: Entries, device: torch.device
    ) -> Callable[[Sample], Tensors]:
        return no_embeddings

    def networks(
        self, entries: Entries, run: Path, start: str, stage: StageName
    ) -> nn.Module:
        spatial = replace(self.unet, motion=None, across_frames=False)
        config = replace(self.unet, motion=None) if stage == "1" else self.unet
        encoder = load_text_encoder(
            entries("sd15") / "text_encoder", torch.device("cpu"), torch.float32
        )
        made = MagicAnimateNetworks(
            UNet(config),
            ReferenceNet(spatial),
            ControlNet(spatial, self.condition_channels),
            encode_empty_prompt(encoder).clone(),
        )
        base = entries("sd15") / "unet" / DIFFUSERS_FILE
        load_weights(made.unet, base, fresh=("motion_modules",))
        if stage == "1" and start == "sd15":
            load_weights(made.appearance_encoder, base, unused=unused_keys(spatial))
            above = ("up_blocks.", "conv_norm_out.", "conv_out.")
            load_weights(made.controlnet, base, unused=above, fresh=("controlnet_",))
        else:
            folder = run if stage == "2" else entries("magic-animate")
            load_weights(
                made.appearance_encoder, folder / "appearance_encoder" / DIFFUSERS_FILE
            )
            load_weights(made.controlnet, folder / "densepose_controlnet" / DIFFUSERS_FILE)
        if stage == "2" and start == "published":
            motion = entries("magic-animate") / "temporal_attention.safetensors"
            load_weights(made.unet, motion, only="motion_modules")
        made.train_only(stage)
        return made

    def batch(
        self,
        network: nn.Module,
        rows: Tensors,
        conditioned: int,
        objective: Objective,
        rng: torch.Generator,
    ) -> MagicAnimateBatch:
        latents = sample_latents(rows["latents"], rng).transpose(1, 2)
        reference = sample_latents(rows["reference"], rng)
        timesteps, noise = objective.draw(latents.shape, rng)
        return MagicAnimateBatch(
            latents,
            noise.to(latents.device),
            timesteps.to(latents.device),
            reference[len(latents) - conditioned :],
            network.get_buffer("empty_prompt").to(latents),
            rows["conditions"].transpose(1, 2).float() / 255,
        )

    def predict(
        self,
        network: nn.Module,
        batch: MagicAnimateBatch,
        noisy: Tensor,
        *,
        checkpointing: bool,
    ) -> Tensor:
        predicted: Tensor = network(batch, noisy, checkpointing=checkpointing)
        return predicted

    def wrong_reference(self, batch: MagicAnimateBatch) -> MagicAnimateBatch:
        return replace(batch, reference=batch.reference.roll(1, 0))

    def clip(self, batch: MagicAnimateBatch, sample: Tensor) -> Tensor:
        return sample

    def files(self, network: nn.Module, stage: StageName) -> Mapping[str, Any]:
        if stage == "2":
            return {
                "temporal_attention.safetensors": motion_module_tensors(network, "unet.")
            }
        places = {
            "appearance_encoder": "appearance_encoder",
            "densepose_controlnet": "controlnet",
        }
        return {
            f"{place}/{DIFFUSERS_FILE}": network.get_submodule(name).state_dict()
            for place, name in places.items()
        }
