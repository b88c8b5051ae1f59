"""Animate Anyone: a character follows a skeleton.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, in the open reproduction of Moore
Threads, whose weights are public. Differs: predictions of overlapping windows are averaged
without guidance as well; the reference is shown to the conditional half only, which is all
that ever looked at it; features of the reference are never rounded to float16.

CLIP, the reference network and the UNet are needed one after another, and only one of them
is in memory at a time; the autoencoder stays, to decode.

Networks of another shape have their configuration beside their weights. `tiny`, which
comes with the package, is such: limb maps of the target and of the reference in the place
of drawn skeletons, and a learned token in the place of CLIP's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from animcli.errors import PresetError, WeightsError
from animcli.networks.controlnet import PoseGuider
from animcli.networks.limb_maps import LIMB_MAP_CHANNELS, limb_map
from animcli.networks.reference_net import ReferenceNet, unused_keys
from animcli.networks.unet import ANIMATE_ANYONE_UNET, KVCache, UNet
from animcli.networks.unet_blocks import Deep, MotionConfig, UNetConfig
from animcli.pose.draw import draw_pose
from animcli.pose.keypoints import BODY
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn, keyframes
from animcli.rendering.cost import DecoderCost, frame_decoder
from animcli.rendering.features import FeatureCache
from animcli.rendering.guidance import CFGInputs, Guidance
from animcli.rendering.kept import kept_by_content
from animcli.rendering.loading import (
    free_memory,
    load_image_encoder,
    load_network,
    read_config,
)
from animcli.rendering.memory import CFG_BATCH_OFF, MemoryPlan, WindowCalls
from animcli.rendering.pipeline import DenoisingContext, render_clip
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)
from animcli.rendering.reuse import NO_REUSE, Reuse
from animcli.rendering.schedulers import ANIMATE_ANYONE_SCHEDULE as SCHEDULE
from animcli.rendering.schedulers import NoiseSchedule
from animcli.rendering.vae import VAE_SCALE, to_unit
from animcli.weights.inspect import read_tensors
from animcli.weights.lora import changes_part

CLIP_SIDE: Final = 224
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP learnt from (Radford et al., arXiv:2103.00020)."""


CONFIG_FILE: Final = "config.json"

_LOOKING: Final = "looking at the reference"
_PARTS: Final = 4
"""Parts of that, for the progress line."""
_TOKEN: Final = "token"

NO_TEXT_ENCODER: Final = (
    "what the LoRA changes in the text encoder is left out: Animate Anyone reads no text"
)


@dataclass(frozen=True)
class AnimateAnyoneConfig:
    """Shapes and conditioning of the networks; the defaults are the published ones'.

    conditioning: what the PoseGuider sees: drawn skeletons at the size of the result, or
        limb maps at the size of the latents, and then the ReferenceNet gets one too.
    context: CLIP's token of the reference, or one that was learned.
    """

    unet: UNetConfig = ANIMATE_ANYONE_UNET
    guider_channels: tuple[int, ...] = (16, 32, 96, 256)
    conditioning: Literal["skeleton", "limb-map"] = "skeleton"
    context: Literal["clip", "learned"] = "clip"
    schedule: NoiseSchedule = SCHEDULE

    def guider(self) -> PoseGuider:
        """A PoseGuider for this conditioning."""
        channels = 3 if self.conditioning == "skeleton" else LIMB_MAP_CHANNELS
        return PoseGuider(self.unet.block_channels[0], self.guider_channels, channels)

    @classmethod
    def read(cls, folder: Path) -> "AnimateAnyoneConfig":
        """Configuration beside the weights in a folder; the published one without a file.

        Raises WeightsError for a file that can't be read or says something else.
        """
        path = folder / CONFIG_FILE
        if not path.is_file():
            return cls()
        try:
            return cls.parse(read_config(path))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"{path} describes no network: {error}", "get it again"
            ) from error

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> "AnimateAnyoneConfig":
        """Configuration from what `dataclasses.asdict` made of one, by way of JSON."""

        def tuples(part: Mapping[str, Any]) -> dict[str, Any]:
            return {k: tuple(v) if isinstance(v, list) else v for k, v in part.items()}

        unet = tuples(table["unet"])
        motion = unet["motion"] and MotionConfig(**unet["motion"])
        return cls(
            **{
                **tuples(table),
                "unet": UNetConfig(**{**unet, "motion": motion}),
                "schedule": NoiseSchedule(**table["schedule"]),
            }
        )


@dataclass(frozen=True)
class AnimateAnyone:
    """The renderer; other shapes than the published ones are for networks of one's own.

    entry: weights entry of its networks; one with a configuration has all that is needed.
    """

    config: AnimateAnyoneConfig = field(default_factory=AnimateAnyoneConfig)
    entry: str = "animate-anyone"

    @property
    def unet(self) -> UNetConfig:
        """Shape of the network that is called for each window."""
        return self.config.unet

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked.

        Raises PresetError for a drawn motion where limb maps are wanted.
        """
        maps = self.config.conditioning == "limb-map"
        if maps and (request.motion is None or request.reference_pose is None):
            raise PresetError(
                f"{self.entry} follows keypoints, and a drawn motion has none",
                "give the video of the dancer, or its .pose",
            )
        vae = (
            request.weights[self.entry] / "vae"
            if self.config.context == "learned"
            else request.weights["sd-vae-ft-mse"]
        )
        schedule = self.config.schedule
        return render_clip(
            request,
            checkpoint,
            progress,
            self.unet,
            schedule,
            self.prepare_conditioning,
            vae,
        )

    def resident(self) -> list[nn.Module]:
        """The network that is in memory while it denoises, besides the autoencoder."""
        return [UNet(self.unet)]

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StepFn:
        """Make the denoising function for a window of `clip` (f, c, h, w) on the meta
        device.
        """
        token = clip.new_empty(1, 1, self.unet.context_dim)
        reference = ReferenceNet(replace(self.unet, motion=None))
        width, place = self.unet.block_channels[0], clip.shape[2:]
        pose = FeatureCache(lambda frame: clip.new_empty(width, *place))
        return predictor(
            cast(UNet, networks[0]),
            token,
            reference_features(reference, clip[:1], token),
            pose,
            Guidance.of(preset),
            preset.steps,
            reuse=Reuse.of(preset, self.unet),
        )

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of what is denoised at once: all that aren't filled in afterwards."""
        return [len(keyframes(frames, preset.keyframe_interval))]

    def decoder(self, preset: Preset, frames: int, device: str) -> DecoderCost:
        """Frames are decoded one by one."""
        return frame_decoder(preset, device)

    def prepare_conditioning(self, context: DenoisingContext) -> StepFn:
        """Look at the reference and the motion, and be ready to predict."""
        request, device, dtype = context.request, context.device, context.dtype
        folder, what, parts = request.weights[self.entry], _LOOKING, _PARTS

        context.progress(what, 0, parts)
        guider = load_network(  # a thousandth of the UNet: it stays on the device
            self.config.guider,
            {"": folder / "pose_guider.safetensors"},
            device,
            dtype,
        )
        token, features = self.look_at_reference(context, guider)
        free_memory(device)

        context.progress(what, 2, parts)
        guided = pose_features(guider, self.conditions(request), device, dtype)

        context.progress(what, 3, parts)
        parts_of = {"": folder / "denoising_unet.safetensors"}
        if self.unet.motion is not None:
            motion = folder / "motion_module.safetensors"
            parts_of = {"motion_modules": motion, **parts_of}
        unet = load_network(
            lambda: UNet(self.unet), parts_of, device, dtype, loras=request.loras
        )
        if any(changes_part(lora, "text") for lora in request.loras):
            request.note(NO_TEXT_ENCODER)
        context.compile_network(unet)
        context.progress(what, 4, parts)
        return predictor(
            unet,
            token,
            features,
            guided,
            context.guidance,
            request.preset.steps,
            context.memory_plan(self.unet),
            context.reuse(self.unet),
        )

    def look_at_reference(
        self, context: DenoisingContext, guider: PoseGuider
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Context token and reference features; their networks are gone then."""
        request, device, dtype = context.request, context.device, context.dtype
        folder = request.weights[self.entry]
        file = folder / "reference_unet.safetensors"
        latents = context.encode(request.reference).to(dtype)
        made_of: list[Path | Tensor | str] = [latents, file]
        if self.config.context == "clip":
            made_of.append(request.weights["clip-image-encoder"] / "model.safetensors")
            whole = request.original
            seen = request.reference if whole is None else whole
            made_of.append(torch.from_numpy(seen))
        else:
            made_of.append(folder / "image_token.safetensors")
        pose = None
        if self.config.conditioning == "limb-map" and request.reference_pose is not None:
            there = limb_maps_of(request.reference_pose)(0)
            with torch.inference_mode():
                pose = guider(there.to(device, dtype))[:, :, 0]
            made_of.append(pose)

        def work_out() -> dict[str, Tensor]:
            token = self.token(request, device, dtype)
            context.progress(_LOOKING, 1, _PARTS)
            network = load_network(
                lambda: ReferenceNet(replace(self.unet, motion=None)),
                {"": file},
                device,
                dtype,
                unused=unused_keys(self.unet) if self.config.context == "clip" else (),
            )
            return {_TOKEN: token, **reference_features(network, latents, token, pose)}

        found = dict(kept_by_content(made_of, work_out, device=device))
        return found.pop(_TOKEN), found

    def token(
        self, request: RenderRequest, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """Context token (1, 1, width): CLIP's of the reference, or the learned one."""
        if self.config.context == "clip":
            folder = request.weights["clip-image-encoder"]
            whole = request.original
            return encode_image(
                load_image_encoder(folder, device, dtype),
                request.reference if whole is None else whole,
            )
        path = request.weights[self.entry] / "image_token.safetensors"
        shape = (1, 1, self.unet.context_dim)
        return read_tensors(path, {"image_token": shape})["image_token"].to(device, dtype)

    def conditions(self, request: RenderRequest) -> Callable[[int], Tensor]:
        """Frame -> input of the PoseGuider, (1, c, 1, h, w)."""
        if self.config.conditioning == "limb-map" and request.motion is not None:
            return limb_maps_of(request.motion)
        picture = pose_pictures(request)
        return lambda frame: to_unit(picture(frame))[:, :, None]


def tiny() -> AnimateAnyone:
    """The renderer of the small model that comes with the package."""
    folder = Path(str(files("animcli.weights"))) / "tiny"
    return AnimateAnyone(AnimateAnyoneConfig.read(folder), "tiny")


def limb_maps_of(motion: PoseSequence) -> Callable[[int], Tensor]:
    """Frame -> limb map of a motion, (1, c, 1, h, w) at the size of the latents."""
    width, height = motion.size
    size = (height // VAE_SCALE, width // VAE_SCALE)
    keypoints = torch.from_numpy(motion.points[:, BODY] / np.array(motion.size, np.float32))
    visible = torch.from_numpy(motion.visible[:, BODY])

    def of(frame: int) -> Tensor:
        one = slice(frame, frame + 1)
        return limb_map(keypoints[one], visible[one], size)[:, :, None]

    return of


def pose_pictures(request: RenderRequest) -> Callable[[int], NDArray[np.uint8]]:
    """Frame -> the skeleton picture (h, w, 3) to follow there."""
    motion, control = request.motion, request.control
    if control is not None:
        return lambda frame: next(iter(control(range(frame, frame + 1))))
    if motion is None:
        raise ValueError("a skeleton is followed: a motion or a drawn one, got neither")
    threshold = motion.draw_threshold
    return lambda frame: draw_pose(
        motion.points[frame], motion.scores[frame], request.size, threshold=threshold
    )


def pose_features(
    guider: nn.Module,
    conditions: Callable[[int], Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> FeatureCache:
    """Features of each frame's skeleton from the guider, (channels, h, w), computed
    once.
    """

    @torch.inference_mode()
    def guide(frame: int) -> Tensor:
        return guider(conditions(frame).to(device, dtype))[0, :, 0]

    return FeatureCache(guide)


@torch.inference_mode()
def encode_image(clip: nn.Module, picture: NDArray[np.uint8]) -> Tensor:
    """CLIP's one token (1, 1, width) for a picture (h, w, 3), squashed to a square."""
    like = next(clip.parameters())
    small = Image.fromarray(picture).resize(
        (CLIP_SIDE, CLIP_SIDE), Image.Resampling.BICUBIC
    )
    pixels = to_unit(np.asarray(small))
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_DEVIATION))
    pixels = ((pixels - mean) / deviation).to(like)
    return clip(pixel_values=pixels).image_embeds[:, None]


@torch.inference_mode()
def reference_features(
    network: ReferenceNet, latents: Tensor, token: Tensor, pose: Tensor | None = None
) -> dict[str, Tensor]:
    """Reference features for the transformers; the reference's latents are clean.

    pose: (1, block_channels[0], h, w), what the PoseGuider says of the reference's own limb
        map.
    """
    clean = torch.zeros((), dtype=torch.long, device=latents.device)
    return network(latents, clean, network.cache_kv(token), pose)


def predictor(
    unet: UNet,
    token: Tensor,
    features: dict[str, Tensor],
    pose: FeatureCache,
    guidance: Guidance,
    steps: int,
    memory_plan: MemoryPlan = CFG_BATCH_OFF,
    reuse: Reuse = NO_REUSE,
) -> StepFn:
    """Make the denoising function; what doesn't change over windows and steps is done
    here.
    """
    nothing = torch.zeros_like(token)
    with torch.inference_mode():
        batched = (
            unet.cache_kv(torch.cat([nothing, token]), features)
            if memory_plan.cfg_batch
            else None
        )
        inputs = CFGInputs(unet.cache_kv(nothing), unet.cache_kv(token, features), batched)
    calls = WindowCalls(unet, guidance, memory_plan, reuse)

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        guided = guidance.works_at(step, steps)
        time = timestep.to(token.device)

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            hint = pose.stack(window.frames, token).transpose(0, 1)[None].to(token)

            def model(clips: Tensor, kv_cache: KVCache, deep: Deep | None) -> Tensor:
                return unet(clips, time, kv_cache, pose=hint, deep=deep)

            return calls.predict(
                part.to(token),
                model,
                step=step,
                window=window,
                guided=guided,
                inputs=inputs,
            )

        return predict

    return step_fn
