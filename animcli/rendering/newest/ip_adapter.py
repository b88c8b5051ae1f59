"""IP-Adapter with a pose ControlNet, with or without motion modules; and AnimateDiff.

The baselines of the papers' tables ("IPA+CtrlN", "IPA+CtrlN-V" of Xu et al.,
"MagicAnimate", arXiv:2311.16498): Stable Diffusion 1.5 hears a prompt, sees the reference
through IP-Adapter (Ye et al., arXiv:2308.06721), follows drawn skeletons through ControlNet
(Zhang et al., arXiv:2302.05543), and joins its frames by AnimateDiff's motion modules
(Guo et al., arXiv:2307.04725). They follow the recipe, not a published program.

Networks are diffusers'. A call of them equals one of its pipelines'
(StableDiffusionControlNetPipeline, AnimateDiffControlNetPipeline, AnimateDiffPipeline) bit
for bit; windows make any length of the motion modules' 16 to 32 frames. Differs: CLIP sees
the whole reference, squashed to a square, where the pipelines cut its middle out, and with
it the head of a standing figure.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from animcli.networks.unet_blocks import MotionConfig, UNetConfig
from animcli.presets import Preset
from animcli.rendering.animate_anyone import encode_image, pose_pictures
from animcli.rendering.cinemo import encode_prompts
from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn, keyframes
from animcli.rendering.cost import DecoderCost, frame_decoder
from animcli.rendering.guidance import CFGInputs, Guidance
from animcli.rendering.loading import (
    CLIP_TOKENS,
    OnDevice,
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
from animcli.rendering.schedulers import ANIMATEDIFF, SD15, NoiseSchedule
from animcli.rendering.vae import to_unit
from animcli.weights.inspect import read_tensors, shapes_of

_FILE: Final = "diffusion_pytorch_model.safetensors"
ADAPTER: Final = "ip-adapter_sd15.safetensors"
IMAGE_WIDTH: Final = 1024  # of the embedding that IP-Adapter's image encoder gives
POSITIONS: Final = 32  # frames that the motion modules know at once

SkeletonPicture = Callable[[int], NDArray[np.uint8]]
"""Frame -> the skeleton (h, w, 3) to follow there."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Embeddings that the networks are told, beside skeletons.

    text: CLIP's hidden states of the words, (rows, tokens, width).
    picture: its embedding of the reference, (rows, 1, width); zeros for none.
    """

    text: Tensor
    picture: Tensor


@dataclass(frozen=True)
class IPAdapter:
    """The renderer.

    unet: what windows, latents and the plan need to know of its shape; without motion
        modules each frame is made alone.
    follows_pose: whether there is a ControlNet.
    """

    unet: UNetConfig
    schedule: NoiseSchedule
    follows_pose: bool = True

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        vae = request.weights["sd-vae-ft-mse"]
        return render_clip(
            request, checkpoint, progress, self.unet, self.schedule, self.look, vae
        )

    def resident(self) -> list[nn.Module]:
        """The networks that are in memory while it denoises, besides the autoencoder.

        IP-Adapter's own 22 million parameters are left out.
        """
        from diffusers.models.controlnets.controlnet import ControlNetModel
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
        from diffusers.models.unets.unet_motion_model import MotionAdapter

        unet = UNet2DConditionModel(cross_attention_dim=self.unet.context_dim)
        if self.unet.motion is not None:
            unet = with_motion(unet, MotionAdapter(use_motion_mid_block=False))
        if not self.follows_pose:
            return [unet]
        return [unet, ControlNetModel(cross_attention_dim=self.unet.context_dim)]

    def rehearse(
        self, preset: Preset, networks: Sequence[nn.Module], clip: Tensor
    ) -> StepFn:
        """Prediction of a window of `clip` (f, c, h, w); all is on the meta device."""
        words = clip.new_empty(1, CLIP_TOKENS, self.unet.context_dim)
        told = Prompt(words, clip.new_empty(1, 1, IMAGE_WIDTH))
        skeleton = np.zeros((preset.height, preset.width, 3), np.uint8)
        return predictor(
            networks[0],
            networks[1] if self.follows_pose else None,
            CFGInputs(told, told),
            lambda frame: skeleton,
            preset.pose_scale,
            Guidance.of(preset),
            preset.steps,
        )

    def clips(self, preset: Preset, frames: int) -> list[int]:
        """Frames of what is denoised at once: all that aren't filled in afterwards."""
        return [len(keyframes(frames, preset.keyframe_interval))]

    def decoder(self, preset: Preset, frames: int, device: str) -> DecoderCost:
        """Frames are decoded one by one."""
        return frame_decoder(preset, device)

    def look(self, place: DenoisingContext) -> StepFn:
        """Read the words, look at the reference, and be ready to predict."""
        request, device, dtype = place.request, place.device, place.dtype
        preset, weights = request.preset, request.weights
        what, parts = "loading networks", 4

        place.progress(what, 0, parts)
        texts = encode_prompts(
            weights["sd15"], (preset.negative_prompt, preset.prompt), device, dtype
        )
        place.progress(what, 1, parts)
        adapter = weights["ip-adapter"]
        encoder = load_image_encoder(adapter / "image_encoder", device, dtype)
        picture = encode_image(encoder, request.reference)
        del encoder
        place.progress(what, 2, parts)
        unet = self.open_unet(weights, dtype)
        add_ip_adapter(unet, adapter / ADAPTER, preset.reference_scale)
        nn.Module.to(unet, device, dtype)  # the library's own `to` warns of every dtype
        place.progress(what, 3, parts)
        controlnet = None
        if self.follows_pose:
            from diffusers.models.controlnets.controlnet import ControlNetModel

            folder = weights["controlnet-openpose"]
            controlnet = open_frozen(ControlNetModel, folder, place.home, dtype)
        place.progress(what, 4, parts)
        pictures = torch.cat([torch.zeros_like(picture), picture])
        plain, shown = (
            Prompt(text[None], each[None])
            for text, each in zip(texts, pictures, strict=True)
        )
        return predictor(
            unet,
            controlnet,
            CFGInputs(plain, shown, Prompt(texts, pictures)),
            pose_pictures(request) if self.follows_pose else None,
            preset.pose_scale,
            place.guidance,
            preset.steps,
            place.memory_plan(self.unet),
            place.on_device,
        )

    def open_unet(self, weights: Mapping[str, Path], dtype: torch.dtype) -> nn.Module:
        """Stable Diffusion's network, with motion modules if there are any."""
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
        from diffusers.models.unets.unet_motion_model import MotionAdapter

        here = torch.device("cpu")
        unet = open_frozen(UNet2DConditionModel, weights["sd15"] / "unet", here, dtype)
        if self.unet.motion is None:
            return unet
        return with_motion(
            unet, open_frozen(MotionAdapter, weights["animatediff"], here, dtype)
        )


def controlnet() -> IPAdapter:
    """The renderer that makes each frame alone."""
    return IPAdapter(UNetConfig(), SD15)


VIDEO: Final = UNetConfig(motion=MotionConfig(POSITIONS, middle=False))


def controlnet_video() -> IPAdapter:
    """The renderer with motion modules."""
    return IPAdapter(VIDEO, ANIMATEDIFF)


def animatediff() -> IPAdapter:
    """The renderer that follows words, and the looks of a picture."""
    return IPAdapter(VIDEO, ANIMATEDIFF, follows_pose=False)


def open_frozen(
    kind: Any, folder: Path, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """A network of diffusers' with its configuration and weights in a folder."""
    config = read_config(folder / "config.json")
    return load_network(
        lambda: kind.from_config(config), {"": folder / _FILE}, device, dtype
    )


def with_motion(unet: nn.Module, modules: nn.Module) -> nn.Module:
    """Stable Diffusion's network with AnimateDiff's motion modules in it."""
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    talk = logging.getLogger("diffusers.models.modeling_utils")
    level = talk.level
    talk.setLevel(logging.ERROR)  # it warns of modules to keep in float32, and names none
    try:
        joined = UNetMotionModel.from_unet2d(unet, modules)
    finally:
        talk.setLevel(level)
    joined.requires_grad_(False)
    return joined.eval()


def add_ip_adapter(unet: nn.Module, file: Path, scale: float) -> None:
    """Let a network look at a picture's embedding; `scale` is how far that counts."""
    from diffusers.loaders.ip_adapter import IPAdapterMixin

    class Holder(IPAdapterMixin):
        """Attributes that the mixin wants of a pipeline."""

        def __init__(self) -> None:
            self.unet = unet

    state: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in read_tensors(file, shapes_of(file)).items():
        part, _, rest = name.partition(".")
        state[part][rest] = tensor
    holder = Holder()
    holder.load_ip_adapter(
        cast(Any, state), subfolder="", weight_name="", low_cpu_mem_usage=False
    )
    holder.set_ip_adapter_scale(scale)
    unet.requires_grad_(False)
    unet.eval()


def predictor(
    unet: nn.Module,
    controlnet: nn.Module | None,
    inputs: CFGInputs[Prompt],
    skeleton: SkeletonPicture | None,
    pose_scale: float,
    guidance: Guidance,
    steps: int,
    memory_plan: MemoryPlan = CFG_BATCH_OFF,
    on_device: OnDevice = nullcontext,
) -> StepFn:
    """Prediction of a window, by the calls of diffusers' pipelines.

    skeleton: what the ControlNet follows; None if there is none.
    """
    text = inputs.cond.text
    calls = WindowCalls(unet, guidance, memory_plan)
    over_time = type(unet).__name__ == "UNetMotionModel"

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        guided, time = guidance.works_at(step, steps), timestep.to(text.device)

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            condition = None
            if controlnet is not None and skeleton is not None:
                pictures = [to_unit(skeleton(frame)) for frame in window.frames]
                condition = torch.cat(pictures).to(text)

            def ask(clips: Tensor, told: Prompt) -> Tensor:
                rows, frames = len(clips), clips.shape[2]
                words = told.text.repeat_interleave(frames, dim=0)
                flat = clips.transpose(1, 2).flatten(0, 1)  # (rows f, c, h, w)
                residuals: dict[str, object] = {}
                if controlnet is not None and condition is not None:
                    with on_device(controlnet):
                        down, middle = controlnet(
                            flat,
                            time,
                            encoder_hidden_states=words,
                            controlnet_cond=condition.repeat(rows, 1, 1, 1),
                            conditioning_scale=pose_scale,
                            return_dict=False,
                        )
                    residuals["down_block_additional_residuals"] = down
                    residuals["mid_block_additional_residual"] = middle
                looks = told.picture
                if not over_time:
                    looks = looks.repeat_interleave(frames, dim=0)
                said = unet(
                    clips if over_time else flat,
                    time,
                    encoder_hidden_states=words,
                    added_cond_kwargs={"image_embeds": [looks]},
                    return_dict=False,
                    **residuals,
                )[0]
                if over_time:
                    return said
                return said.unflatten(0, (rows, frames)).transpose(1, 2)

            return calls.predict(
                part.to(text),
                lambda clips, looks, _: ask(clips, looks),
                step=step,
                window=window,
                guided=guided,
                inputs=inputs,
            )

        return predict

    return step_fn
