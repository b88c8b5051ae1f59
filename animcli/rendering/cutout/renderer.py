"""The renderer that needs no GPU: cut the figures out, bend them, lay them back."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.background import (
    cast_shadow,
    find_shadow,
    inpaint_background,
    lit,
)
from animcli.rendering.cutout.figure import (
    build_figure,
    find_mattes,
    find_rest,
    shown_part,
    soles,
)
from animcli.rendering.renderer import (
    CastMember,
    Checkpoint,
    FrameFn,
    Progress,
    RenderRequest,
)

_SOFT = 0.2  # how much light a new shadow takes where the picture shows none
_EDGE_PX = 9  # around a figure that has its colours under alpha 0, for encoders that blur


class Cutout:
    """Cut-out animation: the picture's own pixels, bent by the motion.

    Whatever the picture doesn't show (a back, the far side of an arm) isn't invented.
    """

    def prepare(
        self, request: RenderRequest, checkpoint: Checkpoint, progress: Progress
    ) -> FrameFn:
        """Cut the figures out and bind them to their bones.

        Takes a second or two, so `checkpoint` isn't used. Raises ValueError for a request
        without a pose or a motion, InputError where the picture shows no figure.
        """
        if request.reference_pose is None or request.motion is None:
            raise ValueError("cutout wants the picture's pose and a motion")
        first = CastMember(request.reference_pose, request.motion)
        members = (first, *request.cast)
        for member in members:
            if request.frames > len(member.motion):
                raise ValueError(
                    f"{request.frames} frames wanted of a motion of {len(member.motion)}"
                )
        doing, steps = "cutting the figure out", 3 + len(members)
        progress(doing, 0, steps)
        shown = shown_part(request)
        rests = [find_rest(member.pose) for member in members]
        mattes = find_mattes(request, rests)
        progress(doing, 1, steps)
        alpha = mattes[0].hidden
        for matte in mattes[1:]:
            alpha = np.maximum(alpha, matte.hidden)
        feet = np.concatenate([soles(rest) for rest in rests])
        trunk = max(rest.trunk for rest in rests)
        shadow = find_shadow(request.reference, alpha, feet, trunk)
        progress(doing, 2, steps)
        background = request.background
        if background is None and not request.alpha:
            bright = lit(request.reference, shadow)
            hidden = np.maximum(alpha, shadow.wall)
            empty = inpaint_background(bright, hidden, shown)
            background = lambda wanted: iter([empty] * len(wanted))  # noqa: E731
        progress(doing, 3, steps)
        figures = []
        for number, (member, rest, matte) in enumerate(
            zip(members, rests, mattes, strict=True), 4
        ):
            figures.append(build_figure(request, member.motion, rest, matte))
            progress(doing, number, steps)
        figures.sort(key=lambda figure: figure.ground)  # the farthest first
        depth = shadow.depth or _SOFT
        size = request.size

        def frames(wanted: range) -> Iterator[NDArray[np.uint8]]:
            clear = np.zeros((size[1], size[0], 4), np.uint8)
            behind = None if request.alpha or not background else background(wanted)
            for frame in wanted:
                canvas = clear.copy() if behind is None else next(behind).copy()
                for figure in figures:
                    at = figure.contacts
                    tall = figure.rest.trunk * float(figure.transforms.size[frame])
                    cast_shadow(canvas, at.soles[frame], at.air[frame], tall, depth)
                for figure in figures:
                    figure.draw(canvas, frame)
                yield straight(canvas) if request.alpha else canvas

        return frames


def straight(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA `(h, w, 4)` whose colours were multiplied by alpha, with its own colours.

    Beside the figure they go on for some pixels under alpha 0, so that an encoder that
    mixes neighbours brings no dark seam.
    """
    alpha = picture[..., 3:].astype(np.float32)
    near = cv2.blur(picture, (_EDGE_PX, _EDGE_PX)).astype(np.float32)
    own = picture[..., :3].astype(np.float32) * 255 / np.maximum(alpha, 1)
    beside = near[..., :3] * 255 / np.maximum(near[..., 3:], 1)
    colours = np.where(alpha > 0, own, beside)
    return np.dstack([np.clip(np.rint(colours), 0, 255).astype(np.uint8), picture[..., 3]])
