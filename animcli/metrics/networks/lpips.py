"""LPIPS: the distance of two pictures in the features of an image classifier.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", arXiv:1801.03924, version 0.1 of its weights: the linear heads are learned, the
trunk is torchvision's ImageNet classifier. Attribute names are those of the published
files: the trunk's of torchvision (`features.0.weight`), the heads' of the lpips package
(`lin0.model.1.weight`).
"""

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor, nn

Trunk = Literal["vgg", "alex"]

_MEAN: Final = (-0.030, -0.088, -0.188)
STD: Final = (0.458, 0.448, 0.450)
"""ImageNet's statistics for pictures in -1..1, as the authors round them."""

WIDTHS: Final[dict[Trunk, tuple[int, ...]]] = {
    "vgg": (64, 128, 256, 512, 512),
    "alex": (64, 192, 384, 256, 256),
}
"""Channels of the five feature maps that are compared."""


class VGG16Features(nn.Module):
    """The convolutions of VGG16, read after the last ReLU of each of its five blocks.

    Source: Simonyan and Zisserman, arXiv:1409.1556, configuration D.
    """

    taps = (3, 8, 15, 22, 29)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for block, (width, depth) in enumerate(
            ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
        ):
            if block:
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Give the five feature maps of pictures (b, 3, h, w)."""
        return _tapped(self.features, self.taps, x)


class AlexNetFeatures(nn.Module):
    """The convolutions of torchvision's AlexNet, read after each ReLU.

    Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
    arXiv:1404.5997.
    """

    taps = (1, 4, 7, 9, 11)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> list[Tensor]:
        """Give the five feature maps of pictures (b, 3, h, w)."""
        return _tapped(self.features, self.taps, x)


class LPIPSHead(nn.Module):
    """One weight per channel, none of them negative in the published files."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Weigh squared differences (b, c, h, w) to (b, 1, h, w)."""
        return self.model(x)


class Heads(nn.Module):
    """The five learned heads of a trunk."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        for number, width in enumerate(widths):
            self.add_module(f"lin{number}", LPIPSHead(width))

    def forward(self, differences: Sequence[Tensor]) -> Tensor:
        """Give the distance (b,) from five maps of squared differences (b, c, h, w)."""
        parts = [
            head(difference).mean((1, 2, 3))
            for head, difference in zip(self.children(), differences, strict=True)
        ]
        return torch.stack(parts).sum(0)


class LPIPS(nn.Module):
    """Perceptual distance of pairs of pictures; 0 for equal ones, and at most about 1."""

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: Trunk = "vgg") -> None:
        super().__init__()
        self.trunk = VGG16Features() if trunk == "vgg" else AlexNetFeatures()
        self.heads = Heads(WIDTHS[trunk])
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Give the distance (b,) of pictures (b, 3, h, w) in RGB and in -1..1.

        Pictures in 0..1 give smaller values; DisCo's evaluation, and so the tables of most
        papers on dance, were made with those.
        """
        both = torch.cat([left, right])
        features = self.trunk((both - self.mean) / self.std)
        differences = []
        for maps in features:
            unit = maps / (maps.square().sum(1, keepdim=True).sqrt() + 1e-10)
            a, b = unit.chunk(2)
            differences.append((a - b).square())
        return self.heads(differences)


def _tapped(layers: nn.Sequential, taps: Sequence[int], x: Tensor) -> list[Tensor]:
    maps = []
    for index, layer in enumerate(layers):
        x = layer(x)
        if index in taps:
            maps.append(x)
    return maps
