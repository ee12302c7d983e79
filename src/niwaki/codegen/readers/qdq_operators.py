"""What each ONNX operator between DequantizeLinear and QuantizeLinear means: a function from node to float value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from onnx import NodeProto

from niwaki.codegen.readers import qdq_functions, qdq_moves, qdq_pairs, qdq_rows
from niwaki.codegen.readers.qdq_constants import Weights, attributes, name_of
from niwaki.codegen.readers.qdq_functions import rows_of, same_tensor
from niwaki.codegen.readers.qdq_inputs import Inputs, axes_of
from niwaki.codegen.readers.qdq_moves import padded
from niwaki.codegen.readers.qdq_products import conv, conv_transpose, dense, for_each_channel
from niwaki.codegen.readers.qdq_resize import resize
from niwaki.codegen.readers.qdq_values import Join, Mean, Product, Sum, Value
from niwaki.codegen.readers.qdq_views import Border, Largest, View, Window
from niwaki.codegen.readers.qdq_windows import (
    as_before,
    as_image,
    image_shape,
    image_shape_of,
    image_tensor,
    pads_of,
    pooling_window,
)
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label

_ONE = 127  # the weight that represents one if a constant is added: in steps of a 127th of the input's


def _max_pool(node: NodeProto, inputs: Inputs) -> Value:
    window = pooling_window(node, inputs)
    value, _ = as_image(node, inputs)
    return as_before(value.seen(Largest(name_of(node), image_shape(node.output[0], inputs), window)), node, inputs)


def _average_pool(node: NodeProto, inputs: Inputs) -> Value:
    given, window = attributes(node), pooling_window(node, inputs)
    include = bool(given.get("count_include_pad", 0))
    value, (channels, height, width) = as_image(node, inputs)
    top, left, bottom, right = window.pads
    if include and given.get("ceil_mode", 0):  # what windows have beyond the padding does not count: pad, then average
        pads = pads_of(given)
        ends = (bottom - pads[2], right - pads[3]) if len(pads) == 4 else (bottom - pads[1], right)
        if any(ends):
            bottom, right = bottom - ends[0], right - ends[1]
            shape = (channels, top + height + bottom, left + width + right)
            if shape != value.shape:
                value = value.seen(Border(name_of(node), shape, (top, left, bottom, right), 0.0))
            window, include = replace(window, pads=(0, 0, *ends)), False
    unsigned = value.source in inputs.unsigned
    tensor, target = image_tensor(value, node, inputs), image_shape(node.output[0], inputs)
    mean = Mean(name_of(node), (tensor,), target, window, include, unsigned=unsigned)
    return as_before(Value(mean, target), node, inputs)


def _reduce_mean(node: NodeProto, inputs: Inputs) -> Value:
    image = len(inputs.shape(node.input[0])) == 3 and qdq_rows.reduced_axes(node, inputs) == (1, 2)
    return _whole_mean(node, inputs) if image else qdq_rows.total(node, inputs)


def _whole_mean(node: NodeProto, inputs: Inputs) -> Value:
    """The mean of each channel."""
    if len(inputs.shape(node.input[0])) != 3:
        return qdq_rows.total(node, inputs)
    source = image_shape_of(node, inputs)
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
            bias = few and few[1] == 0 and len(few[0]) > 1 and len(inputs.shape(other)) in (1, 3)
            computed = isinstance(inputs.value(other, node).source, qdq_functions.Function)  # one table for both
            if bias and not computed and not inputs.rounds_twice:
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
    bias = for_each_channel(constant, shape, node, inputs)
    if isinstance(value.source, Product) and not value.views and value.clamp == (-np.inf, np.inf):
        return replace(value, source=replace(value.source, bias=value.source.bias + bias))
    image = shape if len(shape) == 3 else (shape[0], 1, 1)
    if shape != image:
        value = value.seen(View(name_of(node), image))
    tensor = inputs.held(value, f"{other}_image", node)
    ones = Weights(np.full((shape[0], 1, 1, 1), _ONE), (Fraction(1, _ONE),), 0, np.dtype(np.int8))
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
    source = image_shape_of(node, inputs)
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
    if mode != "constant" or pads.shape != (2 * axes.size,) or sides.min() < 0 or sides[:, 0].any():
        raise ModelError(f"{label(node)}: mode {mode}, pads {pads.tolist()}: constants added to an image are supported")
    value, (channels, height, width) = inputs.value(read[0], node), source
    (_, before, top, left), (_, behind, bottom, right) = sides.tolist()
    if before or behind:
        channels += before + behind
        value = value.seen(Border(name_of(node), (channels, height, width), (0, 0, 0, 0), number, (before, behind)))
    if not sides[:, 2:].any() and channels != source[0]:
        return value
    shape = (channels, top + height + bottom, left + width + right)
    return value.seen(Border(name_of(node), shape, (top, left, bottom, right), number))


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


OPERATORS: dict[str, Callable[[NodeProto, Inputs], Value]] = {
    **qdq_functions.OPERATORS,
    **qdq_pairs.OPERATORS,
    **qdq_moves.OPERATORS,
    **qdq_rows.OPERATORS,
    "Add": _add,
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Dropout": _same,
    "Flatten": _reshape,
    "Gemm": dense,
    "GlobalAveragePool": _whole_mean,
    "Identity": _same,
    "MatMul": dense,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": resize,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
}
ELEMENTWISE = (*qdq_functions.OPERATORS, *qdq_pairs.OPERATORS)
"""Those that compute element by element, in one table if they are functions of one tensor."""
COMPUTED = tuple(name for name, read in OPERATORS.items() if read is not _same)
"""The operators allowed between DequantizeLinear and QuantizeLinear: all except those that do nothing."""
SUPPORTED = ", ".join((*OPERATORS, "Split"))
# What to do about operators that often occur.
_AS_QDQ = "quantize it as QDQ (QuantFormat.QDQ), not as QOperator"
_STATICALLY = "quantize it again with calibration images: niwaki quantize, or quantize_static with QuantFormat.QDQ"
WAYS_OUT = {
    "Einsum": "write it with torch.matmul, permute and sum: products of two tensors, image by image, have a C",
    "ReduceProd": "take the logarithm, sum it and raise e to it, or multiply slices",
    "ArgMax": "leave it out: the C returns the scores, and the largest is the class",
    **dict.fromkeys(("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"), _STATICALLY),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm"), _AS_QDQ),
}
