"""LeNet-5, the network of the source study: two convolutions, three linear layers, ReLU and max-pooling.

The layers follow LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998), in the modern form:
ReLU instead of tanh, max-pooling instead of trained subsampling, a full second convolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from niwaki.errors import ModelError
from niwaki.limits import check_memory

KERNEL = 5  # of both convolutions, stride 1, no padding
SMALLEST_IMAGE = 16  # leaves one pixel: 16 → 12 → 6 → 2 → 1


class LeNet5(nn.Module):
    """LeNet-5: (N, in_channels, image_size, image_size) float → (N, num_classes) logits.

    `widths` are the outputs of conv1, conv2, fc1 and fc2. The defaults give 61,706 parameters and 416,520 MACs. With
    `norm`, a batch norm follows each of them: the network trains better, and ONNX and C fold it away. Raises
    ModelError unless `widths` are four positive numbers and there is at least one class and one channel, and for images
    under 16 pixels, which the layers would shrink to nothing.

    >>> sum(parameter.numel() for parameter in niwaki.LeNet5(widths=[2, 6, 48, 33]).parameters())
    9563
    """

    def __init__(
        self,
        widths: Sequence[int] = (6, 16, 120, 84),
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 32,
        norm: bool = False,
    ) -> None:
        super().__init__()
        _check(widths, num_classes, in_channels, image_size)
        c1, c2, f1, f2 = widths
        side = ((image_size - KERNEL + 1) // 2 - KERNEL + 1) // 2  # pixels of a map after conv2 and its pooling
        weights = KERNEL**2 * c1 * (in_channels + c2) + f1 * (c2 * side * side + f2) + f2 * num_classes
        check_memory(4 * weights, f"LeNet-5 of {weights:,} weights", ModelError)
        self.conv1 = nn.Conv2d(in_channels, c1, KERNEL)
        self.norm1: nn.Module = nn.BatchNorm2d(c1) if norm else nn.Identity()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(c1, c2, KERNEL)
        self.norm2: nn.Module = nn.BatchNorm2d(c2) if norm else nn.Identity()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(c2 * side * side, f1)
        self.norm3: nn.Module = nn.BatchNorm1d(f1) if norm else nn.Identity()
        self.fc2 = nn.Linear(f1, f2)
        self.norm4: nn.Module = nn.BatchNorm1d(f2) if norm else nn.Identity()
        self.fc3 = nn.Linear(f2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, image_size, image_size)."""
        x = self.pool1(F.relu(self.norm1(self.conv1(x))))  # (N, 6, 14, 14) by default
        x = self.pool2(F.relu(self.norm2(self.conv2(x))))  # (N, 16, 5, 5)
        x = torch.flatten(x, 1)  # (N, 400)
        x = F.relu(self.norm3(self.fc1(x)))  # (N, 120)
        x = F.relu(self.norm4(self.fc2(x)))  # (N, 84)
        return self.fc3(x)  # type: ignore[no-any-return]  # (N, 10)


def _check(widths: object, num_classes: object, in_channels: object, image_size: object) -> None:
    given = tuple(widths) if isinstance(widths, Iterable) else ()
    if len(given) != 4 or not all(_is_count(width) for width in given):
        said = given or widths
        raise ModelError(f"LeNet-5: widths {said!r}: give four positive numbers, for conv1, conv2, fc1, fc2")
    if not (_is_count(num_classes) and _is_count(in_channels)):
        raise ModelError(f"LeNet-5: {num_classes!r} classes, {in_channels!r} input channels: give at least 1 of each")
    if not (isinstance(image_size, Integral) and int(image_size) >= SMALLEST_IMAGE):
        raise ModelError(
            f"LeNet-5: image size {image_size!r}: it needs at least {SMALLEST_IMAGE} pixels; pad or enlarge"
        )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
