"""Why ONNX Runtime's int8 differs from the integer reference: determined by running it in other ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnxruntime import InferenceSession

from niwaki.codegen.graph.graph import Graph
from niwaki.deploy.layer_alone import layers_alone
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.models.onnxsession import Mode, Way, exact_way, open_session
from niwaki.training.loss import logits_of, output_step

_TRIED = 20  # images used to look for a cause
_MADE_UP = 10  # inputs of each kind to compare sessions on: from 0 to 1, and around 0
_SHARE = 0.05  # of the largest score: what rounding may add up to, if scores are not int8
_TOLD = -10.0  # of a logit below the highest: after a softmax, smaller ones are lost
STEPS = 3  # int8 steps of a score that rounding in float instead of integers may add up to


@dataclass(frozen=True, eq=False)
class Int8File:
    """An int8 ONNX model that is an integer network, and the input that it gets for each pixel: float32 (C, 256)."""

    data: bytes
    graph: Graph
    table: np.ndarray

    @property
    def has_steps(self) -> bool:
        """Whether its scores can be expressed in int8 steps: not if the probabilities themselves are int8."""
        return not self.graph.dropped or bool(self._softmax)

    @property
    def _softmax(self) -> str:
        return output_step(onnx.load_from_string(self.data))[1]

    def in_steps(self, scores: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """ONNX Runtime's scores (n, classes) in int8 steps, float64, to compare with int8 `expected`.

        After a softmax they are known up to a constant in each row, which is taken from `expected`; if a probability is
        too small to measure, its score is too.
        """
        end = self.graph.tensors[self.graph.output]
        expected = expected.reshape(len(expected), -1).astype(np.float64)
        if not self.graph.dropped:
            found: np.ndarray = np.rint(scores.reshape(expected.shape) / np.float64(end.scale)) + end.zero_point
            return found
        logits = logits_of(scores, self._softmax)
        steps = logits / end.scale
        steps += np.median(expected - steps, axis=1, keepdims=True)
        return np.where(logits < np.log(1e-25), expected, np.rint(steps))

    def run(self, mode: Mode, images: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """ONNX Runtime's scores for uint8 images in a session, in int8 steps as in `in_steps`."""
        return self.in_steps(onnxruntime_predictor(self.data, self.table, mode=mode)(images), expected)

    def off(self, mode: Mode, images: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
        """The largest deviation of a session's scores from `expected` in steps, and how many images change class."""
        found = self.run(mode, images, expected)
        return furthest(found, expected), int((found.argmax(1) != expected.reshape(len(expected), -1).argmax(1)).sum())


def worst_images(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The numbers of the images whose scores, both (n, classes) in int8 steps, differ most, at most 20."""
    apart = np.abs(found - expected.reshape(found.shape).astype(np.float64)).max(axis=1)
    return np.argsort(-apart, kind="stable")[:_TRIED]


def furthest(found: np.ndarray, expected: np.ndarray) -> int:
    """The largest difference between two scores, in int8 steps."""
    return int(np.abs(found - expected.reshape(found.shape).astype(np.float64)).max(initial=0.0))


def likely_cause(file: Int8File, images: np.ndarray, expected: np.ndarray, limit: int = STEPS) -> str:
    """Why the exact session's scores of `images`, uint8 (n, C, H, W), differ from int8 `expected` by more than `limit`.

    It is the runtime, if the scores are within the limit when each node runs by itself; otherwise it tests the layers
    one by one, each on ONNX Runtime's own inputs: rounding, if none is off by more than a step, or that layer.
    """
    exact, _ = file.off("exact", images, expected)
    plain, others = file.off("plain", images, expected)
    if plain <= limit and not others:
        return (
            f"the runtime: with optimization off, scores are at most {plain} int8 {_steps(plain)} off, with it {exact}"
        )
    alone = layers_alone(file.data, file.graph, file.table, images)
    if alone.fault:
        return f"{alone.fault}, with optimization off"
    return "rounding: no layer by itself is more than 1 int8 step off, but these steps add up"


def rounding_alone(file: Int8File, images: np.ndarray, expected: np.ndarray, steps: int) -> str:
    """Why scores of `images` that are `steps` int8 steps from `expected` in the exact session are no fault of the file.

    They are none if each layer by itself, on ONNX Runtime's own inputs, gives the reference's values up to the rounding
    of near ties in float. "" if one does not: then the file is another network than the reference.
    """
    alone = layers_alone(file.data, file.graph, file.table, images)
    if alone.fault:
        return ""
    plain, _ = file.off("plain", images, expected)
    told = (
        f"scores are up to {steps} int8 steps off, but each layer by itself gives the reference's values: of "
        f"{alone.values:,} values {alone.off:,} are 1 step off, near ties that float rounds the other way"
    )
    return f"{told}; with optimization off, scores are at most {plain} {_steps(plain)} off"


def saturation(file: Int8File, images: np.ndarray, expected: np.ndarray, limit: int = STEPS) -> str:
    """What the default session does wrong on this processor if the exact one is right; "" if it is right too."""
    exact, _ = file.off("exact", images, expected)
    default, others = file.off("default", images, expected)
    if exact > limit or (default <= limit and not others):
        return ""
    told = f"another class for {others} of {len(images)} images, up to {default} int8 {_steps(default)} off"
    if _advice(file.data)[1]:
        return f"{told}; likely cause: the runtime, which fuses nodes of this file into a different network"
    return f"{told}; likely cause: saturation: without VNNI, x86 processors add pairs of products in 16 bits"


def way_out(data: bytes) -> str:
    """What you have to do when you run this int8 ONNX in ONNX Runtime, in a sentence."""
    way, fused_wrongly = _advice(data)
    told = "in ONNX Runtime, x86 processors without VNNI saturate sums of this file and may predict wrong classes"
    if fused_wrongly:
        told = "ONNX Runtime fuses nodes of this file into a different network"
    if way is None:
        return f"{told}; no session option helps, because two nodes read the same weight: deploy another form there"
    return f"{told}: set the session option {way.named}{'' if fused_wrongly else ' there'}"


def _advice(data: bytes) -> tuple[Way | None, bool]:
    """The first option set whose results equal those of the nodes run one by one; and whether a faster one differs.

    They are tried on made-up inputs: a few are enough to tell two networks apart.
    """
    exact = open_session(data)
    judged: list[bool] = []

    def cured(session: InferenceSession) -> bool:
        judged.append(_alike(data, session, exact))
        return judged[-1]

    return exact_way(data, cured), not all(judged)


def _alike(data: bytes, session: InferenceSession, exact: InferenceSession) -> bool:
    """Whether two sessions of an ONNX model agree up to rounding; assumed if it does not take images."""
    entry = exact.get_inputs()[0]
    batch, *sides = entry.shape
    if entry.type != "tensor(float)" or len(exact.get_inputs()) > 1 or not all(isinstance(side, int) for side in sides):
        return True
    rng, shape = np.random.default_rng(0), (batch if isinstance(batch, int) else 1, *sides)
    inputs = [*rng.random((_MADE_UP, *shape), np.float32), *rng.standard_normal((_MADE_UP, *shape), np.float32)]
    step, softmax = output_step(onnx.load_from_string(data))
    rows = [_answers(one, inputs, softmax) for one in (session, exact)]
    limit = STEPS * step if step is not None else _SHARE * float(np.abs(rows[1]).max(initial=0.0))
    return bool(np.abs(rows[0] - rows[1]).max(initial=0.0) <= 1.1 * limit)


def _answers(session: InferenceSession, inputs: Sequence[np.ndarray], softmax: str) -> np.ndarray:
    """The scores of all inputs; after a softmax those before it, as far below the highest as can be measured."""
    scores = np.concatenate([session.run(None, {session.get_inputs()[0].name: image})[0] for image in inputs])
    logits = logits_of(scores, softmax)
    return np.maximum(logits - logits.max(1, keepdims=True), _TOLD) if softmax else logits


def _steps(count: int) -> str:
    return "step" if count == 1 else "steps"
