"""The bits that the weights of a layer need: their values decide, not their type, and the arithmetic stays the same."""

from __future__ import annotations

import numpy as np

BITS = (2, 4, 8)


def bits_of(weights: np.ndarray) -> int:
    """The fewest of 2, 4 and 8 bits, two's complement, into which all int8 `weights` fit.

    >>> bits_of(np.array([-2, 1])), bits_of(np.array([-2, 2])), bits_of(np.array([-8, 7])), bits_of(np.array([8]))
    (2, 4, 4, 8)
    """
    low, high = (int(weights.min()), int(weights.max())) if weights.size else (0, 0)
    return next(bits for bits in BITS if -(1 << bits - 1) <= low and high < 1 << bits - 1)


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of `count` values stored one after another, with the last byte padded.

    >>> packed_bytes(25, 4), packed_bytes(25, 2), packed_bytes(25, 8)
    (13, 7, 25)
    """
    return -(-count * bits // 8)
