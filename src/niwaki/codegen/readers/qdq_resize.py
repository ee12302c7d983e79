"""Resize: the nearest neighbour of each pixel, or a mean of four weighted by where it lies among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, lcm
from typing import Any

import numpy as np
from onnx import NodeProto

from niwaki.codegen.graph.arithmetic import rescale_of
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.operators.resize import MOST_UNIT, MOST_UNITS, Between, Bilinear
from niwaki.codegen.readers.qdq_constants import attributes, name_of
from niwaki.codegen.readers.qdq_inputs import Inputs
from niwaki.codegen.readers.qdq_values import Operation, Value
from niwaki.codegen.readers.qdq_windows import as_before, as_image, image_shape, image_tensor
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape

_KNOWN = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
_HALF = Fraction(1, 2)
_FINE = 1 << 11  # units of a line whose exact share takes more than fit 32 bits

Places = tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class Interpolated(Operation):
    """An image in another size: where each row and each column lies among those of the input."""

    rows: Places
    columns: Places
    how: str
    unsigned: bool = False  # of a tensor that is uint8 in the file

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """From exact places, or to a 2048th of a line if those take too many units."""
        source = tensors[self.inputs[0]]
        units = [lcm(*(place.denominator for place in places)) for places in (self.rows, self.columns)]
        if max(units) > MOST_UNIT or units[0] * units[1] > MOST_UNITS:
            units = [_FINE, _FINE]
        rows, columns = (_between(places, unit) for places, unit in zip((self.rows, self.columns), units, strict=True))
        rescale = None
        if (source.scale, source.zero_point) != (output.scale, output.zero_point):
            factor = Fraction(source.scale) / Fraction(output.scale) / (units[0] * units[1])
            rescale = rescale_of([factor], self.name)
        return Bilinear(self.name, self.inputs, output.name, rows, columns, rescale, clamp=clamp)


def _between(places: Places, unit: int) -> Between:
    at = [floor(place * unit + _HALF) for place in places]
    return Between(np.array([place // unit for place in at]), np.array([place % unit for place in at]), unit)


def resize(node: NodeProto, inputs: Inputs) -> Value:
    """A Resize whose sizes are known."""
    given, how = _stated(node, inputs), _how(node, inputs)
    mode = given.get("mode", "nearest")
    smooth = given.get("antialias", 0)
    if mode not in ("nearest", "linear") or how not in _KNOWN or smooth:
        raise ModelError(
            f"{label(node)}: mode {mode}, {how}{', with antialias' if smooth else ''}: nearest and linear without "
            "antialias are supported: resize so, and train again"
        )
    source, target = inputs.full_shape(node.input[0]), inputs.full_shape(node.output[0])
    places = [
        [_source(index, scale, before, after, how) for index in range(after)]
        for scale, before, after in zip(_scales(node, inputs, source, target), source, target, strict=True)
    ]
    return _nearest(node, inputs, places) if mode == "nearest" else _linear(node, inputs, places)


def _stated(node: NodeProto, inputs: Inputs) -> dict[str, Any]:
    """Its attributes; those that opset 10 does not have as it means them."""
    implied = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return attributes(node) | (implied if inputs.constants.opset < 11 else {})


def _how(node: NodeProto, inputs: Inputs) -> str:
    return str(_stated(node, inputs).get("coordinate_transformation_mode", "half_pixel"))


def _scales(node: NodeProto, inputs: Inputs, source: Shape, target: Shape) -> list[Fraction]:
    """Of every axis: as stated, or from the sizes."""
    given = attributes(node)
    name = (*node.input, "", "")[2 if inputs.constants.opset >= 11 else 1]
    scales = [Fraction(after, before) for before, after in zip(source, target, strict=True)]
    stated = inputs.constants.numbers(name, node).ravel().tolist() if name else []
    axes = given.get("axes", range(len(source)))
    for axis, scale in zip(axes, stated, strict=False):
        scales[axis] = scale
    return scales


def _source(index: int, scale: Fraction, before: int, after: int, how: str) -> Fraction:
    """The place in the input that an index of the output stands for, as ONNX defines it."""
    if how == "asymmetric":
        return index / scale
    if how == "align_corners":
        return Fraction(index * (before - 1), after - 1) if after > 1 else Fraction(0)
    if how == "pytorch_half_pixel" and after == 1:
        return Fraction(0)
    if how == "half_pixel_symmetric":
        return Fraction(before, 2) * (1 - after / (scale * before)) + (index + _HALF) / scale - _HALF
    return (index + _HALF) / scale - _HALF


def _nearest(node: NodeProto, inputs: Inputs, places: Sequence[Sequence[Fraction]]) -> Value:
    source, how = inputs.full_shape(node.input[0]), _stated(node, inputs).get("nearest_mode", "round_prefer_floor")
    found = np.arange(int(np.prod(source))).reshape(source)
    for axis, along in enumerate(places):
        at = [_rounded(place, how) for place in along]
        found = np.take(found, np.clip(at, 0, source[axis] - 1), axis)
    value = inputs.value(node.input[0], node)
    return value.moved(name_of(node), inputs.shape(node.output[0]), found.reshape(-1))


def _rounded(place: Fraction, how: str) -> int:
    if how == "floor":
        return floor(place)
    if how == "ceil":
        return -floor(-place)
    return floor(place + _HALF) if how == "round_prefer_ceil" else -floor(-place + _HALF)


def _linear(node: NodeProto, inputs: Inputs, places: Sequence[Sequence[Fraction]]) -> Value:
    """Beyond the edge it is that of the last line."""
    source, full = inputs.full_shape(node.input[0]), inputs.full_shape(node.output[0])
    value, (_, *sides) = as_image(node, inputs)
    if source[:2] != full[:2]:
        raise ModelError(f"{label(node)}: linear from {source} to {full}: over height and width is supported")
    target = image_shape(node.output[0], inputs)
    clipped = [
        tuple(min(max(place, Fraction(0)), Fraction(side - 1)) for place in along)
        for along, side in zip([*places, [Fraction(0)]][2:4], sides, strict=True)
    ]
    unsigned = value.source in inputs.unsigned
    tensor = image_tensor(value, node, inputs)
    made = Interpolated(name_of(node), (tensor,), target, clipped[0], clipped[1], _how(node, inputs), unsigned)
    return as_before(Value(made, target), node, inputs)
