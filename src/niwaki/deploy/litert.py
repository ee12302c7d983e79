"""LiteRT, the runtime of TensorFlow Lite files: its reference kernels for their bits, its fast ones for their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from niwaki.codegen.graph.graph import Graph
from niwaki.errors import ModelError, ToolMissing, first_line
from niwaki.foreign.tflite_file import TfliteFile, read_tflite_file
from niwaki.measure.accuracy import Predict
from niwaki.measure.latency import Call

MISSING = "no ai-edge-litert on this machine: pip install 'niwaki[litert]'"
_AFTER_SCORES = ("SOFTMAX", "DEQUANTIZE")


def litert_version() -> str:
    """The version of LiteRT. Raises ToolMissing if it is not installed."""
    try:
        import ai_edge_litert
    except ImportError as error:
        raise ToolMissing(MISSING) from error
    return str(ai_edge_litert.__version__)


def reference_kernels(data: bytes, graph: Graph) -> Predict:
    """The function from int8 inputs (n, C, H, W) or (n, N) of a network to its scores, int8 (n, size), by the reference
    kernels: what they give before a last SOFTMAX or DEQUANTIZE.

    `graph` is that of the TensorFlow Lite file `data`. Raises ToolMissing if there is no LiteRT, ModelError if LiteRT
    refuses the file.
    """
    model = _interpreter(data, reference=True)
    file = read_tflite_file(data)
    source, scores = model.get_input_details()[0], _scores(file)
    start, target = graph.tensors[graph.input], graph.tensors[graph.output]

    def predict(images: np.ndarray) -> np.ndarray:
        rows = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
        given = _given(np.ascontiguousarray(rows), source["dtype"], start.scale, start.zero_point)
        found = []
        for one in given:
            model.set_tensor(source["index"], one.reshape(source["shape"]))
            model.invoke()
            values = model.get_tensor(scores)
            found.append(values.astype(np.int16) - 128 if values.dtype == np.uint8 else values)
        whole = np.stack(found).astype(np.int8).reshape(len(images), -1)
        return in_graph_order(whole, target.shape)

    return predict


def in_graph_order(scores: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scores (n, size) in rows of pixels as the graph has them: channels first, if they are an image (C, H, W)."""
    if len(shape) != 3:
        return scores
    channels, height, width = shape
    images = scores.reshape(len(scores), height, width, channels).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images).reshape(len(scores), -1)


def fast_kernels(data: bytes) -> Call:
    """A call on one image of noise by LiteRT's usual kernels (XNNPACK) in one thread. Raises as `reference_kernels`."""
    model = _interpreter(data, reference=False)
    source, target = model.get_input_details()[0], model.get_output_details()[0]
    noise = np.random.default_rng(0).integers(-128, 128, source["shape"]).astype(np.int8)
    image = _given(noise, source["dtype"], 1 / 128, 0)

    def call() -> object:
        model.set_tensor(source["index"], image)
        model.invoke()
        return model.get_tensor(target["index"])

    return call


def _interpreter(data: bytes, *, reference: bool) -> Any:
    litert_version()
    from ai_edge_litert import interpreter

    kernels = interpreter.OpResolverType
    try:
        model = interpreter.Interpreter(
            model_content=data, num_threads=1, experimental_preserve_all_tensors=reference,
            experimental_op_resolver_type=kernels.BUILTIN_REF if reference else kernels.AUTO,
        )  # fmt: skip
        model.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT refuses the file: {first_line(error)}") from error
    return model


def _scores(file: TfliteFile) -> int:
    """The tensor of the scores: what a last SOFTMAX or DEQUANTIZE reads."""
    makers = {index: operator for operator in file.operators for index in operator.outputs}
    index = file.outputs[0]
    while (maker := makers.get(index)) is not None and maker.kind in _AFTER_SCORES:
        index = maker.inputs[0]
    return index


def _given(values: np.ndarray, dtype: type, scale: float, zero: int) -> np.ndarray:
    """Int8 values as the file's input has them: int8, uint8 or float."""
    moved: dict[type, Callable[[], np.ndarray]] = {
        np.int8: lambda: values,
        np.uint8: lambda: (values.astype(np.int16) + 128).astype(np.uint8),
    }
    as_float = ((values.astype(np.float64) - zero) * scale).astype(np.float32)
    return moved.get(dtype, lambda: as_float)()
