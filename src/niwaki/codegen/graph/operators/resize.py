"""Images in another size: each pixel is a weighted mean of four."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, NEAR, Rescale, Ties, rescaled
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.lowering import Lowering
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.windows import centred

MOST_UNITS = 1 << 23
"""Of rows times columns, so that a sum of 255 times the weights fits 32 bits."""
MOST_UNIT = (1 << 16) - 1
"""Of one of both: shares are 16-bit numbers in the C."""


@dataclass(frozen=True, eq=False)
class Between:
    """Where the lines (rows or columns) of an image lie among those of another: `share / unit` of the way to the next.

    `first` and `share` are int64 arrays, one element for each line; 0 <= share < unit. The last line has no share.
    """

    first: np.ndarray
    share: np.ndarray
    unit: int


@dataclass(frozen=True, eq=False)
class Bilinear(Layer):
    """With weights u of rows and v of columns, `unit - share` of a line and `share` of the next, S = sum of u * v * x:
    `out = clamp(zo + rescale(S - units * zi))`, units = rows.unit * columns.unit.

    Without `rescale`, input and output have one scale and zero point: `out = clamp(S / units)`, rounded to the nearest.
    """

    rows: Between
    columns: Between
    rescale: Rescale | None
    ties: Ties | Literal["away"] = "up"  # away from zero, of int8
    clamp: Pair = (LOW, HIGH)


def check_units(layer: Bilinear) -> None:
    """Raises OverflowError if a sum could exceed 32 bits."""
    if layer.rows.unit * layer.columns.unit > MOST_UNITS:
        raise OverflowError(f"{layer.name}: weights in {layer.rows.unit} by {layer.columns.unit} units")


def _run(layer: Bilinear, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    units = layer.rows.unit * layer.columns.unit
    x = inputs[0] if layer.rescale is None else centred(inputs[0], sources[0])
    sums = _along(_along(x.astype(np.int64), layer.rows, 2), layer.columns, 3)
    if layer.rescale is not None:
        return rescaled(sums, layer.rescale, target.zero_point, *layer.clamp)
    clamped: np.ndarray = np.clip(_divided(sums, units, layer.ties), *layer.clamp)
    return clamped.astype(np.int8)


def _along(x: np.ndarray, between: Between, axis: int) -> np.ndarray:
    following = np.minimum(between.first + 1, x.shape[axis] - 1)
    share = between.share.reshape(-1, *(1,) * (x.ndim - 1 - axis))
    found: np.ndarray = np.take(x, between.first, axis) * (between.unit - share) + np.take(x, following, axis) * share
    return found


def _divided(sums: np.ndarray, units: int, ties: str) -> np.ndarray:
    if ties == "away":
        means: np.ndarray = np.sign(sums) * ((2 * np.abs(sums) + units) // (2 * units))
        return means
    doubled = 2 * sums + units + 2 * units // NEAR * {"early": 1, "late": -1}.get(ties, 0)
    means = doubled // (2 * units)
    if ties == "even":
        means -= (doubled % (2 * units) == 0) & (means % 2 == 1)
    return means


def _lower(layer: Bilinear, lowering: Lowering) -> None:
    rescale, ends = layer.rescale, lowering.ends(layer)
    if rescale is None:
        ends |= {"in_zero": 0, "out_zero": 0}
    fields = {
        **lowering.image(layer), **ends, "unit_h": layer.rows.unit, "unit_w": layer.columns.unit,
        "multiplier": 0 if rescale is None else int(rescale.multiplier[0]),
        "shift": 0 if rescale is None else int(rescale.shift[0]), "away": int(layer.ties == "away"),
    }  # fmt: skip
    lowering.emit("bilinear", layer, fields, {
        "above": layer.rows.first, "down": layer.rows.share, "before": layer.columns.first,
        "right": layer.columns.share,
    })  # fmt: skip


OPERATORS: dict[type[Layer], Operator] = {Bilinear: Operator(_run, _lower, ("bilinear",), check=check_units)}
