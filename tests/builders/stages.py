"""Small stages, a detector and a renderer: the machinery without networks.

They are deterministic, take milliseconds, and are known to the program by its own tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from animcli.files import make_folder, temp_name, write_file
from animcli.pipeline.cache import find_segment, keep_segment
from animcli.pipeline.executor import Executor
from animcli.pipeline.project import find_project
from animcli.pipeline.stage import RunContext, Source, Stage
from animcli.pose.detectors import registry
from animcli.pose.keypoints import KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.registry import RENDERERS, RendererEntry
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)
from animcli.stages.render import RenderStage
from animcli.weights.store import WeightsStore

DRAW_THRESHOLD = 0.5
"""Of the blob detector."""


def executor(folder: Path, **options: object) -> Executor:
    """A workshop for a project in `folder`, without weights."""
    weights = WeightsStore(folder / "no-weights")
    return Executor(find_project(folder), weights, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class WriteWord(Stage):
    """Writes its word."""

    name: ClassVar[str] = "write-word"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".txt"

    word: str

    def run(self, context: RunContext) -> None:
        write_file(context.out, self.word.encode())


@dataclass(frozen=True)
class Shout(Stage):
    """Writes what it reads, louder, a unit of work for each word: a folder.

    after_unit: called with the number of each unit that was really done.
    """

    name: ClassVar[str] = "shout"
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    text: Source
    mark: str = "!"
    after_unit: Callable[[int], None] = field(
        default=lambda number: None, compare=False, repr=False
    )

    def settings(self) -> Mapping[str, object]:
        return {"mark": self.mark}

    def run(self, context: RunContext) -> None:
        make_folder(context.out)
        for number, word in enumerate(context.inputs["text"].read_text().split()):
            stem = f"word-{number:03d}"
            if find_segment(context.out, stem) is None:
                part = temp_name(context.out / f"{stem}.txt")
                write_file(part, (word.upper() + self.mark).encode())
                keep_segment(part, context.out, stem)
                self.after_unit(number)
            context.check_cancelled()


def shouted(folder: Path) -> list[str]:
    """What is in a folder that Shout made."""
    return [path.read_text() for path in sorted(folder.glob("word-*"))]


@dataclass(frozen=True)
class Spot:
    """A person, as far as `BrightSpot` can tell."""

    points: NDArray[np.float32]
    scores: NDArray[np.float32]


class BrightSpot:
    """Takes a bright spot for a person; remembers how often it has seen one.

    The keypoints hang in a ring about the spot, and turn with every frame that was seen, so
    that a state that isn't restored shows.
    """

    def __init__(self, models: Path | None, *, hands: bool, face: bool) -> None:
        self._seen = 0

    @property
    def state(self) -> tuple[float, ...]:
        return (float(self._seen),)

    def restore(self, state: Sequence[float]) -> None:
        self._seen = int(state[0])

    def people(self, picture: NDArray[np.uint8]) -> tuple[Spot, ...]:
        found = self.detect(picture)
        return () if found is None else (found,)

    def count(self, picture: NDArray[np.uint8]) -> int:
        return int((picture.sum(axis=2) > 600).any())

    def detect(self, picture: NDArray[np.uint8]) -> Spot | None:
        bright = np.argwhere(picture.sum(axis=2) > 600)
        if len(bright) == 0:
            return None
        self._seen += 1
        angle = np.arange(KEYPOINTS) / KEYPOINTS * 2 * np.pi + self._seen / 10
        ring = 6 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = bright.mean(axis=0)[::-1] + ring
        return Spot(points.astype(np.float32), np.full(KEYPOINTS, 0.9, np.float32))


class Gradient:
    """Draws a ramp whose place follows the nose; three saved steps of preparation."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        assert request.motion is not None
        kept = checkpoint.load() or {"step": np.array(0), "shade": np.array(3.0)}
        step, shade = int(kept["step"]), float(kept["shade"])  # type: ignore[arg-type]
        for done in range(step, 3):
            shade = shade * 1.7 + request.preset.seed % 7
            checkpoint.save({"step": np.array(done + 1), "shade": np.array(shade)})
            progress("preparing", done + 1, 3)
        width, height = request.size
        across = np.arange(width)[None, :, None] + np.arange(3)[None, None] * 40
        down = np.arange(height)[:, None, None]
        noses = request.motion.points[:, 0]

        def frames(span: range) -> Iterator[NDArray[np.uint8]]:
            for index in span:
                x, y = noses[index]
                ramp = (across + 2 * down + int(4 * x + 7 * y) + int(shade)) % 256
                yield ramp.astype(np.uint8)

        return frames


class Echo:
    """Shows the drawn video that it was given."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        assert request.control is not None
        return request.control


def register() -> None:
    """Make the renderer `gradient` and the detector `bright-spot` known."""
    RENDERERS["gradient"] = RendererEntry("builders.stages:Gradient", 1, ("numpy",))
    registry.DETECTORS["bright-spot"] = registry.DetectorEntry(
        "builders.stages:BrightSpot", ""
    )


def gradient_preset(seed: int = 42, width: int = 64, height: int = 96) -> Preset:
    return Preset("tiny", renderer="gradient", width=width, height=height, seed=seed)  # type: ignore[arg-type]


def gradient_render(reference: Source, motion: Source, **options: object) -> RenderStage:
    """A render with the small renderer and the small detector."""
    preset = options.pop("preset", gradient_preset())
    return RenderStage(  # type: ignore[arg-type]
        reference, motion, preset, retarget=False, detector="bright-spot", **options
    )


def spot_pictures(
    frames: int, size: tuple[int, int] = (64, 96)
) -> Iterator[NDArray[np.uint8]]:
    """A bright spot that wanders over a dark ground."""
    for index in range(frames):
        picture = np.full((size[1], size[0], 3), 20 + index % 5, np.uint8)
        x, y = 12 + index * 3 % (size[0] - 24), 12 + index * 5 % (size[1] - 24)
        picture[y : y + 6, x : x + 6] = 250
        yield picture


def spot_motion(frames: int, rate: Fraction = Fraction(24)) -> PoseSequence:
    """A motion as the spot makes it."""
    detector = BrightSpot(None, hands=False, face=False)
    found = [detector.detect(picture) for picture in spot_pictures(frames)]
    ticks, time_base = even_ticks(frames, rate)
    return PoseSequence(
        np.stack([spot.points for spot in found if spot]),
        np.stack([spot.scores for spot in found if spot]),
        ticks,
        time_base,
        (64, 96),
        DRAW_THRESHOLD,
    )
