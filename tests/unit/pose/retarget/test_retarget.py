"""Retargeting keeps what a motion says and changes what it says it with."""

from dataclasses import replace

import numpy as np
import pytest
from builders import dancer
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.filtering import clean
from animcli.pose.retarget.camera import Camera
from animcli.pose.retarget.retarget import retarget
from animcli.pose.sequence import PoseSequence

LEGS = [s.RIGHT_KNEE, s.RIGHT_ANKLE, s.LEFT_KNEE, s.LEFT_ANKLE, *range(18, 24)]
HIPS = [s.RIGHT_HIP, s.LEFT_HIP]
LIMBS = ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13))
USUAL = dancer.Body()


def filmed(seed: int, **dance: float) -> PoseSequence:
    return dancer.film(dancer.perform(USUAL, dancer.dance(seed, **dance)), dancer.STAGE)


def true(seed: int) -> tuple[dancer.Body, NDArray[np.float32]]:
    body = dancer.Body.from_seed(seed)
    return body, dancer.film(
        dancer.perform(body, dancer.dance(seed)), dancer.PORTRAIT
    ).points[:, :18]


def rooted(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return points[:, :18] - points[:, HIPS].mean(axis=1, keepdims=True)


def joint_error(result: PoseSequence, truth: NDArray[np.float32], tall: float) -> float:
    """Percent of the height."""
    away = np.linalg.norm(rooted(result.points) - rooted(truth), axis=2)
    return 100 * float(away.mean()) / tall


def lengths(points: NDArray[np.float32]) -> NDArray[np.float32]:
    ends = np.array(LIMBS).T
    return np.linalg.norm(points[:, ends[0]] - points[:, ends[1]], axis=2)


def angles(points: NDArray[np.float32]) -> NDArray[np.float32]:
    ends = np.array(LIMBS).T
    way = points[:, ends[1]] - points[:, ends[0]]
    return np.arctan2(way[..., 1], way[..., 0])


def test_every_limb_keeps_its_direction_and_one_ratio() -> None:
    motion = filmed(20)
    result = retarget(motion, dancer.portrait(dancer.Body.from_seed(20)))
    turned = np.abs(angles(result.points) - angles(motion.points))
    long = lengths(motion.points) > 5  # px; float32 can't tell the angle of less
    assert np.minimum(turned, 2 * np.pi - turned)[long].max() < 1e-3
    ratio = lengths(result.points) / lengths(motion.points)
    spread = np.array(
        [
            side[kept].std() / side[kept].mean()
            for side, kept in zip(ratio.T, long.T, strict=True)
        ]
    )
    assert spread.max() < 1e-3


def test_the_other_dancers_would_have_looked_like_that() -> None:
    errors = []
    for seed in range(20, 30):
        body, truth = true(seed)
        result = retarget(filmed(seed), dancer.portrait(body))
        errors.append(joint_error(result, truth, dancer.PORTRAIT.height_px(body)))
    assert np.mean(errors) < 2.5


def test_a_dancer_retargeted_to_herself_stays_herself() -> None:
    errors = []
    for seed in range(20, 26):
        truth = dancer.film(dancer.perform(USUAL, dancer.dance(seed)), dancer.PORTRAIT)
        result = retarget(filmed(seed), dancer.portrait(USUAL))
        tall = dancer.PORTRAIT.height_px(USUAL)
        errors.append(joint_error(result, truth.points, tall))
    assert np.mean(errors) < 2.5
    assert max(errors) < 5


def test_a_film_twice_as_large_gives_the_same() -> None:
    motion, reference = filmed(20), dancer.portrait(dancer.Body.from_seed(20))
    twice = replace(motion, points=motion.points * 2, size=(2560, 1440))
    np.testing.assert_allclose(
        retarget(twice, reference).points, retarget(motion, reference).points, atol=0.01
    )


def test_a_resting_foot_rests() -> None:
    body = dancer.Body.from_seed(21)
    take = dancer.perform(body, dancer.dance(21))
    result = retarget(filmed(21), dancer.portrait(body))
    feet = result.points[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE]]
    rests = (take.stance[1:] == take.stance[:-1]) & (take.stance[1:] >= 0)
    steps = np.linalg.norm(np.diff(feet, axis=0), axis=2)
    mean = steps[np.arange(len(steps)), take.stance[1:]][rests].mean()
    assert 100 * mean / dancer.PORTRAIT.height_px(body) < 0.05


def test_a_resting_foot_is_as_high_as_the_sources_at_the_legs_true_ratio() -> None:
    deviations = []
    for seed in range(20, 30):
        body, angles = dancer.Body.from_seed(seed), dancer.dance(seed, turning=1.3)
        take = dancer.perform(USUAL, angles)
        source = dancer.film(take, dancer.STAGE)
        result = retarget(source, dancer.portrait(body))
        near, far = dancer.PORTRAIT, dancer.STAGE
        legs = (body.thigh + body.shin) * near.focal / near.distance
        legs /= (USUAL.thigh + USUAL.shin) * far.focal / far.distance
        stance = dancer.perform(body, angles).stance
        rests = (stance[1:] == stance[:-1]) & (stance[1:] >= 0)
        foot = np.array([s.RIGHT_ANKLE, s.LEFT_ANKLE])[stance[1:][rests]]
        frame = 1 + np.flatnonzero(rests)
        above = result.points[frame, foot, 1] - legs * source.points[frame, foot, 1]
        deviations.append(100 * above.std() / dancer.PORTRAIT.height_px(body))
    assert np.mean(deviations) < 0.3  # 0.18 measured


def test_noise_does_not_lift_or_sink_a_long_dance() -> None:
    body, angles = dancer.Body.from_seed(22), dancer.dance(22, frames=600)
    take = dancer.perform(USUAL, angles)
    motion = clean(dancer.film(take, dancer.STAGE, noise_px=4, seed=22))
    result = retarget(motion, dancer.portrait(body))
    ratios = result.origin.retarget["ratios"]
    assert isinstance(ratios, dict)
    leg = (ratios["thigh"] * ratios["shin"]) ** 0.5
    feet = [s.RIGHT_ANKLE, s.LEFT_ANKLE]
    above = result.points[:, feet, 1].max(axis=1) - leg * motion.points[:, feet, 1].max(
        axis=1
    )
    # 0.07 measured; steps that only add up reach 0.26.
    assert 100 * above.std() / dancer.PORTRAIT.height_px(body) < 0.12


def test_jumps_are_kept() -> None:
    take = dancer.perform(USUAL, dancer.dance(22))
    motion = dancer.film(take, dancer.STAGE)
    result = retarget(motion, dancer.portrait(USUAL))
    highest = take.keypoints[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE], 1].min(axis=1).argmax()
    lowest = result.points[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE], 1].max(axis=1)
    jumped = (np.percentile(lowest, 90) - lowest[highest]) / dancer.PORTRAIT.height_px(
        USUAL
    )
    assert jumped == pytest.approx(0.1, abs=0.03)  # the jump of the dance; perspective


def test_a_figure_stands_where_the_reference_stands() -> None:
    reference = dancer.portrait(dancer.Body.from_seed(23))
    moved = replace(reference, points=reference.points + np.float32(40))
    first, second = retarget(filmed(23), reference), retarget(filmed(23), moved)
    np.testing.assert_allclose(second.points - first.points, 40, atol=0.01)
    ground = reference.points[0, [s.RIGHT_ANKLE, s.LEFT_ANKLE], 1].max()
    lowest = first.points[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE], 1].max(axis=1)
    assert np.percentile(lowest, 90) == pytest.approx(ground, abs=0.01)


def test_a_first_frame_from_behind_is_not_mirrored() -> None:
    angles = dancer.dance(24)
    behind = replace(angles, yaw=angles.yaw + np.pi)
    motion = dancer.film(dancer.perform(USUAL, behind), dancer.STAGE)
    result = retarget(motion, dancer.portrait(USUAL))
    across = result.points[0, s.LEFT_SHOULDER, 0] - result.points[0, s.RIGHT_SHOULDER, 0]
    assert across < 0


def test_a_zoom_is_told_from_a_walk() -> None:
    t = np.arange(180) / 180
    zoom = 1 + 0.35 * np.sin(2 * np.pi * t)
    take = dancer.perform(USUAL, dancer.dance(25))
    zoomed = dancer.film(take, dancer.STAGE, zoom=zoom)
    reference = dancer.portrait(USUAL)
    assert retarget(zoomed, reference).origin.retarget["camera"] == "zoom"
    away = dancer.dance(25, walk=0.5, turning=0.1, frames=120)
    far = dancer.Film(distance=6, focal=1690)
    walked = dancer.film(dancer.perform(USUAL, away), far)
    assert retarget(walked, reference).origin.retarget["camera"] == "walk"
    assert retarget(filmed(25), reference).origin.retarget["camera"] == "still"


def test_a_zoom_is_taken_out_unless_it_is_called_a_walk() -> None:
    zoom = 1 + 0.35 * np.sin(2 * np.pi * np.arange(180) / 180)
    zoomed = dancer.film(dancer.perform(USUAL, dancer.dance(25)), dancer.STAGE, zoom=zoom)
    reference = dancer.portrait(USUAL)

    def spread(result: PoseSequence) -> float:
        torso = np.linalg.norm(rooted(result.points)[:, s.NECK], axis=1)
        return float(torso.max() / torso.min())

    assert spread(retarget(zoomed, reference)) < 1.35
    assert spread(retarget(zoomed, reference, camera=Camera.WALK)) > 1.7


def test_a_foreshortened_arm_does_not_shorten_the_dancer() -> None:
    reference = dancer.portrait(USUAL)
    whole = retarget(filmed(26), reference)
    points = reference.points.copy()
    for shoulder, elbow, wrist in ((2, 3, 4), (5, 6, 7)):
        points[0, elbow] = points[0, shoulder] + (3, 5)
        points[0, wrist] = points[0, elbow] + (2, 4)
    pointing = retarget(filmed(26), replace(reference, points=points))
    assert (
        "upper arm foreshortened in the reference: taken from the body"
        in (pointing.origin.retarget["notes"])
    )
    np.testing.assert_allclose(
        np.percentile(lengths(pointing.points), 95, axis=0)[:4],
        np.percentile(lengths(whole.points), 95, axis=0)[:4],
        rtol=0.15,  # the body's ratio stands in for the arm's own
    )


def test_legs_that_the_reference_hides_follow_the_torso() -> None:
    half = dancer.without(dancer.portrait(USUAL), LEGS)
    result = retarget(filmed(27), half)
    assert (
        "legs not visible in the reference: lengths taken from the torso"
        in (result.origin.retarget["notes"])
    )
    whole = retarget(filmed(27), dancer.portrait(USUAL))
    np.testing.assert_allclose(
        np.percentile(lengths(result.points), 95, axis=0),
        np.percentile(lengths(whole.points), 95, axis=0),
        rtol=0.1,
    )
    assert result.origin.retarget["placed_by"] == "hips"


def test_half_a_motion_moves_the_upper_half() -> None:
    half = dancer.without(filmed(28), [*LEGS, *HIPS])
    result = retarget(half, dancer.portrait(dancer.Body.from_seed(28)))
    np.testing.assert_array_equal(result.scores, half.scores)
    assert np.isfinite(result.points).all()
    assert result.origin.retarget["placed_by"] == "neck"
    neck = dancer.portrait(dancer.Body.from_seed(28)).points[0, s.NECK]
    found = result.points[:, s.NECK]
    assert np.median(found[:10, 0]) == pytest.approx(neck[0], abs=0.01)
    assert np.percentile(found[:, 1], 25) == pytest.approx(neck[1], abs=0.01)


def test_joints_that_drop_out_do_not_make_others_jump() -> None:
    motion = filmed(29)
    random = np.random.default_rng(29)
    scores = motion.scores.copy()
    scores[random.random(scores.shape) < 0.2] = 0
    points = motion.points.copy()
    points[scores == 0] = 0
    reference = dancer.portrait(USUAL)
    result = retarget(replace(motion, points=points, scores=scores), reference)
    whole = retarget(motion, reference)
    assert np.isfinite(result.points).all()
    np.testing.assert_array_equal(result.scores, scores)
    tall = dancer.PORTRAIT.height_px(USUAL)
    seen = (scores > 0)[:, :18]
    away = np.linalg.norm(result.points[:, :18] - whole.points[:, :18], axis=2)[seen]
    assert away.max() < 0.08 * tall


def test_hands_and_face_go_with_wrist_and_nose() -> None:
    motion = filmed(30)
    points, scores = motion.points.copy(), motion.scores.copy()
    random = np.random.default_rng(30)
    shape = random.normal(size=(68, 2)) * 12
    fingers = random.normal(size=(21, 2)) * 10
    fingers[0] = 0
    points[:, s.FACE] = points[:, [s.NOSE]] + shape
    points[:, s.LEFT_HAND] = points[:, [s.LEFT_WRIST]] + fingers
    scores[:, s.FACE] = scores[:, s.LEFT_HAND] = 0.9
    result = retarget(
        replace(motion, points=points, scores=scores),
        dancer.portrait(dancer.Body.from_seed(30)),
    )
    ratios = result.origin.retarget["ratios"]
    face = result.points[:, s.FACE] - result.points[:, [s.NOSE]]
    hand = result.points[:, s.LEFT_HAND] - result.points[:, [s.LEFT_WRIST]]
    # Ratios are rounded to four places, points are float32.
    np.testing.assert_allclose(
        face, np.broadcast_to(shape * ratios["head"], face.shape), atol=0.02
    )
    np.testing.assert_allclose(
        hand, np.broadcast_to(fingers * ratios["hand"], hand.shape), atol=0.02
    )


def test_a_figure_that_leaves_the_picture_is_told_and_shrunk_on_demand() -> None:
    motion = filmed(31)
    reference = dancer.portrait(USUAL)
    small = replace(reference, size=(300, 700))
    told = retarget(motion, small)
    assert any("leave the picture" in note for note in told.origin.retarget["notes"])
    fitted = retarget(motion, small, keep_in_frame=True)
    assert fitted.origin.retarget["shrunk"] < 1


def test_a_figure_that_walks_out_of_the_picture_is_shrunk_into_it() -> None:
    motion, reference = filmed(21), dancer.portrait(USUAL)
    nearer = np.linspace(0, 400, len(motion), dtype=np.float32)  # px farther down
    points = motion.points + np.stack([0 * nearer, nearer], axis=1)[:, None]
    fitted = retarget(replace(motion, points=points), reference, keep_in_frame=True)
    assert 0.4 < fitted.origin.retarget["shrunk"] < 1


def with_room(reference: PoseSequence) -> PoseSequence:
    """The same picture with 500 px more on both sides."""
    points = reference.points + np.array([500, 0], np.float32)
    return replace(reference, points=points, size=(reference.size[0] + 1000, 700))


def cut_at(reference: PoseSequence, motion: PoseSequence, share: float) -> PoseSequence:
    """The picture so narrow that a share of the motion's body lies right of it."""
    plain = retarget(motion, reference).points[:, s.BODY, 0][motion.visible[:, s.BODY]]
    edge = int(np.percentile(plain, 100 * (1 - share)))
    return replace(reference, size=(edge, reference.size[1]))


def test_a_figure_that_wanders_off_is_moved_aside_on_demand() -> None:
    motion = filmed(23)
    narrow = cut_at(with_room(dancer.portrait(USUAL)), motion, 0.2)
    fitted = retarget(motion, narrow, keep_in_frame=True)
    moved = fitted.points - retarget(motion, narrow).points
    across = fitted.origin.retarget["moved_aside_px"]
    np.testing.assert_allclose(moved[..., 0], across, atol=0.06)  # it is rounded to 0.1
    np.testing.assert_array_equal(moved[..., 1], 0)
    assert fitted.origin.retarget["shrunk"] == 1
    assert fitted.origin.retarget["notes"][-1] == (
        f"moved {-across:.0f} px to the left to stay in the picture"
    )
    out = fitted.points[:, s.BODY, 0][motion.visible[:, s.BODY]] >= narrow.size[0]
    assert 0.045 < out.mean() <= 0.05  # no farther than it must


def test_a_character_stays_in_its_place_for_a_hand_that_reaches_out() -> None:
    motion = filmed(23)
    narrow = cut_at(with_room(dancer.portrait(USUAL)), motion, 0.04)
    assert (
        retarget(motion, narrow, keep_in_frame=True).origin.retarget["moved_aside_px"] == 0
    )


def test_a_figure_that_stays_in_the_picture_is_not_moved() -> None:
    motion, reference = filmed(23), with_room(dancer.portrait(USUAL))
    np.testing.assert_array_equal(
        retarget(motion, reference, keep_in_frame=True).points,
        retarget(motion, reference).points,
    )


def test_a_head_and_shoulders_do_not_dance() -> None:
    motion = filmed(23)
    below = [s.RIGHT_ELBOW, s.RIGHT_WRIST, s.LEFT_ELBOW, s.LEFT_WRIST, *range(8, 14)]
    below += range(s.FEET.start, s.FEET.stop)
    bust = dancer.without(dancer.portrait(USUAL), below)
    with pytest.raises(InputError, match="a head and shoulders only"):
        retarget(motion, bust)
    assert len(retarget(dancer.without(motion, below), bust)) == len(motion)


@pytest.mark.parametrize("empty", ["motion", "reference"])
def test_nobody_is_named(empty: str) -> None:
    pair = {"motion": filmed(32), "reference": dancer.portrait(USUAL)}
    nobody = pair[empty]
    pair[empty] = replace(nobody, scores=np.zeros_like(nobody.scores))
    with pytest.raises(InputError, match=f"the {empty} shows nobody"):
        retarget(pair["motion"], pair["reference"])


def test_figures_without_a_bone_in_common_are_refused() -> None:
    head = dancer.without(filmed(33), [*range(1, 14), *range(18, 24)])
    legs = dancer.without(dancer.portrait(USUAL), [*range(8), *range(14, 18)])
    with pytest.raises(InputError, match="no bone in common"):
        retarget(head, legs)


def test_with_noise_a_resting_foot_moves_no_more_than_the_sources_does() -> None:
    body = dancer.Body.from_seed(34)
    take = dancer.perform(USUAL, dancer.dance(34))
    motion = clean(dancer.film(take, dancer.STAGE, noise_px=4, seed=34))
    result = retarget(motion, dancer.portrait(body))
    ratios = result.origin.retarget["ratios"]
    rests = (take.stance[1:] == take.stance[:-1]) & (take.stance[1:] >= 0)

    def slide(sequence: PoseSequence) -> float:
        feet = sequence.points[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE]]
        steps = np.linalg.norm(np.diff(feet, axis=0), axis=2)
        return float(steps[np.arange(len(steps)), take.stance[1:]][rests].mean())

    scaled = slide(motion) * np.sqrt(ratios["thigh"] * ratios["shin"])
    assert slide(result) < 1.1 * scaled


def test_a_motion_of_one_frame_is_fitted_too() -> None:
    still = filmed(28).part(range(10, 11))
    result = retarget(still, dancer.portrait(dancer.Body.from_seed(28)))
    turned = np.abs(angles(result.points) - angles(still.points))
    assert np.minimum(turned, 2 * np.pi - turned)[lengths(still.points) > 5].max() < 1e-3
