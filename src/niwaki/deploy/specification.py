"""Another tool's int8 ONNX as it stands, each node by itself: what the integers that niwaki made of it must equal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.arithmetic import HIGH, LOW
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.ties import with_ties
from niwaki.deploy.cause import Int8File
from niwaki.deploy.exported import Export
from niwaki.deploy.formats import FILE, INT8
from niwaki.deploy.origin import Origin
from niwaki.deploy.runners import Subject, inputs_of, table_of
from niwaki.errors import ModelError
from niwaki.foreign.ends import before_softmax, with_output, with_plain_ends
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import open_session


def specification(origin: Origin, export: Export) -> Subject:
    """The file that an export was made from, its scores in int8 steps of the export's: before an ArgMax or Softmax."""
    subject = Subject(FILE, f"each node as it stands, ONNX Runtime {onnxruntime.__version__}", even=True)
    table = table_of(export, INT8)
    if export.graph is None or table is None:
        return Subject(FILE, subject.how, reason=export.no_graph or "no file says how pixels become its input")
    model = with_plain_ends(load_onnx(origin.given or origin.data, origin.name))
    scores = before_softmax(model)
    data = (model if scores is None else with_output(model, scores)).SerializeToString()
    try:
        session = open_session(data, "plain")
    except ModelError as error:
        return Subject(FILE, subject.how, reason=str(error))
    run = partial(_run, session, export.graph, table, origin.ending is None)
    alone = None if origin.given else Int8File(origin.data, export.graph, table)  # another one says nothing about it
    return Subject(FILE, subject.how, run=run, alone=alone, even=True)


def _run(
    session: onnxruntime.InferenceSession, graph: Graph, table: np.ndarray, whole: bool, pixels: np.ndarray
) -> np.ndarray:
    """Scores of raw pixels in steps, float64 (n, classes); `whole`: they are int8 in the file."""
    entry, end = session.get_inputs()[0], graph.tensors[graph.output]
    if entry.type == "tensor(float)":
        fed = np.stack([table[channel][pixels[:, channel]] for channel in range(pixels.shape[1])], axis=1)
    else:
        bytes_in = inputs_of(graph, pixels)
        fed = bytes_in if entry.type == "tensor(int8)" else (bytes_in.astype(np.int16) + 128).astype(np.uint8)
    sides = [side for side in entry.shape[1:] if isinstance(side, int)]
    fed = fed.reshape(-1, *sides) if len(sides) == len(entry.shape) - 1 else fed
    size = 1 if entry.shape[0] == 1 else len(fed)
    found = [session.run(None, {entry.name: fed[at : at + size]})[0] for at in range(0, len(fed), size)]
    scores = np.concatenate(found).reshape(len(pixels), -1)
    if scores.dtype.kind in "iu":
        return scores.astype(np.float64) - (128 if scores.dtype == np.uint8 else 0)
    steps = scores / np.float64(end.scale) + end.zero_point
    return np.rint(steps) if whole else np.clip(steps, LOW, HIGH)


@dataclass(frozen=True)
class Difference:
    """What scores that were rounded by another rule differ in, and why."""

    fault: int | None
    """The number of the first image whose difference neither rounding nor ties explain."""
    said: str
    """The differences that are none, in words; empty if there are none."""


def explained(graph: Graph, pixels: np.ndarray, steps: int, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Tell ties from faults: `ours` are a runtime's scores in steps, `theirs` the reference's, both (n, classes).

    Another class is a near tie if the runtime has both within `steps` steps, which rounding alone can swap. A larger
    difference comes from ties if the reference has it no more once it rounds halves to even, as ONNX Runtime does.
    """
    theirs = theirs.reshape(ours.shape).astype(np.float64)
    rows = np.arange(len(ours))
    other = np.flatnonzero(ours.argmax(1) != theirs.argmax(1))
    gaps = ours.max(1) - ours[rows, theirs.argmax(1)]
    near = [index for index in other if gaps[index] <= steps]
    apart = np.abs(ours - theirs).max(1)
    odd = sorted({*np.flatnonzero(apart > steps).tolist(), *(set(other.tolist()) - set(near))})
    said = []
    if near:
        said.append(f"another class for {len(near)} of {len(ours)} images, each a near tie (within {steps} steps)")
    if odd:
        again = reference.run(with_ties(graph, "even"), inputs_of(graph, pixels[odd])).reshape(len(odd), -1)
        off = np.abs(again - ours[odd]).max(1)
        if off.max() > 1:
            return Difference(odd[int(np.flatnonzero(off > 1)[0])], "")
        said.append(
            f"up to {apart.max():.0f} steps for {len(odd)} images come from ties: with halves rounded to even, as ONNX "
            "Runtime rounds, they are gone"
        )
    return Difference(None, "; ".join(said))
