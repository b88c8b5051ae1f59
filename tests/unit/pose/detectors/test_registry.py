"""A person in a still picture is looked at until the keypoints stay."""

from collections.abc import Sequence

import numpy as np
import pytest
from builders.stages import Spot
from numpy.typing import NDArray

from animcli.pose.detectors.registry import STILL_RUNS, find_in_picture
from animcli.pose.keypoints import KEYPOINTS

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Settling:
    """Has the keypoints of a figure 100 px high nearer to their places with every look.

    away: how many pixels to the right the keypoints are at each look, the last for ever.
    """

    def __init__(self, *away: float) -> None:
        self.away = away
        self.looks = 0
        self.state: tuple[float, ...] = ()

    def restore(self, state: Sequence[float]) -> None:
        """Nothing to go on from."""

    def count(self, picture: NDArray[np.uint8]) -> int:
        return 1

    def people(self, picture: NDArray[np.uint8]) -> Sequence[Spot]:
        points = np.zeros((KEYPOINTS, 2), np.float32)
        points[:, 1] = np.linspace(0, 100 * (KEYPOINTS - 1) / 17, KEYPOINTS)
        points[:, 0] = self.away[min(self.looks, len(self.away) - 1)]
        self.looks += 1
        return [Spot(points, np.ones(KEYPOINTS, np.float32))]


@pytest.mark.parametrize(
    ("away", "looks", "last"),
    [
        ((3.0,), 2, 3.0),
        ((50.0, 8.0, 1.0, 0.5), 4, 0.5),
        ((0.0, 9.0, 0.0, 9.0, 0.0, 9.0, 0.0), STILL_RUNS, 9.0),
    ],
)
def test_a_still_picture_is_looked_at_until_keypoints_stay(
    away: tuple[float, ...], looks: int, last: float
) -> None:
    detector = Settling(*away)
    found = find_in_picture(detector, PICTURE)
    assert found is not None
    np.testing.assert_array_equal(found.points[:, 0], last)
    assert detector.looks == looks


def test_nobody_is_looked_for_once_more_and_not_invented() -> None:
    class Nobody(Settling):
        def people(self, picture: NDArray[np.uint8]) -> Sequence[Spot]:
            return []

    assert find_in_picture(Nobody(0.0), PICTURE) is None
