"""Element-wise functions become tables, whatever their nodes; with two tensors, one kernel for all shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from bundled import need_tool
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.operators.functions import Divide, Lookup, Pairwise
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.emit.generate import generate
from niwaki.models.onnxfile import ROUNDING
from qdq_models import Qdq, kinds, read, runtime_scores, start
from random_graphs import compile_together, run_c

F = np.float32
ALONE: list[tuple[str, dict[str, object], int]] = [
    ("Abs", {}, 13), ("Celu", {"alpha": 0.7}, 13), ("Elu", {"alpha": 0.8}, 13), ("Erf", {}, 13), ("Exp", {}, 13),
    ("Floor", {}, 13), ("Gelu", {}, 20), ("Gelu", {"approximate": "tanh"}, 20), ("HardSigmoid", {}, 13),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 13), ("HardSwish", {}, 14), ("LeakyRelu", {"alpha": 0.2}, 13),
    ("Log", {}, 13), ("Mish", {}, 18), ("Neg", {}, 13), ("Reciprocal", {}, 13), ("Selu", {}, 13), ("Sigmoid", {}, 13),
    ("Sign", {}, 13), ("Softplus", {}, 13), ("Softsign", {}, 13), ("Sqrt", {}, 13), ("Tanh", {}, 13),
    ("ThresholdedRelu", {"alpha": 0.4}, 13),
]  # fmt: skip


def check(model: Qdq, output: str, graph: Graph, share: float = 0.97) -> None:
    """ONNX Runtime gives the same, except for ties, for inputs where the function has a number."""
    low = -128 if graph.tensors[graph.input].zero_point > -128 else -127
    shape = graph.tensors[graph.input].shape
    inputs = np.random.default_rng(0).integers(low, 128, (20, *shape)).astype(np.int8)
    found, expected = reference.run(graph, inputs), runtime_scores(model.build(output), graph, inputs)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() >= share
    assert len(np.unique(found)) > 2


@pytest.mark.parametrize(("kind", "attributes", "opset"), ALONE)
def test_every_function_is_a_table(kind: str, attributes: dict[str, object], opset: int) -> None:
    positive = kind in ("Log", "Sqrt", "Reciprocal")
    model, x = start(scale=0.0237, zero_point=-128 if positive else 7, opset=opset)
    y = model.qdq(model.node(kind, [x], **attributes), 0.0371, -5)
    graph = read(model, y)
    assert kinds(graph) == ["Lookup"]
    check(model, y, graph)


def test_a_number_that_a_function_does_not_have_is_zero() -> None:
    model, x = start(1, 1, 1, scale=1.0)
    graph = read(model, model.qdq(model.node("Sqrt", [x]), 1, 3))
    layer = graph.layers[0]
    assert isinstance(layer, Lookup)
    assert layer.table[0, 100:].tolist()[:30] == [3] * 29 + [4]


def test_tables_along_two_axes_stay_two() -> None:
    model, y = start(2, 3, 4)
    for sides in ((2, 1, 1), (1, 1, 4)):
        slopes = model.constant(np.linspace(0.2, 0.8, max(sides)).astype(F).reshape(sides))
        y = model.qdq(model.node("PRelu", [y, slopes]), 0.4, 3)
    graph = read(model, y)
    assert kinds(graph) == ["Lookup", "Lookup"]
    check(model, y, graph, 0.9)


def silu(m: Qdq, x: str) -> str:
    return m.node("Mul", [x, m.node("Sigmoid", [x])])


def gelu(m: Qdq, x: str) -> str:
    """As torch's exporter writes it."""
    erf = m.node("Erf", [m.node("Div", [x, m.constant(F(math.sqrt(2)))])])
    return m.node("Mul", [m.node("Mul", [x, m.node("Add", [erf, m.constant(F(1))])]), m.constant(F(0.5))])


def tanh_gelu(m: Qdq, x: str) -> str:
    cube = m.node("Mul", [m.node("Pow", [x, m.constant(F(3))]), m.constant(F(0.044715))])
    inner = m.node("Mul", [m.node("Add", [x, cube]), m.constant(F(math.sqrt(2 / math.pi)))])
    half = m.node("Mul", [x, m.constant(F(0.5))])
    return m.node("Mul", [half, m.node("Add", [m.node("Tanh", [inner]), m.constant(F(1))])])


def hard_swish(m: Qdq, x: str) -> str:
    clipped = m.node("Clip", [m.node("Add", [x, m.constant(F(3))]), m.constant(F(0)), m.constant(F(6))])
    return m.node("Div", [m.node("Mul", [x, clipped]), m.constant(F(6))])


def mish(m: Qdq, x: str) -> str:
    return m.node("Mul", [x, m.node("Tanh", [m.node("Softplus", [x])])])


def quick_gelu(m: Qdq, x: str) -> str:
    return m.node("Mul", [m.node("Sigmoid", [m.node("Mul", [x, m.constant(F(1.702))])]), x])


def squared_relu(m: Qdq, x: str) -> str:
    relu = m.node("Relu", [x])
    return m.node("Mul", [relu, relu])


def reversed_line(m: Qdq, x: str) -> str:
    return m.node("Max", [m.node("Sub", [m.constant(F(1)), x]), m.constant(F(-0.25))])


def channels(m: Qdq, x: str) -> str:
    slopes = m.constant(np.array([0.3, -0.2], F).reshape(2, 1, 1))
    return m.node("Sigmoid", [m.node("PRelu", [x, slopes])])


def subsampled(m: Qdq, x: str) -> str:
    """A factor, then a bias for each channel, as LeNet-5's pooling has them before its activation."""
    factors, bias = (m.constant(np.array(n, F).reshape(2, 1, 1)) for n in ([0.7, -0.4], [0.1, -0.3]))
    return m.node("Tanh", [m.node("Add", [m.node("Mul", [m.node("Tanh", [x]), factors]), bias])])


@pytest.mark.parametrize(
    "make", [silu, gelu, tanh_gelu, hard_swish, mish, quick_gelu, squared_relu, reversed_line, channels]
)
@pytest.mark.parametrize("around_each", [False, True])
def test_nodes_of_one_tensor_are_one_table(make: object, around_each: bool) -> None:
    """Without quantizers in between exactly; with a quantizer after each node, with the bits of these."""
    model, x = start(scale=0.0371, zero_point=11)
    y = make(_Around(model) if around_each else model, x)  # type: ignore[operator]
    y = y if around_each else model.qdq(y, 0.043, -20)
    graph = read(model, y)
    assert kinds(graph) == ["Lookup"]
    check(model, y, graph, 0.8 if around_each else 0.97)


def test_a_factor_and_a_bias_for_each_channel_are_in_the_table_of_their_activation() -> None:
    model, x = start(scale=0.0371, zero_point=11)
    y = model.qdq(subsampled(model, x), 0.013, -20)
    graph = read(model, y)
    assert kinds(graph) == ["Lookup"]
    check(model, y, graph, 0.97)


def test_batch_norm_after_gelu_takes_two_numbers_for_each_channel_not_a_table(tmp_path: Path) -> None:
    """As in ConvMixer; the reference computes with the tables, and the C gives the same bits."""
    need_tool("cc", "gcc libc6-dev")
    rng, count = np.random.default_rng(0), 24
    model, x = start(count, 3, 2, scale=0.0371, zero_point=11)
    parts = (rng.normal(1, 0.5, count), rng.normal(0, 1, count), rng.normal(0, 0.3, count), rng.uniform(0.05, 2, count))
    y = model.node("BatchNormalization", [gelu(model, x), *(model.constant(part.astype(F)) for part in parts)])
    y = model.qdq(y, 0.09, -20)
    graph = read(model, y)
    (layer,) = graph.layers
    assert isinstance(layer, Lookup)
    assert layer.table.shape == (count, 256)
    assert sum(part.plain for part in generate(graph).report.constants if part.layer) == 1024 + 8 * count
    check(model, y, graph, 0.97)
    inputs = rng.integers(-128, 128, (300, count, 3, 2)).astype(np.int8)
    library = compile_together([graph], tmp_path, ["-O1"])
    expected = reference.run(graph, inputs).reshape(len(inputs), -1)
    np.testing.assert_array_equal(run_c(library, 0, graph, inputs), expected)


class _Around:
    """A model that quantizes what each node gives."""

    def __init__(self, model: Qdq) -> None:
        self.model, self.constant = model, model.constant

    def node(self, kind: str, inputs: Sequence[str]) -> str:
        return self.model.qdq(self.model.node(kind, inputs), 0.0391, -9)


def test_a_line_for_each_channel_is_a_depthwise_convolution() -> None:
    """Batch norm that no layer absorbed, and (x - mean) / std; a negative factor and one of zero."""
    model, x = start(3, 4, 5, scale=0.031, zero_point=3)
    y = model.node("Sub", [x, model.constant(np.array([0.4, -0.5, 0.1], F).reshape(3, 1, 1))])
    y = model.qdq(model.node("Div", [y, model.constant(np.array([0.7, -1.3, 2.0], F).reshape(1, 3, 1, 1))]), 0.05, 2)
    constants = [np.array(part, F) for part in ([1.5, -0.7, 0.0], [0.1, 0.2, 0.3], [0.4, -0.2, 0.1], [0.9, 1.4, 2.0])]
    y = model.qdq(model.node("BatchNormalization", [y, *map(model.constant, constants)]), 0.06, -4)
    graph = read(model, y)
    assert kinds(graph) == ["Conv", "Conv"]
    check(model, y, graph)


def test_factors_of_a_convolution_right_before_it_are_absorbed() -> None:
    model, x = start(2, 4, 4, scale=0.05)
    bias = model.constant(np.array([0.3, -0.2, 0.1], F))
    weights = np.arange(-3, 3, dtype=np.int8).reshape(3, 2, 1, 1)
    y = model.conv(x, bias, weights, [0.25, 0.25, 0.5])
    y = model.node("Mul", [y, model.constant(np.array([0.5, -1.5, 0.0], F).reshape(3, 1, 1))])
    y = model.qdq(model.node("Sub", [model.constant(F(0.25)), y]), 0.07, 4)
    graph = read(model, y)
    assert kinds(graph) == ["Conv"]
    check(model, y, graph, 0.95)


SHAPES = [((3, 4, 5), (3, 4, 5)), ((3, 4, 5), (3, 1, 1)), ((3, 1, 1), (3, 4, 5)), ((3, 4, 5), (1, 4, 5)),
          ((3, 4, 1), (1, 4, 5)), ((3, 1, 5), (3, 4, 1)), ((3, 4, 5), (3, 4, 1))]  # fmt: skip


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize(("one", "other"), SHAPES)
def test_two_tensors(kind: str, one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Means over the axes that have one element stand for the second tensor."""
    model, x = start(3, 4, 5, scale=0.05, zero_point=9)
    sides = [_shrunk(model, x, one, 0.031, 5), _shrunk(model, x, other, 0.043, -3)]
    if kind == "Div":  # by numbers above zero
        sides[1] = model.qdq(model.node("Max", [sides[1], model.constant(F(0.2))]), 0.043, -128)
    y = model.qdq(model.node(kind, sides), 0.05, 7)
    graph = read(model, y)
    last = graph.layers[-1]
    assert isinstance(last, Divide if kind == "Div" else Pairwise) or (kind == "Add" and one == other)
    check(model, y, graph)


@pytest.mark.parametrize("scale", [0.05, 1e-7, 1e9])
def test_a_quotient_by_hand(scale: float) -> None:
    """Every pair of two int8 values, zero among the divisors; a ratio of any size."""
    model, x = start(2, 1, 1, scale=0.05, zero_point=9)
    parts = [model.node("Slice", [x, *(model.constant(np.array([n])) for n in (i, i + 1, 1))]) for i in (0, 1)]
    y = model.qdq(model.node("Div", [model.qdq(part, 0.05, 9) for part in parts]), scale, 7)
    graph = read(model, y)
    values = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)), -1).reshape(-1, 2)
    found = reference.run(graph, values.astype(np.int8).reshape(-1, 2, 1, 1)).reshape(-1)
    for (a, b), got in zip(values.tolist(), found.tolist(), strict=True):
        exact = Fraction(a - 9, b - 9) / Fraction(float(F(scale))) if b != 9 else Fraction((a > 9) - (a < 9)) * 10**12
        nearest = min(max(math.floor(exact + Fraction(1, 2)) + 7, -128), 127)
        near_a_tie = abs(exact - math.floor(exact) - Fraction(1, 2)) < Fraction(1, 10**6)
        assert got == nearest or (near_a_tie and abs(got - nearest) == 1)


def _shrunk(model: Qdq, x: str, shape: tuple[int, ...], scale: float, zero_point: int) -> str:
    """The tensor with the maximum of the axes that `shape` has one element of."""
    if shape[0] == 1:
        ones = np.array([[[[1]], [[-1]], [[1]]]], np.int8)
        x = model.qdq(model.conv(x, weights=ones, scale=0.5, name=f"to{shape}"), scale, zero_point)
    kernel = [whole if side == 1 else 1 for whole, side in zip((4, 5), shape[1:], strict=True)]
    x = model.node("MaxPool", [x], kernel_shape=kernel)
    return model.qdq(model.node("AveragePool", [x], kernel_shape=[1, 1]), scale, zero_point)


def test_a_product_along_the_last_axis_may_round_twice(tmp_path: Path) -> None:
    """It runs as a convolution, which then rounds twice in the C."""
    need_tool("cc", "gcc libc6-dev")
    rng = np.random.default_rng(0)
    model, x = start(4, 4, 8)
    weights = model.weights(rng.integers(-127, 128, (8, 8)).astype(np.int8), 0.013)
    file = model.build(model.qdq(model.node("MatMul", [x, weights]), 0.7))
    helper.set_model_props(file, {ROUNDING: "twice"})
    graph, inputs = read_qdq(file, "the model"), rng.integers(-128, 128, (400, 4, 4, 8)).astype(np.int8)
    library = compile_together([graph], tmp_path, ("-O1", "-DNIWAKI_PORTABLE"))
    np.testing.assert_array_equal(run_c(library, 0, graph, inputs), reference.run(graph, inputs).reshape(400, -1))
