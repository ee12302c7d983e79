"""Networks made for telephones and microcontrollers: depthwise convolutions, inverted residuals, cheap features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from zoo.blocks import Excitation, Make, Residual, normed, pooled


def separable(inputs: int, outputs: int, stride: int = 1, kernel: int = 3, then: Make = nn.ReLU) -> nn.Sequential:
    """A depthwise convolution and one of 1×1."""
    return nn.Sequential(
        normed(inputs, inputs, kernel, stride, groups=inputs, then=then), normed(inputs, outputs, 1, then=then)
    )


def mobilenet_v1(classes: int = 4, multiplier: float = 0.25) -> nn.Module:
    """Howard et al. 2017."""
    plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    width = int(32 * multiplier)
    layers: list[nn.Module] = [normed(3, width, 3, 2)]
    for full, stride in plan:
        layers.append(separable(width, int(full * multiplier), stride))
        width = int(full * multiplier)
    return nn.Sequential(*layers, nn.Dropout(0.001), pooled(width, classes))


def ds_cnn(classes: int = 4) -> nn.Module:
    """Zhang et al. 2017, for spectrograms of 49 by 10."""
    stem = nn.Sequential(nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU())
    return nn.Sequential(stem, *(separable(64, 64) for _ in range(4)), nn.Dropout(0.4), pooled(64, classes))


def inverted(
    inputs: int, outputs: int, stride: int = 1, kernel: int = 3, *, expansion: float = 6, then: Make = nn.ReLU6,
    excite: tuple[int, Make, Make] | None = None,
) -> nn.Module:  # fmt: skip
    """An inverted residual (Sandler et al. 2018); `excite`: squeezed channels, their activation and the gate."""
    middle = round(inputs * expansion)
    layers: list[nn.Module] = [normed(inputs, middle, 1, then=then)] if middle != inputs else []
    layers.append(normed(middle, middle, kernel, stride, groups=middle, then=then))
    layers += [Excitation(middle, *excite)] if excite else []
    branch = nn.Sequential(*layers, normed(middle, outputs, 1, then=None))
    return Residual(branch) if stride == 1 and inputs == outputs else branch


def mobilenet_v2(classes: int = 4) -> nn.Module:
    """Widths of a quarter."""
    plan = ((1, 4, 1, 1), (6, 8, 2, 2), (6, 8, 3, 2), (6, 16, 4, 2), (6, 24, 3, 1), (6, 40, 3, 2), (6, 80, 1, 1))
    width, layers = 8, [normed(3, 8, 3, 2, then=nn.ReLU6)]
    for expansion, channels, depth, stride in plan:
        for index in range(depth):
            layers.append(inverted(width, channels, stride if index == 0 else 1, expansion=expansion))
            width = channels
    return nn.Sequential(*layers, normed(width, 160, 1, then=nn.ReLU6), nn.Dropout(0.2), pooled(160, classes))


def mobilenet_v3(classes: int = 4, *, large: bool = False) -> nn.Module:
    """Howard et al. 2019, widths of about a quarter. Rows: kernel, middle, output, excitation, HardSwish, stride."""
    small_plan = (
        (3, 8, 8, 1, 0, 2), (3, 24, 8, 0, 0, 2), (3, 24, 8, 0, 0, 1), (5, 24, 16, 1, 1, 2), (5, 64, 16, 1, 1, 1),
        (5, 64, 16, 1, 1, 1), (5, 32, 16, 1, 1, 1), (5, 40, 16, 1, 1, 1), (5, 72, 24, 1, 1, 2), (5, 144, 24, 1, 1, 1),
        (5, 144, 24, 1, 1, 1),
    )  # fmt: skip
    large_plan = (
        (3, 8, 8, 0, 0, 1), (3, 24, 8, 0, 0, 2), (3, 24, 8, 0, 0, 1), (5, 24, 16, 1, 0, 2), (5, 40, 16, 1, 0, 1),
        (5, 40, 16, 1, 0, 1), (3, 64, 24, 0, 1, 2), (3, 56, 24, 0, 1, 1), (3, 48, 24, 0, 1, 1), (3, 48, 24, 0, 1, 1),
        (3, 120, 32, 1, 1, 1), (3, 168, 32, 1, 1, 1), (5, 168, 40, 1, 1, 2), *[(5, 240, 40, 1, 1, 1)] * 2,
    )  # fmt: skip
    width, layers = 8, [normed(3, 8, 3, 2, then=nn.Hardswish)]
    for kernel, middle, channels, gated, hard, stride in large_plan if large else small_plan:
        excite = (max(8, middle // 4), nn.ReLU, nn.Hardsigmoid) if gated else None
        then = nn.Hardswish if hard else nn.ReLU
        layers.append(inverted(width, channels, stride, kernel, expansion=middle / width, then=then, excite=excite))
        width = channels
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6 * width, 128), nn.Hardswish(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, normed(width, 6 * width, 1, then=nn.Hardswish), *end, nn.Linear(128, classes))


def universal(inputs: int, outputs: int, stride: int, first: int, middle: int, expansion: float) -> nn.Module:
    """MobileNetV4's universal inverted bottleneck (Qin et al. 2024); a kernel of 0 leaves its depthwise layer out."""
    wide = round(inputs * expansion)
    layers: list[nn.Module] = []
    if first:
        layers.append(normed(inputs, inputs, first, 1 if middle else stride, groups=inputs, then=None))
    layers.append(normed(inputs, wide, 1))
    if middle:
        layers.append(normed(wide, wide, middle, stride, groups=wide))
    branch = nn.Sequential(*layers, normed(wide, outputs, 1, then=None))
    return Residual(branch) if stride == 1 and inputs == outputs else branch


def mobilenet_v4(classes: int = 4) -> nn.Module:
    """The plan of Conv-Small, widths of a quarter: output, stride, first and middle kernel, expansion."""
    plan = (
        (24, 2, 5, 5, 3), (24, 1, 0, 3, 2), (24, 1, 0, 3, 2), (24, 1, 0, 3, 2), (24, 1, 0, 3, 2), (24, 1, 3, 0, 4),
        (32, 2, 3, 3, 6), (32, 1, 5, 5, 4), (32, 1, 0, 5, 4), (32, 1, 0, 5, 3), (32, 1, 0, 3, 4), (32, 1, 0, 3, 4),
    )  # fmt: skip
    fused = [normed(8, 8, 3, 2), normed(8, 8, 1), normed(8, 24, 3, 2), normed(24, 16, 1)]
    width, layers = 16, [normed(3, 8, 3, 2), *fused]
    for channels, stride, first, middle, expansion in plan:
        layers.append(universal(width, channels, stride, first, middle, expansion))
        width = channels
    end = [normed(width, 240, 1), nn.AdaptiveAvgPool2d(1), normed(240, 320, 1), nn.Flatten()]
    return nn.Sequential(*layers, *end, nn.Linear(320, classes))


def mcunet(classes: int = 4, *, smooth: bool = False) -> nn.Module:
    """The form of MCUNet's (Lin et al. 2020) found networks: kernels of 3, 5 and 7, changing expansions."""
    then = nn.SiLU if smooth else nn.ReLU6
    plan = (
        (8, 1, 3, 1), (16, 2, 7, 3), (16, 1, 3, 6), (16, 1, 7, 3), (24, 2, 7, 4), (24, 1, 5, 5), (40, 2, 5, 5),
        (40, 1, 7, 4), (48, 1, 5, 5), (48, 1, 3, 4), (96, 2, 3, 6), (96, 1, 7, 4),
    )  # fmt: skip
    width, layers = 16, [normed(3, 16, 3, 2, then=then)]
    for channels, stride, kernel, expansion in plan:
        layers.append(inverted(width, channels, stride, kernel, expansion=expansion, then=then))
        width = channels
    return nn.Sequential(*layers, pooled(width, classes))


EFFICIENT = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
             (6, 192, 4, 2, 5),             (6, 320, 1, 1, 3))  # fmt: skip
"""Expansion, width, depth, stride and kernel of each stage of EfficientNet-B0."""


def efficient(classes: int, width: float, depth: float = 1, *, lite: bool = False) -> nn.Module:
    """Tan and Le 2019; lite: ReLU6, without excitation."""
    then = nn.ReLU6 if lite else nn.SiLU
    first = round(32 * width)
    inputs, layers = first, [normed(3, first, 3, 2, then=then)]
    for expansion, full, count, stride, kernel in EFFICIENT:
        channels = max(4, round(full * width))
        for index in range(max(1, round(count * depth))):
            excite = None if lite else (max(1, inputs // 4), nn.SiLU, nn.Sigmoid)
            step = stride if index == 0 else 1
            layers.append(inverted(inputs, channels, step, kernel, expansion=expansion, then=then, excite=excite))
            inputs = channels
    last = round(1280 * width)
    return nn.Sequential(*layers, normed(inputs, last, 1, then=then), nn.Dropout(0.2), pooled(last, classes))


def efficientnet_b0(classes: int = 4) -> nn.Module:
    return efficient(classes, 0.25)


def efficientnet_lite0(classes: int = 4) -> nn.Module:
    return efficient(classes, 0.25, lite=True)


def tinynet(classes: int = 4) -> nn.Module:
    """Han et al. 2020: EfficientNet of smaller images, widths and depths; the factors of TinyNet-E, a third as wide."""
    return efficient(classes, 0.17, 0.6)


def lcnet(classes: int = 4) -> nn.Module:
    """PP-LCNet (Cui et al. 2021), widths of a half: separable convolutions, HardSwish, excitation only at the end."""

    def block(inputs: int, outputs: int, stride: int, kernel: int, gated: bool) -> nn.Module:
        depthwise = normed(inputs, inputs, kernel, stride, groups=inputs, then=nn.Hardswish)
        gate = [Excitation(inputs, inputs // 4, gate=nn.Hardsigmoid)] if gated else []
        return nn.Sequential(depthwise, *gate, normed(inputs, outputs, 1, then=nn.Hardswish))

    plan = ((16, 1, 3, 0), (32, 2, 3, 0), (32, 1, 3, 0), (64, 2, 3, 0), (64, 1, 3, 0), (128, 2, 3, 0),
            *[(128, 1, 5, 0)] * 5,            (256, 2, 5, 1), (256, 1, 5, 1))  # fmt: skip
    width, layers = 8, [normed(3, 8, 3, 2, then=nn.Hardswish)]
    for channels, stride, kernel, gated in plan:
        layers.append(block(width, channels, stride, kernel, bool(gated)))
        width = channels
    end = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 320, 1), nn.Hardswish(), nn.Dropout(0.2), nn.Flatten()]
    return nn.Sequential(*layers, *end, nn.Linear(320, classes))


class Ghost(nn.Module):
    """Half of the features, and what cheap depthwise convolutions make of them (Han et al. 2020)."""

    def __init__(self, inputs: int, outputs: int, then: Make | None = nn.ReLU) -> None:
        super().__init__()
        own = (outputs + 1) // 2
        self.outputs = outputs
        self.primary, self.cheap = normed(inputs, own, 1, then=then), normed(own, own, 3, groups=own, then=then)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], 1)


class GhostBlock(nn.Module):
    """Two ghost modules; between them, where the map is halved, a depthwise convolution."""

    def __init__(self, inputs: int, middle: int, outputs: int, kernel: int, stride: int, gated: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [Ghost(inputs, middle)]
        if stride > 1:
            layers.append(normed(middle, middle, kernel, stride, groups=middle, then=None))
        if gated:
            layers.append(Excitation(middle, middle // 4, gate=nn.Hardsigmoid))
        self.branch = nn.Sequential(*layers, Ghost(middle, outputs, None))
        shortcut = [
            normed(inputs, inputs, kernel, stride, groups=inputs, then=None),
            normed(inputs, outputs, 1, then=None),
        ]
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else nn.Sequential(*shortcut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch(x) + self.shortcut(x)


def ghostnet(classes: int = 4) -> nn.Module:
    """Widths of a half, the first two blocks of each stage: kernel, middle, output, excitation, stride."""
    plan = ((3, 8, 8, 0, 1), (3, 24, 12, 0, 2), (3, 36, 12, 0, 1), (5, 36, 20, 1, 2), (5, 60, 20, 1, 1),
            (3, 120, 40, 0, 2),            (3, 100, 40, 0, 1), (3, 240, 56, 1, 1), (5, 336, 80, 1, 2),
            (5, 480, 80, 1, 1))  # fmt: skip
    width, layers = 8, [normed(3, 8, 3, 2)]
    for kernel, middle, outputs, gated, stride in plan:
        layers.append(GhostBlock(width, middle, outputs, kernel, stride, bool(gated)))
        width = outputs
    end = [normed(width, 240, 1), nn.AdaptiveAvgPool2d(1), nn.Conv2d(240, 320, 1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, *end, nn.Dropout(0.2), nn.Linear(320, classes))


class Shuffle(nn.Module):
    """ShuffleNetV2's unit (Ma et al. 2018): half of the channels pass, or both halves are made anew with a stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half, self.stride = outputs // 2, stride
        taken = half if stride == 1 else inputs
        self.branch = nn.Sequential(
            normed(taken, half, 1), normed(half, half, 3, stride, groups=half, then=None), normed(half, half, 1)
        )
        if stride > 1:
            self.other = nn.Sequential(
                normed(inputs, inputs, 3, stride, groups=inputs, then=None), normed(inputs, half, 1)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            kept, x = x.chunk(2, 1)
            x = torch.cat([kept, self.branch(x)], 1)
        else:
            x = torch.cat([self.other(x), self.branch(x)], 1)
        count, channels, height, width = x.shape
        return x.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(count, channels, height, width)


def shufflenet_v2(classes: int = 4) -> nn.Module:
    """The plan of 0.5×."""
    layers: list[nn.Module] = [normed(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    width = 24
    for channels, depth in ((48, 4), (96, 8), (192, 4)):
        for index in range(depth):
            layers.append(Shuffle(width, channels, 2 if index == 0 else 1))
            width = channels
    return nn.Sequential(*layers, normed(width, 256, 1), pooled(256, classes))


class Fire(nn.Module):
    """SqueezeNet's module (Iandola et al. 2016)."""

    def __init__(self, inputs: int, squeezed: int, each: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.points, self.squares = nn.Conv2d(squeezed, each, 1), nn.Conv2d(squeezed, each, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.points(x)), F.relu(self.squares(x))], 1)


def squeezenet(classes: int = 4) -> nn.Module:
    """The plan of 1.1, widths of a half."""

    def fires(plan: Sequence[tuple[int, int, int]]) -> list[nn.Module]:
        return [Fire(*row) for row in plan]

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    stem = [nn.Conv2d(3, 32, 3, 2), nn.ReLU(), pool()]
    early = [*fires(((32, 8, 32), (64, 8, 32))), pool(), *fires(((64, 16, 64), (128, 16, 64))), pool()]
    late = fires(((128, 24, 96), (192, 24, 96), (192, 32, 128), (256, 32, 128)))
    end = [nn.Dropout(0.5), nn.Conv2d(256, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*stem, *early, *late, *end)
