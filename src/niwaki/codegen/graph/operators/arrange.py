"""The same numbers in another place: joined tensors, an image with a border, another shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from niwaki.codegen.graph.arithmetic import Rescale, rescaled
from niwaki.codegen.graph.graph import Layer, Pads, Tensor
from niwaki.codegen.graph.lowering import Lowering, ordered_alike, reshape_fields, usual_axes
from niwaki.codegen.graph.operators.elementwise import requantize_fields
from niwaki.codegen.graph.operators.moves import move
from niwaki.codegen.graph.operators.operator import Operator
from niwaki.codegen.graph.operators.products import Dense
from niwaki.codegen.graph.windows import centred, padded


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Tensors one after another along `axis` (0: channels), each requantized: shape (1,) each."""

    axis: int
    rescale: tuple[Rescale, ...]


@dataclass(frozen=True, eq=False)
class Pad(Layer):
    """`value` (int8, usually the zero point) around the image; input and output have one scale and zero point."""

    pads: Pads
    value: int


@dataclass(frozen=True, eq=False)
class Widen(Layer):
    """`value` as channels before and after those of an image (C, H, W), with the scale and zero point of the input."""

    before: int
    behind: int
    value: int


@dataclass(frozen=True, eq=False)
class Reshape(Layer):
    """The same elements in the same (channels first) order with another shape, as in Flatten."""


def _run_concat(layer: Concat, inputs: Sequence[np.ndarray], sources: Sequence[Tensor], target: Tensor) -> np.ndarray:
    parts = [
        rescaled(centred(values, tensor), rescale, target.zero_point)
        for values, tensor, rescale in zip(inputs, sources, layer.rescale, strict=True)
    ]
    return np.concatenate(parts, axis=1 + layer.axis)


def _run_pad(layer: Pad, inputs: Sequence[np.ndarray], _: Sequence[Tensor], __: Tensor) -> np.ndarray:
    return padded(inputs[0], layer.pads, layer.value)


def _run_widen(layer: Widen, inputs: Sequence[np.ndarray], _: Sequence[Tensor], __: Tensor) -> np.ndarray:
    sides = ((0, 0), (layer.before, layer.behind), (0, 0), (0, 0))
    return np.pad(inputs[0], sides, constant_values=layer.value)


def _run_reshape(_: Reshape, inputs: Sequence[np.ndarray], __: Sequence[Tensor], target: Tensor) -> np.ndarray:
    return inputs[0].reshape(len(inputs[0]), *target.shape)


def _lower_concat(layer: Concat, lowering: Lowering) -> None:
    """One step for each part; in rows of pixels the channels are the innermost axis."""
    order = lowering.axes(layer.output)
    out, axis = [lowering.graph.tensors[layer.output].shape[side] for side in order], order.index(layer.axis)
    inner, start = int(np.prod(out[axis + 1 :])), 0
    for index, name in enumerate(layer.inputs):
        tensor = lowering.graph.tensors[name]
        size = tensor.shape[layer.axis] * inner
        part = replace(layer, inputs=(name,))
        step = requantize_fields(layer.rescale[index], int(np.prod(out[:axis])), size, out[axis] * inner)
        fields = {**step, **lowering.ends(part), "at": start}
        lowering.emit("requantize", part, fields)
        start += size


def _lower_pad(layer: Pad, lowering: Lowering) -> None:
    image = lowering.image(layer)
    top, left, bottom, right = layer.pads
    lowering.emit("pad", layer, {
        "in_h": image["in_h"], "in_w": image["in_w"], "channels": image["channels"], "top": top, "left": left,
        "bottom": bottom, "right": right, "value": layer.value,
    })  # fmt: skip


def _lower_widen(layer: Widen, lowering: Lowering) -> None:
    """The border of an image that has a row for each pixel, and a column for each channel."""
    image = lowering.image(layer)
    lowering.emit("pad", layer, {
        "in_h": image["in_h"] * image["in_w"], "in_w": image["channels"], "channels": 1, "top": 0,
        "left": layer.before, "bottom": 0, "right": layer.behind, "value": layer.value,
    })  # fmt: skip


def _lower_reshape(layer: Reshape, lowering: Lowering) -> None:
    """Nothing to do if the bytes have the same order, or if only dense layers read them: these adapt to their order."""
    source, target = lowering.graph.tensors[layer.inputs[0]], lowering.graph.tensors[layer.output]
    if not {len(source.shape), len(target.shape)} <= {1, 3} or lowering.axes(source.name) != usual_axes(source.shape):
        move(layer, np.arange(target.size), lowering)
        return
    readers = list(lowering.graph.readers(layer.output))
    flat = len(target.shape) == 1 and layer.output != lowering.graph.output
    if ordered_alike(source) and ordered_alike(target):
        lowering.home[layer.output] = lowering.home[layer.inputs[0]]
    elif flat and len(source.shape) == 3 and readers and all(isinstance(r, Dense) for r in readers):
        lowering.home[layer.output] = lowering.home[layer.inputs[0]]
        lowering.layout[layer.output] = source
    else:
        lowering.emit("reshape", layer, reshape_fields(source, target))


OPERATORS = {
    Concat: Operator(_run_concat, _lower_concat, ("requantize",)),
    Pad: Operator(_run_pad, _lower_pad, ("pad",)),
    Widen: Operator(_run_widen, _lower_widen, ("pad",)),
    Reshape: Operator(_run_reshape, _lower_reshape, ("reshape", "copy", "gather_from"), any_size=True, order="own"),
}
