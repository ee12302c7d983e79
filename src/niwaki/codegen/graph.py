"""A quantized network as a short list of fused int8 layers: what the reference runs and the C is written from.

Every tensor is int8 with one scale and zero point; shapes are without the batch, channels first. Each layer
ends with one rounding and a clamp, in which Relu and Clip are fused. Padding of Conv, AveragePool and Pad is
the zero point (the number zero); of MaxPool, minus infinity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from niwaki.codegen.arithmetic import HIGH, LOW, Rescale
from niwaki.data.preprocessing import Preprocessing

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class Tensor:
    """An int8 activation: the number is `(q - zero_point) * scale`. Shape (C, H, W) or (N,)."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Elements, which are bytes."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Layer:
    """`name` is the ONNX node's; `inputs` and `output` name tensors of the graph."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """Convolution. `out = clamp(zo + rescale(bias + sum(w * (x - zi))))`."""

    weights: np.ndarray  # int8 (O, I / groups, KH, KW)
    bias: np.ndarray  # int32 (O,), in units of s_in * s_w[o]
    rescale: Rescale  # s_in * s_w[o] / s_out, shape (O,)
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Matrix product of a flat tensor. `out = clamp(zo + rescale(bias + w @ (x - zi)))`."""

    weights: np.ndarray  # int8 (O, I)
    bias: np.ndarray  # int32 (O,)
    rescale: Rescale  # shape (O,)
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class MaxPool(Layer):
    """Maximum over windows; input and output have one scale and zero point."""

    kernel: Pair
    strides: Pair
    pads: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class AveragePool(Layer):
    """Mean over windows (global pooling: one window). `out = clamp(zo + rescale[n](sum(x - zi)))`, n the divisor."""

    kernel: Pair
    strides: Pair
    pads: Pads
    count_include_pad: bool
    rescale: dict[int, Rescale]  # by divisor n: s_in / (n * s_out), shape (1,)
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """Sum of two tensors of one shape. `out = clamp(zo + ((a - za)*m[0] + (b - zb)*m[1] + half >> s))`, one shift."""

    rescale: Rescale  # shape (2,): s_a / s_out, s_b / s_out, with a common shift
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Tensors one after another along `axis` (0: channels), each requantized: shape (1,) each."""

    axis: int
    rescale: tuple[Rescale, ...]


@dataclass(frozen=True, eq=False)
class Requantize(Layer):
    """The same numbers in another scale, and a Relu or Clip that no layer could take in."""

    rescale: Rescale  # shape (1,): s_in / s_out
    clamp: Pair = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Pad(Layer):
    """`value` (int8, usually the zero point) around the image; input and output have one scale and zero point."""

    pads: Pads
    value: int


@dataclass(frozen=True, eq=False)
class Reshape(Layer):
    """The same elements in the same (channels first) order under another shape; Flatten is one."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Layers in an order in which they can run; `labels` and `preprocessing` are the ONNX metadata's."""

    tensors: dict[str, Tensor]
    layers: tuple[Layer, ...]
    input: str
    output: str
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None  # None: the file does not say
    table: np.ndarray | None = None  # int8 (C, 256): the input's value for each raw pixel; None where it is unknown
    dropped: tuple[str, ...] = field(default=())  # nodes left out at the end, such as a last Softmax

    def readers(self, tensor: str) -> Iterator[Layer]:
        """The layers that read a tensor."""
        return (layer for layer in self.layers if tensor in layer.inputs)
