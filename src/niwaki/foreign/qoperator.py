"""QOperator ONNX as QDQ: each operator on integers becomes its float form between DequantizeLinear and QuantizeLinear.

The scales and zero points stay those of the file. ONNX Runtime writes such files with QuantFormat.QOperator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_DROPPED = ("channels_last", "opset", "alpha")  # attributes that the float form lacks; what they may say is checked
_PASSING = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Unsqueeze")


def as_qdq(model: ModelProto) -> ModelProto:
    """The model with its operators on integers rewritten; itself if it has none.

    Nodes must be in an order in which they run. What cannot be rewritten stays, and is an error where it is read.
    """
    passes = _Rewriting({tensor.name: tensor for tensor in model.graph.initializer})
    for node in model.graph.node:
        passes.take(node)
    if not passes.changed:
        return model
    rewritten = ModelProto()
    rewritten.CopyFrom(model)
    del rewritten.graph.node[:]
    rewritten.graph.node.extend(passes.nodes)
    rewritten.graph.initializer.extend(passes.constants)
    del rewritten.graph.value_info[:]
    return rewritten


@dataclass
class _Rewriting:
    """Nodes so far, and scale and zero point of each quantized activation."""

    known: dict[str, TensorProto]
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    scales: dict[str, list[str]] = field(default_factory=dict)
    changed: bool = False

    def take(self, node: NodeProto) -> None:
        """One more node."""
        write = _WRITTEN.get(node.op_type)
        if node.op_type == "QuantizeLinear":
            self.scales[node.output[0]] = list(node.input[1:])
            self.nodes.append(node)
        elif write is not None and not _says(node, "channels_last", 0) and not _says(node, "alpha", 1.0):
            try:
                write(self, node)
            except (ValueError, IndexError):  # not the inputs that it must have
                self.nodes.append(node)
            self.changed = True
        elif node.op_type in _PASSING and node.input[0] in self.scales:
            scale = self.scales[node.input[0]]
            inputs = [self.number(node.input[0], scale), *node.input[1:]]
            self.computed(node, node.op_type, inputs, scale)
            self.changed = True
        else:
            self.nodes.append(node)

    def number(self, name: str, scale: list[str], axis: int | None = None) -> str:
        """The float value of an integer one."""
        made = f"{name}_number_{len(self.nodes)}"
        several = axis is not None and scale[0] in self.known and np.prod(self.known[scale[0]].dims) > 1
        extra: dict[str, Any] = {"axis": axis} if several else {}
        self.nodes.append(helper.make_node("DequantizeLinear", [name, *scale], [made], f"{made}_made", **extra))
        return made

    def bias(self, name: str, scales: tuple[str, str]) -> list[str]:
        """The float value of an int32 bias, in units of the product of two scales; nothing if there is none."""
        if not name or not all(scale in self.known for scale in scales):
            return []
        a, b = (numpy_helper.to_array(self.known[scale]).astype(np.float32) for scale in scales)
        unit = f"{name}_unit_{len(self.nodes)}"
        whole = np.array(a.reshape(-1)[0] * b, np.float32)
        tensor = numpy_helper.from_array(whole.reshape(-1) if whole.size > 1 else whole.reshape(()), unit)
        self.constants.append(tensor)
        self.known[unit] = tensor
        return [self.number(name, [unit], 0)]

    def computed(self, node: NodeProto, kind: str, inputs: list[str], scale: list[str]) -> None:
        """The float operator, and what rounds its result."""
        made = f"{node.output[0]}_float"
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        kept: dict[str, Any] = {name: value for name, value in attributes.items() if name not in _DROPPED}
        self.nodes.append(helper.make_node(kind, inputs, [made], node.name or node.output[0], **kept))
        self.nodes.append(helper.make_node("QuantizeLinear", [made, *scale], [node.output[0]], f"{made}_rounded"))
        self.scales[node.output[0]] = scale


def _says(node: NodeProto, name: str, usual: float) -> bool:
    """Whether an attribute has another value than the usual one."""
    return any(entry.name == name and helper.get_attribute_value(entry) != usual for entry in node.attribute)


def _conv(made: _Rewriting, node: NodeProto) -> None:
    x, xs, xz, w, ws, wz, ys, yz, *bias = node.input
    inputs = [made.number(x, [xs, xz]), made.number(w, [ws, wz], 0), *made.bias("".join(bias), (xs, ws))]
    made.computed(node, "Conv", inputs, [ys, yz])


def _matmul(made: _Rewriting, node: NodeProto) -> None:
    a, az, azero, b, bz, bzero, ys, yz = node.input
    made.computed(node, "MatMul", [made.number(a, [az, azero]), made.number(b, [bz, bzero], 1)], [ys, yz])


def _gemm(made: _Rewriting, node: NodeProto) -> None:
    a, scale, zero, b, bz, bzero, c, *end = node.input
    inputs = [made.number(a, [scale, zero]), made.number(b, [bz, bzero], 0 if _says(node, "transB", 0) else 1)]
    made.computed(node, "Gemm", [*inputs, *made.bias(c, (scale, bz))], end)


def _add(made: _Rewriting, node: NodeProto) -> None:
    a, az, azero, b, bz, bzero, ys, yz = node.input
    made.computed(node, "Add", [made.number(a, [az, azero]), made.number(b, [bz, bzero])], [ys, yz])


def _concat(made: _Rewriting, node: NodeProto) -> None:
    ys, yz, *parts = node.input
    inputs = [made.number(parts[i], parts[i + 1 : i + 3]) for i in range(0, len(parts), 3)]
    made.computed(node, "Concat", inputs, [ys, yz])


def _of_one(kind: str) -> Callable[[_Rewriting, NodeProto], None]:
    def write(made: _Rewriting, node: NodeProto) -> None:
        x, xs, xz, ys, yz = node.input
        made.computed(node, kind, [made.number(x, [xs, xz])], [ys, yz])

    return write


_WRITTEN: dict[str, Callable[[_Rewriting, NodeProto], None]] = {
    "QGemm": _gemm,
    "QLinearAdd": _add,
    "QLinearAveragePool": _of_one("AveragePool"),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _of_one("GlobalAveragePool"),
    "QLinearMatMul": _matmul,
    "QLinearSoftmax": _of_one("Softmax"),
}
