"""A figure cut out of its picture, ready to be bent into any pose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.rendering.cutout.draw_order import DrawGroup
from animcli.rendering.cutout.dynamics import HeadTurn, Sway
from animcli.rendering.cutout.face import FaceMotion
from animcli.rendering.cutout.fingers import HandMotion
from animcli.rendering.cutout.layers import Layers, split_layers
from animcli.rendering.cutout.matting import Matte
from animcli.rendering.cutout.mesh import build_mesh, rasterise
from animcli.rendering.cutout.motion import BoneTransforms
from animcli.rendering.cutout.rig import Bone, RestPose
from animcli.rendering.cutout.skinning import SkinnedMesh, bind
from animcli.rendering.cutout.trunk import TrunkTurn

_CELLS_PER_TRUNK: Final = 26  # mesh cells from neck to hips; an arm is about five wide
# How far a figure that the picture's edge cuts off goes on, in trunk lengths: that edge is
# kept out of the frame, but what bends there may be pulled out.
_BEYOND_HALF: Final = 0.5
_BEYOND: Final = 0.12

_CUT_BELOW: Final = 0.15  # trunk lengths along an edge from which on it cuts a body off
_CUT_BESIDE: Final = 0.8
_MARGIN: Final = 0.15  # trunk lengths about the figure that a puppet is made from
_DRAWN_OUT: Final = 0.2  # trunk lengths that a body cut off below is drawn out at most
_BELOW: Final = [Bone.PELVIS, *range(Bone.RIGHT_THIGH, len(Bone))]  # what goes down then
_FRAMED: Final = 4  # frames over which a figure goes to where its cut edge stays hidden

_GROUP_OF: Final = {
    Bone.PELVIS: DrawGroup.TRUNK,
    Bone.CHEST: DrawGroup.TRUNK,
    Bone.HEAD: DrawGroup.TRUNK,
    Bone.RIGHT_UPPER_ARM: DrawGroup.RIGHT_UPPER_ARM,
    Bone.RIGHT_FOREARM: DrawGroup.RIGHT_FOREARM,
    Bone.RIGHT_HAND: DrawGroup.RIGHT_FOREARM,
    Bone.LEFT_UPPER_ARM: DrawGroup.LEFT_UPPER_ARM,
    Bone.LEFT_FOREARM: DrawGroup.LEFT_FOREARM,
    Bone.LEFT_HAND: DrawGroup.LEFT_FOREARM,
    Bone.RIGHT_THIGH: DrawGroup.RIGHT_THIGH,
    Bone.RIGHT_SHIN: DrawGroup.RIGHT_SHIN,
    Bone.RIGHT_FOOT: DrawGroup.RIGHT_SHIN,
    Bone.LEFT_THIGH: DrawGroup.LEFT_THIGH,
    Bone.LEFT_SHIN: DrawGroup.LEFT_SHIN,
    Bone.LEFT_FOOT: DrawGroup.LEFT_SHIN,
}
_OVER: Final = {
    Bone.RIGHT_UPPER_ARM: DrawGroup.OVER_RIGHT_ARM,
    Bone.RIGHT_FOREARM: DrawGroup.OVER_RIGHT_FOREARM,
    Bone.LEFT_UPPER_ARM: DrawGroup.OVER_LEFT_ARM,
    Bone.LEFT_FOREARM: DrawGroup.OVER_LEFT_FOREARM,
}


class Edge(Enum):
    """An edge of a picture: the axis across it, and the side."""

    BOTTOM = (1, 1)
    LEFT = (0, 0)
    RIGHT = (0, 1)


@dataclass(frozen=True, eq=False)
class Cut:
    """A body that an edge of the picture cuts off.

    nodes: `(k,)`, those nearest to the edge. at: px along the axis across it.
    """

    nodes: NDArray[np.intp]
    at: float


@dataclass(frozen=True, eq=False)
class Puppet:
    """A figure that can be drawn in any pose.

    skinned: its mesh, bound to its bones.
    textures: `(h, w, 4)` uint8 RGBA premultiplied, one for each layer of the mesh, and one
        for what the body has over each arm.
    groups: for each group, the triangles `(k, 3)` that it draws, and their texture.
    cuts: for each edge of the picture that cuts the body off, where it does.
    """

    skinned: SkinnedMesh
    textures: tuple[NDArray[np.uint8], ...]
    groups: Mapping[DrawGroup, tuple[NDArray[np.intp], int]]
    cuts: Mapping[Edge, Cut]

    @property
    def forearms(self) -> dict[DrawGroup, tuple[NDArray[np.intp], NDArray[np.uint8]]]:
        """Nodes and texture `(h, w, 4)` of each forearm that is told from the body."""
        found = {}
        for group in (DrawGroup.RIGHT_FOREARM, DrawGroup.LEFT_FOREARM):
            triangles, number = self.groups.get(group, ((), 0))
            if number:
                found[group] = np.unique(triangles), self.textures[number]
        return found

    def framed(self, transforms: BoneTransforms, size: tuple[int, int]) -> BoneTransforms:
        """`transforms`, moved so that no edge that cuts the body off comes into a frame of
        `size` (width, height).

        A body cut off below is first drawn out towards that edge, as far as it looks
        right, so that head and arms stay where the motion has them; the rest of the way it
        goes as a whole. The way back is taken smoothly over some frames before and after.
        """
        if Edge.BOTTOM in self.cuts:
            most = _DRAWN_OUT * self.skinned.rest.trunk * transforms.size
            down = np.minimum(_held(self._inside(Edge.BOTTOM, transforms, size)), most)
            place = transforms.place.copy()
            place[:, _BELOW, 1] += down[:, None]
            transforms = replace(transforms, place=place)
        shift = np.zeros((len(transforms.size), 2))
        for edge in self.cuts:
            axis, far = edge.value
            inside = _held(self._inside(edge, transforms, size))
            shift[:, axis] += inside if far else -inside
        return transforms.shifted(shift)

    def _inside(
        self, edge: Edge, transforms: BoneTransforms, size: tuple[int, int]
    ) -> NDArray[np.float64]:
        """`(frames,)` px by which the body's cut at an edge is inside of the frame."""
        cut, (axis, far) = self.cuts[edge], edge.value
        # the mesh has no nodes on the edge itself, but may have had
        nodes = self.skinned.mesh.nodes.copy()
        nodes[cut.nodes, axis] = cut.at
        places = [
            self.skinned.bend(transforms, frame, cut.nodes, nodes)[:, axis]
            for frame in range(len(transforms.size))
        ]
        if far:
            return size[axis] - 0.5 - np.array([place.min() for place in places])
        return np.array([place.max() for place in places]) + 0.5

    def draw(
        self,
        canvas: NDArray[np.uint8],
        transforms: BoneTransforms,
        frame: int,
        order: Sequence[DrawGroup],
        *,
        turns: Sequence[HeadTurn | TrunkTurn] = (),
        swaying: Sway | None = None,
        face: FaceMotion | None = None,
        hands: Mapping[DrawGroup, HandMotion] = MappingProxyType({}),
    ) -> None:
        """Lay the figure as it is in `frame` onto `canvas`, back to front.

        canvas: `(h, w, 3)` RGB, or `(h, w, 4)` RGBA multiplied by its alpha.
        """
        flat = nodes = self.skinned.mesh.nodes
        for turn in turns:
            nodes = nodes.copy()
            nodes[turn.nodes] += turn.offsets(frame)
        places = self.skinned.bend(transforms, frame, nodes=nodes)
        if swaying is not None:
            places[swaying.nodes] += swaying.offsets[frame]
        textures = self.textures
        if face is not None:
            textures = (face.drawn(textures[0], frame), *textures[1:])
        for group in order:
            if group not in self.groups:
                continue
            triangles, number = self.groups[group]
            hand = hands.get(group)
            texture = textures[number] if hand is None else hand.palm
            _lay(canvas, places[triangles], flat[triangles], texture)
            for sheet in hand.sheets(flat, places, frame) if hand is not None else ():
                _lay(canvas, *sheet)


def _lay(
    canvas: NDArray[np.uint8],
    corners: NDArray[np.float64],
    origin: NDArray[np.float64],
    texture: NDArray[np.uint8],
) -> None:
    """Draw triangles `(m, 3, 2)` of `texture`, `origin` in it, over `canvas`."""
    patch = rasterise(corners, origin, (canvas.shape[1], canvas.shape[0]))
    if patch is None:
        return
    across, down = patch.source[..., 0], patch.source[..., 1]
    # outside of the texture there is nothing: alpha 0
    layer = cv2.remap(texture, across, down, cv2.INTER_LINEAR)
    height, width = layer.shape[:2]
    under = canvas[patch.top : patch.top + height, patch.left : patch.left + width]
    share = 255 - layer[..., 3:].astype(np.uint16)
    over = layer[..., : canvas.shape[2]]
    under[:] = over + ((under * share + 127) // 255).astype(np.uint8)


def build_puppet(
    picture: NDArray[np.uint8], matte: Matte, rest: RestPose, shown: tuple[slice, slice]
) -> Puppet:
    """The figure of `picture` `(h, w, 3)`, cut out as `matte`, with its bones at `rest`.

    shown: the rows and columns that show it; beyond them it goes on as at their edges.
    """
    rows, columns = _around(matte.alpha, shown, round(_MARGIN * rest.trunk))
    picture = picture[rows, columns]
    matte = Matte(matte.alpha[rows, columns], matte.colours[rows, columns])
    rest = _shifted(rest, -columns.start, -rows.start)
    spacing = int(np.clip(round(rest.trunk / _CELLS_PER_TRUNK), 3, 16))
    size = picture.shape[:2]
    picture, matte, moved = _continue_past_edges(picture, matte, rest, spacing)
    left, top = np.rint(moved.start[0] - rest.start[0]).astype(int)
    inner = (slice(top, top + size[0]), slice(left, left + size[1]))
    rest, body = moved, matte.alpha
    layers = split_layers(picture, matte, rest, spacing, inner)
    mesh = build_mesh(layers, spacing)
    skinned = bind(mesh, rest, [layer.bones for layer in layers.layers], spacing)
    textures = (*(layer.texture for layer in layers.layers), *layers.over.values())
    return Puppet(skinned, textures, _grouped(skinned, layers), _cuts(skinned, body, inner))


def _around(
    alpha: NDArray[np.float32], shown: tuple[slice, slice], margin: int
) -> tuple[slice, slice]:
    """The rows and columns of `shown` that the figure of `alpha` `(h, w)` takes up, and
    `margin` pixels more.
    """
    found = []
    for axis, part in enumerate(shown):
        at = np.flatnonzero((alpha[shown] > 0).any(axis=1 - axis))
        first, last = (at[0], at[-1] + 1) if len(at) else (0, part.stop - part.start)
        found.append(
            slice(
                max(part.start, part.start + int(first) - margin),
                min(part.stop, part.start + int(last) + margin),
            )
        )
    return found[0], found[1]


def _held(inside: NDArray[np.float64]) -> NDArray[np.float64]:
    """At least `inside` `(frames,)` where that is positive, and smooth in time."""
    wide = np.pad(np.maximum(inside, 0), 2 * _FRAMED, "edge")
    most = np.lib.stride_tricks.sliding_window_view(wide, 2 * _FRAMED + 1).max(axis=1)
    window = np.hanning(2 * _FRAMED + 3)[1:-1]
    return np.convolve(most, window / window.sum(), "valid")


def _cuts(
    skinned: SkinnedMesh, alpha: NDArray[np.float32], inner: tuple[slice, slice]
) -> dict[Edge, Cut]:
    """Cuts of the trunk along each edge of the picture, which is `inner` of `alpha`
    `(h, w)`, where the figure goes on beyond it. What merely touches an edge, and feet that
    stand on it, don't count.
    """
    nodes = skinned.mesh.nodes
    trunk = skinned.weights[:, [Bone.PELVIS, Bone.CHEST, Bone.HEAD]].sum(axis=1)
    columns, rows = np.rint(nodes).astype(np.intp).T
    height, width = alpha.shape
    there = alpha[rows.clip(0, height - 1), columns.clip(0, width - 1)] > 0.5
    spacing = float(np.diff(np.unique(nodes[:, 0])).min())
    found = {}
    for edge in Edge:
        axis, far = edge.value
        span = inner[1 - axis]
        at = span.stop - 0.5 if far else span.start - 0.5
        near = np.abs(nodes[:, axis] - at) <= 0.5 * spacing + 0.5
        cut = np.flatnonzero(near & there & (trunk > 0.5))
        least = _CUT_BELOW if edge is Edge.BOTTOM else _CUT_BESIDE
        if len(cut) * spacing > least * skinned.rest.trunk:
            found[edge] = Cut(cut, at)
    return found


def _grouped(
    skinned: SkinnedMesh, layers: Layers
) -> dict[DrawGroup, tuple[NDArray[np.intp], int]]:
    """Sort triangles into the groups of the bones that move them most."""
    triangles, layer_of = skinned.mesh.triangles, skinned.mesh.layer
    share = np.zeros((len(triangles), len(DrawGroup)))
    weights = skinned.weights[triangles].mean(axis=1)
    for bone, group in _GROUP_OF.items():
        share[:, group] += weights[:, bone]
    groups: dict[DrawGroup, tuple[NDArray[np.intp], int]] = {}
    for index, layer in enumerate(layers.layers):
        # at a shoulder the body may follow the arm, and the arm the chest: they stay what
        # they are
        allowed = sorted({_GROUP_OF[bone] for bone in layer.bones})
        mine = layer_of == index
        most = np.asarray(allowed)[share[mine][:, allowed].argmax(axis=1)]
        # where the mesh folds over, what is there lies over what isn't
        least = _at_triangles(skinned, mine, layer.alpha).min(axis=1)
        rising = np.argsort(least, kind="stable")
        for group in allowed:
            picked = triangles[mine][rising][most[rising] == group]
            if len(picked):
                groups[group] = (picked, index)
    body = layer_of == 0
    for index, (bone, texture) in enumerate(layers.over.items()):
        lies = _at_triangles(skinned, body, texture[..., 3]).max(axis=1) > 0
        if lies.any():
            groups[_OVER[bone]] = (triangles[body][lies], len(layers.layers) + index)
    return groups


def _at_triangles(
    skinned: SkinnedMesh, which: NDArray[np.bool_], share: NDArray[Any]
) -> NDArray[Any]:
    """`(k, 7)`: values of `share` `(h, w)` all over each of some triangles."""
    corners = skinned.mesh.nodes[skinned.mesh.triangles[which]]
    middle = corners.mean(axis=1, keepdims=True)
    places = np.concatenate([corners, middle, (corners + middle) / 2], axis=1)
    x, y = np.rint(places).astype(np.intp).transpose(2, 0, 1)
    height, width = share.shape
    return np.asarray(share[y.clip(0, height - 1), x.clip(0, width - 1)])


def _continue_past_edges(
    picture: NDArray[np.uint8], matte: Matte, rest: RestPose, spacing: int
) -> tuple[NDArray[np.uint8], Matte, RestPose]:
    """Let a figure that the picture's edge cuts off go on beyond it.

    Otherwise a half-length portrait that rises would show where it ends. The size becomes
    a whole number of mesh cells.
    """
    height, width = matte.alpha.shape
    alpha = matte.alpha
    whole = rest.present[[Bone.RIGHT_SHIN, Bone.LEFT_SHIN]].any()
    below = _BEYOND if whole else _BEYOND_HALF
    top, bottom, left, right = (
        round(reach * rest.trunk) if (edge > 0.5).sum() > 0.05 * rest.trunk else spacing
        for edge, reach in (
            (alpha[0], _BEYOND),
            (alpha[-1], below),
            (alpha[:, 0], _BEYOND),
            (alpha[:, -1], _BEYOND),
        )
    )
    bottom += -(height + top + bottom) % spacing
    right += -(width + left + right) % spacing
    rows, columns = (top, bottom), (left, right)
    return (
        np.pad(picture, (rows, columns, (0, 0)), "edge"),
        Matte(
            np.pad(matte.alpha, (rows, columns), "edge"),
            np.pad(matte.colours, (rows, columns, (0, 0)), "edge"),
        ),
        _shifted(rest, left, top),
    )


def _shifted(rest: RestPose, right: float, down: float) -> RestPose:
    by = np.array([right, down])
    return replace(
        rest, keypoints=rest.keypoints + by, start=rest.start + by, end=rest.end + by
    )
