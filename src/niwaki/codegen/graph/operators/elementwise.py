"""Element by element: the sum of two tensors, and the same numbers with another scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale, rescaled, round_off, rounded_twice
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.windows import centred


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """Sum of two tensors of one shape. `out = clamp(zo + ((a - za)*m[0] + (b - zb)*m[1] + half >> s))`, one shift."""

    rescale: Rescale  # shape (2,): s_a / s_out, s_b / s_out, with a common shift
    clamp: Pair = (LOW, HIGH)


FINE = 20  # bits of a fine unit: a tensor's numbers are its int8 values times 2**20


@dataclass(frozen=True, eq=False)
class FineAdd(Layer):
    """Sum of two tensors as TensorFlow Lite computes it: both are rounded to one fine unit, then their sum.

    `out = clamp(zo + sum(part(a) + sign * part(b)))` with `part(x) = rescale_x((x - zx) * 2**20)`; each rounds twice.
    """

    parts: tuple[Rescale, Rescale]  # shape (1,): s_x / (2 * the larger scale)
    sum: Rescale  # shape (1,): 2 * the larger scale / (2**20 * s_out)
    clamp: Pair = (LOW, HIGH)
    sign: int = 1  # -1: their difference


@dataclass(frozen=True, eq=False)
class Requantize(Layer):
    """The same numbers with another scale, and a Relu or Clip that no layer could absorb."""

    rescale: Rescale  # shape (1,): s_in / s_out
    clamp: Pair = (LOW, HIGH)


def _run_add(layer: Add, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    a, b = (centred(values, tensor).astype(np.int64) for values, tensor in zip(inputs, sources, strict=True))
    factors, shift = layer.rescale.multiplier, layer.rescale.shift[:1]
    sums = a * factors[0] + b * factors[1]
    return round_off(sums, shift, target.zero_point, *layer.clamp, ties=layer.rescale.ties)


def _run_fine_add(
    layer: FineAdd, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    a, b = (
        rounded_twice(centred(values, tensor) << FINE, part)
        for values, tensor, part in zip(inputs, sources, layer.parts, strict=True)
    )
    return rescaled(a + layer.sign * b, layer.sum, target.zero_point, *layer.clamp)


def _run_requantize(
    layer: Requantize, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    return rescaled(centred(inputs[0], sources[0]), layer.rescale, target.zero_point, *layer.clamp)


def _lower_add(layer: Add, lowering: Lowering) -> None:
    a, b = (lowering.graph.tensors[name] for name in layer.inputs)
    ends = lowering.ends(layer)
    del ends["in_zero"]
    (ma, mb), shift = layer.rescale.multiplier, layer.rescale.shift[0]
    lowering.emit("add", layer, {
        "size": a.size, "multiplier_a": int(ma), "multiplier_b": int(mb), "shift": int(shift),
        "zero_a": a.zero_point, "zero_b": b.zero_point, **ends,
    })  # fmt: skip


def _lower_fine_add(layer: FineAdd, lowering: Lowering) -> None:
    a, b = (lowering.graph.tensors[name] for name in layer.inputs)
    ends = lowering.ends(layer)
    del ends["in_zero"]
    fields = {"size": a.size, "zero_a": a.zero_point, "zero_b": b.zero_point, **ends}
    for end, rescale in zip(("_a", "_b", ""), (*layer.parts, layer.sum), strict=True):
        fields |= {f"multiplier{end}": int(rescale.multiplier[0]), f"shift{end}": int(rescale.shift[0])}
    fields["minus"] = int(layer.sign < 0)
    lowering.emit("fine_add", layer, fields)


def _lower_requantize(layer: Requantize, lowering: Lowering) -> None:
    size = lowering.graph.tensors[layer.output].size
    lowering.emit("requantize", layer, requantize_fields(layer.rescale, 1, size, size) | lowering.ends(layer))


def requantize_fields(rescale: Rescale, rows: int, size: int, out_step: int) -> dict[str, int]:
    """Fields of the kernel: `rows` pieces of `size` values, each `out_step` after the previous one in the output."""
    return {"rows": rows, "size": size, "out_step": out_step, "multiplier": int(rescale.multiplier[0]),
            "shift": int(rescale.shift[0])}  # fmt: skip


OPERATORS = {
    Add: Operator(_run_add, _lower_add, ("add",), order="same"),
    FineAdd: Operator(_run_fine_add, _lower_fine_add, ("fine_add",), order="same"),
    Requantize: Operator(_run_requantize, _lower_requantize, ("requantize",), order="same"),
}
