"""The size and work of every layer of a network, and how its numbers are spread over the int8 grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from niwaki.measure.cost import count
from niwaki.study.layer_facts import LAYER_BINS, LayerCodes, LayerFacts

if TYPE_CHECKING:
    from niwaki.codegen.graph.graph import Graph

IMAGES = 64
MOST_ELEMENTS = 1 << 22  # of the largest activation, over all images
MOST_LAYERS = 256


def layers_of(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[LayerFacts, ...]:
    """The layers that own weights or do MACs, in the order in which they run; at most `MOST_LAYERS`.

    >>> from niwaki.models.lenet5 import LeNet5
    >>> layer = layers_of(LeNet5(), (1, 32, 32))[0]
    >>> layer.name, layer.channels, layer.params, layer.macs, layer.bytes
    ('conv1', 6, 156, 117600, 624)
    """
    found = count(model, input_shape).layers
    return tuple(
        LayerFacts(
            name=layer.name, kind=layer.kind, channels=layer.output_shape[0] if layer.output_shape else 0,
            params=layer.params, macs=layer.macs, bytes=layer.bytes,
        )
        for layer in found if layer.params or layer.macs
    )[:MOST_LAYERS]  # fmt: skip


def codes_of(graph: Graph, images: np.ndarray) -> tuple[LayerCodes, ...]:
    """How often each part of the int8 range occurs, in the weights and in the output of every layer with weights.

    `images` are raw pixels, uint8 (n, C, H, W): it runs the first 64, or as many as fit into memory.
    """
    from niwaki.codegen.graph import reference
    from niwaki.deploy.runners import inputs_of

    largest = max(tensor.size for tensor in graph.tensors.values())
    some = images[: max(1, min(IMAGES, MOST_ELEMENTS // largest))]
    values = {graph.input: inputs_of(graph, some)}
    found = []
    for layer in graph.layers:
        result = reference.run_layer(layer, [values[name] for name in layer.inputs], graph.tensors)
        values[layer.output] = result
        weights = getattr(layer, "weights", None)
        if weights is not None:
            target = graph.tensors[layer.output]
            found.append(LayerCodes(
                name=layer.name, weights=_counts(weights), activations=_counts(result), images=len(some),
                scale=float(target.scale), zero_point=int(target.zero_point),
            ))  # fmt: skip
    return tuple(found)[:MOST_LAYERS]


def _counts(codes: np.ndarray) -> tuple[int, ...]:
    """Counts over equal parts of −128 to 127."""
    found = np.bincount((codes.astype(np.int16).ravel() + 128) * LAYER_BINS // 256, minlength=LAYER_BINS)
    return tuple(int(value) for value in found)
