"""Sums of products: convolution and matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale, rescaled
from niwaki.codegen.graph.graph import Layer, Pads, Pair, Tensor
from niwaki.codegen.graph.layout import MOST_PATCH_BYTES, MOST_STRIP_BYTES, over_pixels, weights_layout
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.operators.pooling import MaxPool
from niwaki.codegen.graph.windows import centred, in_rows, padded

Product = Any
"""A layer of sums of products: weights int8, outputs first, bias int32, a factor for each output."""


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """Convolution. `out = clamp(zo + rescale(bias + sum(w * (x - zi))))`."""

    weights: np.ndarray  # int8 (O, I / groups, KH, KW)
    bias: np.ndarray  # int32 (O,), in units of s_in * s_w[o]
    rescale: Rescale  # s_in * s_w[o] / s_out, shape (O,)
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Matrix product of a flat tensor. `out = clamp(zo + rescale(bias + w @ (x - zi)))`."""

    weights: np.ndarray  # int8 (O, I)
    bias: np.ndarray  # int32 (O,)
    rescale: Rescale  # shape (O,)
    clamp: Pair = (LOW, HIGH)


def _run_conv(layer: Conv, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    x = centred(inputs[0], sources[0])  # so that zero is the padding
    filters, _, height, width = layer.weights.shape
    groups = layer.groups
    weights = layer.weights.reshape(groups, filters // groups, -1)
    bias, rescale = layer.bias[:, None, None, None], layer.rescale.along_first_of(4)
    parts = []
    for columns in in_rows(padded(x, layer.pads, 0), (height, width), layer.strides, target, layer.dilations):
        pixels = columns.shape[2:]
        sums = _sums(weights, columns.reshape(groups, weights.shape[2], -1)).reshape(filters, *pixels)
        parts.append(rescaled(sums + bias, rescale, target.zero_point, *layer.clamp).swapaxes(0, 1))
    return np.concatenate(parts, axis=2)


def _run_dense(layer: Dense, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    sums = _sums(layer.weights[None], centred(inputs[0], sources[0]).T[None])[0].T + layer.bias
    return rescaled(sums, layer.rescale, target.zero_point, *layer.clamp)


def _sums(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sums of products, for each group: int8 (G, O, K) with int32 (G, K, P) to int64 (G, O, P)."""
    # int32 vectors times a number: ten times as fast as `@`, which is slow for integers
    sums: np.ndarray = np.einsum("gok,gkp->gop", weights.astype(np.int32), np.ascontiguousarray(columns))
    return sums.astype(np.int64)


def check_sums(layer: Product) -> None:
    """Raise OverflowError if a sum could leave 32 bits."""
    sums = np.abs(layer.weights.astype(np.int64)).reshape(len(layer.weights), -1).sum(axis=1)
    if (np.abs(layer.bias.astype(np.int64)) + 255 * sums).max() >= 1 << 31:
        raise OverflowError(f"{layer.name}: a sum could leave 32 bits")


def _lower_conv(layer: Conv, lowering: Lowering) -> None:
    pool = _pool_after(layer, lowering)
    output = pool.output if pool else layer.output
    image = lowering.image(layer, output)
    in_c, filters = image.pop("channels"), layer.weights.shape[0]
    fields = image | {
        "in_c": in_c, "out_c": filters, "kernel_h": layer.weights.shape[2], "kernel_w": layer.weights.shape[3],
        "stride_h": layer.strides[0], "stride_w": layer.strides[1], "pad_top": layer.pads[0],
        "pad_left": layer.pads[1], "dilation_h": layer.dilations[0], "dilation_w": layer.dilations[1],
        "groups": layer.groups, "pool_h": pool.kernel[0] if pool else 1, "pool_w": pool.kernel[1] if pool else 1,
        **lowering.ends(layer), "wide": _is_wide(layer), "pixels": 0,
    }  # fmt: skip
    by_tap = layer.weights.transpose(0, 2, 3, 1)  # OHWI
    weights = weights_layout(fields)
    if weights == "depthwise":
        by_tap = by_tap[..., 0]
    if weights == "blocks":
        fields["pixels"] = int(over_pixels(fields))
    seen = by_tap[0].size * fields["pool_h"] * fields["pool_w"]
    kernel = "conv" if weights != "blocks" or seen <= MOST_PATCH_BYTES else "large_conv"
    lowering.emit(kernel, layer, fields, {"weights": by_tap, **_ending(layer, lowering)}, weights, output)
    if pool:
        lowering.done.add(pool.name)


def emit_rows(layer: Product, lowering: Lowering, weights: np.ndarray, groups: int) -> None:
    """Emit the 1×1 convolution that a layer along the last axis is: a row for each place; weights OHWI."""
    *before, size = lowering.graph.tensors[layer.inputs[0]].shape
    places = prod(before)
    fields = {
        "in_h": places, "in_w": 1, "out_h": places, "out_w": 1, "in_c": size, "out_c": len(weights), "kernel_h": 1,
        "kernel_w": 1, "stride_h": 1, "stride_w": 1, "pad_top": 0, "pad_left": 0, "dilation_h": 1, "dilation_w": 1,
        "groups": groups, "pool_h": 1, "pool_w": 1, **lowering.ends(layer), "wide": _is_wide(layer), "pixels": 0,
    }  # fmt: skip
    lies = weights_layout(fields)
    kernel = "conv" if lies != "blocks" or size <= MOST_PATCH_BYTES else "large_conv"
    weights = weights[..., 0] if lies == "depthwise" else weights
    lowering.emit(kernel, layer, fields, {"weights": weights, **_ending(layer, lowering)}, lies)


def _lower_dense(layer: Dense, lowering: Lowering) -> None:
    weights = layer.weights
    shape = lowering.layout.get(layer.inputs[0])
    if shape is not None:  # the bytes are still laid out as rows of pixels
        weights = weights.reshape(len(weights), *shape.shape).transpose(0, 2, 3, 1).reshape(len(weights), -1)
    fields = {"in": weights.shape[1], "out": len(weights), **lowering.ends(layer), "wide": _is_wide(layer)}
    del fields["in_zero"]
    lies = "blocks" if weights.shape[1] <= MOST_STRIP_BYTES else "rows"
    lowering.emit("dense", layer, fields, {"weights": weights, **_ending(layer, lowering)}, lies)


def _ending(layer: Product, lowering: Lowering) -> dict[str, np.ndarray]:
    """The arrays that round a sum of products; the bias absorbs the input's zero point."""
    zero = lowering.graph.tensors[layer.inputs[0]].zero_point
    sums = layer.weights.astype(np.int64).reshape(len(layer.weights), -1).sum(axis=1)
    return {
        "bias": layer.bias.astype(np.int64) - zero * sums,
        "sums": sums,
        "multiplier": layer.rescale.multiplier,
        "shift": layer.rescale.shift,
    }


def _pool_after(layer: Conv, lowering: Lowering) -> MaxPool | None:
    """The pooling that can run on the sums: maximum and rounding, which keeps order, can be exchanged."""
    readers = list(lowering.graph.readers(layer.output))
    if not lowering.fuse or len(readers) != 1 or layer.output == lowering.graph.output or layer.groups > 1:
        return None
    pool = readers[0]
    if isinstance(pool, MaxPool) and pool.kernel == pool.strides and pool.pads == (0, 0, 0, 0):
        return pool
    return None


def _is_wide(layer: Product) -> int:
    """Whether a rounded sum could exceed 32 bits before it is clamped."""
    sums = np.abs(layer.weights.astype(np.int64)).reshape(len(layer.weights), -1).sum(axis=1)
    most = np.abs(layer.bias.astype(np.int64)) + 255 * sums
    rounded = (most * layer.rescale.multiplier >> layer.rescale.shift) + 1
    return int(rounded.max() >= 2**31 - 512)


OPERATORS = {
    Conv: Operator(_run_conv, _lower_conv, ("conv", "large_conv"), check=check_sums),
    Dense: Operator(_run_dense, _lower_dense, ("dense",), check=check_sums, any_size=True),
}
