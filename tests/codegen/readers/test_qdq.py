"""QDQ models written node by node, and the graphs that they become."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.arithmetic import rescale_of
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.operators.arrange import Concat, Reshape
from niwaki.codegen.graph.operators.elementwise import Add, Requantize
from niwaki.codegen.graph.operators.pooling import AveragePool, MaxPool
from niwaki.codegen.graph.operators.products import Conv, Dense
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.models.onnxfile import write_metadata
from qdq_models import ONES, Qdq, kinds, model_of, read, runtime_scores, start


def check(model: Qdq, output: str, graph: Graph, share: float = 0.98, **options) -> None:
    """ONNX Runtime computes the same from random inputs, except for ties; scales that are powers of two make more."""
    shape = graph.tensors[graph.input].shape
    inputs = np.random.default_rng(0).integers(-128, 128, (20, *shape)).astype(np.int8)
    expected = runtime_scores(model.build(output, **options), graph, inputs)
    found = reference.run(graph, inputs)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() >= share
    assert len(np.unique(found)) > 3


def test_a_convolution():
    """Bias 3 · 0.125 and scale 0.5 · 0.25 / 2, all as they are in the file."""
    model, x = start(scale=0.5, zero_point=-3)
    bias = model.weights(np.array([3, -4, 0], np.int32), [0.125] * 3)
    weights = np.arange(6, dtype=np.int8).reshape(3, 2, 1, 1)
    y = model.qdq(model.conv(x, bias, weights, [0.25, 0.25, 0.5], strides=[2, 1], pads=[1, 0, 0, 2]), 2, 7)
    graph = read(model, y)
    (layer,) = graph.layers
    assert isinstance(layer, Conv)
    assert layer.weights.tolist() == weights.tolist()
    assert layer.bias.tolist() == [3, -4, 0]
    assert layer.rescale.multiplier.tolist() == [1 << 30] * 3
    assert layer.rescale.shift.tolist() == [34, 34, 33]
    assert (layer.strides, layer.pads, layer.clamp) == ((2, 1), (1, 0, 0, 2), (-128, 127))
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    assert (source.name, source.shape, source.scale, source.zero_point) == ("x", (2, 4, 4), 0.5, -3)
    assert (target.shape, target.scale, target.zero_point) == ((3, 3, 6), 2.0, 7)
    check(model, y, graph, 0.7)


def test_scales_are_the_exact_float32_numbers():
    scales = [np.float32(0.1), np.float32(0.007), np.float32(0.3)]
    model, x = start(scale=scales[0])
    graph = read(model, model.qdq(model.conv(x, scale=scales[1]), scales[2]))
    exact = rescale_of([Fraction(float(scales[0])) * Fraction(float(scales[1])) / Fraction(float(scales[2]))], "conv")
    assert graph.layers[0].rescale.multiplier.tolist() == exact.multiplier.tolist() * 3
    assert graph.layers[0].rescale.shift.tolist() == exact.shift.tolist() * 3


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        (np.array([1, -0.3, 0.3125], np.float32), [8, -2, 2]),  # in units of 0.125: 8, -2.4, 2.5 (to even)
        (np.array([10, -3, 5], np.int32), [40, -12, 20]),  # with a scale of 0.5
        (np.array([2, 0, -1], np.int8), [8, 0, -4]),
    ],
)
def test_a_bias_in_other_units(bias, expected):
    model, x = start()
    name = model.constant(bias) if bias.dtype == np.float32 else model.weights(bias, [0.5, 0.5, 0.5])
    assert read(model, model.qdq(model.conv(x, name), 2)).layers[0].bias.tolist() == expected


def test_weights_of_every_form_are_the_same_integers():
    """Stored as int8 or uint8; quantized in the graph; transposed after that; behind Identity; per tensor, or not."""
    floats = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    scales = np.abs(floats).max(axis=1) / np.float32(127)
    integers = np.rint(floats / scales[:, None]).astype(np.int8)
    unsigned = (integers.astype(int) + 128).astype(np.uint8)
    forms: dict[str, Callable[[Qdq], tuple[str, int]]] = {
        "int8": lambda m: (m.weights(integers, scales), 1),
        "axis -2": lambda m: (m.weights(integers, scales, axis=-2), 1),
        "uint8": lambda m: (m.weights(unsigned, scales), 1),
        "columns": lambda m: (m.weights(integers.T.copy(), scales, axis=1), 0),
        "in the graph": lambda m: (
            m.dq(m.q(m.constant(floats), scales, axis=0), scales, axis=0), 1,
        ),
        "unsigned in the graph": lambda m: (
            m.dq(m.q(m.constant(floats), scales, 128, np.uint8, axis=0), scales, 128, np.uint8, axis=0), 1,
        ),
        "transposed": lambda m: (m.node("Transpose", [m.weights(integers, scales)], perm=[1, 0]), 0),
        "transposed twice": lambda m: (
            m.node("Transpose", [m.node("Identity", [m.node("Transpose", [m.weights(integers, scales)])])]), 1
        ),
    }  # fmt: skip
    for name, form in forms.items():
        model, x = start(8)
        weights, transposed = form(model)
        y = model.qdq(model.node("Gemm", [x, weights], transB=transposed), 2)
        graph = read(model, y)
        assert isinstance(graph.layers[0], Dense)
        np.testing.assert_array_equal(graph.layers[0].weights, integers, err_msg=name)
        check(model, y, graph)


def test_zero_points_may_be_left_out():
    """Then QuantizeLinear makes uint8, and DequantizeLinear takes what there is."""
    model = Qdq((4,))
    scale, other = model.constant(np.float32(0.5)), model.constant(np.float32(0.3))
    x = model.node("DequantizeLinear", [model.node("QuantizeLinear", ["x", scale]), scale])
    weights = model.node("DequantizeLinear", [model.constant(np.eye(4, dtype=np.int8)), other])
    bias = model.node("DequantizeLinear", [model.constant(np.arange(4, dtype=np.int32)), scale])
    y = model.node(
        "DequantizeLinear", [model.node("QuantizeLinear", [model.node("Gemm", [x, weights, bias]), scale]), scale]
    )
    graph = read(model, y)
    assert [graph.tensors[name].zero_point for name in ("x", graph.output)] == [-128, -128]
    assert graph.layers[0].bias.tolist() == [0, 3, 7, 10]
    check(model, y, graph, 0.9)


def test_the_most_negative_weight_of_foreign_files():
    model, x = start()
    weights = np.full((3, 2, 1, 1), -128, np.int8)
    assert read(model, model.qdq(model.conv(x, weights=weights), 2)).layers[0].weights.min() == -128


def test_a_dead_channel_with_scale_one():
    """Its bias, stored with the scale s_in · 1, is still what comes out."""
    weights = ONES.copy()
    weights[1] = 0
    model, x = start(scale=0.01)
    bias = model.weights(np.array([5, 300, -5], np.int32), np.float32(0.01) * np.array([0.25, 1, 0.25], np.float32))
    y = model.qdq(model.conv(x, bias, weights, [0.25, 1.0, 0.25]), 0.05, 3)
    graph = read(model, y)
    inputs = np.random.default_rng(0).integers(-128, 128, (9, 2, 4, 4)).astype(np.int8)
    assert np.unique(reference.run(graph, inputs)[:, 1]).tolist() == [63]  # 300 · 0.01 / 0.05 + 3
    check(model, y, graph)


def test_a_dead_channel_with_a_float_bias():
    """0.013 is less than half of s_in · 1, yet it must not become 0."""
    weights = ONES.copy()
    weights[1] = 0
    model, x = start(scale=0.5)
    y = model.qdq(model.conv(x, model.constant(np.array([0, 0.013, 0], np.float32)), weights, [0.01, 1, 0.01]), 0.001)
    outputs = reference.run(read(model, y), np.zeros((1, 2, 4, 4), np.int8))
    assert np.unique(outputs[:, 1]).tolist() == [13]
    model, x = start(scale=0.5)
    y = model.qdq(model.conv(x, model.constant(np.array([0, -1e9, 0], np.float32)), weights, [0.01, 1, 0.01]), 0.001)
    assert np.unique(reference.run(read(model, y), np.zeros((1, 2, 4, 4), np.int8))[:, 1]).tolist() == [-128]


def test_activations_become_the_clamp_of_the_layer_before():
    """In steps of 0.5 from -10: 0 is -10; 6 is 2; 1.25 is 2.5 steps, to even; infinity is the end."""
    for kind, bounds, clamp in (
        ("Relu", (), (-10, 127)),
        ("Clip", (0.0, 6.0), (-10, 2)),
        ("Clip", (-1.25, 1.75), (-12, -6)),
        ("Clip", (None, 6.0), (-128, 2)),
        ("Clip", (-1e9,), (-128, 127)),
        ("Clip", (3.0, -3.0), (-16, -16)),  # the upper bound wins
    ):
        model, x = start()
        names = ["" if bound is None else model.constant(np.float32(bound)) for bound in bounds]
        y = model.qdq(model.node(kind, [model.conv(x), *names]), 0.5, -10)
        graph = read(model, y)
        assert [layer.clamp for layer in graph.layers] == [clamp]
        if min(names, default="x"):  # ONNX Runtime's MatMul refuses such bounds otherwise
            expected = runtime_scores(model.build(y), graph, np.full((1, 2, 4, 4), 100, np.int8))
            assert (reference.run(graph, np.full((1, 2, 4, 4), 100, np.int8)) == expected).all()


def test_bounds_as_attributes_and_as_quantized_constants():
    model, x = start(opset=10)
    weights = model.constant(np.float32(ONES))
    scale, zero_point = model.constant(np.float32(0.25)), model.constant(np.int8(0))
    weights = model.node(
        "DequantizeLinear", [model.node("QuantizeLinear", [weights, scale, zero_point]), scale, zero_point]
    )
    y = model.qdq(model.node("Clip", [model.node("Conv", [x, weights])], min=-1.0, max=4.0), 0.5, 1)
    assert [layer.clamp for layer in read(model, y).layers] == [(-1, 9)]
    model, x = start()
    high = model.dq(model.constant(np.int8(12)), 0.25)
    y = model.qdq(model.node("Clip", [model.conv(x), "", high]), 0.5, 1)
    assert [layer.clamp for layer in read(model, y).layers] == [(-128, 7)]


def test_several_activations_in_a_row():
    model, x = start()
    y = model.node("Relu", [model.conv(x)])
    y = model.node("Clip", [y, "", model.constant(np.float32(6))])
    y = model.node("Clip", [y, model.constant(np.float32(1))])
    graph = read(model, model.qdq(y, 0.5, -10))
    assert [layer.clamp for layer in graph.layers] == [(-8, 2)]


def test_an_activation_by_itself_is_a_layer():
    model, x = start()
    y = model.qdq(model.node("Relu", [x], name="relu"), 1, -5)
    graph = read(model, y)
    (layer,) = graph.layers
    assert isinstance(layer, Requantize)
    assert layer.clamp == (-5, 127)
    assert (layer.rescale.multiplier.tolist(), layer.rescale.shift.tolist()) == ([1 << 30], [31])
    check(model, y, graph, 0.4)


def test_an_activation_that_the_zero_point_does_already_is_none():
    model, x = start(scale=0.5, zero_point=-128)
    graph = read(model, model.qdq(model.conv(model.qdq(model.node("Relu", [x]), 0.5, -128)), 1))
    assert kinds(graph) == ["Conv"]


def test_an_activation_after_a_concatenation():
    model, x = start()
    y = model.qdq(model.node("Relu", [model.node("Concat", [x, x], axis=1)]), 0.75, 2)
    graph = read(model, y)
    assert kinds(graph) == ["Concat", "Requantize"]
    assert graph.layers[1].clamp == (2, 127)
    check(model, y, graph)


def test_an_activation_after_pooling_or_padding_is_done_before():
    """The maximum of clamped values is the clamped maximum. What is put around is clamped, too."""
    model, x = start()
    value = model.constant(np.float32(-3))
    y = model.node("MaxPool", [model.conv(x)], kernel_shape=[2, 2])
    y = model.node("Pad", [y, model.constant(np.array([0, 0, 1, 1, 0, 0, 0, 2])), value])
    y = model.qdq(model.node("Relu", [y]), 2, 5)
    graph = read(model, y)
    assert kinds(graph) == ["Conv", "MaxPool", "Pad"]
    assert graph.layers[0].clamp == (5, 127)
    assert (graph.layers[2].pads, graph.layers[2].value) == ((1, 1, 0, 2), 5)
    check(model, y, graph)


def test_pooling_into_another_scale():
    model, x = start()
    y = model.qdq(model.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2], name="pool"), 0.75, 3)
    graph = read(model, y)
    assert kinds(graph) == ["Requantize", "MaxPool"]
    assert len({layer.name for layer in graph.layers}) == 2
    check(model, y, graph)


def test_pads_reach_as_far_as_the_windows():
    """With ceil_mode, a last window lies half outside: more padding below and right."""
    model, x = start(1, 6, 5)
    y = model.qdq(model.node("MaxPool", [x], kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1), 0.5)
    (layer,) = read(model, y).layers
    assert isinstance(layer, MaxPool)
    assert (layer.kernel, layer.strides, layer.pads) == ((3, 2), (2, 2), (0, 0, 1, 1))
    model, x = start(1, 5, 5)
    y = model.qdq(model.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), 0.5)
    assert read(model, y).layers[0].pads == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("auto_pad", "pads"), [("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0)), ("VALID", (0, 0, 0, 0))]
)
def test_automatic_padding(auto_pad, pads):
    model, x = start()
    y = model.qdq(model.conv(x, weights=np.ones((3, 2, 2, 2), np.int8), auto_pad=auto_pad), 4)
    graph = read(model, y)
    assert graph.layers[0].pads == pads
    check(model, y, graph)


def test_averages_have_a_factor_for_each_number_of_pixels():
    """Windows of 2×3 over 3×4 with a border of one: 1 or 2 rows, 2 or 3 columns."""
    for include, divisors in ((0, [2, 3, 4, 6]), (1, [6])):
        model, x = start(1, 3, 4)
        options = {"kernel_shape": [2, 3], "pads": [1, 1, 1, 1], "count_include_pad": include}
        y = model.qdq(model.node("AveragePool", [x], **options), 0.3, 5)
        graph = read(model, y)
        (layer,) = graph.layers
        assert isinstance(layer, AveragePool)
        assert sorted(layer.rescale) == divisors
        check(model, y, graph, 0.95)


def test_means_that_leave_height_and_width_away():
    model, x = start(3, 4, 5)
    y = model.qdq(model.node("ReduceMean", [x], axes=[2, -1], keepdims=0, name="mean"), 0.125)
    graph = read(model, y)
    assert kinds(graph) == ["AveragePool", "Reshape"]
    assert [graph.tensors[layer.output].shape for layer in graph.layers] == [(3, 1, 1), (3,)]
    assert list(graph.layers[0].rescale) == [20]
    check(model, y, graph)


def test_sums_of_two_tensors():
    model, x = start()
    y = model.qdq(model.conv(x, weights=np.ones((2, 2, 1, 1), np.int8)), 0.75, 4)
    y = model.qdq(model.node("Add", [y, x]), 1.5, -9)
    graph = read(model, y)
    layer = graph.layers[1]
    assert isinstance(layer, Add)
    assert layer.inputs[1] == "x"
    assert layer.rescale.shift.tolist() == [31, 31]  # of 0.75/1.5; 0.5/1.5 is rounded at the same place
    assert layer.rescale.multiplier.tolist() == [1 << 30, round(2**31 / 3)]
    check(model, y, graph, 0.7)


def test_concatenation_and_its_axes():
    for axis, shape in ((1, (5, 4, 4)), (-3, (5, 4, 4)), (2, (2, 8, 4)), (-1, (2, 4, 8))):
        model, x = start()
        other = x if len(shape) != 3 or shape[0] == 2 else model.qdq(model.conv(x), 0.25, 5)
        y = model.qdq(model.node("Concat", [x, other], axis=axis), 0.75, 2)
        graph = read(model, y)
        layer = graph.layers[-1]
        assert isinstance(layer, Concat)
        assert (layer.axis, graph.tensors[graph.output].shape) == (axis % 4 - 1, shape)
        check(model, y, graph, 0.7)


def test_a_product_and_the_sum_right_after_it():
    """MatMul without QuantizeLinear before Add: its bias."""
    model, x = start(4)
    y = model.node("MatMul", [x, model.weights(np.eye(4, dtype=np.int8), 0.25, axis=1)])
    y = model.node("Add", [model.constant(np.array([1, 2, 3, 4], np.float32)), y])
    y = model.node("Add", [y, model.constant(np.array([[0.5]], np.float32))])
    y = model.qdq(model.node("Relu", [y]), 0.27, -100)
    graph = read(model, y)
    assert kinds(graph) == ["Dense"]
    assert graph.layers[0].bias.tolist() == [12, 20, 28, 36]
    check(model, y, graph)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_a_constant_that_is_added_by_itself(shape):
    model, x = start(*shape)
    numbers = model.weights(np.array([10, -20, 30, 40], np.int8).reshape(4, *[1] * (len(shape) - 1)), 0.5)
    y = model.qdq(model.node("Add", [numbers, x], name="add"), 0.75, 3)
    graph = read(model, y)
    layer = next(layer for layer in graph.layers if isinstance(layer, Conv))
    assert layer.groups == 4
    assert graph.tensors[graph.output].shape == shape
    check(model, y, graph)


def test_a_value_with_several_readers_is_quantized_once():
    model, x = start()
    y = model.conv(x)
    first, second = model.q(y, 0.53, 3), model.q(y, 0.53, 3)  # two quantizers that say the same
    branches = [model.dq(first, 0.53, 3), model.dq(first, 0.53, 3), model.dq(second, 0.53, 3)]
    y = model.qdq(model.node("Add", [model.qdq(model.node("Add", branches[:2]), 1.07), branches[2]]), 1.03)
    graph = read(model, y)
    assert kinds(graph) == ["Conv", "Lookup"]  # both sums are functions of one tensor
    check(model, y, graph)


def test_a_value_that_is_quantized_in_two_ways():
    model, x = start()
    y = model.conv(x)
    y = model.qdq(model.node("Add", [model.qdq(y, 0.53, 3), model.qdq(y, 0.27, -3)]), 1.07)
    graph = read(model, y)
    assert kinds(graph) == ["Conv", "Conv", "Add"]
    assert len({layer.name for layer in graph.layers}) == 3
    check(model, y, graph)


def test_quantizers_in_a_row():
    """Another scale is a layer, two in a row are one table; the same is nothing."""
    model, x = start()
    y = model.qdq(model.qdq(model.qdq(model.qdq(x, 0.5), 0.75, 3), 0.75, 3), 0.5)
    graph = read(model, y)
    assert kinds(graph) == ["Lookup"]
    check(model, y, graph, 0.4)


def test_changes_of_shape():
    model, x = start(2, 3, 4)
    y = model.qdq(model.node("Flatten", [x]), 0.5)
    y = model.node("Reshape", [y, model.constant(np.array([0, 4, 3, 2]))])
    y = model.qdq(model.node("Reshape", [y, model.constant(np.array([0, 4, 3, 2]))]), 0.5)
    graph = read(model, y)
    assert kinds(graph) == ["Reshape", "Reshape"]
    assert isinstance(graph.layers[0], Reshape)
    assert [graph.tensors[layer.output].shape for layer in graph.layers] == [(24,), (4, 3, 2)]
    check(model, y, graph)


def test_an_input_that_changes_its_shape_before_it_is_quantized():
    """As a first Flatten, which ONNX Runtime leaves float."""
    model = Qdq((1, 2, 3))
    y = model.qdq(model.node("Flatten", [model.node("Relu", ["x"])]), 0.5, 7)
    graph = read(model, y)
    assert kinds(graph) == ["Requantize", "Reshape"]
    assert graph.tensors["x"].shape == (1, 2, 3)
    assert graph.table is not None
    check(model, y, graph)


def test_operators_that_keep_int8_need_no_quantizer():
    """Relu, pooling and a change of shape right before another operator give what int8 already has."""
    model, x = start(2, 4, 4, zero_point=9)
    y = model.node("MaxPool", [model.node("Relu", [x])], kernel_shape=[2, 2], strides=[2, 2])
    y = model.node("Dropout", [model.node("Identity", [model.node("Flatten", [y])])])
    weights = np.arange(-12, 12, dtype=np.int8).reshape(3, 8)
    y = model.qdq(model.node("Gemm", [y, model.weights(weights, 0.5)], transB=1), 2)
    graph = read(model, y)
    assert kinds(graph) == ["Requantize", "MaxPool", "Reshape", "Dense"]
    check(model, y, graph)


@pytest.mark.parametrize(("dtype", "kind"), [(np.int8, TensorProto.INT8), (np.uint8, TensorProto.UINT8)])
def test_inputs_and_outputs_that_are_integers(dtype, kind):
    model = Qdq((2, 4, 4))
    y = model.q(model.conv(model.dq("x", 0.5, 100, dtype)), 0.77, 5, dtype)
    graph = read(model, y, input_type=kind, output_type=kind)
    moved = 128 if dtype == np.uint8 else 0
    assert graph.tensors["x"].zero_point == 100 - moved
    assert graph.tensors[graph.output].zero_point == 5 - moved
    check(model, y, graph, input_type=kind, output_type=kind)


@pytest.mark.parametrize("opset", [11, 13])
def test_softmax_is_dropped_with_all_after_it(opset):
    model, x = start(6, opset=opset)
    y = model.node("Softmax", [x], name="probabilities", axis=1)
    parameters = model.parameters(1 / 256, -128, np.int8)
    y = model.node("QuantizeLinear", [y, *parameters], name="q")
    y = model.node("DequantizeLinear", [y, *parameters], name="dq")
    graph = read(model, y)
    assert graph.dropped == ("probabilities", "q", "dq")
    assert (graph.layers, graph.output) == ((), "x")


def test_nodes_that_the_output_does_not_need_are_left_out():
    model, x = start()
    model.node("Sigmoid", [x])
    assert kinds(read(model, model.qdq(model.conv(x), 1))) == ["Conv"]


def test_nodes_without_names_or_with_the_same():
    model, x = start()
    y = model.qdq(model.conv(x, weights=np.ones((2, 2, 1, 1), np.int8), name=""), 1)
    for _ in range(2):
        y = model.qdq(model.conv(y, weights=np.ones((2, 2, 1, 1), np.int8), name="conv"), 1)
    assert [layer.name for layer in read(model, y).layers][1:] == ["conv", "conv_2"]
    assert read(model, y).layers[0].name.startswith("Conv")


def test_a_batch_of_one():
    model, x = start(batch=1)
    y = model.qdq(model.conv(x), 1.07)
    check(model, y, read(model, y))


def test_labels_and_preprocessing_come_along():
    model, x = start(1, 4, 4, scale=1 / 255, zero_point=-128)
    built = model.build(x)
    graph = read_qdq(built, "plain")
    assert (graph.labels, graph.preprocessing) == ((), None)
    assert graph.table.tolist() == [list(range(-128, 128))]
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,))
    labels = tuple("abcdefghijklmnop")  # of 16 outputs
    write_metadata(built, labels, preprocessing)
    graph = read_qdq(built, "with metadata")
    assert (graph.labels, graph.preprocessing) == (labels, preprocessing)
    assert graph.table.tolist() == [[127] * 256] or (graph.table[0, :128] == -128).all()


def test_the_table_rounds_as_quantizelinear_does():
    """In float32, as the standard's own implementation does it, for every channel of a colour image."""
    model, x = start(3, 4, 4, scale=np.float32(2 / 255), zero_point=-100)
    table = read(model, x).table
    assert table.shape == (3, 256)
    inputs = np.broadcast_to((np.arange(256) / np.float32(255)).astype(np.float32)[:, None, None, None], (256, 3, 4, 4))
    quantizer = model_of(model.nodes[:1], model.constants, ["n", 3, 4, 4], output=model.nodes[0].output[0],
                         output_type=TensorProto.INT8)  # fmt: skip
    quantized = onnx.reference.ReferenceEvaluator(quantizer).run(None, {"x": inputs})[0]
    np.testing.assert_array_equal(table, quantized[:, :, 0, 0].T)


def test_no_table_for_an_input_that_is_no_image():
    model, x = start(8)
    assert read(model, x).table is None


def test_preprocessing_of_another_number_of_channels():
    model, x = start(3, 4, 4)
    built = model.build(x)
    write_metadata(built, [], Preprocessing())
    with pytest.raises(ModelError, match="the preprocessing gives 1 channels, but the input has 3"):
        read_qdq(built, "colour")
