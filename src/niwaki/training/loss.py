"""Why int8 predicts other classes than float, determined from the scores of both."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

NEAR = 3  # int8 steps between two scores: rounding alone can swap closer ones
_SOFTMAX = ("Softmax", "LogSoftmax")
_LEAST = 1e-30  # a probability, so that it has a logarithm


def output_step(model: ModelProto) -> tuple[float | None, str]:
    """The size of one int8 step of the scores, None if they are not int8; and the softmax after them, if any."""
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
    """Scores (n, classes) before a softmax, float64, up to a constant in each row."""
    values = scores.reshape(len(scores), -1).astype(np.float64)
    return np.log(np.maximum(values, _LEAST)) if softmax == "Softmax" else values


def cause_of_loss(expected: np.ndarray, found: np.ndarray, step: float | None) -> str:
    """Why some classes of the int8 scores `found` differ from those of the float scores `expected`, both (n, classes).

    Rounding, if float has the two classes within NEAR int8 steps of each other for most of these images; otherwise
    calibration: int8 changed a score by more than rounding does. `step` is one int8 step of the scores.
    """
    rows = np.flatnonzero(expected.argmax(1) != found.argmax(1))
    if not len(rows):
        return ""
    gaps = expected[rows].max(1) - expected[rows, found[rows].argmax(1)]
    near = 0 if step is None else int((gaps <= NEAR * step).sum())
    if 2 * near > len(rows):
        return f"rounding: for {near} of these {len(rows)} images, float has the classes within {NEAR} int8 steps"
    return (
        f"calibration: for {len(rows) - near} of these {len(rows)} images, int8 moves a score by more than {NEAR} "
        "steps; try more images, or another calibration"
    )
