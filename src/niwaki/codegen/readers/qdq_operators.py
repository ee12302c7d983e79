"""What each ONNX operator between DequantizeLinear and QuantizeLinear means: a function from node to float value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from onnx import NodeProto

from niwaki.codegen.graph.graph import Pads
from niwaki.codegen.readers import qdq_functions, qdq_moves, qdq_pairs, qdq_rows
from niwaki.codegen.readers.qdq_constants import Weights, attributes, name_of
from niwaki.codegen.readers.qdq_functions import rows_of, same_tensor
from niwaki.codegen.readers.qdq_inputs import Inputs, axes_of
from niwaki.codegen.readers.qdq_moves import padded
from niwaki.codegen.readers.qdq_values import Join, Mean, Product, Sum, Value
from niwaki.codegen.readers.qdq_views import Border, Largest, View, Window
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape

_ONE = 127  # the weight that represents one if a constant is added: in steps of a 127th of the input's


def _conv(node: NodeProto, inputs: Inputs) -> Value:
    value, source = _as_image(node, inputs)
    weights = _symmetric(inputs.constants.weights(node.input[1], node), node)
    if weights.values.ndim == 3:
        weights = replace(weights, values=weights.values[..., None])
    given = attributes(node)
    groups = given.get("group", 1)
    shape = weights.values.shape
    if len(shape) != 4 or shape[1] * groups != source[0] or shape[0] % groups:
        raise ModelError(f"{label(node)}: weights {shape} in {groups} groups do not match an input of shape {source}")
    window = _window(node, {**given, "kernel_shape": shape[2:]}, inputs)
    name, tensor, target = name_of(node), _image_tensor(value, node, inputs), _image_shape(node.output[0], inputs)
    made = Product(name, (tensor,), target, weights, _bias(node, inputs, shape[0]), window, groups)
    return _as_before(Value(made, target), node, inputs)


def _dense(node: NodeProto, inputs: Inputs) -> Value:
    """Gemm and MatMul."""
    given = attributes(node)
    if given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        raise ModelError(f"{label(node)}: transA = 0, alpha = 1 and beta = 1 are supported")
    if node.input[1] not in inputs.constants and node.op_type == "MatMul" and node.input[0] not in inputs.constants:
        return qdq_rows.matrices(node, inputs)
    if node.input[1] not in inputs.constants:
        raise ModelError(f"{label(node)}: weights that are an activation: constant weights are supported")
    source = inputs.shape(node.input[0])
    weights = inputs.constants.weights(node.input[1], node)
    if weights.values.ndim == 2 and not given.get("transB", 0):
        weights = weights.transposed((1, 0))
    weights = _symmetric(weights, node)
    if weights.values.shape[1:] != source[-1:]:
        raise ModelError(
            f"{label(node)}: weights {weights.values.shape} with an input of shape {source}: "
            "(outputs, inputs) for inputs along the last axis are supported"
        )
    outputs = len(weights.values)
    tensor, target = inputs.tensor(node.input[0], node), (*source[:-1], outputs)
    return Value(Product(name_of(node), (tensor,), target, weights, _bias(node, inputs, outputs)), target)


def _max_pool(node: NodeProto, inputs: Inputs) -> Value:
    window = _pooling_window(node, inputs)
    value, _ = _as_image(node, inputs)
    return _as_before(value.seen(Largest(name_of(node), _image_shape(node.output[0], inputs), window)), node, inputs)


def _average_pool(node: NodeProto, inputs: Inputs) -> Value:
    given, window = attributes(node), _pooling_window(node, inputs)
    include = bool(given.get("count_include_pad", 0))
    if include and given.get("ceil_mode", 0) and window.pads[2:] != _pads(given)[2:]:
        raise ModelError(f"{label(node)}: ceil_mode with count_include_pad: windows beyond the padding: take one")
    value, _ = _as_image(node, inputs)
    tensor, target = _image_tensor(value, node, inputs), _image_shape(node.output[0], inputs)
    return _as_before(Value(Mean(name_of(node), (tensor,), target, window, include), target), node, inputs)


def _reduce_mean(node: NodeProto, inputs: Inputs) -> Value:
    image = len(inputs.shape(node.input[0])) == 3 and qdq_rows.reduced_axes(node, inputs) == (1, 2)
    return _whole_mean(node, inputs) if image else qdq_rows.total(node, inputs)


def _whole_mean(node: NodeProto, inputs: Inputs) -> Value:
    """The mean of each channel."""
    if len(inputs.shape(node.input[0])) != 3:
        return qdq_rows.total(node, inputs)
    source = _image(node, inputs)
    pooled = (source[0], 1, 1)
    tensor = inputs.tensor(node.input[0], node)
    value = Value(Mean(name_of(node), (tensor,), pooled, Window((source[1], source[2])), whole=True), pooled)
    target = inputs.shape(node.output[0])
    return value if target == pooled else value.seen(View(name_of(node), target))


def _add(node: NodeProto, inputs: Inputs) -> Value:
    """Two tensors of one shape, or a bias; whatever else there is, as any operator of two inputs."""
    for constant, other in (node.input, reversed(node.input)):
        if constant in inputs.constants:
            few = rows_of(inputs.constants.numbers(constant, node), inputs.shape(other))
            if few and few[1] == 0 and len(few[0]) > 1 and len(inputs.shape(other)) in (1, 3):
                return _add_constant(node, inputs, other, constant)
            return qdq_pairs.pair(node, inputs)
    shapes = [inputs.shape(name) for name in node.input]
    if shapes[0] != shapes[1] or same_tensor(*(inputs.value(name, node) for name in node.input)):
        return qdq_pairs.pair(node, inputs)
    tensors = tuple(inputs.tensor(name, node) for name in node.input)
    return Value(Sum(name_of(node), tensors, shapes[0]), shapes[0])


def _add_constant(node: NodeProto, inputs: Inputs, other: str, constant: str) -> Value:
    """A bias: of the product right before it, otherwise of a depthwise 1×1 convolution made for it."""
    shape = inputs.shape(other)
    value = inputs.value(other, node)
    bias = _for_each_channel(constant, shape, node, inputs)
    if isinstance(value.source, Product) and not value.views and value.clamp == (-np.inf, np.inf):
        return replace(value, source=replace(value.source, bias=value.source.bias + bias))
    image = shape if len(shape) == 3 else (shape[0], 1, 1)
    if shape != image:
        value = value.seen(View(name_of(node), image))
    tensor = inputs.held(value, f"{other}_image", node)
    ones = Weights(np.full((shape[0], 1, 1, 1), _ONE), (Fraction(1, _ONE),), 0, np.dtype(np.int8), symmetric=True)
    added = Value(Product(name_of(node), (tensor,), image, ones, bias, Window((1, 1)), shape[0]), image)
    return added if shape == image else added.seen(View(name_of(node), shape))


def _concat(node: NodeProto, inputs: Inputs) -> Value:
    target = inputs.shape(node.output[0])
    (axis,) = axes_of(node, inputs.full_shape(node.output[0]), [attributes(node)["axis"]])
    tensors = tuple(
        inputs.constant_tensor(name, node) if name in inputs.constants else inputs.tensor(name, node)
        for name in node.input
    )
    shapes = [inputs.held_tensor(name).shape for name in tensors]
    joined = [*target[:axis], sum(shape[axis] for shape in shapes), *target[axis + 1 :]]
    if any((*shape[:axis], *shape[axis + 1 :]) != (*target[:axis], *target[axis + 1 :]) for shape in shapes):
        joined = []
    if list(target) != joined:
        raise ModelError(f"{label(node)}: shapes {shapes} along axis {axis} do not give {target}")
    return Value(Join(name_of(node), tensors, target, axis), target)


def _pad(node: NodeProto, inputs: Inputs) -> Value:
    source = _image(node, inputs)
    given = attributes(node)
    read = [*node.input, "", "", ""]
    pads = inputs.constants.array(read[1], node) if read[1] else np.array(given["pads"])
    number = inputs.constants.number(read[2], node) if read[2] else given.get("value", 0.0)
    axes = inputs.constants.array(read[3], node).ravel() % 4 if read[3] else np.arange(4)
    sides = np.zeros((2, 4), np.int64)  # before and after, along each axis
    if pads.shape == (2 * axes.size,):
        sides[:, axes] = pads.reshape(2, -1)
    mode = given.get("mode", "constant")
    if mode in ("reflect", "edge", "wrap") and sides.min() >= 0 and not sides[:, 0].any():
        places = np.arange(int(np.prod(source))).reshape(1, *source)
        index = padded(places, [(before, behind) for before, behind in sides.T.tolist()], mode)
        return inputs.value(read[0], node).moved(name_of(node), inputs.shape(node.output[0]), index.reshape(-1))
    if mode != "constant" or pads.shape != (2 * axes.size,) or sides.min() < 0 or sides[:, :2].any():
        raise ModelError(
            f"{label(node)}: mode {mode}, pads {pads.tolist()}: a constant around height and width is supported"
        )
    (top, left), (bottom, right) = sides[:, 2:].tolist()
    shape = (source[0], top + source[1] + bottom, left + source[2] + right)
    return inputs.value(read[0], node).seen(Border(name_of(node), shape, (top, left, bottom, right), number))


def _clip(node: NodeProto, inputs: Inputs) -> Value:
    given = attributes(node)
    low, high = (
        inputs.constants.number(name, node) if name else float(given.get(key, default))
        for name, key, default in zip([*node.input[1:], "", ""], ("min", "max"), (-np.inf, np.inf), strict=False)
    )
    return inputs.value(node.input[0], node).clamped(low, high)


def _relu(node: NodeProto, inputs: Inputs) -> Value:
    return inputs.value(node.input[0], node).clamped(0.0, np.inf)


def _reshape(node: NodeProto, inputs: Inputs) -> Value:
    """Also Flatten, Squeeze and Unsqueeze: only the resulting shape matters."""
    value, shape = inputs.value(node.input[0], node), inputs.shape(node.output[0])
    return value if value.shape == shape else value.seen(View(name_of(node), shape))


def _same(node: NodeProto, inputs: Inputs) -> Value:
    return inputs.value(node.input[0], node)


def _image(node: NodeProto, inputs: Inputs) -> Shape:
    """The shape (C, H, W) of a node's input; that of a signal (C, L) with one column."""
    shape = _image_shape(node.input[0], inputs)
    if len(shape) != 3:
        raise ModelError(f"{label(node)}: an input of shape (batch, {_text(shape)}): (batch, C, H, W) is supported")
    return shape


def _image_shape(name: str, inputs: Inputs) -> Shape:
    shape = inputs.shape(name)
    return (*shape, 1) if len(shape) == 2 else shape


def _as_image(node: NodeProto, inputs: Inputs) -> tuple[Value, Shape]:
    """A node's input, and its shape as `_image` gives it."""
    value, shape = inputs.value(node.input[0], node), _image(node, inputs)
    return (value if value.shape == shape else value.seen(View(name_of(node), shape))), shape


def _image_tensor(value: Value, node: NodeProto, inputs: Inputs) -> str:
    if value.shape == inputs.shape(node.input[0]):
        return inputs.tensor(node.input[0], node)
    return inputs.held(value, f"{node.input[0]}_image", node)


def _as_before(value: Value, node: NodeProto, inputs: Inputs) -> Value:
    """A result as a signal again, if it is one."""
    target = inputs.shape(node.output[0])
    return value if value.shape == target else value.seen(View(name_of(node), target))


def _text(shape: Shape) -> str:
    return ", ".join(map(str, shape))


def _window(node: NodeProto, given: dict[str, Any], inputs: Inputs) -> Window:
    """Kernel, strides, pads and dilations; below and on the right, as much padding as the windows need."""
    kernel, strides, dilations = (tuple(given.get(name, (1, 1))) for name in ("kernel_shape", "strides", "dilations"))
    pads = _pads(given)
    if len(inputs.shape(node.input[0])) == 2:  # along the rows alone
        kernel, strides, dilations = ((*sides, 1)[:2] for sides in (kernel, strides, dilations))
        pads = pads if len(pads) == 4 else (pads[0], 0, pads[1], 0)
    if not len(kernel) == len(strides) == len(dilations) == 2 or len(pads) != 4 or min(pads) < 0:
        raise ModelError(
            f"{label(node)}: kernel {kernel}, strides {strides}, pads {pads}: two of each, over height and width, "
            "and pads of 0 or more are supported"
        )
    source, target = _image(node, inputs), _image_shape(node.output[0], inputs)
    auto = given.get("auto_pad", "NOTSET")
    reach = [(target[1 + i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - source[1 + i] for i in (0, 1)]
    first = [pads[0], pads[1]]
    if auto != "NOTSET":
        total = [max(0, more) if auto != "VALID" else 0 for more in reach]
        first = [more // 2 if auto == "SAME_UPPER" else more - more // 2 for more in total]
    last = [max(pads[2 + i], reach[i] - first[i]) for i in (0, 1)]
    return Window(kernel, strides, (first[0], first[1], last[0], last[1]), dilations)


def _pads(given: dict[str, Any]) -> Pads:
    return tuple(given.get("pads", (0, 0, 0, 0))) if given.get("auto_pad", "NOTSET") == "NOTSET" else (0, 0, 0, 0)


def _pooling_window(node: NodeProto, inputs: Inputs) -> Window:
    """A window without dilations that covers a pixel of the image at every position."""
    source, window = _image(node, inputs), _window(node, attributes(node), inputs)
    target = _image_shape(node.output[0], inputs)
    if window.dilations != (1, 1):
        raise ModelError(f"{label(node)}: dilations {window.dilations}: pooling without is supported")
    for axis in (0, 1):
        before, kernel, last = window.pads[axis], window.kernel[axis], (target[1 + axis] - 1) * window.strides[axis]
        if before >= kernel or last - before >= source[1 + axis]:
            raise ModelError(f"{label(node)}: a window is entirely in the padding: use less padding")
    return window


def _symmetric(weights: Weights, node: NodeProto) -> Weights:
    """Weights, outputs first, that are int8 with zero point 0, or uint8 with 128."""
    if weights.dtype not in (np.int8, np.uint8):
        raise ModelError(f"{label(node)}: weights are {weights.dtype}: int8 and uint8 are supported")
    if not weights.symmetric:
        raise ModelError(
            f"{label(node)}: weights with a zero point: symmetric ones are supported: quantize weights as int8 (in "
            "ONNX Runtime, weight_type=QInt8 or WeightSymmetric=True)"
        )
    if len(weights.scale) > 1 and weights.axis != 0:
        raise ModelError(
            f"{label(node)}: a weight scale for each input channel: for each output channel is supported (axis 0 of "
            "DequantizeLinear; without it, ONNX means 1)"
        )
    return weights


def _bias(node: NodeProto, inputs: Inputs, outputs: int) -> np.ndarray:
    """The bias as Fractions (O,); zeros if the node has none."""
    if len(node.input) > 2 and node.input[2]:
        return _for_each_channel(node.input[2], (outputs,), node, inputs)
    return np.full(outputs, Fraction(0), object)


def _for_each_channel(constant: str, shape: Shape, node: NodeProto, inputs: Inputs) -> np.ndarray:
    """A constant that is added to values of `shape`: Fractions (C,)."""
    if constant not in inputs.constants:
        raise ModelError(f"{label(node)}: the bias {constant!r} must be a constant")
    numbers = inputs.constants.numbers(constant, node)
    aligned = (1,) * (1 + len(shape) - numbers.ndim) + numbers.shape
    if numbers.ndim > 1 + len(shape) or aligned[1] not in (1, shape[0]) or numbers.size != aligned[1]:
        raise ModelError(f"{label(node)}: a bias of shape {numbers.shape}: one number for each of {shape[0]} channels")
    return np.broadcast_to(numbers.ravel(), shape[0])


OPERATORS: dict[str, Callable[[NodeProto, Inputs], Value]] = {
    **qdq_functions.OPERATORS,
    **qdq_pairs.OPERATORS,
    **qdq_moves.OPERATORS,
    **qdq_rows.OPERATORS,
    "Add": _add,
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": _same,
    "Flatten": _reshape,
    "Gemm": _dense,
    "GlobalAveragePool": _whole_mean,
    "Identity": _same,
    "MatMul": _dense,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
}
ELEMENTWISE = (*qdq_functions.OPERATORS, *qdq_pairs.OPERATORS)
"""Those that compute element by element, in one table if they are functions of one tensor."""
COMPUTED = tuple(name for name, read in OPERATORS.items() if read is not _same)
"""The operators allowed between DequantizeLinear and QuantizeLinear: all except those that do nothing."""
SUPPORTED = ", ".join((*OPERATORS, "Split"))
# What to do about operators that often occur.
AT_THE_INPUT = "leave it out of the network and say it as preprocessing (niwaki.save): the C takes raw pixels"
_AS_QDQ = "quantize it as QDQ (QuantFormat.QDQ), not as QOperator"
WAYS_OUT = {
    "ArgMax": "leave it out: the C returns the scores, and the largest is the class",
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm"), _AS_QDQ),
}
