"""Cinemo as it is trained: the noise in the residuals of a clip to its first frame.

Source: Ma et al., "Cinemo", arXiv:2407.15642, section 3.1. The authors published no
training code; what the paper leaves open (the schedule of noise) is as in their sampling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import torch
from torch import Tensor, nn

from animcli.networks.unet import CINEMO_UNET, MOTION_EMBED_DIM, MotionUNet
from animcli.networks.unet_blocks import UNetConfig
from animcli.rendering.cinemo import encode_prompts
from animcli.training.objective import Objective
from animcli.training.samples import Sample, Tensors, sample_latents
from animcli.training.systems import DIFFUSERS_FILE, Entries, StageName, load_weights
from animcli.video.ssim import motion_bucket, neighbour_ssim

DROP_TEXT: Final = 0.5
"""Share of the clips that are shown without their text, so that guidance works."""

PUBLISHED: Final = Objective(
    prediction="epsilon",
    beta_schedule="linear",
    beta_start=0.0001,
    beta_end=0.02,
    zero_snr=False,
    snr_weights="none",
    noise_offset=0,
)


@dataclass(frozen=True, eq=False)
class CinemoBatch:
    """Clips to train on, and how much noise each gets.

    clips: clean latents, (b, c, 1 + f, h, w); the first frame is shown as it is.
    text: embeddings of the prompts, (b, m, context channels).
    motion: motion bucket of each clip, (b,).
    noise: (b, c, f, h, w).
    timesteps: (b,), whole numbers.
    """

    clips: Tensor
    text: Tensor
    motion: Tensor
    noise: Tensor
    timesteps: Tensor

    @property
    def first(self) -> Tensor:
        """The first frame, (b, c, 1, h, w)."""
        return self.clips[:, :, :1]

    @property
    def latents(self) -> Tensor:
        """Residuals of the others to it, (b, c, f, h, w): what noise is added to."""
        return self.clips[:, :, 1:] - self.first


class CinemoNetworks(nn.Module):
    """The UNet, and the empty prompt's embedding."""

    empty_prompt: Tensor

    def __init__(self, unet: MotionUNet, empty_prompt: Tensor) -> None:
        super().__init__()
        self.unet = unet
        self.register_buffer("empty_prompt", empty_prompt, persistent=False)

    def forward(self, batch: CinemoBatch, noisy: Tensor, *, checkpointing: bool) -> Tensor:
        """Prediction for noisy residuals (b, c, f, h, w), same shape.

        checkpointing: recompute in the backward pass instead of keeping.
        """
        return self.unet(
            noisy,
            batch.timesteps,
            self.unet.cache_clip_kv(batch.text, noisy.shape[2]),
            first=batch.first,
            motion=self.unet.add_embedding(batch.motion),
            checkpointing=checkpointing,
        )


@dataclass(frozen=True)
class CinemoAdapter:
    """The adapter; other shapes than the published ones are for networks of one's own."""

    unet: UNetConfig = CINEMO_UNET
    motion_embed_dim: int = MOTION_EMBED_DIM

    def entries(self, start: str) -> tuple[str, ...]:
        return ("cinemo",)

    def vae(self, entries: Entries, run: Path) -> Path:
        return entries("cinemo") / "vae"

    def embeddings(
        self, entries: Entries, device: torch.device
    ) -> Callable[[Sample], Tensors]:
        folder, encoded = entries("cinemo"), dict[str, Tensor]()

        def embed(sample: Sample) -> Tensors:
            if sample.text not in encoded:
                said = encode_prompts(folder, [sample.text], device, torch.float32)
                encoded[sample.text] = said[0].cpu()
            grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in sample.frames)
            ssim = neighbour_ssim(grey)
            bucket = motion_bucket(1.0 if ssim is None else ssim)
            return {"context": encoded[sample.text], "motion": torch.tensor(float(bucket))}

        return embed

    def networks(
        self, entries: Entries, run: Path, start: str, stage: StageName
    ) -> nn.Module:
        unet = MotionUNet(self.unet, self.motion_embed_dim)
        load_weights(unet, entries("cinemo") / "unet" / DIFFUSERS_FILE)
        cpu = torch.device("cpu")
        return CinemoNetworks(
            unet, encode_prompts(entries("cinemo"), [""], cpu, torch.float32).clone()
        )

    def batch(
        self,
        network: nn.Module,
        rows: Tensors,
        conditioned: int,
        objective: Objective,
        rng: torch.Generator,
    ) -> CinemoBatch:
        clips = sample_latents(rows["latents"], rng).transpose(1, 2)
        timesteps, noise = objective.draw(clips[:, :, 1:].shape, rng)
        text = rows["context"]
        dropped = len(clips) - conditioned
        nothing = network.get_buffer("empty_prompt").to(text).expand(dropped, -1, -1)
        return CinemoBatch(
            clips,
            torch.cat([nothing, text[dropped:]]),
            rows["motion"],
            noise.to(clips.device),
            timesteps.to(clips.device),
        )

    def predict(
        self, network: nn.Module, batch: CinemoBatch, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        predicted: Tensor = network(batch, noisy, checkpointing=checkpointing)
        return predicted

    def wrong_reference(self, batch: CinemoBatch) -> None:
        """Nothing: its first frame is part of the clip."""

    def clip(self, batch: CinemoBatch, sample: Tensor) -> Tensor:
        """Frames from residuals: the first, and after it all that differ from it."""
        return torch.cat([batch.first, batch.first + sample], dim=2)

    def files(self, network: nn.Module, stage: StageName) -> Mapping[str, Any]:
        return {f"unet/{DIFFUSERS_FILE}": network.get_submodule("unet").state_dict()}
