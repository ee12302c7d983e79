"""Operators of TensorFlow Lite that compute element by element: functions of one activation, and two together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor
from niwaki.foreign.tflite_nodes import Held, Nodes, activated, rounded, same_scale
from niwaki.foreign.tflite_places import as_image, from_image, in_file_order

_PAIRS = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "MAXIMUM": "Max", "MINIMUM": "Min"}
_LARGE = 64  # pixels: below, tables of 256 bytes for each channel take more than a tensor
_FUNCTIONS = {"HARD_SWISH": "HardSwish", "LEAKY_RELU": "LeakyRelu", "LOGISTIC": "Sigmoid", "TANH": "Tanh"}


def _pair(operator: FileOperator, made: Nodes) -> Held:
    """Two activations, or one and a constant; an axis of one element is repeated."""
    tensors = [made.tensor(operator, number) for number in (0, 1)]
    if all(tensor.data is not None for tensor in tensors):
        raise ModelError(f"{operator.name}: two constants: convert the network again, so that they are one")
    if operator.kind in ("MAXIMUM", "MINIMUM") and not all(
        same_scale(tensor, made.result(operator)) for tensor in tensors
    ):
        raise ModelError(f"{operator.name}: its inputs and its output must have one scale")
    held = [made.held.get(tensor.index) for tensor in tensors]
    if held[0] is not None and held[1] is not None and held[0].is_like(held[1]):
        value = made.node(_PAIRS[operator.kind], [part.name for part in held if part], operator.name)
        return _pair_rounded(operator, made, Held(value, held[0].shape, held[0].order))
    return _repeated(operator, made, tensors)


def _repeated(operator: FileOperator, made: Nodes, tensors: list[FileTensor]) -> Held:
    """Both as images, an axis of one element repeated: by the product's kernel, or in a tensor of its own."""
    target = made.result(operator)
    values, shapes = [], []
    for tensor in tensors:
        if tensor.data is None:
            value, shape = as_image(operator, made, made.held_of(tensor.index, operator.name), tensor)
        else:
            value, shape = _constant(operator, made, tensor, target)
        values.append(value)
        shapes.append(shape)
    try:
        whole = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ModelError(f"{operator.name}: {tensors[0].shape} and {tensors[1].shape} do not fit together") from error
    for number, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
        if (
            operator.kind not in ("ADD", "SUB")
            or shape == whole
            or (tensor.data is not None and _is_table(shape, whole))
        ):
            continue
        sides = made.put(np.array(whole, np.int64), f"{operator.name}_sides")
        values[number] = made.node("Expand", [values[number], sides], f"{operator.name}_expanded")
    value = made.node(_PAIRS[operator.kind], values, operator.name)
    return from_image(operator, made, _pair_rounded(operator, made, Held(value, whole)), target)


def _constant(
    operator: FileOperator, made: Nodes, tensor: FileTensor, target: FileTensor
) -> tuple[str, tuple[int, ...]]:
    """A quantized constant as part of an image (1, C, H, W)."""
    if tensor.type not in ("INT8", "UINT8") or len(tensor.scales) != 1 or tensor.data is None:
        raise ModelError(f"{operator.name}: a constant of {tensor.type}: int8 with one scale is supported")
    if len(tensor.shape) > 4 or tensor.data.size > np.prod(target.shape, dtype=np.int64):
        raise ModelError(f"{operator.name}: a constant of shape {tensor.shape} for {target.shape}")
    values = tensor.data.reshape((1,) * (4 - tensor.data.ndim) + tensor.data.shape).transpose(0, 3, 1, 2)
    name = made.dequantized(values, tensor.scales, tensor.zero_points[0], f"{operator.name}_constant")
    return name, values.shape


def _is_table(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a constant becomes tables: one number, or one for each channel of an image of some size."""
    return shape[0] * shape[2] * shape[3] == 1 and (shape[1] == 1 or whole[2] * whole[3] >= _LARGE)


def _pair_rounded(operator: FileOperator, made: Nodes, held: Held) -> Held:
    value = activated(operator, made, held.name, operator.options.get("FusedActivationFunction", 0))
    return rounded(operator, made, value, held.shape, held.order)


def _function(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    given = {"alpha": float(operator.options["Alpha"])} if operator.kind == "LEAKY_RELU" else {}
    value = made.node(_FUNCTIONS[operator.kind], [source.name], operator.name, **given)
    return rounded(operator, made, value, source.shape, source.order)


def _prelu(operator: FileOperator, made: Nodes) -> Held:
    """Slopes (1, 1, C), one for each channel, or one for all."""
    source, slopes = made.input(operator), made.constant(operator, 1, "INT8", "UINT8")
    channels = source.shape[1]
    if slopes.data is None or len(slopes.scales) != 1:
        raise ModelError(f"{operator.name}: slopes with one scale are supported")
    if slopes.data.size not in (1, channels) or (slopes.data.size > 1 and slopes.shape[-1] != channels):
        raise ModelError(f"{operator.name}: slopes of shape {slopes.shape}: one for each of {channels} channels")
    if source.order is not None:
        source = in_file_order(operator, made, source)
    values = slopes.data.reshape(-1, *(1,) * (len(source.shape) - 2))
    name = made.dequantized(values, slopes.scales, slopes.zero_points[0], f"{operator.name}_slopes")
    value = made.node("PRelu", [source.name, name], operator.name)
    return rounded(operator, made, value, source.shape, source.order)


OPERATORS: dict[str, Callable[[FileOperator, Nodes], Held]] = {
    **dict.fromkeys(_PAIRS, _pair),
    **dict.fromkeys(_FUNCTIONS, _function),
    "PRELU": _prelu,
}
