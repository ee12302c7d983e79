"""How ONNX Runtime's default session, the one that a user gets, answers on this processor, beside the exact one."""

from __future__ import annotations

import numpy as np
import onnx

from niwaki.compress.loss import output_step
from niwaki.deploy.cause import STEPS, way_out
from niwaki.models.onnxsession import Mode, scores

IMAGES = 20  # half of them bright: those overflow first
SHARE = 0.01  # of the largest score, where scores are not int8


def default_is_wrong(data: bytes, shape: tuple[int, int, int]) -> str:
    """What is wrong with an int8 ONNX in the default session here, on made-up images (C, H, W), and the way out.

    Wrong is another class for an image, or a score that is more than STEPS int8 steps off, or where scores are not
    int8, SHARE of the largest. "" where nothing is.
    """
    inputs = np.random.default_rng(0).random((IMAGES, *shape), np.float32)
    inputs[IMAGES // 2 :] = 0.8 + 0.2 * inputs[IMAGES // 2 :]
    exact, default = _rows(data, inputs, "exact"), _rows(data, inputs, "default")
    others = int((exact.argmax(1) != default.argmax(1)).sum())
    off = float(np.abs(exact - default).max())
    step, softmax = output_step(onnx.load_from_string(data))
    if step is not None and not softmax:
        far, told = round(off / step) > STEPS, f"up to {off / step:.0f} int8 steps off"
    else:
        far, told = off > SHARE * float(np.abs(exact).max()), f"scores off by up to {off:.3g}"
    if not others and not far:
        return ""
    return f"another class for {others} of {IMAGES} made-up images, {told}; {way_out(data)}"


def _rows(data: bytes, inputs: np.ndarray, mode: Mode) -> np.ndarray:
    found = scores(data, inputs, batch=1, mode=mode)
    return found.reshape(len(inputs), -1).astype(np.float64)
