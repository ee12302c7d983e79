"""Tables that are one function with factors and offsets: the same entries in fewer bytes, or none."""

from __future__ import annotations

import math

import numpy as np

from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.graph.lines import Lines, lines_of

STEPS = np.arange(-128, 128).astype(float)


def table_of(values: np.ndarray, output: Tensor) -> np.ndarray:
    """To the nearest, ties up, as the contract has it."""
    return np.array([
        [min(max(math.floor(value / output.scale + 0.5) + output.zero_point, -128), 127) for value in row]
        for row in values.tolist()
    ], np.int8)  # fmt: skip


def found(values: np.ndarray, scale: float = 1.0, zero_point: int = 0) -> Lines | None:
    """The lines, whose entries are those of the table."""
    output = Tensor("out", (len(values), 2, 2), scale, zero_point)
    lines = lines_of(values, table_of(values, output), output, (-128, 127))
    if lines is not None:
        np.testing.assert_array_equal(lines.entries(lines.numbers), table_of(values, output))
    return lines


def test_a_function_with_factors_and_offsets_takes_two_numbers_for_each_channel() -> None:
    rng = np.random.default_rng(0)
    curve = np.array([x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in (STEPS - 20) * 0.03])
    for zero_point in (-128, 5):
        values = rng.normal(0, 1, (40, 1)) * curve + rng.normal(0, 1, (40, 1))
        lines = found(values, float(np.float32(np.ptp(values) / 255)), zero_point)
        assert lines is not None
        assert [part.shape for part in (lines.numbers, lines.factor, lines.offset)] == [(256,), (40,), (40,)]


def test_ties_go_up() -> None:
    """Every second value lies between two steps."""
    values = np.array([1, -1, 0, 3])[:, None] * STEPS / 2 + np.array([0, 0.5, 7.5, -0.25])[:, None]
    assert found(values) is not None


def test_what_lies_just_below_a_tie_does_not_go_up() -> None:
    values = np.abs(STEPS)[None] / 3 + np.zeros((9, 1))
    values[:, 200] = 71.5 - 2.0**-21
    assert found(values) is not None


def test_two_channels_of_which_one_alone_goes_up() -> None:
    values = np.abs(STEPS)[None] / 3 + np.zeros((9, 1))
    values[:, 200] = 71.5
    assert found(values - np.arange(9)[:, None] * 2.0**-9) is not None
    assert found(values - np.arange(9)[:, None] * 2.0**-23) is None


def test_what_is_no_line_of_one_function_or_has_no_number() -> None:
    slopes = np.linspace(0.1, 0.9, 9)[:, None]
    assert found(np.where(STEPS > 0, STEPS, slopes * STEPS)) is None
    assert found(np.full((9, 256), 3.0)) is None
    with np.errstate(invalid="ignore"):
        none = np.sqrt(slopes * STEPS)
    output = Tensor("out", (9, 1, 1), 1.0, 0)
    assert lines_of(none, np.zeros((9, 256), np.int8), output, (-128, 127)) is None
    assert found(slopes * STEPS * 1e20) is None
