"""Wan-Animate-2: a picture's character moves as a video shows, without joints or crops.

Source: arXiv:2608.06009, through diffusers' modular pipeline (WanAnimate2Blocks): its
networks and helpers; the loop is ours, equal to its own bit for bit. For each segment one
pass runs the driving video through the transformer and keeps every layer's keys and values;
each step then attends to them.

Differs: a clip shorter than half a segment is walked to and fro as often as it takes, where
the pipeline fails; the result has the preset's size, where the pipeline takes its area.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, DenoiseFn, StepFn
from animcli.rendering.guidance import Guidance
from animcli.rendering.newest.segments import (
    SegmentPlan,
    reflect_frame,
)
from animcli.rendering.newest.wan_memory import (
    WanShape,
)
from animcli.rendering.newest.wan_parts import (
    encode_clip_image,
    library_class,
    on_black,
)
from animcli.rendering.newest.wan_renderer import WanRenderer
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    RenderRequest,
)

ABOUT_DRIVING: Final = "人物动作的参考视频"  # "reference video of a person's movement"
_TRANSFORMER: Final = (
    "diffusers.models.transformers.transformer_wan_animate_2",
    "WanAnimate2Transformer3DModel",
)
HELPERS: Final = "diffusers.modular_pipelines.wan_animate_2.encoders"


class WanAnimate2(WanRenderer["Animate2Inputs"]):
    """The renderer."""

    entry: ClassVar[str] = "wan-animate-2"
    transformer: ClassVar[tuple[str, str]] = _TRANSFORMER
    published: ClassVar[WanShape] = WanShape(beside=251_000_000, caches=True)
    remedy: ClassVar[str] = "a smaller --size or --segment, or --offload blocks needs less"

    def prompts(self, preset: Preset) -> tuple[str, ...]:
        """The words that the text encoder reads, those about the driving video last."""
        return (preset.negative_prompt, preset.prompt, ABOUT_DRIVING)

    def conditions(
        self,
        request: RenderRequest,
        vae: Any,
        device: torch.device,
        dtype: torch.dtype,
        checkpoint: Checkpoint,
    ) -> "DrivingConditions":
        return DrivingConditions(request, vae, device, dtype, checkpoint)

    def settled(self, network: Any, device: torch.device) -> None:
        if device.type == "cuda":  # else attention makes the whole matrix of scores
            network.compile_repeated_blocks(fullgraph=False)

    def predictor(self, network: Any, told: "Animate2Inputs", preset: Preset) -> StepFn:
        return predictor(network, told, Guidance.of(preset), preset)


@dataclass(frozen=True, eq=False)
class Animate2Inputs:
    """Conditions that the transformer has in every step of one segment.

    driving: latents (16, f - 1, h, w) of the driving video. asked: the same under a mask.
    reference: mask and latents (20, f, h, w) of the reference and the tail.
    words: of the negative prompt, the prompt, and about the driving video, (3, 512, width).
    image, first: CLIP's features of the reference, and of the driving video's first frame.
    """

    driving: Tensor
    asked: Tensor
    reference: Tensor
    words: Tensor
    image: Tensor
    first: Tensor


class DrivingConditions:
    """Conditions of the transformer, worked out segment by segment."""

    def __init__(
        self,
        request: RenderRequest,
        vae: Any,
        device: torch.device,
        dtype: torch.dtype,
        checkpoint: Checkpoint,
    ) -> None:
        """`checkpoint` keeps what CLIP says of pictures."""
        if request.control is None or request.prompt_embeds is None:
            raise ValueError(
                "Wan-Animate-2 follows a video, and hears a prompt's embedding"
            )
        self._request = request
        self._frames: FrameFn = request.control
        self._vae, self._device, self._dtype = vae, device, dtype
        self._checkpoint = checkpoint
        self._encode: Callable[..., Tensor] = library_class(HELPERS, "encode_vae")
        self._mask: Callable[..., Tensor] = library_class(HELPERS, "get_i2v_mask")
        self._words = torch.from_numpy(request.prompt_embeds).to(device, dtype)
        preset = request.preset
        self._plan = SegmentPlan(request.frames, preset.segment, preset.carry)
        width, height = request.size
        space = 2 ** len(vae.temperal_downsample)
        over_time = 2 ** sum(vae.temperal_downsample)
        self.noise_shape = (
            vae.config.z_dim,
            (preset.segment - 1) // over_time + 2,
            height // space,
            width // space,
        )

    @torch.no_grad()
    def of_segment(self, segment: int, tail: Tensor | None) -> Animate2Inputs:
        """Conditions of a segment; tail: last frames of the one before."""
        request, preset = self._request, self._request.preset
        frames = [reflect_frame(i, request.frames) for i in self._plan.span(segment)]
        shown = [next(iter(self._frames(range(frame, frame + 1)))) for frame in frames]
        driving = self._encode(self._vae, self._pixels(shown))
        place = driving.shape[-2:]
        mask = self._mask(driving.shape[2], *place, preset.segment, device=self._device)
        picture = on_black(request.reference, request.reference_alpha)
        reference = self._encode(self._vae, self._pixels([picture]))
        one = self._mask(1, *place, 1, device=self._device)
        carried = self._carried(tail)
        held = self._mask(
            carried.shape[2],
            *place,
            0 if tail is None else preset.carry,
            device=self._device,
        )
        image, first = self._image_features(picture)
        return Animate2Inputs(
            driving[0],
            torch.cat([mask, driving[0]]),
            torch.cat(
                [torch.cat([one, reference[0]]), torch.cat([held, carried[0]])], dim=1
            ),
            self._words,
            image,
            first,
        )

    def _carried(self, tail: Tensor | None) -> Tensor:
        """Latents of a segment that shows the tail, and nothing after it."""
        width, height = self._request.size
        rest = self._request.preset.segment
        parts = []
        if tail is not None:
            rest -= tail.shape[2]
            before = tail[0].to(self._device).permute(1, 0, 2, 3)
            before = F.interpolate(before, size=(height, width), mode="bicubic")
            parts.append(before.permute(1, 0, 2, 3))
        parts.append(torch.zeros(3, rest, height, width, device=self._device))
        return self._encode(self._vae, torch.cat(parts, dim=1)[None])

    def _pixels(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """Pictures (1, 3, frames, h, w) float32 in -1..1, as the library makes them."""
        stacked = torch.from_numpy(np.stack(pictures).astype(np.float32) / np.float32(255))
        return (2.0 * stacked - 1.0).permute(3, 0, 1, 2)[None].contiguous().to(self._device)

    def _image_features(self, picture: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        place = self._checkpoint.beside("image")
        kept = place.load()
        if kept is None:
            first = next(iter(self._frames(range(1))))
            folder = self._request.weights[WanAnimate2.entry]
            kept = {
                name: encode_clip_image(
                    folder, self._pixels([shown])[:, :, 0], self._device, self._dtype
                )
                .float()
                .numpy()
                for name, shown in (("image", picture), ("first", first))
            }
            place.save(kept)
        image, driving = (
            torch.from_numpy(kept[name]).to(self._device, self._dtype)
            for name in ("image", "first")
        )
        return image, driving


def predictor(
    transformer: Any, told: Animate2Inputs, guidance: Guidance, preset: Preset
) -> StepFn:
    """Prediction of a whole segment; the driving video is looked at now.

    Guidance's other half leaves a layer out, which the transformer knows.
    """
    cache_of = library_class(_TRANSFORMER[0], "WanAnimate2KVCache")
    kept = cache_of(transformer.config.num_layers)
    dtype = told.words.dtype
    unwanted, words, about = told.words
    _, frames, height, width = told.driving.shape
    grid = torch.tensor([[frames, height // 2, width // 2]], dtype=torch.long)
    positions = height // 2 * (width // 2)
    device = told.driving.device
    transformer(
        [told.driving.to(dtype)],
        timestep=torch.ones(1, device=device, dtype=dtype),
        encoder_hidden_states=[about],
        encoder_hidden_states_image=told.first,
        condition_latents=[told.asked.to(dtype)],
        kv_cache=kept,
        kv_cache_mode="extract",
        seq_len=frames * positions,
        offset_grid_sizes=grid,
    )

    def step_fn(step: int, timestep: Tensor, latents: Tensor) -> DenoiseFn:
        def predict(part: Tensor, window: ContextWindow) -> Tensor:
            clip = part.transpose(0, 1).to(dtype)  # (c, f, h, w)

            def said(text: Tensor, *, without: bool) -> Tensor:
                return transformer(
                    [clip],
                    timestep=torch.stack([timestep.to(device)]),
                    encoder_hidden_states=[text],
                    encoder_hidden_states_image=told.image,
                    condition_latents=[told.reference.to(dtype)],
                    kv_cache=kept,
                    kv_cache_mode="cached",
                    seq_len=(frames + 1) * positions,
                    reference_grid_sizes=grid,
                    origin_len=preset.segment,
                    origin_area=[preset.height, preset.width],
                    is_uncondtion=without,
                ).sample[0]

            shown = said(words, without=False)
            if guidance.works_at(step, preset.steps):
                plain = said(unwanted, without=True)
                shown = plain + guidance.scale * (shown - plain)
            return shown.transpose(0, 1)

        return predict

    return step_fn
