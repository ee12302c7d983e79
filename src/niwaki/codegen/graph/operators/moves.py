"""The same numbers in another order: transposed, sliced, repeated, shuffled; and numbers that are constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.graph import Layer, Tensor
from niwaki.codegen.graph.loops import loops_of
from niwaki.codegen.graph.lowering import Lowering, copy_fields
from niwaki.codegen.graph.operators.operator import Operator


@dataclass(frozen=True, eq=False)
class Rearrange(Layer):
    """`out[i] = in[index[i]]`, elements counted in the order of their tensor's axes; both have one quantization."""

    index: np.ndarray  # of every output's element, flat


@dataclass(frozen=True, eq=False)
class Constant(Layer):
    """Numbers that depend on no input, int8 in the output's shape: a position's embedding, a token of its own."""

    values: np.ndarray


def _run_rearrange(layer: Rearrange, inputs: Sequence[np.ndarray], _: Sequence[Tensor], target: Tensor) -> np.ndarray:
    count = len(inputs[0])
    return inputs[0].reshape(count, -1)[:, layer.index].reshape(count, *target.shape)


def _run_constant(layer: Constant, _: Sequence[np.ndarray], __: Sequence[Tensor], target: Tensor) -> np.ndarray:
    return layer.values.reshape(1, *target.shape)


def move(layer: Layer, index: np.ndarray, lowering: Lowering) -> None:
    """Emit what brings elements of a layer's input to those of its output: nothing, loops, or a table of addresses."""
    source, target = layer.inputs[0], layer.output
    elements = lowering.places(source).reshape(-1)[index].reshape(lowering.graph.tensors[target].shape)
    orders = lowering.orders(target)
    for order in orders:
        if np.array_equal(elements.transpose(order).reshape(-1), np.arange(index.size)) and _alike(layer, lowering):
            lowering.alias(layer, order)
            return
    lowering.order[target] = lowering.wanted(target)
    addresses = lowering.as_bytes(target, elements)
    if loops_of(addresses) is None:
        near = addresses.max() < 1 << 16
        lowering.emit("gather_from", layer, {"size": index.size}, {"from" if near else "from_far": addresses})
        return
    lowering.emit("copy", layer, copy_fields(addresses))


def _alike(layer: Layer, lowering: Lowering) -> bool:
    tensors = lowering.graph.tensors
    return tensors[layer.inputs[0]].size == tensors[layer.output].size


def _lower_rearrange(layer: Rearrange, lowering: Lowering) -> None:
    move(layer, layer.index, lowering)


def _lower_constant(layer: Constant, lowering: Lowering) -> None:
    lowering.order[layer.output] = lowering.wanted(layer.output)
    values = lowering.as_bytes(layer.output, layer.values.reshape(lowering.graph.tensors[layer.output].shape))
    lowering.emit("constant", layer, {"size": values.size}, {"values": values})


OPERATORS = {
    Rearrange: Operator(_run_rearrange, _lower_rearrange, ("copy", "gather_from"), any_size=True, order="own"),
    Constant: Operator(_run_constant, _lower_constant, ("constant",), any_size=True, order="own"),
}
