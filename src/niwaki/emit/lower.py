"""From a graph of layers to steps on buffers: layouts, pooling fused into convolutions, memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from niwaki.codegen.graph.graph import Graph, Layer
from niwaki.codegen.graph.lowering import Lowering, Order, copy_fields, hwc, reshape_fields, usual_axes
from niwaki.codegen.graph.operators.table import operator_of
from niwaki.codegen.graph.program import INPUT, OUTPUT, Program, Step
from niwaki.emit.arena import apart, lives_of, share_in_place
from niwaki.emit.memory import check_plan, lifetimes_bytes, plan_arena
from niwaki.errors import ModelError

MAX_SIDE = 32767  # shapes are 16-bit numbers in the C


def lower(graph: Graph) -> Program:
    """The program of a graph.

    Raises ModelError naming the layer whose shape exceeds the C's 16-bit numbers.
    """
    plain = _steps(Lowering(graph, fuse=False, order_of=_order_of))
    lowering = Lowering(graph, fuse=True, order_of=_order_of)
    steps = _steps(lowering)
    sizes = lowering.sizes
    lives = share_in_place(steps, lives_of(steps, sizes))
    offsets, arena = plan_arena(apart(lives), last=INPUT)
    places = {name: offsets[root] for name, root in lives.roots.items()}
    check_plan(apart(lives), offsets)
    return Program(
        steps=tuple(steps),
        offsets=places,
        sizes={name: sizes[name] for name in places},
        arena_bytes=arena,
        arena_without_input=max(
            (places[name] + sizes[name] for name in places if name != INPUT or lowering.arrange_input),
            default=0,
        ),
        lifetimes_bytes=lifetimes_bytes(list(lives_of(plain, sizes).values())),
        arrange_input=lowering.arrange_input,
    )


def _order_of(layer: Layer) -> Order:
    return operator_of(layer).order


def _steps(lowering: Lowering) -> list[Step]:
    for layer in lowering.graph.layers:
        operator = operator_of(layer)
        if not operator.any_size:
            _check_sides(layer, lowering.graph)
        if layer.name not in lowering.done:
            _order(layer, operator.order, lowering)
            before = len(lowering.steps)
            operator.lower(layer, lowering)
            _check_windows(layer, lowering.steps[before:])
    return _into_output(lowering)


def _order(layer: Layer, order: Order, lowering: Lowering) -> None:
    """Have the inputs' bytes in the order that the layer's kernel needs."""
    if order == "same" and len({lowering.axes(name) for name in layer.inputs}) == 1:
        lowering.same_order(layer)
    elif order != "own":
        lowering.in_rows(layer)


def _check_sides(layer: Layer, graph: Graph) -> None:
    for name in (*layer.inputs, layer.output):
        if max(hwc(graph.tensors[name])) > MAX_SIDE:
            raise ModelError(f"{layer.name}: shape {graph.tensors[name].shape}: dimensions go up to {MAX_SIDE}")


def _check_windows(layer: Layer, steps: Sequence[Step]) -> None:
    """Sizes of kernels that move windows or add a border: a side may be several axes, strides may be of any size."""
    for step in steps:
        if not {"kernel_h", "top"} & step.fields.keys():
            continue
        for key, size in step.fields.items():
            if key.endswith(("_h", "_w", "_c", "channels")) and size > MAX_SIDE:
                raise ModelError(f"{layer.name}: {key} of its kernel would be {size}: sizes go up to {MAX_SIDE}")


def _into_output(lowering: Lowering) -> list[Step]:
    """Let the last step write to the caller's output, in the layout of the interface; add a copy if it cannot."""
    graph, last = lowering.graph, lowering.home[lowering.graph.output]
    tensor = graph.tensors[graph.output]
    written = [step for step in lowering.steps if step.output == last]
    read = any(last in step.inputs for step in lowering.steps)
    rank = len(tensor.shape)
    expected = usual_axes(tensor.shape) if graph.layout == "HWC" else tuple(range(rank))
    addresses = lowering.places(tensor.name).transpose(expected).reshape(-1)
    as_it_is = np.array_equal(addresses, np.arange(tensor.size))
    if as_it_is and written and not read:
        return [replace(step, output=OUTPUT) if step.output == last else step for step in lowering.steps]
    if not as_it_is and (graph.layout == "HWC" or lowering.axes(tensor.name) != usual_axes(tensor.shape)):
        return [*lowering.steps, Step("copy", "output", (last,), OUTPUT, copy_fields(addresses))]
    flat = replace(tensor, shape=(tensor.size,))
    copy = Step("reshape", "output", (last,), OUTPUT, reshape_fields(flat if as_it_is else tensor, flat))
    return [*lowering.steps, copy]
