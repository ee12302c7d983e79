"""What other tools' int8 files have that niwaki's own do not: one small graph for each habit, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from qdq_models import Qdq

IMAGE = (2, 6, 6)
CLASSES = 4


@dataclass(frozen=True)
class Habit:
    """A way to write an int8 network."""

    tools: str
    """Whose files have it."""
    found: str
    """What is in them."""
    made: str
    """What niwaki makes of it."""
    build: Callable[[], ModelProto]


def drawn(*shape: int, low: int = -127, high: int = 128, dtype: type = np.int8, seed: int = 0) -> np.ndarray:
    """Random integers."""
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def network(zero_point: int = -128, dtype: type = np.int8) -> tuple[Qdq, str]:
    """A network whose image, x/255, is quantized."""
    model = Qdq(IMAGE, opset=17)
    return model, model.qdq("x", 1 / 255, zero_point, dtype)


def ended(model: Qdq, x: str, channels: int, *, quantized: bool = True) -> str:
    """The mean of each channel and a matrix product; `x` has a scale of 0.0311941."""
    mean = model.qdq(model.node("GlobalAveragePool", [x]), 0.0207381, -100)
    flat = model.node("Flatten", [mean])
    weights = model.dq(model.constant(drawn(CLASSES, channels)), 0.0103127, axis=0)
    scores = model.node("Gemm", [flat, weights], transB=1, name="last")
    return model.qdq(scores, 0.0719253, 5) if quantized else scores


def unsigned_weights() -> ModelProto:
    model, x = network(0, np.uint8)
    weights = model.dq(model.constant(drawn(6, 2, 3, 3, low=0, high=256, dtype=np.uint8)), 0.00413279, 150, np.uint8)
    y = model.qdq(model.node("Conv", [x, weights], name="first"), 0.0311941, 120, np.uint8)
    depthwise = model.dq(model.constant(drawn(6, 1, 3, 3, low=0, high=256, dtype=np.uint8)), 0.00413279, 99, np.uint8)
    y = model.qdq(model.node("Conv", [y, depthwise], group=6, name="depthwise"), 0.0311941, 128, np.uint8)
    mean = model.qdq(model.node("GlobalAveragePool", [y]), 0.0207381, 128, np.uint8)
    last = model.dq(model.constant(drawn(CLASSES, 6, low=0, high=256, dtype=np.uint8)), 0.0103127, 0, np.uint8)
    y = model.node("Gemm", [model.node("Flatten", [mean]), last], transB=1, name="last")
    return model.build(model.qdq(y, 0.0719253, 120, np.uint8))


def scales_for_channels() -> ModelProto:
    model, x = network()
    scales = np.array([0.01117, 0.02089, 0.00413, 0.03021, 0.00167, 0.00913])
    y = model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first")
    y = model.node("Clip", [y, model.constant(np.float32(0)), model.constant(np.float32(9))])
    y = model.dq(model.q(y, scales, -128, axis=1), scales, -128, axis=1)
    weights = model.weights(drawn(12, 1, 3, 3), np.linspace(0.00413279, 0.0207381, 12))
    y = model.qdq(model.node("Conv", [y, weights], group=6, name="depthwise"), 0.0311941, -90)
    return model.build(ended(model, y, 12))


def factor_after_the_mean() -> ModelProto:
    model, x = network()
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    mean = model.node("Mul", [model.node("GlobalAveragePool", [y]), model.constant(np.float32(1.01))], name="factor")
    flat = model.node("Flatten", [model.qdq(mean, 0.0207381, -100)])
    y = model.node("Gemm", [flat, model.weights(drawn(CLASSES, 6), 0.0103127)], transB=1, name="last")
    return model.build(model.qdq(y, 0.0719253, 5))


HABITS: dict[str, Habit] = {
    "unsigned weights": Habit(
        "ONNX Runtime (u8u8), QNN, esp-ppq (PPL_DSP)", "uint8 weights with a zero point",
        "exact: weights beyond int8 become a sum of two, over a doubled input", unsigned_weights,
    ),
    "scales for channels": Habit(
        "NNCF", "a scale for each channel before a depthwise convolution", "exact", scales_for_channels,
    ),
    "factor after the mean": Habit(
        "AMD Quark (XINT8)", "a factor after GlobalAveragePool", "exact: part of the mean's own", factor_after_the_mean
    ),
}  # fmt: skip
