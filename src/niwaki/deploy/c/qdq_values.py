"""Float values between the quantized tensors of a QDQ ONNX, and the layers that they become.

A float value is a tensor or the result of an operation, seen through a clamp (Relu, Clip) and views (pooling by
maximum, padding, another shape). None of these computes a new number, so the one rounding of QuantizeLinear
may be done before them: it becomes the last step of the operation, the clamp its saturation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from niwaki.deploy.c import graph
from niwaki.deploy.c.arithmetic import HIGH, LOW, common_rescale_of, rescale_of
from niwaki.deploy.c.graph import Layer, Pads, Pair, Tensor
from niwaki.deploy.c.qdq_constants import Quantization, Weights
from niwaki.deploy.c.qdq_shapes import Shape
from niwaki.errors import ModelError

_LIMIT = 1 << 31
_FINEST = 1 << 12  # steps of a bias within one step of the output, where no weight gives it a unit


@dataclass(frozen=True)
class Window:
    """How windows move over an image."""

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """What computes new numbers from `inputs` (tensors). `name` is the node's; `shape` is without the batch."""

    name: str
    inputs: tuple[str, ...]
    shape: Shape

    @abstractmethod
    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """The layer that rounds into `output`."""


@dataclass(frozen=True, eq=False)
class Product(Operation):
    """Conv where there is a window, otherwise a matrix product."""

    weights: Weights  # outputs first
    bias: np.ndarray  # Fractions (O,)
    window: Window | None = None
    groups: int = 1

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """Raises ModelError naming the channel whose bias or sums could leave 32 bits."""
        source = Fraction(tensors[self.inputs[0]].scale)
        units = [source * scale for scale in self.weights.scale]
        if len(units) == 1:
            units *= len(self.bias)
        for channel, number in enumerate(self.bias):
            if not self.weights.values[channel].any():  # any unit will do: one that gives the bias itself
                units[channel] = max(Fraction(output.scale) / _FINEST, Fraction(abs(number), 1 << 30))
        bias = [round(number / unit) for number, unit in zip(self.bias, units, strict=True)]
        self._check_sums(bias)
        rescale = rescale_of([unit / Fraction(output.scale) for unit in units], self.name)
        weights, numbers = self.weights.values.astype(np.int8), np.array(bias, np.int32)
        if self.window is None:
            return graph.Dense(self.name, self.inputs, output.name, weights, numbers, rescale, clamp)
        window = self.window
        return graph.Conv(
            self.name, self.inputs, output.name, weights, numbers, rescale, window.strides, window.pads,
            window.dilations, self.groups, clamp,
        )  # fmt: skip

    def _check_sums(self, bias: list[int]) -> None:
        """The proof that no sum leaves 32 bits, whatever the input: |bias| + Σ|w|·255 < 2³¹ for each channel."""
        sums = np.abs(self.weights.values).reshape(len(bias), -1).sum(axis=1)
        for channel, (number, total) in enumerate(zip(bias, sums.tolist(), strict=True)):
            most = abs(number) + 255 * total
            if most >= _LIMIT:
                raise ModelError(
                    f"{self.name}: channel {channel} could sum up to {most:,}, more than 32 bits hold: "
                    "its bias is far larger than its weights, or it has too many inputs"
                )


@dataclass(frozen=True, eq=False)
class Mean(Operation):
    """Average pooling."""

    window: Window
    count_include_pad: bool = False

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """One factor for each number of pixels that a window has."""
        source, window = tensors[self.inputs[0]], self.window
        factor = Fraction(source.scale) / Fraction(output.scale)
        rows, columns = (
            _overlaps(window, axis, source.shape[1 + axis], output.shape[1 + axis], self.count_include_pad)
            for axis in (0, 1)
        )
        divisors = sorted({height * width for height in rows for width in columns})
        rescale = {divisor: rescale_of([factor / divisor], self.name) for divisor in divisors}
        return graph.AveragePool(
            self.name, self.inputs, output.name, window.kernel, window.strides, window.pads, self.count_include_pad,
            rescale, clamp,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sum(Operation):
    """Two tensors of one shape, added."""

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """Both are rounded together."""
        factors = [Fraction(tensors[name].scale) / Fraction(output.scale) for name in self.inputs]
        return graph.Add(self.name, self.inputs, output.name, common_rescale_of(factors, self.name), clamp)


@dataclass(frozen=True, eq=False)
class Join(Operation):
    """Tensors one after another."""

    axis: int

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:  # noqa: ARG002
        """It does not clamp: that is for a layer of its own."""
        factors = [Fraction(tensors[name].scale) / Fraction(output.scale) for name in self.inputs]
        rescale = tuple(rescale_of([factor], self.name) for factor in factors)
        return graph.Concat(self.name, self.inputs, output.name, self.axis, rescale)


@dataclass(frozen=True)
class View:
    """The same numbers, some of them, or a constant around them. `shape` is the result's, without the batch."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Largest(View):
    """Pooling by maximum."""

    window: Window


@dataclass(frozen=True)
class Border(View):
    """A constant around an image."""

    pads: Pads
    number: float


@dataclass(frozen=True, eq=False)
class Value:
    """A float value of the ONNX. `source` is a tensor, an operation, or None: the float input."""

    source: str | Operation | None
    shape: Shape
    clamp: tuple[float, float] = (-math.inf, math.inf)
    views: tuple[View, ...] = ()

    def clamped(self, low: float, high: float) -> Value:
        """After a Clip. What was put around an image is clamped, too."""

        def clip(number: float) -> float:
            return min(max(number, low), high)

        views = tuple(replace(v, number=clip(v.number)) if isinstance(v, Border) else v for v in self.views)
        return replace(self, clamp=(clip(self.clamp[0]), clip(self.clamp[1])), views=views)

    def seen(self, view: View) -> Value:
        """Through one more view."""
        return replace(self, shape=view.shape, views=(*self.views, view))


class Layers:
    """The layers and tensors of a graph, as far as they are known."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.layers: list[Layer] = []

    def add_tensor(self, name: str, shape: Shape, quantization: Quantization) -> Tensor:
        """A tensor with that name, or one like it where it is taken."""
        tensor = Tensor(self._unique(name), shape, quantization.scale, quantization.zero_point)
        self.tensors[tensor.name] = tensor
        return tensor

    def settle(self, value: Value, quantization: Quantization, name: str) -> str:
        """Quantize a value: the tensor that holds it, called `name` if it is new."""
        low, high = (quantization.quantize(bound) for bound in value.clamp)
        tensor = self._settle_source(value, quantization, (min(low, high), high), name)
        for view in value.views:
            output = self.add_tensor(name, view.shape, quantization)
            self._add(_view_layer(view, tensor.name, output.name, quantization))
            tensor = output
        return tensor.name

    def settle_as_is(self, value: Value, name: str) -> str | None:
        """The tensor that holds a value exactly, called `name` if it is new; None where only rounding gives one.

        A tensor is one, and its views, and a Relu of it: what remains has int8 already.
        """
        if not isinstance(value.source, str):
            return None
        tensor = self.tensors[value.source]
        quantization = Quantization(tensor.scale, tensor.zero_point)
        numbers = [*value.clamp, *(view.number for view in value.views if isinstance(view, Border))]
        if not all(map(quantization.is_exact, numbers)):
            return None
        return self.settle(value, quantization, name)

    def _settle_source(self, value: Value, quantization: Quantization, clamp: Pair, name: str) -> Tensor:
        source, whole = value.source, clamp == (LOW, HIGH)
        if isinstance(source, Operation):
            output = self.add_tensor(name, source.shape, quantization)
            self._add(source.layer(output, self.tensors, clamp))
            if whole or not isinstance(source, Join):
                return output
            tensor = output
        else:
            assert source is not None  # the reader has quantized the input
            tensor = self.tensors[source]
            if whole and (tensor.scale, tensor.zero_point) == (quantization.scale, quantization.zero_point):
                return tensor
        output = self.add_tensor(name, tensor.shape, quantization)
        rescale = rescale_of([Fraction(tensor.scale) / Fraction(quantization.scale)], name)
        self._add(graph.Requantize(name, (tensor.name,), output.name, rescale, clamp))
        return output

    def _add(self, layer: Layer) -> None:
        names = {known.name for known in self.layers}
        name, count = layer.name, 2
        while name in names:
            name, count = f"{layer.name}_{count}", count + 1
        self.layers.append(replace(layer, name=name))

    def _unique(self, name: str) -> str:
        unique, count = name, 2
        while unique in self.tensors:
            unique, count = f"{name}_{count}", count + 1
        return unique


def _view_layer(view: View, source: str, output: str, quantization: Quantization) -> Layer:
    match view:
        case Largest():
            window = view.window
            return graph.MaxPool(view.name, (source,), output, window.kernel, window.strides, window.pads)
        case Border():
            return graph.Pad(view.name, (source,), output, view.pads, quantization.quantize(view.number))
        case _:
            return graph.Reshape(view.name, (source,), output)


def _overlaps(window: Window, axis: int, size: int, count: int, include_pad: bool) -> set[int]:
    """How many rows (or columns) of the image the windows have; `include_pad`: all of the window's."""
    kernel, stride, first = window.kernel[axis], window.strides[axis], -window.pads[axis]
    if include_pad:
        return {kernel}
    starts = (first + index * stride for index in range(count))
    return {min(start + kernel, size) - max(start, 0) for start in starts}
