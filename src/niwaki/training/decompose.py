"""Norms, other reductions and Einsum as operators that the integer form has.

What divides an activation by its own L2 norm becomes one LpNormalization: the integer form rounds it once, while a sum
of squares in 8 bits would lose small norms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from niwaki.training.einsum import matrix_product

_SMALL = 1e-5  # what guards a division by a norm; more would change the quotient
_GUARDS = ("Clip", "Max", "Add", "Expand")


@dataclass
class Rewriting:
    """The nodes of a graph while some are replaced; what is known about its values."""

    model: ModelProto
    shapes: dict[str, tuple[int, ...]]
    """With the batch; 0 for a side that is not known."""
    constants: dict[str, np.ndarray]
    makers: dict[str, NodeProto]
    opset: int
    nodes: list[NodeProto] = field(default_factory=list)

    def node(self, kind: str, inputs: Sequence[str], of: NodeProto, part: str, **attributes: Any) -> str:
        """Add a node that computes `part` of another one; returns its output, which is the other's if `part` is ""."""
        output = f"{of.output[0]}_{part}" if part else of.output[0]
        name = f"{of.name}_{part}" if part else of.name
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output

    def constant(self, values: np.ndarray, of: NodeProto, part: str) -> str:
        """Add a constant; returns its name."""
        name = f"{of.output[0]}_{part}"
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))
        self.constants[name] = values
        return name

    def reduced(self, kind: str, x: str, of: NodeProto, part: str, axes: Sequence[int], keep: int) -> str:
        """A reduction, whose axes are an attribute or an input, as the operator set has it."""
        if kind == "ReduceSum" or self.opset >= 18:
            inputs = [x, self.constant(np.array(axes, np.int64), of, f"{part or kind}_axes")]
            return self.node(kind, inputs, of, part, keepdims=keep)
        return self.node(kind, [x], of, part, axes=list(axes), keepdims=keep)


def decompose(model: ModelProto) -> None:
    """Replace such nodes, in place: the same numbers up to rounding in float. Nodes have names.

    An Einsum that is no product of two matrices stays as it is, and so does ReduceProd.
    """
    kinds = {node.op_type for node in model.graph.node}
    if kinds.isdisjoint((*_REDUCTIONS, "Einsum", "LpNormalization", "Div")):
        return
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes |= {name: array.shape for name, array in constants.items()}
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    makers = {name: node for node in model.graph.node for name in node.output}
    rewriting = Rewriting(model, shapes, constants, makers, opset)
    for node in model.graph.node:
        before = len(rewriting.nodes)
        if not (_normalized(node, rewriting) or _reduction(node, rewriting) or _einsum(node, rewriting)):
            del rewriting.nodes[before:]
            rewriting.nodes.append(node)
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in _used(model, rewriting.nodes)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _used(model: ModelProto, nodes: list[NodeProto]) -> list[NodeProto]:
    """Those that a new node did not make useless."""
    wanted, used = {value.name for value in model.graph.output}, []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            used.append(node)
            wanted.update(node.input)
    return used[::-1]


def _normalized(node: NodeProto, made: Rewriting) -> bool:
    """An activation divided by its own norm, with whatever guards it from a norm of 0."""
    if node.op_type != "Div":
        return False
    source, root = node.input[0], _behind_guards(node.input[1], made)
    axes = _norm_of(source, root, made) if root is not None else None
    if axes is None or len(axes) != 1:
        return False
    made.node("LpNormalization", [source], node, "", axis=axes[0], p=2)
    return True


def _behind_guards(name: str, made: Rewriting) -> NodeProto | None:
    """The node of a value before it was limited to a tiny number, or repeated."""
    node = made.makers.get(name)
    while node is not None and node.op_type in _GUARDS:
        limits = [made.constants.get(other) for other in node.input[1:] if other] if node.op_type != "Expand" else []
        if any(limit is None or limit.size != 1 or not 0 <= float(limit.flat[0]) <= _SMALL for limit in limits):
            return None
        node = made.makers.get(node.input[0])
    return node


def _norm_of(source: str, root: NodeProto, made: Rewriting) -> list[int] | None:
    """The axes of an L2 norm of `source` that keeps them, as one node or as the root of another."""
    if root.op_type == "ReduceL2":
        return _kept_axes(root, made) if root.input[0] == source else None
    total = _behind_guards(root.input[0], made) if root.op_type == "Sqrt" else None
    if total is None or total.op_type != "ReduceSumSquare" or total.input[0] != source:
        return None
    return _kept_axes(total, made)


def _kept_axes(node: NodeProto, made: Rewriting) -> list[int] | None:
    return _axes(node, made) if _given(node).get("keepdims", 1) else None


def _given(node: NodeProto) -> dict[str, object]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _axes(node: NodeProto, made: Rewriting) -> list[int] | None:
    """The axes of a reduction, from 0; None if they are not known."""
    rank, given = len(made.shapes.get(node.input[0], ())), _given(node)
    axes = given.get("axes")
    if len(node.input) > 1 and node.input[1]:
        found = made.constants.get(node.input[1])
        axes = None if found is None else found.ravel().tolist()
    if not rank or not isinstance(axes, list) or not axes:
        return None
    return [int(axis) % rank for axis in axes]


def _reduction(node: NodeProto, made: Rewriting) -> bool:
    rewrite = _REDUCTIONS.get(node.op_type)
    if node.op_type == "LpNormalization" and _given(node).get("p", 2) == 1:
        size = made.node("Abs", [node.input[0]], node, "sizes")
        axis = _given(node).get("axis", -1)
        assert isinstance(axis, int)
        total = made.reduced("ReduceSum", size, node, "total", [axis], 1)
        made.node("Div", [node.input[0], total], node, "")
        return True
    axes = _axes(node, made) if rewrite is not None else None
    if rewrite is None or axes is None:
        return False
    keep = _given(node).get("keepdims", 1)
    assert isinstance(keep, int)
    rewrite(node, made, axes, keep)
    return True


def _l1(node: NodeProto, made: Rewriting, axes: list[int], keep: int) -> None:
    made.reduced("ReduceSum", made.node("Abs", [node.input[0]], node, "sizes"), node, "", axes, keep)


def _l2(node: NodeProto, made: Rewriting, axes: list[int], keep: int) -> None:
    squares = made.node("Mul", [node.input[0]] * 2, node, "squares")
    made.node("Sqrt", [made.reduced("ReduceSum", squares, node, "total", axes, keep)], node, "")


def _sum_of_squares(node: NodeProto, made: Rewriting, axes: list[int], keep: int) -> None:
    squares = made.node("Mul", [node.input[0]] * 2, node, "squares")
    made.reduced("ReduceSum", squares, node, "", axes, keep)


def _log_sum(node: NodeProto, made: Rewriting, axes: list[int], keep: int) -> None:
    made.node("Log", [made.reduced("ReduceSum", node.input[0], node, "total", axes, keep)], node, "")


def _log_sum_exp(node: NodeProto, made: Rewriting, axes: list[int], keep: int) -> None:
    """As differences from the largest, so that all powers are 1 or less."""
    x, whole = node.input[0], "" if keep else "kept"
    most = made.reduced("ReduceMax", x, node, "most", axes, 1)
    powers = made.node("Exp", [made.node("Sub", [x, most], node, "below")], node, "powers")
    log = made.node("Log", [made.reduced("ReduceSum", powers, node, "total", axes, 1)], node, "log")
    found = made.node("Add", [log, most], node, whole)
    if not keep:
        made.node("Squeeze", [found, made.constant(np.array(axes, np.int64), node, "axes")], node, "")


def _least(node: NodeProto, made: Rewriting, axes: list[int], keep: int) -> None:
    turned = made.node("Neg", [node.input[0]], node, "turned")
    made.node("Neg", [made.reduced("ReduceMax", turned, node, "most", axes, keep)], node, "")


def _einsum(node: NodeProto, made: Rewriting) -> bool:
    return node.op_type == "Einsum" and matrix_product(node, made)


_REDUCTIONS: dict[str, Callable[[NodeProto, Rewriting, list[int], int], None]] = {
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMin": _least,
    "ReduceSumSquare": _sum_of_squares,
}
