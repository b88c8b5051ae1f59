"""Figures by themselves, before another background, and several in one picture."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from builders.paper_doll import (
    SHIRT,
    SIZE,
    STANDING,
    Doll,
    Joints,
    doll,
    pose,
    request,
    turned,
)
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence
from animcli.rendering.cutout.renderer import Cutout, straight
from animcli.rendering.renderer import CastMember, RenderRequest
from animcli.video.lossless import lay_on_white

ARMS = ((s.RIGHT_SHOULDER, (s.RIGHT_ELBOW, s.RIGHT_WRIST), 100),)


class Nothing:
    """A checkpoint of a run that isn't stopped."""

    def load(self) -> None:
        return None


def drawn(wanted: RenderRequest) -> NDArray[np.uint8]:
    frames = Cutout().prepare(wanted, Nothing(), lambda *_: None)  # type: ignore[arg-type]
    return np.stack(list(frames(range(wanted.frames))))


def raised() -> PoseSequence:
    joints = STANDING
    for about, moved, degrees in ARMS:
        joints = turned(joints, about, moved, degrees)
    return pose(STANDING, joints)


def white(span: range) -> Iterator[NDArray[np.uint8]]:
    return iter([np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)] * len(span))


def test_a_figure_with_alpha_laid_on_white_is_the_render_before_white() -> None:
    asked = request(doll(), raised())
    alone = drawn(replace(asked, alpha=True))
    assert alone.shape[-1] == 4
    before = drawn(replace(asked, background=white)).astype(int)
    for figure, wanted in zip(alone, before, strict=True):
        laid = lay_on_white(figure).astype(int)
        # rounded once more on the way; a dark seam or a halo would be 20 levels off
        assert np.abs(laid - wanted).max() <= 3


def test_alpha_is_the_figure_and_no_background() -> None:
    shown = doll()
    [frame] = drawn(replace(request(shown, shown.pose), alpha=True))
    inside, outside = shown.alpha > 250, shown.alpha < 5
    assert frame[..., 3][inside].min() > 250
    rows = np.arange(SIZE[1]) < 300  # below lie the shadows of the feet
    assert frame[..., 3][outside & rows[:, None]].max() < 5


def test_beside_a_figure_its_colours_go_on_under_alpha_zero() -> None:
    picture = np.zeros((9, 9, 4), np.uint8)
    picture[3:6, 3:6] = (200, 100, 50, 255)
    picture[3:6, 6] = (100, 50, 25, 128)  # half covered, multiplied
    own = straight(picture)
    np.testing.assert_array_equal(own[..., 3], picture[..., 3])
    assert np.abs(own[4, 6, :3].astype(int) - (200, 100, 50)).max() <= 1
    assert np.abs(own[4, 1, :3].astype(int) - (200, 100, 50)).max() <= 8


def moved_aside(joints: Joints, right: float) -> Joints:
    return {joint: (x + right, y) for joint, (x, y) in joints.items()}


def pair() -> tuple[Doll, PoseSequence, PoseSequence]:
    """Two dolls side by side in one picture, and the keypoints of each in it."""
    one = doll()
    picture = np.concatenate([one.picture, one.picture], axis=1)
    alpha = np.concatenate([one.alpha, one.alpha], axis=1)
    size = (2 * SIZE[0], SIZE[1])
    left = replace(one.pose, size=size)
    right = replace(pose(moved_aside(STANDING, SIZE[0])), size=size)
    return Doll(picture, alpha, left), left, right


def test_each_character_of_a_cast_follows_its_own_motion() -> None:
    shown, left, right = pair()
    width = SIZE[0]
    up = raised()
    asked = replace(
        request(shown, replace(up, size=left.size)), size=left.size, background=None
    )
    still = replace(pose(*[moved_aside(STANDING, width)] * 2), size=left.size)
    frames = drawn(replace(asked, cast=[CastMember(right, still)]))
    moves = (np.abs(frames[1].astype(int) - frames[0]) > 20).any(axis=2)
    assert moves[:, :width].sum() > 500  # an arm and where it was
    assert not moves[:, width + 20 :].any()
    alone = drawn(request(doll(), up))
    near = np.abs(frames[1][:, : width - 30].astype(int) - alone[1][:, : width - 30])
    assert np.median(near.max(axis=2)) <= 2


def test_who_stands_lower_in_the_picture_is_drawn_over_the_others() -> None:
    shown, left, right = pair()
    lower, blue = 12, np.s_[:, SIZE[0] :]
    picture, alpha = shown.picture.copy(), shown.alpha.copy()
    picture[blue] = np.roll(picture[blue], lower, axis=0)[..., ::-1]
    alpha[blue] = np.roll(alpha[blue], lower, axis=0)
    right = replace(right, points=right.points + np.array([0, lower], np.float32))
    middle = replace(pose(moved_aside(STANDING, SIZE[0] / 2)), size=left.size)
    asked = replace(
        request(replace(shown, picture=picture, alpha=alpha), middle), size=left.size
    )
    first = drawn(replace(asked, cast=[CastMember(right, middle)]))[0]
    swapped = replace(asked, reference_pose=right, cast=[CastMember(left, middle)])
    for frame in (first, drawn(swapped)[0]):
        chest = frame[150, SIZE[0]]
        assert np.abs(chest.astype(int) - SHIRT[::-1]).max() < 20
