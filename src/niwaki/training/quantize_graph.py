"""The graph of a float ONNX model as the quantizer needs it, and of an int8 one as a reader does."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper

from niwaki.training.decompose import decompose

_ACTIVATIONS = ("Relu", "Clip")
_COMMUTES = ("MaxPool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose")


def prepared(model: ModelProto) -> ModelProto:
    """A copy of a float model that computes the same numbers and loses less when it is quantized.

    - Norms, Einsum and the like become operators of the integer form (`decompose`).
    - Relu and Clip come before max-pooling and changes of shape, not after: the quantizer fuses an activation only
          into the layer directly before it, so the usual `relu(max_pool2d(conv(x)))` would be rounded twice.
        - Average pooling over the whole image becomes global: the quantizer gives ordinary pooling the scale of its
          input, which is far too coarse for the mean of a whole image.

    Every node gets its own name, by which the quantizer identifies it.
    """
    copied = ModelProto()
    copied.CopyFrom(model)
    taken = Counter(node.name for node in copied.graph.node)
    for number, node in enumerate(copied.graph.node):
        if not node.name or taken[node.name] > 1:
            node.name = f"{node.name or node.op_type}, node {number}"
    decompose(copied)
    _activations_first(copied.graph)
    _global_pooling(copied)
    return copied


def _activations_first(graph: GraphProto) -> None:
    """Move activations first in every run of nodes that commute, one after another with no other reader."""
    for run in _runs(graph):
        nodes = [NodeProto.FromString(graph.node[index].SerializeToString()) for index in run]
        names = [nodes[0].input[0], *(node.output[0] for node in nodes)]
        ordered = sorted(nodes, key=lambda node: node.op_type not in _ACTIVATIONS)  # otherwise unchanged
        for index, node, source, result in zip(run, ordered, names[:-1], names[1:], strict=True):
            node.input[0], node.output[0] = source, result
            graph.node[index].CopyFrom(node)


def _runs(graph: GraphProto) -> list[list[int]]:
    """The numbers of the nodes of each run."""
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    made = {name for node in graph.node for name in node.output}
    runs: dict[str, list[int]] = {}  # by the tensor that its last node produces
    found = []
    for index, node in enumerate(graph.node):
        activation = node.op_type in _ACTIVATIONS
        if activation and not made.isdisjoint(node.input[1:]):  # bounds that a node computes could come too late
            continue
        if len(node.output) != 1 or not (activation or node.op_type in _COMMUTES):
            continue
        run = runs.pop(node.input[0], []) if uses[node.input[0]] == 1 else []
        if not run:
            found.append(run)
        run.append(index)
        runs[node.output[0]] = run
    return found


def _global_pooling(model: ModelProto) -> None:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim[2:]]
        for value in (*inferred.input, *inferred.value_info)
    }
    for node in model.graph.node:
        if node.op_type != "AveragePool":
            continue
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if attributes["kernel_shape"] == sizes.get(node.input[0]) and not any(attributes.get("pads", ())):
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]


def last_softmax(model: ModelProto) -> list[str]:
    """The names of the softmax nodes that give the model's output: they stay float."""
    outputs = {output.name for output in model.graph.output}
    softmax = [node for node in model.graph.node if node.op_type in ("Softmax", "LogSoftmax")]
    return [node.name for node in softmax if node.output[0] in outputs]


def in_order(graph: GraphProto) -> list[NodeProto]:
    """The nodes in an order in which they can run, each right before the first that needs it; no unused ones."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    ordered: dict[int, NodeProto] = {}
    stack = [(makers[output.name], False) for output in reversed(graph.output)]
    while stack:
        index, ready = stack.pop()
        if index in ordered:
            continue
        node = graph.node[index]
        if ready:
            ordered[index] = node
            continue
        stack.append((index, True))
        stack.extend((makers[name], False) for name in reversed(node.input) if name in makers)
    return list(ordered.values())
