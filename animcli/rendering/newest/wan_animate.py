"""Wan-Animate: a picture's character moves as a driving video's joints and face do.

Source: Wan-Video/Wan2.2 (wan/animate.py), arXiv:2509.14055, through diffusers'
WanAnimatePipeline: its networks, and its helpers that prepare conditions. The loop is ours,
equal to the pipeline's own call bit for bit. Two ways of working: the character on the
reference's ground (`animate`), or in the driving video in the place of its person
(`replace`).

Differs from the pipeline: CLIP sees the whole reference, as in the authors' code. Differs
from the authors: joints by our detectors, retargeted by bone lengths; a face that isn't
seen keeps its last box; masks of our own (`animcli.pose.person_mask`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from animcli.pose.draw import draw_wan_pose
from animcli.pose.face import SIDE, cut_face, face_boxes
from animcli.pose.person_mask import MaskShape, PersonMasks
from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn
from animcli.rendering.guidance import Guidance
from animcli.rendering.newest.segments import (
    SegmentPlan,
    walk_back,
)
from animcli.rendering.newest.wan_memory import (
    WanShape,
)
from animcli.rendering.newest.wan_parts import (
    check_package,
    encode_clip_image,
    library_class,
    on_black,
)
from animcli.rendering.newest.wan_renderer import WanRenderer
from animcli.rendering.renderer import (
    Checkpoint,
    RenderRequest,
)

RELIGHT: Final = "wan-relight"
FACE_UNSEEN: Final = (
    "no face was seen in the driving video: the character keeps its expression"
)

Pictures = Callable[[int], NDArray[np.uint8]]
"""Frame -> a picture `(h, w, 3)`."""


@dataclass(frozen=True)
class WanAnimate(WanRenderer["AnimateInputs"]):
    """The renderer. replaces: the person of the driving video, whose background stays."""

    entry: ClassVar[str] = "wan-animate"
    transformer: ClassVar[tuple[str, str]] = (
        "diffusers.models.transformers.transformer_wan_animate",
        "WanAnimateTransformer3DModel",
    )
    published: ClassVar[WanShape] = WanShape()
    remedy: ClassVar[str] = (
        "a smaller --size or --segment, --offload blocks or --quantise gguf needs less"
    )

    replaces: bool = False

    def prompts(self, preset: Preset) -> tuple[str, ...]:
        return (preset.negative_prompt, preset.prompt)

    def conditions(
        self,
        request: RenderRequest,
        vae: Any,
        device: torch.device,
        dtype: torch.dtype,
        checkpoint: Checkpoint,
    ) -> "WanConditions":
        return WanConditions(request, vae, device, dtype, checkpoint, self.replaces)

    def finish(self, network: Any, request: RenderRequest) -> None:
        relight = request.weights.get(RELIGHT)
        if relight is not None:
            add_lora(network, relight, request.preset.relight)

    def predictor(self, network: Any, told: "AnimateInputs", preset: Preset) -> StepFn:
        return predictor(network, told, Guidance.of(preset), preset.steps)


def animate() -> WanAnimate:
    """The character on the ground of its picture."""
    return WanAnimate()


def replace_person() -> WanAnimate:
    """The character in the driving video."""
    return WanAnimate(replaces=True)


def add_lora(network: Any, folder: Path, scale: float) -> None:
    """Join a LoRA in the authors' names to the transformer, `scale` times.

    Raises DeviceError without the package peft, which diffusers joins LoRAs with.
    """
    check_package("peft", "--relight")
    pipeline = library_class(
        "diffusers.pipelines.wan.pipeline_wan_animate", "WanAnimatePipeline"
    )
    holder = pipeline(**EMPTY, vae=None, transformer=network)
    holder.load_lora_weights(str(folder), weight_name="relighting_lora.safetensors")
    holder.fuse_lora(lora_scale=scale)
    holder.unload_lora_weights()


EMPTY: Final[dict[str, None]] = dict.fromkeys(
    ("tokenizer", "text_encoder", "scheduler", "image_processor", "image_encoder")
)
"""Components of the pipeline that its helpers don't use."""


@dataclass(frozen=True, eq=False)
class AnimateInputs:
    """Conditions that the transformer has in every step of one segment.

    reference: mask and latents (1, 20, f, h, w) of the reference, the tail and what stays.
    pose: latents (1, 16, f - 1, h, w). face: crops (1, 3, frames, 512, 512) in -1..1.
    words, unwanted: of the prompt, and of the negative one, (1, 512, width).
    image: CLIP's features of the reference, (1, tokens, width).
    """

    reference: Tensor
    pose: Tensor
    face: Tensor
    words: Tensor
    unwanted: Tensor
    image: Tensor


class WanConditions:
    """Conditions of the transformer, worked out segment by segment."""

    def __init__(
        self,
        request: RenderRequest,
        vae: Any,
        device: torch.device,
        dtype: torch.dtype,
        checkpoint: Checkpoint,
        replaces: bool,
    ) -> None:
        """`checkpoint` keeps what CLIP says of the reference."""
        if request.motion is None or request.prompt_embeds is None:
            raise ValueError("Wan-Animate follows a motion, and hears a prompt's embedding")
        self._request = request
        self._motion = request.motion
        self._device, self._dtype = device, dtype
        self._checkpoint = checkpoint
        self._replaces = replaces
        pipeline = library_class(
            "diffusers.pipelines.wan.pipeline_wan_animate", "WanAnimatePipeline"
        )
        self._pipeline = pipeline(**EMPTY, vae=vae, transformer=None)
        preset = request.preset
        self._plan = SegmentPlan(request.frames, preset.segment, preset.carry)
        width, height = request.size
        space, over_time = (
            self._pipeline.vae_scale_factor_spatial,
            self._pipeline.vae_scale_factor_temporal,
        )
        frames = (preset.segment - 1) // over_time + 2
        self.noise_shape = (vae.config.z_dim, frames, height // space, width // space)
        words = torch.from_numpy(request.prompt_embeds).to(device, dtype)
        self._unwanted, self._words = words[:1], words[1:2]
        self._faces = self._face_pictures()
        self._masks = (
            PersonMasks(request.motion, request.weights["blazepose"]) if replaces else None
        )

    @torch.no_grad()
    def of_segment(self, segment: int, tail: Tensor | None) -> AnimateInputs:
        """Conditions of a segment; tail: last frames of the one before."""
        preset, (width, height) = self._request.preset, self._request.size
        frames = [walk_back(i, self._request.frames) for i in self._plan.span(segment)]
        image = self._reference()
        background = mask = None
        if self._replaces:
            ground, white = zip(*(self._replaced(frame) for frame in frames), strict=True)
            background = self._video(list(ground), (height, width))
            mask = self._pipeline.video_processor_for_mask.preprocess_video(
                [Image.fromarray(each) for each in white], height=height, width=width
            ).to(self._device, torch.float32)
        carried = self._pipeline.prepare_prev_segment_cond_latents(
            None if tail is None else tail.to(self._device),
            background_video=background,
            mask_video=mask,
            segment_frame_length=preset.segment,
            start_frame=segment * self._plan.step,
            height=height,
            width=width,
            prev_segment_cond_frames=preset.carry,
            task="replace" if self._replaces else "animate",
            device=self._device,
        )
        reference = self._pipeline.prepare_reference_image_latents(
            image, device=self._device
        )
        poses = self._video([self._skeleton(frame) for frame in frames], (height, width))
        return AnimateInputs(
            torch.cat([reference, carried], dim=2),
            self._pipeline.prepare_pose_latents(poses, device=self._device).to(self._dtype),
            self._video([self._faces(frame) for frame in frames], None).to(self._dtype),
            self._words,
            self._unwanted,
            self._image_features(image),
        )

    def _reference(self) -> Tensor:
        width, height = self._request.size
        picture = on_black(self._request.reference, self._request.reference_alpha)
        pixels = self._pipeline.vae_image_processor.preprocess(
            Image.fromarray(picture), height=height, width=width, resize_mode="fill"
        )
        return pixels.to(self._device, torch.float32)

    def _image_features(self, pixels: Tensor) -> Tensor:
        place = self._checkpoint.beside("image")
        kept = place.load()
        if kept is None:
            folder = self._request.weights[WanAnimate.entry]
            found = encode_clip_image(folder, pixels, self._device, self._dtype)
            kept = {"image": found.float().numpy()}
            place.save(kept)
        return torch.from_numpy(kept["image"]).to(self._device, self._dtype)

    def _video(
        self, pictures: list[NDArray[np.uint8]], size: tuple[int, int] | None
    ) -> Tensor:
        """Pictures (1, 3, frames, h, w) in -1..1, at `size` (h, w) or as large as faces."""
        height, width = size or (self.face_side, self.face_side)
        made: Tensor = self._pipeline.video_processor.preprocess_video(
            [Image.fromarray(each) for each in pictures], height=height, width=width
        )
        return made.to(self._device, torch.float32)

    @property
    def face_side(self) -> int:
        """Pixels across the crops that the transformer takes."""
        return motion_encoder_size(self._request.weights[WanAnimate.entry])

    def _skeleton(self, frame: int) -> NDArray[np.uint8]:
        motion = self._motion
        return draw_wan_pose(
            motion.points[frame],
            motion.scores[frame],
            self._request.size,
            threshold=motion.draw_threshold,
        )

    def _face_pictures(self) -> Pictures:
        """The crops to take the expression from; all black where there is no face."""
        request = self._request
        footage, motion = request.footage, request.source_motion
        boxes = None if motion is None else face_boxes(motion)
        if footage is None or boxes is None:
            request.note(FACE_UNSEEN)
            return lambda frame: np.zeros((SIDE, SIDE, 3), np.uint8)
        return lambda frame: cut_face(
            next(iter(footage(range(frame, frame + 1)))), boxes[frame]
        )

    def _replaced(self, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The frame without its person, black in its place, and the mask in white."""
        control = self._request.control
        if control is None or self._masks is None:
            raise ValueError("a person is replaced in a driving video, and there is none")
        picture = next(iter(control(range(frame, frame + 1))))
        preset = self._request.preset
        shape = MaskShape.parse(preset.mask_grow, preset.mask_cells)
        mask = shape.widen(self._masks(frame, picture))
        ground = np.where(mask[..., None], np.uint8(0), picture)
        return ground, mask.astype(np.uint8) * 255


def motion_encoder_size(folder: Path) -> int:
    """Pixels across the crops of faces that the transformer in a folder was made for."""
    from animcli.rendering.loading import read_config

    config = read_config(folder / "transformer" / "config.json")
    return int(str(config.get("motion_encoder_size", SIDE)))


def predictor(
    transformer: Any, told: AnimateInputs, guidance: Guidance, steps: int
) -> StepFn:
    """Prediction of a whole segment, by the calls of diffusers' pipeline.

    Without guidance's condition the face is black, which the network knows as none.
    """
    dtype = told.pose.dtype

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        time = timestep.to(told.pose.device).expand(1)

        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            clip = part.transpose(0, 1)[None]  # (1, c, f, h, w)
            seen = torch.cat([clip, told.reference], dim=1).to(dtype)

            def said(words: Tensor, face: Tensor) -> Tensor:
                return transformer(
                    hidden_states=seen,
                    timestep=time,
                    encoder_hidden_states=words,
                    encoder_hidden_states_image=told.image,
                    pose_hidden_states=told.pose,
                    face_pixel_values=face,
                    return_dict=False,
                )[0]

            shown = said(told.words, told.face)
            if guidance.works_at(step, steps):
                plain = said(told.unwanted, told.face * 0 - 1)
                shown = plain + guidance.scale * (shown - plain)
            return shown[0].transpose(0, 1)

        return predict

    return step_fn
