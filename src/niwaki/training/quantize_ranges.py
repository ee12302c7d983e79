"""Calibration: the range of every activation of a float ONNX model, from its values on images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import ModelProto

from niwaki.errors import ModelError
from niwaki.models.onnxsession import open_session
from niwaki.training.settings import QuantizeSettings

Range = tuple[float, float]

BINS = 2048  # bins of a histogram, as in published calibrations
LEVELS = 256  # levels of int8
_ALMOST_NONE = 1e-4  # smallest probability of a value: the method needs one that is not 0
CANDIDATES = 128  # thresholds that `entropy` compares, evenly spaced from LEVELS bins to all of them
VALUES_AT_ONCE = 1 << 24  # for all activations together: 64 MiB
_IMAGES_AT_ONCE = 100


def activation_ranges(model: ModelProto, inputs: np.ndarray, settings: QuantizeSettings) -> dict[str, Range]:
    """The range (lowest, highest) of each float activation of `model` on `inputs` (n, C, H, W), including the input.

    `minmax` takes the extremes; `percentile` leaves out (100 − percentile)/2 % of the values on each side; `entropy`
    cuts where the quantized histogram loses the least information (S. Migacz, "8-bit Inference with TensorRT", GTC
    2017). Both ignore zeros: int8 represents them exactly, and Relu makes many. The scores are never cut: two scores
    cut to the same value would be equal. Raises ModelError if an activation is NaN or infinite.
    """
    probe = _Probe(model, inputs)
    extremes = probe.extremes()
    if settings.calibration == "minmax":
        return extremes
    whole = {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in extremes.items()}
    histograms = probe.histograms({name: ends for name, ends in whole.items() if name not in probe.scores})
    if settings.calibration == "percentile":
        cut = {name: percentile_range(counts, whole[name], settings.percentile) for name, counts in histograms.items()}
    else:
        cut = {name: entropy_range(counts, whole[name]) for name, counts in histograms.items()}
    return {**extremes, **cut}


def percentile_range(counts: np.ndarray, whole: Range, percentile: float) -> Range:
    """The part of `whole` that holds `percentile` % of a histogram's `counts`, with as much left out below as above."""
    edges = np.linspace(*whole, len(counts) + 1)
    below = np.concatenate([[0], np.cumsum(counts)])  # how many lie below each edge
    outside = (100 - percentile) / 200 * below[-1]
    first = int(np.searchsorted(below, outside, side="right")) - 1
    last = int(np.searchsorted(below, below[-1] - outside, side="left"))
    return float(edges[first]), float(edges[last])


def entropy_range(counts: np.ndarray, whole: Range) -> Range:
    """The part of `whole`, cut at the same distance from zero on both sides, that int8 represents with least loss."""
    edges = np.linspace(*whole, len(counts) + 1)
    reach = max(-whole[0], whole[1])
    least, best = np.inf, whole
    for share in np.linspace(1, LEVELS / len(counts), CANDIDATES):  # the widest first: it wins a tie
        first = max(0, int(np.searchsorted(edges, -reach * share, side="right")) - 1)
        last = min(len(counts), int(np.searchsorted(edges, reach * share, side="left")))
        if last - first >= LEVELS and (loss := _divergence(counts, first, last)) < least:
            least, best = loss, (float(edges[first]), float(edges[last]))
    return best


def _divergence(counts: np.ndarray, first: int, last: int) -> float:
    """Kullback-Leibler divergence of bins [first, last), with outer ones added at the ends, from LEVELS equal parts."""
    inside = counts[first:last].astype(np.float64)
    reference = inside.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    filled = reference > 0
    level = np.arange(len(inside)) * LEVELS // len(inside)
    mean = np.bincount(level, inside, LEVELS) / np.maximum(1, np.bincount(level, filled, LEVELS))
    p, q = reference[filled], mean[level][filled]
    q[q == 0] = _ALMOST_NONE  # a level that contains only values from outside
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


class _Probe:
    """The model with every float activation as an output, and the images to run through it."""

    def __init__(self, model: ModelProto, inputs: np.ndarray) -> None:
        inferred = onnx.shape_inference.infer_shapes(model)
        self.input = inferred.graph.input[0].name
        self.most = inferred.graph.input[0].type.tensor_type.shape.dim[0].dim_value or _IMAGES_AT_ONCE
        self.scores = _scores(inferred)
        produced = {name for node in inferred.graph.node for name in node.output}
        known = [*inferred.graph.value_info, *inferred.graph.output]
        values = {value.name: value for value in known if value.name in produced and _is_float(value)}
        self.names = list(values)
        del inferred.graph.output[:]
        inferred.graph.output.extend(values.values())
        self.session = open_session(inferred.SerializeToString(), "plain")
        self.inputs = inputs

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """The activations by name, including the input, for some images at a time."""
        batch = 1
        start = 0
        while start < len(self.inputs):
            some = self.inputs[start : start + batch]
            found = dict(zip(self.names, self.session.run(self.names, {self.input: some}), strict=True))
            yield {self.input: some, **found}
            start += len(some)
            values = sum(value.size for value in found.values()) // len(some)
            batch = max(1, min(self.most, VALUES_AT_ONCE // max(1, values)))

    def extremes(self) -> dict[str, Range]:
        """The lowest and highest value of each activation."""
        found: dict[str, Range] = {}
        for activations in self.batches():
            for name, values in activations.items():
                low, high = found.get(name, (np.inf, -np.inf))
                found[name] = min(low, float(values.min())), max(high, float(values.max()))
                if not np.isfinite(found[name]).all():
                    raise ModelError(f"activation {name!r}: not finite on a calibration image: train the model again")
        return found

    def histograms(self, extremes: dict[str, Range]) -> dict[str, np.ndarray]:
        """How many nonzero values fall in each of BINS equal parts of an activation's range."""
        counts = {name: np.zeros(BINS, np.int64) for name, (low, high) in extremes.items() if low < high}
        for activations in self.batches():
            for name in counts:
                values = activations[name]
                counts[name] += np.histogram(values[values != 0], BINS, extremes[name])[0]
        return counts


_SAME_VALUES = ("Softmax", "LogSoftmax", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose")


def _scores(model: ModelProto) -> set[str]:
    """The model's output, and the tensors before it if only the shape changes or a softmax follows."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found = {output.name for output in model.graph.output}
    waiting = list(found)
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.op_type in _SAME_VALUES:
            found.add(node.input[0])
            waiting.append(node.input[0])
    return found


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT)
