"""The contract: what every layer of a quantized graph computes, in NumPy, with integers only.

The generated C equals it bit for bit. The definition of each layer is in `operators`: a sum of products is an int32,
which the reader has proved for every channel, and each layer rounds once (`arithmetic.requantize`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from niwaki.codegen.graph.graph import Graph, Layer, Tensor
from niwaki.codegen.graph.operators.table import operator_of
from niwaki.errors import ModelError

_ELEMENTS_AT_ONCE = 1 << 18  # of the largest activation: what stays in a processor's cache


def run(graph: Graph, inputs: np.ndarray) -> np.ndarray:
    """The graph's output, int8 (n, *output shape), for quantized `inputs`, int8 (n, *input shape).

    Raises ModelError for inputs of another type or shape, and OverflowError if a layer's sums could exceed 32 bits.
    """
    shape = graph.tensors[graph.input].shape
    if inputs.dtype != np.int8 or inputs.shape[1:] != shape:
        raise ModelError(f"inputs are {inputs.dtype} {inputs.shape}: expected int8 (n, {', '.join(map(str, shape))})")
    for layer in graph.layers:
        operator_of(layer).check(layer)
    at_once = max(1, _ELEMENTS_AT_ONCE // max(tensor.size for tensor in graph.tensors.values()))
    outputs = np.empty((len(inputs), *graph.tensors[graph.output].shape), np.int8)
    for start in range(0, len(inputs), at_once):
        some = slice(start, start + at_once)
        outputs[some] = _run(graph, inputs[some])
    return outputs


def quantize_pixels(graph: Graph, pixels: np.ndarray) -> np.ndarray:
    """Raw pixels, uint8 (n, C, H, W), as the graph's input, int8 of the same shape.

    Raises ModelError for pixels of another type or shape, or if the graph has no table for them.
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
        result = np.broadcast_to(result, (len(inputs), *result.shape[1:]))  # a constant is one for all
        assert result.shape[1:] == graph.tensors[layer.output].shape, (layer.name, result.shape)
        values[layer.output] = result
    return values[graph.output]


def run_layer(layer: Layer, inputs: Sequence[np.ndarray], tensors: Mapping[str, Tensor]) -> np.ndarray:
    """One layer on some images: from int8 (n, *shape) for each of its inputs to int8 (n, *output shape).

    Raises TypeError for a layer that is not one of `graph`'s.
    """
    return operator_of(layer).run(layer, inputs, [tensors[name] for name in layer.inputs], tensors[layer.output])
