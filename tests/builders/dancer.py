"""A dancer in three dimensions whose keypoints are known, filmed by a known camera.

Two dancers of different build can be given the same joint angles: one is the source, and
what the other shows is what retargeting should have found. Lengths are in metres, x right,
y up, z towards the camera; pictures have x right, y down.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.pose.sequence import PoseSequence, even_ticks

RATE = Fraction(30)
Array = NDArray[np.float64]

DOWN = np.array([0.0, -1.0, 0.0])
HEAD = {  # from the neck, for a head of size 1
    s.NOSE: (0.0, 0.17, 0.09),
    s.RIGHT_EYE: (-0.032, 0.205, 0.07),
    s.LEFT_EYE: (0.032, 0.205, 0.07),
    s.RIGHT_EAR: (-0.075, 0.185, -0.01),
    s.LEFT_EAR: (0.075, 0.185, -0.01),
}


@dataclass(frozen=True)
class Body:
    """Bone lengths in metres; shoulders and hips are half widths."""

    torso: float = 0.50
    shoulders: float = 0.18
    hips: float = 0.10
    upper_arm: float = 0.29
    forearm: float = 0.26
    thigh: float = 0.42
    shin: float = 0.41
    head: float = 1.0
    foot: float = 0.17

    @classmethod
    def from_seed(cls, seed: int) -> "Body":
        """Every bone 0.75 to 1.3 of the usual, and the whole 0.6 to 1.1."""
        random = np.random.default_rng([seed, 1])
        usual = cls()
        whole = random.uniform(0.6, 1.1)
        return cls(
            **{
                name: length * whole * random.uniform(0.75, 1.3)
                for name, length in vars(usual).items()
            }
        )

    @property
    def height(self) -> float:
        """From the ground to the nose, standing straight."""
        return self.shin + self.thigh + self.torso + 0.17 * self.head


@dataclass(frozen=True, eq=False)
class Angles:
    """Joint angles over time, radians, each `(frames,)` or `(frames, 2)` right, left."""

    yaw: Array
    lean: Array
    tilt: Array
    twist: Array
    nod: Array
    shake: Array
    arm_out: Array
    arm_forward: Array
    elbow: Array
    elbow_turn: Array
    hip: Array
    hip_out: Array
    knee: Array
    jump: Array  # of the height


@dataclass(frozen=True)
class Film:
    """A camera that looks level, from `distance` metres away and `height` above ground."""

    size: tuple[int, int] = (1280, 720)
    focal: float = 1270.0
    distance: float = 4.5
    height: float = 0.95

    def project(self, keypoints: Array) -> Array:
        """`(frames, n, 3)` metres to `(frames, n, 2)` pixels."""
        scale = self.focal / (self.distance - keypoints[..., 2])
        across = self.size[0] / 2 + scale * keypoints[..., 0]
        down = self.size[1] / 2 - scale * (keypoints[..., 1] - self.height)
        return np.stack([across, down], axis=-1)

    def height_px(self, body: Body) -> float:
        """How tall the body is in the picture, in the middle of the stage."""
        return body.height * self.focal / self.distance


STAGE = Film()
PORTRAIT = Film(size=(512, 768), focal=1380.0)


def dance(seed: int, frames: int = 180, turning: float = 0.4, walk: float = 0.0) -> Angles:
    """A dance: slow sways on every joint, steps in place, two jumps.

    turning: how far the dancer turns to either side, radians. walk: how far the legs swing.
    """
    random = np.random.default_rng([seed, 0])
    t = np.arange(frames) / float(RATE)

    def sway(middle: float, reach: float, columns: int = 0) -> Array:
        shape = (3, columns) if columns else (3,)
        speed = random.uniform(0.15, 0.9, shape) * 2 * np.pi
        phase = random.uniform(0, 2 * np.pi, shape)
        share = random.dirichlet([1.5] * 3, columns or None)
        share = share.T if columns else share
        wave = np.sin(t.reshape(-1, *[1] * len(shape)) * speed + phase)
        return middle + reach * (wave * share).sum(axis=1)

    beat = 2 * np.pi * random.uniform(0.7, 1.1) * t + random.uniform(0, 2 * np.pi)
    lift = np.maximum(np.stack([np.sin(beat), -np.sin(beat)], axis=1), 0)
    swing = walk * np.stack([np.cos(beat), -np.cos(beat)], axis=1)
    crouch = np.maximum(sway(0.15, 0.35), 0)[:, None]
    amplitude = random.uniform(0.35, 0.8)
    jump = np.zeros(frames)
    for start in random.integers(20, frames - 20, 2) if frames > 40 else ():
        flight = np.arange(12)
        jump[start : start + 12] = 0.1 * 4 * flight * (11 - flight) / 121
    return Angles(
        yaw=sway(0, turning) if turning else np.zeros(frames),
        lean=sway(0.05, 0.2),
        tilt=sway(0, 0.15),
        twist=sway(0, 0.3),
        nod=sway(0, 0.25),
        shake=sway(0, 0.4),
        arm_out=sway(1.0, 0.9, 2),
        arm_forward=sway(0.2, 0.9, 2),
        elbow=np.abs(sway(0.8, 0.9, 2)),
        elbow_turn=sway(0.4, 1.2, 2),
        hip=0.1 + amplitude * lift + crouch + swing,
        hip_out=sway(0.12, 0.1, 2),
        knee=0.15 + 1.6 * amplitude * lift + 1.9 * crouch,
        jump=jump,
    )


def stand(frames: int = 1) -> Angles:
    """Standing with the arms a little out, facing the camera."""
    none, both = np.zeros(frames), np.zeros((frames, 2))
    return Angles(
        *(none,) * 6,
        arm_out=both + 0.7,
        arm_forward=both,
        elbow=both + 0.1,
        elbow_turn=both + 1.57,
        hip=both,
        hip_out=both + 0.08,
        knee=both,
        jump=none,
    )


def turn(axis: int, angle: Array) -> Array:
    """Rotations `(frames, 3, 3)` about an axis."""
    c, z, o = np.cos(angle), np.zeros_like(angle), np.ones_like(angle)
    si = np.sin(angle)
    rows = {
        0: [[o, z, z], [z, c, -si], [z, si, c]],
        1: [[c, z, si], [z, o, z], [-si, z, c]],
        2: [[c, -si, z], [si, c, z], [z, z, o]],
    }[axis]
    return np.moveaxis(np.array(rows), -1, 0)


@dataclass(frozen=True, eq=False)
class Take:
    """What was filmed. keypoints: `(frames, 24, 3)` metres, body and feet.

    stance: `(frames,)` 0 right, 1 left: the foot that the weight is on; -1 in the air.
    """

    keypoints: Array
    stance: NDArray[np.int64]


def perform(body: Body, a: Angles) -> Take:
    """Let a body do the angles, its lower foot resting on the ground."""
    frames = len(a.yaw)
    keypoints = np.zeros((frames, 24, 3))

    def at(turned: Array, *way: float) -> Array:
        return turned @ np.array(way)

    yaw = turn(1, a.yaw)
    trunk = yaw @ turn(0, a.lean) @ turn(2, a.tilt)
    chest = trunk @ turn(1, a.twist)
    neck = at(trunk, 0, body.torso, 0)
    keypoints[:, s.NECK] = neck
    head = chest @ turn(1, a.shake) @ turn(0, a.nod)
    for joint, place in HEAD.items():
        keypoints[:, joint] = neck + head @ (np.array(place) * body.head)
    sides = (
        (0, -1.0, s.RIGHT_SHOULDER, s.RIGHT_HIP),
        (1, 1.0, s.LEFT_SHOULDER, s.LEFT_HIP),
    )
    for side, out, shoulder, hip in sides:
        keypoints[:, shoulder] = neck + at(chest, out * body.shoulders, 0, 0)
        upper = chest @ turn(0, -a.arm_forward[:, side]) @ turn(2, out * a.arm_out[:, side])
        bend = turn(1, out * a.elbow_turn[:, side]) @ turn(0, -a.elbow[:, side])
        keypoints[:, shoulder + 1] = keypoints[:, shoulder] + upper @ (
            DOWN * body.upper_arm
        )
        keypoints[:, shoulder + 2] = keypoints[:, shoulder + 1] + upper @ bend @ (
            DOWN * body.forearm
        )
        keypoints[:, hip] = at(yaw, out * body.hips, 0, 0)
        thigh = yaw @ turn(0, -a.hip[:, side]) @ turn(2, out * a.hip_out[:, side])
        shin = thigh @ turn(0, a.knee[:, side])
        keypoints[:, hip + 1] = keypoints[:, hip] + thigh @ (DOWN * body.thigh)
        keypoints[:, hip + 2] = keypoints[:, hip + 1] + shin @ (DOWN * body.shin)
        toe = s.LEFT_BIG_TOE if side else s.RIGHT_BIG_TOE
        flat = yaw @ turn(1, np.full(frames, out * 0.2))
        for joint, way in zip(
            range(toe, toe + 3), ((0, 0.8), (0.4, 0.7), (0, -0.3)), strict=True
        ):
            step = np.array([out * way[0], -0.25, way[1]]) * body.foot
            keypoints[:, joint] = keypoints[:, hip + 2] + flat @ step
    ankles = keypoints[:, [s.RIGHT_ANKLE, s.LEFT_ANKLE]]
    stance = ankles[..., 1].argmin(axis=1)
    resting = ankles[np.arange(frames), stance]
    move = np.zeros((frames, 3))
    before = ankles[np.arange(frames - 1), stance[1:]]
    grounded = (a.jump[1:] == 0) & (a.jump[:-1] == 0)
    move[1:] = np.cumsum(np.where(grounded[:, None], before - resting[1:], 0), axis=0)
    move[:, 1] = 0.25 * body.foot - resting[:, 1] + a.jump * body.height
    keypoints += move[:, None]
    keypoints[..., [0, 2]] -= move[:1, None, [0, 2]]
    return Take(keypoints, np.where(a.jump > 0, -1, stance))


def film(
    take: Take,
    camera: Film,
    *,
    zoom: Array | None = None,
    noise_px: float = 0.0,
    seed: int = 0,
) -> PoseSequence:
    """What the camera saw. zoom: `(frames,)` factors of its focal length."""
    pixels = camera.project(take.keypoints)
    middle = np.array(camera.size) / 2
    if zoom is not None:
        pixels = middle + (pixels - middle) * zoom[:, None, None]
    pixels = pixels + noise_px * np.random.default_rng([seed, 2]).normal(size=pixels.shape)
    frames = len(pixels)
    points = np.zeros((frames, s.KEYPOINTS, 2), np.float32)
    scores = np.zeros((frames, s.KEYPOINTS), np.float32)
    points[:, :24], scores[:, :24] = pixels, 0.9
    ticks, base = even_ticks(frames, RATE)
    return PoseSequence(points, scores, ticks, base, camera.size)


def portrait(body: Body) -> PoseSequence:
    """A picture of the body, standing."""
    return film(perform(body, stand()), PORTRAIT)


def without(sequence: PoseSequence, keypoints: list[int]) -> PoseSequence:
    """The sequence with some keypoints never seen."""
    scores = sequence.scores.copy()
    scores[:, keypoints] = 0
    return replace(sequence, scores=scores)
