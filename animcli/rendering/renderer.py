"""Renderers: each says what it needs, prepares once, and gives frames.

Everything that is the same for all renderers (segments, resuming, the lossless frames in
the cache, encoding, sound) happens outside, in the render stage.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset
from animcli.registry import renderer_entry

if TYPE_CHECKING:  # torch takes seconds
    from animcli.weights.lora import Lora

Progress = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, of how much), for the progress line."""

FrameFn = Callable[[range], Iterator[NDArray[np.uint8]]]
"""Frames of a range, each `(h, w, 3)` uint8 RGB, or `(h, w, 4)` with alpha where that was
asked for. Any range may be asked for, in any order, and a frame is always the same, bit for
bit."""


class Checkpoint(Protocol):
    """Store of a renderer's state between runs; a save is whole or absent."""

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """Arrays that were saved last, or None."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace what was saved by `arrays`."""

    def beside(self, name: str) -> "Checkpoint":
        """Another one, for what is saved once and not again."""


Offload = Literal["auto", "none", "networks", "blocks", "layers"]
"""Parts that leave the device while they aren't at work: whole networks, or blocks or
layers of the large one; `auto` is what the device's memory wants."""


@dataclass(frozen=True)
class Preview:
    """A small picture of a render that isn't done, renewed while it denoises.

    path: of the PNG. taesd: folder of the decoder, or None for their colours.
    """

    path: Path
    taesd: Path | None = None


PREVIEW_FRAMES: Final = 8
"""Frames in a row of a preview; TAESD decodes the one in the middle alone."""


def spread(frames: int) -> list[int]:
    """Numbers of at most PREVIEW_FRAMES frames, evenly from the first to the last."""
    count = min(PREVIEW_FRAMES, frames)
    return [int(n) for n in np.linspace(0, frames - 1, count).round()] if count else []


@dataclass(frozen=True, eq=False)
class CastMember:
    """One of several characters: its keypoints in the reference, one frame, and the motion
    that it follows, in pixels of the result.
    """

    pose: PoseSequence
    motion: PoseSequence


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """One picture, one motion, and how.

    reference: `(h, w, 3)` uint8 RGB, already at the size of the result.
    reference_alpha: `(h, w)` uint8, where the file had an alpha channel, or didn't have the
        shape of the result: 0 in the room beside it, which continues its border.
    reference_pose: the character's keypoints in the reference, one frame, in its pixels.
    motion: the keypoints to follow, already retargeted, in pixels of the result.
    control: for renderers that follow a drawn video (DensePose, a skeleton clip), or take
        the motion of another clip: its frames, `(h, w, 3)` uint8 RGB at the size of the
        result.
    frames: how many frames to make.
    size: `(width, height)` of the result.
    weights: name of each weights entry of the preset -> its folder.
    device: `cuda`, `cuda:1`, `mps` or `cpu`.
    start: frames to start from instead of noise, `(h, w, 3)` uint8 RGB at the size of the
        result, for the fraction of the steps that the preset's `strength` says.
    original: the reference as it was given, `(h, w, 3)` uint8 RGB of any size, for CLIP
        where it saw whole pictures in training; None stands for `reference`.
    loras: added to the weights of the networks, in this order.
    preview: where to show what comes, and how.
    note: told what a user should know of that happened on the way.
    offload: what leaves the device meanwhile; on a CPU there is nowhere to go.
    footage: the driving video's own frames, one for each of the result, `(h, w, 3)` uint8
        RGB at the video's own size; for renderers that look at its faces, its background,
        or at all of it.
    source_motion: the keypoints in the footage, before they were retargeted, in its pixels.
    prompt_embeds: what a text encoder says of the preset's words, `(prompts, tokens,
        width)` float32, for renderers whose text encoder is a stage of its own.
    cast: further characters of the reference, for renderers that know their figure.
    background: pictures behind the figures instead of the reference's own, at the size of
        the result; for the same renderers.
    alpha: frames have the figures and their shadows alone, `(h, w, 4)` RGBA, not
        multiplied.
    """

    reference: NDArray[np.uint8]
    reference_alpha: NDArray[np.uint8] | None
    reference_pose: PoseSequence | None
    motion: PoseSequence | None
    control: FrameFn | None
    frames: int
    _: KW_ONLY
    size: tuple[int, int]
    preset: Preset
    weights: Mapping[str, Path]
    device: str
    offload: Offload = "auto"
    start: FrameFn | None = None
    original: NDArray[np.uint8] | None = None
    loras: "Sequence[Lora]" = ()
    preview: Preview | None = None
    note: Callable[[str], None] = lambda line: None
    footage: FrameFn | None = None
    source_motion: PoseSequence | None = None
    prompt_embeds: NDArray[np.float32] | None = None
    cast: Sequence[CastMember] = ()
    background: FrameFn | None = None
    alpha: bool = False


class Renderer(Protocol):
    """Turns a request into frames."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Do what isn't per frame, going on from `checkpoint`; then give frames."""


@runtime_checkable
class ReadsPrompts(Protocol):
    """A renderer whose text encoder is a stage of its own."""

    def prompts(self, preset: Preset) -> tuple[str, ...]:
        """The words that the text encoder reads."""


@runtime_checkable
class ChecksFirst(Protocol):
    """A renderer that can tell before any work that it won't do."""

    def check(self, preset: Preset, device: str, folder: Path | None) -> None:
        """Raise what would come up later; folder: of the first of its weights, if here."""


def load_renderer(name: str) -> Renderer:
    """The renderer called `name`, its module loaded now."""
    module, _, kind = renderer_entry(name).place.partition(":")
    renderer: Renderer = getattr(import_module(module), kind)()
    return renderer
