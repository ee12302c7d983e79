"""The shapes of an ONNX for one image."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from niwaki.deploy.c.qdq_constants import DEQUANTIZE, QUANTIZE, describe
from niwaki.errors import ModelError
from niwaki.models.onnxsize import check_sizes

Shape = tuple[int, ...]

_INPUT_TYPES = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8)
_FOLDED = (
    "Add", "Cast", "Concat", "Constant", "Div", "Gather", "Identity", "Mul", "Slice", "Squeeze", "Sub", "Transpose",
    "Unsqueeze",
)  # fmt: skip


def ends(model: ModelProto, name: str) -> tuple[ValueInfoProto, ValueInfoProto]:
    """The one input and the one output. Raises ModelError, with `name` for the model, where there are more."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for kind, values in (("inputs", inputs), ("outputs", model.graph.output)):
        if len(values) != 1:
            names = ", ".join(value.name for value in values)
            raise ModelError(f"{name}: {len(values)} {kind} ({names}): models with one are supported")
    return inputs[0], model.graph.output[0]


def for_one_image(model: ModelProto, name: str) -> ModelProto:
    """A copy with the batch 1 and all types and shapes that follow; shapes that nodes compute are constants.

    Raises ModelError, with `name` for the model, where the input's sides are not fixed or shapes contradict each
    other.
    """
    fixed = ModelProto()
    fixed.CopyFrom(model)
    source, target = ends(fixed, name)
    _fix_batch(source)
    del fixed.graph.value_info[:]
    target.type.tensor_type.ClearField("shape")
    for node in fixed.graph.node:
        if node.domain == "com.microsoft" and node.op_type in (QUANTIZE, DEQUANTIZE):
            node.domain = ""  # older files of ONNX Runtime; the same operators
    fixed = _inferred(fixed, name)
    while _fold(fixed):
        fixed = _inferred(fixed, name)
    return fixed


def shapes_of(model: ModelProto) -> dict[str, Shape]:
    """The shapes that are known, the batch included; 0 stands for a side that is not."""
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def _fix_batch(source: ValueInfoProto) -> None:
    kind = source.type.tensor_type
    if kind.elem_type not in _INPUT_TYPES:
        found = TensorProto.DataType.Name(kind.elem_type).lower()
        raise ModelError(f"input {source.name!r}: {found}: float, int8 and uint8 are supported")
    dims = kind.shape.dim
    if len(dims) not in (2, 4) or any(side.dim_value < 1 for side in dims[1:]):
        shape = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims)
        raise ModelError(
            f"input {source.name!r}: shape ({shape}): (batch, C, H, W) and (batch, N) with fixed sides are supported"
        )
    if dims[0].dim_value > 1:
        raise ModelError(f"input {source.name!r}: batches of {dims[0].dim_value}: a free batch, or 1, is supported")
    dims[0].dim_value = 1


def _inferred(model: ModelProto, name: str) -> ModelProto:
    check_sizes(model, name)
    try:
        return onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"{name}: its shapes do not fit: {str(error).splitlines()[0]}") from error


def _fold(model: ModelProto) -> bool:
    """Turn what does not depend on the input, shapes included, into constants; whether there was any."""
    shapes = shapes_of(model)
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        sizes = shapes.get(node.input[0], ()) if node.op_type == "Shape" else ()
        names = [str(name) for name in node.input if name]
        if node.op_type in _FOLDED and all(name in known for name in names):
            inputs = {name: numpy_helper.to_array(known[name]) for name in names}
        elif min(sizes, default=0) > 0:
            inputs = {names[0]: np.empty(sizes, np.int8)}
        else:
            kept.append(node)
            continue
        known[node.output[0]] = numpy_helper.from_array(_evaluated(node, inputs, model), node.output[0])
        model.graph.initializer.append(known[node.output[0]])
    found = len(kept) < len(model.graph.node)
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return found


def _evaluated(node: NodeProto, inputs: dict[str, np.ndarray], model: ModelProto) -> np.ndarray:
    """The first output of a node, as ONNX's own reference computes it."""
    from onnx.reference import ReferenceEvaluator  # slow to import, and seldom needed

    output = helper.make_value_info(node.output[0], onnx.TypeProto())
    graph = helper.make_graph([node], "node", [], [output])
    graph.input.extend(helper.make_value_info(name, onnx.TypeProto()) for name in inputs)
    try:
        values: Any = ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import)).run(None, inputs)
    except Exception as error:  # whatever a wrong node makes NumPy raise
        raise ModelError(f"{describe(node)} cannot be computed: {error}") from error
    return np.asarray(values[0])
