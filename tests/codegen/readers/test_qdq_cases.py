"""What files of other tools contain: each is computed as ONNX Runtime computes it, node by node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.operators.products import Conv, Dense
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.models.onnxfile import load_onnx
from qdq_models import Qdq, kinds, runtime_scores, start

SIDE = 9
IN = 1 / 255
RNG = np.random.default_rng(7)
KERNELS = RNG.normal(0, 0.4, (4, 1, 3, 3)).astype(np.float32)
SCALES = (np.abs(KERNELS).reshape(4, -1).max(1) / 127).astype(np.float32)
BIAS = np.array([0.3, 0.5, -0.4, 0.2])


def quantized(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values / np.reshape(scales, (-1, 1, 1, 1))), -127, 127).astype(np.int8)


def bias_of(model: Qdq, values: np.ndarray, scales: object, dtype: type = np.int32) -> str:
    stored = np.clip(np.rint(values / np.float64(scales)), np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
    return model.dq(model.constant(stored), scales, 0, dtype, **({"axis": 0} if np.ndim(scales) else {}))


def conv(
    model: Qdq, x: str, bias: str, kernels: np.ndarray = KERNELS, scales: np.ndarray = SCALES, **pads: object
) -> str:
    return model.conv(x, bias, quantized(kernels, scales), scales, **pads)


def image() -> tuple[Qdq, str]:
    return start(1, SIDE, SIDE, scale=IN, zero_point=-128)


def own_bias_scale() -> tuple[Qdq, str]:
    model, x = image()
    return model, model.qdq(conv(model, x, bias_of(model, BIAS, 2.5e-10)), 0.02)


def int8_bias() -> tuple[Qdq, str]:
    model, x = image()
    return model, model.qdq(conv(model, x, bias_of(model, BIAS, 0.004, np.int8)), 0.02)


def one_bias_scale() -> tuple[Qdq, str]:
    """For a bias of one axis, whose DequantizeLinear says nothing of an axis."""
    model, x = image()
    scale = np.float32(0.01)
    return model, model.qdq(model.conv(x, bias_of(model, BIAS, IN * 0.01), quantized(KERNELS, scale), scale), 0.02)


def shared_weight_and_bias() -> tuple[Qdq, str]:
    """Two convolutions read one weight and one bias, their inputs have different scales."""
    model, x = image()
    kernels = RNG.normal(0, 0.4, (1, 1, 3, 3)).astype(np.float32)
    scale = np.float32(np.abs(kernels).max() / 127)
    weight, bias = model.weights(quantized(kernels, scale), scale), bias_of(model, np.array([0.3]), IN * scale)
    y = model.qdq(model.node("Relu", [model.node("Conv", [x, weight, bias], name="a")]), 0.02, -128)
    return model, model.qdq(model.node("Conv", [y, weight, bias], name="b"), 0.05)


def tiny_weights(as_float: bool) -> tuple[Qdq, str]:
    """In their own unit, the biases of two channels are beyond 32 bits: the weights then count for nothing."""
    model, x = image()
    kernels = KERNELS * np.float32([1, 1e-9, 1e-7, 1]).reshape(-1, 1, 1, 1)
    scales = (np.abs(kernels).reshape(4, -1).max(1) / 127 + 1e-12).astype(np.float32)
    bias = model.constant(BIAS.astype(np.float32)) if as_float else bias_of(model, BIAS, np.float32(IN * scales))
    return model, model.qdq(conv(model, x, bias, kernels, scales), 0.02)


def small_weights() -> tuple[Qdq, str]:
    """A bias just beyond 32 bits: weights are halved, not lost."""
    model, x = start(1, SIDE, SIDE, scale=IN, zero_point=-128)
    kernels = np.full((4, 1, 3, 3), 3.6e-7, np.float32)
    return model, model.qdq(
        conv(model, x, model.constant(BIAS.astype(np.float32)), kernels, kernels[:, 0, 0, 0] / 9), 0.01
    )


def beyond_all(sign: int) -> tuple[Qdq, str]:
    """The output is saturated whatever the input."""
    model, x = image()
    return model, model.qdq(conv(model, x, model.constant(np.float32([0, 1e10 * sign, 0, 0]))), 0.02)


def padding_without_a_value() -> tuple[Qdq, str]:
    model, x = image()
    padded = model.node("Pad", [x, model.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])), ""], mode="constant")
    return model, model.qdq(conv(model, padded, bias_of(model, BIAS, IN * SCALES)), 0.02)


def clipped_integers(low: int, high: int, dtype: type = np.int8) -> tuple[Qdq, str]:
    """Integer Clips between the halves of a pair, of an activation and of a weight: how few bits or ±127 are said."""
    model = Qdq((1, SIDE, SIDE))
    zero = 128 if dtype is np.uint8 else 0
    bounds = [model.constant(np.array(low + zero, dtype)), model.constant(np.array(high + zero, dtype))]
    x = model.dq(model.node("Clip", [model.q("x", 1 / 127, zero, dtype), *bounds]), 1 / 127, zero, dtype)
    scale = np.float32(np.abs(KERNELS).max() / high)
    bounds = [model.constant(np.int8(low)), model.constant(np.int8(high))]
    weight = model.node("Clip", [model.q(model.constant(KERNELS), scale), *bounds])
    y = model.node("Conv", [x, model.dq(weight, scale), model.constant(BIAS.astype(np.float32))])
    y = model.q(model.node("Relu", [y]), 0.02, -9)
    return model, model.dq(model.node("Clip", [y, "", bounds[1]]), 0.02, -9)


def saturated_mean() -> tuple[Qdq, str]:
    model, x = start(2, 6, 6, scale=0.02)
    return model, model.qdq(model.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2]), 0.002, 5)


def padded_mean(include: int) -> tuple[Qdq, str]:
    model, x = start(2, 7, 7, scale=0.02, zero_point=-128)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return model, model.qdq(model.node("AveragePool", [x], count_include_pad=include, **window), 0.013, -100)


def far_apart() -> tuple[Qdq, str]:
    """A sum of tensors whose scales differ 67 times."""
    model, x = start(2, 5, 5, scale=0.02, zero_point=-128)
    fine = model.qdq(model.conv(x, "", RNG.integers(-9, 9, (2, 2, 1, 1)).astype(np.int8), 0.0005), 0.0003, 40)
    return model, model.qdq(model.node("Relu", [model.node("Add", [fine, x])]), 0.011, -120)


def extreme_pairs() -> tuple[Qdq, str]:
    """Products whose sums in pairs leave 16 bits."""
    model = Qdq((64,))
    x = model.qdq("x", IN, 0, np.uint8)
    values = np.where(RNG.random((5, 64)) < 0.5, 127, -127).astype(np.int8)
    return model, model.qdq(model.node("Gemm", [x, model.weights(values, 0.01)], transB=1), 0.6, 128, np.uint8)


def old_clip() -> tuple[Qdq, str]:
    """Bounds as attributes, a batch of one, as before opset 11."""
    model = Qdq((1, SIDE, SIDE), batch=1, opset=10)
    x = model.qdq("x", IN, -128)
    weight = model.dq(model.constant(quantized(KERNELS, np.float32(0.01))), 0.01)
    y = model.node("Clip", [model.node("Conv", [x, weight])], min=0.0, max=6.0)
    return model, model.qdq(y, 0.0235, -128)


CASES: dict[str, Callable[[], tuple[Qdq, str]]] = {
    "bias with a scale of its own": own_bias_scale,
    "int8 bias": int8_bias,
    "one scale for a bias": one_bias_scale,
    "shared weight and bias": shared_weight_and_bias,
    "tiny weights, float bias": lambda: tiny_weights(True),
    "tiny weights, int32 bias": lambda: tiny_weights(False),
    "small weights": small_weights,
    "bias beyond all, above": lambda: beyond_all(1),
    "bias beyond all, below": lambda: beyond_all(-1),
    "padding without a value": padding_without_a_value,
    "integer Clip to ±127": lambda: clipped_integers(-127, 127),
    "integer Clip to 4 bits": lambda: clipped_integers(-8, 7),
    "integer Clip of uint8": lambda: clipped_integers(-100, 90, np.uint8),
    "mean that saturates": saturated_mean,
    "padded mean, padding left out": lambda: padded_mean(0),
    "padded mean, padding counted": lambda: padded_mean(1),
    "sum of scales far apart": far_apart,
    "products beyond 16 bits": extreme_pairs,
    "Clip with attributes": old_clip,
}


def graph_of(make: Callable[[], tuple[Qdq, str]]) -> tuple[object, Graph]:
    model, output = make()
    onnx = load_onnx(model.build(output).SerializeToString())
    return onnx, read_qdq(onnx, "the model")


@pytest.mark.parametrize("case", CASES)
def test_as_onnx_defines_it(case):
    model, graph = graph_of(CASES[case])
    inputs = np.random.default_rng(0).integers(-128, 128, (40, *graph.tensors["x"].shape)).astype(np.int8)
    found, expected = reference.run(graph, inputs), runtime_scores(model, graph, inputs)
    apart = np.abs(found.astype(int) - expected.reshape(found.shape))
    assert apart.max() <= 1
    assert (apart != 0).mean() < 0.04  # ties, which ONNX rounds to even
    assert len(np.unique(found)) > 2


def test_tiny_weights_give_way_to_their_bias():
    _, graph = graph_of(CASES["tiny weights, float bias"])
    assert isinstance(graph.layers[0], Conv)
    assert not graph.layers[0].weights[1].any()
    assert np.abs(graph.layers[0].weights[2]).max() == 2
    assert (np.abs(graph.layers[0].weights[[0, 3]]).reshape(2, -1).max(1) == 127).all()  # channels that fit stay
    assert (np.abs(graph.layers[0].bias[1:3]) >= 1 << 30).all()
    _, graph = graph_of(CASES["small weights"])
    assert set(graph.layers[0].weights[1].ravel().tolist()) == {5}


def test_a_clip_that_lets_all_pass_is_no_layer():
    def make() -> tuple[Qdq, str]:
        model, x = start(4)
        whole = model.constant(np.int8(-128)), model.constant(np.int8(127))
        weight = model.weights(np.ones((3, 4), np.int8), 0.5)
        y = model.q(model.node("Gemm", [x, weight], transB=1), 1)
        return model, model.dq(model.node("Clip", [y, *whole]), 1)

    _, graph = graph_of(make)
    assert [type(layer) for layer in graph.layers] == [Dense]
    assert kinds(graph) == ["Dense"]
