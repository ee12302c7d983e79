"""ONNX Runtime where a result depends on it (checks, calibration): one thread, so that sums are the same anywhere."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnxruntime

from niwaki.errors import ModelError
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsize import check_runnable, images_at_once

_ERRORS_ONLY = 3  # its log level


def open_session(data: bytes, *, optimized: bool = True) -> onnxruntime.InferenceSession:
    """A session on the CPU; not `optimized`, each node runs as it stands, so that every tensor can be looked at.

    Raises ModelError if ONNX Runtime does not take the bytes, or would need more memory than a file may take.
    """
    check_runnable(load_onnx(data), "the ONNX")  # ONNX Runtime computes constants as soon as it opens a file
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(f"ONNX Runtime does not take the ONNX: {reason}") from error


def scores(data: bytes, inputs: np.ndarray, batch: int = 100) -> np.ndarray:
    """The first output of an ONNX for float32 `inputs` (n, C, H, W), some at a time: float32 (n, …)."""
    session = open_session(data)
    batch = images_at_once(check_runnable(load_onnx(data), "the ONNX"), batch)
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    starts = range(0, len(inputs), batch)
    return np.concatenate([session.run([output], {name: inputs[start : start + batch]})[0] for start in starts])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters and quantizers print, log and warn of (their own deprecations, hints) off the screen."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
