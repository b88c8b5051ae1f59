"""A clip longer than the network was trained for: the parts that it is denoised in.

Cinemo makes 15 frames after a given one. What is longer either goes on from the last frame
of what is there, part after part, or is one part whose overlapping windows all start from
the same first frame. Parts run one after another, each from one checkpoint to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animcli.rendering.renderer import Checkpoint

Lengthen = Literal["continue", "overlap"]

Arrays = Mapping[str, NDArray[np.generic]]


def cut_parts(frames: int, window: int, lengthen: Lengthen) -> list[range]:
    """The frames that each part makes, from the frame before it; frame 0 is given.

    Parts are whole windows, and may go beyond `frames`: the network knows no shorter ones,
    and a longer clip begins like a shorter one.
    """
    if lengthen == "overlap":
        return [range(1, 1 + max(frames - 1, window))]
    return [range(start, start + window) for start in range(1, max(frames, 2), window)]


@dataclass(frozen=True, eq=False)
class Chapter:
    """The checkpoint of one of several runs of the loop, within that of all.

    number: of the run, from 0.
    before: what the runs before it left, kept along.
    """

    whole: Checkpoint
    number: int
    before: Arrays

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """What this run saved last, or None."""
        kept = self.whole.load()
        return kept if kept is not None and chapter_of(kept) == self.number else None

    def save(self, arrays: Arrays) -> None:
        """Replace what was saved, by whichever run."""
        number = np.asarray(self.number)
        self.whole.save({**self.before, **arrays, "chapter": number})


def chapter_of(kept: Arrays | None) -> int:
    """The run that a checkpoint was saved by; the first if there is none."""
    return 0 if kept is None else int(kept["chapter"])
