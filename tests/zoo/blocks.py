"""What several families of networks are built of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Make = Callable[[], nn.Module]


def normed(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, groups: int = 1, then: Make | None = nn.ReLU
) -> nn.Sequential:
    """A convolution, batch norm, and an activation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *([then()] if then else []))


def pooled(channels: int, classes: int) -> nn.Sequential:
    """The mean over the map, and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Residual(nn.Module):
    """A branch, added to its input or to what a shortcut makes of it."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None, then: Make = nn.Identity) -> None:
        super().__init__()
        self.branch, self.shortcut, self.then = branch, shortcut or nn.Identity(), then()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.then(self.branch(x) + self.shortcut(x))


class Excitation(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): each channel is scaled by a gate computed from all means."""

    def __init__(self, channels: int, squeezed: int, then: Make = nn.ReLU, gate: Make = nn.Sigmoid) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeezed, 1), then(), nn.Conv2d(squeezed, channels, 1), gate()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)
