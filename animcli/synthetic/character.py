"""A figure: everything about a character that doesn't move, from a seed.

Its colours, and the lengths and widths of its body, from a child to a giant.
"""

import colorsys
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

SKINS: tuple[Colour, ...] = (
    (255, 224, 205), (250, 213, 188), (241, 194, 160), (232, 182, 144), (224, 172, 120),
    (205, 148, 100), (184, 126, 84), (160, 105, 66), (133, 84, 52), (106, 66, 42),
    (86, 54, 38),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (28, 24, 26), (44, 34, 30), (66, 44, 32), (94, 62, 40), (128, 86, 52), (164, 116, 70),
    (205, 164, 104), (232, 204, 148), (150, 66, 34), (188, 92, 48), (128, 128, 132),
    (206, 206, 208),
)  # fmt: skip
BRIGHT_HAIRS: tuple[Colour, ...] = (
    (214, 74, 130), (86, 120, 214), (60, 160, 150), (132, 82, 180), (204, 60, 56),
)  # fmt: skip
EYES: tuple[Colour, ...] = (
    (74, 48, 32), (96, 66, 40), (58, 96, 140), (70, 116, 84), (96, 108, 118), (40, 34, 34),
)  # fmt: skip
NEUTRALS: tuple[Colour, ...] = (
    (245, 243, 238), (226, 222, 212), (188, 188, 190), (122, 124, 130), (70, 72, 80),
    (38, 40, 48), (28, 26, 30), (46, 58, 92), (196, 172, 138), (112, 86, 62),
)  # fmt: skip


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue, saturation and value, each 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours, slightly off."""
    colour = np.array(colours[rng.integers(len(colours))]) + rng.normal(0, 4, 3)
    red, green, blue = (int(c) for c in np.clip(colour, 0, 255))
    return red, green, blue


def cloth_colour(rng: np.random.Generator) -> Colour:
    """A colour that clothes have: two in three bright or muted, one neutral."""
    if rng.random() < 0.35:
        return one_of(rng, NEUTRALS)
    if rng.random() < 0.5:
        return from_hsv(rng.random(), rng.uniform(0.5, 0.85), rng.uniform(0.6, 0.97))
    return from_hsv(rng.random(), rng.uniform(0.2, 0.5), rng.uniform(0.35, 0.9))


def contrasting_colour(rng: np.random.Generator, other: Colour) -> Colour:
    """A cloth colour that is easily told from `other`."""
    best, far = other, -1
    for _ in range(4):
        colour = cloth_colour(rng)
        distance = sum(abs(a - b) for a, b in zip(colour, other, strict=True))
        if distance > far:
            best, far = colour, distance
    return best


def shade(colour: Colour, factor: float) -> Colour:
    """The colour darker (below 1) or lighter (above 1)."""
    red, green, blue = (int(min(max(c * factor, 0), 255)) for c in colour)
    return red, green, blue


def pastel(rng: np.random.Generator) -> Colour:
    """A quiet colour, for what is behind."""
    return from_hsv(rng.random(), rng.uniform(0.03, 0.4), rng.uniform(0.55, 0.97))


def ramp(width: int, height: int, top: Colour, bottom: Colour) -> NDArray[np.uint8]:
    """A picture `(h, w, 3)` that goes from one colour to another."""
    share = np.linspace(0, 1, max(height, 0), dtype=np.float32)[:, None]
    band = np.array(top) * (1 - share) + np.array(bottom) * share  # (h, 3)
    return np.repeat(band[:, None].astype(np.uint8), width, axis=1)


@dataclass(frozen=True)
class Proportions:
    """Lengths in metres; widths are radii, seen from the front.

    height: from the sole to the crown. head: from the chin to the crown.
    torso: from the hip keypoints to the shoulder line. ankle: of the joint over the floor.
    shoulder_width, hip_width: from joint to joint.
    build: 0 is average, -1 thin, 1 stout. age: 0 a small child, 1 grown up.
    femininity: 0..1, how the widths are distributed.
    """

    height: float
    head: float
    neck: float
    torso: float
    ankle: float
    shoulder_width: float
    _: KW_ONLY
    hip_width: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    foot: float
    chest_radius: float
    waist_radius: float
    hip_radius: float
    thigh_radius: float
    knee_radius: float
    calf_radius: float
    ankle_radius: float
    arm_radius: float
    elbow_radius: float
    wrist_radius: float
    neck_radius: float
    head_radius: float
    build: float
    age: float
    femininity: float


def draw_proportions(rng: np.random.Generator) -> Proportions:
    """A body, mostly a grown-up's; one in four is a child's."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def mix(child: float, adult: float) -> float:
        return child + (adult - child) * age

    age = between(0.0, 0.8) if rng.random() < 0.25 else 1.0
    build = float(np.clip(rng.normal(0.0, 0.45), -1, 1))
    femininity = between(0, 1)
    height = mix(0.95, between(1.5, 2.0)) * between(0.95, 1.05)
    if rng.random() < 0.04:
        height *= 1.25  # a giant
    heads = mix(4.4, 7.3) * between(0.88, 1.08)  # of them the figure is high
    head = height / heads
    neck = height * mix(0.025, 0.045) * between(0.85, 1.15)
    hip_height = height * mix(0.42, 0.51) * between(0.96, 1.04)
    torso = height - head - neck - hip_height
    ankle = height * 0.042
    leg = hip_height - ankle
    girth = float(np.exp(0.42 * build)) * mix(1.12, 1.0)
    shoulder_width = height * mix(0.175, 0.208) * between(0.93, 1.07)
    shoulder_width *= 1.08 - 0.13 * femininity * age + 0.06 * build
    hip_width = height * 0.105 * (0.95 + 0.12 * femininity) * (1 + 0.12 * build)
    arm = height * mix(0.30, 0.335) * between(0.95, 1.05)
    limb = height * girth * between(0.92, 1.08)
    return Proportions(
        height=height,
        head=head,
        neck=neck,
        torso=torso,
        ankle=ankle,
        shoulder_width=shoulder_width,
        hip_width=hip_width,
        upper_arm=arm * 0.54,
        forearm=arm * 0.46,
        hand=height * 0.098 * between(0.9, 1.1),
        thigh=leg * 0.515,
        shin=leg * 0.485,
        foot=height * 0.145 * between(0.92, 1.08),
        chest_radius=shoulder_width * 0.47 + 0.012 * height * (girth - 1),
        waist_radius=height * 0.073 * girth**1.35 * (1.06 - 0.16 * femininity * age),
        hip_radius=height * 0.084 * girth * (0.96 + 0.14 * femininity * age),
        thigh_radius=limb * 0.046 * (1 + 0.08 * femininity),
        knee_radius=limb * 0.031,
        calf_radius=limb * 0.033,
        ankle_radius=height * 0.021 * girth**0.5,
        arm_radius=limb * 0.0265 * (1.08 - 0.15 * femininity),
        elbow_radius=limb * 0.0215,
        wrist_radius=height * 0.0155 * girth**0.5,
        neck_radius=height * mix(0.033, 0.033) * girth**0.5 * (1.05 - 0.18 * femininity),
        head_radius=head * 0.36 * between(0.94, 1.1) * (1 + 0.06 * build),
        build=build,
        age=age,
        femininity=femininity,
    )


Pattern = Literal[
    "plain", "stripes", "pinstripes", "bars", "checks", "dots", "noise", "camouflage"
]
Top = Literal["tank", "t-shirt", "sweater", "shirt", "hoodie", "jacket", "coat"]
Bottom = Literal["trousers", "wide", "leggings", "shorts", "skirt", "long-skirt", "dress"]
HairCut = Literal[
    "bald", "crop", "short", "side", "spikes", "bob", "long", "ponytail", "pigtails", "bun",
    "afro", "curls",
]  # fmt: skip
Hat = Literal["none", "cap", "beanie", "brim", "band"]
Print = Literal["none", "star", "disc", "letter", "stripe", "heart"]
Shading = Literal["flat", "cel", "soft"]


@dataclass(frozen=True)
class Cloth:
    """Fabric of a garment. scale: size of the pattern, 1 is about 10 cm."""

    pattern: Pattern
    colour: Colour
    second: Colour
    scale: float
    folds: float


@dataclass(frozen=True)
class Outfit:
    """Clothes of the figure. Lengths are shares of the limb that a garment covers.

    looseness: how far cloth stands off the body, in limb radii.
    """

    top: Top
    bottom: Bottom
    upper: Cloth
    lower: Cloth
    inner: Cloth
    sleeve: float
    _: KW_ONLY
    leg: float
    looseness: float
    print: Print
    print_colour: Colour
    shoe: Colour
    sole: Colour
    sock: Colour
    socks: float
    belt: bool
    scarf: bool
    gloves: bool


@dataclass(frozen=True)
class Looks:
    """Skin, face and hair."""

    skin: Colour
    hair: Colour
    cut: HairCut
    volume: float
    fringe: float
    hat: Hat
    _: KW_ONLY
    hat_colour: Colour
    eye: Colour
    eye_size: float
    eye_height: float
    brow: float
    nose: float
    mouth: float
    smile: float
    lips: Colour
    beard: float
    moustache: bool
    glasses: float
    freckles: bool
    blush: float
    fingers: bool


@dataclass(frozen=True)
class Style:
    """Style of the drawing. outline: width in 1/256 of the picture, 0 for none."""

    shading: Shading
    outline: float
    outline_darkness: float
    contrast: float


@dataclass(frozen=True)
class Character:
    """A character: bones, clothes, face, and the manner in which it is drawn."""

    seed: int
    proportions: Proportions
    outfit: Outfit
    looks: Looks
    style: Style

    @classmethod
    def from_seed(cls, seed: int) -> "Character":
        """The character of this seed."""
        rng = np.random.default_rng([seed, 1])
        bones = draw_proportions(rng)
        outfit = _draw_outfit(rng, bones)
        return cls(seed, bones, outfit, _draw_looks(rng, bones), _draw_style(rng))


def _draw_cloth(rng: np.random.Generator, colour: Colour, plain: float) -> Cloth:
    patterns: tuple[Pattern, ...] = (
        "stripes", "pinstripes", "bars", "checks", "dots", "noise", "camouflage",
    )  # fmt: skip
    pattern: Pattern = "plain"
    if rng.random() > plain:
        pattern = patterns[rng.integers(len(patterns))]
    second = contrasting_colour(rng, colour)
    return Cloth(
        pattern,
        colour,
        second,
        float(rng.uniform(0.5, 1.5)),
        float(rng.uniform(0, 1)),
    )


def _draw_outfit(rng: np.random.Generator, bones: Proportions) -> Outfit:
    tops: tuple[Top, ...] = (
        "tank", "t-shirt", "t-shirt", "sweater", "sweater", "shirt", "hoodie", "jacket",
        "coat",
    )  # fmt: skip
    top = tops[rng.integers(len(tops))]
    skirted = rng.random() < 0.75 * max(bones.femininity - 0.25, 0)
    legs: tuple[Bottom, ...] = ("trousers", "trousers", "wide", "leggings", "shorts")
    skirts: tuple[Bottom, ...] = ("skirt", "long-skirt", "dress", "dress")
    pool = skirts if skirted else legs
    bottom = pool[rng.integers(len(pool))]
    first = cloth_colour(rng)
    second = contrasting_colour(rng, first)
    upper = _draw_cloth(rng, first, 0.5)
    lower = upper if bottom == "dress" else _draw_cloth(rng, second, 0.7)
    if bottom == "dress" and top in ("jacket", "coat", "hoodie", "shirt"):
        top = "t-shirt"
    sleeves = {"tank": 0.0, "t-shirt": rng.uniform(0.2, 0.48)}
    lengths = {
        "shorts": rng.uniform(0.2, 0.5),
        "skirt": rng.uniform(0.22, 0.5),
        "dress": rng.uniform(0.3, 0.85),
        "long-skirt": rng.uniform(0.6, 0.9),
    }
    return Outfit(
        top=top,
        bottom=bottom,
        upper=upper,
        lower=lower,
        inner=_draw_cloth(rng, contrasting_colour(rng, first), 0.7),
        sleeve=float(sleeves.get(top, 1.0 if rng.random() < 0.8 else 0.6)),
        leg=float(lengths.get(bottom, 1.0 if rng.random() < 0.8 else 0.85)),
        looseness=float(rng.uniform(0.0, 0.45)),
        print=("none", "none", "star", "disc", "letter", "stripe", "heart")[
            rng.integers(7)
        ],
        print_colour=contrasting_colour(rng, first),
        shoe=cloth_colour(rng),
        sole=(236, 234, 228) if rng.random() < 0.6 else (52, 48, 46),
        sock=cloth_colour(rng),
        socks=float(rng.choice([0.0, 0.12, 0.25, 0.6])),
        belt=bool(rng.random() < 0.35),
        scarf=bool(rng.random() < 0.1),
        gloves=bool(rng.random() < 0.06),
    )


def _draw_looks(rng: np.random.Generator, bones: Proportions) -> Looks:
    skin = one_of(rng, SKINS)
    if rng.random() < 0.02:  # somebody from elsewhere
        skin = from_hsv(rng.random(), 0.35, 0.8)
    hair = one_of(rng, BRIGHT_HAIRS if rng.random() < 0.12 else HAIRS)
    men: tuple[HairCut, ...] = (
        "bald",
        "crop",
        "short",
        "short",
        "side",
        "curls",
        "spikes",
        "afro",
    )
    women: tuple[HairCut, ...] = (
        "bob", "long", "long", "ponytail", "bun", "side", "curls", "afro", "pigtails",
    )  # fmt: skip
    cuts = women if rng.random() < bones.femininity else men
    hats: tuple[Hat, ...] = ("cap", "beanie", "brim", "band")
    bearded = bones.age == 1 and bones.femininity < 0.45 and rng.random() < 0.4
    return Looks(
        skin=skin,
        hair=hair,
        cut=cuts[rng.integers(len(cuts))],
        volume=float(rng.uniform(0, 1)),
        fringe=float(rng.uniform(0, 1)),
        hat=hats[rng.integers(len(hats))] if rng.random() < 0.22 else "none",
        hat_colour=cloth_colour(rng),
        eye=one_of(rng, EYES),
        eye_size=float(rng.uniform(0.75, 1.25) * (1.25 - 0.25 * bones.age)),
        eye_height=float(rng.uniform(0.44, 0.5)),
        brow=float(rng.uniform(-1, 1)),
        nose=float(rng.uniform(0.7, 1.3)),
        mouth=float(rng.uniform(0.7, 1.25)),
        smile=float(rng.uniform(-0.2, 1)),
        lips=(196, 70, 78) if rng.random() < 0.5 * bones.femininity else (0, 0, 0),
        beard=float(rng.uniform(0.4, 1)) if bearded else 0.0,
        moustache=bool(bearded and rng.random() < 0.7),
        glasses=float(rng.uniform(0.8, 1.3)) if rng.random() < 0.18 else 0.0,
        freckles=bool(rng.random() < 0.12),
        blush=float(rng.uniform(0, 1)) * 0.6,
        fingers=bool(rng.random() < 0.5),
    )


def _draw_style(rng: np.random.Generator) -> Style:
    shadings: tuple[Shading, ...] = ("flat", "cel", "cel", "soft", "soft")
    return Style(
        shading=shadings[rng.integers(len(shadings))],
        outline=float(rng.uniform(0.5, 1.4)) if rng.random() < 0.6 else 0.0,
        outline_darkness=float(rng.uniform(0.3, 0.9)),
        contrast=float(rng.uniform(0.6, 1.1)),
    )
