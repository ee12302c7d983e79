"""What the kernels of Cortex-M may do with a layer, as its weights show: two of them as one number, larger sums.

kernels/niwaki_dsp.h says how weights in halves work: w0 and w1 become 256 w1 + w0, and sums 256 times what they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niwaki.codegen.graph.program import Step

_WAYS = {"pairs": 6, "dense widened": 4, "dense narrow": 4}
"""The kernels that can do so, and the output channels from which it pays: inputs take two instructions more."""
_MOST = 1 << 23  # what a sum stays below, as 256 of it fit into 32 bits
_SHIFT = 8
_LONGEST = 62  # a shift of the kernels


def has_room(step: Step) -> bool:
    """Whether 256 times every sum of a layer fits into 32 bits, and its shifts can be larger by 8."""
    weights, bias = (step.arrays[name].astype(np.int64) for name in ("weights", "bias"))
    largest = np.abs(bias) + 128 * np.abs(weights.reshape(len(weights), -1)).sum(axis=1)
    return bool(largest.max() < _MOST and int(step.arrays["shift"].max()) + _SHIFT <= _LONGEST)


def in_halves(step: Step, way: str, *, twice: bool) -> Step | None:
    """A layer with the arrays of kernels that multiply weights in halves; None if its kernel, its sizes or its weights
    do not allow it.

    `way` is its kernel on a Cortex-M (`work.ways`); `twice` says that convolutions round in two steps: their shift
    stays.
    """
    if step.weights != "blocks" or way not in _WAYS:
        return None
    weights = step.arrays["weights"]
    rows = weights.reshape(len(weights), -1).astype(np.int64)
    if len(rows) < _WAYS[way] or rows.shape[1] % 2 or not has_room(step):
        return None
    low, high = rows[:, 0::2], rows[:, 1::2]
    numbers = 256 * high + low
    if numbers.min() < -(1 << 15):
        return None
    bias, shift = step.arrays["bias"].astype(np.int64), step.arrays["shift"].astype(np.int64)
    sums = 256 * (bias + 127 * high.sum(axis=1))
    arrays = {
        "weights": np.stack([low, numbers >> 8], axis=2).reshape(weights.shape).astype(np.int8),
        "bias": sums.astype(np.uint32).astype(np.int32),  # what leaves 32 bits comes back with the products
        "multiplier": step.arrays["multiplier"],
        "shift": shift if twice and step.kernel != "dense" else shift + _SHIFT,
    }
    return replace(step, arrays=arrays)
