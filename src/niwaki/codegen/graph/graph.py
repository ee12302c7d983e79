"""A quantized network as a short list of fused int8 layers: the reference runs it, and the C is written from it.

Every tensor is int8 with one scale and zero point; shapes are without the batch, channels first. Each layer
ends with a rounding and a clamp, in which Relu and Clip are fused. Padding of Conv, AveragePool and Pad is
the zero point (the number zero); of MaxPool, minus infinity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from niwaki.codegen.graph.bits import bits_of, packed_bytes
from niwaki.data.preprocessing import Preprocessing

Layout = Literal["CHW", "HWC"]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class Tensor:
    """An int8 activation: the number is `(q - zero_point) * scale`. Shape (C, H, W), (N,), or up to four other axes."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """The number of elements, which is the number of bytes."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Layer:
    """`name` is the ONNX node's; `inputs` and `output` name tensors of the graph. Its kinds are in `operators`."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Graph:
    """Layers in an order in which they can run; `labels` and `preprocessing` come from the ONNX metadata."""

    tensors: dict[str, Tensor]
    layers: tuple[Layer, ...]
    input: str
    output: str
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None  # None: the file does not say
    table: np.ndarray | None = None  # int8 (C, 256): the input's value for each raw pixel; None if unknown
    dropped: tuple[str, ...] = field(default=())  # nodes dropped at the end, such as a last Softmax
    layout: Layout = "CHW"  # in which the C takes the image and gives its output; within the graph it is always CHW
    rounds_twice: bool = False  # as TensorFlow Lite does; its layers' factors say so too

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights of all layers, each in the fewest bits that hold its int8 arrays."""
        arrays = [weights for layer in self.layers if (weights := vars(layer).get("weights")) is not None]
        return sum(packed_bytes(array.size, bits_of(array)) for array in arrays)

    def readers(self, tensor: str) -> Iterator[Layer]:
        """The layers that read a tensor."""
        return (layer for layer in self.layers if tensor in layer.inputs)
