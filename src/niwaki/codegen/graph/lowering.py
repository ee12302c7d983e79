"""Collects the steps of C, layer by layer: where each tensor is, and what is done already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np

from niwaki.codegen.graph.graph import Graph, Layer, Tensor
from niwaki.codegen.graph.loops import DEPTH, loops_of
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
Order = Literal["rows", "same", "own"]
"""What a layer asks of the bytes of its inputs: rows of pixels for images, one order for all, or it sees to that."""


def usual_axes(shape: tuple[int, ...]) -> Axes:
    """The axes in the order of bytes: channels come last in images, others lie in the order of their axes."""
    return (1, 2, 0) if len(shape) == 3 else tuple(range(len(shape)))


def copy_fields(addresses: np.ndarray) -> dict[str, int]:
    """Fields of the kernel that copies elements from `addresses`, which are nested loops."""
    loops = loops_of(addresses)
    assert loops is not None  # a tensor has fewer axes than the kernel has loops
    fields = {"start": int(addresses[0])}
    for place in range(DEPTH):
        at = place - DEPTH + len(loops)
        count, step = (loops[at].count, loops[at].steps[0]) if at >= 0 else (1, 0)
        fields |= {f"count{place}": count, f"step{place}": step}
    return fields


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
    copies: dict[str, int] = field(default_factory=dict)  # bytes of tensors in another order
    order_of: Callable[[Layer], Order] = lambda _: "rows"

    def __post_init__(self) -> None:
        self.home[self.graph.input] = INPUT

    @property
    def arrange_input(self) -> bool:
        """Whether the image must be copied to rows of pixels first."""
        source = self.graph.tensors[self.graph.input]
        return self.graph.layout == "CHW" and len(source.shape) == 3 and not ordered_alike(source)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every buffer."""
        tensors = self.graph.tensors
        return {
            **{name: tensor.size for name, tensor in tensors.items()},
            **self.copies,
            INPUT: tensors[self.graph.input].size,
        }

    def axes(self, name: str) -> Axes:
        """The axes of a tensor in the order of its bytes, the outermost first."""
        return self.order.get(name, usual_axes(self.graph.tensors[name].shape))

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

    def in_order(self, layer: Layer) -> None:
        """The bytes of a layer's inputs, copied if necessary, and of its output lie in the order of the axes."""
        for name in layer.inputs:
            self.bring(name, tuple(range(len(self.graph.tensors[name].shape))))
        self.order[layer.output] = tuple(range(len(self.graph.tensors[layer.output].shape)))

    def in_rows(self, layer: Layer) -> None:
        """The bytes of images among a layer's inputs, copied if necessary, lie in rows of pixels."""
        for name in layer.inputs:
            self.bring(name, usual_axes(self.graph.tensors[name].shape))

    def bring(self, name: str, axes: Axes) -> None:
        """Have a tensor's bytes in another order of its axes: from now on, all that read it find it so."""
        shape = self.graph.tensors[name].shape
        places = np.arange(prod(shape)).reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))
        if np.array_equal(places, self.places(name)):
            self.order[name] = axes
            return
        addresses = self.places(name).transpose(axes).reshape(-1)
        copied = f"{name}, in another order"
        self.copies[copied] = addresses.size
        self.steps.append(Step("copy", name, (self.home[name],), copied, copy_fields(addresses)))
        self.home[name], self.order[name] = copied, axes

    def orders(self, name: str) -> list[Axes]:
        """The orders in which a tensor's bytes may lie, the usual one first."""
        shape = self.graph.tensors[name].shape
        straight = tuple(range(len(shape)))
        return list(dict.fromkeys([usual_axes(shape), straight, (*straight[1:], 0)] if len(shape) < 4 else [straight]))

    def wanted(self, name: str) -> Axes:
        """The order that suits what reads a tensor: rows of pixels for images, otherwise that of the axes."""
        shape, waiting, seen = self.graph.tensors[name].shape, [name], {name}
        straight, found = tuple(range(len(shape))), False
        while waiting:
            for layer in self.graph.readers(waiting.pop()):
                if layer.output in seen:
                    continue
                seen.add(layer.output)
                match self.order_of(layer):
                    case "same":
                        waiting.append(layer.output)
                    case "rows":
                        return usual_axes(shape)
                    case _:
                        found = True
        return straight if found else usual_axes(shape)

    def alias(self, layer: Layer, axes: Axes) -> None:
        """The output's bytes are those of the input, with another shape."""
        self.home[layer.output], self.order[layer.output] = self.home[layer.inputs[0]], axes

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
