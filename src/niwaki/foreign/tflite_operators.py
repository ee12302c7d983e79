"""What each operator of a TensorFlow Lite file is in ONNX: a function from operator to what stands for its result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from niwaki.errors import ModelError
from niwaki.foreign import tflite_elements, tflite_places, tflite_products
from niwaki.foreign.tflite_file import FileOperator
from niwaki.foreign.tflite_nodes import Held, Nodes, activated, rounded, same_scale
from niwaki.foreign.tflite_places import as_in_file, from_file
from niwaki.foreign.tflite_shapes import axes, flat, image, one_order, settled, strides, window

_NHWC = {0: 0, 1: 2, 2: 3, 3: 1}  # an axis of an image in the file, and in the ONNX


def _pool(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    channels = image(operator, made)[1]
    kernel = [int(operator.options[f"Filter{side}"]) for side in ("Height", "Width")]
    pads, sides = window(operator, source.shape, kernel, [1, 1])
    if not same_scale(made.tensor(operator, 0), made.result(operator)):
        raise ModelError(f"{operator.name}: its output has another scale than its input")
    kind = {"AVERAGE_POOL_2D": "AveragePool", "MAX_POOL_2D": "MaxPool"}[operator.kind]
    value = made.node(kind, [source.name], operator.name, kernel_shape=kernel, strides=strides(operator), pads=pads)
    return settled(operator, made, value, (1, channels, *sides))


def _mean(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    axes = made.constant(operator, 1, "INT32").data
    found = sorted(int(axis) % 4 for axis in np.ravel(axes)) if axes is not None else []
    if found != [1, 2] or len(source.shape) != 4:
        raise ModelError(f"{operator.name}: over axes {found}: the mean over height and width (1, 2) is supported")
    kept = len(made.result(operator).shape) == 4
    shape = (1, source.shape[1], 1, 1) if kept else (1, source.shape[1])
    return settled(
        operator, made, made.node("ReduceMean", [source.name], operator.name, axes=[2, 3], keepdims=int(kept)), shape
    )


def _concat(operator: FileOperator, made: Nodes) -> Held:
    parts = [made.input(operator, number) for number in range(len(operator.inputs))]
    rank = len(made.result(operator).shape)
    axis = int(operator.options["Axis"]) % max(rank, 1)
    if rank not in (2, 4) or axis == 0 or any(part.order is not None for part in parts):
        raise ModelError(
            f"{operator.name}: axis {axis} of {rank}: rows, columns or channels of images, or flat tensors"
        )
    axis = _NHWC[axis] if rank == 4 else 1
    shapes = [part.shape[:axis] + part.shape[axis + 1 :] for part in parts]
    if len(set(shapes)) > 1 or any(len(part.shape) != rank for part in parts):
        raise ModelError(f"{operator.name}: {', '.join(str(part.shape) for part in parts)}: their other sides differ")
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    value = made.node("Concat", [part.name for part in parts], operator.name, axis=axis)
    return settled(operator, made, value, tuple(shape))


def _pad(operator: FileOperator, made: Nodes) -> Held:
    source = image(operator, made)
    pads = axes(operator, made.constant(operator, 1, "INT32", "INT64"), 2)
    if pads.shape != (4, 2) or pads.min() < 0 or pads[[0, 3]].any():
        raise ModelError(f"{operator.name}: {pads.tolist()}: a border around height and width is supported")
    number = 0.0
    if len(operator.inputs) > 2:
        filler = made.constant(operator, 2, "INT8", "UINT8")
        if not filler.scales or filler.data is None or filler.data.size != 1:
            raise ModelError(f"{operator.name}: filled with several numbers, or one without a scale")
        number = (int(filler.data.flat[0]) - filler.zero_points[0]) * filler.scales[0]
    (top, bottom), (left, right) = pads[1:3].tolist()
    inputs = [
        made.input(operator).name, made.put(np.array([0, 0, top, left, 0, 0, bottom, right]), f"{operator.name}_pads"),
        made.put(np.array(number, np.float32), f"{operator.name}_number"),
    ]  # fmt: skip
    shape = (1, source[1], top + source[2] + bottom, left + source[3] + right)
    return settled(operator, made, made.node("Pad", inputs, operator.name), shape)


def _reshape(operator: FileOperator, made: Nodes) -> Held:
    """Also SQUEEZE and EXPAND_DIMS: only the result's shape matters."""
    source, target = made.input(operator), made.result(operator)
    shape = made.shape_of(target)
    if np.prod(shape, dtype=np.int64) != np.prod(source.shape, dtype=np.int64):
        raise ModelError(f"{operator.name}: {source.shape} cannot become {shape}")
    if not same_scale(made.tensor(operator, 0), target):
        raise ModelError(f"{operator.name}: its output has another scale than its input")
    if source.shape == shape:
        return source
    if len(shape) == 2:
        return flat(operator, made, source)
    plain = len(source.shape) == 4 and source.shape[1] == shape[1]  # the channels stay
    alike = one_order(shape) and (len(source.shape) == 2 or one_order(source.shape))
    if source.order is not None or not (plain or alike):
        return from_file(operator, made, as_in_file(operator, made, source, made.tensor(operator, 0).shape), target)
    return Held(made.reshaped(source.name, shape, f"{operator.name}_reshaped"), shape)


def _relu(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    code = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}[operator.kind]
    return rounded(operator, made, activated(operator, made, source.name, code), source.shape, source.order)


def _quantize(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    return rounded(operator, made, source.name, source.shape, source.order)


def _dequantize(operator: FileOperator, made: Nodes) -> Held:
    return made.input(operator)


def _softmax(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    if operator.options["Beta"] != 1 or len(made.result(operator).shape) != 2 or source.order is not None:
        raise ModelError(f"{operator.name}: with beta 1 of (1, classes), as the last operator, it is supported")
    return Held(made.node("Softmax", [source.name], operator.name, axis=1), source.shape)


OPERATORS: dict[str, Callable[[FileOperator, Nodes], Held | list[Held]]] = {
    **tflite_elements.OPERATORS,
    **tflite_places.OPERATORS,
    **tflite_products.OPERATORS,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concat,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu,
    "RELU_N1_TO_1": _relu,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
}
SEVERAL_OUTPUTS = ("SPLIT", "SPLIT_V")
SUPPORTED = ", ".join(sorted(OPERATORS))
WAYS_OUT = {
    "ARG_MAX": "leave it out: the C returns the scores, and the largest is the class",
    "SOFTMAX": "as the last operator it is supported",
}
