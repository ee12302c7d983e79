"""The memory that an ONNX model needs for one image, from shapes alone: known before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from niwaki.errors import ModelError, first_line
from niwaki.limits import VARIABLE, check_memory, memory_limit
from niwaki.models.onnxcheck import elements, is_control_flow, label
from niwaki.models.onnxfold import Shape, fold
from niwaki.models.onnxslices import check_slices

_SMALL = 1024  # elements: constants up to this size may be shapes, and keep their values
# Operators whose output is as large as the numbers that they read say.
_SIZED_BY_VALUES = (
    "ConstantOfShape", "Expand", "NonMaxSuppression", "OneHot", "Pad", "Range", "Resize", "Tile", "TopK", "Upsample",
)  # fmt: skip
_WINDOWED = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1, "FusedConv": 1}  # input of the weights
# ONNX Runtime's own operators, as standard ones with the same output shape, and which inputs those read.
_LIKE: dict[str, tuple[str, tuple[int, ...]]] = {
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), ("Mul", (0, 3))),
    **dict.fromkeys(("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax"), ("Relu", (0,))),
    **dict.fromkeys(("Gelu", "FastGelu", "QuickGelu", "BiasGelu", "Silu"), ("Relu", (0,))),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), ("Relu", (0,))),
    **dict.fromkeys(("DynamicQuantizeMatMul", "MatMulIntegerToFloat"), ("MatMul", (0, 1))),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QGemm": ("Gemm", (0, 3)),
    "FusedConv": ("Conv", (0, 1)),
    "FusedMatMul": ("MatMul", (0, 1)),
    "FusedGemm": ("Gemm", (0, 1)),
}
_OTHER_SHAPE = ("channels_last", "transA", "transB", "transBatchA", "transBatchB")


@dataclass(frozen=True)
class ActivationMemory:
    """Bytes of one image's activations."""

    peak: int
    """The most that is alive at once, including the rows that a convolution lays out."""
    largest: str
    """The node with the largest output."""
    unknown: NodeProto | None
    """The first node whose output shape does not follow from the file."""


def check_sizes(model: ModelProto, name: str) -> None:
    """Raise ModelError, beginning with `name`, if one image's activations need more memory than a file may use.

    Unknown shapes count as zero: code that plans by shapes does not compute them.
    """
    if memory_limit() is not None:
        _check(activation_memory(model, name), name)


def check_runnable(model: ModelProto, name: str) -> ActivationMemory | None:
    """`check_sizes` for code that runs every node, including constants that a runtime computes when it opens the file.

    Also raises ModelError if a size is known only at run time. With None there is no limit.
    """
    if memory_limit() is None:
        return None
    for node in model.graph.node:
        if is_control_flow(node):
            _refuse_unknown(node, name, "how often it runs is known only at run time")
    memory = activation_memory(model, name)
    _check(memory, name)
    if memory.unknown is not None:
        _check_strictly(model, name)
        _refuse_unknown(memory.unknown, name, "the size of its output is known only at run time")
    return memory


def images_at_once(memory: ActivationMemory | None, most: int) -> int:
    """How many images, up to `most`, fit into the memory that one file may use; at least 1."""
    limit = memory_limit()
    return most if limit is None or memory is None else max(1, min(most, limit // max(memory.peak, 1)))


def activation_memory(model: ModelProto, name: str = "the ONNX") -> ActivationMemory:
    """The memory of a sorted model, for a batch of one if the batch is free. Raises ModelError for an impossible shape.

    If the file leaves height or width free, a shape may depend on the image, but on nothing else.
    """
    values = _values(_inferred(model, name))
    shapes = {name: shape for name, value in values.items() if (shape := _shape(value, name)) is not None}
    shapes.update((tensor.name, tuple(tensor.dims)) for tensor in model.graph.initializer)
    sizes = {name: prod(shape) * _itemsize(values.get(name)) for name, shape in shapes.items()}
    for tensor in model.graph.initializer:
        sizes[tensor.name] = 0  # as large as the file
    last = _last_readers(model.graph)
    alive = {value.name: sizes.get(value.name, 0) for value in model.graph.input}
    total = peak = sum(alive.values())
    for index, node in enumerate(model.graph.node):
        made = {output: sizes.get(output, 0) for output in node.output if output}
        alive |= made
        total += sum(made.values())
        peak = max(peak, total + _workspace(node, shapes))
        done = (value for value in {*node.input, *node.output} if last.get(value, index) <= index)
        total -= sum(alive.pop(value, 0) for value in done)
    largest = max(model.graph.node, key=lambda node: max(sizes.get(name, 0) for name in node.output))
    unknown = (node for node in model.graph.node if any(made in last and made not in shapes for made in node.output))
    of_image = _of_image(model.graph) if any(value.name not in shapes for value in model.graph.input) else set()
    odd = (node for node in unknown if node.output[0] not in of_image or node.op_type in _SIZED_BY_VALUES)
    return ActivationMemory(peak, label(largest), next(odd, None))


def _of_image(graph: GraphProto) -> set[str]:
    """The values that depend on the input."""
    constants = {tensor.name for tensor in graph.initializer}
    found = {value.name for value in graph.input if value.name not in constants}
    for node in graph.node:
        if not found.isdisjoint(node.input):
            found.update(node.output)
    return found


def _check(memory: ActivationMemory, name: str) -> None:
    largest = f"most of it the output of {memory.largest}"
    check_memory(memory.peak, f"{name}: one image, {largest},", ModelError)


def _refuse_unknown(node: NodeProto, name: str, why: str) -> None:
    raise ModelError(
        f"{name}: {label(node)}: {why}: export the model for one size of image; if you trust the file, set "
        f"{VARIABLE}=none"
    )


def _check_strictly(model: ModelProto, name: str) -> None:
    """Raise ModelError if shapes contradict each other, which is more precise than that one is unknown."""
    try:
        onnx.shape_inference.infer_shapes(_light(model), strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"{name}: its shapes do not fit: {first_line(error)}") from error


def _inferred(model: ModelProto, name: str) -> GraphProto:
    """All types and shapes that follow, including those that nodes compute from other shapes."""
    light = _light(model)
    while True:
        try:
            check_slices(light)
            found = onnx.shape_inference.infer_shapes(light, data_prop=True)
        except Exception as error:  # errors of several kinds: inference, decoding, memory
            raise ModelError(f"{name}: its shapes do not fit: {first_line(error)}") from error
        if not _lacks_shapes(found.graph) or not fold(found, most=_SMALL):
            return found.graph
        light = found


def _lacks_shapes(graph: GraphProto) -> bool:
    values = _values(graph)
    made = [name for node in graph.node for name in node.output if name]
    return any(name not in values or _shape(values[name], name) is None for name in made)


def _light(model: ModelProto) -> ModelProto:
    """The model for one image without the values of its weights and without its stated intermediate shapes."""
    large = {tensor.name: tensor for tensor in model.graph.initializer if prod(tensor.dims) > _SMALL}
    small = [tensor for tensor in model.graph.initializer if tensor.name not in large]
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [_for_one_image(value) for value in model.graph.input if value.name not in constants]
    inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in large.values()]
    outputs = [onnx.ValueInfoProto(name=value.name, type=_bare(value)) for value in model.graph.output]
    graph = GraphProto(
        name="sizes", node=map(_standard, model.graph.node), input=inputs, output=outputs, initializer=small,
    )  # fmt: skip
    return ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )


def _standard(node: NodeProto) -> NodeProto:
    """One of ONNX Runtime's own nodes as a standard one with the same output shape."""
    if node.domain != "com.microsoft" or node.op_type not in _LIKE:
        return node
    kind, read = _LIKE[node.op_type]
    if kind != "Gemm" and any(entry.name in _OTHER_SHAPE and entry.i for entry in node.attribute):
        return node
    inputs = [node.input[index] for index in read if index < len(node.input)]
    return NodeProto(op_type=kind, name=node.name, input=inputs, output=node.output[:1], attribute=node.attribute)


def _bare(value: ValueInfoProto) -> onnx.TypeProto:
    """The type of a value without its shape."""
    return onnx.TypeProto(tensor_type=onnx.TypeProto.Tensor(elem_type=value.type.tensor_type.elem_type))


def _for_one_image(value: ValueInfoProto) -> ValueInfoProto:
    fixed = ValueInfoProto()
    fixed.CopyFrom(value)
    batch = fixed.type.tensor_type.shape.dim[:1]
    if batch and not batch[0].HasField("dim_value"):
        batch[0].dim_value = 1
    return fixed


def _values(graph: GraphProto) -> dict[str, ValueInfoProto]:
    return {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}


def _shape(value: ValueInfoProto, name: str) -> Shape | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
    elements(shape, repr(name))
    return shape


def _itemsize(value: ValueInfoProto | None) -> int:
    kind = value.type.tensor_type.elem_type if value is not None else TensorProto.FLOAT
    return int(helper.tensor_dtype_to_np_dtype(kind or TensorProto.FLOAT).itemsize)


def _last_readers(graph: GraphProto) -> dict[str, int]:
    """The number of the last node that reads a value; the model's outputs are read at the very end."""
    last = {name: index for index, node in enumerate(graph.node) for name in node.input}
    return last | {value.name: len(graph.node) for value in graph.output}


def _workspace(node: NodeProto, shapes: Mapping[str, Shape]) -> int:
    """A byte for each pixel that the windows of a convolution see: integer kernels lay these out in rows."""
    at = _WINDOWED.get(node.op_type)
    if at is None or len(node.input) <= at:
        return 0
    weights = shapes.get(node.input[at], ())
    places = shapes.get(node.input[0] if node.op_type == "ConvTranspose" else node.output[0], ())
    return prod(weights[1:]) * prod(places[2:])
