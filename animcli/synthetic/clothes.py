"""Clothes: arms and legs and what they wear, skirts and coats, as tubes; and their cloth.

Cloth is small pictures that repeat, with patterns and folds woven in. The front of a top
has prints, buttons, an open jacket; its back is plain.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.body import (
    SIDE_SIGNS,
    SKIRTS,
    TORSO,
    TORSO_DEPTH,
    Pose,
    limb,
    rod,
    thickness,
    torso_tubes,
)
from animcli.synthetic.character import Character, Cloth, Proportions, shade
from animcli.synthetic.raycast import (
    GLOVE,
    LOWER,
    SHOE,
    SKIN,
    SOCK,
    SOLE,
    UPPER,
    SweptSphere,
)

Pixels = NDArray[np.uint8]

CLOTH_TILE = 0.4  # metres; side of the square of cloth that repeats
GRAIN = 192  # pixels along it


def weave(cloth: Cloth, seed: int) -> Pixels:
    """`CLOTH_TILE` by `CLOTH_TILE` metres of the cloth, `(GRAIN, GRAIN, 3)`; it repeats
    seamlessly.
    """
    rng = np.random.default_rng([seed, 3])
    picture = np.full((GRAIN, GRAIN, 3), cloth.colour, np.uint8)
    # Patterns repeat a whole number of times, or the seams would show.
    count = {0: 3, 1: 4, 2: 6, 3: 8}[min(int((1.6 - cloth.scale) * 4), 3)]
    cell = GRAIN // count
    y, x = np.mgrid[:GRAIN, :GRAIN]
    second = np.array(cloth.second, np.uint8)
    if cloth.pattern == "stripes":
        picture[(y // (cell // 2)) % 2 == 1] = second
    elif cloth.pattern == "pinstripes":
        picture[x % cell < max(cell // 6, 2)] = second
    elif cloth.pattern == "bars":
        picture[(x // (cell // 2)) % 2 == 1] = second
    elif cloth.pattern == "checks":
        bands = ((x // (cell // 2)) % 2).astype(np.float32) + (y // (cell // 2)) % 2
        mix = (bands / 2)[..., None]
        picture = (picture * (1 - mix) + second * mix).astype(np.uint8)
    elif cloth.pattern == "dots":
        picture[
            (x % cell - cell / 2) ** 2 + (y % cell - cell / 2) ** 2 < (cell * 0.28) ** 2
        ] = second
    elif cloth.pattern == "noise":
        speck = _noise(rng, 48)[..., None] * 0.7
        picture = (picture * (1 - speck) + second * speck).astype(np.uint8)
    elif cloth.pattern == "camouflage":
        blobs = _noise(rng, 7)
        picture[blobs > 0.58] = second
        picture[blobs < 0.36] = (second * 0.5 + np.array(cloth.colour) * 0.3).astype(
            np.uint8
        )
    if cloth.folds > 0.25:
        fold = 1 - 0.12 * cloth.folds * np.clip(_noise(rng, 4) - 0.55, 0, 1)[..., None] * 2
        picture = (picture * fold).astype(np.uint8)
    return np.ascontiguousarray(picture)


def _noise(rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    """Smooth noise 0..1 that repeats, `(GRAIN, GRAIN)`."""
    coarse = rng.random((cells, cells), np.float32)
    wrapped = np.pad(coarse, 2, mode="wrap")
    size = GRAIN * (cells + 4) // cells
    fine = cv2.resize(wrapped, (size, size), interpolation=cv2.INTER_CUBIC)
    edge = (size - GRAIN) // 2
    return np.asarray(np.clip(fine[edge : edge + GRAIN, edge : edge + GRAIN], 0, 1))


def fit(picture: Pixels, pixels: int) -> Pixels:
    """The cloth with `pixels` along its side, without jagged patterns."""
    pixels = max(pixels, 4)
    shrinks = pixels < picture.shape[0]
    return np.asarray(
        cv2.resize(
            picture,
            (pixels, pixels),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        ),
        np.uint8,
    )


def paint_chest(figure: Character, upper: Pixels, inner: Pixels, scale: float) -> Pixels:
    """Front and back side by side, `(h, 2 w, 3)`, from the waist (bottom) to the collar.

    upper, inner: cloth that repeats after `CLOTH_TILE` metres, `scale` pixels to a metre.
    """
    bones, outfit = figure.proportions, figure.outfit
    high = max(int(0.75 * bones.torso * scale), 8)
    wide = max(int(2.1 * bones.chest_radius * scale), 8)
    front, back = _cut(upper, wide, high), _cut(upper, wide, high)
    colour = outfit.print_colour
    unit = wide * 0.22
    middle = (wide // 2, int(high * 0.52))
    if outfit.top in ("jacket", "coat"):
        half = int(wide * (0.07 + 0.14 * outfit.looseness))
        left, right = wide // 2 - half, wide // 2 + half
        front[:, left:right] = _cut(inner, wide, high)[:, left:right]
        for x in (left, right):
            cv2.line(
                front,
                (x, 0),
                (x, high),
                shade(outfit.upper.colour, 0.6),
                max(wide // 50, 1),
            )
    elif outfit.top == "shirt":
        dark = shade(outfit.upper.colour, 0.7)
        cv2.line(front, (wide // 2, 0), (wide // 2, high), dark, max(wide // 60, 1))
        for y in np.linspace(high * 0.2, high * 0.95, 6):
            cv2.circle(
                front,
                (wide // 2 + wide // 40, int(y)),
                max(wide // 50, 1),
                colour,
                -1,
                cv2.LINE_AA,
            )
    elif outfit.top == "hoodie":
        pocket = np.array([[0.28, 1.0], [0.34, 0.76], [0.66, 0.76], [0.72, 1.0]]) * (
            wide,
            high,
        )
        dark, thin = shade(outfit.upper.colour, 0.65), max(wide // 60, 1)
        cv2.polylines(front, [pocket.astype(np.int32)], False, dark, thin, cv2.LINE_AA)
        for string in (0.44, 0.56):
            x = int(string * wide)
            ends = ((x, int(0.12 * high)), (x, int(0.38 * high)))
            cv2.line(front, *ends, (240, 240, 236), thin, cv2.LINE_AA)
    if outfit.top in ("t-shirt", "sweater", "tank", "hoodie"):
        _print(front, outfit.print, middle, unit, colour)
    return np.hstack([front, back])


def _cut(cloth: Pixels, wide: int, high: int) -> Pixels:
    side = cloth.shape[0]
    rows, columns = -(-high // side), -(-wide // side)
    return np.ascontiguousarray(np.tile(cloth, (rows, columns, 1))[:high, :wide])


def _print(
    front: Pixels,
    kind: str,
    middle: tuple[int, int],
    unit: float,
    colour: tuple[int, int, int],
) -> None:
    x, y = middle
    high = front.shape[0]
    if kind == "disc":
        cv2.circle(front, middle, int(unit * 0.9), colour, -1, cv2.LINE_AA)
        cv2.circle(front, middle, int(unit * 0.5), shade(colour, 0.7), -1, cv2.LINE_AA)
    elif kind == "star":
        angle = np.arange(10) * np.pi / 5 - np.pi / 2
        radius = np.where(np.arange(10) % 2, 0.45, 1.1) * unit
        points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
        cv2.fillPoly(front, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == "heart":
        t = np.linspace(0, 2 * np.pi, 40)
        curve = np.stack(
            [
                16 * np.sin(t) ** 3,
                -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t)),
            ],
            1,
        )
        points = curve / 16 * unit + (x, y)
        cv2.fillPoly(front, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == "stripe":
        front[int(high * 0.42) : int(high * 0.6)] = colour
    elif kind == "letter":
        letter = "ABEHKMNRSX358"[(colour[0] + colour[1]) % 13]
        size = unit / 13
        (w, h), _ = cv2.getTextSize(
            letter, cv2.FONT_HERSHEY_DUPLEX, size, max(int(unit / 5), 1)
        )
        cv2.putText(front, letter, (x - w // 2, y + h // 2), cv2.FONT_HERSHEY_DUPLEX, size,
                    colour, max(int(unit / 5), 1), cv2.LINE_AA)  # fmt: skip


Array = NDArray[np.floating]

COAT = 0.5  # of a leg, covered by a coat


def body_tubes(figure: Character, pose: Pose) -> list[SweptSphere]:
    """Arms, legs, torso and clothes; the head is `head.Head`'s."""
    tubes = torso_tubes(figure, pose)
    for i in (0, 1):
        tubes += _arm(figure, pose, i) + _leg(figure, pose, i)
    if figure.outfit.bottom in SKIRTS or figure.outfit.top == "coat":
        tubes += _skirt(figure, pose)
    return tubes


def leg_knots(bones: Proportions) -> tuple[float, ...]:
    """Radii of a leg, from the hip to the ankle."""
    return (
        bones.thigh_radius * 1.12,
        bones.thigh_radius * 0.95,
        bones.knee_radius,
        bones.calf_radius,
        bones.ankle_radius,
    )


def arm_knots(bones: Proportions) -> tuple[float, ...]:
    """Radii of an arm, from the shoulder to the wrist."""
    return (
        bones.arm_radius * 1.02,
        bones.arm_radius,
        bones.elbow_radius,
        bones.elbow_radius * 0.98,
        bones.wrist_radius,
    )


def _arm(figure: Character, pose: Pose, i: int) -> list[SweptSphere]:
    bones, outfit = figure.proportions, figure.outfit
    front = pose.chest_frame[2]
    keypoints = (pose.shoulders[i], pose.elbows[i], pose.wrists[i])
    knots, group = arm_knots(bones), 20 + i
    tubes = []
    bare_from = max(outfit.sleeve - 0.08, 0.0)
    if bare_from < 0.9:
        tubes += limb(keypoints, front, knots, (bare_from, 1.0), SKIN, group)
    if outfit.sleeve > 0:
        extra = thickness(figure)
        flare = 0.2 * bones.arm_radius if outfit.sleeve < 1 else 0.15 * bones.wrist_radius
        tubes += limb(
            keypoints,
            front,
            knots,
            (0.0, outfit.sleeve),
            UPPER,
            22 + i,
            extra=extra,
            flare=flare,
        )
    return tubes + _hand(figure, pose, i)


def _hand(figure: Character, pose: Pose, i: int) -> list[SweptSphere]:
    bones = figure.proportions
    surface, group = (GLOVE, 26 + i) if figure.outfit.gloves else (SKIN, 20 + i)
    wrist, size = pose.wrists[i], bones.hand
    along = (wrist - pose.elbows[i]) / bones.forearm
    front = pose.chest_frame[0] * SIDE_SIGNS[i]  # palms look at the body
    palm = rod(
        wrist, wrist + along * size * 0.5, front,
        (bones.wrist_radius, size * 0.22, size * 0.23), surface, group, flat=0.55,
    )  # fmt: skip
    # The thumb lies before the palm, or above it where the palm looks down.
    thumb_way = pose.chest_frame[2] - (pose.chest_frame[2] @ along) * along
    thumb_way = thumb_way + 0.3 * (
        pose.chest_frame[1] - (pose.chest_frame[1] @ along) * along
    )
    thumb_way = thumb_way - (thumb_way @ front) * front
    thumb_way = thumb_way / max(float(np.sqrt(thumb_way @ thumb_way)), 1e-3)
    root = wrist + along * size * 0.2 + thumb_way * size * 0.14
    thumb = rod(
        root, root + (along * 0.26 + thumb_way * 0.17) * size, front,
        (size * 0.1, size * 0.085, size * 0.07), surface, group,
    )  # fmt: skip
    if not figure.looks.fingers:
        mitt = rod(
            wrist + along * size * 0.5, wrist + (along * 0.88 + front * 0.04) * size, front,
            (size * 0.22, size * 0.2, size * 0.13), surface, group, flat=0.5,
        )  # fmt: skip
        return [palm, thumb, mitt]
    tubes = [palm, thumb]
    for finger, reach in enumerate((0.42, 0.48, 0.45, 0.36)):
        spread = (finger - 1.5) * 0.13
        start = wrist + along * size * 0.55 - thumb_way * spread * size
        end = start + (along * reach - thumb_way * spread * 0.5) * size
        tubes.append(
            rod(
                start, end, front, (size * 0.078, size * 0.074, size * 0.06), surface, group
            )
        )
    return tubes


def _leg(figure: Character, pose: Pose, i: int) -> list[SweptSphere]:
    bones, outfit = figure.proportions, figure.outfit
    front = pose.hip_frame[2] + pose.feet[i][2]
    keypoints = (pose.hips[i], pose.knees[i], pose.ankles[i])
    knots, group = leg_knots(bones), 30 + i
    loose = outfit.looseness * bones.knee_radius
    extra, flare = {
        "trousers": (0.006 + 0.35 * loose, 0.35 * loose),
        "wide": (0.008 + 0.5 * loose, bones.ankle_radius * 1.3),
        "leggings": (0.003, 0.0),
        "shorts": (0.01 + 0.5 * loose, 0.3 * bones.knee_radius),
    }.get(outfit.bottom, (0.0, 0.0))
    skirted = outfit.bottom in SKIRTS
    tubes = []
    if skirted or outfit.leg < 0.97:
        bare_from = 0.65 * outfit.leg if skirted else max(outfit.leg - 0.08, 0.0)
        tubes += limb(keypoints, front, knots, (bare_from, 1.0), SKIN, group)
    if not skirted:
        first = 0.65 * COAT if outfit.top == "coat" else 0.0
        tubes += limb(
            keypoints,
            front,
            knots,
            (first, outfit.leg),
            LOWER,
            32 + i,
            extra=extra,
            flare=flare,
        )
    if skirted or outfit.top == "coat":  # a lifted thigh takes the skirt along
        share, surface = (outfit.leg, LOWER) if skirted else (COAT, UPPER)
        one = TORSO if outfit.bottom == "dress" or not skirted else 36
        extra = 0.012 * bones.height
        tubes += limb(
            keypoints, front, knots, (0.0, 0.75 * share), surface, one, extra=extra
        )
    if outfit.socks and outfit.leg < 0.97:
        tubes += limb(
            keypoints, front, knots, (1 - outfit.socks, 1.0), SOCK, 34 + i, extra=0.004
        )
    return tubes + _shoe(figure, pose, i)


def _shoe(figure: Character, pose: Pose, i: int) -> list[SweptSphere]:
    bones = figure.proportions
    _, up, front = pose.feet[i]
    size = bones.foot
    wide = size * 0.19
    floor = pose.ankles[i] - up * bones.ankle
    heel, toe = floor - front * size * 0.16, floor + front * size * 0.56
    raise_by = up * size * 0.15
    upper = rod(
        heel + raise_by * 1.15, toe + raise_by * 0.85, up,
        (wide * 0.9, wide * 0.95, wide * 0.92), SHOE, 40 + i, flat=0.8,
    )  # fmt: skip
    ankle = rod(
        floor + raise_by, pose.ankles[i] + up * size * 0.04, front,
        (wide * 0.85, wide * 0.72, bones.ankle_radius * 1.15), SHOE, 40 + i,
        keep=(-9.0, 1.0),
    )  # fmt: skip
    sole = rod(
        heel + up * size * 0.05, toe + up * size * 0.05, up,
        (wide, wide * 1.03, wide * 1.05), SOLE, 42 + i, flat=0.27,
    )  # fmt: skip
    return [upper, ankle, sole]


def _skirt(figure: Character, pose: Pose) -> list[SweptSphere]:
    """A cone that hangs from the waist and is as wide as the knees in it want."""
    bones, outfit = figure.proportions, figure.outfit
    leg = bones.thigh + bones.shin
    coat = outfit.bottom not in SKIRTS
    share = COAT if coat else outfit.leg
    frame = pose.hip_frame
    thighs = (pose.knees - pose.hips).mean(0)
    down = -0.5 * frame[1] + 0.5 * thighs / max(float(np.linalg.norm(thighs)), 1e-6)
    down = down / np.linalg.norm(down)
    long = leg * share + 0.4 * bones.torso * 0.5
    top = pose.pelvis + frame[1] * bones.torso * 0.3
    hem = top + down * long
    places = np.concatenate([pose.hips + (pose.knees - pose.hips) * min(2 * share, 1)])
    if share > 0.5:
        places = np.concatenate(
            [places, pose.knees + (pose.ankles - pose.knees) * (2 * share - 1)]
        )
    apart = np.abs((places - pose.pelvis) @ frame[0]).max()
    ahead = np.abs((places - pose.pelvis) @ frame[2]).max()
    waist = bones.waist_radius * 1.05 + (thickness(figure) if coat else 0.006)
    wide = max(
        apart + bones.knee_radius * 1.3, bones.hip_radius * (1.15 + outfit.looseness)
    )
    wide = min(wide, 0.75 * long + waist)
    deep = max(ahead + bones.knee_radius * 1.3, wide * TORSO_DEPTH)
    flat = float(np.clip(deep / wide, TORSO_DEPTH * 1.1, 0.95))
    middle = max((waist + wide) * 0.5, bones.hip_radius * 1.05)
    return [
        rod(top, hem, frame[2], (waist, middle, float(wide)), UPPER if coat else LOWER,
            TORSO if coat or outfit.bottom == "dress" else 36,
            flat=flat, keep=(-0.02, 1.0))
    ]  # fmt: skip
