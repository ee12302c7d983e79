"""The same network with another rule for ties: what ONNX Runtime, which rounds in float, would make of it."""

from __future__ import annotations

from dataclasses import fields, replace

from niwaki.codegen.graph.arithmetic import Rescale, Ties
from niwaki.codegen.graph.graph import Graph, Layer


def with_ties(graph: Graph, ties: Ties) -> Graph:
    """The graph whose reference rounds ties so: no C has its bits; it tells ties from other differences."""
    return replace(graph, layers=tuple(layer_with_ties(layer, ties) for layer in graph.layers))


def layer_with_ties(layer: Layer, ties: Ties) -> Layer:
    """The same for a layer; one that rounds in its own way (a table, a normalization) stays as it is."""
    changed: dict[str, object] = {}
    for field in fields(layer):
        value = getattr(layer, field.name)
        if field.name == "ties" and value == "up":
            changed[field.name] = ties
        elif isinstance(value, Rescale):
            changed[field.name] = replace(value, ties=ties)
        elif isinstance(value, dict):
            changed[field.name] = {key: replace(one, ties=ties) for key, one in value.items()}
        elif isinstance(value, tuple) and value and isinstance(value[0], Rescale):
            changed[field.name] = tuple(replace(one, ties=ties) for one in value)
    return replace(layer, **changed)  # type: ignore[arg-type]
