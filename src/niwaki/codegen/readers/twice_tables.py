"""Tables of 256 values with the bits of TensorFlow Lite's reference kernels: functions of one activation.

A kernel of its own rounds each of them: LOGISTIC and TANH in float32 (kernels/internal/common.h, LUTPopulate),
LEAKY_RELU and PRELU in 32-bit integers, HARD_SWISH in 16-bit ones (internal/reference/leaky_relu.h, prelu.h,
hard_swish.h).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, MAX_SHIFT, Rescale, rounded_twice
from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.readers.qdq_functions import Step
from niwaki.errors import ModelError

_LIMIT = 1 << 31
_ALL = np.arange(LOW, HIGH + 1)


def rescale_twice(factors: Sequence[float], name: str, *, twice: bool = True) -> Rescale:
    """The nearest integers, ties away from zero: a multiplier in [2**30, 2**31), and 31 or fewer bits of shift left.

    Raises ModelError naming `name` for a factor that has none.
    """
    pairs = []
    for factor in factors:
        part, exponent = math.frexp(factor if math.isfinite(factor) else 0.0)
        multiplier = math.floor(part * _LIMIT + 0.5)
        if multiplier == _LIMIT:
            multiplier, exponent = multiplier // 2, exponent + 1
        shift = 31 - exponent
        if not (0 < factor < math.inf and 1 <= shift <= MAX_SHIFT):
            raise ModelError(f"{name}: the scale ratio {factor:g} is beyond 32-bit arithmetic: requantize it")
        pairs.append((multiplier, shift))
    values = np.array(pairs, np.int64)
    return Rescale(values[:, 0], values[:, 1], twice)


def single_ratio(source: float, output: float) -> float:
    """The quotient of two float32 scales as float32, which some kernels compute."""
    with np.errstate(all="ignore"):
        return float(np.float32(source) / np.float32(output))


def table_of(step: Step, source: Tensor, output: Tensor, name: str) -> np.ndarray | None:
    """What a node gives for each value of its tensor, before saturation: int64 (1 or a number each, 256).

    None if the node has no kernel of its own. Raises ModelError naming `name` for numbers that its kernel refuses.
    """
    make = _TABLES.get(step.kind)
    return None if make is None else make(step, source, output, name)


def _in_float(compute: Callable[[float], float]) -> Callable[[Step, Tensor, Tensor, str], np.ndarray]:
    """A function of float32 numbers: each operation rounds to float32, the step is the nearest, halves away from 0."""

    def table(_: Step, source: Tensor, output: Tensor, __: str) -> np.ndarray:
        with np.errstate(all="ignore"):
            numbers = np.float32(source.scale) * (_ALL - source.zero_point).astype(np.float32)
            found = np.array([compute(float(x)) for x in numbers], np.float32)
            steps = found * (np.float32(1) / np.float32(output.scale))
            whole = np.copysign(np.floor(np.abs(steps.astype(np.float64)) + 0.5), steps)
        clipped: np.ndarray = np.clip(whole, -1024, 1024).astype(np.int64)[None] + output.zero_point
        return clipped

    return table


def _logistic(x: float) -> float:
    power = np.float32(math.exp(min(-x, 700.0)))
    return float(np.float32(1) / (np.float32(1) + power))


def _leaky_relu(step: Step, source: Tensor, output: Tensor, name: str) -> np.ndarray:
    """The slope is in the factor, whose sign counts apart from its size."""
    slope = np.float32(step.given.get("alpha", 0.01))
    centred = _ALL - source.zero_point
    scaled = float(np.float32(source.scale) * slope / np.float32(output.scale))
    kept = rounded_twice(centred, rescale_twice([single_ratio(source.scale, output.scale)], name))
    if not math.isfinite(scaled):
        raise ModelError(f"{name}: a slope of {slope}")
    bent = rounded_twice(centred, rescale_twice([abs(scaled)], name)) if scaled else 0 * centred
    return (np.where(centred >= 0, kept, np.sign(scaled).astype(np.int64) * bent) + output.zero_point)[None]


def _prelu(step: Step, source: Tensor, output: Tensor, name: str) -> np.ndarray:
    """The slopes' integers multiply the values; their scale is in the factor."""
    slopes = step.constant
    if slopes is None or len(slopes.scale) != 1:
        raise ModelError(f"{name}: slopes with one scale are supported")
    centred, unit = (_ALL - source.zero_point)[None], np.float32(float(slopes.scale[0]))
    scaled = float(np.float32(source.scale) * unit / np.float32(output.scale))
    kept = rounded_twice(centred, rescale_twice([single_ratio(source.scale, output.scale)], name))
    bent = rounded_twice(centred * slopes.values.reshape(-1, 1), rescale_twice([scaled], name))
    found: np.ndarray = np.where(centred >= 0, kept, bent) + output.zero_point
    return found


def _hard_swish(_: Step, source: Tensor, output: Tensor, name: str) -> np.ndarray:
    """With 16-bit factors: x in the output's scale, times relu6(x + 3) / 6 as a share of 2**15."""
    fine = np.float32(1 / 128) * np.float32(source.scale)
    scaled, more = _in_16_bits(float(fine / np.float32(output.scale)), name)
    share, left = _in_16_bits(float(fine / (np.float32(3) / np.float32(32768))), name)
    if more > 0:
        raise ModelError(f"{name}: its output's scale is below a 128th of its input's: TensorFlow Lite refuses that")
    values = (_ALL - source.zero_point) * 128
    numerator, part = _high_half(values, scaled), values
    if left > 0:
        part = _saturated(part << left - 1)
    part = _high_half(part, share)
    part = _saturated(part << 1) if left > 0 else _shifted(part, -left)
    product = (part + (1 << 15) >> 1) * numerator
    cut = np.sign(product) * (np.abs(product) >> 15)
    return (_shifted(cut, -more) + output.zero_point)[None]


def _in_16_bits(factor: float, name: str) -> tuple[int, int]:
    """A factor as a multiplier of 15 bits and an exponent of two."""
    rescale = rescale_twice([factor], name)
    return min(int(rescale.multiplier[0]) + (1 << 15) >> 16, (1 << 15) - 1), 31 - int(rescale.shift[0])


def _high_half(values: np.ndarray, factor: int) -> np.ndarray:
    """Of products of 16 bits, doubled: rounded, ties up."""
    rounded: np.ndarray = values * factor + (1 << 14) >> 15
    return rounded


def _saturated(values: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = np.clip(values, -(1 << 15), (1 << 15) - 1)
    return clipped


def _shifted(values: np.ndarray, by: int) -> np.ndarray:
    """Divided by a power of two, ties away from zero."""
    rounded: np.ndarray = np.sign(values) * (np.abs(values) + ((1 << by) >> 1) >> by)
    return rounded


_TABLES: dict[str, Callable[[Step, Tensor, Tensor, str], np.ndarray]] = {
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Sigmoid": _in_float(_logistic),
    "Tanh": _in_float(math.tanh),
}
