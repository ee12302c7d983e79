"""A function of every element, as a table; and the sum, product, quotient, larger and smaller of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, NEAR, Rescale, rescaled, round_off
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.lines import Lines
from niwaki.codegen.graph.loops import DEPTH, loops_of
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.windows import centred

Kind = Literal["sum", "product", "largest", "smallest"]
KINDS: tuple[Kind, ...] = ("sum", "product", "largest", "smallest")
"""What can be done with two tensors; the place of each is its number in the C."""
MOST_DIVIDED = 53  # the largest shift of a quotient


@dataclass(frozen=True, eq=False)
class Lookup(Layer):
    """Any function of one element: `out = table[c][q + 128]`, c the index along `axis`, or 0 if there is one table."""

    table: np.ndarray  # int8 (1 or the size of `axis`, 256)
    axis: int = 0
    lines: Lines | None = None
    """How the C stores the same entries in fewer bytes."""


@dataclass(frozen=True, eq=False)
class Pairwise(Layer):
    """Two tensors element by element; an axis of one element is repeated, and missing axes come first.

    `sum`: `out = clamp(zo + (a*m[0] + b*m[1] + half >> s))` with a, b the differences from the zero points. `largest`
    and `smallest` take one of these two products in place of their sum. `product`: `out = clamp(zo + rescale(a * b))`.
    """

    kind: Kind
    rescale: Rescale  # product: shape (1,); otherwise (2,) with a common shift, the second negative for a difference
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Divide(Layer):
    """Two tensors as in `Pairwise`, a and b the differences from the zero points, both negated if b is negative:
    `out = clamp(zo + (a * m + (b << s - 1)) // (b << s))`. By zero it is the end of the range on a's side; 0 / 0 is 0.
    """

    rescale: Rescale  # shape (1,); shift: MOST_DIVIDED at most, so that b << s fits
    clamp: Pair = (LOW, HIGH)


def aligned(values: np.ndarray, rank: int) -> np.ndarray:
    """Some images (n, …) with axes of one element inserted after the first, up to `rank` axes for each."""
    return values.reshape(len(values), *(1,) * (rank + 1 - values.ndim), *values.shape[1:])


def _run_lookup(layer: Lookup, inputs: Sequence[np.ndarray], _: Sequence[Tensor], __: Tensor) -> np.ndarray:
    index = inputs[0].astype(np.intp) + 128
    if len(layer.table) == 1:
        one: np.ndarray = layer.table[0][index]
        return one
    channel = np.arange(len(layer.table)).reshape(-1, *(1,) * (index.ndim - 2 - layer.axis))
    looked_up: np.ndarray = layer.table[channel, index]
    return looked_up


def _run_pairwise(
    layer: Pairwise, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor
) -> np.ndarray:
    a, b = (
        aligned(centred(values, tensor), len(target.shape)).astype(np.int64)
        for values, tensor in zip(inputs, sources, strict=True)
    )
    if layer.kind == "product":
        return rescaled(a * b, layer.rescale, target.zero_point, *layer.clamp)
    factors, shift = layer.rescale.multiplier, layer.rescale.shift[:1]
    a, b = a * factors[0], b * factors[1]
    chosen = a + b if layer.kind == "sum" else np.maximum(a, b) if layer.kind == "largest" else np.minimum(a, b)
    return round_off(chosen, shift, target.zero_point, *layer.clamp, ties=layer.rescale.ties)


def _run_divide(layer: Divide, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    a, b = (
        aligned(centred(values, tensor), len(target.shape)).astype(np.int64)
        for values, tensor in zip(inputs, sources, strict=True)
    )
    multiplier, shift = int(layer.rescale.multiplier[0]), int(layer.rescale.shift[0])
    by = np.where(b == 0, 1, np.abs(b)) << shift
    half = (by >> 1) + by // NEAR * {"early": 1, "late": -1}.get(layer.rescale.ties, 0)
    quotients = (np.where(b < 0, -a, a) * multiplier + half) // by
    quotients = np.where(b == 0, np.sign(a) * 256, quotients)
    clamped: np.ndarray = np.clip(quotients + target.zero_point, *layer.clamp).astype(np.int8)
    return clamped


def _lower_lookup(layer: Lookup, lowering: Lowering) -> None:
    size, tables = lowering.graph.tensors[layer.output].size, len(layer.table)
    lowering.same_order(layer)
    inner = size
    if tables > 1:
        axes = lowering.axes(layer.output)
        shape = lowering.graph.tensors[layer.output].shape
        inner = int(np.prod([shape[axis] for axis in axes[axes.index(layer.axis) + 1 :]]))
    fields = {"outer": size // (tables * inner), "tables": tables, "inner": inner}
    if layer.lines is None:
        lowering.emit("lookup", layer, fields, {"table": layer.table})
        return
    lines, (low, high) = layer.lines, layer.lines.clamp
    fields |= {"factor_shift": lines.shift, "offset_shift": lines.offset_shift, "out_zero": lines.zero, "low": low,
               "high": high}  # fmt: skip
    arrays = {"numbers": lines.numbers, "factor": lines.factor, "offset": lines.offset}
    lowering.emit("lines", layer, fields, arrays)


def _lower_pairwise(layer: Pairwise, lowering: Lowering) -> None:
    fields = _five_loops(layer, lowering)
    lowering.emit("pairwise", layer, {"kind": KINDS.index(layer.kind), **fields})


def _lower_divide(layer: Divide, lowering: Lowering) -> None:
    lowering.emit("divide", layer, _five_loops(layer, lowering))


def _five_loops(layer: Pairwise | Divide, lowering: Lowering) -> dict[str, int]:
    """The fields of two tensors, walked together."""
    lowering.same_order(layer)
    graph = lowering.graph
    tensors, shape = [graph.tensors[name] for name in layer.inputs], graph.tensors[layer.output].shape
    seen = [lowering.as_bytes(layer.output, np.broadcast_to(lowering.places(name), shape)) for name in layer.inputs]
    loops = loops_of(*seen)
    assert loops is not None  # a tensor has fewer axes than DEPTH
    fields: dict[str, int] = {}
    for index in range(DEPTH - 1, -1, -1):
        place = index - DEPTH + len(loops)
        count, steps = (loops[place].count, loops[place].steps) if place >= 0 else (1, (0, 0))
        fields |= {f"count{index}": count, f"a{index}": steps[0], f"b{index}": steps[1]}
    factors = layer.rescale.multiplier.tolist()
    ends = lowering.ends(layer)
    del ends["in_zero"]
    return fields | {
        "multiplier_a": factors[0], "multiplier_b": factors[-1], "shift": int(layer.rescale.shift[0]),
        "zero_a": tensors[0].zero_point, "zero_b": tensors[1].zero_point, **ends,
    }  # fmt: skip


OPERATORS = {
    Lookup: Operator(_run_lookup, _lower_lookup, ("lookup", "lines"), any_size=True, order="same"),
    Divide: Operator(_run_divide, _lower_divide, ("divide",), any_size=True, order="own"),
    Pairwise: Operator(_run_pairwise, _lower_pairwise, ("pairwise",), any_size=True, order="own"),
}
