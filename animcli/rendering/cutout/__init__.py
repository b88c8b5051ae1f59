"""Cut-out animation: the figure in a picture, bent like a paper puppet."""

from animcli.rendering.cutout.renderer import Cutout

__all__ = ["Cutout"]
