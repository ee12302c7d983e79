"""The same network with another rule for ties: what ONNX Runtime, which rounds halves to even, would make of it."""

from __future__ import annotations

from dataclasses import fields, replace

from niwaki.codegen.graph.arithmetic import Rescale
from niwaki.codegen.graph.graph import Graph, Layer


def with_ties_to_even(graph: Graph) -> Graph:
    """The graph whose reference rounds halves to even: no C has its bits; it tells ties from other differences."""
    return replace(graph, layers=tuple(map(_even, graph.layers)))


def _even(layer: Layer) -> Layer:
    changed: dict[str, object] = {}
    for field in fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, str) and value == "up":
            changed[field.name] = "even"
        elif isinstance(value, Rescale):
            changed[field.name] = replace(value, even=True)
        elif isinstance(value, dict):
            changed[field.name] = {key: replace(one, even=True) for key, one in value.items()}
        elif isinstance(value, tuple) and value and isinstance(value[0], Rescale):
            changed[field.name] = tuple(replace(one, even=True) for one in value)
    return replace(layer, **changed)  # type: ignore[arg-type]
