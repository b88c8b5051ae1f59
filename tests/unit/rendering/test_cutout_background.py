"""What was behind the figure goes on: its texture, its light, and without a shadow."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from animcli.rendering.cutout.background import (
    cast_shadow,
    find_shadow,
    inpaint_background,
    lit,
)

FEET = np.array([[100.0, 205.0]])


def wall(height: int = 260, width: int = 200) -> NDArray[np.uint8]:
    """Tiles with dark joints, 16 px apart."""
    picture = np.full((height, width, 3), (190, 170, 150), np.uint8)
    picture[::16], picture[:, ::16] = 90, 90
    return picture


def someone(height: int = 260, width: int = 200) -> NDArray[np.float32]:
    alpha = np.zeros((height, width), np.float32)
    alpha[60:206, 80:120] = 1
    return alpha


def error(one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray) -> float:
    return float(np.abs(one.astype(float) - other)[where].mean())


def test_texture_goes_on_behind_the_figure() -> None:
    alpha = someone()
    weave = np.random.default_rng(0).integers(90, 190, (260, 200, 3)).astype(np.uint8)
    seen = weave.copy()
    seen[alpha > 0] = (200, 30, 30)
    filled = inpaint_background(seen, alpha)
    inside = alpha > 0
    # a smooth fill would leave a tenth of it
    assert filled[inside].std() > 0.6 * weave[inside].std()
    np.testing.assert_array_equal(filled[:, :60], weave[:, :60])


def test_a_plain_wall_is_filled_without_a_trace() -> None:
    down, across = np.mgrid[:260, :200]
    plain = np.stack([100 + down // 4, 120 + across // 4, 0 * down + 90], -1)
    seen = plain.astype(np.uint8)
    seen[someone() > 0] = (200, 30, 30)
    assert (
        error(inpaint_background(seen, someone()), plain.astype(np.uint8), someone() > 0)
        < 3
    )


def shaded(picture: NDArray[np.uint8], depth: float) -> NDArray[np.uint8]:
    down, across = np.mgrid[: picture.shape[0], : picture.shape[1]]
    spot = np.exp(-0.5 * (((across - 100) / 25) ** 2 + ((down - 205) / 7) ** 2))
    return np.rint(picture * (1 - depth * spot[..., None])).astype(np.uint8)


def beside(picture: NDArray[np.uint8], soft: float) -> NDArray[np.uint8]:
    """A darker patch to the left of the figure, with edges as `soft` as a sigma in px."""
    light = np.ones(picture.shape[:2], np.float32)
    light[80:170, 62:100] = 0.8
    if soft:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), soft))
    return np.rint(picture * light[..., None]).astype(np.uint8)


def test_a_shadow_on_a_plain_wall_goes_with_its_figure() -> None:
    plain = np.full((260, 200, 3), (200, 205, 210), np.uint8)
    seen = beside(plain, 7)
    alpha = someone()
    shadow = find_shadow(seen, alpha, FEET, 60)
    where = np.zeros(alpha.shape, bool)
    where[95:155, 70:76] = True
    assert error(seen, plain, where) > 30
    assert error(lit(seen, shadow), plain, where) < 6
    assert shadow.depth < 0.05  # none about the feet


def test_a_shadow_on_a_plain_wall_leaves_no_ghost() -> None:
    plain = np.full((260, 200, 3), (200, 205, 210), np.uint8)
    seen = beside(plain, 7)
    alpha = someone()
    seen[alpha > 0] = (30, 60, 200)
    shadow = find_shadow(seen, alpha, FEET, 60)
    bright = lit(seen, shadow)
    filled = inpaint_background(bright, np.maximum(alpha, shadow.wall))
    where = np.zeros(alpha.shape, bool)
    where[85:165, 70:120] = True
    # 3 levels where the shadow is only lit up
    assert np.abs(filled.astype(float) - plain)[where].max() <= 1


def test_a_soft_shadow_on_a_photographed_wall_goes_with_its_penumbra() -> None:
    across = np.mgrid[:260, :200][1]
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0, 3, (260, 200)), (0, 0), 1.0)
    wall = (190 + across / 5 + grain)[..., None] * np.ones(3)
    light = np.ones((260, 200), np.float32)
    light[60:210, 58:100] = 0.9
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), 5))
    alpha = someone()
    seen = np.clip(wall * light[..., None], 0, 255).astype(np.uint8)
    seen[alpha > 0] = (30, 60, 200)
    shadow = find_shadow(seen, alpha, FEET, 60)
    hidden = np.maximum(alpha, shadow.wall)
    filled = inpaint_background(lit(seen, shadow), hidden).astype(np.float32)
    left = cv2.GaussianBlur(filled - wall.astype(np.float32), (0, 0), 2)[70:190, 30:125]
    # 3.0 as it is; 6.3 where grain counts as texture and penumbrae stay
    assert np.abs(left).max() < 4.5


def curtain() -> NDArray[np.uint8]:
    """Soft folds from top to bottom, 40 px apart."""
    folds = 150 - 40 * np.cos(np.arange(200) * 2 * np.pi / 40)
    return np.rint(folds[None, :, None] * np.ones((260, 1, 3))).astype(np.uint8)


def darker_below() -> NDArray[np.uint8]:
    down = np.linspace(230, 90, 260)[:, None, None]
    return np.rint(down * np.ones((260, 200, 3))).astype(np.uint8)


@pytest.mark.parametrize("room", [curtain, darker_below])
def test_what_goes_on_past_where_a_shadow_may_lie_is_none(
    room: Callable[[], NDArray[np.uint8]],
) -> None:
    empty = room()
    alpha = np.zeros((260, 200), np.float32)
    alpha[90:, 40:170] = 1  # cut off below, and wide
    seen = np.where(alpha[..., None] > 0, np.uint8(250), empty).astype(np.uint8)
    shadow = find_shadow(seen, alpha, np.zeros((0, 2)), 60)
    assert not shadow.wall.any()
    np.testing.assert_array_equal(lit(seen, shadow), seen)


def test_a_door_beside_the_figure_is_no_shadow() -> None:
    seen = beside(np.full((260, 200, 3), (200, 205, 210), np.uint8), 0)
    shadow = find_shadow(seen, someone(), FEET, 60)
    np.testing.assert_array_equal(lit(seen, shadow)[:170], seen[:170])


def test_a_cast_shadow_goes_and_its_depth_is_known() -> None:
    floor = np.full((260, 200, 3), (150, 160, 170), np.uint8)
    seen = shaded(floor, 0.4)
    shadow = find_shadow(seen, someone(), FEET, trunk=60)
    free = someone() == 0
    assert error(lit(seen, shadow), floor, free) < 0.55 * error(seen, floor, free)
    assert 0.2 < shadow.depth < 0.45


def test_a_floor_without_a_shadow_stays_as_it_is() -> None:
    floor = np.full((260, 200, 3), (150, 160, 170), np.uint8)
    shadow = find_shadow(floor, someone(), FEET, trunk=60)
    assert shadow.depth == 0
    np.testing.assert_array_equal(lit(floor, shadow), floor)


def test_a_carpet_of_another_colour_is_no_shadow() -> None:
    floor = np.full((260, 200, 3), (150, 160, 170), np.uint8)
    cv2.ellipse(floor, (100, 205), (40, 12), 0, 0, 360, (150, 90, 90), -1)
    assert find_shadow(floor, someone(), FEET, trunk=60).depth == 0


def test_a_new_shadow_is_deepest_under_a_foot_on_the_ground() -> None:
    def under(air: float) -> int:
        canvas = np.full((260, 200, 3), 200, np.uint8)
        cast_shadow(canvas, FEET - (0, air), np.array([air]), trunk=60, depth=0.4)
        assert canvas[:100].min() == 200
        return int(canvas[205, 100, 0])

    assert under(0) < under(10) < under(40) <= 200
