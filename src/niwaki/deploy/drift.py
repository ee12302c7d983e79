"""How ONNX Runtime's default session, the one that users get, differs on this processor from the exact one."""

from __future__ import annotations

import numpy as np
import onnx

from niwaki.deploy.cause import STEPS, way_out
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.models.onnxsession import Mode, scores
from niwaki.training.loss import output_step

IMAGES = 20  # half of them bright: those overflow first
SHARE = 0.01  # of the largest score, if scores are not int8


def default_is_wrong(data: bytes, shape: tuple[int, int, int]) -> str:
    """What is wrong with an int8 ONNX in the default session here, on made-up images (C, H, W), and what to do.

    Wrong means another class for an image, or a score that is off by more than STEPS int8 steps (SHARE of the largest
    if scores are not int8). "" if nothing is wrong.
    """
    inputs = np.random.default_rng(0).random((IMAGES, *shape), np.float32)
    inputs[IMAGES // 2 :] = 0.8 + 0.2 * inputs[IMAGES // 2 :]
    told = _told(data, _rows(data, inputs, "exact"), _rows(data, inputs, "default"))
    return f"another class for {told[0]} of {IMAGES} made-up images, {told[1]}; {way_out(data)}" if told else ""


def dynamic_is_wrong(data: bytes, table: np.ndarray, images: np.ndarray, exact: np.ndarray) -> str:
    """How the default session's scores for uint8 images differ here from the exact ones (n, classes); "" if not."""
    default = onnxruntime_predictor(data, table, mode="default")(images).reshape(exact.shape)
    told = _told(data, exact.astype(np.float64), default.astype(np.float64))
    if not told:
        return ""
    cause = "saturation: without VNNI, x86 processors add pairs of products in 16 bits"
    return f"another class for {told[0]} of {len(images)} images, {told[1]}; likely cause: {cause}"


def _told(data: bytes, exact: np.ndarray, default: np.ndarray) -> tuple[int, str] | None:
    """How many inputs get another class, and how far scores are off; None if rounding explains it."""
    others = int((exact.argmax(1) != default.argmax(1)).sum())
    off = float(np.abs(exact - default).max())
    step, softmax = output_step(onnx.load_from_string(data))
    if step is not None and not softmax:
        far, told = round(off / step) > STEPS, f"up to {off / step:.0f} int8 steps off"
    else:
        far, told = off > SHARE * float(np.abs(exact).max()), f"scores off by up to {off:.3g}"
    return (others, told) if others or far else None


def _rows(data: bytes, inputs: np.ndarray, mode: Mode) -> np.ndarray:
    found = scores(data, inputs, batch=1, mode=mode)
    return found.reshape(len(inputs), -1).astype(np.float64)
