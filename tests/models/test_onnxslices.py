"""Slices behind windows that leave their image: a line of text, where ONNX's shape inference ends the process."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from niwaki.errors import ModelError
from niwaki.models import onnxslices
from niwaki.models.onnxfile import load_onnx


def pooled(kernel: int, source: str = "x", target: str = "p") -> NodeProto:
    return helper.make_node("MaxPool", [source], [target], "pool", kernel_shape=[kernel, 1])


def sliced(source: str = "p", target: str = "y", name: str = "cut") -> NodeProto:
    return helper.make_node("Slice", [source, "start", "end", "axis"], [target], name)


def model(*nodes: NodeProto, functions: tuple[FunctionProto, ...] = ()) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
            (("x", ["n", 2, 6, 5]), ("y", ["a", "b", "c", "d"]))]  # fmt: skip
    numbers = {"start": 0, "end": 2, "axis": 2}
    constants = [numpy_helper.from_array(np.array([value]), name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 13), *([helper.make_opsetid("own", 1)] if functions else [])]
    made: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)
    return made.SerializeToString()


def test_a_window_beyond_the_image_before_a_slice() -> None:
    with pytest.raises(
        ModelError, match=r"^it: its shapes do not fit: Slice 'cut' reads 'p' of shape \(1, 2, -2, 5\)$"
    ):
        load_onnx(model(pooled(9), sliced()), "it")


def test_the_second_of_two_slices() -> None:
    nodes = (sliced("x", "half", "first"), pooled(9, "half"), sliced(name="second"))
    with pytest.raises(ModelError, match=r"Slice 'second' reads 'p' of shape \(1, 2, -6, 5\)"):
        load_onnx(model(*nodes), "it")


def test_a_slice_within_a_function() -> None:
    body = [helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[9, 1]), sliced("p", "b")]
    made = helper.make_function("own", "Cut", ["a", "start", "end", "axis"], ["b"], body, [helper.make_opsetid("", 13)])
    call = helper.make_node("Cut", ["x", "start", "end", "axis"], ["y"], domain="own")
    with pytest.raises(ModelError, match=r"Slice 'cut.*' reads .* of shape \(1, 2, -2, 5\)"):
        load_onnx(model(call, functions=(made,)), "it")


def test_slices_of_images_are_read() -> None:
    names = ["x", *(f"v{index}" for index in range(4)), "y"]
    nodes = [sliced(*ends, name=f"cut{number}") for number, ends in enumerate(pairwise(names))]
    assert len(load_onnx(model(*nodes), "it").graph.node) == 5


def test_too_many_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxslices, "_MOST", 1)
    with pytest.raises(ModelError, match="2 Slices one after another: up to 1 are supported"):
        load_onnx(model(sliced("x", "a", "one"), sliced("a", "y", "two")), "it")
