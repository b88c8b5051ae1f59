"""Render presets: everything that one may choose about a render, checked on the way in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """The choices of one render."""

    name: str
    about: str
    renderer: str
    width: int = 512
    height: int = 768
    seed: int = 42
