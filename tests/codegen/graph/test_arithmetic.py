from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.codegen.graph.arithmetic import (
    Rescale,
    common_rescale_of,
    requantize,
    rescale_of,
    rescaled,
    round_off,
    rounded_twice,
)
from niwaki.errors import ModelError

positive = st.fractions(min_value=Fraction(1, 1 << 32), max_value=(1 << 30) - 1)
scales = st.floats(min_value=2.0**-149, max_value=2.0**127, width=32).map(Fraction)


def expected(value: int, multiplier: int, shift: int, zero_point: int, low: int = -128, high: int = 127) -> int:
    """In Python's unbounded integers: the nearest integer to value * multiplier / 2**shift, halves up."""
    return min(max((2 * value * multiplier + 2**shift) // 2 ** (shift + 1) + zero_point, low), high)


@pytest.mark.parametrize(
    ("value", "rounded"), [(5, 3), (3, 2), (1, 1), (0, 0), (-1, 0), (-3, -1), (-5, -2), (300, 127), (-300, -128)]
)
def test_halves_go_up_and_ends_saturate(value, rounded):
    half = rescale_of([Fraction(1, 2)], "layer")
    assert requantize(np.array([value]), half.multiplier, half.shift, 0).tolist() == [rounded]


def test_the_zero_point_is_added_after_rounding_and_before_clamping():
    half = rescale_of([Fraction(1, 2)], "layer")
    values = np.array([-7, -1, 1, 9])
    assert requantize(values, half.multiplier, half.shift, 10, 8, 14).tolist() == [8, 10, 11, 14]


def test_extreme_values():
    ends = [0, 1, -1, 127, -128, 1 << 30, -(1 << 30), (1 << 31) - 1, -(1 << 31)]
    multipliers = [0, 1, 1 << 30, (1 << 30) + 1, (1 << 31) - 1]
    cases = list(product(ends, multipliers, range(1, 63)))
    values, factors, shifts = (np.array(column) for column in zip(*cases, strict=True))
    for zero_point in (-128, 0, 127):
        found = requantize(values, factors, shifts, zero_point)
        assert found.tolist() == [expected(*case, zero_point) for case in cases]


def test_ten_million_random_values_against_python_integers():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        shift, multiplier = int(rng.integers(1, 63)), int(rng.integers(1 << 30, 1 << 31))
        bits = rng.integers(1, 32, 10_000)  # as many small values as large ones
        values = rng.integers(-(1 << bits), 1 << bits)
        zero_point = int(rng.integers(-128, 128))
        unbounded = values.astype(object)  # Python's integers
        nearest = (unbounded * (2 * multiplier) + (1 << shift)) >> (shift + 1)
        right = np.clip(nearest.astype(np.int64) + zero_point, -128, 127)
        found = requantize(values, np.array([multiplier]), np.array([shift]), zero_point)
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("value", [(1 << 31) + 1, -(1 << 31) - 1])
def test_more_than_32_bits_are_refused(value):
    with pytest.raises(OverflowError, match="^an accumulator left 32 bits$"):
        requantize(np.array([value]), np.array([1 << 30]), np.array([31]), 0)


def test_round_off_takes_products_as_they_are():
    found = round_off(np.array([-6, 6, 5, 1 << 61]), np.array([2]), 1)
    assert (found.tolist(), found.dtype) == ([0, 3, 2, 127], np.int8)


@given(positive)
def test_a_factor_is_kept_to_31_bits(factor):
    rescale = rescale_of([factor], "layer")
    multiplier, shift = int(rescale.multiplier[0]), int(rescale.shift[0])
    assert 1 << 30 <= multiplier < 1 << 31
    assert 1 <= shift <= 62
    assert abs(Fraction(multiplier, 1 << shift) / factor - 1) <= Fraction(1, 1 << 31)


@given(scales, scales, scales)
def test_ratios_of_any_float32_scales(source, weight, target):
    factor = source * weight / target
    if factor >= (1 << 30) - 1:
        return
    rescale = rescale_of([factor], "layer")
    multiplier, shift = int(rescale.multiplier[0]), int(rescale.shift[0])
    assert 0 <= multiplier < 1 << 31
    assert 1 <= shift <= 62
    assert shift == 62 or multiplier >= 1 << 30
    assert abs(Fraction(multiplier, 1 << shift) - factor) <= max(factor / (1 << 31), Fraction(1, 1 << 63))


@given(st.lists(positive, min_size=2, max_size=3))
def test_a_common_shift_is_that_of_the_largest_factor(factors):
    alone, common = rescale_of([max(factors)], "layer"), common_rescale_of(factors, "layer")
    assert common.shift.tolist() == [alone.shift[0]] * len(factors)
    assert int(common.multiplier.max()) == alone.multiplier[0]
    for factor, multiplier, shift in zip(factors, common.multiplier, common.shift, strict=True):
        assert abs(Fraction(int(multiplier), 1 << int(shift)) - factor) <= Fraction(1, 2 << int(shift))


def test_known_factors():
    rescale = rescale_of([Fraction(1), Fraction(1, 2), Fraction(3, 8), Fraction(1, 1 << 40)], "layer")
    assert rescale.multiplier.tolist() == [1 << 30, 1 << 30, 3 << 29, 1 << 22]
    assert rescale.shift.tolist() == [30, 31, 32, 62]


@pytest.mark.parametrize("shift", [30, 61])
def test_a_factor_that_is_rounded_up_to_a_power_of_two_has_its_multiplier_and_shift(shift):
    rescale = rescale_of([(1 - Fraction(1, 1 << 40)) * (1 << 30) / (1 << shift)], "layer")
    assert (rescale.multiplier.tolist(), rescale.shift.tolist()) == ([1 << 30], [shift])


@pytest.mark.parametrize("factor", [Fraction(0), Fraction(-1, 3)])
def test_a_factor_that_is_not_positive(factor):
    with pytest.raises(ModelError, match="conv1: a scale ratio is .* above zero"):
        rescale_of([Fraction(1), factor], "conv1")
    with pytest.raises(ModelError, match="add1: a scale ratio is .* above zero"):
        common_rescale_of([Fraction(1), factor], "add1")


@pytest.mark.parametrize("factor", [Fraction(1 << 30), (1 << 30) - Fraction(1, 1000)])
@pytest.mark.parametrize("rescale", [rescale_of, common_rescale_of])
def test_a_factor_that_is_too_large(rescale, factor):
    with pytest.raises(ModelError) as error:
        rescale([factor], "conv1")
    assert str(error.value) == ("conv1: the scale ratio 1.07374e+09 is too large for 32-bit arithmetic: requantize it")


def in_two_steps(value: int, multiplier: int, shift: int) -> int:
    """In Python's integers: the upper half of the doubled product, ties up; the rest, ties away from zero."""
    first = (value * multiplier + (1 << 30)) >> 31
    rest = shift - 31
    return first if rest == 0 else (1 if first > 0 else -1) * ((abs(first) + (1 << rest - 1)) >> rest)


@given(
    st.integers(-(1 << 31) + 1, (1 << 31) - 1).map(lambda value: value >> value % 29),
    st.integers(1 << 30, (1 << 31) - 1),
    st.integers(31, 62),
)
def test_two_roundings_are_those_of_tensorflow_lite(value, multiplier, shift):
    rescale = Rescale(np.array([multiplier]), np.array([shift]), twice=True)
    right = in_two_steps(value, multiplier, shift)
    assert rounded_twice(np.array([value]), rescale).tolist() == [right]
    assert rescaled(np.array([value]), rescale, 5).tolist() == [min(max(right + 5, -128), 127)]


@pytest.mark.parametrize(("halves", "once", "twice"), [(-1, 0, -1), (-3, -1, -2), (3, 2, 2), (1, 1, 1), (-6, -3, -3)])
def test_ties_of_negative_numbers_go_down_in_the_second_step(halves, once, twice):
    """-1.5 is -1 with ties up, and -2 with ties away from zero."""
    quarter = Rescale(np.array([1 << 30]), np.array([32]))
    assert rescaled(np.array([2 * halves]), quarter, 0).tolist() == [once]
    assert rescaled(np.array([2 * halves]), replace(quarter, twice=True), 0).tolist() == [twice]
