"""Small int8 networks whose products of two pixels and two weights do not fit into 16 bits, and what they must give."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qdq_models import Qdq, start

PIXELS = 64  # white ones: each is 255 steps of 1/255
PAIR, SUM = 2 * 255 * 127, PIXELS * 255 * 127
TOP = 100  # int8 steps that the sum of the first class stands for
CUT = 50  # about what is left of them where each pair stops at 2¹⁵ − 1: TOP · 32767 / PAIR
FLOAT_TOP = np.float32(PIXELS * 127)  # of the dynamic one, whose weights stand for themselves


def overflowing(*, shared: bool = False) -> bytes:
    """QDQ: a white image gives TOP steps for the first class, −TOP for the second, exactly.

    `shared`: two layers have one weight, and give the mean of their two equal scores.
    """
    model, x = start(PIXELS, 1, 1, scale=1 / 255, zero_point=-128)
    weights = model.weights(_weights().reshape(2, PIXELS, 1, 1), [1.0, 1.0])
    step = float(PIXELS * 127) / TOP
    inputs = [x]
    if shared:
        inputs.append(model.qdq(model.node("MaxPool", [x], kernel_shape=[1, 1]), 1 / 255, -128))  # the same values
    both = [model.qdq(model.node("Conv", [value, weights]), step) for value in inputs]
    y = model.qdq(model.node("Add", both), 2 * step) if shared else both[0]
    return _built(model, model.qdq(model.node("Flatten", [y]), 2 * step if shared else step))


def overflowing_dynamic(*, shared: bool = False) -> bytes:
    """MatMulInteger: a white image gives FLOAT_TOP and −FLOAT_TOP; `shared`: as the mean of two with one weight."""
    nodes = [helper.make_node("Flatten", ["x"], ["flat0"]), helper.make_node("Relu", ["flat0"], ["flat1"])]
    count = 2 if shared else 1
    for n in range(count):
        nodes += [
            helper.make_node("DynamicQuantizeLinear", [f"flat{n}"], [f"int{n}", f"scale{n}", f"zero{n}"]),
            helper.make_node("MatMulInteger", [f"int{n}", "w", f"zero{n}"], [f"sum{n}"]),
            helper.make_node("Cast", [f"sum{n}"], [f"float{n}"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"float{n}", f"scale{n}"], [f"y{n}"]),
        ]
    nodes.append(helper.make_node("Mean", [f"y{n}" for n in range(count)], ["y"]))
    graph = helper.make_graph(
        nodes, "dynamic", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS, 1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [numpy_helper.from_array(_weights().T, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def white(count: int = 1) -> np.ndarray:
    """White images as these networks take them, float32."""
    return np.ones((count, PIXELS, 1, 1), np.float32)


def _weights() -> np.ndarray:
    return np.stack([np.full(PIXELS, 127), np.full(PIXELS, -127)]).astype(np.int8)


def _built(model: Qdq, output: str) -> bytes:
    return model.build(output).SerializeToString()
