"""The keypoints that a pose has, and how they hang together.

Layout of 134 rows: OpenPose body 18, feet 6, face 68, left hand 21, right hand 21. It is
the order that DWPose's 133 keypoints take in OpenPose's numbering, with the neck added.
"""

from typing import Final

BODY: Final = slice(0, 18)
FEET: Final = slice(18, 24)
FACE: Final = slice(24, 92)
LEFT_HAND: Final = slice(92, 113)
RIGHT_HAND: Final = slice(113, 134)
KEYPOINTS: Final = 134

BODY_NAMES: Final = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
FEET_NAMES: Final = (
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)

(
    NOSE,
    NECK,
    RIGHT_SHOULDER,
    RIGHT_ELBOW,
    RIGHT_WRIST,
    LEFT_SHOULDER,
    LEFT_ELBOW,
    LEFT_WRIST,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_ANKLE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_ANKLE,
    RIGHT_EYE,
    LEFT_EYE,
    RIGHT_EAR,
    LEFT_EAR,
    LEFT_BIG_TOE,
    LEFT_SMALL_TOE,
    LEFT_HEEL,
    RIGHT_BIG_TOE,
    RIGHT_SMALL_TOE,
    RIGHT_HEEL,
) = range(24)

BODY_LIMBS: Final = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of body keypoints, in OpenPose's drawing order."""

HAND_LIMBS: Final = tuple(
    (0 if step == 0 else 4 * finger + step, 4 * finger + step + 1)
    for finger in range(5)
    for step in range(4)
)
"""Pairs within one hand: from the wrist along the thumb, then finger by finger."""

KEYPOINT_COLOURS: Final = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""OpenPose's RGB: of the 18 body keypoints, and of the 17 body limbs in their order."""
