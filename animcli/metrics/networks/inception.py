"""The Inception network that FID is measured with.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision",
arXiv:1512.00567, in the variant of TensorFlow's 2015-12-05 model that Heusel et al.,
arXiv:1706.08500, chose for FID. Attribute names are torchvision's, which the file of
pytorch-fid uses.

Differs from torchvision's Inception v3: average pools don't count their padding, the last
block has a maximum pool instead, and pictures are scaled to 299 x 299 in here.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SIDE: Final = 299  # pixels


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, out, h', w')."""
        return F.relu(self.bn(self.conv(x)))


def mean_of_neighbours(x: Tensor) -> Tensor:
    """Average over 3 x 3 pixels; those outside of the picture don't count."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """35 x 35: branches with windows of 1, 5, 3 and 3, and a pool."""

    def __init__(self, channels: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = ConvBlock(channels, 64, 1)
        self.branch5x5_1 = ConvBlock(channels, 48, 1)
        self.branch5x5_2 = ConvBlock(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvBlock(channels, 64, 1)
        self.branch3x3dbl_2 = ConvBlock(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvBlock(96, 96, 3, padding=1)
        self.branch_pool = ConvBlock(channels, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, 35, 35) -> (b, 224 + pool, 35, 35)."""
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch5x5_2(self.branch5x5_1(x)),
                self.branch3x3dbl_3(double),
                self.branch_pool(mean_of_neighbours(x)),
            ],
            1,
        )


class BlockB(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3 = ConvBlock(channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = ConvBlock(channels, 64, 1)
        self.branch3x3dbl_2 = ConvBlock(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvBlock(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, 35, 35) -> (b, c + 480, 17, 17)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class BlockC(nn.Module):
    """17 x 17: windows of 7 as a row and a column after each other."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        row, column = ((1, 7), (0, 3)), ((7, 1), (3, 0))

        def seven(into: int, out: int, along: tuple[tuple[int, int], ...]) -> ConvBlock:
            return ConvBlock(into, out, along[0], padding=along[1])

        self.branch1x1 = ConvBlock(channels, 192, 1)
        self.branch7x7_1 = ConvBlock(channels, inner, 1)
        self.branch7x7_2 = seven(inner, inner, row)
        self.branch7x7_3 = seven(inner, 192, column)
        self.branch7x7dbl_1 = ConvBlock(channels, inner, 1)
        self.branch7x7dbl_2 = seven(inner, inner, column)
        self.branch7x7dbl_3 = seven(inner, inner, row)
        self.branch7x7dbl_4 = seven(inner, inner, column)
        self.branch7x7dbl_5 = seven(inner, 192, row)
        self.branch_pool = ConvBlock(channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, 17, 17) -> (b, 768, 17, 17)."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(mean_of_neighbours(x))
        return torch.cat([self.branch1x1(x), single, double, pooled], 1)


class BlockD(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvBlock(channels, 192, 1)
        self.branch3x3_2 = ConvBlock(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvBlock(channels, 192, 1)
        self.branch7x7x3_2 = ConvBlock(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvBlock(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvBlock(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, 17, 17) -> (b, c + 512, 8, 8)."""
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat(
            [
                self.branch3x3_2(self.branch3x3_1(x)),
                self.branch7x7x3_4(seven),
                F.max_pool2d(x, 3, stride=2),
            ],
            1,
        )


class BlockE(nn.Module):
    """8 x 8: windows of 3 as a row and a column beside each other."""

    def __init__(self, channels: int, *, max_pool: bool) -> None:
        super().__init__()
        self.max_pool = max_pool
        self.branch1x1 = ConvBlock(channels, 320, 1)
        self.branch3x3_1 = ConvBlock(channels, 384, 1)
        self.branch3x3_2a = ConvBlock(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvBlock(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvBlock(channels, 448, 1)
        self.branch3x3dbl_2 = ConvBlock(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvBlock(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvBlock(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = ConvBlock(channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, 8, 8) -> (b, 2048, 8, 8)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.max_pool else mean_of_neighbours(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


class FIDInception(nn.Module):
    """Pictures -> the 2048 features whose statistics FID compares."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvBlock(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvBlock(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvBlock(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvBlock(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvBlock(80, 192, 3)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, 128)
        self.Mixed_6c = BlockC(768, 160)
        self.Mixed_6d = BlockC(768, 160)
        self.Mixed_6e = BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280, max_pool=False)
        self.Mixed_7c = BlockE(2048, max_pool=True)

    def forward(self, pictures: Tensor) -> Tensor:
        """Give features (b, 2048) of RGB pictures (b, 3, h, w) in 0..1, of any size.

        They are scaled bilinearly without antialiasing, as pytorch-fid does.
        """
        x = F.interpolate(pictures, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * x - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6b(self.Mixed_6a(x))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(x)))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))
