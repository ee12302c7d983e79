"""Convolutions and matrix products with constant weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from onnx import NodeProto

from niwaki.codegen.graph.arithmetic import HIGH, LOW
from niwaki.codegen.readers import qdq_rows
from niwaki.codegen.readers.qdq_constants import PER_TENSOR, Quantization, Weights, attributes, name_of
from niwaki.codegen.readers.qdq_inputs import Inputs
from niwaki.codegen.readers.qdq_values import Product, Value
from niwaki.codegen.readers.qdq_views import Window
from niwaki.codegen.readers.qdq_windows import as_before, as_image, image_shape, image_tensor, pads_of, window_of
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape


def conv(node: NodeProto, inputs: Inputs) -> Value:
    """Of an image or a signal."""
    value, source = as_image(node, inputs)
    weights = _weights_of(inputs.constants.weights(node.input[1], node), node)
    if weights.values.ndim == 3:
        weights = replace(weights, values=weights.values[..., None])
    given = attributes(node)
    groups = given.get("group", 1)
    shape = weights.values.shape
    if len(shape) != 4 or shape[1] * groups != source[0] or shape[0] % groups:
        raise ModelError(f"{label(node)}: weights {shape} in {groups} groups do not match an input of shape {source}")
    window = window_of(node, {**given, "kernel_shape": shape[2:]}, inputs)
    bias = _bias(node, inputs, shape[0])
    if factors := inputs.factors(node.input[0]):
        weights = _counted_in(weights, np.repeat(np.array(factors, object), shape[0] // groups))
    tensor, target = image_tensor(value, node, inputs), image_shape(node.output[0], inputs)
    made = Product(name_of(node), (tensor,), target, weights, bias, window, groups)
    return as_before(Value(_of_bytes(made, node, inputs), target), node, inputs)


def conv_transpose(node: NodeProto, inputs: Inputs) -> Value:
    """One convolution of the image as it is: an output channel for each place that pixels have between two of its own.

    Then the numbers are put in these places: nothing is added to what a convolution computes.
    """
    value, source = as_image(node, inputs)
    given, flat = attributes(node), len(inputs.shape(node.input[0])) == 2
    groups, target = given.get("group", 1), image_shape(node.output[0], inputs)
    weights = _outputs_first(inputs.constants.weights(node.input[1], node), groups, node)
    values = weights.values[..., None] if weights.values.ndim == 3 else weights.values
    if values.ndim != 4 or values.shape[1] * groups != source[0] or len(values) != target[0]:
        raise ModelError(f"{label(node)}: weights do not match an input of shape {source} in {groups} groups")
    if given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in given:
        raise ModelError(f"{label(node)}: auto_pad or output_shape: pads and output_padding are supported")
    strides, dilations = ((*given.get(name, (1, 1)), 1)[:2] for name in ("strides", "dilations"))
    pads = (given["pads"][0], 0) if flat and "pads" in given else pads_of(given)
    phases = [
        phases_of(kernel, step, dilation, pad, (before, after))
        for kernel, step, dilation, pad, before, after in zip(
            values.shape[2:], strides, dilations, pads[:2], source[1:], target[1:], strict=True
        )
    ]
    values = np.pad(values, ((0, 0), (0, 0), (0, 1), (0, 1)))  # the last tap is none
    down, right = phases
    values = values[:, :, down.taps][..., right.taps].transpose(0, 2, 4, 1, 3, 5)
    each = strides[0] * strides[1]
    weights = replace(
        weights, values=values.reshape(-1, values.shape[3], down.taps.shape[1], right.taps.shape[1]),
        scale=weights.scale if len(weights.scale) == 1 else tuple(np.repeat(np.array(weights.scale, object), each)),
    )  # fmt: skip
    bias = np.repeat(_bias(node, inputs, target[0]), each)
    window = Window(
        (down.taps.shape[1], right.taps.shape[1]), (1, 1), (down.before, right.before, down.behind, right.behind)
    )
    shape = (len(bias), down.count, right.count)
    made = Product(name_of(node), (image_tensor(value, node, inputs),), shape, weights, bias, window, groups)
    found = Value(_of_bytes(made, node, inputs), shape)
    places = np.arange(np.prod(shape)).reshape(target[0], *strides, down.count, right.count).transpose(0, 3, 1, 4, 2)
    whole = (target[0], down.count * strides[0], right.count * strides[1])
    found = found.moved(name_of(node), whole, places.reshape(-1))
    cut = np.arange(np.prod(whole)).reshape(whole)[:, : target[1], : target[2]]
    return as_before(found.moved(name_of(node), target, cut.reshape(-1)), node, inputs)


@dataclass(frozen=True)
class Phases:
    """Of a transposed convolution along one axis: what a window gives for each place between two pixels."""

    taps: np.ndarray  # (places, window): which tap of the kernel meets a pixel of the window; behind the last one, none
    before: int
    """Padding."""
    behind: int
    count: int
    """Windows."""


def phases_of(kernel: int, step: int, dilation: int, pad: int, sides: tuple[int, int]) -> Phases:
    """`sides`: the image before and after. Place p of window i is pixel `step * i + p` of the result.

    Tap t reaches it from pixel `i + (p + pad - dilation * t) / step` of the image, if that is a whole number.

    >>> phases_of(3, 2, 1, 1, (4, 8)).taps.tolist()
    [[1, 3], [2, 0]]
    """
    before, after = sides
    count = -(-after // step)
    pairs = [(p, t) for p in range(step) for t in range(kernel) if (p + pad - dilation * t) % step == 0]
    offsets = [(p + pad - dilation * t) // step for p, t in pairs]
    first, last = min(*offsets, 0, before - count), max(*offsets, 0, before - count)
    taps = np.full((step, last - first + 1), kernel)
    for (p, t), offset in zip(pairs, offsets, strict=True):
        taps[p, offset - first] = t
    return Phases(taps, -first, count - 1 + last - (before - 1), count)


def _outputs_first(weights: Weights, groups: int, node: NodeProto) -> Weights:
    """Those of a transposed convolution, (I, O / groups, …), as those of a convolution: (O, I / groups, …)."""
    values, scale = weights.values, weights.scale
    if values.ndim < 3 or len(values) % groups:
        raise ModelError(f"{label(node)}: weights of shape {values.shape} in {groups} groups")
    if len(scale) > 1 and weights.axis != 1:
        raise ModelError(f"{label(node)}: a weight scale for each input channel: for each output channel is supported")
    grouped = values.reshape(groups, -1, *values.shape[1:]).swapaxes(1, 2)
    turned = grouped.reshape(-1, *grouped.shape[2:])
    return _weights_of(replace(weights, values=turned, scale=scale * (groups if len(scale) > 1 else 1), axis=0), node)


def _of_bytes(product: Product, node: NodeProto, inputs: Inputs) -> Product:
    """A convolution whose weights of more than 8 bits are several of 8 bits, of an image that is there as often."""
    weights, groups, (tensor,) = product.weights, product.groups, product.inputs
    source, parts = inputs.held_tensor(tensor).shape, _int8_parts(weights.values)
    if len(parts) == 1:
        return product
    channels = np.arange(source[0]).reshape(groups, 1, -1)
    places = np.repeat(channels, len(parts), 1).reshape(-1, 1) * (source[1] * source[2])
    index = places + np.arange(source[1] * source[2])
    tensor = _repeated(tensor, (len(index), *source[1:]), index.reshape(-1), node, inputs)
    return replace(product, inputs=(tensor,), weights=replace(weights, values=np.concatenate(parts, 1)))


def dense(node: NodeProto, inputs: Inputs) -> Value:
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
    weights = _weights_of(weights, node)
    if weights.values.shape[1:] != source[-1:]:
        raise ModelError(
            f"{label(node)}: weights {weights.values.shape} with an input of shape {source}: "
            "(outputs, inputs) for inputs along the last axis are supported"
        )
    outputs, parts = len(weights.values), _int8_parts(weights.values)
    tensor, target = inputs.tensor(node.input[0], node), (*source[:-1], outputs)
    bias = _bias(node, inputs, outputs)
    if len(parts) > 1:
        rows = np.arange(int(np.prod(source))).reshape(-1, source[-1])
        shape = (*source[:-1], source[-1] * len(parts))
        tensor = _repeated(tensor, shape, np.tile(rows, len(parts)).reshape(-1), node, inputs)
        weights = replace(weights, values=np.concatenate(parts, 1))
    return Value(Product(name_of(node), (tensor,), target, weights, bias), target)


def in_channels(value: Value, quantization: Quantization, factors: tuple[Fraction, ...], node: NodeProto) -> Value:
    """What QuantizeLinear rounds with a scale for each channel, as what it rounds with that of the first.

    Raises ModelError if it is not the image that a convolution makes.
    """
    source = value.source
    if not isinstance(source, Product) or source.window is None or value.views or len(source.bias) != len(factors):
        raise ModelError(
            f"{label(node)}: {len(factors)} scales for one activation: only where it comes from a convolution of as "
            f"many channels: {PER_TENSOR}"
        )
    each = [Quantization(float(quantization.scale * factor), quantization.zero_point) for factor in factors]
    low, high = ({one.quantize(bound) for one in each} for bound in value.clamp)
    if len(low) > 1 or len(high) > 1:
        raise ModelError(f"{label(node)}: {len(factors)} scales, and a Clip that differs in steps: {PER_TENSOR}")
    bounds = low.pop(), high.pop()
    numbers = [(bound - quantization.zero_point) * quantization.scale for bound in bounds]
    ones = np.array(factors, object)
    return replace(value, source=source.times(1 / ones, 0 * ones), clamp=(numbers[0], numbers[1]))


def _counted_in(weights: Weights, factors: np.ndarray) -> Weights:
    """With scales that take in those of the input, a factor for each output."""
    scales = np.broadcast_to(np.array(weights.scale, object), len(factors))
    return replace(weights, scale=tuple(scales * factors), axis=0)


def _int8_parts(values: np.ndarray) -> list[np.ndarray]:
    """Integers of up to 9 bits, from weights with a zero point, as a sum of int8 weights: most are one already."""
    parts: list[np.ndarray] = []
    left = values
    while not parts or left.any():
        parts.append(np.clip(left, LOW, HIGH))
        left = left - parts[-1]
    return parts


def _repeated(tensor: str, shape: Shape, index: np.ndarray, node: NodeProto, inputs: Inputs) -> str:
    """A tensor whose numbers are there once for each part of their weights: the sum of products stays the same."""
    value = Value(tensor, inputs.held_tensor(tensor).shape).moved(name_of(node), shape, index)
    return inputs.held(value, f"{tensor}_repeated", node)


def _weights_of(weights: Weights, node: NodeProto) -> Weights:
    """Weights, outputs first, of 8 bits or fewer, whose scales follow the outputs."""
    if weights.dtype not in (np.int8, np.uint8):
        raise ModelError(f"{label(node)}: weights are {weights.dtype}: int8 and uint8 are supported")
    if len(weights.scale) > 1 and weights.axis != 0:
        raise ModelError(
            f"{label(node)}: a weight scale for each input channel: for each output channel is supported (axis 0 of "
            "DequantizeLinear; without it, ONNX means 1)"
        )
    return weights


def _bias(node: NodeProto, inputs: Inputs, outputs: int) -> np.ndarray:
    """The bias as Fractions (O,); zeros if the node has none."""
    if len(node.input) > 2 and node.input[2]:
        return for_each_channel(node.input[2], (outputs,), node, inputs)
    return np.full(outputs, Fraction(0), object)


def for_each_channel(constant: str, shape: Shape, node: NodeProto, inputs: Inputs) -> np.ndarray:
    """A constant that is added to values of `shape`: Fractions (C,)."""
    if constant not in inputs.constants:
        raise ModelError(f"{label(node)}: the bias {constant!r} must be a constant")
    numbers = inputs.constants.numbers(constant, node)
    aligned = (1,) * (1 + len(shape) - numbers.ndim) + numbers.shape
    if numbers.ndim > 1 + len(shape) or aligned[1] not in (1, shape[0]) or numbers.size != aligned[1]:
        raise ModelError(f"{label(node)}: a bias of shape {numbers.shape}: one number for each of {shape[0]} channels")
    return np.broadcast_to(numbers.ravel(), shape[0])
