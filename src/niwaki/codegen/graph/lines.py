"""Tables of 256 entries for each channel that differ by a factor and an offset: one function, and two numbers each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.graph import Pair, Tensor

_BITS = 30  # of the function's largest number
_UP = 2.0**-20  # of a step: an exact tie, which goes up, stays one after numbers are rounded
_MOST_SHIFT, _LEAST_SHIFT = 62, 17


@dataclass(frozen=True, eq=False)
class Lines:
    """`table[c][q + 128] = clamp(zo + (numbers[q + 128]*factor[c] + (offset[c] << offset_shift) + half >> shift))`."""

    numbers: np.ndarray  # int32 (256,)
    factor: np.ndarray  # int32 (C,)
    offset: np.ndarray  # int32 (C,)
    shift: int
    offset_shift: int
    zero: int
    clamp: Pair

    def entries(self, numbers: np.ndarray) -> np.ndarray:
        """What each channel has for some numbers of the function: int8 (C, numbers)."""
        offset = self.offset.astype(np.int64)[:, None] << self.offset_shift
        sums = numbers.astype(np.int64) * self.factor.astype(np.int64)[:, None] + offset
        rounded = (sums + (1 << self.shift - 1)) >> self.shift
        clamped: np.ndarray = np.clip(rounded + self.zero, *self.clamp).astype(np.int8)
        return clamped


def lines_of(values: np.ndarray, table: np.ndarray, output: Tensor, clamp: Pair) -> Lines | None:
    """The lines that give every entry of `table`, int8 (C, 256), of which `values`, float64, are the exact numbers.

    None if there are none.
    """
    if not np.isfinite(values).all() or not (np.ptp(values, axis=1) > 0).any():
        return None
    steps = values / output.scale
    row = steps[np.ptp(steps, axis=1).argmax()]
    low, high = row.argmin(), row.argmax()
    factors = (steps[:, high] - steps[:, low]) / (row[high] - row[low])
    offsets = steps[:, low] - factors * row[low]
    unit = np.abs(row).max() / (1 << _BITS)
    of_offset = math.frexp(max(np.abs(offsets).max(), 1.0))[1]  # offsets are below 2 to the power of this
    shift = min(31 - math.frexp(np.abs(factors).max() * unit)[1], 61 - of_offset, _MOST_SHIFT)
    if shift < _LEAST_SHIFT:
        return None
    finest = min(30 - of_offset, shift)
    found = Lines(
        np.rint(row / unit).astype(np.int32), np.rint(factors * unit * 2.0**shift).clip(max=2**31 - 1).astype(np.int32),
        np.rint((offsets + _UP) * 2.0**finest).astype(np.int32), shift, shift - finest, output.zero_point, clamp,
    )  # fmt: skip
    return _exact(found, table)


def _exact(lines: Lines, table: np.ndarray) -> Lines | None:
    """The lines, with other numbers for entries so close to a tie that a channel rounds to its other side."""
    for entry in np.flatnonzero((lines.entries(lines.numbers) != table).any(0)):
        near = lines.numbers[entry] + np.array([sign << bit for bit in range(12) for sign in (1, -1)], np.int32)
        fits = (lines.entries(near) == table[:, entry, None]).all(0)
        if not fits.any():
            return None
        lines.numbers[entry] = near[fits.argmax()]
    return lines
