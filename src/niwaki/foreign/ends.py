"""The ends of another tool's int8 network as niwaki has them: channels first, int8 scores that nothing picks from."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from niwaki.models.onnxfile import LAYOUT

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_PASSING = (QUANTIZE, DEQUANTIZE, "Cast", "Identity")
_AFTER = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")  # of an ArgMax
_CHANNELS_FIRST = [0, 3, 1, 2]


def with_plain_ends(model: ModelProto) -> ModelProto:
    """The model without an ArgMax at its end, and with channels first if it begins by turning them there.

    Itself if it has neither. Its metadata says that C made from it takes rows of pixels, as the file does.
    """
    scores, turned = _before_argmax(model), _turned(model)
    if scores is None and turned is None:
        return model
    changed = ModelProto()
    changed.CopyFrom(model)
    if scores is not None:
        _end_with(changed, scores)
    if turned is not None:
        _turn(changed, turned)
    _keep_needed(changed)
    del changed.graph.value_info[:]
    return changed


def with_int8_output(model: ModelProto, tensor: str, low: float, high: float) -> ModelProto:
    """The model with QuantizeLinear and DequantizeLinear behind a float value, over a range that includes 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255 or 1.0)
    zero_point = np.int8(np.clip(round(-128 - low / float(scale)), -128, 127))
    made, given = f"{tensor}_float", ModelProto()
    given.CopyFrom(model)
    nodes: list[NodeProto] = []
    for node in given.graph.node:
        nodes.append(node)
        if tensor in node.output:
            node.output[:] = [made if name == tensor else name for name in node.output]
            parameters = [f"{tensor}_scale", f"{tensor}_zero_point"]
            nodes.append(helper.make_node(QUANTIZE, [made, *parameters], [f"{tensor}_int8"], f"{tensor}_rounded"))
            nodes.append(helper.make_node(DEQUANTIZE, [f"{tensor}_int8", *parameters], [tensor], f"{tensor}_again"))
    given.graph.initializer.append(numpy_helper.from_array(np.asarray(scale), f"{tensor}_scale"))
    given.graph.initializer.append(numpy_helper.from_array(np.asarray(zero_point), f"{tensor}_zero_point"))
    _put(given, nodes)
    return given


def with_output(model: ModelProto, tensor: str) -> ModelProto:
    """The model whose output is one of its float values."""
    given = ModelProto()
    given.CopyFrom(model)
    _end_with(given, tensor)
    _keep_needed(given)
    return given


def before_softmax(model: ModelProto) -> str | None:
    """The scores that a last Softmax gets; None if there is none, or if they are integers alone."""
    makers = {name: node for node in model.graph.node for name in node.output}
    name = model.graph.output[0].name
    while (node := makers.get(name)) is not None and node.op_type in (QUANTIZE, DEQUANTIZE, "Identity"):
        name = node.input[0]
    return node.input[0] if node is not None and node.op_type in ("Softmax", "LogSoftmax") else None


def _end_with(model: ModelProto, name: str) -> None:
    """Make a value the model's output, with the type and shape that it has."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {value.name: value for value in (*inferred.value_info, *inferred.input, *inferred.output)}
    found = known.get(name)
    if found is None or not found.type.tensor_type.HasField("shape"):
        found = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "outputs"])
    del model.graph.output[:]
    model.graph.output.append(found)


def _before_argmax(model: ModelProto) -> str | None:
    """The scores that a last ArgMax picks the class from."""
    makers = {name: node for node in model.graph.node for name in node.output}
    name = model.graph.output[0].name if len(model.graph.output) == 1 else ""
    while (node := makers.get(name)) is not None and node.op_type in _AFTER:
        name = node.input[0]
    if node is None or node.op_type != "ArgMax":
        return None
    given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    first = not given.get("select_last_index", 0)
    return node.input[0] if given.get("axis", 0) in (1, -1) and first else None


def _turned(model: ModelProto) -> NodeProto | None:
    """The Transpose that brings channels first before anything is computed; None if there is none."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        return None
    name = inputs[0].name
    while True:
        readers = [node for node in model.graph.node if name in node.input]
        if len(readers) != 1 or readers[0].input[0] != name:
            return None
        (node,) = readers
        if node.op_type == "Transpose":
            given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            return node if given.get("perm") == _CHANNELS_FIRST else None
        if node.op_type not in _PASSING or name in (value.name for value in model.graph.output):
            return None
        name = node.output[0]


def _turn(model: ModelProto, turned: NodeProto) -> None:
    """Take the Transpose out: the input has channels first, and the metadata says how it was."""
    nodes = [node for node in model.graph.node if node.output[0] != turned.output[0]]
    for node in nodes:
        node.input[:] = [turned.input[0] if name == turned.output[0] else name for name in node.input]
    _put(model, nodes)
    weights = {tensor.name for tensor in model.graph.initializer}
    source = next(value for value in model.graph.input if value.name not in weights)
    _reorder(source)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    helper.set_model_props(model, {**kept, LAYOUT: "HWC"})


def _reorder(source: ValueInfoProto) -> None:
    shape = source.type.tensor_type.shape
    sides = [type(dim).FromString(dim.SerializeToString()) for dim in shape.dim]
    del shape.dim[:]
    shape.dim.extend(sides[place] for place in _CHANNELS_FIRST)


def _keep_needed(model: ModelProto) -> None:
    """Remove nodes that no output needs."""
    wanted = {value.name for value in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    _put(model, kept[::-1])


def _put(model: ModelProto, nodes: list[NodeProto]) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
