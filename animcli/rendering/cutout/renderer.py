"""The renderer that needs no GPU: cut the figure out, bend it, lay it back."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from animcli.errors import InputError
from animcli.pose.detectors.blazepose.tracker import BlazePose
from animcli.rendering.cutout.inpaint import inpaint_background
from animcli.rendering.cutout.matting import Matte, estimate_matte, matte_from_alpha
from animcli.rendering.cutout.motion import bone_transforms, draw_orders
from animcli.rendering.cutout.puppet import build_puppet
from animcli.rendering.cutout.rig import rest_pose
from animcli.rendering.renderer import Checkpoint, Drive, FrameSource, RenderRequest, Report

_STEPS = 4


class Cutout:
    """Cut-out animation: the picture's own pixels, bent by the motion.

    Whatever the picture doesn't show (a back, the far side of an arm) isn't invented.
    """

    drive = Drive.SKELETON
    weights = ("blazepose",)

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, report: Report
    ) -> FrameSource:
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
        report(doing, 0, _STEPS)
        try:
            rest = rest_pose(
                request.reference_pose.points[0], request.reference_pose.seen[0]
            )
        except ValueError as error:
            raise InputError(
                f"cutout can't move this picture: {error}",
                "choose a picture that shows the character from the head to the hips",
            ) from error
        matte = _matte(request)
        report(doing, 1, _STEPS)
        background = inpaint_background(request.reference, matte.alpha)
        report(doing, 2, _STEPS)
        puppet = build_puppet(request.reference, matte, rest, _shown(request))
        report(doing, 3, _STEPS)
        transforms = bone_transforms(request.motion, rest)
        orders = draw_orders(transforms, rest)
        report(doing, 4, _STEPS)

        def frames(wanted: range) -> Iterator[NDArray[np.uint8]]:
            for frame in wanted:
                canvas = background.copy()
                puppet.draw(canvas, transforms, frame, orders[frame])
                yield canvas

        return frames


def _matte(request: RenderRequest) -> Matte:
    """The figure by the picture's own alpha where it has one, else by segmentation."""
    alpha = request.reference_alpha
    if alpha is not None and _cuts_out(alpha):
        return matte_from_alpha(request.reference, alpha)
    probability = BlazePose(request.weights["blazepose"]).segment(request.reference)
    if probability is None or not (probability > 0.5).any():
        raise InputError(
            "cutout finds no figure to cut out of the picture",
            "choose a picture with one person in it, or cut it out and save it with alpha",
        )
    return estimate_matte(request.reference, probability)


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
