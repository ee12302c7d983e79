"""Operators on integers as QDQ: each becomes its float form between DequantizeLinear and QuantizeLinear.

The scales and zero points stay those of the file. ONNX Runtime writes such operators with QuantFormat.QOperator;
tf2onnx moves and pools integers as they are; torch casts them to the type that they have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_DROPPED = ("channels_last", "opset", "alpha")  # attributes that the float form lacks; what they may say is checked
_PASSING = (
    "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # on integers; the result has the scale of the first input  # fmt: skip
_UINT8 = TensorProto.UINT8


def as_qdq(model: ModelProto) -> ModelProto:
    """The model with its operators on integers rewritten; itself if it has none.

    Nodes must be in an order in which they run. What cannot be rewritten stays, and is an error where it is read.
    """
    passes = _Rewriting({tensor.name: tensor for tensor in model.graph.initializer})
    passes.begin(model)
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
    counts: set[str] = field(default_factory=set)
    """Float values that stand for the integers of ConvInteger and MatMulInteger."""
    changed: bool = False

    def begin(self, model: ModelProto) -> None:
        """Take constants that nodes make, and the scale of an integer input that is moved before it is dequantized."""
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self.known[node.output[0]] = node.attribute[0].t
            elif node.op_type == "Identity" and node.input[0] in self.known:
                self.known[node.output[0]] = self.known[node.input[0]]
        makers = {name: node for node in model.graph.node for name in node.output}
        integers = {
            value.name for value in model.graph.input
            if value.name not in self.known and value.type.tensor_type.elem_type in (TensorProto.INT8, _UINT8)
        }  # fmt: skip
        for node in model.graph.node:
            name = node.input[0] if node.op_type == "DequantizeLinear" else ""
            while (maker := makers.get(name)) is not None and maker.op_type in (*_PASSING, "Pad"):
                name = maker.input[0]
            if name in integers and name != node.input[0] and len(node.input) > 2:
                self.scales[name] = list(node.input[1:])

    def take(self, node: NodeProto) -> None:
        """One more node."""
        write = _WRITTEN.get(node.op_type)
        if node.op_type == "QuantizeLinear":
            if len(node.input) > 2 or not _says(node, "output_dtype", 0):
                self.scales[node.output[0]] = list(node.input[1:])
            self.nodes.append(node)
        elif write is not None and not _says(node, "channels_last", 0) and not _says(node, "alpha", 1.0):
            try:
                write(self, node)
            except (ValueError, IndexError):  # not the inputs that it must have
                self.nodes.append(node)
            self.changed = True
        elif self.moved(node) or self.counted(node):
            self.changed = True
        else:
            self.nodes.append(node)

    def moved(self, node: NodeProto) -> bool:
        """An operator that moves or pools integers; whether it is one."""
        scale = self.scales.get(node.input[0]) if node.input else None
        if scale is None:
            return False
        if node.op_type in _PASSING:
            self.computed(node, node.op_type, [self.number(node.input[0], scale), *node.input[1:]], scale)
        elif node.op_type == "Cast" and _says_type(node) == self.type_of(scale):
            self.computed(node, "Identity", [self.number(node.input[0], scale)], scale)
        elif node.op_type == "Concat" and all(self.is_alike(self.scales.get(name), scale) for name in node.input):
            self.computed(node, "Concat", [self.number(name, scale) for name in node.input], scale)
        elif node.op_type == "Pad" and len(node.input) > 1:
            around = node.input[2] if len(node.input) > 2 and node.input[2] else self.zero(scale)
            inputs = [self.number(node.input[0], scale), node.input[1], self.number(around, scale), *node.input[3:]]
            self.computed(node, "Pad", inputs, scale)
        else:
            return False
        return True

    def counted(self, node: NodeProto) -> bool:
        """A product of integers, or what is done to one before it is float; whether it is such a node."""
        source = node.input[0] if node.input else ""
        if node.op_type in _INTEGER and self.is_static(node):
            scale, zero = self.scales[source], [*node.input, "", ""][3]
            unit = self.constant(f"{node.output[0]}_unit", self.inverse(scale[0], zero))
            weights = self.number(node.input[1], [unit, *([zero] if zero else [])], 0 if "Conv" in node.op_type else 1)
            given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            inputs = [self.number(source, scale), weights]
            made = helper.make_node(
                _INTEGER[node.op_type], inputs, node.output[:1], node.name or node.output[0], **given
            )
            self.nodes.append(made)
        elif node.op_type == "Cast" and source in self.counts and _says_type(node) == TensorProto.FLOAT:
            self.nodes.append(helper.make_node("Identity", [source], node.output[:1], node.name or node.output[0]))
            return True
        elif node.op_type == "Add" and not self.counts.isdisjoint(node.input):
            inputs = [name if name in self.counts else self.as_float(name) for name in node.input]
            self.nodes.append(helper.make_node("Add", inputs, node.output[:1], node.name or node.output[0]))
        elif node.op_type in ("Reshape", "Unsqueeze", "Squeeze", "Transpose") and source in self.counts:
            self.nodes.append(node)
        else:
            return False
        self.counts.add(node.output[0])
        return True

    def is_static(self, node: NodeProto) -> bool:
        """Whether a product of integers has constant weights, and an input of one known scale with its zero point."""
        source, weights, zero, _ = [*node.input, "", "", ""][:4]
        scale = self.scales.get(source, [""])
        if weights not in self.known or scale[0] not in self.known:
            return False
        number = numpy_helper.to_array(self.known[scale[0]]).reshape(-1)
        zeros = [
            numpy_helper.to_array(self.known[name]).reshape(-1).astype(int).tolist() if name in self.known else [0]
            for name in (zero, "".join(scale[1:2]))
        ]
        return number.size == 1 and bool(number[0] > 0) and zeros[0] == zeros[1]

    def inverse(self, scale: str, zero: str) -> np.ndarray:
        """What one unit of a weight stands for if a sum is counted in integers: as many numbers as zero points."""
        count = int(np.prod(self.known[zero].dims)) if zero in self.known else 1
        one = np.float32(1 / numpy_helper.to_array(self.known[scale]).astype(np.float64).reshape(-1)[0])
        return np.full(count, one, np.float32) if count > 1 else np.asarray(one)

    def as_float(self, name: str) -> str:
        """An integer constant as float, if it is one."""
        if name not in self.known:
            return name
        return self.constant(
            f"{name}_float_{len(self.nodes)}", numpy_helper.to_array(self.known[name]).astype(np.float32)
        )

    def constant(self, name: str, values: np.ndarray) -> str:
        """A constant of that name."""
        tensor = numpy_helper.from_array(values, name)
        self.constants.append(tensor)
        self.known[name] = tensor
        return name

    def type_of(self, scale: list[str]) -> int:
        """The type of the integers that a scale and zero point stand for."""
        if len(scale) < 2 or not scale[1]:
            return _UINT8
        return self.known[scale[1]].data_type if scale[1] in self.known else TensorProto.UNDEFINED

    def zero(self, scale: list[str]) -> str:
        """The integer 0, with which Pad fills unless it says another."""
        kind = helper.tensor_dtype_to_np_dtype(self.type_of(scale) or _UINT8)
        return self.constant(f"{scale[0]}_nothing_{len(self.nodes)}", np.zeros((), kind))

    def is_alike(self, one: list[str] | None, other: list[str]) -> bool:
        """Whether two scales and zero points are equal."""
        if one is None or len(one) != len(other):
            return False
        pairs = list(zip(one, other, strict=True))
        return all(
            a == b or (a in self.known and b in self.known and _equal(self.known[a], self.known[b])) for a, b in pairs
        )

    def number(self, name: str, scale: list[str], axis: int | None = None) -> str:
        """The float value of an integer one."""
        made = f"{name}_number_{len(self.nodes)}"
        several = axis is not None and scale[0] in self.known and np.prod(self.known[scale[0]].dims) > 1
        self.nodes.append(helper.make_node("DequantizeLinear", [name, *scale], [made], f"{made}_made"))
        if several:
            self.nodes[-1].attribute.append(helper.make_attribute("axis", axis))
        return made

    def bias(self, name: str, scales: tuple[str, str]) -> list[str]:
        """The float value of an int32 bias, in units of the product of two scales; nothing if there is none."""
        if not name or not all(scale in self.known for scale in scales):
            return []
        a, b = (numpy_helper.to_array(self.known[scale]).astype(np.float32) for scale in scales)
        unit = f"{name}_unit_{len(self.nodes)}"
        whole = np.array(a.reshape(-1)[0] * b, np.float32)
        self.constant(unit, whole.reshape(-1) if whole.size > 1 else whole.reshape(()))
        return [self.number(name, [unit], 0)]

    def computed(self, node: NodeProto, kind: str, inputs: list[str], scale: list[str]) -> None:
        """The float operator, and what rounds its result."""
        outputs = node.output if kind == "Split" else node.output[:1]
        made = [f"{name}_float" for name in outputs]
        self.nodes.append(helper.make_node(kind, inputs, made, node.name or node.output[0]))
        kept = (entry for entry in node.attribute if entry.name not in _DROPPED and kind != "Identity")
        self.nodes[-1].attribute.extend(kept)
        for number, name in zip(made, outputs, strict=True):
            self.nodes.append(helper.make_node("QuantizeLinear", [number, *scale], [name], f"{number}_rounded"))
            self.scales[name] = scale


def _says(node: NodeProto, name: str, usual: float) -> bool:
    """Whether an attribute has another value than the usual one."""
    return any(entry.name == name and helper.get_attribute_value(entry) != usual for entry in node.attribute)


def _says_type(node: NodeProto) -> int:
    return next((int(entry.i) for entry in node.attribute if entry.name == "to"), TensorProto.UNDEFINED)


def _equal(a: TensorProto, b: TensorProto) -> bool:
    return bool(np.array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b)))


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


_INTEGER = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
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
