"""Networks without shortcuts, those that join maps, and the first ones."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from zoo.blocks import normed, pooled


class Inception(nn.Module):
    """Four branches side by side (Szegedy et al. 2015)."""

    def __init__(self, inputs: int, point: int, three: tuple[int, int], five: tuple[int, int], pool: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            normed(inputs, point, 1),
            nn.Sequential(normed(inputs, three[0], 1), normed(*three)),
            nn.Sequential(normed(inputs, five[0], 1), normed(*five, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), normed(inputs, pool, 1)),
        ])  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception(classes: int = 4) -> nn.Module:
    first, second = Inception(16, 16, (24, 32), (4, 8), 8), Inception(64, 32, (32, 48), (8, 24), 16)
    return nn.Sequential(normed(3, 16, 3, 2), first, nn.MaxPool2d(3, 2, 1), second, pooled(120, classes))


class Dense(nn.Module):
    """Each layer sees the maps of all before it (Huang et al. 2017)."""

    def __init__(self, inputs: int, growth: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(self.layer(inputs + growth * index, growth) for index in range(depth))

    @staticmethod
    def layer(inputs: int, growth: int) -> nn.Module:
        first = [nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False)]
        second = [nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)]
        return nn.Sequential(*first, *second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def densenet(classes: int = 4) -> nn.Module:
    """Three blocks of four layers, with transitions that halve channels and map."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    width = 16
    for last in (False, False, True):
        layers.append(Dense(width, 8, 4))
        width += 32
        if not last:
            half = nn.Conv2d(width, width // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(width), nn.ReLU(), half, nn.AvgPool2d(2)]
            width //= 2
    return nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU(), pooled(width, classes))


def vgg(classes: int = 4) -> nn.Module:
    """Simonyan and Zisserman 2015 with batch norm: the plan of VGG-11, widths of a quarter."""
    layers: list[nn.Module] = []
    width = 3
    for row in ((16,), (32,), (64, 64), (128, 128), (128, 128)):
        for channels in row:
            layers.append(normed(width, channels))
            width = channels
        layers.append(nn.MaxPool2d(2))
    end = [nn.Flatten(), nn.Linear(width, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, 128), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, *end, nn.Linear(128, classes))


def nin(classes: int = 4) -> nn.Module:
    """Network in network (Lin et al. 2014): every convolution is followed by two of 1×1."""

    def block(inputs: int, widths: tuple[int, int, int], kernel: int) -> list[nn.Module]:
        convolutions = [
            nn.Conv2d(inputs, widths[0], kernel, padding=kernel // 2),
            *(nn.Conv2d(*pair, 1) for pair in pairwise(widths)),
        ]  # fmt: skip
        return [layer for convolution in convolutions for layer in (convolution, nn.ReLU())]

    first = [*block(3, (48, 40, 24), 5), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout()]
    second = [*block(24, (48, 48, 48), 5), nn.AvgPool2d(3, 2, ceil_mode=True), nn.Dropout()]
    return nn.Sequential(*first, *second, *block(48, (48, 48, classes), 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def sequential(classes: int = 4) -> nn.Module:
    """As a course's first example is written: nothing but a list of layers."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


class Lines(nn.Module):
    """Convolutions of one dimension over the rows of a signal."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv1d(3, 32, 9, 2, 4, bias=False), nn.BatchNorm1d(32)
        self.second, self.norm2 = nn.Conv1d(32, 64, 5, 2, 2, bias=False), nn.BatchNorm1d(64)
        self.pool, self.last = nn.MaxPool1d(4), nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.norm1(self.first(x.flatten(2)))))
        return self.last(F.relu(self.norm2(self.second(x))).mean(2))


def mlp(classes: int = 4) -> nn.Module:
    hidden = [nn.Linear(3 * 32 * 32, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, classes))


class Squash(nn.Module):
    """LeNet-5's activation: 1.7159 · tanh(2x/3)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(nn.Module):
    """LeNet-5's pooling: a mean with a factor and a bias for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * F.avg_pool2d(x, 2) + self.bias


def lenet_1998(classes: int = 4) -> nn.Module:
    """LeCun et al. 1998: tanh, means with factors."""
    maps = [
        nn.Conv2d(1, 6, 5),
        Squash(),
        Subsampling(6),
        Squash(),
        nn.Conv2d(6, 16, 5),
        Squash(),
        Subsampling(16),
        Squash(),
    ]
    return nn.Sequential(
        *maps, nn.Conv2d(16, 120, 5), Squash(), nn.Flatten(), nn.Linear(120, 84), Squash(), nn.Linear(84, classes)
    )


def lenet_sigmoid(classes: int = 4) -> nn.Module:
    """As textbooks write LeNet."""
    maps = [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
    ]
    end = [nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, classes)]
    return nn.Sequential(*maps, nn.Flatten(), *end)
