"""Networks with weights of few bits, made of those that have more: what they answer is of no use, their bits are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niwaki.codegen.graph.arithmetic import Rescale
from niwaki.codegen.graph.graph import Graph, Layer
from niwaki.codegen.graph.operators.products import Conv, Dense


def of_few_bits(graph: Graph, bits: int) -> Graph:
    """The graph with the weights of all layers but the last in so few bits, as coarse as that makes them."""
    return replace(graph, layers=tuple(_coarser(layer, 8 - bits) for layer in graph.layers[:-1]) + graph.layers[-1:])


def _coarser(layer: Layer, lost: int) -> Layer:
    if not isinstance(layer, Conv | Dense):
        return layer
    return replace(
        layer,
        weights=layer.weights >> lost,
        bias=(layer.bias >> lost).astype(np.int32),
        rescale=Rescale(layer.rescale.multiplier, layer.rescale.shift - lost),
    )
