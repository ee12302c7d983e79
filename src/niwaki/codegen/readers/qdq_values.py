"""Float values between the quantized tensors of a QDQ ONNX, and the layers that they become.

A float value is a tensor or the result of an operation, seen through a clamp (Relu, Clip) and views (pooling by
maximum, padding, another shape). None of these computes a new number, so the one rounding of QuantizeLinear may move
before them: it becomes the last step of the operation, and the clamp its saturation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale, common_rescale_of, rescale_of
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.operators import arrange, elementwise, pooling, products, rows
from niwaki.codegen.readers.qdq_constants import Quantization, Weights
from niwaki.codegen.readers.qdq_views import Border, Moved, View, Window, after, view_layer
from niwaki.errors import ModelError
from niwaki.models.onnxfold import Shape

_LIMIT = 1 << 31
_LOST = Fraction(1, 8)  # of a step of the output: what weights may lose when they are rounded to a coarser unit
_FINEST = 1 << 12  # steps of a bias within one step of the output, if no weight gives it a unit


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """Computes new numbers from `inputs` (tensors). `name` is the node's; `shape` excludes the batch."""

    name: str
    inputs: tuple[str, ...]
    shape: Shape

    @abstractmethod
    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """The layer that rounds into `output`."""


@dataclass(frozen=True, eq=False)
class Product(Operation):
    """A convolution if there is a window, otherwise a matrix product."""

    weights: Weights  # outputs first
    bias: np.ndarray  # Fractions (O,)
    window: Window | None = None
    groups: int = 1

    @property
    def channels(self) -> int:
        """The axis of its outputs."""
        return 0 if self.window else len(self.shape) - 1

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """Raises ModelError naming the channel whose bias or sums could exceed 32 bits."""
        source = Fraction(tensors[self.inputs[0]].scale)
        units = [source * scale for scale in self.weights.scale]
        if len(units) == 1:
            units *= len(self.bias)
        for channel, number in enumerate(self.bias):
            if not self.weights.values[channel].any():  # any unit works: use one that represents the bias itself
                units[channel] = max(Fraction(output.scale) / _FINEST, Fraction(abs(number), 1 << 30))
        fitted = [
            self._fitted(channel, unit, Fraction(number), output)
            for channel, (unit, number) in enumerate(zip(units, self.bias, strict=True))
        ]
        units = [unit for unit, _ in fitted]
        bias = [round(number / unit) for number, unit in zip(self.bias, units, strict=True)]
        rescale = rescale_of([unit / Fraction(output.scale) for unit in units], self.name)
        weights = np.stack([values for _, values in fitted]).astype(np.int8)
        return self.made(output, weights, np.array(bias, np.int32), rescale, clamp)

    def times(self, factors: np.ndarray, offsets: np.ndarray) -> Product:
        """`factors * result + offsets`: Fractions, one for all or one for each channel."""
        count = len(self.bias)
        factors = np.broadcast_to(factors, count)
        scales = np.broadcast_to(np.array(self.weights.scale, object), count)
        signs = np.array([int(f > 0) - int(f < 0) for f in factors]).reshape(-1, *(1,) * (self.weights.values.ndim - 1))
        kept = tuple(abs(f) * s if f else s for f, s in zip(factors, scales, strict=True))
        weights = replace(self.weights, values=self.weights.values * signs, scale=kept, axis=0)
        return replace(self, weights=weights, bias=self.bias * factors + np.broadcast_to(offsets, count))

    def made(self, output: Tensor, weights: np.ndarray, numbers: np.ndarray, rescale: Rescale, clamp: Pair) -> Layer:
        """The layer from its integers: weights int8, outputs first, and bias int32."""
        if self.window is None:
            kind = products.Dense if len(self.shape) == 1 else rows.Linear
            return kind(self.name, self.inputs, output.name, weights, numbers, rescale, clamp)
        window = self.window
        return products.Conv(
            self.name, self.inputs, output.name, weights, numbers, rescale, window.strides, window.pads,
            window.dilations, self.groups, clamp,
        )  # fmt: skip

    def _fitted(self, channel: int, unit: Fraction, number: Fraction, output: Tensor) -> tuple[Fraction, np.ndarray]:
        """Unit and weights of a channel whose sums all fit 32 bits: |bias| + Σ|w|·255 < 2³¹, whatever the input.

        Weights that are tiny compared with their bias are rounded to a coarser unit if that costs less than a fraction
        of a step of the output, or nothing at all because the output is saturated for every input.
        """
        values = self.weights.values[channel]
        most = _most(values, unit, number)
        if most < _LIMIT:
            return unit, values
        times = 1
        while _most(rounded := _divided(values, times), unit * times, number) >= _LIMIT:
            times *= 2
            if not rounded.any() and abs(number / (unit * times)) < 1:
                break
        step = Fraction(output.scale)
        kept = rounded * times if rounded.any() else rounded  # `times` alone may exceed 64 bits
        lost = int(np.abs(values - kept).sum()) * 255 * unit + unit * times
        swing = int(np.abs(values).sum()) * 255 * unit
        beyond = (abs(number) - swing - lost) / step > 2 * (HIGH - LOW)  # further than the whole range of int8
        if (lost / step <= _LOST or beyond) and swing < _LIMIT * unit:
            return unit * times, rounded
        raise ModelError(
            f"{self.name}: channel {channel} could reach {most:,}, more than 32 bits can hold: its bias is far larger "
            "than its weights, or it has too many inputs"
        )


def _most(values: np.ndarray, unit: Fraction, number: Fraction) -> int:
    """The largest sum of a channel, in units: |bias| + Σ|w|·255."""
    return abs(round(number / unit)) + 255 * int(np.abs(values).sum())


def _divided(values: np.ndarray, by: int) -> np.ndarray:
    """Integers divided by a power of two, rounded to the nearest, halves away from zero."""
    if by > 1 << 20:
        return np.zeros_like(values)
    rounded: np.ndarray = np.sign(values) * ((2 * np.abs(values) + by) // (2 * by))
    return rounded


@dataclass(frozen=True, eq=False)
class Mean(Operation):
    """Average pooling, times a factor; `whole`: a mean over the image."""

    window: Window
    count_include_pad: bool = False
    whole: bool = False
    factor: Fraction = Fraction(1)
    unsigned: bool = False  # of a tensor that is uint8 in the file

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """One factor for each number of pixels that a window can have."""
        source, window = tensors[self.inputs[0]], self.window
        factor = self.factor * Fraction(source.scale) / Fraction(output.scale)
        rows, columns = (
            _overlaps(window, axis, source.shape[1 + axis], output.shape[1 + axis], self.count_include_pad)
            for axis in (0, 1)
        )
        divisors = sorted({height * width for height in rows for width in columns})
        rescale = {divisor: rescale_of([factor / divisor], self.name) for divisor in divisors}
        return pooling.AveragePool(
            self.name, self.inputs, output.name, window.kernel, window.strides, window.pads, self.count_include_pad,
            rescale, clamp,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sum(Operation):
    """Two tensors of one shape, added."""

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """Both are rounded together."""
        factors = [Fraction(tensors[name].scale) / Fraction(output.scale) for name in self.inputs]
        return elementwise.Add(self.name, self.inputs, output.name, common_rescale_of(factors, self.name), clamp)


@dataclass(frozen=True, eq=False)
class Join(Operation):
    """Tensors one after another."""

    axis: int

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:  # noqa: ARG002
        """It does not clamp: a layer of its own does."""
        factors = [Fraction(tensors[name].scale) / Fraction(output.scale) for name in self.inputs]
        rescale = tuple(rescale_of([factor], self.name) for factor in factors)
        return arrange.Concat(self.name, self.inputs, output.name, self.axis, rescale)


@dataclass(frozen=True, eq=False)
class Rescaled(Operation):
    """The same numbers, clamped or in another scale."""

    clamped: bool = False

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """One factor for all."""
        factor = Fraction(tensors[self.inputs[0]].scale) / Fraction(output.scale)
        return elementwise.Requantize(self.name, self.inputs, output.name, rescale_of([factor], self.name), clamp)


LayerOf = Callable[[Operation, Tensor, Mapping[str, Tensor], Pair], Layer]
"""From an operation, the tensor that it rounds into, all tensors, and the clamp to its layer."""


def layer_rounded_once(operation: Operation, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
    """The rounding of niwaki's own contract: once, from exact fractions."""
    return operation.layer(output, tensors, clamp)


@dataclass(frozen=True, eq=False)
class Value:
    """A float value of the ONNX. `source` is a tensor, an operation, or None: the float input."""

    source: str | Operation | None
    shape: Shape
    clamp: tuple[float, float] = (-math.inf, math.inf)
    views: tuple[View, ...] = ()

    def clamped(self, low: float, high: float) -> Value:
        """After a Clip. Padding around an image is clamped, too."""

        def clip(number: float) -> float:
            return min(max(number, low), high)

        views = tuple(replace(v, number=clip(v.number)) if isinstance(v, Border) else v for v in self.views)
        return replace(self, clamp=(clip(self.clamp[0]), clip(self.clamp[1])), views=views)

    def seen(self, view: View) -> Value:
        """Through one more view."""
        return replace(self, shape=view.shape, views=after(self.views, view))

    def moved(self, name: str, shape: Shape, index: np.ndarray) -> Value:
        """Elements from other places: `index` of each."""
        whole = index.size == np.prod(self.shape) and np.array_equal(index, np.arange(index.size))
        return self.seen(View(name, shape) if whole else Moved(name, shape, index))


class Layers:
    """The layers and tensors of a graph, as far as they are known. `layer_of` decides how operations round."""

    def __init__(self, layer_of: LayerOf) -> None:
        self._layer_of = layer_of
        self.tensors: dict[str, Tensor] = {}
        self.layers: list[Layer] = []
        self._names: set[str] = set()  # of the layers

    def add_tensor(self, name: str, shape: Shape, quantization: Quantization) -> Tensor:
        """A tensor with that name, or a similar one if it is taken."""
        tensor = Tensor(self._unique(name), shape, quantization.scale, quantization.zero_point)
        self.tensors[tensor.name] = tensor
        return tensor

    def settle(self, value: Value, quantization: Quantization, name: str) -> str:
        """Quantize a value: the tensor that holds it, named `name` if it is new."""
        low, high = (quantization.quantize(bound) for bound in value.clamp)
        tensor = self._settle_source(value, quantization, (min(low, high), high), name)
        for view in value.views:
            output = self.add_tensor(name, view.shape, quantization)
            self._add(view_layer(view, tensor.name, output.name, quantization))
            tensor = output
        return tensor.name

    def settle_as_is(self, value: Value, name: str) -> str | None:
        """The tensor that represents a value exactly, named `name` if it is new; None if only rounding gives one.

        This holds for a tensor, its views, and a Relu of it: the values that remain have int8 representations already.
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
            self._add(self._layer_of(source, output, self.tensors, clamp))
            if whole or not isinstance(source, Join):
                return output
            tensor = output
        else:
            assert source is not None  # the reader has quantized the input
            tensor = self.tensors[source]
            if whole and (tensor.scale, tensor.zero_point) == (quantization.scale, quantization.zero_point):
                return tensor
        output = self.add_tensor(name, tensor.shape, quantization)
        rescaled = Rescaled(name, (tensor.name,), tensor.shape, clamped=value.clamp != (-math.inf, math.inf))
        self._add(self._layer_of(rescaled, output, self.tensors, clamp))
        return output

    def add_layer(self, layer: Layer) -> None:
        """A layer that depends on no value."""
        self._add(layer)

    def _add(self, layer: Layer) -> None:
        name, count = layer.name, 2
        while name in self._names:
            name, count = f"{layer.name}_{count}", count + 1
        self._names.add(name)
        self.layers.append(replace(layer, name=name))

    def _unique(self, name: str) -> str:
        unique, count = name, 2
        while unique in self.tensors:
            unique, count = f"{name}_{count}", count + 1
        return unique


def _overlaps(window: Window, axis: int, size: int, count: int, include_pad: bool) -> set[int]:
    """How many rows (or columns) of the image are in the windows; `include_pad`: all of the window's."""
    kernel, stride, first = window.kernel[axis], window.strides[axis], -window.pads[axis]
    if include_pad:
        return {kernel}
    starts = (first + index * stride for index in range(count))
    return {min(start + kernel, size) - max(start, 0) for start in starts}
