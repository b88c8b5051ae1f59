"""Short ways to place a tube in space."""

import numpy as np
from numpy.typing import NDArray

from animcli.characters.tube import BALL, WHOLE, Tube

Array = NDArray[np.floating]
Radii = tuple[float, float, float]


def rod(
    a: Array, b: Array, front: Array, radii: Radii, surface: int, group: int, *,
    flat: float = 1.0, keep: tuple[float, float] = WHOLE, offset: float = 0.0,
    visor: tuple[float, float] | None = None, sideways: bool = False,
) -> Tube:  # fmt: skip
    """A tube from `a` to `b`."""
    return Tube(a, b, front, radii, surface, group, flat, keep, visor, offset, sideways)


def ball(
    centre: Array, frame: Array, radius: float, surface: int, group: int, *,
    flat: float = 1.0, keep: tuple[float, float] = WHOLE,
    visor: tuple[float, float] | None = None,
) -> Tube:  # fmt: skip
    """A ball, or an ellipsoid that is `flat` times as deep as it is wide and high."""
    end = centre + frame[1] * np.float32(BALL / 10)
    radii = (radius, radius, radius)
    return Tube(centre, end, frame[2], radii, surface, group, flat, keep, visor)


def limb(
    joints: tuple[Array, Array, Array], front: Array, knots: tuple[float, ...], span:
    tuple[float, float], surface: int, group: int, *, extra: float = 0.0,
    flare: float = 0.0,
) -> list[Tube]:  # fmt: skip
    """The part `span` (shares, 0..1) of an arm or a leg, bent at its middle joint.

    knots: radii at five even places from its root to its end; `extra` is added all along,
    `flare` more and more towards the end of the span. The end is cut off flat.
    """
    first, last = span
    places = np.linspace(0, 1, len(knots))
    tubes = []
    for half in (0, 1):
        low, high = max(first, half / 2), min(last, half / 2 + 0.5)
        if high - low < 0.01:
            continue
        a, b = joints[half], joints[half + 1]
        start, end = a + (b - a) * (2 * low - half), a + (b - a) * (2 * high - half)
        shares = np.linspace(low, high, 3)
        radii = np.interp(shares, places, knots) + extra + flare * (shares / last) ** 2
        keep = (-9.0, 1.0) if high < half / 2 + 0.5 or (half and last >= 1) else WHOLE
        tubes.append(
            rod(start, end, front, (float(radii[0]), float(radii[1]), float(radii[2])),
                surface, group, keep=keep, offset=low)
        )  # fmt: skip
    return tubes
