"""Figures of a doll whose head or trunk turns in depth."""

import numpy as np
from numpy.typing import NDArray

from animcli.pose import keypoints as s
from animcli.rendering.cutout.dynamics import HeadTurn
from animcli.rendering.cutout.figure import (
    Figure,
    build_figure,
    find_mattes,
    find_rest,
)
from builders.paper_doll import STANDING, Doll, Joints, pose, request


def faced(nose: float) -> Joints:
    """The doll with a face that turns until its nose is `nose` px off the middle of its
    ears.
    """
    x, y = STANDING[s.NOSE]
    yaw = np.arcsin(nose / 19)
    solid = {  # across, down, towards us
        s.NOSE: (0, 0, 19), s.RIGHT_EYE: (-7, -6, 16), s.LEFT_EYE: (7, -6, 16),
        s.RIGHT_EAR: (-16, -3, 0), s.LEFT_EAR: (16, -3, 0),
    }  # fmt: skip
    turned = {
        joint: (x + across * np.cos(yaw) + near * np.sin(yaw), y + down)
        for joint, (across, down, near) in solid.items()
    }
    return {**STANDING, **turned}


def built(shown: Doll, *joints: Joints) -> Figure:
    """The figure of a doll in a motion."""
    asked = request(shown, pose(*joints))
    assert asked.reference_pose is not None
    assert asked.motion is not None
    rest = find_rest(asked.reference_pose)
    return build_figure(asked, asked.motion, rest, find_mattes(asked, [rest])[0])


def turned_nodes(figure: Figure, turn: HeadTurn) -> NDArray[np.float64]:
    """All nodes as they have shifted in the motion's middle."""
    nodes = figure.puppet.skinned.mesh.nodes.copy()
    nodes[turn.nodes] += turn.offsets(len(figure.transforms.size) // 2)
    return nodes


def turned_areas(figure: Figure, nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of all triangles once their nodes are at `nodes`, as a share of what they were;
    negative where one lies the other way round.
    """
    mesh = figure.puppet.skinned.mesh

    def area(at: NDArray[np.float64]) -> NDArray[np.float64]:
        one, two = (at[mesh.triangles[:, k]] - at[mesh.triangles[:, 0]] for k in (1, 2))
        return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])

    return area(nodes) / area(mesh.nodes)
