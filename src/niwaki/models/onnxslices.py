"""Shapes that ONNX's own shape inference does not survive: a Slice of a tensor with a negative side ends the process.

A window that leaves its image gives such a side, which inference passes on without a word.
"""

from __future__ import annotations

import onnx
import onnx.inliner
from onnx import GraphProto, ModelProto

from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label

_MOST = 500  # Slices one after another: each takes an inference of what lies before it


def check_slices(model: ModelProto) -> None:
    """Raise ModelError naming a Slice whose input has a negative side; `model` is sorted.

    Graphs inside nodes are not looked at.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    levels = _levels(model.graph)
    if max(levels, default=0) > _MOST:
        raise ModelError(f"{max(levels):,} Slices one after another: up to {_MOST} are supported")
    for level in range(1, max(levels, default=0) + 1):
        before = [node for node, at in zip(model.graph.node, levels, strict=True) if at < level]
        graph = GraphProto(name="part", node=before, input=model.graph.input, initializer=model.graph.initializer)
        part = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)
        inferred = onnx.shape_inference.infer_shapes(part, data_prop=True)
        sides = {value.name: _sides(value) for value in (*inferred.graph.input, *inferred.graph.value_info)}
        for node, at in zip(model.graph.node, levels, strict=True):
            if node.op_type == "Slice" and at == level and min(sides.get(node.input[0], ()), default=0) < 0:
                raise ModelError(f"{label(node)} reads {node.input[0]!r} of shape {sides[node.input[0]]}")


def _sides(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)


def _levels(graph: GraphProto) -> list[int]:
    """For each node, how many Slices lie on the longest way to it, itself included."""
    found: list[int] = []
    by_value: dict[str, int] = {}
    for node in graph.node:
        level = max((by_value.get(name, 0) for name in node.input), default=0) + (node.op_type == "Slice")
        by_value |= dict.fromkeys(node.output, level)
        found.append(level)
    return found
