"""Fold what an ONNX model computes from shapes and constants alone: `x.view(x.size(0), -1)` as exporters write it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label

Shape = tuple[int, ...]

_FOLDED = (
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape",
    "Div", "Gather", "Identity", "Mul", "Slice", "Squeeze", "Sub", "Transpose",
    "Unsqueeze",
)  # fmt: skip


_LARGEST = 1 << 20  # elements of a constant that a shape alone makes


def shapes_of(model: ModelProto) -> dict[str, Shape]:
    """The known shapes, including the batch; 0 stands for an unknown dimension."""
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def fold(model: ModelProto, *, most: int | None = None) -> bool:
    """Turn everything that does not depend on the input, including shapes, into constants; returns whether there was
    any.

    It does not compute with constants of more than `most` elements. Raises ModelError for a node that cannot be
    computed.
    """
    shapes = shapes_of(model)
    known = {tensor.name: tensor for tensor in model.graph.initializer if most is None or prod(tensor.dims) <= most}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        sizes = shapes.get(node.input[0], ()) if node.op_type == "Shape" else ()
        given = {entry.name: entry.i for entry in node.attribute} if sizes else {}
        read = sizes[given.get("start", 0) : given.get("end", len(sizes))]
        names = [str(name) for name in node.input if name]
        fixed = all(name in known for name in names)
        if fixed and (node.op_type in _FOLDED or _turns_a_shape(node, known)):
            inputs = {name: numpy_helper.to_array(known[name]) for name in names}
            if node.op_type == "ConstantOfShape" and prod(inputs[names[0]].ravel().tolist()) > _LARGEST:
                kept.append(node)
                continue
        elif min(read, default=0) > 0:
            inputs = {names[0]: np.broadcast_to(np.int8(0), [side or 1 for side in sizes])}
        else:
            kept.append(node)
            continue
        made = numpy_helper.from_array(_evaluated(node, inputs, model), node.output[0])
        model.graph.initializer.append(made)
        if most is None or prod(made.dims) <= most:
            known[node.output[0]] = made
    found = len(kept) < len(model.graph.node)
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return found


def _turns_a_shape(node: NodeProto, known: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether it is a Reshape of whole numbers, as of sizes that are joined; weights stay as they are."""
    return node.op_type == "Reshape" and known[node.input[0]].data_type == onnx.TensorProto.INT64


def _evaluated(node: NodeProto, inputs: dict[str, np.ndarray], model: ModelProto) -> np.ndarray:
    """The first output of a node, computed by ONNX's own reference implementation."""
    from onnx.reference import ReferenceEvaluator  # slow to import and seldom needed

    output = helper.make_value_info(node.output[0], onnx.TypeProto())
    graph = helper.make_graph([node], "node", [], [output])
    graph.input.extend(helper.make_value_info(name, onnx.TypeProto()) for name in inputs)
    try:
        values: Any = ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import)).run(None, inputs)
    except Exception as error:  # whatever a wrong node makes NumPy raise
        raise ModelError(f"{label(node)} cannot be computed: {error}") from error
    return np.asarray(values[0])
