"""Networks over clips: I3D for FVD, and a 3D ResNet-50 for FID-VID.

Sources: Carreira and Zisserman, "Quo Vadis, Action Recognition?", arXiv:1705.07750, the
network that Unterthiner et al., arXiv:1812.01717, measure FVD with; Hara et al., "Can
Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", arXiv:1711.09577,
which Balaji et al. (TFGAN, IJCAI 2019) measure FID-VID with. Both were trained on
Kinetics-400. Attribute names are those of the published files.

Shapes: b clips, c channels, t frames, h rows, w columns.
"""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

I3D_SIDE: Final = 224  # pixels
I3D_LOGITS: Final = 400
I3D_SHORTEST: Final = 10  # frames; shorter clips leave nothing to pool

RESNET_SIDE: Final = 112  # pixels
RESNET_MEAN: Final = (114.7748, 107.7354, 99.4750)  # levels, RGB; nothing is divided

Triple = tuple[int, int, int]


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad with zeros as TensorFlow's "same": the odd pixel comes last.

    torch's symmetric padding gives other numbers wherever the stride is 2.
    """
    pads: list[int] = []
    for size, k, s in zip(
        reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True
    ):
        total = max(k - (size % s or s), 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Unit3D(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, channels: int, out_channels: int, kernel: Triple, stride: Triple = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(channels, out_channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3)  # TensorFlow's; copies have 1e-5

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, h, w) -> (b, out, t', h', w')."""
        return F.relu(self.bn(self.conv3d(pad_same(x, self.kernel, self.stride))))


class MaxPool3D(nn.Module):
    """Maximum over a window, padded as TensorFlow does."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, h, w) -> (b, c, t', h', w'). Zeros do no harm after a ReLU."""
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class InceptionModule(nn.Module):
    """Four branches beside each other; `widths` are (b0, b1a, b1b, b2a, b2b, b3b)."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        one, three = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit3D(channels, b0, one)
        self.b1a = Unit3D(channels, b1a, one)
        self.b1b = Unit3D(b1a, b1b, three)
        self.b2a = Unit3D(channels, b2a, one)
        self.b2b = Unit3D(b2a, b2b, three)
        self.b3a = MaxPool3D(three, one)
        self.b3b = Unit3D(channels, b3b, one)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, h, w) -> (b, out_channels, t, h, w)."""
        return torch.cat(
            [
                self.b0(x),
                self.b1b(self.b1a(x)),
                self.b2b(self.b2a(x)),
                self.b3b(self.b3a(x)),
            ],
            1,
        )


class Logits(nn.Module):
    """The classifier's last layer, whose answers before softmax are FVD's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, I3D_LOGITS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, 1, 1) -> (b, 400, t, 1, 1)."""
        return self.conv3d(x)


MIXED: Final = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Widths of the Inception modules, in their order."""

POOLED: Final = {
    "Conv3d_1a_7x7": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2c_3x3": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3c": ((3, 3, 3), (2, 2, 2)),
    "Mixed_4f": ((2, 2, 2), (2, 2, 2)),
}
"""Kernel and stride of the pool after these layers."""


class I3D(nn.Module):
    """Clips -> 400 logits.

    The last average pool is 1 x 7 x 7 and the logits are averaged over time, as DisCo has
    it. TensorFlow's pool of 2 x 7 x 7 gives the same for 16 frames, not for more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logits = Logits(1024)
        self.Conv3d_1a_7x7 = Unit3D(3, 64, (7, 7, 7), (2, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64, (1, 1, 1))
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        self.order = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", *MIXED]
        channels = 192
        for name, widths in MIXED.items():
            module = InceptionModule(channels, widths)
            self.add_module(name, module)
            channels = module.out_channels

    def forward(self, clips: Tensor) -> Tensor:
        """Give logits (b, 400) of RGB clips (b, 3, t, 224, 224) in -1..1.

        Raises ValueError for fewer than 10 frames.
        """
        if clips.shape[2] < I3D_SHORTEST:
            raise ValueError(
                f"I3D wants at least {I3D_SHORTEST} frames, got {clips.shape[2]}"
            )
        x = clips
        for name in self.order:
            x = self.get_submodule(name)(x)
            if name in POOLED:
                kernel, stride = POOLED[name]
                x = F.max_pool3d(pad_same(x, kernel, stride), kernel, stride)
        x = F.avg_pool3d(x, (1, 7, 7), stride=1)
        return self.logits(x)[..., 0, 0].mean(2)


class Bottleneck(nn.Module):
    """A residual block of windows 1, 3, 1; its shortcut is a convolution where it must."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out = 4 * planes
        self.conv1 = nn.Conv3d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = nn.Conv3d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.downsample = (
            nn.Sequential(
                nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out)
            )
            if stride > 1 or channels != out
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, t, h, w) -> (b, 4 planes, t', h', w')."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet3D(nn.Module):
    """The 3D ResNet-50, without its last layer."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.layer1 = nn.Sequential(*_blocks(64, 64, 3, 1))
        self.layer2 = nn.Sequential(*_blocks(256, 128, 4, 2))
        self.layer3 = nn.Sequential(*_blocks(512, 256, 6, 2))
        self.layer4 = nn.Sequential(*_blocks(1024, 512, 3, 2))
        self.register_buffer("mean", torch.tensor(RESNET_MEAN).view(3, 1, 1, 1), False)

    def forward(self, clips: Tensor) -> Tensor:
        """Give features (b, 2048) of RGB clips (b, 3, 16, 112, 112) in levels 0..255."""
        x = F.relu(self.bn1(self.conv1(clips - self.mean)))
        x = F.max_pool3d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return F.avg_pool3d(x, (1, 4, 4)).flatten(1)


def _blocks(channels: int, planes: int, depth: int, stride: int) -> Iterable[Bottleneck]:
    yield Bottleneck(channels, planes, stride)
    for _ in range(depth - 1):
        yield Bottleneck(4 * planes, planes, 1)
