"""Renderers: each says what it needs, prepares once, and gives frames; and their table.

Everything that is the same for all renderers (segments, resuming, the lossless frames in
the cache, encoding, sound) happens outside, in the render stage.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from animcli.errors import PresetError
from animcli.pose.sequence import PoseSequence
from animcli.presets import Preset

Progress = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, of how much), for the progress line."""

FrameFn = Callable[[range], Iterator[NDArray[np.uint8]]]
"""Frames of a range, each `(h, w, 3)` uint8 RGB. Any range may be asked for, in any order,
and a frame is always the same, bit for bit."""


class Conditioning(Enum):
    """Input that moves the picture."""

    SKELETON = "skeleton"
    DENSEPOSE = "densepose"
    NOTHING = "nothing"
    PROMPT = "prompt"  # words; the motion of another clip goes along, if one is given


class Checkpoint(Protocol):
    """Store of a renderer's state between runs; a save is whole or absent."""

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """Arrays that were saved last, or None."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace what was saved by `arrays`."""


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
    weights: name of each weights entry that the renderer asked for -> its folder.
    device: `cuda`, `cuda:1`, `mps` or `cpu`.
    start: frames to start from instead of noise, `(h, w, 3)` uint8 RGB at the size of the
        result, for the fraction of the steps that the preset's `strength` says.
    note: told what a user should know of that happened on the way.
    offload: whether networks leave the device while others work; on a CPU they have
        nowhere to go.
    """

    reference: NDArray[np.uint8]
    reference_alpha: NDArray[np.uint8] | None
    reference_pose: PoseSequence | None
    motion: PoseSequence | None
    control: FrameFn | None
    frames: int
    size: tuple[int, int]
    preset: Preset
    weights: Mapping[str, Path]
    device: str
    offload: bool = False
    start: FrameFn | None = None
    note: Callable[[str], None] = lambda line: None


class Renderer(Protocol):
    """Turns a request into frames."""

    conditioning: Conditioning
    weights: tuple[str, ...]
    """Names in the weights catalog that `RenderRequest.weights` must hold."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Do what isn't per frame, going on from `checkpoint`; then give frames."""


@dataclass(frozen=True)
class RendererEntry:
    """Class of a renderer, and what its pictures depend on.

    place: `module:class`; loaded when it is needed, since torch takes seconds.
    revision: raised whenever the same request gives other pictures than before.
    libraries: packages whose version may change the bits of a frame.
    rate: frames per second of what follows no other clip.
    """

    place: str
    revision: int
    libraries: tuple[str, ...]
    rate: Fraction = Fraction(24)


RENDERERS: Final[dict[str, RendererEntry]] = {
    "cutout": RendererEntry(
        "animcli.rendering.cutout:Cutout",
        2,
        ("ai-edge-litert", "numpy", "opencv-python-headless", "scipy"),
    ),
    "animate-anyone": RendererEntry(
        "animcli.rendering.animate_anyone:AnimateAnyone",
        1,
        ("torch", "diffusers", "transformers", "numpy"),
    ),
    "tiny": RendererEntry(
        "animcli.rendering.animate_anyone:tiny", 1, ("torch", "diffusers", "numpy")
    ),
    "magic-animate": RendererEntry(
        "animcli.rendering.magic_animate:MagicAnimate",
        1,
        ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless"),
    ),
    "cinemo": RendererEntry(
        "animcli.rendering.cinemo:Cinemo",
        1,
        ("torch", "diffusers", "transformers", "tokenizers", "numpy"),
        rate=Fraction(8),  # that of the authors' results
    ),
}


def renderer_entry(name: str) -> RendererEntry:
    """The entry of a renderer. Raises PresetError for one that there isn't."""
    if name not in RENDERERS:
        raise PresetError(f"no renderer '{name}'", f"there are {', '.join(RENDERERS)}")
    return RENDERERS[name]


def load_renderer(name: str) -> Renderer:
    """The renderer called `name`, its module loaded now."""
    module, _, kind = renderer_entry(name).place.partition(":")
    renderer: Renderer = getattr(import_module(module), kind)()
    return renderer
