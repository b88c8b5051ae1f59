"""The renderers, by the name that presets know them by."""

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Final

from animcli.errors import PresetError
from animcli.rendering.renderer import Renderer


@dataclass(frozen=True)
class Entry:
    """Where a renderer is, and what its pictures depend on.

    place: `module:class`; loaded when it is needed, since torch takes seconds.
    revision: raised whenever the same request gives other pictures than before.
    libraries: packages whose version may change the bits of a frame.
    rate: frames per second of what follows no other clip.
    """

    place: str
    revision: int
    libraries: tuple[str, ...]
    rate: Fraction = Fraction(24)


RENDERERS: Final[dict[str, Entry]] = {
    "cutout": Entry(
        "animcli.rendering.cutout:Cutout",
        2,
        ("ai-edge-litert", "numpy", "opencv-python-headless", "scipy"),
    ),
    "animate-anyone": Entry(
        "animcli.rendering.animate_anyone:AnimateAnyone",
        1,
        ("torch", "diffusers", "transformers", "numpy"),
    ),
    "magic-animate": Entry(
        "animcli.rendering.magic_animate:MagicAnimate",
        1,
        ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless"),
    ),
    "cinemo": Entry(
        "animcli.rendering.cinemo:Cinemo",
        1,
        ("torch", "diffusers", "transformers", "tokenizers", "numpy"),
        rate=Fraction(8),  # that of the authors' results
    ),
}


def renderer_entry(name: str) -> Entry:
    """The entry of a renderer. Raises PresetError for one that there isn't."""
    if name not in RENDERERS:
        raise PresetError(f"no renderer '{name}'", f"there are {', '.join(RENDERERS)}")
    return RENDERERS[name]


def load_renderer(name: str) -> Renderer:
    """The renderer called `name`, its module loaded now."""
    module, _, kind = renderer_entry(name).place.partition(":")
    renderer: Renderer = getattr(import_module(module), kind)()
    return renderer
