"""How weights lie in the generated C: row by row, or in blocks of output channels for vector units."""

from __future__ import annotations

import numpy as np

BLOCK = 16  # output channels of a block; of a layer with up to 8 or 4, so many
GROUP = 4  # inputs side by side: what one dot-product instruction takes


def blocks(count: int) -> list[int]:
    """The widths of the blocks that `count` output channels are cut into; what is missing of the last is filled up.

    >>> blocks(120), blocks(6)
    ([16, 16, 16, 16, 16, 16, 16, 16], [8])
    """
    return [4 if count <= 4 else 8] if count <= 8 else [BLOCK] * -(-count // BLOCK)


def padded(count: int) -> int:
    """Output channels with the last block filled up."""
    return sum(blocks(count))


def in_blocks(weights: np.ndarray) -> np.ndarray:
    """Weights (O, rows, row length) as [block][row][length / 4][channel][4], flat; what is added is zero."""
    count, rows, length = weights.shape
    groups = -(-length // GROUP)
    whole = np.zeros((padded(count), rows, groups * GROUP), weights.dtype)
    whole[:count, :, :length] = weights
    parts, first = [], 0
    for width in blocks(count):
        part = whole[first : first + width].reshape(width, rows, groups, GROUP)
        parts.append(part.transpose(1, 2, 0, 3).reshape(-1))
        first += width
    return np.concatenate(parts)


def in_tiles(weights: np.ndarray) -> np.ndarray:
    """Depthwise weights (C, KH, KW) as [tile of 16 channels][KW][KH / 4][channel][4], flat; what is added is zero."""
    channels, rows, columns = weights.shape
    groups, tiles = -(-rows // GROUP), -(-channels // BLOCK)
    whole = np.zeros((tiles * BLOCK, groups * GROUP, columns), weights.dtype)
    whole[:channels, :rows] = weights
    return whole.reshape(tiles, BLOCK, groups, GROUP, columns).transpose(0, 4, 2, 1, 3).reshape(-1)


def fill(values: np.ndarray, filler: int = 0, *, to: int | None = None) -> np.ndarray:
    """One value for each output channel, filled up to whole blocks (or `to` so many)."""
    result = np.full(to or padded(len(values)), filler, np.int64)
    result[: len(values)] = values
    return result
