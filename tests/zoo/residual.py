"""Residual networks: ResNet and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from zoo.blocks import Excitation, Residual, normed, pooled

Block = Callable[[int, int, int], nn.Module]
"""Of input channels, output channels and stride."""


def projection(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """A shortcut of one convolution, where the shape changes (option B of He et al. 2016)."""
    return None if inputs == outputs and stride == 1 else normed(inputs, outputs, 1, stride, then=None)


def basic(inputs: int, outputs: int, stride: int) -> nn.Module:
    branch = nn.Sequential(normed(inputs, outputs, 3, stride), normed(outputs, outputs, 3, then=None))
    return Residual(branch, projection(inputs, outputs, stride), nn.ReLU)


def stages(block: Block, inputs: int, widths: Sequence[int], depths: Sequence[int], first: int = 1) -> nn.Sequential:
    """Blocks of each width in turn; every stage but the first halves the map."""
    layers: list[nn.Module] = []
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for index in range(depth):
            layers.append(block(inputs, width, (2 if number else first) if index == 0 else 1))
            inputs = width
    return nn.Sequential(*layers)


def resnet8(classes: int = 4) -> nn.Module:
    """As MLPerf Tiny has it for CIFAR-10."""
    return nn.Sequential(normed(3, 16), stages(basic, 16, (16, 32, 64), (1, 1, 1)), pooled(64, classes))


def resnet18(classes: int = 4, width: int = 16) -> nn.Module:
    """He et al. 2016; of full size with a width of 64."""
    widths = tuple(width * 2**stage for stage in range(4))
    stem = nn.Sequential(normed(3, width, 7, 2), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(stem, stages(basic, width, widths, (2, 2, 2, 2)), pooled(widths[-1], classes))


class ByZeros(nn.Module):
    """Every second pixel, and channels of zeros for those that are missing (option A)."""

    def __init__(self, missing: int) -> None:
        super().__init__()
        self.missing = missing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.missing // 2, self.missing // 2))


def resnet20(classes: int = 4) -> nn.Module:
    """He et al. 2016 for CIFAR-10, with shortcuts without parameters."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        branch = nn.Sequential(normed(inputs, outputs, 3, stride), normed(outputs, outputs, 3, then=None))
        return Residual(branch, None if stride == 1 else ByZeros(outputs - inputs), nn.ReLU)

    return nn.Sequential(normed(3, 16), stages(block, 16, (16, 32, 64), (3, 3, 3)), pooled(64, classes))


def resnet10t(classes: int = 4) -> nn.Module:
    """A stem of three convolutions whose widths grow; shortcuts that average before they project (He et al. 2019)."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        branch = nn.Sequential(normed(inputs, outputs, 3, stride), normed(outputs, outputs, 3, then=None))
        pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
        same = inputs == outputs and stride == 1
        return Residual(branch, None if same else nn.Sequential(pool, normed(inputs, outputs, 1, then=None)), nn.ReLU)

    stem = nn.Sequential(normed(3, 12, 3, 2), normed(12, 16), normed(16, 32), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(stem, stages(block, 32, (16, 32, 64, 128), (1, 1, 1, 1)), pooled(128, classes))


class PreActivation(nn.Module):
    """Norm and activation before each convolution (He et al. 2016, Identity Mappings)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = inputs == outputs and stride == 1
        self.project = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = F.relu(self.norm1(x))
        shortcut = x if self.project is None else self.project(active)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(active))))


def preact_resnet(classes: int = 4) -> nn.Module:
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), stages(PreActivation, 16, (16, 32, 64), (2, 2, 2))]
    return nn.Sequential(*layers, nn.BatchNorm2d(64), nn.ReLU(), pooled(64, classes))


def regnet_x(classes: int = 4) -> nn.Module:
    """Radosavovic et al. 2020: grouped bottlenecks as wide as their output; half of the widths of 200MF."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        grouped = normed(outputs, outputs, 3, stride, groups=outputs // 8)
        branch = nn.Sequential(normed(inputs, outputs, 1), grouped, normed(outputs, outputs, 1, then=None))
        return Residual(branch, projection(inputs, outputs, stride), nn.ReLU)

    layers = stages(block, 16, (16, 24, 72, 184), (1, 1, 4, 7), first=2)
    return nn.Sequential(normed(3, 16, 3, 2), layers, pooled(184, classes))


class RepBlock(nn.Module):
    """RepVGG (Ding et al. 2021) as it is trained: convolutions of 3×3 and 1×1, and a norm alone, added."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.dense, self.point = (
            normed(inputs, outputs, 3, stride, then=None),
            normed(inputs, outputs, 1, stride, then=None),
        )
        self.same = nn.BatchNorm2d(inputs) if inputs == outputs and stride == 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.dense(x) + self.point(x)
        return F.relu(y if self.same is None else y + self.same(x))


def repvgg(classes: int = 4) -> nn.Module:
    """The stages of A0."""
    layers = stages(RepBlock, 3, (16, 16, 32, 64, 160), (1, 2, 4, 6, 1), first=2)
    return nn.Sequential(layers, pooled(160, classes))


def resnext(classes: int = 4) -> nn.Module:
    """Xie et al. 2017: bottlenecks of eight groups."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        middle = normed(outputs // 2, outputs // 2, 3, stride, groups=8)
        branch = nn.Sequential(normed(inputs, outputs // 2, 1), middle, normed(outputs // 2, outputs, 1, then=None))
        return Residual(branch, projection(inputs, outputs, stride), nn.ReLU)

    return nn.Sequential(normed(3, 32), stages(block, 32, (64, 128, 256), (1, 1, 1)), pooled(256, classes))


def se_resnet(classes: int = 4) -> nn.Module:
    """Hu et al. 2018: squeeze and excitation at the end of each branch."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        gated = Excitation(outputs, outputs // 8)
        branch = nn.Sequential(normed(inputs, outputs, 3, stride), normed(outputs, outputs, 3, then=None), gated)
        return Residual(branch, projection(inputs, outputs, stride), nn.ReLU)

    return nn.Sequential(normed(3, 16), stages(block, 16, (16, 32, 64), (2, 2, 2)), pooled(64, classes))
