"""Render presets: everything that one may choose about a render, checked on the way in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from animcli.errors import PresetError
from animcli.settings import (
    bounds_of,
    changed,
    check_table,
    key,
    keys_of,
    line_of,
    near,
    read_toml,
)

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
WINDOWS_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)
"""Names that Windows keeps for devices, whatever the suffix."""

DIFFUSION: Final = frozenset({"animate-anyone", "tiny", "magic-animate", "cinemo"})
"""Renderers that denoise, and so listen to the keys about it."""

DRAWINGS: Final[Mapping[str, str]] = {
    "animate-anyone": "skeleton",
    "magic-animate": "densepose",
}
"""Renderers that follow drawn pictures -> the kind of pictures they follow."""

PROMPTED: Final = frozenset({"cinemo"})
"""Renderers that follow words instead of a motion."""

MOST_LCM_STEPS: Final = 50
"""That its networks were distilled in: Luo et al., arXiv:2310.04378, section 4."""

CUTOUT: Final = ("cutout",)
CINEMO: Final = ("cinemo",)
FOLLOWING: Final = ("animate-anyone", "tiny", "magic-animate")


@dataclass(frozen=True)
class Preset:
    """The choices of one render.

    name, about: what it is called, and what it is in one line; neither changes a picture.
    All other keys say what they are in their `help`.
    """

    name: str
    about: str = ""
    renderer: Literal["cutout", "tiny", "animate-anyone", "magic-animate", "cinemo"] = key(
        "cutout", "What makes the frames."
    )
    width: int = key(512, "Pixels across the result.", low=64, high=4096, multiple=8)
    height: int = key(768, "Pixels down the result.", low=64, high=4096, multiple=8)
    own_size: bool = key(
        False,
        "Take the picture's own shape, up to 1280 pixels, where no size is said.",
        only=CUTOUT,
    )
    life: float = key(
        0.0,
        "How far hair and loose clothes lag and swing; 0 is off.",
        low=0.0,
        high=2.0,
        only=CUTOUT,
    )
    seed: int = key(42, "Where the noise comes from.", low=0, high=2**63 - 1)
    steps: int = key(25, "Denoising steps.", low=1, high=1000, diffusion=True)
    guidance: float = key(
        3.5,
        "How far to lean on the reference; Cinemo, on the words. 1 is off.",
        low=1,
        high=30,
        diffusion=True,
    )
    guidance_start: float = key(
        0.0, "Fraction of the steps before guidance.", low=0, high=1, diffusion=True
    )
    guidance_stop: float = key(
        1.0,
        "Fraction of the steps after which there is none.",
        low=0,
        high=1,
        diffusion=True,
    )
    guidance_rescale: float = key(
        0.0, "How far to undo guidance's gain in contrast.", low=0, high=1, diffusion=True
    )
    sampler: Literal["ddim", "dpmpp-2m", "unipc", "euler", "lcm"] = key(
        "ddim", "How a step is taken.", diffusion=True
    )
    window: int = key(24, "Frames denoised at once.", low=1, high=256, diffusion=True)
    overlap: int = key(
        4, "Frames that neighbouring windows share.", low=0, high=255, diffusion=True
    )
    windows: Literal["uniform", "moving"] = key(
        "uniform", "The published window table, or seams that move.", diffusion=True
    )
    stride: int = key(
        1,
        "Rounds of ever wider spaced windows in the published table.",
        low=1,
        high=4,
        diffusion=True,
    )
    noise: Literal["independent", "tiled", "shared"] = key(
        "independent",
        "Noise of its own for every frame, repeated, or partly in common.",
        diffusion=True,
    )
    latent_spacing: int = key(
        1,
        "Denoise every Nth frame, and fill in the latents between.",
        low=1,
        high=16,
        only=FOLLOWING,
    )
    latent_filling: Literal["linear", "spherical"] = key(
        "spherical", "Fill in along a line, or along an arc.", only=FOLLOWING
    )
    halves: Literal["auto", "together", "apart"] = key(
        "auto",
        "Guidance in one call of the network, or in two; by the device's memory.",
        diffusion=True,
    )
    compiled: bool = key(
        False, "Compile the network first: minutes, for faster steps.", diffusion=True
    )
    strength: float = key(
        0.5,
        "With --start-from: fraction of the steps that are done; 1 keeps nothing of it.",
        low=0,
        high=1,
        only=FOLLOWING,
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = key(
        "auto",
        "Precision of the networks; auto is float16 on a GPU, float32 on a processor.",
        diffusion=True,
    )
    prompt: str = key("", "What happens in the result, in English.", only=CINEMO)
    negative_prompt: str = key("", "What guidance leads away from.", only=CINEMO)
    source_prompt: str = key(
        "", "What happens in the clip that motion is taken from.", only=CINEMO
    )
    motion_strength: int = key(
        10, "How much moves; 1 is least.", low=1, high=20, only=CINEMO
    )
    motion_id: float | None = key(
        None, "The same as the network hears it: 100 less the strength.", only=CINEMO
    )
    refine: float = key(
        0.23,
        "Fraction of the frequencies in which noise takes the picture's layout.",
        low=0,
        high=1,
        only=CINEMO,
    )
    refine_timestep: int = key(
        975, "How noisy the picture is for that.", low=0, high=999, only=CINEMO
    )
    lengthen: Literal["overlap", "continue"] = key(
        "overlap",
        "Beyond a window: overlap from the first frame, or go on from the last.",
        only=CINEMO,
    )
    decoder: Literal["temporal", "frame"] = key(
        "temporal", "Decode frames with their neighbours, or one by one.", only=CINEMO
    )

    def __post_init__(self) -> None:
        if self.overlap >= self.window:
            raise ValueError(
                f"overlap {self.overlap} must be smaller than window {self.window}"
            )
        if self.sampler == "lcm" and self.steps > MOST_LCM_STEPS:
            raise ValueError(
                f"the sampler lcm takes at most {MOST_LCM_STEPS} steps, not {self.steps}"
            )

    @property
    def skipped_steps(self) -> int:
        """Steps that are left out where denoising starts from frames."""
        return self.steps - round(self.strength * self.steps)

    def listens_to(self, name: str) -> bool:
        """Whether this preset's renderer does anything with the key."""
        bounds = bounds_of(keys_of(Preset)[name])
        if bounds.only:
            return self.renderer in bounds.only
        return self.renderer in DIFFUSION or not bounds.diffusion


def shipped_presets() -> Path:
    """The folder of the presets that come with animcli."""
    package = Path(__file__).resolve().parent
    installed = package / "_presets"  # put there by the wheel, not by an editable install
    return installed if installed.is_dir() else package.parent / "presets"


def find_presets(project: Path | None = None) -> dict[str, Path]:
    """Every preset's file by its name; those in `presets/` of a project go first."""
    found = {}
    for folder in (shipped_presets(), project / "presets" if project else None):
        for path in sorted(folder.glob("*.toml")) if folder else ():
            if is_name(path.stem):
                found[path.stem] = path
    return found


def is_name(name: str) -> bool:
    """Whether a preset may be called so, on every system."""
    return NAME.fullmatch(name) is not None and name not in WINDOWS_DEVICES


def load_preset(name: str, project: Path | None = None) -> Preset:
    """The preset called `name`, from the project's folder or those shipped.

    Raises PresetError, naming the file, the key and its value.
    """
    if not is_name(name):
        raise PresetError(
            f"{name!r} can't be a preset: a name holds a-z 0-9 _ -, at most 64 of them"
        )
    found = find_presets(project)
    if name not in found:
        raise PresetError(
            f"no preset '{name}'", near(name, found) or "`anim presets list` shows them"
        )
    return read_preset(found[name])


def advice(path: Path) -> str:
    """When to use the preset in a file: its first line."""
    first, _, _ = path.read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("#").strip()


def read_preset(path: Path) -> Preset:
    """The preset in a file. Raises PresetError, naming the file, the key and its value."""
    table, text = read_toml(path, PresetError)
    about = table.pop("about", "")
    if not isinstance(about, str):
        raise PresetError(f"{path}:{line_of(text, 'about')}: about is text, not {about!r}")
    homes = dict.fromkeys(keys_of(Preset), Preset)
    values = check_table(homes, table, path, text, PresetError)
    try:
        preset = changed(Preset(path.stem, about), values)
    except ValueError as error:
        raise PresetError(f"{path}: {error}") from error
    for name in values:
        if not preset.listens_to(name):
            raise PresetError(
                f"{path}:{line_of(text, name)}: {name} means nothing to the renderer "
                f"{preset.renderer}",
                "take the line out",
            )
    return preset
