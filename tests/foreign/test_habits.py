"""Int8 files as other tools write them give the scores of their nodes one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from onnx.defs import onnx_opset_version

import niwaki
from foreign_habits import HABITS, REFUSED, drawn
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.origin import open_origin
from niwaki.errors import ModelError
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import open_session
from qdq_models import Qdq, kinds, read, start


def opened(model: ModelProto, folder: Path) -> Graph:
    """What niwaki makes of a file."""
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    return read_qdq(load_onnx(open_origin(folder / "a.onnx").data), "a.onnx")


def as_it_stands(graph: Graph, model: ModelProto, inputs: np.ndarray) -> np.ndarray:
    """What the file itself gives for the graph's int8 inputs: scores, or the class."""
    source = graph.tensors[graph.input]
    session = open_session(model.SerializeToString(), "plain")
    entry = session.get_inputs()[0]
    fed = ((inputs.astype(np.float64) - source.zero_point) * source.scale).astype(np.float32)
    if entry.type != "tensor(float)":
        fed = inputs if entry.type == "tensor(int8)" else (inputs.astype(np.int16) + 128).astype(np.uint8)
    fed = fed.transpose(0, 2, 3, 1) if graph.layout == "HWC" else fed
    found: np.ndarray = session.run(None, {entry.name: fed})[0]
    return found


@pytest.mark.parametrize("name", HABITS)
def test_a_file_gives_the_scores_of_its_nodes(name: str, tmp_path: Path) -> None:
    model = HABITS[name].build()
    graph = opened(model, tmp_path)
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    inputs = np.random.default_rng(1).integers(-128, 128, (200, *source.shape)).astype(np.int8)
    found, expected = reference.run(graph, inputs), as_it_stands(graph, model, inputs)
    assert len(np.unique(found)) > 15
    if expected.dtype == np.int64:
        assert (found.argmax(1) == expected).mean() > 0.99
        return
    if graph.dropped:
        logits = np.log(expected)
        steps = (logits - logits.mean(1, keepdims=True)) / target.scale
        assert np.abs(found - found.mean(1, keepdims=True) - steps).max() < 1.5
        return
    steps = np.rint(expected / np.float64(target.scale)) + target.zero_point
    assert np.abs(found - steps).max() <= 1
    assert (found == steps).mean() > 0.98


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_integers_of_8_bits_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    (tmp_path / "theirs.onnx").write_bytes(REFUSED[name].build().SerializeToString())
    with pytest.raises(ModelError, match=f"{REFUSED[name].made}.*"):
        niwaki.export(tmp_path / "theirs.onnx", tmp_path / "out", to="c")


def test_only_weights_beyond_int8_double_the_input() -> None:
    model, x = start()
    weights = model.dq(model.constant(np.full((3, 2, 1, 1), 200, np.uint8)), 0.25, 100, np.uint8)
    assert kinds(read(model, model.qdq(model.node("Conv", [x, weights]), 0.5))) == ["Conv"]


@pytest.mark.parametrize(("make", "message"), [
    (lambda m, x: m.node("MaxPool", [x], kernel_shape=[2, 2], name="pool"), "MaxPool 'pool' reads .* 2 scales"),
    (lambda m, x: m.conv(x, group=1), "Conv 'conv' reads .* 2 scales, one for each channel: a depthwise"),
    (lambda m, x: x, "the network's output .* has 2 scales: quantize activations per tensor"),
])  # fmt: skip
def test_scales_for_channels_are_for_depthwise_convolutions(make, message) -> None:
    model, x = start()
    y = model.node("Conv", [x, model.weights(np.ones((2, 2, 1, 1), np.int8), 0.25)])
    y = make(model, model.qdq(y, [0.5, 0.25]))
    with pytest.raises(ModelError, match=message):
        read(model, y)


def channels(model: Qdq, x: str, scale: object, zero_point: object = 0, **attributes: int) -> str:
    """Behind a convolution of two channels."""
    y = model.node("Conv", [x, model.weights(np.ones((2, 2, 1, 1), np.int8), 0.25)])
    y = model.node("Clip", [y, model.constant(np.float32(0)), model.constant(np.float32(6))])
    return model.dq(model.q(y, scale, zero_point, **attributes), scale, zero_point, **attributes)


@pytest.mark.parametrize(("make", "message"), [
    (lambda m, x: m.qdq(x, [0.5, 0.25]), "2 scales for one activation: only where it comes from a convolution"),
    (lambda m, x: channels(m, x, [0.5, 0.25]), "2 scales, and a Clip that differs in steps"),
    (lambda m, x: channels(m, x, [0.01, 0.02], [0, 1]), "2 zero points, or scales not for channels: .*per_channel=F"),
    (lambda m, x: channels(m, x, [0.01] * 4, axis=2), "4 zero points, or scales not for channels"),
])  # fmt: skip
def test_scales_for_channels_that_no_integers_have(make, message) -> None:
    model, x = start()
    with pytest.raises(ModelError, match=message):
        read(model, model.conv(make(model, x), weights=np.ones((2, 1, 1, 1), np.int8), group=2))


@pytest.mark.parametrize("opset", [10, 11, 12, 13, 16, 21, 23, onnx_opset_version()])
def test_every_opset_from_10_on_is_read(opset: int, tmp_path: Path) -> None:
    model = Qdq((1, 6, 6), opset=opset)
    x = model.node("QuantizeLinear", ["x", *model.parameters(1 / 255, 0, np.uint8)])
    x = model.node("DequantizeLinear", [x, *model.parameters(1 / 255, 0, np.uint8)])
    weights = model.node("DequantizeLinear", [model.constant(drawn(4, 1, 3, 3)), *model.parameters(0.01, 0, np.int8)])
    bounds = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    given = [] if bounds else [model.constant(np.float32(one)) for one in (0, 6)]
    y = model.node("Clip", [model.node("Conv", [x, weights]), *given], **bounds)
    graph = opened(model.build(model.qdq(y, 0.0311941, 3, np.uint8)), tmp_path)
    assert kinds(graph) == ["Conv"]


def test_the_newest_files_and_weights_beside_them_are_read(tmp_path: Path) -> None:
    model = HABITS["casts"].build()
    model.ir_version = onnx.IR_VERSION
    whole = reference.run(opened(model, tmp_path), np.full((1, 2, 6, 6), 50, np.int8))
    onnx.save_model(model, tmp_path / "b.onnx", save_as_external_data=True, location="b.data", size_threshold=16)
    assert (tmp_path / "b.data").stat().st_size > 100
    graph = read_qdq(load_onnx(open_origin(tmp_path / "b.onnx").data), "b.onnx")
    assert np.array_equal(reference.run(graph, np.full((1, 2, 6, 6), 50, np.int8)), whole)


def counted(zero: int, scale: float = 1 / 255) -> ModelProto:
    """A product of integers whose zero point may not be that of its input."""
    model = Qdq((8,), opset=17)
    pixels = model.q("x", scale, 3, np.uint8)
    counts = model.node(
        "MatMulInteger", [pixels, model.constant(drawn(8, 4)), model.constant(np.uint8(zero))], name="p"
    )
    number = model.node("Mul", [model.node("Cast", [counts], to=TensorProto.FLOAT), model.constant(np.float32(4e-5))])
    return model.build(model.qdq(number, 0.0311941, 3))


def test_a_product_of_integers_is_read_only_with_the_zero_point_of_its_input(tmp_path: Path) -> None:
    assert kinds(opened(counted(3), tmp_path)) == ["Dense"]
    with pytest.raises(ModelError, match="MatMulInteger 'p' is not supported: quantize it again"):
        opened(counted(0), tmp_path)


def test_a_product_of_integers_of_a_scale_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a scale of 0.0"):
        opened(counted(3, 0.0), tmp_path)


@pytest.mark.parametrize("change", ["another type", "joined with another scale", "padded without a side"])
def test_integers_that_change_their_meaning_are_refused(change: str, tmp_path: Path) -> None:
    model = Qdq((2, 4, 4), opset=17)
    pixels = model.q("x", 0.5, 7, np.uint8)
    if change == "another type":
        moved, dtype = model.node("Cast", [pixels], to=TensorProto.INT8, name="bad"), np.int8
    elif change == "joined with another scale":
        moved, dtype = joined_with(model, pixels), np.uint8
    else:
        moved, dtype = model.node("Pad", [pixels], name="bad"), np.uint8
    built = unchecked(model, model.qdq(model.dq(moved, 0.5, 7, dtype), 0.7))
    with pytest.raises(ModelError, match="bad"):
        opened(built, tmp_path)


def joined_with(model: Qdq, pixels: str) -> str:
    other = model.q(model.dq(pixels, 0.5, 7, np.uint8), 0.25, 7, np.uint8)
    return model.node("Concat", [pixels, other], axis=1, name="bad")


def unchecked(model: Qdq, output: str) -> ModelProto:
    """Built without the checker."""
    entry, end = (onnx.helper.make_tensor_value_info(n, TensorProto.FLOAT, model.shape) for n in ("x", output))
    held = [onnx.numpy_helper.from_array(value, name) for name, value in model.constants.items()]
    graph = onnx.helper.make_graph(model.nodes, "g", [entry], [end], held)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", model.opset)], ir_version=8)


def test_parts_of_integers_and_pooled_ones_keep_their_scale(tmp_path: Path) -> None:
    model = Qdq((4, 4, 4), opset=13)
    model.nodes.append(onnx.helper.make_node("Split", [model.q("x", 0.5, 7, np.uint8)], ["left", "right"], axis=1))
    pooled = [model.node("MaxPool", [part], kernel_shape=[2, 2]) for part in ("left", "right")]
    joined = model.node("Concat", pooled, axis=1)
    graph = opened(model.build(model.dq(joined, 0.5, 7, np.uint8)), tmp_path)
    inputs = np.random.default_rng(0).integers(-128, 128, (9, 4, 4, 4)).astype(np.int8)
    windows = np.lib.stride_tricks.sliding_window_view(inputs, (2, 2), (2, 3))
    assert np.array_equal(reference.run(graph, inputs), windows.max((4, 5)))
