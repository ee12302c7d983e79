"""Networks of each operator through ONNX Runtime's quantizer: the reference computes what ONNX Runtime does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper
from onnxruntime.quantization import QuantType

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from qdq_models import model_of, quantized, runtime_scores

SHAPE = (4, 9, 8)


class Network:
    """A float network from `x`; each call adds a node and returns its output's name."""

    def __init__(self, opset: int = 13) -> None:
        self.nodes, self.constants, self.opset = [], {}, opset
        self.rng = np.random.default_rng(0)

    def __call__(self, kind: str, *inputs: str, **attributes: object) -> str:
        output = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def weights(self, *shape: int) -> str:
        """Random, each output channel of another size."""
        sizes = np.exp(self.rng.normal(size=(shape[0], *[1] * (len(shape) - 1))))
        return self.constant((self.rng.normal(size=shape) * sizes).astype(np.float32))

    def constant(self, values: object) -> str:
        self.constants[f"c{len(self.constants)}"] = np.asarray(values)
        return f"c{len(self.constants) - 1}"

    def conv(self, x: str, outputs: int, depth: int, *kernel: int, **attributes: object) -> str:
        return self("Conv", x, self.weights(outputs, depth, *kernel), self.weights(outputs), **attributes)

    def gemm(self, x: str, inputs: int, outputs: int = 10) -> str:
        weights = self.weights(outputs, inputs)
        return self("Gemm", x, weights, self.weights(outputs), transB=1)

    def model(self, output: str, shape: tuple[int, ...] = SHAPE) -> ModelProto:
        return model_of(self.nodes, self.constants, ["n", *shape], output=output, opset=self.opset)


def convolution(net: Network, depth: int = 4, **attributes: object) -> str:
    return net.conv("x", 6, depth, 3, 2, **attributes)


def convolution_without_bias(net: Network) -> str:
    return net("Relu", net("Conv", "x", net.weights(5, 4, 3, 3)))


def dead_channel(net: Network) -> str:
    """A channel of zeros: its weight scale becomes 1."""
    y = net.conv("x", 6, 4, 3, 3)
    net.constants["c0"][2] = 0
    return net("Relu", y)


def pooled(net: Network, kind: str, **attributes: object) -> str:
    return net(kind, net("Relu", net.conv("x", 5, 4, 2, 3)), **attributes)


def global_mean(net: Network, kind: str, **attributes: object) -> str:
    y = net(kind, net("Relu", net.conv("x", 7, 4, 3, 3)), **attributes)
    return net.gemm(net("Flatten", y) if attributes.get("keepdims", 1) else y, 7)


def mean_over_axes_input(net: Network) -> str:
    axes = net.constant(np.array([-1, 2]))
    return net.gemm(net("ReduceMean", net.conv("x", 4, 4, 1, 1), axes, keepdims=0), 4)


def relu6(net: Network) -> str:
    low, high = net.constant(np.float32(0)), net.constant(np.float32(6))
    return net.conv(net("Clip", net.conv("x", 6, 4, 3, 3), low, high), 3, 6, 1, 1)


def clip_far_inside(net: Network) -> str:
    """After a node that cannot take it in."""
    low, high = net.constant(np.float32(-3)), net.constant(np.float32(4))
    return net("Clip", net("MaxPool", net.conv("x", 4, 4, 1, 1), kernel_shape=[2, 2]), low, high)


def residual(net: Network) -> str:
    return net("Relu", net("Add", net.conv("x", 4, 4, 3, 3, pads=[1] * 4), "x"))


def concatenation(net: Network, axis: int = 1) -> str:
    branches = [net.conv("x", 4, 4, 1, 1), net("MaxPool", "x", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4), "x"]
    return net("Concat", *branches, axis=axis)


def dense_layers(net: Network) -> str:
    y = net("Relu", net.gemm(net("Flatten", "x"), 4 * 9 * 8, 20))
    return net.gemm(y, 20)


def untransposed_gemm(net: Network) -> str:
    return net("Gemm", net("Flatten", "x"), net.weights(4 * 9 * 8, 10), net.weights(10))


def matmul_and_add(net: Network) -> str:
    y = net("Add", net("MatMul", net("Flatten", "x"), net.weights(4 * 9 * 8, 30)), net.weights(30))
    return net("Add", net.weights(1, 10), net("MatMul", net("Relu", y), net.weights(30, 10)))


def bias_of_an_image(net: Network) -> str:
    y = net("MaxPool", net.conv("x", 4, 4, 1, 1), kernel_shape=[2, 2])
    return net("Add", y, net.weights(4, 1, 1))


def reshapes(net: Network) -> str:
    y = net("Reshape", "x", net.constant(np.array([0, 8, 9, -1])))
    y = net("Reshape", net.conv(y, 3, 8, 2, 2), net.constant(np.array([-1, 3 * 8 * 3])))
    y = net("Unsqueeze", net("Unsqueeze", y, net.constant(np.array([2]))), net.constant(np.array([3])))
    return net(
        "Add",
        net("Squeeze", net("Squeeze", y, net.constant(np.array([3]))), net.constant(np.array([2]))),
        net.weights(72),
    )


def computed_reshape(net: Network) -> str:
    """As exporters write `x.view(x.size(0), -1)`."""
    y = net.conv("x", 3, 4, 3, 3)
    batch = net("Gather", net("Shape", y), net.constant(np.array(0)), axis=0)
    batch = net("Unsqueeze", batch, net.constant(np.array([0])))
    return net.gemm(net("Reshape", y, net("Concat", batch, net.constant(np.array([-1])), axis=0)), 3 * 7 * 6)


def squeezed(net: Network) -> str:
    return net.gemm(net("Squeeze", net("GlobalAveragePool", "x"), net.constant(np.array([2, 3]))), 4)


def padded(net: Network, *value: float) -> str:
    inputs = [net.constant(np.array([0, 0, 1, 2, 0, 0, 0, 3])), *(net.constant(np.float32(v)) for v in value)]
    return net.conv(net("Pad", "x", *inputs), 5, 4, 3, 3)


def widened(net: Network) -> str:
    """As a shortcut without parameters adds channels of zeros, here with a border too."""
    inputs = [net.constant(np.array([0, 1, 0, 2, 0, 3, 0, 0])), net.constant(np.float32(0.2))]
    return net.conv(net("Pad", "x", *inputs), 5, 8, 3, 3)


def with_dropout(net: Network) -> str:
    return net.conv(net("Dropout", net("Identity", net("Relu", net.conv("x", 4, 4, 3, 3)))), 2, 4, 1, 1)


def softmax(net: Network, kind: str = "Softmax") -> str:
    return net(kind, net.gemm(net("Flatten", "x"), 4 * 9 * 8))


NETWORKS: dict[str, Callable[[Network], str]] = {
    "conv": convolution,
    "conv without bias": convolution_without_bias,
    "conv with a dead channel": dead_channel,
    "conv, strides and pads": partial(convolution, strides=[2, 3], pads=[1, 0, 2, 1]),
    "conv, dilations": partial(convolution, dilations=[2, 3]),
    "conv, groups": partial(convolution, depth=2, group=2),
    "conv, SAME_UPPER": partial(convolution, auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv, SAME_LOWER": partial(convolution, auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv, VALID": partial(convolution, auto_pad="VALID"),
    "depthwise": lambda net: net.conv("x", 8, 1, 3, 3, group=4, pads=[1] * 4),
    "max": partial(pooled, kind="MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "max, overlapping": partial(pooled, kind="MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "max, ceil": partial(pooled, kind="MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "average": partial(pooled, kind="AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "average, pads": partial(pooled, kind="AveragePool", kernel_shape=[3, 3], pads=[1] * 4),
    "average, pads counted": partial(
        pooled, kind="AveragePool", kernel_shape=[3, 3], pads=[1, 0, 0, 1], count_include_pad=1
    ),
    "average, ceil": partial(pooled, kind="AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "average, ceil, pads counted": partial(
        pooled, kind="AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1, count_include_pad=1
    ),
    "average, ceil, counted": partial(
        pooled, kind="AveragePool", kernel_shape=[3, 3], strides=[3, 2], ceil_mode=1, count_include_pad=1
    ),
    "average, SAME_LOWER": partial(pooled, kind="AveragePool", kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
    "global": partial(global_mean, kind="GlobalAveragePool"),
    "mean": partial(global_mean, kind="ReduceMean", axes=[2, 3], keepdims=1),
    "mean, flat": partial(global_mean, kind="ReduceMean", axes=[-1, -2], keepdims=0),
    "relu6": relu6,
    "clip": clip_far_inside,
    "residual": residual,
    "concat": concatenation,
    "concat, rows": partial(concatenation, axis=2),
    "concat, columns": partial(concatenation, axis=-1),
    "dense": dense_layers,
    "gemm, not transposed": untransposed_gemm,
    "matmul and add": matmul_and_add,
    "bias of an image": bias_of_an_image,
    "reshape": reshapes,
    "computed reshape": computed_reshape,
    "squeeze": squeezed,
    "pad": padded,
    "pad, channels": widened,
    "pad, value": lambda net: padded(net, 0.5),
    "dropout": with_dropout,
}


def quantize(name: str, tmp_path, **options: object) -> ModelProto:
    net = Network()
    model = net.model(NETWORKS[name](net))
    inputs = net.rng.normal(size=(32, *SHAPE)).astype(np.float32)
    return quantized(model, inputs, tmp_path, **options)


def images(graph: Graph, count: int = 40) -> np.ndarray:
    """Normal numbers, so that sums seldom saturate."""
    numbers = np.random.default_rng(1).normal(0, 50, (count, *graph.tensors[graph.input].shape))
    return np.clip(numbers + graph.tensors[graph.input].zero_point, -128, 127).astype(np.int8)


def check(model: ModelProto, graph: Graph, share: float = 0.99) -> None:
    """Equal up to ties and the rounding of float sums: at most one step, and that rarely."""
    inputs = images(graph)
    found, expected = reference.run(graph, inputs), runtime_scores(model, graph, inputs)
    difference = np.abs(found.astype(int) - expected.reshape(found.shape))
    assert difference.max() <= 1
    assert (difference == 0).mean() >= share
    assert len(np.unique(expected)) > 20


@pytest.mark.parametrize("name", NETWORKS)
def test_what_onnx_runtime_quantizes(name, tmp_path):
    """Means in the scale of their input, as ONNX Runtime has them, are often ties, which it rounds to even."""
    model = quantize(name, tmp_path)
    check(model, read_qdq(model, name), 0.7 if name.startswith("average") else 0.99)


@pytest.mark.parametrize("name", ["conv", "residual", "concat", "matmul and add", "pad, value", "mean, flat"])
def test_unsigned_activations(name, tmp_path):
    """The same integers, 128 further; weights stay int8."""
    model = quantize(name, tmp_path, activation_type=QuantType.QUInt8)
    check(model, read_qdq(model, name))


def test_dedicated_pairs(tmp_path):
    """A DequantizeLinear for each reader."""
    model = quantize("residual", tmp_path, DedicatedQDQPair=True)
    graph = read_qdq(model, "residual")
    assert [type(layer).__name__ for layer in graph.layers] == ["Conv", "Add"]
    check(model, graph)


def test_operators_of_opset_18(tmp_path):
    net = Network(18)
    model = quantized(net.model(mean_over_axes_input(net)), net.rng.normal(size=(32, *SHAPE)).astype("f4"), tmp_path)
    check(model, read_qdq(model, "mean"))


def test_operators_of_microsoft_s_domain(tmp_path):
    """As older files have them."""
    model = quantize("conv, groups", tmp_path, UseQDQContribOps=True)
    assert {node.domain for node in model.graph.node if "Linear" in node.op_type} == {"com.microsoft"}
    check(model, read_qdq(model, "conv"))


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_a_last_softmax_is_dropped(kind, tmp_path):
    """ONNX Runtime quantizes around it: what it reads is the output."""
    net = Network()
    model = net.model(softmax(net, kind))
    model = quantized(model, net.rng.normal(size=(32, *SHAPE)).astype(np.float32), tmp_path)
    graph = read_qdq(model, kind)
    assert graph.dropped[0].startswith(kind.lower())
    logits = next(node.input[0] for node in model.graph.node if node.op_type == kind)
    assert [type(layer).__name__ for layer in graph.layers] == ["Reshape", "Dense"]
    cut = ModelProto()
    cut.CopyFrom(model)
    cut.graph.output[0].name = logits
    check(cut, graph)


def test_weights_that_are_quantized_in_the_graph(tmp_path):
    """QuantizeLinear of float constants, as training with fake quantization leaves them: the same integers."""
    model = quantize("relu6", tmp_path, AddQDQPairToWeight=True)
    floats = {tensor.name for tensor in model.graph.initializer if numpy_helper.to_array(tensor).ndim == 4}
    assert floats & {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    check(model, read_qdq(model, "fake"))


def test_with_onnx_runtime_s_integer_kernels(tmp_path):
    """Its optimizer fuses DequantizeLinear, operator and QuantizeLinear."""
    for name in ("conv", "depthwise", "dense", "residual", "average"):
        model = quantize(name, tmp_path)
        graph = read_qdq(model, name)
        inputs = images(graph)
        found, expected = reference.run(graph, inputs), runtime_scores(model, graph, inputs, "exact")
        assert np.abs(found.astype(int) - expected).max() <= 1
