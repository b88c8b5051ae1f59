"""What kind of clip a file is, known before any work is planned for it."""

from pathlib import Path
from typing import Final

from animcli.errors import InputError
from animcli.pose.drawn import Kind, recognise
from animcli.video.read import open_footage

LOOKS: Final = 3
"""Frames that are looked at: the first, and others evenly further on."""


def kind_of_clip(path: Path) -> Kind:
    """What a clip is, by a few of its frames.

    What can't be read is taken for footage: the stage that reads all of it says what is
    wrong with it, and of several clips the others are still done.
    """
    if not path.exists():
        return Kind.FOOTAGE
    try:
        with open_footage(path, keep_going=True, quick=True) as reader:
            step = max((reader.info.frames or 1) // LOOKS, 1)
            pictures = [
                next(reader.frames(place), None) for place in range(0, LOOKS * step, step)
            ]
    except InputError:
        return Kind.FOOTAGE
    return recognise(frame.picture for frame in pictures if frame is not None)
