"""Weights of 4 and 2 bits in the file, as ONNX has them from opset 21 and 25 on: the same numbers as int8."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.bits import bits_of
from niwaki.codegen.graph.graph import Graph
from niwaki.emit.generate import generate
from niwaki.errors import ModelError
from niwaki.measure.onnxcost import count_onnx
from niwaki.models.onnxfile import load_onnx
from qdq_models import Qdq, read, runtime_scores

OPSETS = {"int4": 21, "uint4": 21, "int2": 25, "uint2": 25}
KINDS = [
    pytest.param(name, marks=pytest.mark.skipif(opset > onnx.defs.onnx_opset_version(), reason="newer than this onnx"))
    for name, opset in OPSETS.items()
]


def network(values: np.ndarray, matrix: np.ndarray, scale: object, zero_point: object) -> tuple[Qdq, str]:
    """A convolution and a matrix product with such weights, quantized in the same way."""
    opset = OPSETS.get(values.dtype.name, 21)
    model = Qdq((2, 4, 4), opset=opset)
    x, kind = model.qdq("x", 0.5, 3), values.dtype.type
    along = {"axis": 0} if np.ndim(scale) else {}
    weights = model.dq(model.constant(values), scale, zero_point, kind, **along)
    x = model.qdq(model.node("Conv", [x, weights], name="conv"), 4, -2)
    flat = model.node("Flatten", [x])
    weights = model.dq(model.constant(matrix), scale, zero_point, kind, **along)
    return model, model.qdq(model.node("Gemm", [flat, weights], transB=1, name="fc"), 16, 5)


def drawn(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a convolution (3, 2, 2, 2) and of a matrix product (3, 27), with both ends of their type."""
    limits = ml_dtypes.iinfo(np.dtype(name))
    rng = np.random.default_rng(0)
    values = [rng.integers(limits.min, limits.max + 1, shape) for shape in ((3, 2, 2, 2), (3, 27))]
    for array in values:
        array.flat[:2] = limits.min, limits.max
    return values[0], values[1]


def in_int8(name: str, scale: object, zero_point: object) -> Graph:
    """What the same numbers become as int8 with the zero point subtracted."""
    centred = [values - np.reshape(zero_point, (-1, *[1] * (values.ndim - 1))) for values in drawn(name)]
    model, y = network(*(values.astype(np.int8) for values in centred), scale, 0)
    return read(model, y)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("scale", [0.25, [0.25, 0.5, 0.125]], ids=["one scale", "each channel"])
@pytest.mark.parametrize("place", ["middle", "elsewhere"])
def test_they_become_int8(name: str, scale: object, place: str) -> None:
    limits = ml_dtypes.iinfo(np.dtype(name))
    middle = (limits.min + limits.max + 1) // 2
    zero_point: object = middle if place == "middle" else middle + 1
    if place == "elsewhere" and np.ndim(scale):
        zero_point = [middle, limits.min, limits.max]
    kind = np.dtype(name)
    model, y = network(*(values.astype(kind) for values in drawn(name)), scale, zero_point)
    graph = read(model, y)
    expected = in_int8(name, scale, zero_point)
    for layer, same in zip(graph.layers, expected.layers, strict=True):
        for key, value in vars(layer).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, vars(same)[key])
    bits = int(name[-1])
    weighted = [layer.weights for layer in graph.layers if hasattr(layer, "weights")]
    assert [weights.dtype for weights in weighted] == [np.int8] * 2
    assert {bits_of(weights) for weights in weighted} == {bits if place == "middle" else {4: 8, 2: 4}[bits]}


@pytest.mark.parametrize("name", ["int4", "uint4"])
def test_onnx_runtime_computes_the_same(name: str) -> None:
    model, y = network(*(values.astype(name) for values in drawn(name)), [0.25, 0.5, 0.125], 8 * (name[0] == "u"))
    graph = read(model, y)
    inputs = np.random.default_rng(1).integers(-128, 128, (20, 2, 4, 4)).astype(np.int8)
    found = reference.run(graph, inputs)
    assert np.abs(found.astype(int) - runtime_scores(model.build(y), graph, inputs)).max() <= 1
    assert len(np.unique(found)) > 20


def test_the_c_has_them_packed_and_the_file_too() -> None:
    model, y = network(*(values.astype("int4") for values in drawn("int4")), 0.25, 0)
    weights = generate(read(model, y)).report.weights
    assert [(layer.layer, layer.bits, layer.bytes) for layer in weights] == [("conv", 4, 12), ("fc", 4, 27 + 14)]
    cost = count_onnx(load_onnx(model.build(y).SerializeToString()))
    assert cost.bytes["int4"] == 12 + 41 + 2  # two values to a byte; two zero points
    assert [(layer.dtype, layer.params, layer.macs) for layer in cost.layers if layer.params] == [
        ("int4", 24, 24 * 9), ("int4", 81, 81)
    ]  # fmt: skip


def test_a_file_with_too_few_bytes_is_refused_as_others_are() -> None:
    model, y = network(*(values.astype("uint4") for values in drawn("uint4")), 0.25, 8)
    built = model.build(y)
    tensor = next(tensor for tensor in built.graph.initializer if tuple(tensor.dims) == (3, 27))
    assert (tensor.data_type, len(tensor.raw_data)) == (TensorProto.UINT4, 41)
    tensor.raw_data = tensor.raw_data[:-1]
    with pytest.raises(ModelError, match=r"40 bytes, but a shape of \(3, 27\) needs 41"):
        load_onnx(built.SerializeToString())
