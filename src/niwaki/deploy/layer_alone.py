"""Each layer of an int8 ONNX by itself, on ONNX Runtime's own inputs: whether it gives the reference's values.

A deep network can make many steps of a score from one step of one activation, and float rounds a value that is almost
halfway between two steps either way. So a score far off proves no fault, and a score close by proves no network: layers
do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import onnx

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.arithmetic import HIGH, LOW
from niwaki.codegen.graph.graph import Graph, Layer
from niwaki.codegen.graph.ties import layer_with_ties
from niwaki.models.onnxsession import open_session

STRAY = 1000  # one value in so many of a channel, and one more, may be a step off without a tie: sums that cancel


@dataclass(frozen=True)
class Alone:
    """All layers together, each by itself."""

    off: int = 0
    """Values that are one step off."""
    values: int = 0
    """Values that were compared."""
    steps: int = 1
    """The largest deviation that was found, or 1."""
    fault: str = ""
    """The layer that deviates most, and how; "" if none is off by more than the rounding of near ties."""


def layers_alone(data: bytes, graph: Graph, table: np.ndarray, images: np.ndarray) -> Alone:
    """Compare every layer of `graph` with an int8 ONNX, `data`, that runs each node as written.

    `images` are uint8 (n, C, H, W), `table` the input of each raw pixel, float32 (C, 256). A layer whose values have no
    name in the file counts as part of the next one.
    """
    given, found, entry = _activations(data, graph, table, images), Alone(), graph.tensors[graph.input]
    if graph.input not in given:  # the network scales pixels itself
        pixels = np.clip(np.rint(table / np.float64(entry.scale)) + entry.zero_point, LOW, HIGH).astype(np.int8)
        given[graph.input] = np.stack([values[images[:, channel]] for channel, values in enumerate(pixels)], axis=1)
    for layer in graph.layers:
        inputs = [given[name] for name in layer.inputs]
        ours = reference.run_layer(layer, inputs, graph.tensors)
        ours = np.broadcast_to(ours, (len(images), *ours.shape[1:]))  # a constant is one for all
        theirs = given.setdefault(layer.output, ours).astype(np.int16)
        gaps = np.abs(ours - theirs)
        stray = _not_near_ties(layer, inputs, theirs, graph) if gaps.any() else gaps > 0
        found = _with_layer(found, layer.name, gaps, stray)
    return found


def _not_near_ties(layer: Layer, inputs: list[np.ndarray], theirs: np.ndarray, graph: Graph) -> np.ndarray:
    """Where a layer's values are not those of the reference, whichever way near ties go.

    Nowhere in a layer without sums, such as a table: it is one step off at most.
    """
    late, early = (layer_with_ties(layer, ties) for ties in ("late", "early"))
    if all(getattr(layer, field.name) is getattr(early, field.name) for field in fields(layer)):
        return np.zeros(theirs.shape, bool)
    low, high = (reference.run_layer(one, inputs, graph.tensors) for one in (late, early))
    outside: np.ndarray = (theirs < low) | (theirs > high)
    return outside


def _with_layer(found: Alone, name: str, gaps: np.ndarray, stray: np.ndarray) -> Alone:
    """With the deviations of one layer more, (n, channels, …), and where they are no near ties."""
    found = replace(found, off=found.off + int((gaps > 0).sum()), values=found.values + gaps.size)
    most = int(gaps.max(initial=0))
    if most > found.steps:
        return replace(found, steps=most, fault=f"layer {name!r}: by itself {most} int8 steps off")
    channels = stray.reshape(*stray.shape[:2], -1).sum((0, 2))
    each = gaps.size // max(len(channels), 1)
    if not found.fault and channels.max(initial=0) > 1 + each // STRAY:
        told = f"by itself 1 int8 step off for {channels.max():,} of {each:,} values of channel {channels.argmax()}"
        return replace(found, fault=f"layer {name!r}: {told}")
    return found


def _activations(data: bytes, graph: Graph, table: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """The int8 activations in ONNX Runtime, each node by itself, by the graph's names: int8 (n, *shape)."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
    source, tensors = model.graph.input[0].name, graph.tensors
    named = {
        node.output[0]: graph.input if node.input[0] == source else node.output[0]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    known = [value for value in model.graph.value_info if named.get(value.name) in tensors]
    model.graph.output.extend(known)
    session = open_session(model.SerializeToString(), "plain")
    inputs = np.stack([values[images[:, channel]] for channel, values in enumerate(table)], axis=1)
    fixed = session.get_inputs()[0].shape[0]
    times = fixed if isinstance(fixed, int) else 1
    fed = (np.repeat(inputs[n : n + 1], times, axis=0) for n in range(len(inputs)))
    rows = [session.run([value.name for value in known], {source: image}) for image in fed]
    found = {}
    for number, value in enumerate(known):
        activations = np.concatenate([row[number][:1] for row in rows])
        if activations.dtype == np.uint8:
            activations = (activations.astype(np.int16) - 128).astype(np.int8)
        tensor = tensors[named[value.name]]
        if activations.size == len(images) * tensor.size:  # otherwise the graph has it before some elements are taken
            found[tensor.name] = activations.reshape(len(images), *tensor.shape)
    return found
