"""How few bits weights take, and the bytes that so many values are."""

from __future__ import annotations

import numpy as np
import pytest

from few_bits import of_few_bits
from niwaki.codegen.graph.bits import bits_of, packed_bytes
from niwaki.codegen.graph.reference import run
from random_graphs import Builder


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [
        (0, 0, 2), (-2, 1, 2), (-3, 0, 4), (0, 2, 4), (-8, 7, 4), (-9, 0, 8), (0, 8, 8), (-128, 127, 8),
    ],
)  # fmt: skip
def test_the_fewest_bits_that_hold_every_weight(low: int, high: int, bits: int) -> None:
    weights = np.zeros((3, 2, 2, 2), np.int8)
    weights[1, 0, 1, 1], weights[2, 1, 0, 0] = low, high
    assert bits_of(weights) == bits


def test_no_weights_take_the_fewest_bits() -> None:
    assert bits_of(np.zeros((0, 3), np.int8)) == 2


@pytest.mark.parametrize(("count", "bits", "size"), [(0, 4, 0), (1, 2, 1), (5, 2, 2), (8, 2, 2), (3, 4, 2), (3, 8, 3)])
def test_the_last_byte_is_filled_up(count: int, bits: int, size: int) -> None:
    assert packed_bytes(count, bits) == size


def test_a_graph_counts_its_weights_in_their_bits() -> None:
    builder = Builder((1, 6, 6), 0)
    builder.conv(3, (5, 5))
    builder.dense(7)
    graph = builder.graph()
    assert graph.weight_bytes == 3 * 25 + 7 * 12
    assert of_few_bits(graph, 4).weight_bytes == 38 + 7 * 12  # 75 weights of 4 bits
    assert of_few_bits(graph, 2).weight_bytes == 19 + 7 * 12


def test_the_arithmetic_knows_nothing_of_bits() -> None:
    """Halved weights with a scale twice as large are the same numbers."""
    builder = Builder((4,), 0)
    builder.dense(3)
    graph = builder.graph()
    layer = graph.layers[0]
    layer.weights[:] = layer.weights // 16 * 16
    layer.bias[:] = 0
    builder.requantize()  # so that the dense layer is not the last one
    graph = builder.graph()
    inputs = np.random.default_rng(0).integers(-128, 128, (20, 4)).astype(np.int8)
    few = of_few_bits(graph, 4)
    assert (bits_of(few.layers[0].weights), bits_of(layer.weights)) == (4, 8)
    np.testing.assert_array_equal(run(few, inputs), run(graph, inputs))
