"""What a float value can be at most and at least, for every input: proved from its integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW
from niwaki.codegen.graph.graph import Layer, Tensor
from niwaki.codegen.readers.qdq_functions import Function
from niwaki.codegen.readers.qdq_pairs import Two
from niwaki.codegen.readers.qdq_resize import Interpolated
from niwaki.codegen.readers.qdq_rows import Total
from niwaki.codegen.readers.qdq_values import Join, Layers, Mean, Operation, Product, Rescaled, Sum, Value
from niwaki.codegen.readers.qdq_views import Border
from niwaki.errors import ModelError


@dataclass(frozen=True)
class Range:
    """The lowest and the highest number."""

    low: float
    high: float

    def wider(self, number: float) -> Range:
        """With one more number."""
        return Range(min(self.low, number), max(self.high, number))

    def times(self, factor: float) -> Range:
        """Every number times a positive factor."""
        return Range(self.low * factor, self.high * factor)


def range_of(value: Value, layers: Layers) -> Range:
    """The range of a float value. Raises ModelError naming an operation whose range does not follow from integers."""
    makers = {layer.output: layer for layer in layers.layers}
    source = value.source
    if isinstance(source, Operation):
        found = _computed(source, [_held(layers.tensors[name], makers) for name in source.inputs], layers.tensors)
    else:
        assert source is not None  # the input is quantized before anything is computed
        found = _held(layers.tensors[source], makers)
    low, high = value.clamp
    found = Range(min(max(found.low, low), high), min(max(found.high, low), high))
    for view in value.views:
        found = found.wider(view.number) if isinstance(view, Border) else found
    return found


def _held(tensor: Tensor, makers: Mapping[str, Layer]) -> Range:
    """What int8 values stand for, those alone that a fused Relu or Clip leaves."""
    low, high = getattr(makers.get(tensor.name), "clamp", (LOW, HIGH))
    return Range((low - tensor.zero_point) * tensor.scale, (high - tensor.zero_point) * tensor.scale)


def _computed(operation: Operation, inputs: list[Range], tensors: Mapping[str, Tensor]) -> Range:
    match operation:
        case Product():
            found = _product(operation, inputs[0])
        case Two():
            found = _two(operation, *inputs)
        case Sum():
            found = Range(sum(one.low for one in inputs), sum(one.high for one in inputs))
        case Mean():
            wide = inputs[0].wider(0) if any(operation.window.pads) else inputs[0]
            found = wide.times(float(operation.factor))
        case Total():
            shape = tensors[operation.inputs[0]].shape
            found = inputs[0].times(1 if operation.mean else prod(shape[axis] for axis in operation.axes))
        case Join() | Rescaled() | Interpolated():
            found = Range(min(one.low for one in inputs), max(one.high for one in inputs))
        case Function() if np.isfinite(operation.numbers).all():
            found = Range(float(operation.numbers.min()), float(operation.numbers.max()))
        case _:
            raise ModelError(f"{operation.name}: its range does not follow from integers: give images to measure it on")
    return found


def _product(operation: Product, source: Range) -> Range:
    """For each output, weights that are positive times the highest input, negative ones times the lowest; and so on."""
    if operation.window is not None and any(operation.window.pads):
        source = source.wider(0)
    count = len(operation.bias)
    weights = operation.weights.values.reshape(count, -1)
    scales = np.array([float(scale) for scale in operation.weights.scale])
    positive, negative = (scales * np.clip(weights, *bounds).sum(1) for bounds in ((0, None), (None, 0)))
    bias = operation.bias.astype(np.float64)
    low = bias + positive * source.low + negative * source.high
    high = bias + positive * source.high + negative * source.low
    return Range(float(low.min()), float(high.max()))


def _two(operation: Two, a: Range, b: Range) -> Range:
    match operation.kind:
        case "sum":
            ends = (b.low, b.high) if operation.sign > 0 else (-b.high, -b.low)
            return Range(a.low + ends[0], a.high + ends[1])
        case "product":
            products = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
            return Range(min(products), max(products))
        case "largest":
            return Range(max(a.low, b.low), max(a.high, b.high))
        case _:
            return Range(min(a.low, b.low), min(a.high, b.high))
