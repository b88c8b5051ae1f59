"""Figures of one picture: each cut out, bound to its bones, and posed in every frame."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.sequence import PoseSequence
from animcli.registry import DEFAULT_RATE
from animcli.rendering.cutout.accessories import with_accessories
from animcli.rendering.cutout.draw_order import DrawGroup, draw_orders
from animcli.rendering.cutout.dynamics import (
    HeadTurn,
    Sway,
    sway,
    turn_head,
)
from animcli.rendering.cutout.face import FaceMotion, face_motion
from animcli.rendering.cutout.fingers import HandMotion, follow_fingers
from animcli.rendering.cutout.matting import Matte, estimate_matte, matte_from_alpha
from animcli.rendering.cutout.motion import (
    BoneTransforms,
    SoleHeights,
    bone_transforms,
    kept_inside,
    sole_heights,
)
from animcli.rendering.cutout.puppet import Puppet, build_puppet
from animcli.rendering.cutout.rig import Bone, RestPose, rest_pose, without_cut_legs
from animcli.rendering.cutout.segmentation import body_distance, segment
from animcli.rendering.cutout.trunk import TrunkTurn, turn_trunk
from animcli.rendering.cutout.yaw import facing_as_pictured, trunk_yaw
from animcli.rendering.renderer import RenderRequest

_MIXED_PX: Final = 2


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of a picture, and what it does in each frame."""

    rest: RestPose
    puppet: Puppet
    transforms: BoneTransforms
    orders: Sequence[tuple[DrawGroup, ...]]
    turns: Sequence[HeadTurn | TrunkTurn]
    swaying: Sway | None
    _: KW_ONLY
    contacts: SoleHeights
    face: FaceMotion | None
    hands: Mapping[DrawGroup, HandMotion]

    @property
    def ground(self) -> float:
        """Lowest row that it reaches in its picture, px: who stands lower is nearer."""
        return float(self.rest.end[self.rest.present, 1].max())

    def draw(self, canvas: NDArray[np.uint8], frame: int) -> None:
        """Lay it as it is in `frame` onto `canvas`; see `Puppet.draw`."""
        self.puppet.draw(
            canvas,
            self.transforms,
            frame,
            self.orders[frame],
            turns=self.turns,
            swaying=self.swaying,
            face=self.face,
            hands=self.hands,
        )


def find_rest(pose: PoseSequence) -> RestPose:
    """Bones of the figure whose keypoints `pose` holds.

    Raises InputError for one that can't be moved.
    """
    try:
        return rest_pose(pose.points[0], pose.visible[0])
    except ValueError as error:
        raise InputError(
            f"cutout can't move this picture: {error}",
            "choose a picture that shows the character from the head to the hips",
        ) from error


def find_mattes(request: RenderRequest, rests: Sequence[RestPose]) -> list[Matte]:
    """Matte of each figure: by the picture's own alpha where it has one, else segmented.

    Of several figures each pixel belongs to the one whose bones are nearest.
    """
    alpha, picture = request.reference_alpha, request.reference
    owner = None
    if len(rests) > 1:
        distances = [body_distance(rest, request.size) for rest in rests]
        owner = np.argmin(distances, axis=0)
    mattes = []
    for number, rest in enumerate(rests):
        own = None if owner is None else owner == number
        if alpha is not None and cuts_out(alpha):
            share = alpha if own is None else np.where(own, alpha, 0).astype(np.uint8)
            mattes.append(matte_from_alpha(picture, share))
            continue
        found = segment(picture, rest, request.weights["blazepose"])
        probability, front, back = found.probability, found.front, found.back
        if own is not None:
            probability = np.where(own, probability, 0).astype(np.float32)
            front, back = front & own, back | ~own
        if not (probability > 0.5).any():
            raise InputError(
                "cutout finds no figure to cut out of the picture",
                "choose a picture with one person in it, or cut it out and save it with "
                "alpha",
            )
        matte = estimate_matte(picture, probability, front, back, found.open)
        mattes.append(with_accessories(picture, matte, rest, own))
    return mattes


def build_figure(
    request: RenderRequest, motion: PoseSequence, rest: RestPose, matte: Matte
) -> Figure:
    """The figure cut out as `matte`, bound to `rest` and led through `motion`."""
    shown = shown_part(request)
    rest = without_cut_legs(rest, shown[0].stop)
    puppet = build_puppet(request.reference, matte, rest, shown)
    motion = facing_as_pictured(motion, rest)
    transforms = kept_inside(
        bone_transforms(motion, rest), motion.visible, rest, request.size[0]
    )
    transforms = puppet.framed(transforms, request.size)
    rate = float(motion.rate or DEFAULT_RATE)
    face: FaceMotion | None = None
    hands: Mapping[DrawGroup, HandMotion] = {}
    if request.preset.expression:
        own = puppet.skinned.rest
        face = face_motion(own, motion, puppet.textures[0])
        nodes = puppet.skinned.mesh.nodes
        hands = follow_fingers(own, motion, transforms.size, nodes, puppet.forearms)
    skinned = puppet.skinned
    yaw = trunk_yaw(transforms, motion.visible, skinned.rest)
    turns = (
        turn_head(skinned, transforms, motion.visible),
        turn_trunk(skinned, yaw, puppet.textures[0][..., 3]),
    )
    return Figure(
        rest,
        puppet,
        transforms,
        draw_orders(transforms, rest, yaw),
        tuple(turn for turn in turns if turn is not None),
        sway(puppet.skinned, transforms, rate, request.preset.life),
        contacts=sole_heights(transforms, rest),
        face=face,
        hands=hands,
    )


def soles(rest: RestPose) -> NDArray[np.float64]:
    """`(n, 2)` px: the lower ends of the feet that the picture shows."""
    feet = [foot for foot in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) if rest.present[foot]]
    ends = [(rest.start[foot] + rest.end[foot]) / 2 for foot in feet]
    return np.reshape(ends, (-1, 2))


def shown_part(request: RenderRequest) -> tuple[slice, slice]:
    """The rows and columns of the result that the picture itself takes up.

    What the room beside it repeats of a foot or a skirt that its edge cuts off isn't the
    figure.
    """
    alpha = request.reference_alpha
    if alpha is None or not alpha.any() or cuts_out(alpha):
        return slice(0, request.size[1]), slice(0, request.size[0])
    found = []
    for axis, size in enumerate(alpha.shape):
        at = np.flatnonzero(alpha.any(axis=1 - axis))
        first, last = int(at[0]), int(at[-1]) + 1
        # where the room begins, both are mixed
        found.append(
            slice(
                first + (_MIXED_PX if first else 0),
                last - (_MIXED_PX if last < size else 0),
            )
        )
    return found[0], found[1]


def cuts_out(alpha: NDArray[np.uint8]) -> bool:
    """True for an alpha channel with the outline of something other than the picture."""
    rows, columns = np.nonzero(alpha > 128)
    if len(rows) == 0:
        return False
    # a picture fitted into another shape is opaque in a rectangle, with nothing beside it
    within = alpha[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return bool((within < 128).mean() > 0.05)
