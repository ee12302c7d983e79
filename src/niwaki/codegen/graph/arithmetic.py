"""The integer arithmetic of the contract: multipliers from exact fractions, one rounding, saturation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from niwaki.errors import ModelError

LOW, HIGH = -128, 127
MAX_SHIFT = 62
Ties = Literal["up", "even", "early", "late"]
"""Where a step ends: at a half, which goes up, as the C has it; or to even numbers, as ONNX Runtime rounds; or a NEARth
of a step before or after the half, the furthest that float arithmetic moves it. The others only tell ties from faults.
"""
NEAR = 1024


@dataclass(frozen=True, eq=False)
class Rescale:
    """A real factor for each channel as integers: `(value * multiplier + 2**(shift - 1)) >> shift`.

    `multiplier` and `shift` are int64 of one shape: (channels,), or (1,) for a whole tensor. With `twice`, a shift
    beyond 31 rounds in two steps, as TensorFlow Lite does: first by 31 bits (ties up), then by the rest (ties away from
    zero).
    """

    multiplier: np.ndarray
    shift: np.ndarray
    twice: bool = False
    ties: Ties = "up"

    def along_first_of(self, axes: int) -> Rescale:
        """The same factors, to broadcast against values with so many axes whose first are the channels."""
        shape = (-1,) + (1,) * (axes - 1)
        return Rescale(self.multiplier.reshape(shape), self.shift.reshape(shape), self.twice, self.ties)


def rescale_of(factors: Sequence[Fraction], name: str) -> Rescale:
    """The integers nearest to exact, positive `factors`.

    A multiplier is in [2**30, 2**31), and below that only if the shift would exceed 62. Raises ModelError naming `name`
    if a factor is too large (2**30 or more) or not positive.
    """
    pairs = [_multiplier_and_shift(factor, name) for factor in factors]
    return Rescale(np.array([m for m, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64))


def common_rescale_of(factors: Sequence[Fraction], name: str) -> Rescale:
    """Like `rescale_of`, with one shift for all (a sum of tensors is rounded once): that of the largest factor."""
    _, shift = _multiplier_and_shift(max(factors), name)
    multipliers = []
    for factor in factors:
        if factor <= 0:
            raise ModelError(f"{name}: a scale ratio is {float(factor):g}: scales must be above zero")
        multipliers.append(_round(factor * (1 << shift)))
    return Rescale(np.array(multipliers, np.int64), np.full(len(multipliers), shift, np.int64))


def _multiplier_and_shift(factor: Fraction, name: str) -> tuple[int, int]:
    if factor <= 0:
        raise ModelError(f"{name}: a scale ratio is {float(factor):g}: scales must be above zero")
    # factor is in [2**exponent, 2**(exponent + 1))
    exponent = factor.numerator.bit_length() - factor.denominator.bit_length()
    if Fraction(2) ** exponent > factor:
        exponent -= 1
    shift = 30 - exponent
    if shift > MAX_SHIFT:
        return _round(factor * (1 << MAX_SHIFT)), MAX_SHIFT
    multiplier = _round(factor * Fraction(2) ** shift)
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift - 1
    if shift < 1:
        raise ModelError(f"{name}: the scale ratio {float(factor):g} is too large for 32-bit arithmetic: requantize it")
    return multiplier, shift


def _round(value: Fraction) -> int:
    """The nearest integer, halves up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def requantize(
    values: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, zero_point: int, low: int = LOW, high: int = HIGH
) -> np.ndarray:
    """`values` (int64, within 32 bits) scaled, rounded once (ties up), shifted to `zero_point` and clamped, as int8.

    `multiplier` and `shift` broadcast against `values`. Raises OverflowError if a product could leave 64 bits.
    """
    if values.size and max(-int(values.min()), int(values.max())) > 1 << 31:
        raise OverflowError("an accumulator left 32 bits")
    return round_off(values.astype(np.int64) * multiplier.astype(np.int64), shift, zero_point, low, high)


def rescaled(values: np.ndarray, rescale: Rescale, zero_point: int, low: int = LOW, high: int = HIGH) -> np.ndarray:
    """`requantize` by a `Rescale`, whose factors broadcast against `values`, in one rounding or in two."""
    if rescale.ties != "up":
        products = values.astype(np.int64) * rescale.multiplier
        return round_off(products, rescale.shift, zero_point, low, high, ties=rescale.ties)
    if not rescale.twice:
        return requantize(values, rescale.multiplier, rescale.shift, zero_point, low, high)
    clamped: np.ndarray = np.clip(rounded_twice(values, rescale) + zero_point, low, high)
    return clamped.astype(np.int8)


def rounded_twice(values: np.ndarray, rescale: Rescale) -> np.ndarray:
    """`values` (int64, within 32 bits) times the factors, rounded in two steps: int64.

    Two roundings are one with another half: the first adds 2**30 before 31 bits are dropped, and the second takes one
    unit less for negative numbers.
    """
    products, shift = values.astype(np.int64) * rescale.multiplier, rescale.shift
    more = np.where(products < 0, -(1 << 30), 1 << 30)
    half = (np.int64(1) << (shift - 1)) + np.where(shift > 31, more, 0)
    rounded: np.ndarray = (products + half) >> shift
    return rounded


def round_off(
    products: np.ndarray, shift: np.ndarray, zero_point: int, low: int = LOW, high: int = HIGH, *, ties: Ties = "up"
) -> np.ndarray:
    """`products` (int64, within ±2**62) divided by 2**`shift`, shifted to `zero_point`, clamped, as int8."""
    shift = shift.astype(np.int64)
    moved = products + (np.int64(1) << (shift - 1))
    if ties in ("early", "late"):
        moved += ((np.int64(1) << shift) // NEAR) * (1 if ties == "early" else -1)
    rounded = moved >> shift
    if ties == "even":
        rounded -= ((moved & ((np.int64(1) << shift) - 1)) == 0) & (rounded & 1 == 1)
    clamped: np.ndarray = np.clip(rounded + zero_point, low, high)
    return clamped.astype(np.int8)
