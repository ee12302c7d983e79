"""From the garment's pixels to the network's input, made the way Fashion-MNIST's images were made.

There, a photograph on a light background was trimmed, its longest side scaled to 28 pixels, centred and negated: far
from the background is bright (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747, section 2). Part of the reference:
NumPy, integers only.
"""

from __future__ import annotations

import numpy as np

from niwaki.vision.background import Array, divide

BRIGHT = 95  # percent of the garment's pixels are not brighter than white


def draw(away: Array, inner: tuple[int, int], floor: int) -> Array:
    """The picture, uint8 `inner`, from distances from the background, int64 (height, width) in 16ths."""
    return stretch(place(shrink(away, inner), inner), floor)


def shrink(values: Array, inner: tuple[int, int]) -> Array:
    """Averages over equal areas, rounded, so that the longest side fills the picture."""
    height, width = values.shape
    rows, columns = inner
    if width * rows >= height * columns:
        rows = max(1, divide(height * columns, width))
    else:
        columns = max(1, divide(width * rows, height))
    sums = overlaps(height, rows) @ values @ overlaps(width, columns).T
    return np.asarray((2 * sums + height * width) // (2 * height * width))


def overlaps(source: int, target: int) -> Array:
    """How much of each source pixel falls into each target pixel: int64 (target, source), rows sum to `source`."""
    begin = np.arange(target)[:, None] * source
    place_of = np.arange(source)[None] * target
    return np.asarray((np.minimum(begin + source, place_of + target) - np.maximum(begin, place_of)).clip(0))


def place(values: Array, inner: tuple[int, int]) -> Array:
    """The values centred in zeros."""
    out = np.zeros(inner, np.int64)
    top, left = (inner[0] - values.shape[0]) // 2, (inner[1] - values.shape[1]) // 2
    out[top : top + values.shape[0], left : left + values.shape[1]] = values
    return out


def stretch(values: Array, floor: int) -> Array:
    """Grey levels, uint8: values up to the floor become 0, the bright parts 255."""
    seen = np.sort(values[values > floor])
    if not len(seen):
        return np.zeros(values.shape, np.uint8)
    white = int(seen[(len(seen) - 1) * BRIGHT // 100])
    return np.where(values > floor, ((510 * values + white) // (2 * white)).clip(0, 255), 0).astype(np.uint8)
