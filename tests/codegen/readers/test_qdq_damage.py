"""Damaged models are refused, or read as ONNX Runtime reads them: there is no third outcome."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, numpy_helper

from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.errors import ModelError
from niwaki.models.onnxfile import load_onnx
from qdq_models import Qdq, runtime_scores, start

OPERATORS = (
    "Conv", "Gemm", "Relu", "MaxPool", "Flatten", "Add", "Concat", "QuantizeLinear", "DequantizeLinear", "Softmax",
    "Clip", "Pad", "ReduceMean",
)  # fmt: skip


def branches() -> ModelProto:
    model, x = start(2, 6, 5, zero_point=3)
    a = model.qdq(model.node("Relu", [model.conv(x, weights=np.full((2, 2, 3, 3), 5, np.int8), pads=[1] * 4)]), 9, -90)
    b = model.qdq(model.node("MaxPool", [x], kernel_shape=[3, 3], pads=[1] * 4), 0.5, 3)
    y = model.qdq(model.node("Add", [a, b]), 8, -80)
    return model.build(model.qdq(model.node("Concat", [y, b], axis=1), 8, -80))


def chain() -> ModelProto:
    rng = np.random.default_rng(0)
    model, x = start(3, 5, 6, zero_point=-9)
    weights = rng.integers(-99, 100, (6, 1, 2, 3)).astype(np.int8)
    bias = model.constant(rng.normal(size=6).astype(np.float32))
    y = model.conv(x, bias, weights, rng.uniform(0.01, 0.02, 6), group=3, strides=[2, 1])
    y = model.qdq(model.node("Clip", [y, model.constant(np.float32(-9)), model.constant(np.float32(99))]), 0.9, 2)
    y = model.qdq(model.node("Pad", [y, model.constant(np.array([0, 0, 1, 0, 0, 0, 0, 1]))]), 0.9, 2)
    y = model.qdq(model.node("AveragePool", [y], kernel_shape=[2, 2]), 0.7, 5)
    y = model.qdq(model.node("Flatten", [y]), 0.7, 5)
    return model.build(model.qdq(dense(model, y, rng.integers(-99, 100, (6 * 2 * 4, 4)).astype(np.int8)), 1.9, 2))


def dense(model: Qdq, y: str, weights: np.ndarray) -> str:
    return model.node("Gemm", [y, model.weights(weights, [0.01, 0.02, 0.01, 0.03], axis=1)])


def attribute(graph: GraphProto, rnd: random.Random) -> None:
    entry = rnd.choice([entry for node in graph.node for entry in node.attribute])
    if entry.ints and rnd.random() < 0.3:
        del entry.ints[-1]
    elif entry.ints:
        entry.ints[rnd.randrange(len(entry.ints))] = rnd.choice([-1, 0, 1, 2, 3, 5, 100])
    else:
        entry.i = rnd.choice([-1, 0, 1, 2, 3, 7, 10**6])


def value(graph: GraphProto, rnd: random.Random) -> None:
    tensor = rnd.choice(graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    floats, integers = [0, -1, np.nan, np.inf, 1e-40, 1e30, 1], [0, 1, 2, 9, 100]
    array.flat[rnd.randrange(array.size)] = rnd.choice(floats if array.dtype.kind == "f" else integers)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def kind(graph: GraphProto, rnd: random.Random) -> None:
    tensor = rnd.choice(graph.initializer)
    array = numpy_helper.to_array(tensor)
    array = array.astype(rnd.choice([np.int8, np.uint8, np.int16, np.float32, np.int64, np.int32]))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def shape(graph: GraphProto, rnd: random.Random) -> None:
    tensor = rnd.choice(graph.initializer)
    array = numpy_helper.to_array(tensor)
    array = rnd.choice([array.reshape(-1), array[None], array[:1] if array.ndim else array, array.T])
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def wire(graph: GraphProto, rnd: random.Random) -> None:
    node = rnd.choice(graph.node)
    names = [name for other in graph.node for name in other.output] + [tensor.name for tensor in graph.initializer]
    node.input[rnd.randrange(len(node.input))] = rnd.choice([*names, "x", ""])


def cut(graph: GraphProto, rnd: random.Random) -> None:
    del rnd.choice(graph.node).input[-1]


def operator(graph: GraphProto, rnd: random.Random) -> None:
    rnd.choice(graph.node).op_type = rnd.choice(OPERATORS)


DAMAGES: list[Callable[[GraphProto, random.Random], None]] = [attribute, value, kind, shape, wire, cut, operator]


def try_damaged(model: ModelProto, rnd: random.Random) -> str:
    damaged = ModelProto()
    damaged.CopyFrom(model)
    rnd.choice(DAMAGES)(damaged.graph, rnd)
    try:
        graph = read_qdq(load_onnx(damaged.SerializeToString()), "damaged")
    except ModelError as error:
        return f"refused: {error}"
    inputs = np.random.default_rng(0).normal(0, 40, (5, *graph.tensors["x"].shape)).clip(-128, 127).astype(np.int8)
    found = reference.run(graph, inputs)
    try:
        expected = runtime_scores(damaged, graph, inputs)
    except Exception:  # ONNX Runtime is stricter about types and shapes
        return "refused by ONNX Runtime"
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=3)  # a step, times the ratio of two scales
    return "the same"


def try_many(count: int) -> Counter[str]:
    rnd = random.Random(0)
    models = [branches(), chain()]
    results = [try_damaged(rnd.choice(models), rnd) for _ in range(count)]
    assert not [result for result in results if "\n" in result]
    return Counter(result.split(":")[0] for result in results)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # casts of NaN, here
def test_damaged_models():
    results = try_many(200)
    assert results["refused"] > 60
    assert results["the same"] > 20


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_many_damaged_models():
    assert try_many(5000)["the same"] > 500
