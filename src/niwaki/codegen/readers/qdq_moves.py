"""Operators that bring numbers to other places: transposition, slices, repetition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from niwaki.codegen.readers.qdq_constants import attributes, name_of
from niwaki.codegen.readers.qdq_inputs import Inputs
from niwaki.codegen.readers.qdq_values import Value
from niwaki.models.onnxfold import Shape

Places = np.ndarray
"""The places of elements in the input, in the shape of what is made of them."""


def _moving(places: Callable[[Places, NodeProto, Inputs], Places]) -> Callable[[NodeProto, Inputs], Value]:
    """An operator that only picks elements of its first input: from their places there to those of the output."""

    def read(node: NodeProto, inputs: Inputs) -> Value:
        found = places(_places(inputs.full_shape(node.input[0])), node, inputs)
        value = inputs.value(node.input[0], node)
        return value.moved(name_of(node), inputs.shape(node.output[0]), found.reshape(-1))

    return read


def _places(shape: Shape) -> Places:
    return np.arange(int(np.prod(shape))).reshape(shape)


def _transpose(places: Places, node: NodeProto, _: Inputs) -> Places:
    return places.transpose(attributes(node).get("perm", range(places.ndim)[::-1]))


def _slice(places: Places, node: NodeProto, inputs: Inputs) -> Places:
    given = attributes(node)
    keys = ("starts", "ends", "axes", "steps")
    names = (*node.input[1:], "", "", "", "")[:4]
    read = [
        inputs.constants.array(name, node).ravel().tolist() if name else given.get(key)
        for key, name in zip(keys, names, strict=True)
    ]
    starts, ends = read[0] or [], read[1] or []
    axes, steps = read[2] or range(len(starts)), read[3] or [1] * len(starts)
    cut: list[slice] = [slice(None)] * places.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = places.shape[axis]
        last = None if step < 0 and end < -size else end
        cut[axis % places.ndim] = slice(start, last, step)
    return places[tuple(cut)]


def _gather(places: Places, node: NodeProto, inputs: Inputs) -> Places:
    index = inputs.constants.array(node.input[1], node)
    return np.take(places, index, attributes(node).get("axis", 0))


def _expand(places: Places, node: NodeProto, inputs: Inputs) -> Places:
    shape = tuple(inputs.constants.array(node.input[1], node).tolist())
    return np.broadcast_to(places, np.broadcast_shapes(places.shape, shape))


def _tile(places: Places, node: NodeProto, inputs: Inputs) -> Places:
    return np.tile(places, inputs.constants.array(node.input[1], node))


def _depth_to_space(places: Places, node: NodeProto, _: Inputs) -> Places:
    given = attributes(node)
    size, (batch, channels, height, width) = given["blocksize"], places.shape
    if given.get("mode", "DCR") == "CRD":
        parts = places.reshape(batch, channels // size**2, size, size, height, width).transpose(0, 1, 4, 2, 5, 3)
    else:
        parts = places.reshape(batch, size, size, channels // size**2, height, width).transpose(0, 3, 4, 1, 5, 2)
    return parts.reshape(batch, channels // size**2, height * size, width * size)


def _space_to_depth(places: Places, node: NodeProto, _: Inputs) -> Places:
    size, (batch, channels, height, width) = attributes(node)["blocksize"], places.shape
    parts = places.reshape(batch, channels, height // size, size, width // size, size).transpose(0, 3, 5, 1, 2, 4)
    return parts.reshape(batch, channels * size**2, height // size, width // size)


def padded(places: Places, sides: Sequence[tuple[int, int]], mode: str) -> Places:
    """With a border of elements that are there already: mirrored, repeated from the edge, or from the other end."""
    known: Any = mode
    return np.pad(places, sides, mode=known)


def split(node: NodeProto, inputs: Inputs) -> list[Value]:
    """Every part of a Split."""
    given, places = attributes(node), _places(inputs.full_shape(node.input[0]))
    axis = given.get("axis", 0) % places.ndim
    sizes = [inputs.full_shape(name)[axis] for name in node.output]
    ends = np.cumsum(sizes)[:-1].tolist()
    value = inputs.value(node.input[0], node)
    return [
        value.moved(name, inputs.shape(name), part.reshape(-1))
        for name, part in zip(node.output, np.split(places, ends, axis), strict=True)
    ]


OPERATORS: dict[str, Callable[[NodeProto, Inputs], Value]] = {
    "DepthToSpace": _moving(_depth_to_space),
    "Expand": _moving(_expand),
    "Gather": _moving(_gather),
    "Slice": _moving(_slice),
    "SpaceToDepth": _moving(_space_to_depth),
    "Tile": _moving(_tile),
    "Transpose": _moving(_transpose),
}
