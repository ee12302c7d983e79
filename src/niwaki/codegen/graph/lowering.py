"""Collects the steps of C, layer by layer: where each tensor is, and what is done already."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np

from niwaki.codegen.graph.graph import Graph, Layer, Tensor
from niwaki.codegen.graph.program import INPUT, Step


def hwc(tensor: Tensor) -> tuple[int, int, int]:
    """Height, width, channels of a tensor; a flat one is a single pixel, one of two axes is one pixel to a row."""
    if len(tensor.shape) == 3:
        channels, height, width = tensor.shape
        return height, width, channels
    return prod(tensor.shape[:-1]), 1, tensor.shape[-1]


def ordered_alike(tensor: Tensor) -> bool:
    """Whether channels first and channels last give the same order of bytes."""
    height, width, channels = hwc(tensor)
    return channels == 1 or height * width == 1


def reshape_fields(source: Tensor, target: Tensor) -> dict[str, int]:
    """Fields of the kernel that reshapes elements."""
    names = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c")
    return dict(zip(names, (*hwc(source), *hwc(target)), strict=True))


Axes = tuple[int, ...]


@dataclass
class Lowering:
    """The steps so far. `fuse`: whether pooling may be fused into convolutions."""

    graph: Graph
    fuse: bool
    steps: list[Step] = field(default_factory=list)
    home: dict[str, str] = field(default_factory=dict)  # the buffer that holds a tensor
    layout: dict[str, Tensor] = field(default_factory=dict)  # the shape of the bytes after a free reshape
    order: dict[str, Axes] = field(default_factory=dict)  # of axes, where it is not that of rows of pixels
    done: set[str] = field(default_factory=set)  # layers that others absorbed

    def __post_init__(self) -> None:
        self.home[self.graph.input] = INPUT

    @property
    def arrange_input(self) -> bool:
        """Whether the image must be copied to rows of pixels first."""
        return self.graph.layout == "CHW" and not ordered_alike(self.graph.tensors[self.graph.input])

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every buffer."""
        tensors = self.graph.tensors
        return {**{name: tensor.size for name, tensor in tensors.items()}, INPUT: tensors[self.graph.input].size}

    def axes(self, name: str) -> Axes:
        """The axes of a tensor in the order of its bytes, the outermost first."""
        rank = len(self.graph.tensors[name].shape)
        return self.order.get(name, (1, 2, 0) if rank == 3 else tuple(range(rank)))

    def places(self, name: str) -> np.ndarray:
        """The address of every element of a tensor within its buffer, in the tensor's shape."""
        axes, shape = self.axes(name), self.graph.tensors[name].shape
        addresses = np.arange(prod(shape)).reshape([shape[axis] for axis in axes])
        return addresses.transpose(np.argsort(axes))

    def as_bytes(self, name: str, values: np.ndarray) -> np.ndarray:
        """`values` in a tensor's shape, flat and in the order of its bytes."""
        flat: np.ndarray = values.transpose(self.axes(name)).reshape(-1)
        return flat

    def same_order(self, layer: Layer) -> None:
        """The output's bytes lie as those of the input that has its shape."""
        shape = self.graph.tensors[layer.output].shape
        for name in layer.inputs:
            if self.graph.tensors[name].shape == shape:
                self.order[layer.output] = self.axes(name)
                return

    def emit(
        self, kernel: str, layer: Layer, fields: dict[str, int], arrays: dict[str, np.ndarray] | None = None,
        weights: str = "", output: str | None = None,
    ) -> None:  # fmt: skip
        """Add the call of a kernel; its output stays where the kernel writes it."""
        output = output or layer.output
        self.home[output] = output
        homes = tuple(self.home[name] for name in layer.inputs)
        self.steps.append(Step(kernel, layer.name, homes, output, fields, arrays or {}, weights))

    def image(self, layer: Layer, output: str | None = None) -> dict[str, int]:
        """The fields of a kernel that hold its image sizes."""
        in_h, in_w, channels = hwc(self.graph.tensors[layer.inputs[0]])
        out_h, out_w, _ = hwc(self.graph.tensors[output or layer.output])
        return {"in_h": in_h, "in_w": in_w, "channels": channels, "out_h": out_h, "out_w": out_w}

    def ends(self, layer: Layer) -> dict[str, int]:
        """The fields for the zero point and the output's limits."""
        low, high = getattr(layer, "clamp", (-128, 127))
        return {
            "in_zero": self.graph.tensors[layer.inputs[0]].zero_point,
            "out_zero": self.graph.tensors[layer.output].zero_point,
            "low": low,
            "high": high,
        }
