"""Shapes of TensorFlow Lite's operators: images, flattened ones, windows over them, and what a result must be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor
from niwaki.foreign.tflite_nodes import Held, Nodes, activated, rounded

_SAME, _VALID = 0, 1


def axes(operator: FileOperator, tensor: FileTensor, count: int) -> np.ndarray:
    """A constant's values, which must have so many axes."""
    assert tensor.data is not None  # `constant` gives no other
    if tensor.data.ndim != count:
        raise ModelError(f"{operator.name}: a constant of shape {tensor.shape}: {count} axes are needed")
    return tensor.data


def flat(operator: FileOperator, made: Nodes, source: Held) -> Held:
    """An image as (1, C * H * W): the place of each of its elements in the file's order (H * W * C)."""
    if len(source.shape) == 2:
        return source
    _, channels, height, width = source.shape
    size = channels * height * width
    order = None if one_order(source.shape) else np.arange(size).reshape(height, width, channels)
    shape = (1, size)
    value = made.reshaped(source.name, shape, f"{operator.name}_reshaped")
    return Held(value, shape, None if order is None else order.transpose(2, 0, 1).reshape(-1))


def one_order(shape: Sequence[int]) -> bool:
    """Whether an image has one order of bytes, channels first or last."""
    return shape[1] == 1 or shape[2] * shape[3] == 1


def settled(
    operator: FileOperator, made: Nodes, value: str, shape: tuple[int, ...], order: np.ndarray | None = None
) -> Held:
    """A computed value after its activation, rounded; it must have the shape that the file says."""
    stated = made.shape_of(made.result(operator))
    if int(np.prod(stated, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)) or (
        len(stated) == len(shape) and stated != shape
    ):
        raise ModelError(f"{operator.name}: gives {shape}, but the file says {stated} (channels first)")
    code = operator.options.get("FusedActivationFunction", 0)
    held = rounded(operator, made, activated(operator, made, value, code), shape, order)
    if len(stated) == len(shape):
        return held
    return flat(operator, made, held) if len(stated) == 2 else held


def image(operator: FileOperator, made: Nodes) -> tuple[int, ...]:
    """The shape (1, C, H, W) of an operator's input."""
    source = made.input(operator)
    if len(source.shape) != 4:
        raise ModelError(f"{operator.name}: an input of shape {source.shape}: images are supported")
    return source.shape


def strides(operator: FileOperator) -> list[int]:
    """Down and to the right."""
    return [int(operator.options[f"Stride{side}"]) for side in "HW"]


def window(
    operator: FileOperator, source: Sequence[int], kernel: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], tuple[int, ...]]:
    """Padding on the four sides, and height and width of the result: SAME puts the odd pixel below and on the right."""
    steps, padding = strides(operator), operator.options["Padding"]
    if min((*steps, *kernel, *dilations)) < 1 or padding not in (_SAME, _VALID):
        raise ModelError(f"{operator.name}: kernel {list(kernel)}, strides {steps}, dilations {list(dilations)}")
    first, last, sides = [], [], []
    for size, side, stride, dilation in zip(source[2:], kernel, steps, dilations, strict=True):
        reach = (side - 1) * dilation + 1
        count = -(-size // stride) if padding == _SAME else (size - reach) // stride + 1
        if count < 1:
            raise ModelError(f"{operator.name}: a window of {reach} over {size} pixels")
        total = max(0, (count - 1) * stride + reach - size)
        first.append(total // 2)
        last.append(total - total // 2)
        sides.append(count)
    return [*first, *last], tuple(sides)
