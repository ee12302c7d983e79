"""Small networks such as a user's, for tests: by import (`networks:ResidualNet`) and by hand."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
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


class Patient(nn.Module):
    """For 16×16 pixels. Its second batch of training begins only once there is a file `until`; it waits a minute."""

    def __init__(self, until: str, num_classes: int = 4) -> None:
        super().__init__()
        self.head = nn.Linear(16 * 16, num_classes)
        self.until, self.batches = Path(until), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        patience = time.monotonic() + 60
        while self.batches > 1 and not self.until.exists():
            if time.monotonic() > patience:
                raise TimeoutError(f"no {self.until}")
            time.sleep(0.01)
        return self.head(x.flatten(1))


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


class RandomDepth(nn.Module):
    """Draws from all three generators in training; with `always`, in eval mode too."""

    def __init__(self, num_classes: int = 10, size: int = 32, always: bool = False) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size * size, 6), nn.Linear(6, num_classes)
        self.always = always

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.fc1(x.flatten(1)))
        if self.training or self.always:
            x = nn.functional.dropout(x * (random.random() + np.random.rand()), 0.2)
        return self.fc2(x)


class SharedWeight(nn.Module):
    """Two convolutions that share one weight."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = nn.Conv2d(1, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
        self.c3.weight = self.c2.weight
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.c3(torch.relu(self.c2(torch.relu(self.c1(x)))))).mean((2, 3)))


class Block(nn.Module):
    """Says its sizes as properties, as the blocks of model libraries do: they can be read, not set."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    @property
    def in_channels(self) -> int:
        return self.conv.in_channels

    @property
    def out_channels(self) -> int:
        return self.conv.out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


class Blocks(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem, self.block, self.fc = nn.Conv2d(1, 8, 3, 2), Block(8), nn.Linear(8, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.block(self.stem(x)).mean((2, 3)))


class Forgetful(nn.Module):
    """Computes with a number that training changes and no file holds."""

    def __init__(self, num_classes: int = 10, size: int = 32) -> None:
        super().__init__()
        self.fc, self.gain = nn.Linear(size * size, num_classes), 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.gain += 0.5
        return self.fc(x.flatten(1)) * self.gain


class Spectral(nn.Module):
    """Looks at the spectrum, whose work no counter knows."""

    def __init__(self, num_classes: int = 10, size: int = 32) -> None:
        super().__init__()
        self.fc = nn.Linear(size * (size // 2 + 1), num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.fft.rfft2(x).abs().flatten(1))


class Lazy(nn.Module):
    """Gets its sizes, and draws its weights, when it first sees an image."""

    def __init__(self, num_classes: int = 10, size: int = 32) -> None:  # noqa: ARG002 (others take it)
        super().__init__()
        self.conv, self.fc = nn.LazyConv2d(4, 3, 2), nn.LazyLinear(num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def explode(width: int = 8) -> nn.Module:
    raise RuntimeError(f"no network of width {width} today")


def not_a_module() -> str:
    return "hello"


NOT_CALLABLE = 3
