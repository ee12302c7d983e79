"""Integer operators with unsigned weights: the same sums, from products that no x86 kernel adds in 16 bits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import GraphProto, numpy_helper

INTEGER = ("MatMulInteger", "ConvInteger")  # inputs: activations, weights, their two zero points
_SIGN = 128


def with_unsigned_weights(data: bytes) -> bytes:
    """The ONNX model with 128 added to the int8 weights of its integer operators, and to their zero points.

    Each product uses (weight − zero point), which does not change. Weights or zero points that another node reads keep
    their values for that node. A model without such an operator is returned unchanged.
    """
    model = onnx.load_from_string(data)
    return model.SerializeToString(deterministic=True) if _move(model.graph) else data


def _move(graph: GraphProto) -> bool:
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made: set[str] = set()
    for node in graph.node:
        weights = known.get(node.input[1]) if node.op_type in INTEGER else None
        if weights is None or weights.dtype != np.int8:
            continue
        names = [*node.input, "", ""][:4]
        if names[3] and names[3] not in known:
            continue  # a computed zero point
        values = weights, known.get(names[3], np.int8(0))
        changed = f"{names[1]}, unsigned", f"{names[1]}, {names[3]}, unsigned"
        for name, value in zip(changed, values, strict=True):
            if name not in made:
                moved = (np.asarray(value, np.int16) + _SIGN).astype(np.uint8)
                graph.initializer.append(numpy_helper.from_array(moved, name))
                made.add(name)
        node.input[:] = [names[0], changed[0], names[2], changed[1]]
    return bool(made)
