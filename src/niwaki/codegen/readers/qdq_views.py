"""Views of a float value: the same numbers, some of them, in another place, or with a border; none is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.graph import Layer, Pads, Pair
from niwaki.codegen.graph.loops import in_one
from niwaki.codegen.graph.operators import arrange, moves, pooling, rows
from niwaki.codegen.readers.qdq_constants import Quantization
from niwaki.models.onnxfold import Shape


@dataclass(frozen=True)
class Window:
    """How windows move over an image."""

    kernel: Pair
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)


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
    """A constant around an image, or as channels before and behind those that it has."""

    pads: Pads
    number: float
    channels: Pair = (0, 0)


@dataclass(frozen=True)
class Peak(View):
    """The maximum along axes."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Moved(View):
    """Elements from other places: `index` of each, both counted in the order of the axes."""

    index: np.ndarray


def after(views: tuple[View, ...], view: View) -> tuple[View, ...]:
    """One more view; changes of place in a row are one, if that is no harder."""
    if not views or (not isinstance(view, Moved) and type(view) is not View):
        return (*views, view)
    last = views[-1]
    if isinstance(last, Moved):
        index = in_one(last.index, view.index) if isinstance(view, Moved) else last.index
        return (*views, view) if index is None else (*views[:-1], Moved(view.name, view.shape, index))
    if type(last) is View and isinstance(view, Moved):
        return (*views[:-1], view)
    return (*views, view)


def view_layer(view: View, source: str, output: str, quantization: Quantization) -> Layer:
    """The layer that a view is, between two tensors of one quantization."""
    match view:
        case Largest():
            window = view.window
            return pooling.MaxPool(view.name, (source,), output, window.kernel, window.strides, window.pads)
        case Border() if any(view.channels):
            before, behind = view.channels
            return arrange.Widen(view.name, (source,), output, before, behind, quantization.quantize(view.number))
        case Border():
            return arrange.Pad(view.name, (source,), output, view.pads, quantization.quantize(view.number))
        case Peak():
            return rows.Reduce(view.name, (source,), output, view.axes, None)
        case Moved():
            return moves.Rearrange(view.name, (source,), output, view.index)
        case _:
            return arrange.Reshape(view.name, (source,), output)
