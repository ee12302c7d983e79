"""The layout of weights in the generated C: row by row, in few bits if they fit, or in blocks for vector units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.bits import bits_of
from niwaki.codegen.graph.program import Step

BLOCK = 16  # output channels of a block; 8 or 4 for a layer that has no more
GROUP = 4  # adjacent inputs: what one dot-product instruction takes


def blocks(count: int) -> list[int]:
    """The widths of the blocks that `count` output channels are divided into; the last one is padded.

    >>> blocks(120), blocks(6)
    ([16, 16, 16, 16, 16, 16, 16, 16], [8])
    """
    return [4 if count <= 4 else 8] if count <= 8 else [BLOCK] * -(-count // BLOCK)


def padded(count: int) -> int:
    """The number of output channels with the last block padded."""
    return sum(blocks(count))


def in_blocks(weights: np.ndarray) -> np.ndarray:
    """Weights (O, rows, row length) as [block][row][length / 4][channel][4], flat; padding is zero."""
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
    """Depthwise weights (C, KH, KW) as [tile of 16 channels][KW][KH / 4][channel][4], flat; padding is zero."""
    channels, rows, columns = weights.shape
    groups, tiles = -(-rows // GROUP), -(-channels // BLOCK)
    whole = np.zeros((tiles * BLOCK, groups * GROUP, columns), weights.dtype)
    whole[:channels, :rows] = weights
    return whole.reshape(tiles, BLOCK, groups, GROUP, columns).transpose(0, 4, 2, 1, 3).reshape(-1)


def by_taps(weights: np.ndarray) -> np.ndarray:
    """Depthwise weights (C, KH, KW) as [tile of 16 channels][KH][KW][channel], flat; padding is zero."""
    channels, rows, columns = weights.shape
    tiles = -(-channels // BLOCK)
    whole = np.zeros((tiles * BLOCK, rows * columns), weights.dtype)
    whole[:channels] = weights.reshape(channels, -1)
    return whole.reshape(tiles, BLOCK, -1).transpose(0, 2, 1).reshape(-1)


def fill(values: np.ndarray, filler: int = 0, *, to: int | None = None) -> np.ndarray:
    """One value for each output channel, padded to whole blocks (or to `to` values)."""
    result = np.full(to or padded(len(values)), filler, np.int64)
    result[: len(values)] = values
    return result


@dataclass(frozen=True, eq=False)
class Stored:
    """The weights of a step as plain C has them: int8, one weight each or, of 4 and 2 bits, two or four."""

    bits: int
    values: np.ndarray

    @property
    def suffix(self) -> str:
        """What the names of their kernels end in."""
        return "" if self.bits == 8 else f"_{self.bits}bit"


def stored(step: Step) -> Stored | None:
    """How plain C has the weights of a step: packed if that takes fewer bytes; None if the step has none."""
    if not step.weights:
        return None
    weights = step.arrays["weights"]
    bits = bits_of(weights)
    if step.weights == "depthwise":
        weights = weights.transpose(1, 2, 0)
    if bits < 8 and (packed := _packed(step, weights, bits)).size < weights.size:
        return Stored(bits, packed)
    return Stored(8, weights)


def _packed(step: Step, weights: np.ndarray, bits: int) -> np.ndarray:
    """As kernels/niwaki_packed.h reads them."""
    if step.weights == "depthwise":  # a row for each tap
        return in_bytes(_lanes(weights.reshape(-1, weights.shape[-1]), 8 // bits), bits)
    if step.kernel == "dense" or (step.kernel == "conv" and step.weights == "blocks"):
        return in_channels(weights.reshape(len(weights), -1), bits)
    return np.concatenate([in_channels(row[None], bits) for row in weights.reshape(-1, weights.shape[-1])])


def in_channels(weights: np.ndarray, bits: int) -> np.ndarray:
    """Weights (O, inputs) of 4 or 2 bits, packed in fours of channels, then two, then one; flat, int8."""
    count, per_byte, first, parts = len(weights), 8 // bits, 0, []
    for channels in (*[4] * (count // 4), *[2] * (count >> 1 & 1), *[1] * (count & 1)):
        some = weights[first : first + channels]
        at_once = min(channels, per_byte)
        for start in range(0, channels, at_once):
            parts.append(in_bytes(_strips(some[start : start + at_once], per_byte), bits))
        first += channels
    return np.concatenate(parts)


def _strips(rows: np.ndarray, per_byte: int) -> np.ndarray:
    """Lanes (bytes, per_byte) of rows (channels, inputs): each row is cut into as many strips as lanes allow."""
    channels, size = rows.shape
    strips = per_byte // channels
    length, left = divmod(size, strips)
    lanes = np.zeros((length + (left > 0), strips, channels), rows.dtype)
    lanes[:length] = rows[:, : strips * length].reshape(channels, strips, length).transpose(2, 1, 0)
    if left:
        lanes[length, :left] = rows[:, strips * length :].T
    return lanes.reshape(len(lanes), per_byte)


def _lanes(rows: np.ndarray, per_byte: int) -> np.ndarray:
    """Lanes (bytes, per_byte) of rows one after another, each filled up to whole bytes."""
    count, size = rows.shape
    whole = np.zeros((count, -(-size // per_byte) * per_byte), rows.dtype)
    whole[:, :size] = rows
    return whole.reshape(-1, per_byte)


def in_bytes(lanes: np.ndarray, bits: int) -> np.ndarray:
    """Values of so few bits (bytes, lanes) as bytes, the first in the highest bits; int8 as C has them."""
    mask = (1 << bits) - 1
    packed = np.zeros(len(lanes), np.uint8)
    for lane in range(lanes.shape[1]):
        packed |= (lanes[:, lane].astype(np.uint8) & mask) << (8 - bits * (lane + 1))
    return packed.view(np.int8)
