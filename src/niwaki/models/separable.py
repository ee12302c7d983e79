"""A small modern network: depthwise-separable blocks with batch norm, residual where shapes allow, global pooling.

Blocks as in Howard et al., "MobileNets" (2017): a depthwise convolution of 3×3 and a pointwise one, each with batch
norm and ReLU; the shortcut is that of He et al., "Deep Residual Learning" (2016). ONNX and C fold batch norm away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from niwaki.errors import ModelError
from niwaki.limits import check_memory

SMALLEST_SIDE = 2  # pixels of the last stage's maps


class Block(nn.Module):
    """(N, C, H, W) → (N, width, H / stride, W / stride); adds its input if the shape stays."""

    def __init__(self, channels: int, width: int, stride: int, between: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.norm1 = nn.BatchNorm2d(channels) if between else None
        self.pointwise = nn.Conv2d(channels, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Features of the next block."""
        y = self.depthwise(x)
        if self.norm1 is not None:
            y = F.relu(self.norm1(y))
        y = self.norm2(self.pointwise(y))
        return F.relu(x + y) if self.residual else F.relu(y)


class Separable(nn.Module):
    """(N, in_channels, image_size, image_size) float → (N, num_classes) logits.

    `widths` are the channels of the stem, a convolution of 3×3, and of each stage; `depth` is the number of blocks of a
    stage. The stem reduces the image to `resolution` pixels a side, and every stage but the first halves it. Without
    `between`, blocks have no norm and ReLU between their two convolutions: training is faster by a quarter, and small
    networks are as accurate (as Chollet found for larger ones, "Xception", 2017). Raises ModelError for numbers that
    are not positive, and if the last stage would have fewer than 2 pixels a side.

    >>> sum(parameter.numel() for parameter in niwaki.Separable(widths=[8, 16, 32], depth=1).parameters())
    1418
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 96),
        depth: int = 2,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 32,
        resolution: int = 16,
        between: bool = True,
    ) -> None:
        super().__init__()
        stride = _check(widths, (depth, num_classes, in_channels, image_size, resolution))
        stem, *stages = widths
        self.stem = nn.Conv2d(in_channels, stem, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(stem)
        blocks: list[nn.Module] = []
        channels = stem
        for stage, width in enumerate(stages):
            for number in range(depth):
                blocks.append(Block(channels, width, 2 if stage and not number else 1, between))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.classify = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, image_size, image_size)."""
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.classify(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))  # type: ignore[no-any-return]


def _check(widths: object, others: tuple[object, ...]) -> int:
    """The stride of the stem. Raises ModelError for numbers that build no network."""
    given = tuple(widths) if isinstance(widths, Iterable) else ()
    if len(given) < 2 or not all(map(_is_count, given)):
        raise ModelError(f"Separable: widths {given or widths!r}: give positive numbers, for the stem and each stage")
    if not all(map(_is_count, others)):
        raise ModelError(
            f"Separable: depth, num_classes, in_channels, image_size, resolution = {others!r}: give at least 1 of each"
        )
    depth, _, channels, size, resolution = (int(str(value)) for value in others)
    stride, rest = divmod(size, resolution)
    if rest or stride < 1:
        raise ModelError(f"Separable: resolution {resolution}: expected a divisor of image_size, {size}")
    last = resolution >> (len(given) - 2)
    if last < SMALLEST_SIDE:
        raise ModelError(
            f"Separable: {len(given) - 1} stages leave {last} pixels of {resolution}: give fewer stages or more pixels"
        )
    weights = 9 * channels * given[0] + sum(depth * (9 * width + width * width) for width in given)
    check_memory(4 * weights, f"Separable of about {weights:,} weights", ModelError)
    return stride


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
