"""The embedded model: Animate Anyone at a size that a processor can train and run.

It follows joints, not a drawing of them, and takes the reference's own joints too: see
`networks/mini.py`. Everything else is what the large systems do: one look at the reference,
noise, windows, a sampler, an autoencoder.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from animcli.errors import PresetError
from animcli.networks.autoencoder import (
    SHRINK,
    Autoencoder,
    AutoencoderConfig,
    fold,
    halve,
)
from animcli.networks.background import background
from animcli.networks.heads import Person, Tones, turned_heads
from animcli.networks.levels import Sight
from animcli.networks.limbs import limb_code
from animcli.networks.mini import MiniConfig, MiniModel, make_clue
from animcli.networks.warp import PARTS, Moved, move_parts
from animcli.pose.sequence import PoseSequence
from animcli.pose.skeleton import BODY
from animcli.presets import Preset
from animcli.rendering.denoise import PredictWindow, StartStep, clean_latents
from animcli.rendering.device import dtype_on, enough_memory, open_device
from animcli.rendering.features import FrameFeatures
from animcli.rendering.guidance import Guidance, Views
from animcli.rendering.latents import to_signed
from animcli.rendering.loading import load_network
from animcli.rendering.noise import clip_noise
from animcli.rendering.renderer import (
    Checkpoint,
    Drive,
    FrameSource,
    RenderRequest,
    Report,
)
from animcli.rendering.sampling import MINI as SCHEDULE
from animcli.rendering.sampling import Solver
from animcli.rendering.windows import Window, windows_of

REMEDY: Final = "a smaller --window or a smaller --size needs less"


@dataclass(frozen=True)
class Mini:
    """The renderer; another shape than that of the weights shipped is for one's own."""

    drive: ClassVar[Drive] = Drive.SKELETON
    weights: ClassVar[tuple[str, ...]] = ("mini",)

    model: MiniConfig = field(default_factory=lambda: MiniConfig(positions=0))
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, report: Report
    ) -> FrameSource:
        """Denoise the whole clip, going on from `checkpoint`; decode frames as asked."""
        preset, (width, height) = request.preset, request.size
        if self.model.positions and preset.window > self.model.positions:
            raise PresetError(
                f"window {preset.window}: mini knows at most {self.model.positions} frames",
                f"--window {self.model.positions}",
            )
        device = open_device(request.device)
        dtype, folder = dtype_on(device, preset.dtype), request.weights["mini"]
        coder = load_network(
            lambda: Autoencoder(self.autoencoder),
            {"": folder / "autoencoder.safetensors"},
            device,
            torch.float32,  # the model's own errors are larger than float16's, its aren't
        )
        model = load_network(
            lambda: MiniModel(self.model),
            {"": folder / "model.safetensors"},
            device,
            dtype,
        )
        guide = Guide(model, request, device)
        shape = (self.model.unet.channels, height // SHRINK, width // SHRINK)
        with enough_memory("denoising", REMEDY):
            latents = clean_latents(
                lambda: clip_noise(preset.noise, request.frames, shape, preset.seed),
                Solver(preset.sampler, SCHEDULE, preset.steps, preset.seed),
                lambda: self.look(model, guide, preset),
                windows_of(preset, request.frames),
                checkpoint,
                report,
            )

        @torch.inference_mode()
        def picture(index: int) -> NDArray[np.uint8]:
            latent = latents[index : index + 1].to(device)
            decoded = coder.decode(latent, guide.whole(index))[0]
            shown = ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            return shown.permute(1, 2, 0).contiguous().cpu().numpy()

        def frames(span: range) -> Iterator[NDArray[np.uint8]]:
            for index in span:
                yield picture(index)

        return frames

    def look(self, model: MiniModel, guide: "Guide", preset: Preset) -> StartStep:
        """Be ready to predict what the guide asks for."""
        guidance = Guidance.of(preset)
        with torch.inference_mode():
            views = Views(model.unet.see(), model.unet.see(None, guide.look.features))
        like = next(model.parameters())

        def start_step(step: int, timestep: Tensor, latents: Tensor) -> PredictWindow:
            guided = guidance.works_at(step, preset.steps)
            time = timestep.to(like.device)

            def predict(part: Tensor, window: Window) -> Tensor:
                pose, moved = guide.ask(window.frames)

                def ask(noisy: Tensor, sight: Sight) -> Tensor:
                    clean: Tensor = model(noisy, time, sight, pose.to(like), moved)[0]
                    return clean

                noisy = part.to(like)
                return guidance.predict(noisy, views, ask, guided=guided)

            return predict

        return start_step


class Guide:
    """What the networks are told of the reference and of each frame."""

    def __init__(
        self,
        model: MiniModel,
        request: RenderRequest,
        device: torch.device,
    ) -> None:
        motion, pose = request.motion, request.reference_pose
        if motion is None or pose is None:
            raise PresetError(
                "mini follows joints, and a drawn motion has none",
                "give the video of the dancer, or its .pose",
            )
        self._model, self._device = model, device
        self._motion = body_joints(motion)
        joints, seen = body_joints(pose)
        self._still = (joints[:1].to(device), seen[:1].to(device))
        width, height = request.size
        self._cells = (height // SHRINK, width // SHRINK)
        with torch.inference_mode():
            self._whole = to_signed(request.reference).to(device)
            self._picture = halve(self._whole)
            joints, seen = self._still
            self._code = limb_code(joints, seen, self._cells)
            like = next(model.parameters())
            self.look = model.look(fold(self._picture).to(like), self._code.to(like))
            figure = self.look.figure.float()
            self._figure = figure
            self._behind = background(self._picture, figure)
            large = F.interpolate(figure, scale_factor=2, mode="bilinear")
            self._far = background(self._whole, large)
            self._tones = Tones.of(self._whole, large, self._still)
        self._told = FrameFeatures(self._tell)

    def ask(self, frames: Sequence[int]) -> tuple[Tensor, Moved]:
        """Of f frames: what the guider says, (1, width, f, h, w), and how the parts of the
        halved reference move.
        """
        rows = self._told.stack(frames).to(self._device)
        picture = self._picture.expand(len(rows), -1, -1, -1)
        size = picture.shape[-2:]
        shapes = (
            (self._model.config.widths[0], *self._cells),
            (PARTS, *size),
            (PARTS, *size, 2),
            (4, *size),
        )
        told, nearness, places, turned = (
            part.unflatten(1, shape)
            for part, shape in zip(
                rows.split([math.prod(shape) for shape in shapes], dim=1),
                shapes,
                strict=True,
            )
        )
        behind = self._behind.expand_as(picture)
        moved = Moved(picture, behind, nearness, places, turned)
        return told.transpose(0, 1)[None], moved

    def whole(self, index: int) -> Tensor:
        """The guess of one frame, (1, 3, height, width)."""
        _, moved = self.ask([index])
        height, width = self._whole.shape[-2:]
        turned = turned_heads(
            self._tones, self._still, self._person(index), (height, width)
        )
        return moved.enlarged(self._whole, self._far, turned).whole

    def _person(self, index: int) -> Person:
        joints, seen = (part[index : index + 1].to(self._device) for part in self._motion)
        return joints, seen

    @torch.inference_mode()
    def _tell(self, index: int) -> Tensor:
        """What there is to say of one frame, (n,), on the processor, for `ask`."""
        like = next(self._model.parameters())
        joints, seen = self._person(index)
        moved = move_parts(
            self._picture,
            self._still,
            (joints, seen),
            figure=self._figure,
            behind=self._behind,
            tones=self._tones,
        )
        clue = make_clue(moved, fold(self._picture), self._code)
        code = limb_code(joints, seen, self._cells)
        told = self._model.guider(code.to(like), clue.to(like))
        said = (told.float(), moved.nearness, moved.places, moved.turned)
        return torch.cat([part.flatten() for part in said]).cpu()


def body_joints(motion: PoseSequence) -> tuple[Tensor, Tensor]:
    """The body's joints (frames, 18, 2) in 0..1 of the picture, and which are seen."""
    places = motion.points[:, BODY] / np.array(motion.size, np.float32)
    return torch.from_numpy(places), torch.from_numpy(motion.seen[:, BODY])
