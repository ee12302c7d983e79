"""Operators of TensorFlow Lite with weights: convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor
from niwaki.foreign.tflite_nodes import Held, Nodes
from niwaki.foreign.tflite_shapes import axes, flat, image, settled, strides, window


def _conv(operator: FileOperator, made: Nodes) -> Held:
    """Weights (O, H, W, I / groups) become (O, I / groups, H, W)."""
    source = image(operator, made)
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values = axes(operator, weights, 4).transpose(0, 3, 1, 2)
    if source[1] % values.shape[1] or values.shape[0] % (source[1] // values.shape[1]):
        raise ModelError(f"{operator.name}: weights {weights.shape} do not match an input of {source[1]} channels")
    return _product(operator, made, weights, values, groups=source[1] // values.shape[1])


def _depthwise(operator: FileOperator, made: Nodes) -> Held:
    """Weights (1, H, W, I * multiplier) become (I * multiplier, 1, H, W)."""
    source = image(operator, made)
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values = axes(operator, weights, 4).transpose(3, 0, 1, 2)
    if values.shape[1] != 1 or values.shape[0] % source[1]:
        raise ModelError(f"{operator.name}: weights {weights.shape} do not match an input of {source[1]} channels")
    return _product(operator, made, weights, values, groups=source[1])


def _product(operator: FileOperator, made: Nodes, weights: FileTensor, values: np.ndarray, groups: int) -> Held:
    source, outputs = made.input(operator), len(values)
    dilations = [int(operator.options[f"Dilation{side}Factor"]) for side in "HW"]
    pads, sides = window(operator, source.shape, values.shape[2:], dilations)
    inputs = [source.name, *_constants(operator, made, made.tensor(operator, 0), 2, weights, values)]
    value = made.node(
        "Conv", inputs, operator.name, kernel_shape=list(values.shape[2:]), strides=strides(operator), pads=pads,
        dilations=dilations, group=groups,
    )  # fmt: skip
    return settled(operator, made, value, (1, outputs, *sides))


def _dense(operator: FileOperator, made: Nodes) -> Held:
    if operator.options["WeightsFormat"]:
        raise ModelError(f"{operator.name}: shuffled weights: the default format is supported")
    source = made.input(operator)
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values, size = axes(operator, weights, 2), int(np.prod(source.shape, dtype=np.int64))
    if values.shape[1] != size:
        raise ModelError(f"{operator.name}: weights {weights.shape} do not match an input of {size:,} values")
    if len(source.shape) == 4:
        source = flat(operator, made, source)
    if source.order is not None:
        values = values[:, source.order]
    inputs = [source.name, *_constants(operator, made, made.tensor(operator, 0), 2, weights, values)]
    value = made.node("Gemm", inputs, operator.name, transB=1)
    return settled(operator, made, value, (1, len(values)))


def _transpose_conv(operator: FileOperator, made: Nodes) -> Held:
    """A convolution of the image with zeros between its pixels; weights (O, H, W, I) are turned around."""
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values, given = axes(operator, weights, 4).transpose(0, 3, 1, 2)[:, :, ::-1, ::-1], made.tensor(operator, 2)
    held, steps, target = (
        made.held_of(given.index, operator.name),
        strides(operator),
        made.shape_of(made.result(operator)),
    )
    if len(held.shape) != 4 or len(target) != 4 or held.shape[1] != values.shape[1] or min(steps) < 1:
        raise ModelError(f"{operator.name}: weights {weights.shape} for {held.shape}, strides {steps}")
    name, first, last = _apart(operator, made, held, steps), [], []
    for side, kernel, step, after in zip(held.shape[2:], values.shape[2:], steps, target[2:], strict=True):
        reach = after if operator.options["Padding"] == 0 else after - kernel + 1
        cut = max(0, (-(-reach // step) - 1) * step + kernel - after) // 2
        first.append(kernel - 1 - cut)
        last.append(after - 1 + kernel - 1 - first[-1] - (side - 1) * step)
    if min((*first, *last)) < 0:
        raise ModelError(
            f"{operator.name}: {held.shape} to {target} with strides {steps} and a kernel of {values.shape}"
        )
    inputs = [name, *_constants(operator, made, given, 3, weights, values)]
    value = made.node("Conv", inputs, operator.name, kernel_shape=list(values.shape[2:]), pads=[*first, *last])
    return settled(operator, made, value, (1, len(values), *target[2:]))


def _apart(operator: FileOperator, made: Nodes, held: Held, steps: Sequence[int]) -> str:
    """An image with zeros between its pixels: its own rows and columns, and those of a border, in turn."""
    if max(steps) == 1:
        return held.name
    pads = made.put(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64), f"{operator.name}_pads")
    name = made.node("Pad", [held.name, pads], f"{operator.name}_border")
    for axis, step in zip((2, 3), steps, strict=True):
        side = held.shape[axis]
        places = np.full((side, step), side, np.int64)
        places[:, 0] = np.arange(side)
        at = made.put(places.reshape(-1)[: (side - 1) * step + 1], f"{operator.name}_places")
        name = made.node("Gather", [name, at], f"{operator.name}_apart", axis=axis)
    return name


def _zero(operator: FileOperator, weights: FileTensor) -> int:
    """The zero point of weights, of which there is one."""
    if len(set(weights.zero_points)) != 1:
        told = "several zero points" if weights.scales else "no scale"
        raise ModelError(f"{operator.name}: its weights have {told}: int8 weights with scales are supported")
    if weights.zero_points[0] and weights.type != "UINT8":
        raise ModelError(
            f"{operator.name}: its {weights.type} weights have zero point {weights.zero_points[0]}, where TensorFlow "
            "Lite knows 0 alone: convert the network again"
        )
    return weights.zero_points[0]


def _constants(
    operator: FileOperator, made: Nodes, source: FileTensor, bias_at: int, weights: FileTensor, values: np.ndarray
) -> list[str]:
    """Weights, outputs first, and bias, dequantized."""
    along = {1: 3}.get(weights.shape[0], 0) if operator.kind == "DEPTHWISE_CONV_2D" else 0
    if len(weights.scales) > 1 and weights.axis != along:
        raise ModelError(f"{operator.name}: weight scales along axis {weights.axis}: one for each output is supported")
    made.check_activation(source)
    found = [made.dequantized(values, weights.scales, _zero(operator, weights), f"{operator.name}_weights")]
    if len(operator.inputs) > bias_at and operator.inputs[bias_at] >= 0:
        bias = made.constant(operator, bias_at, "INT32")
        numbers = axes(operator, bias, 1)
        if numbers.size != len(values):
            raise ModelError(f"{operator.name}: a bias of {numbers.size:,} numbers for {len(values):,} outputs")
        units = tuple(float(np.float32(source.scales[0]) * np.float32(scale)) for scale in weights.scales)
        found.append(made.dequantized(numbers, units, 0, f"{operator.name}_bias"))
    return found


OPERATORS: dict[str, Callable[[FileOperator, Nodes], Held]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "TRANSPOSE_CONV": _transpose_conv,
}
