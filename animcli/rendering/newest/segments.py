"""Long clips in segments, each of which goes on from the last decoded frames of another.

Wan's networks see a few dozen frames at once, and no windows: a segment is denoised by
itself, decoded, and its tail shown to the next. So segments run strictly one after another,
each in the loop that all renderers share, and each is a file of its own once it is done.

Shapes: latents of a segment (f, c, h, w), the first of which is the reference's; frames
(1, 3, frames, height, width) in -1..1.
"""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.rendering.cinemo import SegmentCheckpoint
from animcli.rendering.context import ContextWindow, StepFn, WindowsFn
from animcli.rendering.pipeline import sample
from animcli.rendering.preview import Watch
from animcli.rendering.renderer import Checkpoint, FrameFn, Progress
from animcli.rendering.schedulers import Scheduler
from animcli.rendering.vae import to_shown


@dataclass(frozen=True)
class SegmentPlan:
    """Cuts of a clip of `frames` frames.

    length: frames of a segment. carry: that it takes over from the one before.
    """

    frames: int
    length: int
    carry: int

    @property
    def step(self) -> int:
        """New frames of each segment but the first, which has `length`."""
        return self.length - self.carry

    @property
    def count(self) -> int:
        """Segments of the clip."""
        return max(1, -(-(self.frames - self.carry) // self.step))

    def span(self, segment: int) -> range:
        """The frames that a segment shows, those that it takes over among them."""
        start = segment * self.step
        return range(start, start + self.length)

    def of(self, frame: int) -> tuple[int, int]:
        """The segment that makes a frame, and the frame's place in what it shows."""
        segment = max(0, (frame - self.carry) // self.step)
        return segment, frame - segment * self.step


def walk_back(frame: int, frames: int) -> int:
    """The frame of a clip that stands for one beyond its end: 0 1 2 3 2 1 0 1 ..."""
    period = max(2 * (frames - 1), 1)
    place = frame % period
    return min(place, period - place) if frames > 1 else 0


def reflect_frame(frame: int, frames: int) -> int:
    """The same with the ends shown twice: 0 1 2 3 3 2 1 0 0 1 ..."""
    place = frame % (2 * frames)
    return min(place, 2 * frames - 1 - place)


def segment_noise(seed: int, segment: int, shape: tuple[int, ...]) -> Tensor:
    """Normal noise of a segment, (c, f, h, w) float32, drawn as diffusers' pipelines draw.

    They take one segment after another from one generator, so that those before are drawn
    and forgotten; a longer clip begins like a shorter one.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.empty(0)
    for _ in range(segment + 1):
        noise = torch.randn((1, *shape), generator=generator)[0]
    return noise


class Segment(NamedTuple):
    """Kept arrays of a segment: its clean latents, and its last decoded frames."""

    latents: Tensor
    tail: Tensor


@dataclass(frozen=True, eq=False)
class SegmentRun:
    """All segments of one clip.

    solver: a new run of the sampler. watch: previews of one.
    start: (segment, tail of the one before) -> how a step begins; called when a step of
        that segment is left, since what it loads is large.
    decode: clean latents of a segment -> all of the frames that it shows.
    """

    plan: SegmentPlan
    checkpoint: Checkpoint
    progress: Progress
    device: torch.device
    solver: Callable[[], Scheduler]
    noise: Callable[[int], Tensor]
    _: KW_ONLY
    start: Callable[[int, Tensor | None], StepFn]
    decode: Callable[[Tensor], Tensor]
    watch: Callable[[Scheduler], Watch]

    def finish(self) -> None:
        """Denoise every segment that isn't kept yet."""
        tail: Tensor | None = None
        for number in range(self.plan.count):
            kept = self.kept(number)
            tail = kept.tail if kept is not None else self.made(number, tail)

    def kept(self, number: int) -> Segment | None:
        """A finished segment, or None."""
        arrays = self._place(number).load()
        if arrays is None:
            return None
        latents, tail = (torch.from_numpy(arrays[name]) for name in Segment._fields)
        return Segment(latents, tail)

    def made(self, number: int, tail: Tensor | None) -> Tensor:
        """Denoise a segment and keep it; the tail that the next one wants."""
        count = self.plan.count

        def counted(what: str, done: int, of: int) -> None:
            self.progress(what, number * of + done, count * of)

        solver = self.solver()
        latents = sample(
            lambda: self.noise(number).transpose(0, 1),
            solver,
            lambda: self.start(number, tail),
            one_window(self.noise(number).shape[1]),
            SegmentCheckpoint(self.checkpoint, number, {}),
            counted,
            self.device,
            watch=self.watch(solver),
        )
        made = self.decode(latents)[:, :, -self.plan.carry :].cpu()
        self._place(number).save({"latents": latents.numpy(), "tail": made.numpy()})
        return made

    def frames(self) -> FrameFn:
        """Frames of finished segments; the last one that was asked for stays decoded."""
        held: tuple[int, NDArray[np.uint8]] | None = None

        def source(span: range) -> Iterator[NDArray[np.uint8]]:
            nonlocal held
            for frame in span:
                number, place = self.plan.of(frame)
                if held is None or held[0] != number:
                    kept = self.kept(number)
                    if kept is None:
                        raise ValueError(f"segment {number} isn't done")
                    held = number, pictures(self.decode(kept.latents))
                yield held[1][place]

        return source

    def _place(self, number: int) -> Checkpoint:
        return self.checkpoint.beside(f"segment-{number:04d}")


def one_window(frames: int) -> WindowsFn:
    """One window over everything."""
    windows = [ContextWindow(tuple(range(frames)), (1.0,) * frames)]
    return lambda step: windows


def pictures(decoded: Tensor) -> NDArray[np.uint8]:
    """Pictures (frames, h, w, 3) uint8 of decoded frames (1, 3, frames, h, w)."""
    shown = (to_shown(decoded)[0] * 255).round().to(torch.uint8)
    return shown.permute(1, 2, 3, 0).contiguous().cpu().numpy()
