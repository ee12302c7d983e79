"""Factors and tables as TensorFlow Lite computes them, at numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.readers.qdq_functions import Step
from niwaki.codegen.readers.twice_tables import rescale_twice, single_ratio, table_of
from niwaki.errors import ModelError


@pytest.mark.parametrize(
    ("factor", "multiplier", "shift"),
    [
        (0.6, 1_288_490_189, 31),  # 0.6 * 2**31 is …188.8
        (0.5, 1 << 30, 31),
        (1 - 2**-33, 1 << 30, 30),  # rounds to 2**31, one bit too many
        (3.0, 3 << 29, 29),
    ],
)
def test_a_factor_as_integers(factor: float, multiplier: int, shift: int) -> None:
    rescale = rescale_twice([factor], "a")
    assert (rescale.multiplier.tolist(), rescale.shift.tolist(), rescale.twice) == ([multiplier], [shift], True)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan, 1e-12, 2.0**31])
def test_a_factor_that_has_no_integers(factor: float) -> None:
    with pytest.raises(ModelError, match=r"^a: the scale ratio .* is beyond 32-bit arithmetic: requantize it$"):
        rescale_twice([factor], "a")


def test_some_ratios_are_float32() -> None:
    assert single_ratio(0.1, 0.3) == float(np.float32(0.1) / np.float32(0.3)) != 0.1 / 0.3


def table(kind: str, source: tuple[float, int], output: tuple[float, int], **given: float) -> list[int]:
    found = table_of(Step(kind, given), Tensor("x", (1,), *source), Tensor("y", (1,), *output), "a")
    assert found is not None
    return [int(number) for number in found[0]]


def test_entries_by_hand() -> None:
    sigmoid = table("Sigmoid", (0.0625, 0), (1 / 256, -128))
    assert [sigmoid[128 + step] for step in (0, 16, -16)] == [0, 59, -59]  # 256 / (1 + 1/e) = 187.15
    tanh = table("Tanh", (0.0625, 0), (1 / 128, 0))
    assert [tanh[128 + step] for step in (0, 16, -16)] == [0, 97, -97]  # 128 tanh(1) = 97.48
    leaky = table("LeakyRelu", (0.5, 0), (0.5, 0), alpha=0.25)
    assert [leaky[128 + step] for step in (7, -1, -2, -3, -6)] == [7, 0, -1, -1, -2]  # halves away from zero
    swish = table("HardSwish", (0.125, 0), (0.125, 0))
    assert [swish[128 + step] for step in (40, 24, 0, -24, -40)] == [40, 24, 0, 0, 0]


def test_another_function_has_no_kernel() -> None:
    assert table_of(Step("Erf"), Tensor("x", (1,), 0.1, 0), Tensor("y", (1,), 0.1, 0), "a") is None


def test_slopes_that_are_not_quantized() -> None:
    with pytest.raises(ModelError, match=r"^a: slopes with one scale are supported$"):
        table_of(Step("PRelu"), Tensor("x", (1,), 0.1, 0), Tensor("y", (1,), 0.1, 0), "a")
