"""A drawn condition, such as a skeleton, as features at the size of the latents.

Source: Hu et al., "Animate Anyone", arXiv:2311.17117, section 3.1 (pose guider), which has
the shape of ControlNet's condition embedding (Zhang et al., arXiv:2302.05543, section 3.2).
Attribute names are those of the published checkpoints.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from animcli.networks.blocks import fold_frames, unfold_frames


class ConditionEmbedding(nn.Module):
    """Convolutions that shrink a picture eightfold, and say nothing until trained.

    widths: channels at full, half, quarter and eighth size.
    """

    def __init__(self, features: int, widths: tuple[int, ...] = (16, 32, 96, 256)) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, wider in pairwise(widths):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], features, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.get_parameter("bias"))

    def forward(self, pictures: Tensor) -> Tensor:
        """`pictures` (rows, 3, 8 h, 8 w) in 0..1 -> (rows, features, h, w)."""
        x = F.silu(self.conv_in(pictures))
        for conv in self.blocks:
            x = F.silu(conv(x))
        return self.conv_out(x)


class PoseGuider(ConditionEmbedding):
    """The condition embedding of a clip of drawn skeletons, frame by frame."""

    def forward(self, pictures: Tensor) -> Tensor:
        """`pictures` (b, 3, f, 8 h, 8 w) in 0..1 -> (b, features, f, h, w)."""
        features = super().forward(fold_frames(pictures))
        return unfold_frames(features, pictures.shape[2])
