"""Which activations of a float network need no quantizer: those within a function of one tensor, or within a layer.

The integer form computes any number of element-wise nodes on one tensor by one table, and takes factors and offsets of
channels into the convolution or linear layer right before them: rounding in between would lose accuracy for nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from niwaki.codegen.readers.qdq_functions import rows_of
from niwaki.codegen.readers.qdq_operators import ELEMENTWISE
from niwaki.training.quantize_checks import constants

_PRODUCTS = ("Conv", "Gemm", "MatMul")
_CLAMPS = ("Relu", "Clip")
_LINES = ("Add", "Sub", "Mul", "Div", "BatchNormalization")


@dataclass(frozen=True)
class Regions:
    """Names of activations, and of the nodes that the quantizer passes over."""

    inside: frozenset[str]
    """Activations without a quantizer."""
    ends: tuple[str, ...]
    """What element-wise nodes begin with and result in: it has one."""
    nodes: tuple[str, ...]
    """The element-wise nodes."""


@dataclass(frozen=True)
class _State:
    """Where an activation comes from: the tensor that is quantized, and what is between."""

    base: str
    product: bool = False  # the result of a layer and of lines after it
    axis: int | None = None  # along which constants vary
    channel: int = 0  # the axis, without the batch, of the layer's outputs
    line: bool = True


def regions_of(model: ModelProto) -> Regions:
    """The regions of a float model whose nodes have names and stand in order."""
    graph, known = model.graph, constants(model)
    shapes = _shapes(model)
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    states: dict[str, _State] = {}
    joined: dict[tuple[str, str], _State] = {}  # from an activation and the node that reads it
    nodes = []
    for node in graph.node:
        result = node.output[0]
        read = [name for name in dict.fromkeys(node.input) if name and name not in known]
        if node.op_type in _PRODUCTS and len(read) == 1 and uses[result] == 1:
            channel = 0 if node.op_type == "Conv" else max(len(shapes.get(result, ())) - 2, 0)
            states[result] = _State(result, product=True, channel=channel)
            continue
        state = _joined(node, read, states, known, shapes)
        if state is None:
            continue
        if node.op_type not in _CLAMPS or state.base != read[0]:
            nodes.append(node.name)
        states[result] = state
        joined |= {(name, node.name): state for name in read}
    inside = _inside(graph, states, joined, uses)
    made = {node.output[0]: node.name for node in graph.node}
    results = [name for name in states if made[name] in nodes]
    bases = [states[name].base for name in results if not states[name].product]
    ends = [name for name in dict.fromkeys([*bases, *results]) if name not in inside]
    return Regions(frozenset(inside), tuple(ends), tuple(nodes))


def _joined(
    node: NodeProto, read: list[str], states: dict[str, _State], known: dict[str, np.ndarray],
    shapes: dict[str, tuple[int, ...]],
) -> _State | None:  # fmt: skip
    """The state of a node's result if it is element-wise; None if it is not, or has two tensors."""
    clamp, shape = node.op_type in _CLAMPS, shapes.get(read[0], ()) if read else ()
    axes = _axes(node, known, shape)
    if not read or axes is None or len(axes) > 1 or not (node.op_type in ELEMENTWISE or clamp):
        return None
    axis = next(iter(axes), None)
    line = node.op_type in _LINES and len(read) == 1
    before = [_continued(states.get(name, _State(name)), name, line, axis) for name in read]
    first = before[0]
    if len({(state.base, state.axis) for state in before}) > 1 or (clamp and first.base == read[0]):
        return None  # two tensors; or a clamp, which the layer before it absorbs
    axis = first.axis if axis is None else axis
    line = line and all(state.line for state in before)
    return _State(first.base, first.product, axis, first.channel, line)


def _continued(state: _State, name: str, line: bool, axis: int | None) -> _State:
    """The state to go on from: a new one if the activation `name` has to be quantized first."""
    if state.product and not (line and axis in (None, state.channel)):
        return _State(name)
    if state.axis is not None and ((state.line and not line) or axis not in (None, state.axis)):
        return _State(name)
    return state


def _axes(node: NodeProto, known: dict[str, np.ndarray], shape: tuple[int, ...]) -> set[int] | None:
    """The axes, without the batch, along which a node's constants vary; None if one varies along several."""
    if node.op_type == "BatchNormalization":
        return {0}
    found = set()
    for name in node.input if node.op_type not in _CLAMPS else ():
        if name in known and known[name].size > 1:
            rows = rows_of(known[name], shape[1:]) if len(shape) > 1 else None
            if rows is None:
                return None
            found.add(rows[1])
    return found


def _inside(
    graph: onnx.GraphProto, states: dict[str, _State], joined: dict[tuple[str, str], _State], uses: Counter[str]
) -> set[str]:
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    inside = set()
    for name, state in states.items():
        if name == state.base and not state.product:
            continue
        found = [joined.get((name, node.name)) for node in readers.get(name, ())]
        within = all(after is not None and _same(after, state) for after in found)
        if found and within and uses[name] == sum(list(node.input).count(name) for node in readers[name]):
            inside.add(name)  # nothing else reads it, nor is it the network's output
    return inside


def _same(after: _State, before: _State) -> bool:
    return (after.base, after.product) == (before.base, before.product)


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}
