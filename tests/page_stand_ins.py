"""The page with small stand-ins for detector and renderers, whose work waits at a gate.

    python tests/page_stand_ins.py studio --no-browser -p FOLDER

A file that `ANIM_TEST_GATE` names holds a number: so many steps of a render may be done,
and of `cutout`, behind its three steps, frames. Without the file nothing waits.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import batch_stand_ins
import numpy as np
from builders.stages import BrightSpot, Gradient, Spot
from numpy.typing import NDArray

from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)

DRAW_THRESHOLD = 0.5
"""Of `BrightSpots`."""


def gated(progress: Progress) -> Progress:
    """Progress that waits until the gate lets its step through."""

    def waiting(what: str, done: int, of: int) -> None:
        progress("denoising" if what == "preparing" else what, done, of)
        if what in ("preparing", "denoising"):
            wait_at_gate(done)

    return waiting


def wait_at_gate(done: int) -> None:
    """Wait until so many steps and frames may be done."""
    gate = os.environ.get("ANIM_TEST_GATE")
    while gate and Path(gate).exists() and int(Path(gate).read_text() or 0) < done:
        time.sleep(0.02)


class GatedGradient(Gradient):
    """The ramp of `Gradient`, whose three steps and frames wait until they may be done."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        source = super().prepare(request, checkpoint, gated(progress))

        def frames(span: range) -> Iterator[NDArray[np.uint8]]:
            for index, picture in zip(span, source(span), strict=True):
                wait_at_gate(3 + index)
                yield picture

        return frames


class SmallDenoiser:
    """`tiny` with a few thousand random weights, the same each time; it needs none here."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        from builders.tiny_systems import SMALL_TINY, write_small_tiny

        motion = request.motion
        assert motion is not None
        weights = write_small_tiny(Path(tempfile.mkdtemp()))
        first = replace(
            motion, points=motion.points[:1], scores=motion.scores[:1],
            ticks=motion.ticks[:1],
        )  # fmt: skip
        asked = replace(request, weights=weights, reference_pose=first)
        return SMALL_TINY.prepare(asked, checkpoint, gated(progress))


class BrightSpots(BrightSpot):
    """Takes each bright spot for a person."""

    def people(self, picture: NDArray[np.uint8]) -> tuple[Spot, ...]:
        from scipy import ndimage

        spots, count = ndimage.label(picture.sum(axis=2) > 600)
        if count < 2:
            return super().people(picture)
        alone = (np.where((spots == n)[..., None], picture, 0) for n in range(1, count + 1))
        return tuple(found for each in alone if (found := self.detect(each)) is not None)


def register() -> None:
    """Put the stand-ins in their places."""
    from animcli.pose.detectors import registry
    from animcli.registry import RENDERERS

    batch_stand_ins.register()
    for name, place in (("cutout", "GatedGradient"), ("tiny", "SmallDenoiser")):
        entry = RENDERERS[name]
        place = f"page_stand_ins:{place}"
        RENDERERS[name] = replace(entry, place=place, libraries=("numpy",), weights=())
    registry.DETECTORS["blazepose"] = registry.DetectorEntry(
        "page_stand_ins:BrightSpots", ""
    )


def work(request: Mapping[str, Any], tell: Any) -> dict[str, Any]:
    """Do what the page asks for."""
    register()
    from animcli.cli import studio_job

    return studio_job.work(request, tell)


def program(words: list[str]) -> int:
    """The command line."""
    from animcli.cli import studio_words
    from animcli.cli.main import main

    register()
    studio_words.RUNNER = "page_stand_ins:work"  # type: ignore[misc]
    return main(words)


if __name__ == "__main__":
    sys.exit(program(sys.argv[1:]))
