"""Element by element: the sum of two tensors, and the same numbers with another scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale, requantize, round_off
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.windows import centred


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """Sum of two tensors of one shape. `out = clamp(zo + ((a - za)*m[0] + (b - zb)*m[1] + half >> s))`, one shift."""

    rescale: Rescale  # shape (2,): s_a / s_out, s_b / s_out, with a common shift
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Requantize(Layer):
    """The same numbers with another scale, and a Relu or Clip that no layer could absorb."""

    rescale: Rescale  # shape (1,): s_in / s_out
    clamp: Pair = (LOW, HIGH)


def _run_add(layer: Add, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    a, b = (centred(values, tensor).astype(np.int64) for values, tensor in zip(inputs, sources, strict=True))
    factors, shift = layer.rescale.multiplier, layer.rescale.shift[:1]
    return round_off(a * factors[0] + b * factors[1], shift, target.zero_point, *layer.clamp)


def _run_requantize(
    layer: Requantize, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    numbers, factor = centred(inputs[0], sources[0]), layer.rescale
    return requantize(numbers, factor.multiplier, factor.shift, target.zero_point, *layer.clamp)


def _lower_add(layer: Add, lowering: Lowering) -> None:
    a, b = (lowering.graph.tensors[name] for name in layer.inputs)
    ends = lowering.ends(layer)
    del ends["in_zero"]
    (ma, mb), shift = layer.rescale.multiplier, layer.rescale.shift[0]
    lowering.emit("add", layer, {
        "size": a.size, "multiplier_a": int(ma), "multiplier_b": int(mb), "shift": int(shift),
        "zero_a": a.zero_point, "zero_b": b.zero_point, **ends,
    })  # fmt: skip


def _lower_requantize(layer: Requantize, lowering: Lowering) -> None:
    size = lowering.graph.tensors[layer.output].size
    lowering.emit("requantize", layer, requantize_fields(layer.rescale, 1, size, size) | lowering.ends(layer))


def requantize_fields(rescale: Rescale, rows: int, size: int, out_step: int) -> dict[str, int]:
    """Fields of the kernel: `rows` pieces of `size` values, each `out_step` after the previous one in the output."""
    return {"rows": rows, "size": size, "out_step": out_step, "multiplier": int(rescale.multiplier[0]),
            "shift": int(rescale.shift[0])}  # fmt: skip


OPERATORS = {
    Add: Operator(_run_add, _lower_add, ("add",)),
    Requantize: Operator(_run_requantize, _lower_requantize, ("requantize",)),
}
