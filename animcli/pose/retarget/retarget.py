"""Fit a motion to the proportions of another figure.

Every bone keeps its direction in every frame, and so its foreshortening, and gets one ratio
for the whole clip. The ratios come from how long bones look over all frames
(`bone_lengths`), not from one frame that may show an arm pointing at the camera; the figure
is composed anew from the pelvis outwards, and then put on the ground (`foot_contact`).
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose import keypoints as s
from animcli.pose.bones import CHEST, KEYPOINT_PARENTS, NODES, PELVIS, complete
from animcli.pose.retarget.bone_lengths import (
    START,
    LengthRatios,
    estimate_lengths,
    length_ratios,
    lengths_in_picture,
    observed_lengths,
    scale_of,
)
from animcli.pose.retarget.camera import Camera, steady
from animcli.pose.retarget.foot_contact import ANKLES, find_contacts, root_path
from animcli.pose.sequence import PoseSequence
from animcli.pose.shots import by_shot, joined


def name_bones() -> tuple[str, ...]:
    """For each node the ratio that its bone takes; the pelvis has none."""
    names = ["head"] * NODES
    for keypoints, name in (
        ((s.NECK, CHEST), "torso"),
        ((s.RIGHT_SHOULDER, s.LEFT_SHOULDER), "shoulders"),
        ((s.RIGHT_HIP, s.LEFT_HIP), "hips"),
        ((s.RIGHT_ELBOW, s.LEFT_ELBOW), "upper_arm"),
        ((s.RIGHT_WRIST, s.LEFT_WRIST), "forearm"),
        ((s.RIGHT_KNEE, s.LEFT_KNEE), "thigh"),
        ((s.RIGHT_ANKLE, s.LEFT_ANKLE), "shin"),
        ((s.NOSE,), "neck"),
        (range(s.FEET.start, s.FEET.stop), "foot"),
        (range(s.LEFT_HAND.start, s.RIGHT_HAND.stop), "hand"),
    ):
        for joint in keypoints:
            names[joint] = name
    return tuple(names)


BONE_OF: Final = name_bones()

UPRIGHT: Final = 25  # percentile of the root's way down: crouches and leaps left aside
_SHOWN: Final = 6  # frames of the source that the result remembers
SMALLEST: Final = 50  # percent: smaller, it wouldn't be the character any more
GLIMPSE: Final = 0.3  # of a shot's frames, in which a leg must be seen to count
OUTSIDE_SHARE: Final = 0.05  # of the keypoints may leave the picture before it is told


def retarget(
    motion: PoseSequence,
    reference: PoseSequence,
    *,
    camera: Camera = Camera.AUTO,
    keep_in_frame: bool = False,
) -> PoseSequence:
    """`motion` as the figure of `reference` would do it, in pixels of `reference.size`.

    reference: its first frame counts. camera: what moves or enlarges the figure.
    keep_in_frame: keep the figure in the picture: move it aside as a whole, and if more of
    it still leaves than OUTSIDE says, shrink it towards the ground, unless it is half a
    figure. What was measured and guessed is in the result's `origin.retarget`, what a user
    should know of it under `notes`. Each shot of a motion with cuts is fitted by itself;
    what is told is then that of the first one, and the notes of all. Raises InputError if
    one of the two shows no figure, or the reference less of one than can be moved.
    """
    if motion.cuts and motion.visible[:, s.BODY].any():
        return _each_shot(motion, reference, camera, fit=keep_in_frame)
    if not len(motion) or not motion.visible[:, s.BODY].any():
        raise InputError("the motion shows nobody", "see it with `anim inspect`")
    if not len(reference) or not reference.visible[0, s.BODY].any():
        raise InputError("the reference shows nobody", "give a picture of a whole person")
    if is_bust(reference.visible[:1]) and not is_bust(motion.visible):
        raise InputError(
            "the reference shows a head and shoulders only, the motion a whole body",
            "give a picture that shows the arms or the hips too",
        )
    observed = observed_lengths(motion.points.astype(np.float64), motion.visible)
    places, known = complete(motion.points.astype(np.float64), motion.visible)
    scale = scale_of(observed, len(motion))
    tall = estimate_lengths(observed, scale).height
    shot = steady(places, known, scale, motion.size, tall, camera)
    source = estimate_lengths(observed, shot.scale)
    looks_there = observed_lengths(
        reference.points[:1].astype(np.float64), reference.visible[:1]
    )
    there = lengths_in_picture(looks_there)
    try:
        ratios = length_ratios(source, there)
    except ValueError as error:
        raise InputError(
            f"can't compare motion and reference: {error}",
            "give a picture that shows at least the shoulders and an arm",
        ) from error
    hanging = recompose(shot.places, ratios)
    contacts = find_contacts(shot.places, known, source.height)
    legs = bool(known[list(ANKLES)].all())
    path = root_path(shot.places, hanging, contacts, ratios.leg, legs)
    figure = hanging + path[:, None]
    figure, level = place_figure(figure, known, reference, shot.kept)
    notes = list(ratios.notes)
    if shot.kind == Camera.MOVING.value:
        notes.append(
            "the camera moves: the figure stays on the ground and at one size, "
            "--camera walk keeps its path"
        )
    aside = room_aside(figure, motion.visible, reference.size[0]) if keep_in_frame else 0.0
    figure = figure + np.array([aside, 0])
    if abs(aside) >= 1:
        way = "right" if aside > 0 else "left"
        notes.append(f"moved {abs(aside):.0f} px to the {way} to stay in the picture")
    share = outside(figure, motion, reference.size)
    shrunk = 1.0
    if (
        keep_in_frame and share > OUTSIDE_SHARE and level == "ground"
    ):  # half a figure is cut off anyway
        figure, shrunk = shrink(figure, motion, reference.size)
        notes.append(f"shrunk to {shrunk:.0%} to stay in the picture")
        share = outside(figure, motion, reference.size)
    if share > OUTSIDE_SHARE:
        notes.append(f"{share:.0%} of the keypoints leave the picture")
    return PoseSequence(
        points=figure[:, : s.KEYPOINTS].astype(np.float32),
        scores=motion.scores.copy(),
        ticks=motion.ticks,
        time_base=motion.time_base,
        size=reference.size,
        draw_threshold=motion.draw_threshold,
        origin=replace(
            motion.origin,
            retarget={
                "ratios": {name: round(ratio, 4) for name, ratio in ratios.of.items()},
                "scale_range": [
                    round(float(end), 4) for end in (shot.scale.min(), shot.scale.max())
                ],
                "camera": shot.kind,
                "stance_frames": contacts.frames,
                "placed_by": level,
                "moved_aside_px": round(aside, 1),
                "shrunk": round(shrunk, 4),
                "notes": notes,
                "reference": snapshots(reference, [0]),
                "source": snapshots(motion, spread_frames(len(motion))),
            },
        ),
    )


def _each_shot(
    motion: PoseSequence, reference: PoseSequence, camera: Camera, *, fit: bool
) -> PoseSequence:
    """Every shot of the motion fitted by itself. Raises InputError, naming the shot."""

    def fitted(shot: PoseSequence) -> PoseSequence:
        try:
            return retarget(
                without_glimpses(shot), reference, camera=camera, keep_in_frame=fit
            )
        except InputError as error:
            begin = float((shot.ticks[0] - motion.ticks[0]) * motion.time_base)
            raise InputError(
                f"the shot from {begin:.2f} s on: {error.message}", error.hint
            ) from error

    parts = by_shot(motion, fitted)
    told = [part.origin.retarget for part in parts]
    notes = [
        f"shot {number}: {line}"
        for number, each in enumerate(told, 1)
        for line in list(each.get("notes") or [])  # type: ignore[call-overload]
    ]
    first = next(each for each in told if each)
    origin = replace(motion.origin, retarget={**first, "notes": notes})
    return replace(joined(motion, parts), size=reference.size, origin=origin)


def without_glimpses(shot: PoseSequence) -> PoseSequence:
    """A shot without the hips and legs that hardly any of its frames show.

    Of a figure that the picture cuts off, detectors put them at its edge now and then, and
    what is put there would be taken for how tall it is and where it stands.
    """
    below = [*range(s.RIGHT_HIP, s.LEFT_ANKLE + 1), *range(s.FEET.start, s.FEET.stop)]
    scores = shot.scores.copy()
    for joint in below:
        if shot.visible[:, joint].mean() < GLIMPSE:
            scores[:, joint] = 0
    return replace(shot, scores=scores)


def is_bust(visible: NDArray[np.bool_]) -> bool:
    """Tell if neither hips nor elbows are visible in most of some frames `(frames,
    134)`.
    """
    below = visible[:, [s.RIGHT_HIP, s.LEFT_HIP, s.RIGHT_ELBOW, s.LEFT_ELBOW]].any(axis=1)
    return bool(below.mean() < 0.5)


def spread_frames(frames: int) -> list[int]:
    """Up to six frames, the first and the last among them."""
    return sorted({round(part * (frames - 1) / (_SHOWN - 1)) for part in range(_SHOWN)})


def snapshots(sequence: PoseSequence, frames: list[int]) -> dict[str, object]:
    """The bodies of a few frames as JSON, to be looked at beside the result.

    points: for each frame `[x, y]` of the 18 keypoints, pixels of `size`, `[]` if not seen.
    """
    bodies = [
        [
            [round(float(at), 1) for at in point] if visible else []
            for point, visible in zip(
                sequence.points[frame, s.BODY], sequence.visible[frame, s.BODY], strict=True
            )
        ]
        for frame in frames
    ]
    return {"size": list(sequence.size), "frames": frames, "points": bodies}


def recompose(places: NDArray[np.float64], ratios: LengthRatios) -> NDArray[np.float64]:
    """The figure with its new bones, `(frames, 136, 2)`, the pelvis at the origin."""
    figure = np.zeros_like(places)
    for joint, parent in KEYPOINT_PARENTS.items():
        bone = places[:, joint] - places[:, parent]
        figure[:, joint] = figure[:, parent] + bone * ratios.of[BONE_OF[joint]]
    return figure


def place_figure(
    figure: NDArray[np.float64],
    known: NDArray[np.bool_],
    reference: PoseSequence,
    scale: NDArray[np.float64],
) -> tuple[NDArray[np.float64], str]:
    """Shift the figure to where the reference stands, by the lowest level both have.

    The level is the ground under the feet, or the hips, or the neck. Across, the pelvis
    (the neck, in half a body) is where the reference's is, at the beginning of the clip.
    """
    spot, there = complete(reference.points[:1].astype(np.float64), reference.visible[:1])
    has = known & there
    start = slice(0, START)
    beginning = np.median(figure[start], axis=0)
    root = PELVIS if has[PELVIS] else s.NECK
    across = spot[0, root, 0] - beginning[root, 0]
    feet = list(ANKLES)
    if has[feet].all():
        # At another scale, nearer the camera or farther, the ground is elsewhere.
        alike = np.abs(scale - 1) < 0.05
        lowest = figure[:, feet, 1].max(axis=1)
        ground = np.percentile(lowest[alike] if alike.any() else lowest, 90)
        down = spot[0, feet, 1].max() - ground
        level = "ground"
    else:
        # A reference stands upright: it is as high as the motion is when it does.
        down = spot[0, root, 1] - np.percentile(figure[:, root, 1], UPRIGHT)
        level = "hips" if root == PELVIS else "neck"
    return figure + np.array([across, down]), level


def room_aside(
    figure: NDArray[np.float64], visible: NDArray[np.bool_], width: int
) -> float:
    """Shift of the figure across, in pixels, that keeps it in the picture.

    figure: `(frames, 136, 2)`. As little as leaves no more of its keypoints outside than
    OUTSIDE says: a hand that reaches out for a moment isn't worth a character that stands
    beside its place. Where nothing leaves so few outside, what leaves fewest.
    """
    across = np.sort(figure[:, s.BODY, 0][visible[:, s.BODY]])
    shifts = np.arange(-width, width + 1)
    shifts = shifts[np.argsort(np.abs(shifts), kind="stable")]  # the shortest way first
    inside = np.searchsorted(across, width - shifts) - np.searchsorted(across, -shifts)
    enough = np.minimum(inside.max(), np.ceil((1 - OUTSIDE_SHARE) * len(across)))
    return float(shifts[np.argmax(inside >= enough)])


def outside(
    figure: NDArray[np.float64], motion: PoseSequence, size: tuple[int, int]
) -> float:
    """The share of the seen body keypoints that lie outside the picture."""
    body = figure[:, s.BODY]
    out = np.any((body < 0) | (body >= size), axis=2)
    return float(out[motion.visible[:, s.BODY]].mean())


def shrink(
    figure: NDArray[np.float64], motion: PoseSequence, size: tuple[int, int]
) -> tuple[NDArray[np.float64], float]:
    """The figure scaled about its mean place on the ground, as little as will do.

    Ground that lies outside of the picture is replaced by what is nearest to it inside.
    """
    feet = figure[:, list(ANKLES)]
    ground = np.array([figure[:, PELVIS, 0].mean(), feet[..., 1].max()])
    spot = ground.clip(0, np.array(size) - 1)
    for percent in range(98, SMALLEST - 2, -2):
        smaller = spot + (figure - spot) * (percent / 100)
        if outside(smaller, motion, size) <= OUTSIDE_SHARE:
            break
    return smaller, percent / 100
