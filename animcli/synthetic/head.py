"""The head with its hair and hat, and where its eyes, ears and nose are.

The face is painted flat; the head wears it, so that it turns with the head.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.synthetic.body import Pose, ball, rod
from animcli.synthetic.character import Character, Colour, Looks, shade
from animcli.synthetic.raycast import FACE, HAIR, HAT, SKIN, SweptSphere

Pixels = NDArray[np.uint8]
Point = tuple[float, float]

WIDE, HIGH = 256, 320
SUBPIXEL_BITS = 4  # bits below the pixel in cv2's fixed-point coordinates
EYE_ASIDE = 0.37  # of the head's radius


class Brush:
    """Draws in face coordinates: x -1..1 across, y 0 at the chin to 1 at the crown."""

    def __init__(self, skin: Colour) -> None:
        self.picture: Pixels = np.full((HIGH, WIDE, 3), skin, np.uint8)

    def at(self, x: float, y: float) -> tuple[int, int]:
        """The fixed-point pixel of a place on the face."""
        return (
            int((x + 1) / 2 * WIDE * (1 << SUBPIXEL_BITS)),
            int((1 - y) * HIGH * (1 << SUBPIXEL_BITS)),
        )

    def oval(self, x: float, y: float, wide: float, high: float, colour: Colour,
             tilt: float = 0.0) -> None:  # fmt: skip
        """A filled oval; radii in the coordinates' units."""
        self.arc(x, y, wide, high, (0, 360), cv2.FILLED, colour, tilt)

    def arc(self, x: float, y: float, wide: float, high: float, span: Point, width: int,
            colour: Colour, tilt: float = 0.0) -> None:  # fmt: skip
        """A stroke along an oval, between two angles, clockwise from the right."""
        size = (
            int(wide * WIDE / 2 * (1 << SUBPIXEL_BITS)),
            int(high * HIGH * (1 << SUBPIXEL_BITS)),
        )
        cv2.ellipse(
            self.picture,
            self.at(x, y),
            size,
            tilt,
            *span,
            colour,
            width,
            cv2.LINE_AA,
            SUBPIXEL_BITS,
        )

    def blend(self, x: float, y: float, wide: float, high: float, colour: Colour,
              weight: float) -> None:  # fmt: skip
        """A soft spot of colour."""
        dx = (np.arange(WIDE, dtype=np.float32) / WIDE * 2 - 1 - x) / wide
        dy = (1 - np.arange(HIGH, dtype=np.float32) / HIGH - y) / high
        columns, rows = (np.flatnonzero(np.abs(d) < 2.5) for d in (dx, dy))
        patch = self.picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share = np.multiply.outer(np.exp(-(dy[rows] ** 2)), np.exp(-(dx[columns] ** 2)))
        share = (share * weight)[..., None]
        patch[:] = patch * (1 - share) + np.array(colour, np.float32) * share


def paint_face(looks: Looks, seed: int) -> Pixels:
    """Front of the head, `(HIGH, WIDE, 3)`, and beside it the back: `(HIGH, 2 WIDE, 3)`."""
    brush = Brush(looks.skin)
    eye_y = looks.eye_height
    mouth_y = 0.5 * eye_y - 0.035
    lip = looks.lips if any(looks.lips) else shade(looks.skin, 0.72)
    for side in (-1, 1):
        brush.blend(
            side * 0.45, eye_y - 0.15, 0.2, 0.08, (226, 110, 110), 0.45 * looks.blush
        )
        brush.blend(
            side * EYE_ASIDE, eye_y + 0.01, 0.24, 0.07, shade(looks.skin, 0.72), 0.45
        )
    brush.blend(0, mouth_y - 0.06, 0.2, 0.03, shade(looks.skin, 0.75), 0.4)
    if looks.freckles:
        rng = np.random.default_rng([seed, 4])
        for x, y in rng.uniform((-0.55, -0.09), (0.55, 0.0), (26, 2)):
            brush.oval(x, eye_y - 0.06 + y, 0.012, 0.005, shade(looks.skin, 0.72))
    if looks.beard:
        _paint_beard(brush, looks, mouth_y)
    _paint_mouth(brush, looks, mouth_y, lip)
    for side in (-1, 1):
        _paint_eye(brush, looks, side, eye_y)
    for side in (-1, 1):  # nostrils
        brush.oval(
            side * 0.075 * looks.nose, eye_y - 0.155, 0.03, 0.009, shade(looks.skin, 0.6)
        )
    if looks.glasses:
        _paint_glasses(brush, looks, eye_y)
    back = np.full_like(brush.picture, looks.skin)
    return np.hstack([brush.picture, back])


def _paint_eye(brush: Brush, looks: Looks, side: int, y: float) -> None:
    size = looks.eye_size
    x = side * EYE_ASIDE
    dark = shade(looks.hair, 0.45) if sum(looks.hair) < 420 else (70, 54, 44)
    wide, high = 0.165 * size, 0.05 * size
    brush.oval(x, y, wide, high, (250, 248, 244))
    brush.oval(x, y, high * 2.3, high * 0.98, looks.eye)
    brush.oval(x, y, high * 1.25, high * 0.52, (18, 16, 18))
    brush.oval(x + 0.03, y + 0.018 * size, 0.025 * size, 0.01 * size, (255, 255, 255))
    brush.arc(x, y, wide, high, (180, 360), 6, (36, 28, 28))
    brush.arc(x, y, wide, high, (20, 160), 2, shade(looks.skin, 0.62))
    tilt = side * 9 * looks.brow
    brush.arc(x + side * 0.02, y + 0.055, wide * 1.25, 0.055, (205, 335), 9, dark, tilt)


def _paint_mouth(brush: Brush, looks: Looks, y: float, lip: Colour) -> None:
    wide = 0.23 * looks.mouth
    if looks.smile > 0.65:  # laughing
        brush.oval(0, y, wide, 0.042, lip)
        brush.oval(0, y, wide * 0.86, 0.03, (96, 30, 36))
        brush.oval(0, y + 0.014, wide * 0.74, 0.015, (250, 248, 244))
        return
    brush.oval(0, y, wide * 0.85, 0.024, lip)
    curve = 0.035 * looks.smile
    if abs(curve) < 0.006:
        curve = 0.006
    span = (15.0, 165.0) if curve > 0 else (195.0, 345.0)
    brush.arc(0, y + curve, wide, abs(curve) + 0.004, span, 4, shade(lip, 0.5))


def _paint_beard(brush: Brush, looks: Looks, mouth_y: float) -> None:
    before = brush.picture.copy()
    rows, columns = np.mgrid[:HIGH, :WIDE].astype(np.float32)
    x, y = columns / WIDE * 2 - 1, 1 - rows / HIGH
    edge = mouth_y - 0.03 + 0.4 * np.abs(x) ** 2.2 * (0.6 + 0.4 * looks.beard)
    share = np.clip((edge - y) * 40, 0, 1)
    if looks.moustache:
        lip = ((x / 0.34) ** 2 + ((y - mouth_y - 0.05) / 0.035) ** 2) < 1
        share = np.maximum(share, lip.astype(np.float32))
    share = (cv2.GaussianBlur(share, (5, 5), 0) * (0.55 + 0.45 * looks.beard))[..., None]
    hair = np.array(shade(looks.hair, 0.9), np.float32)
    brush.picture = (before * (1 - share) + hair * share).astype(np.uint8)


def _paint_glasses(brush: Brush, looks: Looks, y: float) -> None:
    dark: Colour = (34, 32, 38)
    wide, high = 0.27 * looks.glasses, 0.085 * looks.glasses
    for side in (-1, 1):
        brush.blend(side * EYE_ASIDE, y, wide * 0.8, high * 0.8, (214, 226, 236), 0.25)
        brush.arc(side * EYE_ASIDE, y, wide, high, (0, 360), 5, dark)
        cv2.line(
            brush.picture,
            brush.at(side * (EYE_ASIDE + wide), y),
            brush.at(side * 1.0, y + 0.02),
            dark, 5, cv2.LINE_AA, SUBPIXEL_BITS,
        )  # fmt: skip
    cv2.line(
        brush.picture,
        brush.at(-(EYE_ASIDE - wide), y), brush.at(EYE_ASIDE - wide, y),
        dark, 5, cv2.LINE_AA, SUBPIXEL_BITS,
    )  # fmt: skip


Array = NDArray[np.floating]

SKULL_DEPTH = 1.14  # of a skull, from its front to its back, compared to its width
CHIN = 0.19  # radius of the chin in heads
NO_FACE = (0.28, 9.0)  # a visor that takes everything before the ears


class Head:
    """The skull of a pose: a tube from the chin to the cranium, and places on it."""

    def __init__(self, figure: Character, pose: Pose) -> None:
        bones = figure.proportions
        self.figure, self.frame = figure, pose.head_frame
        self.size, self.radius = bones.head, bones.head_radius
        self.chin_radius = CHIN * bones.head
        self.length = self.size - self.radius - self.chin_radius
        self.across, self.up, self.front = self.frame
        self.chin = pose.skull + self.up * (self.chin_radius - 0.04 * self.size)
        self.cranium = self.chin + self.up * self.length

    def at(self, x: float, y: float, out: float = 0.0) -> Array:
        """The point of the face at `x` (-1..1, radii), `y` (0 chin to 1 crown), metres."""
        axial = y * self.size - self.chin_radius
        t = min(max(axial, 0.0), self.length)
        share = t / self.length
        radius = self.chin_radius + (self.radius - self.chin_radius) * share
        radius += (0.955 * self.radius - (self.radius + self.chin_radius) / 2) * (
            4 * share * (1 - share)
        )
        aside = x * self.radius
        depth = SKULL_DEPTH * np.sqrt(max(radius**2 - aside**2 - (axial - t) ** 2, 0.0))
        return np.asarray(
            self.chin + self.across * aside + self.up * axial + self.front * (depth + out),
            np.float32,
        )

    def landmarks(self) -> Array:
        """`(5, 3)`: nose, right eye, left eye, right ear, left ear."""
        looks = self.figure.looks
        eye, nose = looks.eye_height, looks.eye_height - 0.14
        return np.stack(
            [
                self.at(0, nose, 0.09 * self.size * looks.nose),
                self.at(-EYE_ASIDE, eye),
                self.at(EYE_ASIDE, eye),
                self.cranium - self.across * self.radius - self.up * 0.22 * self.size,
                self.cranium + self.across * self.radius - self.up * 0.22 * self.size,
            ]
        )

    def tubes(self) -> list[SweptSphere]:
        """Skull, nose, ears, hair and hat."""
        looks, radius = self.figure.looks, self.radius
        radii = (self.chin_radius, 0.955 * radius, radius)
        skull = rod(self.chin, self.cranium, self.front, radii, FACE, 10, flat=SKULL_DEPTH)
        tip, bridge = looks.eye_height - 0.135, looks.eye_height - 0.02
        nose = rod(
            self.at(0, bridge, -0.015 * self.size),
            self.at(0, tip, 0.025 * self.size * looks.nose),
            self.front,
            (0.02 * self.size, 0.03 * self.size, 0.045 * self.size * looks.nose),
            SKIN, 10,
        )  # fmt: skip
        tubes = [skull, nose]
        for side in (-1, 1):
            centre = self.cranium + side * self.across * radius * 0.97
            centre = centre - self.up * 0.2 * self.size
            top = centre + self.up * 0.07 * self.size
            r = 0.052 * self.size
            tubes.append(rod(centre, top, self.across, (r, r, r), SKIN, 10, flat=0.55))
        return tubes + self._hair() + self._hat()

    def _hair(self) -> list[SweptSphere]:
        looks, r = self.figure.looks, self.radius
        cut, volume = looks.cut, looks.volume
        if cut == "bald":
            return []
        if looks.hat != "none" and cut in ("afro", "spikes", "curls", "bun"):
            cut = "crop"
        centre, up, front, across = self.cranium, self.up, self.front, self.across
        frame = self.frame
        if cut == "afro":  # behind the face and above it, so that nothing need be cut
            middle = centre + up * r * 0.35 - front * r * 0.3
            return [ball(middle, frame, r * (1.15 + 0.35 * volume), HAIR, 11)]
        grown = 1.045 if cut == "crop" else 1.09 + 0.06 * volume
        line = 0.55 if cut == "crop" else 0.62 - 0.4 * looks.fringe
        short = {"crop": -0.5, "short": -0.72, "side": -0.72, "spikes": -0.6}
        nape = short.get(cut, -0.95)
        cap = ball(
            centre, frame, r * grown, HAIR, 11, flat=SKULL_DEPTH, keep=(nape, 9.0),
            visor=(0.08, line),
        )  # fmt: skip
        tubes = [cap]
        if cut in ("bob", "long"):
            long = (0.9 + 0.5 * volume if cut == "bob" else 1.9 + 1.3 * volume) * r
            end = centre - up * long - front * (0.25 * r if cut == "long" else 0.05 * r)
            tubes.append(
                rod(centre, end, front, (r * grown, r * (1.2 + 0.1 * volume), r * 1.02),
                    HAIR, 11, flat=1.0, visor=NO_FACE, keep=(-9.0, 1.0))
            )  # fmt: skip
        elif cut == "ponytail":
            root = centre - front * r * 1.15 + up * r * 0.35
            end = root - front * r * 0.5 - up * r * (1.6 + 1.4 * volume)
            tubes.append(rod(root, end, front, (r * 0.3, r * 0.42, r * 0.12), HAIR, 12))
        elif cut == "bun":
            tubes.append(
                ball(centre + up * r * 1.15 - front * r * 0.45, frame, r * 0.48, HAIR, 12)
            )
        elif cut == "pigtails":
            for side in (-1, 1):
                root = centre + side * across * r * 1.12 - up * r * 0.1
                end = root + side * across * r * 0.5 - up * r * (1.2 + volume)
                tubes.append(rod(root, end, front, (r * 0.22, r * 0.36, r * 0.1), HAIR, 12))
        elif cut == "curls":
            for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False):
                aside = across * np.sin(angle) + front * 1.1 * np.cos(angle)
                spot = centre + aside * r * 0.8 + up * r * (0.72 - 0.12 * np.cos(angle))
                tubes.append(ball(spot, frame, r * (0.36 + 0.12 * volume), HAIR, 11))
            tubes.append(ball(centre + up * r * 0.95, frame, r * 0.5, HAIR, 11))
        elif cut == "spikes":
            for angle in np.linspace(-1.2, 1.2, 5):
                for back in (-0.35, 0.45):
                    root = centre + r * 0.7 * (across * np.sin(angle) + up * np.cos(angle))
                    root = root - front * back * r
                    tip = root + r * (0.55 + 0.4 * volume) * (
                        across * np.sin(angle) + up * np.cos(angle) + front * 0.15
                    )
                    tubes.append(
                        rod(root, tip, front, (r * 0.4, r * 0.22, r * 0.04), HAIR, 11)
                    )
        elif cut == "side":
            for share in (0.0, 1.0):
                start = centre + across * r * 0.55 + up * r * 0.75 + front * r * 0.55
                end = centre - across * r * (0.75 - 0.5 * share) + front * r * 0.75
                end = end + up * r * (0.35 + 0.25 * share)
                tubes.append(
                    rod(start, end, front, (r * 0.3, r * 0.34, r * 0.16), HAIR, 11)
                )
        return tubes

    def _hat(self) -> list[SweptSphere]:
        hat, r, frame = self.figure.looks.hat, self.radius, self.frame
        if hat == "none":
            return []
        top = self.cranium + self.up * 0.1 * r
        if hat == "band":
            return [
                ball(
                    self.cranium,
                    frame,
                    r * 1.2,
                    HAT,
                    13,
                    flat=SKULL_DEPTH,
                    keep=(0.3, 0.55),
                )
            ]
        crown = ball(top, frame, r * 1.2, HAT, 13, flat=SKULL_DEPTH, keep=(0.12, 9.0))
        flat_frame = frame[[0, 2, 1]]  # its thin axis upward
        if hat == "beanie":
            fold = ball(top, frame, r * 1.27, HAT, 14, flat=SKULL_DEPTH, keep=(0.05, 0.38))
            return [crown, fold, ball(top + self.up * r * 1.25, frame, r * 0.26, HAT, 14)]
        if hat == "cap":
            brim = rod(
                top + self.front * r * 0.7 + self.up * r * 0.2,
                top + self.front * r * 1.45 + self.up * r * 0.1,
                self.up, (r * 0.8, r * 0.8, r * 0.6), HAT, 14, flat=0.1,
            )  # fmt: skip
            return [crown, brim]
        disc = ball(top + self.up * r * 0.2, flat_frame, r * 2.0, HAT, 14, flat=0.07)
        return [crown, disc]
