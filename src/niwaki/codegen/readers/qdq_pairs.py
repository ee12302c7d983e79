"""Operators of two inputs, element by element: with a constant, a function of the same tensor, or another tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

import numpy as np
from onnx import NodeProto

from niwaki.codegen.graph.arithmetic import Rescale, common_rescale_of, rescale_of
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.operators.functions import MOST_DIVIDED, Divide, Kind, Pairwise
from niwaki.codegen.readers.qdq_constants import name_of
from niwaki.codegen.readers.qdq_functions import (
    Function,
    function_of,
    line_of,
    rows_of,
    same_tensor,
    step_with_constant,
    together,
)
from niwaki.codegen.readers.qdq_inputs import Inputs
from niwaki.codegen.readers.qdq_values import Mean, Operation, Product, Value
from niwaki.codegen.readers.qdq_views import View
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape

_FREE = (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class Two(Operation):
    """Two tensors, element by element; shapes are repeated where an axis has one element."""

    kind: Kind
    sign: int = 1  # of the second in a sum

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """A product has the product of both scales; the others count both in one unit."""
        scales = [Fraction(tensors[name].scale) for name in self.inputs]
        step = Fraction(output.scale)
        if self.kind == "product":
            rescale = rescale_of([scales[0] * scales[1] / step], self.name)
        else:
            both = common_rescale_of([scale / step for scale in scales], self.name)
            rescale = Rescale(both.multiplier * np.array([1, self.sign]), both.shift)
        return Pairwise(self.name, self.inputs, output.name, self.kind, rescale, clamp)


@dataclass(frozen=True, eq=False)
class Ratio(Operation):
    """One tensor divided by another, element by element."""

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """A divisor, shifted, fits 64 bits; a ratio so small that it would not has a smaller multiplier."""
        a, b = (Fraction(tensors[name].scale) for name in self.inputs)
        factor = a / b / Fraction(output.scale)
        rescale = rescale_of([factor], self.name)
        if rescale.shift[0] > MOST_DIVIDED:
            rescale = Rescale(np.array([round(factor * (1 << MOST_DIVIDED))]), np.array([MOST_DIVIDED]))
        return Divide(self.name, self.inputs, output.name, rescale, clamp)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        quotient: np.ndarray = a / b
    return quotient


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        power: np.ndarray = np.power(a, b)
    return power


_COMPUTE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _quotient, "Max": np.maximum, "Min": np.minimum,
    "Pow": _power, "Equal": np.equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less,
    "LessOrEqual": np.less_equal,
}  # fmt: skip
_KINDS: dict[str, tuple[Kind, int]] = {
    "Add": ("sum", 1), "Sub": ("sum", -1), "Mul": ("product", 1), "Max": ("largest", 1), "Min": ("smallest", 1),
}  # fmt: skip


def pair(node: NodeProto, inputs: Inputs) -> Value:
    """A node of two inputs. Raises ModelError naming it if there is no integer form of it."""
    if len(node.input) != 2:
        raise ModelError(f"{label(node)}: {len(node.input)} inputs: two are supported")
    for index in (0, 1):
        if node.input[index] in inputs.constants:
            return _with_constant(node, inputs, 1 - index)
    values = [inputs.value(name, node) for name in node.input]
    if same_tensor(*values):
        functions = [function_of(v, name, node, inputs) for v, name in zip(values, node.input, strict=True)]
        return together(node, functions[0], functions[1], _COMPUTE[node.op_type])
    if node.op_type not in (*_KINDS, "Div"):
        raise ModelError(f"{label(node)}: two activations: a constant is supported, or two functions of one tensor")
    target = inputs.shape(node.output[0])
    tensors = tuple(inputs.tensor(name, node) for name in node.input)
    if node.op_type == "Div":
        return Value(Ratio(name_of(node), tensors, target), target)
    kind, sign = _KINDS[node.op_type]
    return Value(Two(name_of(node), tensors, target, kind, sign), target)


def _with_constant(node: NodeProto, inputs: Inputs, other: int) -> Value:
    name, constant = node.input[other], node.input[1 - other]
    value, shape = inputs.value(name, node), inputs.shape(name)
    numbers = inputs.constants.numbers(constant, node)
    rows = rows_of(numbers, shape)
    product = value.source if isinstance(value.source, Product) and value.clamp == _FREE and not value.views else None
    line = _line(node, rows[0], other) if rows else None
    absorbed = product is not None and rows is not None and (len(rows[0]) == 1 or rows[1] == product.channels)
    if product is not None and line is not None and absorbed:
        return replace(value, source=product.times(*line))
    if line is not None and isinstance(value.source, Mean) and _is_factor(value, *line):
        return replace(value, source=replace(value.source, factor=value.source.factor * line[0][0]))
    if rows is None or (len(rows[0]) > 1 and _is_tensor(node, shape, constant, len(rows[0]), inputs)):
        return _with_tensor(node, inputs, other)
    function = function_of(value, name, node, inputs)
    if line is not None:
        return line_of(function, node, *line, rows[1], step_with_constant(node, inputs, 1 - other, rows[1]))
    number = Function(function.name, function.inputs, shape, rows[0].astype(np.float64)[:, None], rows[1])
    both = (function, number) if other == 0 else (number, function)
    return together(node, *both, _COMPUTE[node.op_type])


def _is_factor(value: Value, factors: np.ndarray, offsets: np.ndarray) -> bool:
    """Whether a line is one positive factor, and the value nothing but what is multiplied by it."""
    plain = value.clamp == _FREE and all(type(view) is View for view in value.views)
    return plain and len(factors) == 1 and factors[0] > 0 and not offsets.any()


def _is_tensor(node: NodeProto, shape: Shape, constant: str, count: int, inputs: Inputs) -> bool:
    """Whether numbers along an axis are a tensor of TensorFlow Lite's: in a product, or one for each element."""
    stored = inputs.rounds_twice and inputs.constants.stored(constant, node) is not None
    return stored and (node.op_type == "Mul" or count == prod(shape))


def _line(node: NodeProto, numbers: np.ndarray, other: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Factors and offsets for the other input, if what the node does to it is a line."""
    ones = np.full(len(numbers), Fraction(1), object)
    match node.op_type:
        case "Add":
            return ones, numbers
        case "Sub":
            return (ones, -numbers) if other == 0 else (-ones, numbers)
        case "Mul":
            return numbers, 0 * ones
        case "Div" if other == 0 and all(numbers != 0):
            return ones / numbers, 0 * ones
        case _:
            return None


def _with_tensor(node: NodeProto, inputs: Inputs, other: int) -> Value:
    """A constant that varies along several axes, or makes the result larger: a tensor in the C."""
    if node.op_type not in _KINDS:
        raise ModelError(f"{label(node)}: a constant that varies along several axes: along one is supported")
    tensor, held = inputs.tensor(node.input[other], node), inputs.constant_tensor(node.input[1 - other], node)
    kind, sign = _KINDS[node.op_type]
    target = inputs.shape(node.output[0])
    pair_of = (tensor, held) if other == 0 else (held, tensor)
    return Value(Two(name_of(node), pair_of, target, kind, sign), target)


OPERATORS: dict[str, Callable[[NodeProto, Inputs], Value]] = dict.fromkeys(_COMPUTE, pair)
