"""The contract: what every layer of a quantized graph computes, in NumPy, with integers only.

The generated C equals it bit for bit. A sum of products is an int32, which the reader has proved for every channel;
each layer then rounds once (`arithmetic.requantize`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from niwaki.codegen.arithmetic import LOW, requantize, round_off
from niwaki.codegen.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dense,
    Graph,
    Layer,
    MaxPool,
    Pad,
    Pads,
    Pair,
    Requantize,
    Reshape,
    Tensor,
)
from niwaki.errors import ModelError

_ELEMENTS_AT_ONCE = 1 << 18  # of the largest activation: what stays in a processor's cache
_SEEN_AT_ONCE = 1 << 25  # pixels that windows see, each as often as it is seen: 128 MB


def run(graph: Graph, inputs: np.ndarray) -> np.ndarray:
    """The graph's output, int8 (n, *output shape), for quantized `inputs`, int8 (n, *input shape).

    Raises ModelError for inputs of another type or shape, and OverflowError if a layer's sums could leave 32 bits.
    """
    shape = graph.tensors[graph.input].shape
    if inputs.dtype != np.int8 or inputs.shape[1:] != shape:
        raise ModelError(f"inputs are {inputs.dtype} {inputs.shape}: expected int8 (n, {', '.join(map(str, shape))})")
    for layer in graph.layers:
        if isinstance(layer, Conv | Dense):
            _check_sums(layer)
    at_once = max(1, _ELEMENTS_AT_ONCE // max(tensor.size for tensor in graph.tensors.values()))
    outputs = np.empty((len(inputs), *graph.tensors[graph.output].shape), np.int8)
    for start in range(0, len(inputs), at_once):
        some = slice(start, start + at_once)
        outputs[some] = _run(graph, inputs[some])
    return outputs


def quantize_pixels(graph: Graph, pixels: np.ndarray) -> np.ndarray:
    """Raw pixels, uint8 (n, C, H, W), as the graph's input, int8 of the same shape.

    Raises ModelError for pixels of another type or shape, or where the graph has no table for them.
    """
    if graph.table is None:
        raise ModelError("the ONNX does not say how pixels become its input: give quantized inputs, int8")
    shape = graph.tensors[graph.input].shape
    if pixels.dtype != np.uint8 or pixels.shape[1:] != shape:
        raise ModelError(f"pixels are {pixels.dtype} {pixels.shape}: expected uint8 (n, {', '.join(map(str, shape))})")
    channels = [table[pixels[:, channel]] for channel, table in enumerate(graph.table)]
    return np.stack(channels, axis=1)


def _run(graph: Graph, inputs: np.ndarray) -> np.ndarray:
    values = {graph.input: inputs}
    for layer in graph.layers:
        result = run_layer(layer, [values[name] for name in layer.inputs], graph.tensors)
        assert result.shape[1:] == graph.tensors[layer.output].shape, (layer.name, result.shape)
        values[layer.output] = result
    return values[graph.output]


def run_layer(layer: Layer, inputs: Sequence[np.ndarray], tensors: Mapping[str, Tensor]) -> np.ndarray:
    """One layer on some images: from int8 (n, *shape) for each of its inputs to int8 (n, *output shape).

    Raises TypeError for a layer that is none of `graph`'s.
    """
    sources, target = [tensors[name] for name in layer.inputs], tensors[layer.output]
    x, source, zero = inputs[0], sources[0], target.zero_point
    match layer:
        case Conv():
            result = _conv(layer, _centred(x, source), target)
        case Dense():
            sums = _sums(layer.weights[None], _centred(x, source).T[None])[0].T + layer.bias
            result = requantize(sums, layer.rescale.multiplier, layer.rescale.shift, zero, *layer.clamp)
        case MaxPool():
            padded = _padded(x, layer.pads, LOW)
            windows = _in_rows(padded, layer.kernel, layer.strides, target)
            result = np.concatenate([seen.max(axis=1).swapaxes(0, 1) for seen in windows], axis=2)
        case AveragePool():
            result = _average_pool(layer, _centred(x, source), target)
        case Add():
            a, b = (_centred(values, tensor).astype(np.int64) for values, tensor in zip(inputs, sources, strict=True))
            factors, shift = layer.rescale.multiplier, layer.rescale.shift[:1]
            result = round_off(a * factors[0] + b * factors[1], shift, zero, *layer.clamp)
        case Concat():
            parts = [
                requantize(_centred(values, tensor), rescale.multiplier, rescale.shift, zero)
                for values, tensor, rescale in zip(inputs, sources, layer.rescale, strict=True)
            ]
            result = np.concatenate(parts, axis=1 + layer.axis)
        case Requantize():
            factor = layer.rescale
            result = requantize(_centred(x, source), factor.multiplier, factor.shift, zero, *layer.clamp)
        case Pad():
            result = _padded(x, layer.pads, layer.value)
        case Reshape():
            result = x.reshape(len(x), *target.shape)
        case _:
            raise TypeError(f"{layer.name}: no layer of the contract: {type(layer).__name__}")
    return result


def _centred(x: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The numbers that int8 stand for, in units of the scale: int32, −255 to 255."""
    return x.astype(np.int32) - np.int32(tensor.zero_point)


def _padded(x: np.ndarray, pads: Pads, value: int) -> np.ndarray:
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(x: np.ndarray, kernel: Pair, strides: Pair, target: Tensor, dilations: Pair = (1, 1)) -> np.ndarray:
    """From `x` (n, C, H, W) to (C, KH * KW, n, rows and columns of the target): what each place of a window sees."""
    reach = tuple((side - 1) * dilation + 1 for side, dilation in zip(kernel, dilations, strict=True))
    windows = sliding_window_view(x, reach, axis=(2, 3))[..., :: dilations[0], :: dilations[1]]
    windows = windows[:, :, :: strides[0], :: strides[1]][:, :, : target.shape[1], : target.shape[2]]
    return windows.transpose(1, 4, 5, 0, 2, 3).reshape(x.shape[1], -1, len(x), *target.shape[1:])


def _in_rows(
    x: np.ndarray, kernel: Pair, strides: Pair, target: Tensor, dilations: Pair = (1, 1)
) -> Iterator[np.ndarray]:
    """`_windows` of some rows of the target at a time: of all, but where windows are large and many."""
    rows, columns = target.shape[1:]
    seen = len(x) * x.shape[1] * kernel[0] * kernel[1] * columns  # by a row
    at_once = max(1, min(rows, _SEEN_AT_ONCE // max(1, seen)))
    reach = (kernel[0] - 1) * dilations[0] + 1
    for first in range(0, rows, at_once):
        count = min(at_once, rows - first)
        part = x[:, :, first * strides[0] : (first + count - 1) * strides[0] + reach]
        yield _windows(part, kernel, strides, replace(target, shape=(target.shape[0], count, columns)), dilations)


def _sums(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sums of products, for each group: int8 (G, O, K) with int32 (G, K, P) to int64 (G, O, P)."""
    # int32 vectors times a number: ten times as fast as `@`, which has no fast way for integers
    sums: np.ndarray = np.einsum("gok,gkp->gop", weights.astype(np.int32), np.ascontiguousarray(columns))
    return sums.astype(np.int64)


def _conv(layer: Conv, x: np.ndarray, target: Tensor) -> np.ndarray:
    """`x` is centred, so that zero is the padding."""
    filters, _, height, width = layer.weights.shape
    groups = layer.groups
    weights = layer.weights.reshape(groups, filters // groups, -1)
    bias, multiplier, shift = (
        values[:, None, None, None] for values in (layer.bias, layer.rescale.multiplier, layer.rescale.shift)
    )
    parts = []
    for columns in _in_rows(_padded(x, layer.pads, 0), (height, width), layer.strides, target, layer.dilations):
        pixels = columns.shape[2:]
        sums = _sums(weights, columns.reshape(groups, weights.shape[2], -1)).reshape(filters, *pixels)
        parts.append(requantize(sums + bias, multiplier, shift, target.zero_point, *layer.clamp).swapaxes(0, 1))
    return np.concatenate(parts, axis=2)


def _average_pool(layer: AveragePool, x: np.ndarray, target: Tensor) -> np.ndarray:
    """Each place has its divisor: the window's size, or how many of its pixels lie in the image."""
    windows = _in_rows(_padded(x, layer.pads, 0), layer.kernel, layer.strides, target)
    sums = np.concatenate([seen.sum(axis=1, dtype=np.int64) for seen in windows], axis=2)
    ones = _padded(np.ones((1, 1, *x.shape[2:]), np.int64), layer.pads, int(layer.count_include_pad))
    seen = _in_rows(ones, layer.kernel, layer.strides, target)
    divisors = np.concatenate([part.sum(axis=1) for part in seen], axis=2)[0, 0]
    multiplier, shift = np.zeros_like(divisors), np.ones_like(divisors)
    for divisor, rescale in layer.rescale.items():
        multiplier[divisors == divisor] = rescale.multiplier[0]
        shift[divisors == divisor] = rescale.shift[0]
    return requantize(sums, multiplier, shift, target.zero_point, *layer.clamp).swapaxes(0, 1)


def _check_sums(layer: Conv | Dense) -> None:
    sums = np.abs(layer.weights.astype(np.int64)).reshape(len(layer.weights), -1).sum(axis=1)
    if (np.abs(layer.bias.astype(np.int64)) + 255 * sums).max() >= 1 << 31:
        raise OverflowError(f"{layer.name}: a sum could leave 32 bits")
