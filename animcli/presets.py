"""Render presets: everything that one may choose about a render, checked on the way in."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final, Literal

from animcli.errors import PresetError
from animcli.registry import (
    RendererEntry,
    RendererName,
    Trait,
    renderer_entry,
    renderers_with,
)
from animcli.settings import (
    changed,
    check_table,
    constraint_of,
    line_of,
    read_toml,
    setting,
    settings_in,
    suggest,
)

PRESET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
WINDOWS_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)
"""Names that Windows keeps for devices, whatever the suffix."""

_CUTOUT: Final = renderers_with(Trait.FIGURE)
_CINEMO: Final = ("cinemo",)
_OWN: Final = renderers_with(Trait.OWN_NETWORKS)
_WINDOWED: Final = renderers_with(Trait.WINDOWED)
_KEYFRAMES: Final = renderers_with(Trait.KEYFRAMES)
_PROMPT: Final = renderers_with(Trait.PROMPT)
_PUBLISHED: Final = renderers_with(Trait.PUBLISHED)
_CONTROLNET: Final = renderers_with(Trait.CONTROLNET)
_IP_ADAPTER: Final = renderers_with(Trait.IP_ADAPTER)
_WAN: Final = renderers_with(Trait.WAN)
_REPLACES: Final = renderers_with(Trait.REPLACES)
"""Renderers that alone listen to some keys."""

MOST_LCM_STEPS: Final = 50
"""That its networks were distilled in: Luo et al., arXiv:2310.04378, section 4."""

CARRIES: Final = (1, 5)
"""Frames that a segment may take over: with others the VAE's groups of four don't close."""
MOST_LORA: Final = 10.0
"""Of the weight of a LoRA, either way; beyond 1 or 2 pictures fall apart."""


@dataclass(frozen=True)
class Preset:
    """The choices of one render.

    name, about: what it is called, and what it is in one line; neither changes a picture.
    All other keys say what they are in their `help`.
    """

    name: str
    about: str = ""
    renderer: RendererName = setting("cutout", "Renderer.")  # noqa: RUF009
    width: int = setting(
        512, "Width of the result in pixels.", low=64, high=4096, multiple=8
    )
    height: int = setting(
        768, "Height of the result in pixels.", low=64, high=4096, multiple=8
    )
    own_size: bool = setting(
        False,
        "Take the picture's own shape, up to 1280 pixels, where no size is said.",
        only=_CUTOUT,
    )
    _: KW_ONLY
    life: float = setting(
        0.0,
        "How far hair and loose clothes lag and swing; 0 is off.",
        low=0.0,
        high=2.0,
        only=_CUTOUT,
    )
    expression: bool = setting(
        False,
        "Blink, open the mouth and move fingers as in the driving video.",
        only=_CUTOUT,
    )
    seed: int = setting(42, "Random seed.", low=0, high=2**63 - 1)
    steps: int = setting(25, "Denoising steps.", low=1, high=1000, diffusion=True)
    guidance: float = setting(
        3.5,
        "Classifier-free guidance scale (1 = off).",
        low=1,
        high=30,
        diffusion=True,
    )
    guidance_start: float = setting(
        0.0,
        "Fraction of the steps at which guidance starts.",
        low=0,
        high=1,
        diffusion=True,
    )
    guidance_stop: float = setting(
        1.0,
        "Fraction of the steps at which guidance stops.",
        low=0,
        high=1,
        diffusion=True,
    )
    guidance_rescale: float = setting(
        0.0, "Guidance rescale factor (0 = off).", low=0, high=1, only=_WINDOWED
    )
    sampler: Literal["ddim", "dpmpp-2m", "unipc", "euler", "lcm"] = setting(
        "ddim", "Sampler (diffusion scheduler).", diffusion=True
    )
    window: int = setting(
        24, "Context window: frames denoised together.", low=1, high=256, only=_WINDOWED
    )
    overlap: int = setting(
        4,
        "Frames that neighbouring context windows share.",
        low=0,
        high=255,
        only=_WINDOWED,
    )
    windows: Literal["uniform", "moving"] = setting(
        "uniform",
        "Context schedule: the published one, or windows that move with the steps.",
        only=_WINDOWED,
    )
    stride: int = setting(
        1,
        "Rounds of windows of ever wider stride in the published schedule.",
        low=1,
        high=4,
        only=_WINDOWED,
    )
    noise: Literal["independent", "tiled", "shared"] = setting(
        "independent",
        "Noise of the frames: independent, tiled, or partly shared.",
        only=_WINDOWED,
    )
    keyframe_interval: int = setting(
        1,
        "Denoise every Nth frame, and interpolate the latents between.",
        low=1,
        high=16,
        only=_KEYFRAMES,
    )
    interpolation: Literal["linear", "spherical"] = setting(
        "spherical", "Interpolation of latents between keyframes.", only=_KEYFRAMES
    )
    cfg_batch: Literal["auto", "on", "off"] = setting(
        "auto",
        "Run both halves of guidance as one batch; auto: if the memory allows.",
        only=_WINDOWED,
    )
    deep_interval: int = setting(
        1,
        "Steps from one full pass through the network to the next; 1 is always.",
        low=1,
        high=20,
        diffusion=True,
    )
    deep_branch: int = setting(
        2,
        "With --deep-interval: skip connections that every step works out, less one.",
        low=0,
        high=11,
        diffusion=True,
    )
    guidance_interval: int = setting(
        1,
        "Steps from one prediction without the reference to the next; 1 is always.",
        low=1,
        high=20,
        diffusion=True,
    )
    compiled: bool = setting(
        False,
        "Compile the network first (torch.compile): minutes, for faster steps.",
        only=_OWN,
    )
    strength: float = setting(
        0.5,
        "With --start-from: fraction of the steps that are done; 1 keeps nothing of it.",
        low=0,
        high=1,
        only=_KEYFRAMES,
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "Precision of the networks; auto is float16 on a GPU, float32 on a CPU.",
        diffusion=True,
    )
    lora: str = setting(
        "",
        "LoRA files to add, with their weights: FILE:0.8, several with commas.",
        only=_PUBLISHED,
    )
    prompt: str = setting("", "Prompt, in English.", only=_PROMPT)
    negative_prompt: str = setting("", "Negative prompt.", only=_PROMPT)
    source_prompt: str = setting(
        "", "Prompt of the clip that motion is taken from.", only=_CINEMO
    )
    motion_strength: int = setting(
        10, "Amount of motion; 1 is least.", low=1, high=20, only=_CINEMO
    )
    motion_bucket: float | None = setting(
        None, "Motion bucket, in place of the strength: 100 minus that.", only=_CINEMO
    )
    refine: float = setting(
        0.23,
        "DCT refinement: share of low frequencies that noise takes from the picture.",
        low=0,
        high=1,
        only=_CINEMO,
    )
    refine_timestep: int = setting(
        975,
        "DCT refinement: timestep of the picture's noise.",
        low=0,
        high=999,
        only=_CINEMO,
    )
    extend: Literal["overlap", "continue"] = setting(
        "overlap",
        "Clips beyond a window: overlap windows, or continue from the last frame.",
        only=_CINEMO,
    )
    decoder: Literal["temporal", "frame"] = setting(
        "temporal", "VAE decoder: temporal, or frame by frame.", only=_CINEMO
    )
    reference_scale: float = setting(
        0.7,
        "How far the picture counts beside the words (IP-Adapter's scale).",
        low=0,
        high=1,
        only=_IP_ADAPTER,
    )
    pose_scale: float = setting(
        1.0,
        "How far the skeleton counts (ControlNet's scale).",
        low=0,
        high=2,
        only=_CONTROLNET,
    )
    segment: int = setting(
        77, "Frames denoised at once, a multiple of 4 and one.", low=5, high=161, only=_WAN
    )
    carry: int = setting(
        1,
        "Frames that a segment takes over from the one before: 1 or 5.",
        low=1,
        high=5,
        only=_WAN,
    )
    shift: float = setting(
        5.0,
        "How far the steps lean towards much noise (flow shift).",
        low=0.1,
        high=20,
        only=_WAN,
    )
    quantise: Literal["none", "int8", "gguf"] = setting(
        "none", "The large network in fewer bits, from a file or on the way in.", only=_WAN
    )
    mask_grow: int = setting(
        9,
        "How far beyond the person the picture is made anew, in pixels of a 720 high one.",
        low=0,
        high=200,
        only=_REPLACES,
    )
    mask_cells: str = setting(
        "1x1",
        "Cells of the person's box, across and down, that are made anew; outline for none.",
        form=(r"outline|[1-9]\d?x[1-9]\d?", "outline, 1x1, 4x8"),
        only=_REPLACES,
    )
    relight: float = setting(
        0.0,
        "How far the relighting LoRA counts; 0 is without.",
        low=0,
        high=2,
        only=_REPLACES,
    )

    def __post_init__(self) -> None:
        if self.overlap >= self.window:
            raise ValueError(
                f"overlap {self.overlap} must be smaller than window {self.window}"
            )
        if self.segment % 4 != 1:
            raise ValueError(
                f"segment {self.segment} isn't a multiple of 4 and one; nearest is "
                f"{round((self.segment - 1) / 4) * 4 + 1}"
            )
        if self.carry not in CARRIES:
            raise ValueError(f"carry is 1 or 5, not {self.carry}")
        if self.carry >= self.segment:
            raise ValueError(
                f"carry {self.carry} leaves nothing of a segment of {self.segment}"
            )
        if self.sampler == "lcm" and self.steps > MOST_LCM_STEPS:
            raise ValueError(
                f"the sampler lcm takes at most {MOST_LCM_STEPS} steps, not {self.steps}"
            )

        read_loras(self.lora)
        if self.guidance_interval > 1 and self.guidance_interval % self.deep_interval:
            raise ValueError(
                f"guidance_interval {self.guidance_interval} must be 1 or a multiple of "
                f"deep_interval {self.deep_interval}"
            )

    @property
    def loras(self) -> tuple[tuple[str, float], ...]:
        """Files of LoRA, and the weight of each."""
        return read_loras(self.lora)

    @property
    def skipped_steps(self) -> int:
        """Steps that are left out where denoising starts from frames."""
        return self.steps - round(self.strength * self.steps)

    @property
    def entry(self) -> RendererEntry:
        """The registry's entry of its renderer."""
        return renderer_entry(self.renderer)

    @property
    def weights(self) -> tuple[str, ...]:
        """Entries of the weights catalog to render with it; its renderer isn't loaded."""
        more: tuple[str, ...] = ()
        if self.has(Trait.FACE):
            more += ("wan-animate-gguf",) if self.quantise == "gguf" else ()
            more += ("wan-relight",) if self.relight and self.has(Trait.REPLACES) else ()
        return (*self.entry.weights, *more)

    def has(self, trait: Trait) -> bool:
        """True if its renderer has a trait."""
        return trait in self.entry.traits

    def supports(self, name: str) -> bool:
        """Tell if this preset's renderer uses the setting."""
        constraint = constraint_of(settings_in(Preset)[name])
        if constraint.only:
            return self.renderer in constraint.only
        return self.entry.denoises or not constraint.diffusion


def read_loras(words: str) -> tuple[tuple[str, float], ...]:
    """Files and weights from `style.safetensors:0.8,other.safetensors`; a weight may lack.

    Raises ValueError for an empty name or a weight beyond `MOST_LORA`.
    """
    found = []
    for word in words.split(",") if words else ():
        file, colon, number = word.strip().rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            file, colon, weight = word.strip(), ":", 1.0
        if not file or not colon or not abs(weight) <= MOST_LORA:
            raise ValueError(
                f"lora is FILE or FILE:WEIGHT, up to {MOST_LORA:g} of it, several with "
                f"commas, not {word.strip()!r}"
            )
        found.append((file, weight))
    return tuple(found)


def shipped_presets() -> Path:
    """The folder of the presets that come with animcli."""
    package = Path(__file__).resolve().parent
    installed = package / "_presets"  # put there by the wheel, not by an editable install
    return installed if installed.is_dir() else package.parent / "presets"


def user_presets() -> Path:
    """The folder of the user's own presets, for all projects."""
    from platformdirs import user_config_path

    return user_config_path("animcli", appauthor=False) / "presets"


def find_presets(project: Path | None = None) -> dict[str, Path]:
    """Every preset's file by its name; those in `presets/` of a project go first, then the
    user's own.
    """
    found = {}
    own = project / "presets" if project else None
    for folder in (shipped_presets(), user_presets(), own):
        for path in sorted(folder.glob("*.toml")) if folder else ():
            if is_name(path.stem):
                found[path.stem] = path
    return found


def is_name(name: str) -> bool:
    """Tell if a preset may be called so, on every system."""
    return PRESET_NAME.fullmatch(name) is not None and name not in WINDOWS_DEVICES


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
            f"no preset '{name}'", suggest(name, found) or "`anim presets list` shows them"
        )
    return read_preset(found[name], found)


def based_on(path: Path, found: Mapping[str, Path]) -> list[Path]:
    """The file of a preset, then the one that it extends, and so on.

    Raises PresetError for a preset that there isn't, or that extends itself in the end.
    """
    files = [path]
    while True:
        table, text = read_toml(files[-1], PresetError)
        base = table.get("extends")
        if base is None:
            return files
        place = f"{files[-1]}:{line_of(text, 'extends')}"
        # a preset of the project may extend the one that it stands in front of
        shipped = shipped_presets() / f"{base}.toml"
        other = found.get(str(base)) if base != files[-1].stem else shipped
        if not isinstance(base, str) or other is None or not other.is_file():
            hint = suggest(str(base), found) or "`anim presets list` shows them"
            raise PresetError(f"{place}: there is no preset {base!r} to extend", hint)
        if other in files:
            raise PresetError(f"{place}: {base} extends this one in turn")
        files.append(other)


def advice(path: Path) -> str:
    """Advice on when to use the preset in a file: its first line."""
    first, _, _ = path.read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("#").strip()


def read_preset(path: Path, found: Mapping[str, Path] | None = None) -> Preset:
    """The preset in a file, over the one that it `extends`.

    found: presets by name. Raises PresetError, naming the file, the key and its value.
    """
    files = based_on(path, found or {})
    preset = Preset(path.stem)
    for file in reversed(files):
        preset = _over(preset, file)
    return preset


def _over(base: Preset, path: Path) -> Preset:
    """A preset with the keys that a file sets."""
    table, text = read_toml(path, PresetError)
    table.pop("extends", None)
    about = table.pop("about", base.about)
    if not isinstance(about, str):
        raise PresetError(f"{path}:{line_of(text, 'about')}: about is text, not {about!r}")
    homes = dict.fromkeys(settings_in(Preset), Preset)
    values = check_table(homes, table, path, text, PresetError)
    try:
        preset = changed(base, {**values, "about": about})
    except ValueError as error:
        raise PresetError(f"{path}: {error}") from error
    for name in values:
        if not preset.supports(name):
            raise PresetError(
                f"{path}:{line_of(text, name)}: {name} has no effect with the renderer "
                f"{preset.renderer}",
                "take the line out",
            )
    return preset
