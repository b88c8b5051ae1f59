"""Registry of the renderers: all that other rooms ask about one before it is loaded."""

from dataclasses import KW_ONLY, dataclass
from enum import Enum, auto
from fractions import Fraction
from typing import Final, Literal

from animcli.errors import PresetError

DEFAULT_RATE: Final = Fraction(24)
"""Frames per second of what doesn't say it, and of results that follow nothing."""


class Conditioning(Enum):
    """Input that moves the picture."""

    SKELETON = "skeleton"
    DENSEPOSE = "densepose"
    FOOTAGE = "footage"  # a video itself, in which no keypoints are looked for
    PROMPT = "prompt"  # words; the motion of another clip goes along, if one is given


class Trait(Enum):
    """Property that several renderers have in common; preset keys are for one of them."""

    OWN_NETWORKS = auto()  # torch modules written here
    WINDOWED = auto()  # cuts a clip into overlapping context windows
    KEYFRAMES = auto()  # can denoise some frames and interpolate, or start from frames
    DRAWN = auto()  # takes a video that is drawn already as its conditioning
    PROMPT = auto()  # hears a prompt
    PUBLISHED = auto()  # Animate Anyone, MagicAnimate, Cinemo: LoRA files, TAESD
    ORIGINAL = auto()  # looks at the reference in its own size, too
    FIGURE = auto()  # knows what is figure: casts, alpha, other backgrounds
    IP_ADAPTER = auto()
    CONTROLNET = auto()
    MOTION_FROM = auto()  # takes the motion of another clip beside its prompt
    WAN = auto()  # goes from segment to segment
    FACE = auto()  # looks at the face in the driving video
    REPLACES = auto()  # puts the character in the place of the driving video's person


WAN_PACKAGES: Final = ("accelerate", "ftfy")
"""Packages that Wan's renderers alone take: the extra `newest`."""


@dataclass(frozen=True)
class LiveValues:
    """Values alive at once in a step, in latent positions times channels of the full size,
    beside the networks. Measured by tests/benchmarks/diffusion_memory.py, which counts
    tensors, for 512 by 512 pixels, of tiny for 256 by 256; a whole window of the others
    comes to the same there within 4 %.

    frame: for each frame of a window.
    once: however many there are: what is kept of the reference, or of the first frame.
    """

    frame: float
    once: float


@dataclass(frozen=True)
class RendererEntry:
    """Class of a renderer, and what its pictures depend on.

    place: `module:class`; loaded when it is needed, since torch takes seconds.
    revision: raised whenever the same request gives other pictures than before.
    libraries: packages whose version may change the bits of a frame.
    weights: entries of the weights catalog that it renders with, whatever the preset; the
        first has its networks, and a text encoder where that is a stage of its own.
    rate: frames per second of what follows no other clip.
    native_rate: frames per second that a motion is brought to, since the network was
        trained with so many; None takes any.
    on_cpu, on_gpu: memory of a step; on a CPU feed-forward layers work in parts. None where
        the renderer tells it in its own way.
    """

    place: str
    revision: int
    libraries: tuple[str, ...]
    conditioning: Conditioning = Conditioning.SKELETON
    traits: frozenset[Trait] = frozenset()
    rate: Fraction = DEFAULT_RATE
    _: KW_ONLY
    weights: tuple[str, ...] = ()
    native_rate: Fraction | None = None
    on_cpu: LiveValues | None = None
    on_gpu: LiveValues | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that have to be installed: `libraries`, and those that change no bit."""
        besides = WAN_PACKAGES if Trait.WAN in self.traits else ()
        return tuple(dict.fromkeys((*self.libraries, *besides)))

    @property
    def denoises(self) -> bool:
        """True for a diffusion renderer."""
        return bool(self.traits & {Trait.WINDOWED, Trait.WAN})

    @property
    def drawn(self) -> str | None:
        """Kind of drawn videos that it follows: `skeleton`, `densepose`; None for none."""
        return self.conditioning.value if Trait.DRAWN in self.traits else None


RendererName = Literal[
    "cutout",
    "tiny",
    "animate-anyone",
    "magic-animate",
    "cinemo",
    "ipa-controlnet",
    "ipa-controlnet-video",
    "animatediff",
    "wan-animate",
    "wan-animate-replace",
    "wan-animate-2",
]
"""Names of `RENDERERS`, for type checkers."""

_OWN: Final = frozenset({Trait.OWN_NETWORKS, Trait.WINDOWED})
_NEWEST: Final = ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless")
_SD15: Final = frozenset({Trait.WINDOWED, Trait.IP_ADAPTER, Trait.PROMPT})
_SD15_POSE: Final = _SD15 | {Trait.CONTROLNET, Trait.KEYFRAMES, Trait.DRAWN}
_WAN: Final = frozenset({Trait.WAN, Trait.PROMPT})
_IP_ADAPTER: Final = ("sd15", "sd-vae-ft-mse", "ip-adapter")
_WAN_LIBRARIES: Final = (*_NEWEST, "accelerate", "pillow")

RENDERERS: Final[dict[str, RendererEntry]] = {
    "cutout": RendererEntry(
        "animcli.rendering.cutout:Cutout",
        4,
        ("ai-edge-litert", "numpy", "opencv-python-headless", "scipy"),
        traits=frozenset({Trait.FIGURE}),
        weights=("blazepose",),
    ),
    "tiny": RendererEntry(
        "animcli.rendering.animate_anyone:tiny",
        1,
        ("torch", "diffusers", "numpy"),
        traits=_OWN | {Trait.KEYFRAMES},
        on_cpu=LiveValues(21.6, 22.2),
        on_gpu=LiveValues(31.7, 12.1),
        weights=("tiny",),
    ),
    "animate-anyone": RendererEntry(
        "animcli.rendering.animate_anyone:AnimateAnyone",
        1,
        ("torch", "diffusers", "transformers", "numpy"),
        traits=_OWN | {Trait.KEYFRAMES, Trait.DRAWN, Trait.PUBLISHED, Trait.ORIGINAL},
        on_cpu=LiveValues(21.1, 17.6),
        on_gpu=LiveValues(30.1, 17.6),
        weights=("animate-anyone", "sd-vae-ft-mse", "clip-image-encoder"),
    ),
    "magic-animate": RendererEntry(
        "animcli.rendering.magic_animate:MagicAnimate",
        1,
        ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless"),
        Conditioning.DENSEPOSE,
        _OWN | {Trait.KEYFRAMES, Trait.DRAWN, Trait.PUBLISHED},
        on_cpu=LiveValues(33.4, 15.7),
        on_gpu=LiveValues(42.4, 15.7),
        weights=("magic-animate", "sd15", "sd-vae-ft-mse"),
    ),
    "cinemo": RendererEntry(
        "animcli.rendering.cinemo:Cinemo",
        1,
        ("torch", "diffusers", "transformers", "tokenizers", "numpy"),
        Conditioning.PROMPT,
        _OWN | {Trait.PROMPT, Trait.PUBLISHED, Trait.MOTION_FROM},
        rate=Fraction(8),  # that of the authors' results
        on_cpu=LiveValues(21.2, 25.5),
        on_gpu=LiveValues(31.2, 35.5),
        weights=("cinemo",),
    ),
    "ipa-controlnet": RendererEntry(
        "animcli.rendering.newest.ip_adapter:controlnet",
        1,
        _NEWEST,
        traits=_SD15_POSE,
        on_cpu=LiveValues(34.4, 0),
        on_gpu=LiveValues(34.4, 0),
        weights=(*_IP_ADAPTER, "controlnet-openpose"),
    ),
    "ipa-controlnet-video": RendererEntry(
        "animcli.rendering.newest.ip_adapter:controlnet_video",
        1,
        _NEWEST,
        traits=_SD15_POSE,
        on_cpu=LiveValues(34.4, 0),
        on_gpu=LiveValues(34.4, 0),
        weights=(*_IP_ADAPTER, "controlnet-openpose", "animatediff"),
    ),
    "animatediff": RendererEntry(
        "animcli.rendering.newest.ip_adapter:animatediff",
        1,
        _NEWEST,
        Conditioning.PROMPT,
        _SD15,
        rate=Fraction(8),  # that of the clips that its motion modules were trained with
        on_cpu=LiveValues(26.1, 0),
        on_gpu=LiveValues(26.1, 0),
        weights=(*_IP_ADAPTER, "animatediff"),
    ),
    "wan-animate": RendererEntry(
        "animcli.rendering.newest.wan_animate:animate",
        1,
        _WAN_LIBRARIES,
        traits=_WAN | {Trait.FACE},
        native_rate=Fraction(30),
        weights=("wan-animate",),
    ),
    "wan-animate-replace": RendererEntry(
        "animcli.rendering.newest.wan_animate:replace_person",
        1,
        ("ai-edge-litert", *_WAN_LIBRARIES),
        traits=_WAN | {Trait.FACE, Trait.REPLACES},
        native_rate=Fraction(30),
        weights=("wan-animate", "blazepose"),
    ),
    "wan-animate-2": RendererEntry(
        "animcli.rendering.newest.wan_animate_2:WanAnimate2",
        1,
        _WAN_LIBRARIES,
        Conditioning.FOOTAGE,
        _WAN,
        native_rate=Fraction(24),
        weights=("wan-animate-2",),
    ),
}


def renderer_entry(name: str) -> RendererEntry:
    """The entry of a renderer. Raises PresetError for one that there isn't."""
    if name not in RENDERERS:
        raise PresetError(f"no renderer '{name}'", f"there are {', '.join(RENDERERS)}")
    return RENDERERS[name]


def renderers_with(trait: Trait) -> tuple[str, ...]:
    """Names of the renderers that have a trait, in the order of the registry."""
    return tuple(name for name, entry in RENDERERS.items() if trait in entry.traits)


def follower_of(drawn: str) -> str:
    """Name of the first renderer that follows drawn videos of a kind."""
    return next(name for name, entry in RENDERERS.items() if entry.drawn == drawn)
