"""Images as windows see them, in NumPy: the building blocks of the contract's layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from niwaki.codegen.graph.graph import Pads, Pair, Tensor

_SEEN_AT_ONCE = 1 << 25  # pixels that windows see, counted as often as they are seen: 128 MB


def centred(x: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The numbers that int8 values represent, in units of the scale: int32, −255 to 255."""
    return x.astype(np.int32) - np.int32(tensor.zero_point)


def padded(x: np.ndarray, pads: Pads, value: int) -> np.ndarray:
    """`x` (n, C, H, W) with `value` around each image."""
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def windows(x: np.ndarray, kernel: Pair, strides: Pair, target: Tensor, dilations: Pair = (1, 1)) -> np.ndarray:
    """From `x` (n, C, H, W) to (C, KH * KW, n, rows and columns of the target): what each position of a window sees."""
    reach = tuple((side - 1) * dilation + 1 for side, dilation in zip(kernel, dilations, strict=True))
    windows = sliding_window_view(x, reach, axis=(2, 3))[..., :: dilations[0], :: dilations[1]]
    windows = windows[:, :, :: strides[0], :: strides[1]][:, :, : target.shape[1], : target.shape[2]]
    return windows.transpose(1, 4, 5, 0, 2, 3).reshape(x.shape[1], -1, len(x), *target.shape[1:])


def in_rows(
    x: np.ndarray, kernel: Pair, strides: Pair, target: Tensor, dilations: Pair = (1, 1)
) -> Iterator[np.ndarray]:
    """`windows` of some rows of the target at a time: of all, unless windows are large and many."""
    rows, columns = target.shape[1:]
    seen = len(x) * x.shape[1] * kernel[0] * kernel[1] * columns  # per row
    at_once = max(1, min(rows, _SEEN_AT_ONCE // max(1, seen)))
    reach = (kernel[0] - 1) * dilations[0] + 1
    for first in range(0, rows, at_once):
        count = min(at_once, rows - first)
        part = x[:, :, first * strides[0] : (first + count - 1) * strides[0] + reach]
        yield windows(part, kernel, strides, replace(target, shape=(target.shape[0], count, columns)), dilations)
