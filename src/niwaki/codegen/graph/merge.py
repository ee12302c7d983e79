"""Neighbouring element-wise layers that depend on one tensor become one table, with the same bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from niwaki.codegen.graph.graph import Graph, Layer, Tensor
from niwaki.codegen.graph.loops import in_one
from niwaki.codegen.graph.operators.arrange import Reshape
from niwaki.codegen.graph.operators.elementwise import Add, FineAdd, Requantize
from niwaki.codegen.graph.operators.functions import Lookup, Pairwise
from niwaki.codegen.graph.operators.moves import Rearrange
from niwaki.codegen.graph.operators.table import operator_of

_ELEMENTWISE = (Add, FineAdd, Requantize, Lookup, Pairwise)


def merged(graph: Graph) -> Graph:
    """The same network; a chain of functions of one tensor, and what meets again behind them, is one `Lookup`.

    A layer is merged only if nothing else reads what is in between.
    """
    uses = Counter(name for layer in graph.layers for name in layer.inputs)
    uses[graph.output] += 1
    makers: dict[str, Layer] = {}  # the merged layers by output
    for layer in graph.layers:
        makers[layer.output] = _moved(_merged(layer, makers, graph, uses), makers, uses)
    kept = _reached(graph, makers)
    layers = tuple(makers[layer.output] for layer in graph.layers if layer.output in kept)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in kept}
    return replace(graph, layers=layers, tensors=tensors)


def with_plain_input(graph: Graph) -> Graph:
    """The same network without a first table that changes no byte: its input stands for what the table gave."""
    readers = [layer for layer in graph.layers if graph.input in layer.inputs]
    first = readers[0] if len(readers) == 1 else None
    if not isinstance(first, Lookup) or not np.array_equal(first.table, [np.arange(-128, 128)]):
        return graph
    made = graph.tensors[first.output]
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name != first.output}
    tensors[graph.input] = replace(made, name=graph.input)
    names = {first.output: graph.input}
    layers = tuple(
        replace(layer, inputs=tuple(names.get(name, name) for name in layer.inputs))
        for layer in graph.layers
        if layer is not first
    )
    return replace(graph, layers=layers, tensors=tensors, output=names.get(graph.output, graph.output))


def _merged(layer: Layer, makers: dict[str, Layer], graph: Graph, uses: Counter[str]) -> Layer:
    shape = graph.tensors[layer.output].shape
    if not isinstance(layer, _ELEMENTWISE) or any(graph.tensors[name].shape != shape for name in layer.inputs):
        return layer
    inner = {name: maker for name in layer.inputs if isinstance(maker := makers.get(name), _ELEMENTWISE)}
    inner = {name: maker for name, maker in inner.items() if len(set(maker.inputs)) == 1}
    bases = {inner[name].inputs[0] for name in inner if uses[name] == layer.inputs.count(name)}
    others = {name for name in layer.inputs if name not in inner or inner[name].inputs[0] not in bases}
    found = bases | others if others <= bases else set()
    if len(found) != 1 or any(graph.tensors[base].shape != shape for base in found):
        return layer
    chain = [maker for name, maker in inner.items() if name not in found]
    if not chain or any(uses[maker.output] > layer.inputs.count(maker.output) for maker in chain):
        return layer
    axes = {part.axis for part in (*chain, layer) if isinstance(part, Lookup) and len(part.table) > 1}
    return layer if len(axes) > 1 else _table([*chain, layer], found.pop(), graph)


def _moved(layer: Layer, makers: dict[str, Layer], uses: Counter[str]) -> Layer:
    """Two changes of place in a row are one, if that is no harder."""
    before = makers.get(layer.inputs[0]) if layer.inputs else None
    if before is None or uses[layer.inputs[0]] > 1 or not any(isinstance(part, Rearrange) for part in (layer, before)):
        return layer
    match before, layer:
        case Rearrange(), Rearrange():
            index = in_one(before.index, layer.index)
            return layer if index is None else replace(layer, inputs=before.inputs, index=index)
        case Reshape(), Rearrange():
            return replace(layer, inputs=before.inputs)
        case Rearrange(), Reshape():
            return replace(before, name=layer.name, output=layer.output)
        case _:
            return layer


def _table(chain: Sequence[Layer], base: str, graph: Graph) -> Layer:
    """The layers of `chain`, run on all 256 values of their tensor."""
    axis, tables = next(
        ((layer.axis, len(layer.table)) for layer in chain if isinstance(layer, Lookup) and len(layer.table) > 1),
        (0, 1),
    )
    sides = [1] * len(graph.tensors[base].shape)
    sides[axis] = tables
    values = {
        base: np.broadcast_to(np.arange(-128, 128).astype(np.int8).reshape(-1, *(1,) * len(sides)), (256, *sides))
    }
    for layer in chain:
        sources = [_sized(graph.tensors[name], sides) for name in layer.inputs]
        target = _sized(graph.tensors[layer.output], sides)
        inputs = [values[name] for name in layer.inputs]
        values[layer.output] = operator_of(layer).run(layer, inputs, sources, target)
    last = chain[-1]
    table = np.ascontiguousarray(values[last.output].reshape(256, tables).T)
    return Lookup(last.name, (base,), last.output, table, axis)


def _sized(tensor: Tensor, sides: Sequence[int]) -> Tensor:
    return replace(tensor, shape=tuple(sides))


def _reached(graph: Graph, makers: dict[str, Layer]) -> set[str]:
    kept, waiting = {graph.input}, [graph.output]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting.extend(makers[name].inputs)
    return kept
