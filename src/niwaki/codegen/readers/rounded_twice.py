"""Layers that give the bits of TensorFlow Lite's reference kernels, whose integers round in two steps.

Multipliers and shifts are worked out in float64 as those kernels do when they open a file
(tensorflow/lite/kernels/internal/quantization_util.cc and kernel_util.cc), so that both have the same integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from niwaki.codegen.graph.arithmetic import MAX_SHIFT, Rescale
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.operators import arrange, elementwise, pooling
from niwaki.codegen.readers.qdq_functions import Function
from niwaki.codegen.readers.qdq_values import Join, Mean, Operation, Product, Rescaled, Sum
from niwaki.errors import ModelError
from niwaki.models.onnxfile import ROUNDING

_LIMIT = 1 << 31


def layer_rounded_twice(operation: Operation, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
    """The layer of an operation as TensorFlow Lite computes it. Matrix products alone round once there, too.

    Raises ModelError naming the operation if its numbers do not fit 32 bits, or if it never came from TensorFlow Lite.
    """
    sources = [tensors[name] for name in operation.inputs]
    match operation:
        case Product():
            return _product(operation, sources[0], output, clamp)
        case Sum():
            return _sum(operation, sources, output, clamp)
        case Mean() if operation.factor == 1:
            return _mean(operation, sources[0], output, clamp)
        case Rescaled():
            rescale = _rescale([sources[0].scale / output.scale], operation.name)
            return elementwise.Requantize(operation.name, operation.inputs, output.name, rescale, clamp)
        case Join():
            parts = tuple(_rescale([source.scale / output.scale], operation.name) for source in sources)
            return arrange.Concat(operation.name, operation.inputs, output.name, operation.axis, parts)
        case Function() if not operation.is_multiplied:  # a table, which holds rounded numbers
            return operation.layer(output, tensors, clamp)
        case _:
            raise ModelError(
                f"{operation.name}: has no form that rounds twice, as TensorFlow Lite does: set the file's metadata "
                f"{ROUNDING} to once, or give the .tflite file"
            )


def _product(operation: Product, source: Tensor, output: Tensor, clamp: Pair) -> Layer:
    """A bias is counted in the float32 product of the scales, sums in the exact one."""
    outputs, name = len(operation.bias), operation.name
    scales = [float(scale) for scale in operation.weights.scale]
    units = [float(np.float32(source.scale) * np.float32(scale)) for scale in scales]
    factors = [source.scale * scale for scale in scales]
    units, factors = (values * outputs if len(values) == 1 else values for values in (units, factors))
    bias = [round(Fraction(number) / Fraction(unit)) for number, unit in zip(operation.bias, units, strict=True)]
    reach = 255 * np.abs(operation.weights.values).reshape(outputs, -1).sum(axis=1)
    for channel, (number, most) in enumerate(zip(bias, reach.tolist(), strict=True)):
        if abs(number) + most >= _LIMIT:
            raise ModelError(
                f"{name}: channel {channel} could reach {abs(number) + most:,}, more than 32 bits can hold"
            )
    dense = operation.window is None and len(operation.shape) == 1  # of more axes it runs as a convolution
    rescale = _rescale([factor / output.scale for factor in factors], name, twice=not dense)
    return operation.made(output, operation.weights.values.astype(np.int8), np.array(bias, np.int32), rescale, clamp)


def _mean(operation: Mean, source: Tensor, output: Tensor, clamp: Pair) -> Layer:
    """Pooling divides the sum of the int8 values; a mean over the image has the number of pixels in its factor."""
    window, name = operation.window, operation.name
    if operation.whole:
        count = window.kernel[0] * window.kernel[1]
        rescale = _rescale([source.scale / output.scale], name)
        more = min(count.bit_length() - 1, MAX_SHIFT - int(rescale.shift[0]))
        divided = Rescale((rescale.multiplier << more) // count, rescale.shift + more, twice=True)
        return pooling.AveragePool(
            name, operation.inputs, output.name, window.kernel, window.strides, window.pads, False, {count: divided},
            clamp,
        )  # fmt: skip
    if operation.count_include_pad or (source.scale, source.zero_point) != (output.scale, output.zero_point):
        raise ModelError(f"{name}: TensorFlow Lite's pooling keeps scale and zero point, and does not count padding")
    return pooling.IntegerMean(name, operation.inputs, output.name, window.kernel, window.strides, window.pads, clamp)


def _sum(operation: Sum, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """Both tensors in a unit of twice the larger scale over 2**20, then the sum."""
    twice_largest = 2 * max(source.scale for source in sources)
    a, b = (_rescale([source.scale / twice_largest], operation.name) for source in sources)
    whole = _rescale([twice_largest / ((1 << elementwise.FINE) * output.scale)], operation.name)
    return elementwise.FineAdd(operation.name, operation.inputs, output.name, (a, b), whole, clamp)


def _rescale(factors: Sequence[float], name: str, *, twice: bool = True) -> Rescale:
    """The nearest integers, ties away from zero: a multiplier in [2**30, 2**31), and 31 or fewer bits of shift left."""
    pairs = []
    for factor in factors:
        part, exponent = math.frexp(factor)
        multiplier = math.floor(part * _LIMIT + 0.5)
        if multiplier == _LIMIT:
            multiplier, exponent = multiplier // 2, exponent + 1
        shift = 31 - exponent
        if not (0 < factor < math.inf and 1 <= shift <= MAX_SHIFT):
            raise ModelError(f"{name}: the scale ratio {factor:g} is beyond 32-bit arithmetic: requantize it")
        pairs.append((multiplier, shift))
    values = np.array(pairs, np.int64)
    return Rescale(values[:, 0], values[:, 1], twice)
