"""Small networks of a user's own, as tests need them: by import (`networks:ResidualNet`) and by hand."""

from __future__ import annotations

import torch
from torch import nn


class ResidualNet(nn.Module):
    """A stem, a residual block with batch norm and a projection, global average pooling."""

    def __init__(self, width: int = 8, num_classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.conv1 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.project = nn.Conv2d(width, 2 * width, 1, stride=2, bias=False)
        self.classify = nn.Linear(2 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return self.classify(torch.relu(y + self.project(x)).mean((2, 3)))


class MobileNet(nn.Module):
    """Depthwise-separable and grouped convolutions; the classifier is a 1×1 convolution."""

    def __init__(self, width: int = 8, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU6(),
            nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.ReLU6(),
            nn.Conv2d(width, 2 * width, 1), nn.BatchNorm2d(2 * width), nn.ReLU6(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1, groups=4), nn.ReLU(),
        )  # fmt: skip
        self.classify = nn.Conv2d(2 * width, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(nn.functional.adaptive_avg_pool2d(self.features(x), 1)).flatten(1)


class HardCodedView(nn.Module):
    """Breaks when pruned: the size of the flattened image is written into forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=4)
        self.head = Head()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x))


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8 * 8 * 8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.view(-1, 512))


class HardCodedSplit(nn.Module):
    """Breaks when pruned: the channels are split by numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, stride=2)
        self.left = nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = torch.split(self.conv(x), [8, 8], dim=1)
        return self.fc(torch.cat([self.left(a).mean((2, 3)), b.mean((2, 3))], dim=1))


class Bare(nn.Module):
    """Has a parameter of its own and no way to draw it again."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.fc1 = nn.Linear(1024, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.relu(self.fc1(x.flatten(1)) * self.scale))


def explode(width: int = 8) -> nn.Module:
    raise RuntimeError(f"no network of width {width} today")


def not_a_module() -> str:
    return "hello"


NOT_CALLABLE = 3
