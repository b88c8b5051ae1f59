"""Wan's renderers: what both networks share between a request and its frames."""

from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from animcli.errors import UsageError
from animcli.presets import Preset
from animcli.rendering.context import StepFn
from animcli.rendering.cost import Cost
from animcli.rendering.loading import enough_memory, open_device, use_tensor_cores
from animcli.rendering.newest.segments import SegmentPlan, SegmentRun, segment_noise
from animcli.rendering.newest.wan_memory import (
    NetworkPlacement,
    WanShape,
    choose_offload,
    estimate_wan,
    refuse_cpu,
)
from animcli.rendering.newest.wan_parts import (
    TILED,
    check_libraries,
    check_preset,
    decode_in_memory,
    fit_wan_colours,
    open_transformer,
    open_wan_vae,
    solver_of,
    wan_dtype,
)
from animcli.rendering.preview import Watch, is_watched
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Offload,
    Progress,
    RenderRequest,
)

Told = TypeVar("Told")
"""Conditions that the transformer has in every step of one segment."""
Given = TypeVar("Given", covariant=True)


class SegmentConditions(Protocol[Given]):
    """Conditions of the transformer, worked out segment by segment."""

    noise_shape: tuple[int, int, int, int]
    """Of a segment's latents: channels, frames, height, width."""

    def of_segment(self, segment: int, tail: Tensor | None) -> Given:
        """Conditions of a segment; tail: last frames of the one before."""


class WanRenderer(ABC, Generic[Told]):
    """A transformer of Wan's family, from segment to segment.

    entry: of the weights catalog. transformer: module and class in diffusers.
    published: shape of the published weights. remedy: for lack of memory.
    """

    entry: ClassVar[str]
    transformer: ClassVar[tuple[str, str]]
    published: ClassVar[WanShape]
    remedy: ClassVar[str]

    @abstractmethod
    def prompts(self, preset: Preset) -> tuple[str, ...]:
        """The words that the text encoder reads."""

    @abstractmethod
    def conditions(
        self,
        request: RenderRequest,
        vae: Any,
        device: torch.device,
        dtype: torch.dtype,
        checkpoint: Checkpoint,
    ) -> SegmentConditions[Told]:
        """Conditions of a request's segments; `checkpoint` keeps CLIP's features."""

    @abstractmethod
    def predictor(self, network: Any, told: Told, preset: Preset) -> StepFn:
        """Prediction of a whole segment."""

    def finish(self, network: Any, request: RenderRequest) -> None:
        """Change the transformer as the request wants it; nothing by default."""

    def settled(self, network: Any, device: torch.device) -> None:
        """Do what is to be done with the transformer in its place; nothing by default."""

    def cost(
        self,
        preset: Preset,
        frames: int,
        device: str,
        offload: Offload,
        folder: Path | None,
    ) -> Cost:
        """Cost of so many frames; folder: of the weights, where they are here."""
        return estimate_wan(self.shape_in(folder), preset, frames, device, offload)

    def check(self, preset: Preset, device: str, folder: Path | None) -> None:
        """Raise what would come up later: absent libraries, a size, a slow CPU."""
        check_libraries()
        check_preset(preset)
        if device == "cpu":
            refuse_cpu(self.shape_in(folder), preset)

    def shape_in(self, folder: Path | None) -> WanShape:
        """Shape of the weights in a folder, or of the published ones."""
        if folder is None:
            return self.published
        return WanShape.read(folder, self.published)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Denoise all segments, going on from `checkpoint`; decode frames as asked.

        Raises UsageError for a single frame, which is no video.
        """
        preset, folder = request.preset, request.weights[self.entry]
        self.check(preset, request.device, folder)
        if request.frames < 2:
            raise UsageError(
                f"{preset.renderer} makes no single frame", "--frames 2 or more"
            )
        device = open_device(request.device)
        dtype = wan_dtype(device, preset.dtype)
        use_tensor_cores(device, dtype)
        placement = NetworkPlacement(
            choose_offload(request.offload, self.shape_in(folder), preset, device), device
        )
        with enough_memory("loading the autoencoder", self.remedy):
            vae = open_wan_vae(folder, device)
        conditions = self.conditions(request, vae, device, dtype, checkpoint)
        colours = cache(lambda: fit_wan_colours(vae, request.reference))

        @cache
        def transformer() -> Any:
            progress("loading the network", 0, 1)
            gguf = request.weights.get(f"{self.entry}-gguf")
            network = open_transformer(
                self.transformer, folder, gguf, preset.quantise, dtype, placement.home
            )
            self.finish(network, request)
            placement.settle(network)
            self.settled(network, device)
            return network

        def start(segment: int, tail: Tensor | None) -> StepFn:
            placement.work(vae)
            told = conditions.of_segment(segment, tail)
            network = transformer()
            placement.work(network)
            return self.predictor(network, told, preset)

        def frames_of(latents: Tensor) -> Tensor:
            placement.work(vae)
            return decode_in_memory(vae, latents, checkpoint.beside(TILED), request.note)

        run = SegmentRun(
            SegmentPlan(request.frames, preset.segment, preset.carry),
            checkpoint,
            progress,
            device,
            lambda: solver_of(preset),
            lambda segment: segment_noise(preset.seed, segment, conditions.noise_shape),
            start=start,
            decode=frames_of,
            watch=lambda solver: Watch(
                solver,
                dtype,
                colours,
                wanted=lambda: colours.cache_info().currsize > 0 or is_watched(checkpoint),
                preview=request.preview,
                hidden=1,  # the reference is in the first place
            ),
        )
        with enough_memory("denoising", self.remedy):
            run.finish()
        return run.frames()
