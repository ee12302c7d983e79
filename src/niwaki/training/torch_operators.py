"""ONNX operators in torch: those that a QDQ network consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from onnx import NodeProto, helper
from torch.nn import functional as F

Attributes = Mapping[str, Any]
Inputs = Sequence[Any]


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name; text as text."""
    found = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _sides(given: Attributes, dimensions: int) -> tuple[list[int], list[int]]:
    """The padding before and after, in each dimension."""
    pads = list(given.get("pads", [0] * 2 * dimensions))
    return pads[:dimensions], pads[dimensions:]


def _padded(x: torch.Tensor, given: Attributes, dimensions: int, value: float) -> torch.Tensor:
    before, after = _sides(given, dimensions)
    flat = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


def _conv(inputs: Inputs, given: Attributes) -> torch.Tensor:
    x, weight, bias = inputs
    dimensions = weight.ndim - 2
    before, after = _sides(given, dimensions)
    padding = before
    if before != after:
        x, padding = _padded(x, given, dimensions, 0.0), [0] * dimensions
    convolve = F.conv1d if dimensions == 1 else F.conv2d
    return convolve(
        x, weight, bias, given.get("strides", [1] * dimensions), padding, given.get("dilations", [1] * dimensions),
        given.get("group", 1),
    )  # fmt: skip


def _dense(inputs: Inputs, given: Attributes) -> torch.Tensor:
    x, weight, bias = (*inputs, None)[:3]
    return F.linear(x, weight if given.get("transB", 0) else weight.transpose(0, 1), bias)


def _max_pool(inputs: Inputs, given: Attributes) -> torch.Tensor:
    kernel = given["kernel_shape"]
    x = _padded(inputs[0], given, len(kernel), float("-inf"))
    pool: Any = F.max_pool1d if len(kernel) == 1 else F.max_pool2d
    strides = given.get("strides", [1] * len(kernel))
    return pool(x, kernel, strides, 0, given.get("dilations", 1), bool(given.get("ceil_mode", 0)))  # type: ignore[no-any-return]


def _average_pool(inputs: Inputs, given: Attributes) -> torch.Tensor:
    """Sums over each window, divided by the number of its elements that count."""
    kernel = given["kernel_shape"]
    x, strides = inputs[0], given.get("strides", [1] * len(kernel))
    counted = torch.ones_like(x[:1, :1])
    if not given.get("count_include_pad", 0):
        counted = _padded(counted, given, len(kernel), 0.0)
    else:
        counted = torch.ones_like(_padded(counted, given, len(kernel), 1.0))
    padded = _padded(x, given, len(kernel), 0.0)
    pool: Any = F.avg_pool1d if len(kernel) == 1 else F.avg_pool2d
    ceil = bool(given.get("ceil_mode", 0))
    return pool(padded, kernel, strides, 0, ceil) / pool(counted, kernel, strides, 0, ceil)  # type: ignore[no-any-return]


def _mean(inputs: Inputs, given: Attributes) -> torch.Tensor:
    axes = given.get("axes") or (inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else None)
    axes = list(range(2, inputs[0].ndim)) if axes is None else axes
    return torch.mean(inputs[0], axes, keepdim=bool(given.get("keepdims", 1)))


def _reshape(inputs: Inputs, given: Attributes) -> torch.Tensor:
    x: torch.Tensor = inputs[0]
    shape = inputs[1].tolist()
    whole = [x.shape[i] if side == 0 and not given.get("allowzero", 0) else side for i, side in enumerate(shape)]
    whole[0] = -1 if whole[0] in (-1, 0, 1) and -1 not in whole[1:] else whole[0]  # the batch, whatever it is
    return x.reshape(whole)


def _flatten(inputs: Inputs, given: Attributes) -> torch.Tensor:
    return torch.flatten(inputs[0], given.get("axis", 1))


def _squeeze(inputs: Inputs, given: Attributes) -> torch.Tensor:
    axes = given.get("axes") or inputs[1].tolist()
    return torch.squeeze(inputs[0], tuple(axes))


def _unsqueeze(inputs: Inputs, given: Attributes) -> torch.Tensor:
    x: torch.Tensor = inputs[0]
    for axis in sorted(given.get("axes") or inputs[1].tolist()):
        x = x.unsqueeze(axis)
    return x


def _clip(inputs: Inputs, _given: Attributes) -> torch.Tensor:
    low, high = (entry if entry is None else float(entry) for entry in (*inputs[1:], None, None)[:2])
    return torch.clamp(inputs[0], low, high)


def _pad(inputs: Inputs, _given: Attributes) -> torch.Tensor:
    pads = inputs[1].tolist()
    value = 0.0 if len(inputs) < 3 or inputs[2] is None else float(inputs[2])
    return _padded(inputs[0], {"pads": pads}, inputs[0].ndim, value)


OPERATORS: dict[str, Callable[[Inputs, Attributes], torch.Tensor]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Concat": lambda inputs, given: torch.cat(list(inputs), given["axis"]),
    "Conv": _conv,
    "Dropout": lambda inputs, _: inputs[0],
    "Flatten": _flatten,
    "Gemm": _dense,
    "GlobalAveragePool": _mean,
    "Identity": lambda inputs, _: inputs[0],
    "MatMul": _dense,
    "MaxPool": _max_pool,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Pad": _pad,
    "ReduceMean": _mean,
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": lambda inputs, given: inputs[0].permute(given["perm"]),
    "Unsqueeze": _unsqueeze,
}
"""By name: the function from inputs (tensors; None for one that is left out) and attributes to an output."""
KEEPS_VALUES = ("Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators whose outputs are among their inputs."""
