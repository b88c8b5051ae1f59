"""How a figure is built: the lengths and widths of its body, from a child to a giant."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Proportions:
    """Lengths in metres; widths are radii, seen from the front.

    height: from the sole to the crown. head: from the chin to the crown.
    torso: from the hip joints to the shoulder line. ankle: of the joint over the floor.
    shoulder_width, hip_width: from joint to joint.
    build: 0 is average, -1 thin, 1 stout. age: 0 a small child, 1 grown up.
    femininity: 0..1, how the widths are distributed.
    """

    height: float
    head: float
    neck: float
    torso: float
    ankle: float
    shoulder_width: float
    hip_width: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    foot: float
    chest_radius: float
    waist_radius: float
    hip_radius: float
    thigh_radius: float
    knee_radius: float
    calf_radius: float
    ankle_radius: float
    arm_radius: float
    elbow_radius: float
    wrist_radius: float
    neck_radius: float
    head_radius: float
    build: float
    age: float
    femininity: float


def draw_proportions(chance: np.random.Generator) -> Proportions:
    """A body, mostly a grown-up's; one in four is a child's."""

    def between(low: float, high: float) -> float:
        return float(chance.uniform(low, high))

    def mix(child: float, adult: float) -> float:
        return child + (adult - child) * age

    age = between(0.0, 0.8) if chance.random() < 0.25 else 1.0
    build = float(np.clip(chance.normal(0.0, 0.45), -1, 1))
    femininity = between(0, 1)
    height = mix(0.95, between(1.5, 2.0)) * between(0.95, 1.05)
    if chance.random() < 0.04:
        height *= 1.25  # a giant
    heads = mix(4.4, 7.3) * between(0.88, 1.08)  # of them the figure is high
    head = height / heads
    neck = height * mix(0.025, 0.045) * between(0.85, 1.15)
    hip_height = height * mix(0.42, 0.51) * between(0.96, 1.04)
    torso = height - head - neck - hip_height
    ankle = height * 0.042
    leg = hip_height - ankle
    girth = float(np.exp(0.42 * build)) * mix(1.12, 1.0)
    shoulder_width = height * mix(0.175, 0.208) * between(0.93, 1.07)
    shoulder_width *= 1.08 - 0.13 * femininity * age + 0.06 * build
    hip_width = height * 0.105 * (0.95 + 0.12 * femininity) * (1 + 0.12 * build)
    arm = height * mix(0.30, 0.335) * between(0.95, 1.05)
    limb = height * girth * between(0.92, 1.08)
    return Proportions(
        height=height,
        head=head,
        neck=neck,
        torso=torso,
        ankle=ankle,
        shoulder_width=shoulder_width,
        hip_width=hip_width,
        upper_arm=arm * 0.54,
        forearm=arm * 0.46,
        hand=height * 0.098 * between(0.9, 1.1),
        thigh=leg * 0.515,
        shin=leg * 0.485,
        foot=height * 0.145 * between(0.92, 1.08),
        chest_radius=shoulder_width * 0.47 + 0.012 * height * (girth - 1),
        waist_radius=height * 0.073 * girth**1.35 * (1.06 - 0.16 * femininity * age),
        hip_radius=height * 0.084 * girth * (0.96 + 0.14 * femininity * age),
        thigh_radius=limb * 0.046 * (1 + 0.08 * femininity),
        knee_radius=limb * 0.031,
        calf_radius=limb * 0.033,
        ankle_radius=height * 0.021 * girth**0.5,
        arm_radius=limb * 0.0265 * (1.08 - 0.15 * femininity),
        elbow_radius=limb * 0.0215,
        wrist_radius=height * 0.0155 * girth**0.5,
        neck_radius=height * mix(0.033, 0.033) * girth**0.5 * (1.05 - 0.18 * femininity),
        head_radius=head * 0.36 * between(0.94, 1.1) * (1 + 0.06 * build),
        build=build,
        age=age,
        femininity=femininity,
    )
