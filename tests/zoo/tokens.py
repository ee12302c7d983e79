"""Networks with layer norm, patches and attention."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from zoo.blocks import Residual, normed, pooled


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    """ConvNeXt's block (Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.down(F.gelu(self.up(y)))).permute(0, 3, 1, 2)


def convnext_atto(classes: int = 4) -> nn.Module:
    """The depths of atto, widths of a fifth."""
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 4, 4), ChannelNorm(8)]
    width = 8
    for channels, depth in ((8, 2), (16, 2), (32, 6), (64, 2)):
        if channels != width:
            layers += [ChannelNorm(width), nn.Conv2d(width, channels, 2, 2)]
        layers += [NextBlock(channels) for _ in range(depth)]
        width = channels
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(width), nn.Linear(width, classes)]
    return nn.Sequential(*layers, *end)


def convmixer(classes: int = 4) -> nn.Module:
    """Trockman and Kolter 2022: patches, then depthwise convolutions with a shortcut and 1×1 without one."""

    def after(layer: nn.Module, width: int) -> nn.Sequential:
        return nn.Sequential(layer, nn.GELU(), nn.BatchNorm2d(width))

    width, layers = 48, [after(nn.Conv2d(3, 48, 4, 4), 48)]
    for _ in range(4):
        mixed = after(nn.Conv2d(width, width, 7, padding=3, groups=width), width)
        layers.append(nn.Sequential(Residual(mixed), after(nn.Conv2d(width, width, 1), width)))
    return nn.Sequential(*layers, pooled(width, classes))


class Turned(nn.Module):
    """A network over the tokens instead of their features."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


def perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021)."""

    def __init__(self, classes: int = 4, width: int = 48, depth: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.Sequential(*(self.block(64, width) for _ in range(depth)))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, classes)

    @staticmethod
    def block(tokens: int, width: int) -> nn.Sequential:
        over_tokens = nn.Sequential(nn.LayerNorm(width), Turned(perceptron(tokens, 32)))
        return nn.Sequential(
            Residual(over_tokens), Residual(nn.Sequential(nn.LayerNorm(width), perceptron(width, 4 * width)))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2))
        return self.last(self.norm(x).mean(1))


class OwnAttention(nn.Module):
    """Attention written out: one layer makes queries, keys and values of all heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.joint, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, length, width = x.shape
        joint = self.joint(x).reshape(count, length, 3, self.heads, width // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).reshape(count, length, width))


class TorchAttention(nn.Module):
    """torch's own attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.mixed = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mixed(x, x, x, need_weights=False)[0]


class Transformer(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021)."""

    def __init__(self, classes: int = 4, width: int = 48, depth: int = 4, heads: int = 3, *, own: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 65, width))
        attention = OwnAttention if own else TorchAttention
        self.blocks = nn.Sequential(*(
            nn.Sequential(
                Residual(nn.Sequential(nn.LayerNorm(width), attention(width, heads))),
                Residual(nn.Sequential(nn.LayerNorm(width), perceptron(width, 2 * width))),
            )
            for _ in range(depth)
        ))  # fmt: skip
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.last(self.norm(self.blocks(x))[:, 0])


class MeanPool(nn.Module):
    """PoolFormer's mixer: the mean of the neighbours, less the pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x


class PoolBlock(nn.Module):
    """A transformer's block with a mean in place of attention (Yu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mean = nn.GroupNorm(1, width), nn.GroupNorm(1, width), MeanPool()
        self.inner = nn.Sequential(nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1))
        self.scale1, self.scale2 = (nn.Parameter(torch.full((width, 1, 1), 0.1)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.scale1 * self.mean(self.norm1(x))
        return x + self.scale2 * self.inner(self.norm2(x))


def poolformer(classes: int = 4) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 7, 4, 2)]
    width = 16
    for channels in (16, 32, 64):
        if channels != width:
            layers.append(nn.Conv2d(width, channels, 3, 2, 1))
        layers += [PoolBlock(channels), PoolBlock(channels)]
        width = channels
    end = [nn.GroupNorm(1, width), pooled(width, classes)]
    return nn.Sequential(*layers, *end)


class Unfolded(nn.Module):
    """MobileViT's block (Mehta and Rastegari 2022): attention between like pixels of all patches of 2×2."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.near, self.wide = normed(channels, channels, then=nn.SiLU), nn.Conv2d(channels, width, 1, bias=False)
        self.blocks = nn.Sequential(*(
            nn.Sequential(
                Residual(nn.Sequential(nn.LayerNorm(width), OwnAttention(width, 2))),
                Residual(nn.Sequential(nn.LayerNorm(width), self.inner(width))),
            )
            for _ in range(depth)
        ))  # fmt: skip
        self.norm, self.narrow = nn.LayerNorm(width), normed(width, channels, 1, then=nn.SiLU)
        self.joined = normed(2 * channels, channels, then=nn.SiLU)

    @staticmethod
    def inner(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.wide(self.near(x))
        count, width, high, wide = y.shape
        patches = y.reshape(count * width * high // 2, 2, wide // 2, 2).transpose(1, 2)
        patches = patches.reshape(count, width, high * wide // 4, 4).transpose(1, 3)
        patches = self.norm(self.blocks(patches.reshape(count * 4, high * wide // 4, width)))
        y = patches.reshape(count, 4, high * wide // 4, width).transpose(1, 3)
        y = y.reshape(count * width * high // 2, wide // 2, 2, 2).transpose(1, 2).reshape(count, width, high, wide)
        return self.joined(torch.cat([x, self.narrow(y)], 1))


def mobilevit(classes: int = 4) -> nn.Module:
    from zoo.mobile import inverted

    stem = [normed(3, 16, 3, 2, then=nn.SiLU), inverted(16, 24, 2, expansion=2, then=nn.SiLU)]
    return nn.Sequential(*stem, Unfolded(24, 32, 2), normed(24, 64, 1, then=nn.SiLU), pooled(64, classes))
