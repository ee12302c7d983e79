"""Why int8 answers otherwise than float: found in the scores of both."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

NEAR = 3  # int8 steps between two scores: closer ones change places by rounding alone
_SOFTMAX = ("Softmax", "LogSoftmax")
_LEAST = 1e-30  # a probability, so that it has a logarithm


def output_step(model: ModelProto) -> tuple[float | None, str]:
    """What one int8 step of the scores is, None if they are not int8; and the softmax behind them, if any."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(model.graph.output[0].name)
    softmax = ""
    if node is not None and node.op_type in _SOFTMAX:
        softmax, node = node.op_type, makers.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear":
        return None, softmax
    scale = next((entry for entry in model.graph.initializer if entry.name == node.input[1]), None)
    return (None if scale is None else float(numpy_helper.to_array(scale).ravel()[0])), softmax


def logits_of(scores: np.ndarray, softmax: str) -> np.ndarray:
    """Scores (n, classes) as they were before a softmax, float64, but for a constant in each row."""
    values = scores.reshape(len(scores), -1).astype(np.float64)
    return np.log(np.maximum(values, _LEAST)) if softmax == "Softmax" else values


def cause_of_loss(expected: np.ndarray, found: np.ndarray, step: float | None) -> str:
    """Why some of the classes of int8 scores `found` are not those of float scores `expected`, both (n, classes).

    Rounding, if float had the two classes within NEAR int8 steps of each other for most of these images; else
    calibration: int8 moved a score further than rounding does. `step` is one int8 step of the scores.
    """
    rows = np.flatnonzero(expected.argmax(1) != found.argmax(1))
    if not len(rows):
        return ""
    gaps = expected[rows].max(1) - expected[rows, found[rows].argmax(1)]
    near = 0 if step is None else int((gaps <= NEAR * step).sum())
    if 2 * near > len(rows):
        return f"rounding: for {near} of these {len(rows)} images, float has the two classes within {NEAR} int8 steps"
    return (
        f"calibration: for {len(rows) - near} of these {len(rows)} images, int8 moves a score by more than {NEAR} "
        "steps; try more images, or another calibration"
    )
