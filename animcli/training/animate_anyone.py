"""Animate Anyone as it is trained: latents to denoise, led by keypoints and a reference.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.3, and the open
reproduction of Moore Threads. Differs: the reference is dropped for single samples and not
for whole batches; where it is, the context token is zeros, as when rendering, and not the
CLIP embedding of a black picture. Evaluation looks at the model and can't disturb training.

`TINY` is the same system small: trained from nothing, with limb maps of the target and of
the reference instead of drawn skeletons, and a learned token instead of CLIP's.

Shapes: b samples, f frames, h by w latent positions.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from animcli.networks.attention import SpatialTransformer
from animcli.networks.layers import ResnetBlock
from animcli.networks.limb_maps import limb_map
from animcli.networks.reference_net import ReferenceNet, unused_keys
from animcli.networks.unet import UNet
from animcli.networks.unet_blocks import MotionConfig, UNetConfig
from animcli.rendering.animate_anyone import CONFIG_FILE, AnimateAnyoneConfig, encode_image
from animcli.rendering.loading import load_image_encoder
from animcli.rendering.schedulers import NoiseSchedule
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

TINY: Final = AnimateAnyoneConfig(
    UNetConfig(
        in_channels=16,
        block_channels=(32, 96, 96),
        layers_per_block=1,
        attention=(True, True, True),
        heads=(2, 3, 3),
        groups=4,
        context_dim=64,
        motion=MotionConfig(max_frames=24, heads=2, groups=4),
    ),
    guider_channels=(64,),
    conditioning="limb-map",
    context="learned",
    schedule=NoiseSchedule("scaled_linear", "sample", zero_snr=True, spacing="trailing"),
)
"""8.7 million parameters, for 256 by 256 pixels. Attention at the finest level decides:
without it the network never learns to copy from the reference. Groups have 8 channels and
more: a norm over two of them forgets how bright a picture is."""


@dataclass(frozen=True, eq=False)
class AnimateAnyoneBatch:
    """Clips to train on; single frames are clips of one.

    latents: clean, (b, c, f, h, w). noise: the same shape.
    timesteps: (b,), whole numbers.
    reference: latents of the references of the last r samples, (r, c, h, w). The samples
        before have none.
    token: CLIP embedding of the reference, (b, 1, context channels); zeros for none. With
        a learned token (b, 1, 1): 1 with a reference, 0 without.
    pose: drawn skeletons, (b, 3, f, 8 h, 8 w) in 0..1, or limb maps (b, k, f, h, w).
    reference_pose: limb maps of the references (r, k, h, w), or None.
    emphasis: weights of positions in the loss (b, 1, f, h, w), or None.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    reference: Tensor
    token: Tensor
    pose: Tensor
    _: KW_ONLY
    reference_pose: Tensor | None = None
    emphasis: Tensor | None = None


class AnimateAnyoneNetworks(nn.Module):
    """UNet, ReferenceNet and PoseGuider, and the learned token where there is one."""

    def __init__(self, config: AnimateAnyoneConfig) -> None:
        super().__init__()
        spatial = replace(config.unet, motion=None)
        self.denoising_unet = UNet(config.unet)
        self.reference_unet = ReferenceNet(spatial)
        self.pose_guider = config.guider()
        self.image_token = (
            nn.Parameter(0.02 * torch.randn(1, 1, config.unet.context_dim))
            if config.context == "learned"
            else None
        )

    def start_anew(self) -> None:
        """Random weights from which reference attention finds its match within hours.

        Residual branches begin with zeros and convolutions keep the variance (as in
        Dhariwal and Nichol, arXiv:2105.05233), the ReferenceNet begins as a copy of the
        UNet and keys as copies of the queries, and the PoseGuider doesn't begin with zeros.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.get_parameter("bias"))
        for module in self.denoising_unet.modules():
            if isinstance(module, ResnetBlock):
                nn.init.zeros_(module.conv2.weight)
            elif isinstance(module, SpatialTransformer):
                nn.init.zeros_(module.proj_out.weight)
                attention = module.block.attn1
                attention.to_k.load_state_dict(attention.to_q.state_dict())
        nn.init.zeros_(self.denoising_unet.conv_out.weight)
        ours, reference = self.denoising_unet.state_dict(), self.reference_unet.state_dict()
        self.reference_unet.load_state_dict({name: ours[name] for name in reference})

    def forward(
        self, batch: AnimateAnyoneBatch, noisy: Tensor, *, checkpointing: bool
    ) -> Tensor:
        """Prediction for `noisy` (b, c, f, h, w), same shape.

        checkpointing: recompute in the backward pass instead of keeping.
        """

        def run(part: Callable[..., Any], *given: Tensor | None) -> Any:
            return (
                checkpoint(part, *given, use_reentrant=False)
                if checkpointing
                else part(*given)
            )

        def look(latents: Tensor, token: Tensor, pose: Tensor | None) -> dict[str, Tensor]:
            clean = torch.zeros((), dtype=torch.long, device=latents.device)
            said = None
            if pose is not None:
                said = self.pose_guider(pose[:, :, None])[:, :, 0]
            return self.reference_unet(
                latents, clean, self.reference_unet.cache_kv(token), said
            )

        token, features = batch.token, dict[str, Tensor]()
        if self.image_token is not None:
            token = token * self.image_token
        if shown := len(batch.reference):
            features = run(look, batch.reference, token[-shown:], batch.reference_pose)
        return self.denoising_unet(
            noisy,
            batch.timesteps,
            self.denoising_unet.cache_kv(token, features),
            pose=run(self.pose_guider, batch.pose),
            checkpointing=checkpointing,
        )


@dataclass(frozen=True)
class AnimateAnyoneAdapter:
    """The adapter; other shapes than the published ones are for networks of one's own.

    figure_weight: weight of the figure's positions in the loss, where masks are known.
    jitter: deviation of keypoints in training, in pictures: found ones are off.
    """

    config: AnimateAnyoneConfig = field(default_factory=AnimateAnyoneConfig)
    figure_weight: float = 3.0
    jitter: float = 0.003

    @property
    def _is_published(self) -> bool:
        return self.config.context == "clip"

    def entries(self, start: str) -> tuple[str, ...]:
        if not self._is_published:
            return () if start == "nothing" else (start,)
        own = "sd15" if start == "sd15" else "animate-anyone"
        return (own, "sd-vae-ft-mse", "clip-image-encoder")

    def vae(self, entries: Entries, run: Path) -> Path:
        return entries("sd-vae-ft-mse") if self._is_published else run / "vae"

    def embeddings(
        self, entries: Entries, device: torch.device
    ) -> Callable[[Sample], Tensors]:
        if not self._is_published:
            return no_embeddings
        clip = load_image_encoder(entries("clip-image-encoder"), device, torch.float32)
        return lambda sample: {"context": encode_image(clip, sample.whole)[0].cpu()}

    def networks(
        self, entries: Entries, run: Path, start: str, stage: StageName
    ) -> nn.Module:
        spatial = replace(self.config.unet, motion=None)
        config = self.config if stage == "2" else replace(self.config, unet=spatial)
        made = AnimateAnyoneNetworks(config)
        unused = unused_keys(spatial)
        if stage == "1" and start == "nothing":
            made.start_anew()
        elif stage == "1" and start == "sd15":  # the guider begins anew, with zeros
            base = entries("sd15") / "unet" / DIFFUSERS_FILE
            load_weights(made.denoising_unet, base)
            load_weights(made.reference_unet, base, unused=unused)
        else:
            folder = run if stage == "2" else entries(start_entry(start))
            load_weights(
                made.denoising_unet,
                folder / "denoising_unet.safetensors",
                fresh=("motion_modules",),
            )
            file = folder / "reference_unet.safetensors"
            load_weights(made.reference_unet, file, unused=unused)
            load_weights(made.pose_guider, folder / "pose_guider.safetensors")
            if made.image_token is not None:
                load_weights(made, folder / "image_token.safetensors", only="image_token")
        if stage == "2" and start == "published":
            motion = entries("animate-anyone") / "motion_module.safetensors"
            load_weights(made.denoising_unet, motion, only="motion_modules")
        # The authors leave the ReferenceNet's last level as it is.
        frozen = f"reference_unet.up_blocks.{len(spatial.block_channels) - 1}."
        for name, parameter in made.named_parameters():
            in_stage_1 = start == "nothing" or not name.startswith(frozen)
            parameter.requires_grad_(
                "motion_modules" in name if stage == "2" else in_stage_1
            )
        return made

    def batch(
        self,
        network: nn.Module,
        rows: Tensors,
        conditioned: int,
        objective: Objective,
        rng: torch.Generator,
    ) -> AnimateAnyoneBatch:
        latents = sample_latents(rows["latents"], rng).transpose(1, 2)
        reference = sample_latents(rows["reference"], rng)
        timesteps, noise = objective.draw(latents.shape, rng)
        dropped = len(latents) - conditioned
        token = rows.get("context")
        if token is None:
            token = torch.ones(len(latents), 1, 1, device=latents.device)
        token = torch.cat([torch.zeros_like(token[:dropped]), token[dropped:]])
        reference_pose = emphasis = None
        if self.config.conditioning == "limb-map":
            size = (latents.shape[-2], latents.shape[-1])
            pose = limb_maps(self._moved(rows["keypoints"], network, rng), size)
            pose = pose.transpose(1, 2)
            there = self._moved(rows["reference_keypoints"], network, rng)
            reference_pose = limb_maps(there[:, None], size)[:, 0][dropped:]
        else:
            pose = rows["conditions"].transpose(1, 2).float() / 255
        if "masks" in rows:
            share = rows["masks"].transpose(1, 2).float() / 255
            emphasis = 1 + (self.figure_weight - 1) * share
        return AnimateAnyoneBatch(
            latents,
            noise.to(latents.device),
            timesteps.to(latents.device),
            reference[dropped:],
            token,
            pose,
            reference_pose=reference_pose,
            emphasis=emphasis,
        )

    def predict(
        self,
        network: nn.Module,
        batch: AnimateAnyoneBatch,
        noisy: Tensor,
        *,
        checkpointing: bool,
    ) -> Tensor:
        predicted: Tensor = network(batch, noisy, checkpointing=checkpointing)
        return predicted

    def wrong_reference(self, batch: AnimateAnyoneBatch) -> AnimateAnyoneBatch:
        pose = batch.reference_pose
        return replace(
            batch,
            reference=batch.reference.roll(1, 0),
            token=batch.token.roll(1, 0),
            reference_pose=None if pose is None else pose.roll(1, 0),
        )

    def clip(self, batch: AnimateAnyoneBatch, sample: Tensor) -> Tensor:
        return sample

    def files(self, network: nn.Module, stage: StageName) -> Mapping[str, Any]:
        made: dict[str, Any] = {}
        if stage == "2":
            made["motion_module.safetensors"] = motion_module_tensors(
                network, "denoising_unet."
            )
        else:
            for name in ("denoising_unet", "reference_unet", "pose_guider"):
                made[f"{name}.safetensors"] = network.get_submodule(name).state_dict()
        if not self._is_published:
            unet = self.config.unet
            config = replace(
                self.config, unet=unet if stage == "2" else replace(unet, motion=None)
            )
            made[CONFIG_FILE] = asdict(config)
            if stage == "1":
                token = network.get_parameter("image_token")
                made["image_token.safetensors"] = {"image_token": token}
        return made

    def _moved(self, keypoints: Tensor, network: nn.Module, rng: torch.Generator) -> Tensor:
        """Keypoints (..., 18, 3) a little off while training, as they are in evaluation."""
        if not (self.jitter and network.training and torch.is_grad_enabled()):
            return keypoints
        shape = (*keypoints.shape[:-1], 2)
        off = self.jitter * torch.randn(shape, generator=rng).to(keypoints)
        return torch.cat([keypoints[..., :2] + off, keypoints[..., 2:]], dim=-1)


def start_entry(start: str) -> str:
    """Weights entry that a start is called by."""
    return "animate-anyone" if start == "published" else start


def limb_maps(keypoints: Tensor, size: tuple[int, int]) -> Tensor:
    """Limb maps (b, f, `CHANNELS`, h, w) of keypoints (b, f, 18, 3) at `size` (h, w)."""
    flat = keypoints.flatten(0, 1)
    with torch.autocast(keypoints.device.type, enabled=False):
        maps = limb_map(flat[..., :2], flat[..., 2] > 0, size)
    return maps.unflatten(0, keypoints.shape[:2])
