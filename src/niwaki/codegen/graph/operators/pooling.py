"""Pooling: the maximum and the mean over windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale, rescaled
from niwaki.codegen.graph.graph import Layer, Pads, Pair, Tensor
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.windows import centred, in_rows, padded


@dataclass(frozen=True, eq=False)
class MaxPool(Layer):
    """Maximum over windows; input and output have one scale and zero point."""

    kernel: Pair
    strides: Pair
    pads: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class AveragePool(Layer):
    """Mean over windows (global pooling: one window). `out = clamp(zo + rescale[n](sum(x - zi)))`, n the divisor."""

    kernel: Pair
    strides: Pair
    pads: Pads
    count_include_pad: bool
    rescale: dict[int, Rescale]  # by divisor n: s_in / (n * s_out), shape (1,)
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class IntegerMean(Layer):
    """Mean over windows of the int8 values themselves, as TensorFlow Lite computes it; padding does not count.

    Input and output have one scale and zero point. `out = clamp(sum(x - start) / n + start)`, rounded to the nearest,
    ties away from `start`.
    """

    kernel: Pair
    strides: Pair
    pads: Pads
    clamp: Pair = (LOW, HIGH)
    start: int = 0  # -128: of what is uint8 in the file


def _run_max_pool(layer: MaxPool, inputs: Sequence[np.ndarray], _: Sequence[Tensor], target: Tensor) -> np.ndarray:
    windows = in_rows(padded(inputs[0], layer.pads, LOW), layer.kernel, layer.strides, target)
    return np.concatenate([seen.max(axis=1).swapaxes(0, 1) for seen in windows], axis=2)


def _run_average_pool(
    layer: AveragePool, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    """Each position has its divisor: the window's size, or how many of its pixels are inside the image."""
    sums, divisors = _sums(layer, centred(inputs[0], sources[0]), target, int(layer.count_include_pad))
    multiplier, shift = np.zeros_like(divisors), np.ones_like(divisors)
    for divisor, rescale in layer.rescale.items():
        multiplier[divisors == divisor] = rescale.multiplier[0]
        shift[divisors == divisor] = rescale.shift[0]
    each = replace(next(iter(layer.rescale.values())), multiplier=multiplier, shift=shift)
    return rescaled(sums, each, target.zero_point, *layer.clamp).swapaxes(0, 1)


def _run_integer_mean(
    layer: IntegerMean, inputs: Sequence[np.ndarray], _: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    sums, counts = _sums(layer, inputs[0].astype(np.int64) - layer.start, target, 0)
    means = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts) + layer.start
    clamped: np.ndarray = np.clip(means, *layer.clamp)
    return clamped.astype(np.int8).swapaxes(0, 1)


def _sums(
    layer: AveragePool | IntegerMean, x: np.ndarray, target: Tensor, counted: int
) -> tuple[np.ndarray, np.ndarray]:
    """The sum over every window, int64 (C, n, H, W), and of how many pixels, (H, W); `counted`: whether padding is."""
    windows = in_rows(padded(x, layer.pads, 0), layer.kernel, layer.strides, target)
    sums = np.concatenate([seen.sum(axis=1, dtype=np.int64) for seen in windows], axis=2)
    ones = padded(np.ones((1, 1, *x.shape[2:]), np.int64), layer.pads, counted)
    seen = in_rows(ones, layer.kernel, layer.strides, target)
    return sums, np.concatenate([part.sum(axis=1) for part in seen], axis=2)[0, 0]


def _lower_max_pool(layer: MaxPool, lowering: Lowering) -> None:
    lowering.emit("max_pool", layer, {**lowering.image(layer), **_window(layer)})


def _lower_integer_mean(layer: IntegerMean, lowering: Lowering) -> None:
    fields = {**lowering.image(layer), **_window(layer), **lowering.ends(layer), "in_zero": layer.start, "divisors": 0}
    lowering.emit("average_pool", layer, fields)


def _lower_average_pool(layer: AveragePool, lowering: Lowering) -> None:
    divisors = sorted(layer.rescale)
    table = np.zeros((2, divisors[-1]), np.int64) + np.array([[0], [1]])
    for n in divisors:
        table[:, n - 1] = layer.rescale[n].multiplier[0], layer.rescale[n].shift[0]
    if len(divisors) == 1:
        table = table[:, -1:]
    fields = {
        **lowering.image(layer), **_window(layer), **lowering.ends(layer), "divisors": table.shape[1],
        "count_pads": int(layer.count_include_pad),
    }  # fmt: skip
    lowering.emit("average_pool", layer, fields, {"multiplier": table[0], "shift": table[1]})


def _window(layer: MaxPool | AveragePool | IntegerMean) -> dict[str, int]:
    return {
        "kernel_h": layer.kernel[0], "kernel_w": layer.kernel[1], "stride_h": layer.strides[0],
        "stride_w": layer.strides[1], "pad_top": layer.pads[0], "pad_left": layer.pads[1],
    }  # fmt: skip


OPERATORS = {
    MaxPool: Operator(_run_max_pool, _lower_max_pool, ("max_pool",)),
    AveragePool: Operator(_run_average_pool, _lower_average_pool, ("average_pool",)),
    IntegerMean: Operator(_run_integer_mean, _lower_integer_mean, ("average_pool",)),
}
