"""Layers that give the bits of TensorFlow Lite's reference kernels, whose integers round in two steps.

Multipliers and shifts are worked out in float64 as those kernels do when they open a file
(tensorflow/lite/kernels/internal/quantization_util.cc and kernel_util.cc), so that both have the same integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np

from niwaki.codegen.graph.arithmetic import MAX_SHIFT, Rescale
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.operators import arrange, elementwise, functions, pooling
from niwaki.codegen.graph.operators.resize import Between, Bilinear
from niwaki.codegen.graph.operators.table import operator_of
from niwaki.codegen.readers.qdq_functions import Function, Step
from niwaki.codegen.readers.qdq_pairs import Two
from niwaki.codegen.readers.qdq_resize import Interpolated
from niwaki.codegen.readers.qdq_values import Join, Mean, Operation, Product, Rescaled, Sum
from niwaki.codegen.readers.twice_tables import rescale_twice, single_ratio, table_of
from niwaki.errors import ModelError
from niwaki.models.onnxfile import ROUNDING

_LIMIT = 1 << 31
_LINE = 1 << 10  # units from one row or column to the next
_NO_FORM = (
    f"has no form that rounds twice, as TensorFlow Lite does: set the file's metadata {ROUNDING} to once, or give the "
    ".tflite file"
)


def layer_rounded_twice(operation: Operation, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
    """The layer of an operation as TensorFlow Lite computes it. Matrix products alone round once there, too.

    Raises ModelError naming the operation if its numbers do not fit 32 bits, or if it never came from TensorFlow Lite.
    """
    sources = [tensors[name] for name in operation.inputs]
    make = next((make for kind, make in _LAYERS.items() if isinstance(operation, kind)), _formless)
    return make(operation, sources, output, clamp)


def _formless(operation: Operation, *_: object) -> Layer:
    raise ModelError(f"{operation.name}: {_NO_FORM}")


def _rescaled(operation: Rescaled, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    ends = sources[0].scale, output.scale
    ratio = single_ratio(*ends) if operation.clamped else ends[0] / ends[1]  # RELU computes it in float32
    rescale = rescale_twice([ratio], operation.name)
    return elementwise.Requantize(operation.name, operation.inputs, output.name, rescale, clamp)


def _join(operation: Join, sources: Sequence[Tensor], output: Tensor, _: Pair) -> Layer:
    parts = tuple(rescale_twice([source.scale / output.scale], operation.name) for source in sources)
    return arrange.Concat(operation.name, operation.inputs, output.name, operation.axis, parts)


def _of_two(operation: Two, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """Sums have a form for one shape, the larger and smaller for one scale, in which nothing is rounded."""
    if operation.kind == "product":
        return _pair(operation, sources, output, clamp)
    if operation.kind == "sum" and sources[0].shape == sources[1].shape:
        return _sum(operation, sources, output, clamp, operation.sign)
    ends = {(tensor.scale, tensor.zero_point) for tensor in (*sources, output)}
    if operation.kind == "sum" or len(ends) > 1:
        return _formless(operation)
    same = Rescale(np.full(2, 1 << 30, np.int64), np.full(2, 30, np.int64))
    return functions.Pairwise(operation.name, operation.inputs, output.name, operation.kind, same, clamp)


def _product(operation: Product, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """A bias is counted in the float32 product of the scales, sums in the exact one."""
    source, outputs, name = sources[0], len(operation.bias), operation.name
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
    rescale = rescale_twice([factor / output.scale for factor in factors], name, twice=not dense)
    return operation.made(output, operation.weights.values.astype(np.int8), np.array(bias, np.int32), rescale, clamp)


def _mean(operation: Mean, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """Pooling divides the sum of the int8 values; a mean over the image has the number of pixels in its factor."""
    source, window, name = sources[0], operation.window, operation.name
    if operation.factor != 1:
        return _formless(operation)
    if operation.whole:
        count = window.kernel[0] * window.kernel[1]
        rescale = rescale_twice([source.scale / output.scale], name)
        more = min(count.bit_length() - 1, MAX_SHIFT - int(rescale.shift[0]))
        divided = Rescale((rescale.multiplier << more) // count, rescale.shift + more, twice=True)
        return pooling.AveragePool(
            name, operation.inputs, output.name, window.kernel, window.strides, window.pads, False, {count: divided},
            clamp,
        )  # fmt: skip
    if operation.count_include_pad or (source.scale, source.zero_point) != (output.scale, output.zero_point):
        raise ModelError(f"{name}: TensorFlow Lite's pooling keeps scale and zero point, and does not count padding")
    return pooling.IntegerMean(
        name,
        operation.inputs,
        output.name,
        window.kernel,
        window.strides,
        window.pads,
        clamp,
        -128 if operation.unsigned else 0,
    )


def _interpolated(operation: Interpolated, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """Places in 1024ths of a line, counted from a rounded step. Of uint8, whose weights are float, the exact ones."""
    source, how = sources[0], operation.how
    known = how in ("asymmetric", "align_corners", "half_pixel")
    if not known or (source.scale, source.zero_point) != (output.scale, output.zero_point):
        return _formless(operation)
    if operation.unsigned:
        return operation.layer(output, {source.name: source}, clamp)
    rows, columns = (
        _lines(before, after, how) for before, after in zip(source.shape[1:], output.shape[1:], strict=True)
    )
    return Bilinear(operation.name, operation.inputs, output.name, rows, columns, None, "away", clamp)


def _lines(before: int, after: int, how: str) -> Between:
    """Where its own kernel would read beyond the last line, that line."""
    corners = how == "align_corners" and after > 1
    spans, steps = (before - 1, after - 1) if corners else (before, after)
    step = (_LINE * spans + steps // 2) // steps
    at = np.arange(after) * step + (step // 2 - _LINE // 2 if how == "half_pixel" else 0)
    at = np.clip(at, 0, _LINE * (before - 1))
    return Between(at // _LINE, at % _LINE, _LINE)


def _function(operation: Function, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """A table: of a node with a kernel of its own, or what the kernel of two tensors gives with a constant."""
    source, step = sources[0], operation.nodes[0] if len(operation.nodes) == 1 else None
    table = None if step is None else table_of(step, source, output, operation.name)
    if table is not None:
        table = np.clip(table, *clamp).astype(np.int8)
    elif step is not None and step.constant is not None and step.kind in ("Add", "Sub", "Mul"):
        table = _with_constant(operation, step, source, output, clamp)
    if table is None:
        raise ModelError(f"{operation.name}: {_NO_FORM}")
    return functions.Lookup(
        operation.name, operation.inputs, output.name, table, operation.axis if len(table) > 1 else 0
    )


def _with_constant(operation: Function, step: Step, source: Tensor, output: Tensor, clamp: Pair) -> np.ndarray | None:
    """The table of a sum or product with one number, or with one for each channel: int8 (numbers, 256)."""
    held = step.constant
    if held is None or len(held.scale) != 1:
        return None
    count = held.values.size
    shape = (count, 256)
    values = np.broadcast_to(np.arange(-128, 128).astype(np.int8), (1, *shape))
    numbers = np.broadcast_to(held.values.reshape(-1, 1), (1, *shape))
    tensors = [replace(source, shape=shape), Tensor("constant", shape, float(held.scale[0]), 0)]
    inputs, target = [values, numbers], replace(output, shape=shape)
    if step.first:
        tensors, inputs = tensors[::-1], inputs[::-1]
    both = Two(operation.name, operation.inputs, shape, "sum", -1 if step.kind == "Sub" else 1)
    make = _pair if step.kind == "Mul" else partial(_sum, sign=both.sign)
    layer = make(both, tensors, target, clamp)
    table: np.ndarray = operator_of(layer).run(layer, inputs, tensors, target)[0]
    return table


def _pair(operation: Two, sources: Sequence[Tensor], output: Tensor, clamp: Pair) -> Layer:
    """A product; its factor is computed in float32."""
    with np.errstate(all="ignore"):
        scale = np.float32(sources[0].scale) * np.float32(sources[1].scale) / np.float32(output.scale)
    rescale = rescale_twice([float(scale)], operation.name)
    return functions.Pairwise(operation.name, operation.inputs, output.name, "product", rescale, clamp)


def _sum(operation: Sum | Two, sources: Sequence[Tensor], output: Tensor, clamp: Pair, sign: int = 1) -> Layer:
    """Both tensors in a unit of twice the larger scale over 2**20, then the sum."""
    twice_largest = 2 * max(source.scale for source in sources)
    a, b = (rescale_twice([source.scale / twice_largest], operation.name) for source in sources)
    whole = rescale_twice([twice_largest / ((1 << elementwise.FINE) * output.scale)], operation.name)
    return elementwise.FineAdd(operation.name, operation.inputs, output.name, (a, b), whole, clamp, sign)


_LAYERS: dict[type[Operation], Callable[..., Layer]] = {
    Product: _product,
    Mean: _mean,
    Sum: _sum,
    Two: _of_two,
    Rescaled: _rescaled,
    Join: _join,
    Interpolated: _interpolated,
    Function: _function,
}
