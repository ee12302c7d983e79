"""ONNX Runtime on the CPU in one thread, so that sums are the same everywhere; exact if a result depends on it.

Its default int8 kernels for x86 multiply u8 by s8 and add pairs of products in 16 bits, which saturates on processors
without VNNI. Sometimes it also fuses QDQ groups into integer kernels that compute something else. What is decided or
recorded must not depend on either, so it uses an exact session, which runs each node as written.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnxruntime

from niwaki.errors import ModelError, first_line
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsize import check_runnable, images_at_once
from niwaki.models.unsigned import with_unsigned_weights

Mode = Literal["exact", "default", "plain"]
"""exact: int8 as ONNX defines it, on every processor. default: as a user gets it. plain: each node as written."""

PRECISE, NO_INTEGERS = "session.x64quantprecision", "session.disable_quant_qdq"
_ERRORS_ONLY, _NOTHING = 3, 4  # ONNX Runtime's log levels; the second is for sessions that may be refused


@dataclass(frozen=True)
class Way:
    """A set of options that makes ONNX Runtime exact; each set works for different graphs."""

    named: str
    """What you have to set when you deploy the file."""
    entries: tuple[str, ...] = ()
    optimized: bool = True


WAYS = (
    Way(f"{PRECISE} = 1", (PRECISE,)),
    Way(f"{NO_INTEGERS} = 1", (NO_INTEGERS,)),
    Way("graph_optimization_level = ORT_DISABLE_ALL", optimized=False),
)
"""Fastest first. The first refuses graphs in which two nodes share a weight or a zero point ("Attempt to replace the
existing tensor"); the others compute a QDQ graph in float, from its int8 numbers."""
_BOTH = Way(f"{PRECISE} = 1 and {NO_INTEGERS} = 1", (PRECISE, NO_INTEGERS))
_DEFAULT, _PLAIN = Way(""), WAYS[-1]


def open_session(data: bytes, mode: Mode = "exact") -> onnxruntime.InferenceSession:
    """A session on the CPU.

    Raises ModelError if ONNX Runtime refuses the bytes, or would need more memory than a file may use.
    """
    check_runnable(load_onnx(data), "the ONNX")  # ONNX Runtime computes constants as soon as it opens a file
    if mode == "exact":
        return _exact(data)
    try:
        return _session(data, _DEFAULT if mode == "default" else _PLAIN)
    except Exception as error:  # its errors have no common class
        raise _refused(error) from error


def exact_way(data: bytes, cured: Callable[[onnxruntime.InferenceSession], bool] = lambda _session: True) -> Way | None:
    """The first option set that ONNX Runtime accepts this file with, unchanged, and whose session is `cured`; None if
    none is.

    Raises ModelError as `open_session` does.
    """
    check_runnable(load_onnx(data), "the ONNX")
    integers = with_unsigned_weights(data) != data  # integer operators saturate in all but the precise option sets
    for way in (WAYS[0], _BOTH) if integers else WAYS:
        try:
            session = _session(data, way, _NOTHING)
        except Exception:  # its errors have no common class
            continue
        if cured(session):
            return way
    open_session(data)  # raises the reason if no option set works
    return None


def scores(data: bytes, inputs: np.ndarray, batch: int = 100, mode: Mode = "exact") -> np.ndarray:
    """The first output of an ONNX model for float32 `inputs` (n, C, H, W), run in batches: float32 (n, …)."""
    session = open_session(data, mode)
    entry, output = session.get_inputs()[0], session.get_outputs()[0].name
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else batch
    batch = min(fixed, images_at_once(check_runnable(load_onnx(data), "the ONNX"), batch))
    starts = range(0, len(inputs), batch)
    return np.concatenate([session.run([output], {entry.name: inputs[start : start + batch]})[0] for start in starts])


def _exact(data: bytes) -> onnxruntime.InferenceSession:
    try:
        return _session(data, _BOTH, _NOTHING)
    except Exception as error:
        reason = error
    unsigned = with_unsigned_weights(data)  # the other option sets leave integer operators as they are
    for way in WAYS[1:]:
        try:
            return _session(unsigned, way, _NOTHING)
        except Exception as error:
            reason = error
    raise _refused(reason) from reason


def _session(data: bytes, way: Way, log_level: int = _ERRORS_ONLY) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = log_level
    for entry in way.entries:
        options.add_session_config_entry(entry, "1")
    if not way.optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _refused(error: Exception) -> ModelError:
    return ModelError(f"ONNX Runtime rejects the model: {first_line(error)}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters and quantizers print, log and warn about (deprecations, hints) off the screen."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
