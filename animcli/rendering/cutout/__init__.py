"""Cut-out animation: the figure in a picture, bent like a paper puppet."""

from animcli.rendering.cutout.cutout import Cutout

__all__ = ["Cutout"]
