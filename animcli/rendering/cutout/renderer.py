"""The renderer that needs no GPU: cut the figure out, bend it, lay it back."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.rendering.cutout.background import (
    cast_shadow,
    find_shadow,
    inpaint_background,
    lit,
)
from animcli.rendering.cutout.dynamics import sway, turn_head
from animcli.rendering.cutout.face import face_motion
from animcli.rendering.cutout.matting import Matte, estimate_matte, matte_from_alpha
from animcli.rendering.cutout.motion import bone_transforms, draw_orders, sole_heights
from animcli.rendering.cutout.puppet import build_puppet
from animcli.rendering.cutout.rig import Bone, RestPose, rest_pose, without_cut_legs
from animcli.rendering.cutout.segmentation import segment
from animcli.rendering.renderer import (
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)

_STEPS = 4
_USUAL_RATE = 24  # of a motion whose frames are unevenly spaced
_SOFT = 0.2  # how much light a new shadow takes where the picture shows none


class Cutout:
    """Cut-out animation: the picture's own pixels, bent by the motion.

    Whatever the picture doesn't show (a back, the far side of an arm) isn't invented.
    """

    weights = ("blazepose",)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Cut the figure out and bind it to its bones.

        Takes a second or two, so `checkpoint` isn't used. Raises ValueError for a request
        without a pose or a motion, InputError where the picture shows no figure.
        """
        if request.reference_pose is None or request.motion is None:
            raise ValueError("cutout wants the picture's pose and a motion")
        if request.frames > len(request.motion):
            raise ValueError(
                f"{request.frames} frames wanted of a motion of {len(request.motion)}"
            )
        doing = "cutting the figure out"
        progress(doing, 0, _STEPS)
        try:
            rest = rest_pose(
                request.reference_pose.points[0], request.reference_pose.visible[0]
            )
            rest = without_cut_legs(rest, request.size[1])
        except ValueError as error:
            raise InputError(
                f"cutout can't move this picture: {error}",
                "choose a picture that shows the character from the head to the hips",
            ) from error
        matte = _matte(request, rest)
        progress(doing, 1, _STEPS)
        shown = _shown(request)
        shadow = find_shadow(request.reference, matte.alpha, _soles(rest), rest.trunk)
        bright = lit(request.reference, shadow)
        background = inpaint_background(bright, matte.alpha, shown)
        progress(doing, 2, _STEPS)
        puppet = build_puppet(request.reference, matte, rest, shown)
        progress(doing, 3, _STEPS)
        transforms = puppet.framed(bone_transforms(request.motion, rest), request.size)
        orders = draw_orders(transforms, rest)
        rate = float(request.motion.rate or _USUAL_RATE)
        swaying = sway(puppet.skinned, transforms, rate, request.preset.life)
        turn = turn_head(puppet.skinned, transforms, request.motion.visible)
        face = None
        if request.preset.expression:
            face = face_motion(puppet.skinned.rest, request.motion, puppet.textures[0])
        feet = sole_heights(transforms, rest)
        depth = shadow.depth or _SOFT
        progress(doing, 4, _STEPS)

        def frames(wanted: range) -> Iterator[NDArray[np.uint8]]:
            for frame in wanted:
                canvas = background.copy()
                trunk = rest.trunk * float(transforms.size[frame])
                cast_shadow(canvas, feet.soles[frame], feet.air[frame], trunk, depth)
                puppet.draw(canvas, transforms, frame, orders[frame], turn, swaying, face)
                yield canvas

        return frames


def _soles(rest: RestPose) -> NDArray[np.float64]:
    """`(n, 2)` px: the lower ends of the feet that the picture shows."""
    feet = [foot for foot in (Bone.RIGHT_FOOT, Bone.LEFT_FOOT) if rest.present[foot]]
    ends = [(rest.start[foot] + rest.end[foot]) / 2 for foot in feet]
    return np.reshape(ends, (-1, 2))


def _matte(request: RenderRequest, rest: RestPose) -> Matte:
    """The figure by the picture's own alpha where it has one, else by segmentation."""
    alpha = request.reference_alpha
    if alpha is not None and _cuts_out(alpha):
        return matte_from_alpha(request.reference, alpha)
    found = segment(request.reference, rest, request.weights["blazepose"])
    if not (found.probability > 0.5).any():
        raise InputError(
            "cutout finds no figure to cut out of the picture",
            "choose a picture with one person in it, or cut it out and save it with alpha",
        )
    return estimate_matte(
        request.reference, found.probability, found.front, found.back, found.open
    )


def _shown(request: RenderRequest) -> tuple[slice, slice]:
    """The rows and columns of the result that the picture itself takes up.

    What the room beside it repeats of a foot or a skirt that its edge cuts off isn't the
    figure.
    """
    alpha = request.reference_alpha
    if alpha is None or not alpha.any() or _cuts_out(alpha):
        return slice(0, request.size[1]), slice(0, request.size[0])
    rows, columns = np.nonzero(alpha)
    return (
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )


def _cuts_out(alpha: NDArray[np.uint8]) -> bool:
    """True for an alpha channel with the outline of something other than the picture."""
    rows, columns = np.nonzero(alpha > 128)
    if len(rows) == 0:
        return False
    # a picture fitted into another shape is opaque in a rectangle, with nothing beside it
    within = alpha[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return bool((within < 128).mean() > 0.05)
