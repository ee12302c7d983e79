"""Every kind of layer that a graph may have."""

from __future__ import annotations

from niwaki.codegen.graph.graph import Layer
from niwaki.codegen.graph.operators import arrange, elementwise, functions, moves, pooling, products, resize, rows
from niwaki.codegen.graph.operators.operator import Operator

OPERATORS: dict[type[Layer], Operator] = {
    **products.OPERATORS,
    **pooling.OPERATORS,
    **elementwise.OPERATORS,
    **functions.OPERATORS,
    **moves.OPERATORS,
    **rows.OPERATORS,
    **arrange.OPERATORS,
    **resize.OPERATORS,
}


def operator_of(layer: Layer) -> Operator:
    """The entry of a layer's kind. Raises TypeError for a layer outside the contract."""
    operator = OPERATORS.get(type(layer))
    if operator is None:
        raise TypeError(f"{layer.name}: no layer of the contract: {type(layer).__name__}")
    return operator
