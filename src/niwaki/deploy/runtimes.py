"""The runtimes for a network, as plain callables: on raw images for accuracy, without arguments for latency.

Each runs in one thread, so the same images give the same bits in every call and on any number of processors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from onnxruntime import InferenceSession
from torch import nn

from niwaki.errors import DataError, ModelError
from niwaki.measure.accuracy import Predict
from niwaki.measure.latency import Call
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import Mode, open_session
from niwaki.models.onnxsize import check_runnable, images_at_once


def classifier_session(data: bytes, name: str = "the ONNX", mode: Mode = "exact") -> InferenceSession:
    """ONNX Runtime on the CPU with one thread.

    Raises ModelError naming `name` if ONNX Runtime refuses the bytes, or the model does not map one float32 image batch
    to one tensor.
    """
    check_runnable(load_onnx(data, name), name)
    try:
        session = open_session(data, mode)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"{name}: has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each")
    if inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        stated = " × ".join(map(str, inputs[0].shape))
        raise ModelError(f"{name}: its input is {inputs[0].type} {stated}; expected tensor(float) n × C × H × W")
    return session


def onnxruntime_predictor(data: bytes, table: np.ndarray, name: str = "the ONNX", mode: Mode = "exact") -> Predict:
    """The function from raw uint8 images (n, C, H, W) to the scores (n, classes) of an ONNX model, float32.

    `table` is the scale of the preprocessing, float32 (C, 256): the value of each raw pixel in each channel. An ONNX
    model with a fixed batch is called as often as needed.

    Raises ModelError as `classifier_session` does; DataError if `table` is not (C, 256) or, when called, the images are
    not uint8 of the shape that the model takes.
    """
    if table.ndim != 2 or table.shape[1] != 256:
        raise DataError(f"preprocessing table: shape {table.shape}, expected (channels, 256)")
    session = classifier_session(data, name, mode)
    entry, output = session.get_inputs()[0], session.get_outputs()[0].name
    fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
    needs = check_runnable(load_onnx(data, name), name)

    def predict(images: np.ndarray) -> np.ndarray:
        _check_images(images, entry.shape, len(table), name)
        inputs = np.stack([values[images[:, channel]] for channel, values in enumerate(table)], axis=1)
        size = fixed or images_at_once(needs, max(len(inputs), 1))
        parts = [inputs[start : start + size] for start in range(0, len(inputs) or 1, size)]
        parts = [_padded(part, fixed) for part in parts] if fixed else parts
        scores = np.concatenate([session.run([output], {entry.name: part})[0] for part in parts])
        return np.asarray(scores[: len(images)], np.float32)

    return predict


def torch_call(model: nn.Module, inputs: np.ndarray) -> Call:
    """`model` on prepared float32 images (n, C, H, W). It is put in eval mode; call in `torch.inference_mode()`.

    The caller enters that mode, so that entering it is not timed with each call.
    """
    images = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
    model.eval()
    return lambda: model(images)


def onnxruntime_call(data: bytes, inputs: np.ndarray, name: str = "the ONNX") -> Call:
    """ONNX Runtime's usual `run` on prepared float32 images (n, C, H, W), in the session that users get.

    Raises as `classifier_session` does.
    """
    session = classifier_session(data, name, "default")
    feeds = {session.get_inputs()[0].name: np.ascontiguousarray(inputs, np.float32)}
    outputs = [session.get_outputs()[0].name]
    return lambda: session.run(outputs, feeds)


def predictor_call(predict: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> Call:
    """Any function of raw uint8 images (n, C, H, W), such as the generated C, on prepared images."""
    images = np.ascontiguousarray(pixels)
    return lambda: predict(images)


def _check_images(images: np.ndarray, shape: list[int | str | None], channels: int, name: str) -> None:
    expected = (channels, *shape[2:])
    if images.dtype != np.uint8 or images.ndim != 4 or not _fits(images.shape[1:], expected):
        stated = ", ".join(map(str, expected))
        raise DataError(f"images are {images.dtype} {images.shape}: {name} takes uint8 (n, {stated})")


def _fits(found: tuple[int, ...], expected: tuple[int | str | None, ...]) -> bool:
    """Whether a shape is the expected one; a dimension that is not a number matches any."""
    return all(not isinstance(want, int) or want == have for have, want in zip(found, expected, strict=True))


def _padded(inputs: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(inputs)
    return np.pad(inputs, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else inputs
