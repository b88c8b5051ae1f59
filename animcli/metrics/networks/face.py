"""The face embedding of dlib: a small residual network from a face to 128 numbers.

Source: D. King, `dlib_face_recognition_resnet_model_v1` (davisking/dlib-models, public
domain): 29 convolutions after He et al., arXiv:1512.03385, trained with a metric loss, so
that pictures of one person are nearer to each other than 0.6. Attribute names are this
package's own, since the published file names nothing; layers count from the picture on.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FACE_SIDE: Final = 150  # pixels
EMBEDDING: Final = 128
_MEAN: Final = (122.782, 117.001, 104.298)  # levels, RGB
SCALE: Final = 256.0

_BLOCKS: Final = (
    *((32, 32, 1),) * 3,
    (32, 64, 2), *((64, 64, 1),) * 3,
    (64, 128, 2), *((128, 128, 1),) * 2,
    (128, 256, 2), *((256, 256, 1),) * 2,
    (256, 256, 2),
)  # fmt: skip
"""Channels in and out and the stride of each residual block."""


class Affine(nn.Module):
    """A factor and an offset per channel: batch norm after training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w), scaled and moved."""
        return x * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class FaceEmbedding(nn.Module):
    """Aligned faces -> embeddings, to be compared by their distance."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        convs = [nn.Conv2d(3, 32, 7, stride=2)]
        for channels, out, stride in _BLOCKS:
            # dlib pads a convolution only where it keeps the size.
            convs.append(nn.Conv2d(channels, out, 3, stride, padding=2 - stride))
            convs.append(nn.Conv2d(out, out, 3, padding=1))
        self.convs = nn.ModuleList(convs)
        self.affines = nn.ModuleList([Affine(conv.out_channels) for conv in convs])
        self.fc = nn.Linear(256, EMBEDDING, bias=False)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Give embeddings (b, 128) of RGB faces (b, 3, 150, 150) in levels 0..255.

        The faces are aligned by the corners of their eyes and the nose.
        """
        x = F.relu(self._layer(0, (faces - self.mean) / SCALE))
        x = F.max_pool2d(x, 3, stride=2)
        for number, (_, _, stride) in enumerate(_BLOCKS):
            y = F.relu(self._layer(2 * number + 1, x))
            y = self._layer(2 * number + 2, y)
            shortcut = F.avg_pool2d(x, 2) if stride == 2 else x
            x = F.relu(_add(y, shortcut))
        return self.fc(x.mean((2, 3)))

    def _layer(self, number: int, x: Tensor) -> Tensor:
        return self.affines[number](self.convs[number](x))


def _add(left: Tensor, right: Tensor) -> Tensor:
    """Sum of maps of which one has fewer channels, rows or columns: zeros stand there."""
    size = [max(pair) for pair in zip(left.shape[1:], right.shape[1:], strict=True)]
    return _padded(left, size) + _padded(right, size)


def _padded(x: Tensor, size: list[int]) -> Tensor:
    """`x` (b, c, h, w) with zeros after its ends, up to `size` (c, h, w)."""
    pads: list[int] = []
    for have, want in zip(reversed(x.shape[1:]), reversed(size), strict=True):
        pads += [0, want - have]
    return F.pad(x, pads)
