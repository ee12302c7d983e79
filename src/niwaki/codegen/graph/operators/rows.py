"""Along one axis or some: linear layers of many rows, factors of channels, means, normalization, Softmax, attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale, requantize, rescaled
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.functions import aligned
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.operators.products import check_sums, emit_rows
from niwaki.codegen.graph.windows import centred

NUMBER_BITS = 20  # after the point of a normalized number
OFFSET_BITS = 16  # and of an offset, in steps of the output
EXP_BITS = 24  # of the largest number of an exponential's table
SHARE_BITS = 30  # of a share of one


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """Matrix product along the last axis of a tensor. `out = clamp(zo + rescale(bias + w @ (x - zi)))`."""

    weights: np.ndarray  # int8 (O, I)
    bias: np.ndarray  # int32 (O,)
    rescale: Rescale  # shape (O,)
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Scale(Layer):
    """A factor and an offset for each index of the last axis: as a depthwise convolution of one place."""

    weights: np.ndarray  # int8 (C,)
    bias: np.ndarray  # int32 (C,)
    rescale: Rescale  # shape (C,)
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Reduce(Layer):
    """Mean or sum along adjacent axes, `out = clamp(zo + rescale(sum(x - zi)))`, or the maximum, as it is."""

    axes: tuple[int, ...]
    rescale: Rescale | None  # shape (1,); None: the maximum
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Normalize(Layer):
    """Each group of n numbers along `axes` to mean 0 and variance 1, then a factor and an offset, integers throughout.

    With S and Q the sums of q and q², V = n*Q - S² + epsilon, D = isqrt(V * 4**j) in [2**30, 2**31) and I = 2**61 // D:
    `t = (n*q - S) * I >> 41 - j`, rounded, is the number with 20 bits after the point;
    `out = clamp(zo + (t * factor + (offset << shift - 16) + half >> shift))`. t is within 2**-20 + 2**-28 * |t| of the
    exact number. `root` leaves the mean as it is: q is counted from the zero point, and S is 0.
    """

    axes: tuple[int, ...]
    epsilon: int
    factor: np.ndarray  # int32, of every element of `by`, in units of 2**-shift steps of the output
    offset: np.ndarray  # int32, in units of 2**-16 steps
    shift: int
    by: tuple[int, ...]  # the axes along which factors and offsets vary
    root: bool = False
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """Shares of one along an axis. With e = table[max - q] and T their sum, I = 2**55 // T:
    `out = clamp(zo + rescale(e * I >> 25))`; a share is within 2**-23 of the exact one before it is rounded.
    """

    axis: int
    table: np.ndarray  # int32 (256,): 2**24 * exp(-difference)
    rescale: Rescale  # shape (1,): of a share in units of 2**-30
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Matmul(Layer):
    """Two tensors (…, M, K) and (…, K, N). `out = clamp(zo + rescale(sum((a - za) * (b - zb))))`."""

    rescale: Rescale  # shape (1,)
    clamp: Pair = (LOW, HIGH)


def _run_linear(layer: Linear, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    x = centred(inputs[0], sources[0])
    sums = (x.reshape(-1, x.shape[-1]) @ layer.weights.astype(np.int32).T).astype(np.int64) + layer.bias
    return rescaled(sums, layer.rescale, target.zero_point, *layer.clamp).reshape(len(x), *target.shape)


def _run_scale(layer: Scale, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    sums = centred(inputs[0], sources[0]).astype(np.int64) * layer.weights + layer.bias
    return rescaled(sums, layer.rescale, target.zero_point, *layer.clamp)


def _run_reduce(layer: Reduce, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    axes, count = tuple(axis + 1 for axis in layer.axes), len(inputs[0])
    if layer.rescale is None:
        most: np.ndarray = inputs[0].max(axis=axes).reshape(count, *target.shape)
        return most
    sums = centred(inputs[0], sources[0]).sum(axis=axes, dtype=np.int64).reshape(count, *target.shape)
    return rescaled(sums, layer.rescale, target.zero_point, *layer.clamp)


def _isqrt(values: np.ndarray) -> np.ndarray:
    """The whole roots of int64 numbers below 2**62."""
    root = np.floor(np.sqrt(values.astype(np.float64))).astype(np.int64)
    root -= root * root > values
    root += (root + 1) * (root + 1) <= values
    return root


def _inverse_roots(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For positive int64 numbers below 2**60: 2**61 // D and j, as Normalize defines them."""
    lifted, j = values.copy(), np.zeros_like(values)
    while (small := lifted < 1 << 60).any():
        lifted, j = np.where(small, lifted << 2, lifted), j + small
    return (1 << 61) // _isqrt(lifted), j


def _run_normalize(
    layer: Normalize, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    axes = tuple(axis + 1 for axis in layer.axes)
    n = prod(sources[0].shape[axis] for axis in layer.axes)
    q = (centred(inputs[0], sources[0]) if layer.root else inputs[0]).astype(np.int64)
    sums = np.zeros_like(q.sum(axis=axes, keepdims=True)) if layer.root else q.sum(axis=axes, keepdims=True)
    inverse, j = _inverse_roots(n * (q * q).sum(axis=axes, keepdims=True) - sums * sums + layer.epsilon)
    down = 61 - NUMBER_BITS - j
    numbers = ((n * q - sums) * inverse + (np.int64(1) << (down - 1))) >> down
    sides = [side if axis in layer.by else 1 for axis, side in enumerate(target.shape)]
    factor, offset = (part.astype(np.int64).reshape(sides) for part in (layer.factor, layer.offset))
    scaled = numbers * factor + (offset << (layer.shift - OFFSET_BITS))
    rounded = (scaled + (1 << (layer.shift - 1))) >> layer.shift
    clamped: np.ndarray = np.clip(rounded + target.zero_point, *layer.clamp).astype(np.int8)
    return clamped


def _run_softmax(layer: Softmax, inputs: Sequence[np.ndarray], _: Sequence[Tensor], target: Tensor) -> np.ndarray:
    q, axis = inputs[0].astype(np.intp), layer.axis + 1
    parts = layer.table.astype(np.int64)[q.max(axis=axis, keepdims=True) - q]
    inverse = (1 << (EXP_BITS + 31)) // parts.sum(axis=axis, keepdims=True)
    shares = parts * inverse >> EXP_BITS + 31 - SHARE_BITS
    return rescaled(shares, layer.rescale, target.zero_point, *layer.clamp)


def _run_matmul(layer: Matmul, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    rank = len(target.shape)
    a, b = (aligned(centred(values, tensor), rank) for values, tensor in zip(inputs, sources, strict=True))
    return requantize(
        (a @ b).astype(np.int64), layer.rescale.multiplier, layer.rescale.shift, target.zero_point, *layer.clamp
    )


def _lower_linear(layer: Linear, lowering: Lowering) -> None:
    lowering.in_order(layer)
    emit_rows(layer, lowering, layer.weights[:, None, None, :], groups=1)


def _lower_scale(layer: Scale, lowering: Lowering) -> None:
    lowering.in_order(layer)
    emit_rows(layer, lowering, layer.weights[:, None, None, None], groups=len(layer.weights))


def _spans(layer: Reduce | Normalize | Softmax, axes: tuple[int, ...], lowering: Lowering) -> tuple[int, int, int]:
    """Elements before, along and after adjacent axes, in the order of bytes, which follows the axes if it must."""
    name = layer.inputs[0]
    order = lowering.axes(name)
    at = sorted(order.index(axis) for axis in axes)
    if [order[place] for place in range(at[0], at[-1] + 1)] != sorted(axes):
        lowering.in_order(layer)
        order, at = lowering.axes(name), sorted(axes)
        assert at == list(range(at[0], at[-1] + 1))  # the reader has checked it
    sides = [lowering.graph.tensors[name].shape[axis] for axis in order]
    return prod(sides[: at[0]]), prod(sides[at[0] : at[-1] + 1]), prod(sides[at[-1] + 1 :])


def _lower_reduce(layer: Reduce, lowering: Lowering) -> None:
    """Pooling of one row of windows: the axes before are rows, those after are channels."""
    outer, count, inner = _spans(layer, layer.axes, lowering)
    _keep_order(layer, lowering)
    window = {
        "in_h": outer, "in_w": count, "channels": inner, "out_h": outer, "out_w": 1, "kernel_h": 1, "kernel_w": count,
        "stride_h": 1, "stride_w": count, "pad_top": 0, "pad_left": 0,
    }  # fmt: skip
    if layer.rescale is None:
        lowering.emit("max_pool", layer, window)
        return
    fields = {**window, **lowering.ends(layer), "divisors": 1, "count_pads": 0}
    arrays = {"multiplier": layer.rescale.multiplier, "shift": layer.rescale.shift}
    lowering.emit("average_pool", layer, fields, arrays)


def _keep_order(layer: Reduce, lowering: Lowering) -> None:
    """The output's axes lie as the input's; a dropped axis has left no trace."""
    source, target = (lowering.graph.tensors[name].shape for name in (layer.inputs[0], layer.output))
    order = lowering.axes(layer.inputs[0])
    if len(source) != len(target):
        kept = [axis for axis in range(len(source)) if axis not in layer.axes]
        order = tuple(kept.index(axis) for axis in order if axis in kept)
    lowering.order[layer.output] = order


def _lower_normalize(layer: Normalize, lowering: Lowering) -> None:
    outer, count, inner = _spans(layer, layer.axes, lowering)
    lowering.order[layer.output] = order = lowering.axes(layer.inputs[0])
    shape = lowering.graph.tensors[layer.output].shape
    sides = [side if axis in layer.by else 1 for axis, side in enumerate(shape)]
    index = np.broadcast_to(np.arange(layer.factor.size).reshape(sides), shape).transpose(order)
    index = index.reshape(outer, count, inner)
    steps = [int(np.take(index, 1, axis).flat[0]) if index.shape[axis] > 1 else 0 for axis in range(3)]
    factor, offset = layer.factor, layer.offset
    at = sum(part * step for part, step in zip(np.ogrid[:outer, :count, :inner], steps, strict=True))
    if (index != at).any():  # along one of several axes that lie side by side
        steps = [count * inner, inner, 1]
        factor, offset = factor[index.reshape(-1)], offset[index.reshape(-1)]
    fields = {
        "outer": outer, "count": count, "inner": inner, "by_outer": steps[0], "by_count": steps[1],
        "by_inner": steps[2], "epsilon": layer.epsilon, "root": int(layer.root), "factor_shift": layer.shift,
        **lowering.ends(layer),
    }  # fmt: skip
    lowering.emit("normalize", layer, fields, {"factor": factor, "offset": offset})


def _lower_softmax(layer: Softmax, lowering: Lowering) -> None:
    outer, count, inner = _spans(layer, (layer.axis,), lowering)
    lowering.order[layer.output] = lowering.axes(layer.inputs[0])
    ends = lowering.ends(layer)
    del ends["in_zero"]
    fields = {
        "outer": outer, "count": count, "inner": inner, "multiplier": int(layer.rescale.multiplier[0]),
        "shift": int(layer.rescale.shift[0]), **ends,
    }  # fmt: skip
    lowering.emit("softmax", layer, fields, {"powers": layer.table})


def _lower_matmul(layer: Matmul, lowering: Lowering) -> None:
    lowering.in_order(layer)
    a, b = (lowering.graph.tensors[name] for name in layer.inputs)
    rows, depth, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    batches = [prod(tensor.shape[:-2]) for tensor in (a, b)]
    ends = lowering.ends(layer)
    del ends["in_zero"]
    lowering.emit("matmul", layer, {
        "batch": max(batches), "rows": rows, "depth": depth, "columns": columns,
        "a_batch": rows * depth if batches[0] > 1 else 0, "b_batch": depth * columns if batches[1] > 1 else 0,
        "zero_a": a.zero_point, "zero_b": b.zero_point, "multiplier": int(layer.rescale.multiplier[0]),
        "shift": int(layer.rescale.shift[0]), **ends,
    })  # fmt: skip


OPERATORS = {
    Linear: Operator(_run_linear, _lower_linear, ("conv", "large_conv"), check=check_sums, order="own"),
    Scale: Operator(_run_scale, _lower_scale, ("conv",), check=check_sums, order="own"),
    Reduce: Operator(_run_reduce, _lower_reduce, ("max_pool", "average_pool"), order="own"),
    Normalize: Operator(_run_normalize, _lower_normalize, ("normalize",), any_size=True, order="own"),
    Softmax: Operator(_run_softmax, _lower_softmax, ("softmax",), any_size=True, order="own"),
    Matmul: Operator(_run_matmul, _lower_matmul, ("matmul",), any_size=True, order="own"),
}
