"""A figure cut out of its picture moves whole, and leaves the picture alone."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

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
    unseen,
    without,
)

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.rendering.cutout.renderer import Cutout
from animcli.rendering.renderer import FrameFn, RenderRequest

RIGHT_ARM = (s.RIGHT_ELBOW, s.RIGHT_WRIST)
LEFT_ARM = (s.LEFT_ELBOW, s.LEFT_WRIST)
LEFT_SHANK = (s.LEFT_ANKLE, s.LEFT_BIG_TOE)


class Nothing:
    """A checkpoint of a run that isn't stopped."""

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        return None

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        raise AssertionError("cutout has nothing to save")


def prepared(wanted: RenderRequest) -> FrameFn:
    return Cutout().prepare(wanted, Nothing(), lambda *_: None)


def drawn(wanted: RenderRequest) -> NDArray[np.uint8]:
    return np.stack(list(prepared(wanted)(range(wanted.frames))))


def dancing(frames: int = 6) -> list[Joints]:
    """Arms that go up and elbows and a knee that bend, further with every frame."""
    moved = []
    for step in np.linspace(0, 1, frames):
        joints = turned(STANDING, s.RIGHT_SHOULDER, RIGHT_ARM, 100 * step)
        joints = turned(joints, s.RIGHT_ELBOW, (s.RIGHT_WRIST,), 80 * step)
        joints = turned(joints, s.LEFT_ELBOW, (s.LEFT_WRIST,), -120 * step)
        joints = turned(joints, s.LEFT_KNEE, LEFT_SHANK, -100 * step)
        moved.append(joints)
    return moved


def white_on_black() -> Doll:
    shown = doll(plain=True)
    return replace(shown, picture=np.repeat(shown.alpha[..., None], 3, axis=2))


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray) -> float:
    error = ((one.astype(np.float64) - other) ** 2)[where].mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_its_own_pose_gives_the_picture_back() -> None:
    shown = doll()
    [frame] = drawn(request(shown, shown.pose))
    assert psnr(frame, shown.picture, shown.alpha > 0) >= 30


@pytest.mark.parametrize("down", [160, 163, 167])
def test_a_half_figure_gives_its_picture_back_up_to_the_edge(down: int) -> None:
    # wherever the edge lies between the nodes of the mesh
    whole = doll()
    picture, alpha = whole.picture.copy(), np.zeros_like(whole.alpha)
    picture[down:], alpha[down:] = whole.picture[:-down], whole.alpha[:-down]
    picture[:down] = whole.picture[:1]
    joints = {j: (x, y + down) for j, (x, y) in STANDING.items() if y + down < SIZE[1]}
    shown = replace(whole, picture=picture, alpha=alpha, pose=pose(joints))
    [own] = drawn(request(shown, shown.pose))
    assert psnr(own, picture, alpha > 128) > 35
    up = {j: (x, y - 30) for j, (x, y) in joints.items()}
    raised = drawn(request(shown, pose(*[up] * 3)))[1]
    trousers_or_shirt = np.abs(raised[-1].astype(int) - picture[-1]).max(axis=-1)
    assert trousers_or_shirt.max() < 60  # no sky below it


def test_a_frame_is_the_same_whichever_range_is_asked_for() -> None:
    frames = prepared(request(doll(), pose(*dancing())))
    whole = np.stack(list(frames(range(6))))
    np.testing.assert_array_equal(np.stack(list(frames(range(3, 5)))), whole[3:5])
    np.testing.assert_array_equal(next(frames(range(5, 6))), whole[5])


def test_a_shorter_render_is_the_start_of_a_longer_one() -> None:
    longer = request(doll(), pose(*dancing()))
    np.testing.assert_array_equal(drawn(replace(longer, frames=2)), drawn(longer)[:2])


def test_the_background_does_not_move() -> None:
    frames = drawn(request(doll(), pose(*dancing())))
    # below the arm that goes up and off the shadows of feet, and above the forearm
    for calm in (np.s_[:, 230:262, :60], np.s_[:, :90, 165:]):
        np.testing.assert_array_equal(frames[calm], frames[calm][:1].repeat(6, axis=0))


def test_where_the_figure_was_the_background_goes_on() -> None:
    gone = {joint: (x + 400, y) for joint, (x, y) in STANDING.items()}
    [frame] = drawn(request(doll(), pose(gone)))
    across = np.linspace(0, 1, len(frame))[:, None, None]
    sky = (1 - across) * (120, 180, 230) + across * (220, 225, 230)
    # a gradient is filled in to within a few levels; a ghost of the doll would be 50 off
    np.testing.assert_allclose(frame, np.broadcast_to(sky, frame.shape), atol=8)


@pytest.mark.parametrize("degrees", [-120, -60, 60, 120])
@pytest.mark.parametrize(
    ("about", "moved"),
    [
        (s.RIGHT_ELBOW, (s.RIGHT_WRIST,)),
        (s.LEFT_SHOULDER, LEFT_ARM),
        (s.RIGHT_KNEE, (s.RIGHT_ANKLE, s.RIGHT_BIG_TOE)),
        (s.LEFT_KNEE, LEFT_SHANK),
    ],
)
def test_a_bent_joint_has_no_cracks(
    about: int, moved: tuple[int, ...], degrees: float
) -> None:
    bent = turned(STANDING, about, moved, degrees)
    [frame] = drawn(request(white_on_black(), pose(bent)))
    joints = [about, *moved[:1]]
    x, y = np.linspace(*(np.array(bent[joint]) for joint in joints), 60).T
    along = frame[np.rint(y).astype(int), np.rint(x).astype(int)].min(axis=-1)
    # black between two triangles would show as a dip along the bone
    assert along.min() >= 250
    # and around the joint: no black that white encloses, but for what limbs go around
    inside = (frame[..., 0] > 64).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(1 - inside, connectivity=4)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    assert not ((areas > 0) & (areas < 12)).any()


def test_it_is_one_piece_at_every_step() -> None:
    for frame in drawn(request(white_on_black(), pose(*dancing()))):
        inside = (frame[..., 0] > 64).astype(np.uint8)
        count, _ = cv2.connectedComponents(inside)
        assert count == 2  # the figure and the rest


def test_hands_and_feet_go_where_the_motion_puts_them() -> None:
    shown = doll()
    marked = shown.picture.copy()
    marks = {
        s.RIGHT_WRIST: (0, 255, 0),
        s.LEFT_WRIST: (0, 255, 255),
        s.LEFT_ANKLE: (255, 0, 255),
    }
    for joint, colour in marks.items():
        x, y = STANDING[joint]
        cv2.circle(marked, (int(x), int(y)), 4, colour, -1)
    motion = dancing()
    frames = drawn(request(replace(shown, picture=marked), pose(*motion)))
    for joints, frame in zip(motion, frames, strict=True):
        for joint, colour in marks.items():
            near = np.abs(frame.astype(int) - colour).sum(axis=-1) < 90
            y, x = np.nonzero(near)
            # a mark is 9 px wide, and may be partly covered
            np.testing.assert_allclose((x.mean(), y.mean()), joints[joint], atol=3)


def test_an_arm_that_lay_on_the_body_leaves_the_body_behind() -> None:
    folded = {
        **STANDING,
        s.RIGHT_ELBOW: (86, 148),
        s.RIGHT_WRIST: (132, 152),
    }
    shown = doll(folded)
    [frame] = drawn(request(shown, pose(STANDING)))
    x, y = 116, 150  # in the middle of where the forearm was
    np.testing.assert_allclose(frame[y, x], SHIRT, atol=25)


def test_cloth_that_lies_over_an_arm_stays_behind_when_it_leaves() -> None:
    shown = doll()
    cut = shown.picture.copy()
    cv2.rectangle(cut, (90, 126), (96, 140), SHIRT, -1)  # the inner half of an upper arm
    raised = turned(STANDING, s.RIGHT_SHOULDER, RIGHT_ARM, 100)
    [frame] = drawn(request(replace(shown, picture=cut), pose(raised)))
    elbow, shoulder = np.array(raised[s.RIGHT_ELBOW]), np.array(STANDING[s.RIGHT_SHOULDER])
    along = shoulder + np.linspace(0.45, 0.95, 20)[:, None] * (elbow - shoulder)
    x, y = np.rint(along).astype(int).T
    # skin is bright green-wise, 188; a scrap of the shirt would have 60
    assert frame[y, x, 1].min() > 150


def test_an_arm_beside_the_trunk_does_not_drag_it() -> None:
    shown = doll()
    raised = turned(STANDING, s.LEFT_SHOULDER, LEFT_ARM, -110)
    still, moved = drawn(request(shown, pose(STANDING, raised)))
    # a sixteenth of a pixel at an edge of 130 levels; dragged by 1 % of the way it were 60
    np.testing.assert_allclose(
        moved[150:340, 90:150].astype(int), still[150:340, 90:150], atol=8
    )


def test_a_joint_that_is_lost_for_a_frame_goes_on_between_its_neighbours() -> None:
    motion = pose(*dancing(12))
    whole = drawn(request(doll(), motion))
    gap = drawn(request(doll(), unseen(motion, 6, s.RIGHT_WRIST)))
    np.testing.assert_array_equal(np.delete(gap, 6, axis=0), np.delete(whole, 6, axis=0))
    # the wrist turns about the elbow by 16 degrees a frame, so between it is nearly there
    assert psnr(gap[6], whole[6], np.ones(SIZE[::-1], bool)) > 30


def test_a_half_figure_is_moved_without_its_legs() -> None:
    legs = (s.RIGHT_KNEE, s.RIGHT_ANKLE, s.LEFT_KNEE, s.LEFT_ANKLE)
    toes = (s.RIGHT_BIG_TOE, s.LEFT_BIG_TOE)
    shown = replace(doll(), pose=pose(without(STANDING, *legs, *toes)))
    [frame] = drawn(request(shown, shown.pose))
    assert psnr(frame, shown.picture, shown.alpha > 0) >= 30


def test_a_body_cut_off_below_is_drawn_out_before_its_head_comes_down() -> None:
    whole = doll()
    legs = (*RIGHT_KNEE_DOWN, *LEFT_KNEE_DOWN)
    own = replace(pose(without(STANDING, *legs)), size=(256, 200))
    cut = Doll(whole.picture[:200], whole.alpha[:200], own)
    up = {joint: (x, y - 15) for joint, (x, y) in STANDING.items()}
    [frame] = drawn(replace(request(cut, pose(*[up])), size=(256, 200)))

    def top(picture: NDArray[np.uint8]) -> int:
        return int(np.flatnonzero(picture[:, 128, 2] < 170)[0])  # no sky

    assert abs(top(whole.picture) - 15 - top(frame)) <= 1
    assert (frame[-1, 120:137, 2] < 170).all()


def test_a_figure_that_the_edge_cuts_off_goes_on_beyond_it() -> None:
    whole = doll()
    cut = replace(
        whole,
        picture=whole.picture[:240],
        alpha=whole.alpha[:240],
        pose=replace(
            pose(without(STANDING, *RIGHT_KNEE_DOWN, *LEFT_KNEE_DOWN)), size=(256, 240)
        ),
    )
    up = {joint: (x, y - 30) for joint, (x, y) in STANDING.items()}
    wanted = replace(request(cut, pose(up)), size=(256, 240))
    [frame] = drawn(wanted)
    # the thighs that were at the lower edge have come up, and are still there below
    np.testing.assert_array_equal(frame[-1, 110], frame[-20, 110])


RIGHT_KNEE_DOWN = (s.RIGHT_KNEE, s.RIGHT_ANKLE, s.RIGHT_BIG_TOE)
LEFT_KNEE_DOWN = (s.LEFT_KNEE, s.LEFT_ANKLE, s.LEFT_BIG_TOE)


def test_a_picture_without_shoulders_is_refused_by_what_it_lacks() -> None:
    shown = doll()
    blind = replace(shown, pose=pose(without(STANDING, s.LEFT_SHOULDER)))
    with pytest.raises(InputError, match="a figure needs both shoulders"):
        prepared(request(blind, shown.pose))


def test_a_motion_in_which_nobody_is_seen_is_refused() -> None:
    with pytest.raises(InputError, match="nobody's shoulders in any frame"):
        prepared(request(doll(), pose({s.NOSE: (10, 10)})))


def test_a_request_without_a_motion_is_the_callers_mistake() -> None:
    shown = doll()
    with pytest.raises(ValueError, match="a motion"):
        prepared(replace(request(shown, shown.pose), motion=None))
    with pytest.raises(ValueError, match="3 frames wanted of a motion of 1"):
        prepared(replace(request(shown, shown.pose), frames=3))


@pytest.mark.blazepose
def test_an_opaque_picture_with_room_beside_it_is_not_taken_for_a_cut_out(
    blazepose_models: Path,
) -> None:
    shown = doll()
    beside = np.full_like(shown.alpha, 255)
    beside[:40] = 0
    empty = replace(shown, picture=np.full_like(shown.picture, 128), alpha=beside)
    wanted = replace(request(empty, shown.pose), weights={"blazepose": blazepose_models})
    with pytest.raises(InputError, match="no figure to cut out"):
        prepared(wanted)
