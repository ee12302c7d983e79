"""What a network with other widths and bits costs as C, without training it: from its shapes, by the generator itself.

Every size in the integer graph of a network (a side of a tensor, of an array of weights, a number of groups) is a
constant plus a whole number times each width. So the graph is made once, and once more with one channel less in each
group; from these follow the sizes for any widths, and the generator is asked with made-up weights of the right bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from niwaki.codegen.graph.arithmetic import Rescale
from niwaki.codegen.graph.graph import Graph, Layer, Tensor
from niwaki.codegen.graph.operators.products import Conv, Dense
from niwaki.emit.generate import Footprint, generate, generate_within
from niwaki.errors import ModelError

Widths = Mapping[str, int]
Bits = Mapping[str, int]


@dataclass(frozen=True)
class Group:
    """Layers that lose channels together, named by the first; `width` channels, a multiple of `parts`."""

    name: str
    layers: tuple[str, ...]
    width: int
    parts: int = 1


@dataclass(frozen=True)
class Striped:
    """Layers run by stripes of rows, to keep to a limit of RAM; and the RAM that they need otherwise."""

    limit: int
    whole_ram: int


@dataclass(frozen=True)
class Cost:
    """What the C of a candidate needs, in bytes, and its multiply-accumulates."""

    constants: int
    ram: int
    macs: int
    layer_bytes: Mapping[str, int]
    """Of the constants, those of each layer."""
    stripes: Striped | None = None
    """Whether layers run by stripes of rows."""


class Blueprint:
    """A network whose widths and bits can still change.

    `graph_of` gives the integer graph of the network with such widths, by exporting and quantizing it with any weights.
    It is called for the whole network (no widths) and once for each group; `check`, which gives the same from the
    network itself, once at the end. Raises ModelError if the sizes do not follow from the widths in this way.
    """

    def __init__(
        self, groups: Sequence[Group], graph_of: Callable[[Widths], Graph], check: Callable[[Widths], Graph]
    ) -> None:
        self.groups = tuple(groups)
        self.whole = {group.name: group.width for group in groups}
        self._base = graph_of({})
        base = _sizes(self._base)
        self._slopes: dict[str, list[tuple[int, int]]] = {}
        cuttable = [group for group in groups if group.width > group.parts]
        for group in cuttable:
            less = _sizes(graph_of({group.name: group.width - group.parts}))
            if less.keys() != base.keys() or any(len(less[place]) != len(base[place]) for place in base):
                raise ModelError(f"{group.name}: the network has other layers with fewer channels: leave it whole")
            self._slopes[group.name] = [
                (one - other, group.parts)
                for place in base
                for one, other in zip(base[place], less[place], strict=True)
            ]
        half = {group.name: max(group.width // 2 // group.parts, 1) * group.parts for group in groups}
        if _sizes(check(half)) != _sizes(self.graph(half)):
            raise ModelError("the sizes of this network do not follow from its widths alone")

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The layers with weights, whose bits can change, in the order in which they run."""
        return tuple(layer.name for layer in self._base.layers if isinstance(layer, Conv | Dense))

    @property
    def depthwise(self) -> bool:
        """Whether a convolution works on groups of channels."""
        return any(isinstance(layer, Conv) and layer.groups > 1 for layer in self._base.layers)

    @property
    def smallest(self) -> dict[str, int]:
        """The fewest channels that every group can keep."""
        return {group.name: group.parts for group in self.groups}

    def graph(self, widths: Widths, bits: Bits | None = None) -> Graph:
        """The integer graph with these widths (all others whole) and bits (all others 8), with made-up weights."""
        flat = [size for place in _sizes(self._base).values() for size in place]
        for name, slopes in self._slopes.items():
            gone = self.whole[name] - widths.get(name, self.whole[name])
            if gone:
                flat = [size - slope * gone // step for size, (slope, step) in zip(flat, slopes, strict=True)]
        return _resized(self._base, iter(flat), bits or {})

    def footprint(self, widths: Widths, bits: Bits | None = None) -> Footprint:
        """What the C of such a network needs. Raises ModelError if no C can be written for it."""
        return generate(self.graph(widths, bits)).report

    def cost(self, widths: Widths, bits: Bits | None = None, ram_limit: int | None = None) -> Cost:
        """What the C of such a network needs, exactly."""
        return cost_of(self.graph(widths, bits), ram_limit)


def cost_of(graph: Graph, ram_limit: int | None) -> Cost:
    """Constants and RAM of the C of a graph, exactly, and its multiply-accumulates.

    With a limit of RAM, some layers run by stripes of rows if that is what it takes.
    """
    made = generate_within(graph, ram_limit)
    found, stripes = made.report, None
    if ram_limit is not None and made.program.stripes:
        stripes = Striped(ram_limit, generate(graph).report.ram_bytes)
    return Cost(found.constant_bytes, found.ram_bytes, _macs(graph), found.layer_bytes, stripes)


def _macs(graph: Graph) -> int:
    total = 0
    for layer in graph.layers:
        if isinstance(layer, Conv | Dense):
            places = int(np.prod(graph.tensors[layer.output].shape[1:])) if isinstance(layer, Conv) else 1
            total += layer.weights.size * places
    return total


def _sizes(graph: Graph) -> dict[str, list[int]]:
    """Every size in a graph, by the tensor or the layer's field where it is."""
    found = {f"tensor {name}": list(tensor.shape) for name, tensor in graph.tensors.items()}
    for layer in graph.layers:
        for name, value in vars(layer).items():
            found[f"{type(layer).__name__} {layer.name} {name}"] = list(_sizes_in(value))
    return found


def _sizes_in(value: Any) -> Iterator[int]:
    if isinstance(value, np.ndarray):
        yield from value.shape
    elif isinstance(value, Rescale):
        yield from (*value.multiplier.shape, *value.shift.shape)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _resized(base: Graph, sizes: Iterator[int], bits: Bits) -> Graph:
    """The graph with other sizes, taken in the order of `_sizes`, and weights that need so many bits."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in base.tensors.items():
        tensors[name] = replace(tensor, shape=tuple(next(sizes) for _ in tensor.shape))
    layers: list[Layer] = []
    for layer in base.layers:
        fields = {name: _value(value, sizes, bits.get(layer.name, 8)) for name, value in vars(layer).items()}
        layers.append(type(layer)(**fields))
    return replace(base, tensors=tensors, layers=tuple(layers))


def _value(value: Any, sizes: Iterator[int], bits: int) -> Any:
    if isinstance(value, np.ndarray):
        return _filled(tuple(next(sizes) for _ in value.shape), value, bits)
    if isinstance(value, Rescale):
        multiplier, shift = ([next(sizes) for _ in array.shape] for array in (value.multiplier, value.shift))
        return Rescale(
            _filled(tuple(multiplier), value.multiplier, 8), _filled(tuple(shift), value.shift, 8), value.twice
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return next(sizes)
    return value


def _filled(shape: tuple[int, ...], like: np.ndarray, bits: int) -> np.ndarray:
    """An array of that shape with values like those of another; int8 ones need all of these bits."""
    if like.dtype != np.int8:
        return np.resize(like, shape)
    array = np.random.default_rng(0).integers(-(1 << bits - 1) + 1, 1 << bits - 1, shape, np.int8, endpoint=False)
    if array.size:
        array.flat[0] = (1 << bits - 1) - 1
    return array
