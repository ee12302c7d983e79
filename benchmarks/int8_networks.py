"""Four small networks of 32×32 grey images, one for each family of operators whose int8 form is more than a sum."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Make = Callable[[], nn.Module]


class Residual(nn.Module):
    """A branch added to its input."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class Excitation(nn.Module):
    """Squeeze and excitation (Hu et al. 2018), with the gate of MobileNetV3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width // 4, 1), nn.ReLU(), nn.Conv2d(width // 4, width, 1),
            nn.Hardsigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def normed(inputs: int, outputs: int, kernel: int, stride: int, then: Make, *, depthwise: bool = False) -> nn.Module:
    groups = inputs if depthwise else 1
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), then())


def inverted(inputs: int, outputs: int, stride: int, then: Make, *, gated: bool) -> nn.Module:
    """An inverted residual (Sandler et al. 2018)."""
    wide = 2 * inputs
    layers = [normed(inputs, wide, 1, 1, then), normed(wide, wide, 3, stride, then, depthwise=True)]
    layers += [Excitation(wide)] if gated else []
    layers.append(normed(wide, outputs, 1, 1, nn.Identity))
    return Residual(*layers) if stride == 1 and inputs == outputs else nn.Sequential(*layers)


def mobile(then: Make, *, gated: bool) -> nn.Module:
    """Inverted residuals at 16×16 and 8×8."""
    plan = ((12, 16, 1), (16, 24, 2), (24, 24, 1), (24, 24, 1))
    blocks = [inverted(inputs, outputs, stride, then, gated=gated) for inputs, outputs, stride in plan]
    end = [normed(24, 96, 1, 1, then), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10)]
    return nn.Sequential(normed(1, 12, 3, 2, then), *blocks, *end)


def silu() -> nn.Module:
    """As EfficientNet has it."""
    return mobile(nn.SiLU, gated=False)


def hardswish() -> nn.Module:
    """As MobileNetV3 has it."""
    return mobile(nn.Hardswish, gated=True)


class NextBlock(nn.Module):
    """ConvNeXt's block (Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 5, padding=2, groups=width), nn.LayerNorm(width)
        self.inner = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.inner(y)).permute(0, 3, 1, 2)


def gelu(width: int = 32) -> nn.Module:
    """ConvNeXt's blocks at 8×8."""
    stem = [nn.Conv2d(1, width, 4, 4), nn.GroupNorm(1, width)]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(width), nn.Linear(width, 10)]
    return nn.Sequential(*stem, *(NextBlock(width) for _ in range(3)), *end)


class Attention(nn.Module):
    """torch's own, of a sequence to itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.mixed = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mixed(x, x, x, need_weights=False)[0]


class Transformer(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021): 64 patches of 4×4 and a class token."""

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 65, width))
        self.blocks = nn.Sequential(*(self.block(width) for _ in range(depth)))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, 10)

    @staticmethod
    def block(width: int) -> nn.Module:
        inner = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        return nn.Sequential(Residual(nn.LayerNorm(width), Attention(width, 4)), Residual(nn.LayerNorm(width), inner))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.last(self.norm(self.blocks(x))[:, 0])


def attention() -> nn.Module:
    """Attention of four heads."""
    return Transformer()


NETWORKS = {
    "SiLU (inverted residuals)": silu,
    "HardSwish, squeeze and excitation": hardswish,
    "GELU, layer norm (ConvNeXt)": gelu,
    "attention (ViT)": attention,
}
