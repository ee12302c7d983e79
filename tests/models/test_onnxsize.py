"""The memory that an ONNX file would need follows from shapes, and is refused before it is allocated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from niwaki.errors import ModelError, NiwakiError
from niwaki.limits import VARIABLE, memory_limit
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import open_session
from niwaki.models.onnxsize import activation_memory, check_runnable, images_at_once

HUGE = np.array([1, 4096, 800, 800])


def model_of(nodes: Sequence[NodeProto], shape: Sequence[int | str], **constants: np.ndarray) -> ModelProto:
    """From `x` of that shape to `y`."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)], [y],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def mean(name: str) -> NodeProto:
    return helper.make_node("ReduceMean", [name], ["y"], "mean", axes=[2, 3])


GROWING = {
    "Expand": model_of([helper.make_node("Expand", ["x", "s"], ["e"], "grow"), mean("e")], [1] * 4, s=HUGE),
    "Tile": model_of([helper.make_node("Tile", ["x", "s"], ["e"], "grow"), mean("e")], [1] * 4, s=HUGE),
    "ConstantOfShape": model_of(  # ONNX Runtime would compute it as it opens the file
        [
            helper.make_node("ConstantOfShape", ["s"], ["e"], "grow"),
            helper.make_node("ReduceMean", ["e"], ["m"], axes=[2, 3]),
            helper.make_node("Add", ["x", "m"], ["y"]),
        ],
        ["n", 4096, 1, 1], s=HUGE,
    ),
    "Conv": model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"], "grow", pads=[20_000, 20_000, 30_000, 30_000])],
        ["n", 1, 28, 28], w=np.ones((1, 1, 3, 3), np.float32),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", GROWING)
def test_what_would_be_needed_and_what_is_allowed(kind, monkeypatch):
    data = GROWING[kind].SerializeToString()
    needed = "32.6 GB" if kind == "Conv" else "10.5 GB"
    told = rf"^f: one image, most of it the output of {kind} 'grow', needs {needed} of memory, but one file may use"
    with pytest.raises(ModelError, match=rf"{told} 1 GB: if you trust it, set NIWAKI_MEMORY_LIMIT="):
        load_onnx(data, "f")
    monkeypatch.setenv(VARIABLE, "2.5GB")
    with pytest.raises(ModelError, match=f"{told} 2.5 GB"):
        load_onnx(data, "f")
    for enough in ("33GB", "none"):
        monkeypatch.setenv(VARIABLE, enough)
        assert load_onnx(data, "f") == GROWING[kind]


def test_the_limit_as_it_is_written(monkeypatch):
    assert memory_limit() == 10**9
    for text, expected in {"300": 300, "5 KB": 5000, "1.5mb": 1_500_000, "2TB": 2 * 10**12, "None": None}.items():
        monkeypatch.setenv(VARIABLE, text)
        assert memory_limit() == expected
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(NiwakiError, match="NIWAKI_MEMORY_LIMIT='much': expected a size such as 4GB, or none"):
        memory_limit()


def test_bytes_by_hand():
    """28 × 28 floats, 6 maps of 26 × 26 of them, as many after Relu; 9 bytes for each place that the windows see."""
    weights = np.ones((6, 1, 3, 3), np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    model = model_of([*nodes, helper.make_node("GlobalAveragePool", ["b"], ["y"])], ["n", 1, 28, 28], w=weights)
    maps = 4 * 6 * 26 * 26
    assert activation_memory(model).peak == max(4 * 28 * 28 + maps + 9 * 26 * 26, 2 * maps)
    assert activation_memory(model).unknown is None


def test_how_many_images_fit(monkeypatch):
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], ["n", 1, 1, 25])  # 200 bytes
    assert images_at_once(check_runnable(model, ""), 70) == 70
    monkeypatch.setenv(VARIABLE, "1KB")
    assert images_at_once(check_runnable(model, ""), 70) == 5
    monkeypatch.setenv(VARIABLE, "none")
    assert images_at_once(check_runnable(model, ""), 70) == 70


def hidden() -> ModelProto:
    """A shape that only computing tells: no rule of ONNX follows numbers through Pow."""
    nodes = [
        helper.make_node("Pow", ["s", "s"], ["t"]), helper.make_node("ConstantOfShape", ["t"], ["e"], "fill"),
        helper.make_node("ReduceMean", ["e"], ["m"], axes=[0], keepdims=0), helper.make_node("Add", ["x", "m"], ["y"]),
    ]  # fmt: skip
    return model_of(nodes, ["n", 1, 1, 1], s=np.array([3]))


def test_what_is_known_only_as_it_runs_is_not_run(monkeypatch):
    data = hidden().SerializeToString()
    load_onnx(data)  # to look at it costs nothing
    with pytest.raises(
        ModelError,
        match=r"ConstantOfShape 'fill': the size of its output is known only at run "
        "time:.*",
    ):
        open_session(data)
    monkeypatch.setenv(VARIABLE, "none")
    assert open_session(data).run(None, {"x": np.ones((1, 1, 1, 1), np.float32)})[0].item() == 1


def test_loops_are_not_run():
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    loop = helper.make_node("If", ["c"], ["y"], "maybe", then_branch=body, else_branch=body)
    with pytest.raises(ModelError, match="f: If 'maybe': how often it runs is known only at run time"):
        check_runnable(model_of([loop], ["n", 1, 1, 1], c=np.array(True)), "f")


def test_shapes_that_contradict_each_other_are_told_before_those_that_are_not_known():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    with pytest.raises(ModelError, match="f: its shapes do not fit: .*Incompatible dimensions"):
        check_runnable(model_of(nodes, ["n", 1, 1, 5], w=np.ones((4, 3), np.float32)), "f")


def test_free_sides_are_the_image_s():
    pooled = [helper.make_node("GlobalAveragePool", ["x"], ["y"])]
    assert check_runnable(model_of(pooled, ["n", 3, "h", "w"]), "").unknown is None
    grown = [helper.make_node("Tile", ["x", "s"], ["y"], "tile")]
    model = model_of(grown, ["n", 3, "h", "w"], s=np.array([1, 1, 1000, 1000]))
    with pytest.raises(ModelError, match="Tile 'tile': the size of its output is known only at run time"):
        check_runnable(model, "")


def test_operators_of_onnx_runtime_s_own():
    scale, zero = np.float32(0.1), np.int8(0)
    quantized = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    add = helper.make_node("QLinearAdd", ["q", "s", "z", "q", "s", "z", "s", "z"], ["a"], domain="com.microsoft")
    pool = helper.make_node("QLinearGlobalAveragePool", ["a", "s", "z", "s", "z"], ["p"], domain="com.microsoft")
    back = helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"])
    model = model_of([*quantized, add, pool, back], ["n", 3, 8, 8], s=scale, z=zero)
    assert activation_memory(model).unknown is None
    pool.attribute.append(helper.make_attribute("channels_last", 1))
    model = model_of([*quantized, add, pool, back], ["n", 3, 8, 8], s=scale, z=zero)
    assert activation_memory(model).unknown.op_type == "QLinearGlobalAveragePool"
