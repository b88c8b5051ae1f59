"""The page with a small stand-in for detector and renderer, whose work waits at a gate.

    python tests/page_stand_ins.py studio --no-browser -p FOLDER

A file that `ANIM_TEST_GATE` names holds a number: so many steps of a render may be done.
Without the file nothing waits.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import batch_stand_ins
from builders.stages import Gradient

from animcli.rendering.renderer import Checkpoint, FrameFn, Progress, RenderRequest


class GatedGradient(Gradient):
    """The ramp of `Gradient`, each of whose three steps waits until it is let through."""

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        gate = os.environ.get("ANIM_TEST_GATE")

        def waiting(what: str, done: int, of: int) -> None:
            progress("denoising", done, of)
            while gate and Path(gate).exists() and int(Path(gate).read_text() or 0) < done:
                time.sleep(0.02)

        return super().prepare(request, checkpoint, waiting)


def register() -> None:
    """Put the stand-ins in their places."""

    from animcli.registry import RENDERERS, RendererEntry

    batch_stand_ins.register()
    RENDERERS["cutout"] = RendererEntry("page_stand_ins:GatedGradient", 1, ("numpy",))


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
