"""Quantization-aware training: a network learns with its weights and activations rounded as int8 will round them."""

from __future__ import annotations

import numpy as np

from niwaki.data.dataset import Split
from niwaki.errors import SpecError
from niwaki.training.quantize import Quantized, bits_of_layers, calibrate, trainable, trained_notes, write
from niwaki.training.settings import QuantizeSettings
from niwaki.training.train import Epoch, Training, fit


def quantize_aware(
    float_onnx: bytes, images: np.ndarray, train: Split, settings: QuantizeSettings, training: Training
) -> tuple[Quantized, list[Epoch]]:
    """The int8 ONNX of a float one, trained on `train` as `settings.train` says; and the result of each epoch.

    It starts where static quantization ends: calibrated on `images`, uint8 (n, C, H, W), batch norm folded, weights
    rounded to the bits of each layer with the least squared error. Then weights, biases and step sizes learn while
    everything is rounded as in the file, so the trained network is the one that runs. The result is a file like that of
    `quantize_static`, with the same operators and names.

    Raises as `quantize_static` and `fit` do, and ModelError for an operator that cannot be trained.
    """
    if settings.kind != "qat":
        raise SpecError(f"kind = {settings.kind} does not train: use kind = qat")
    calibrated = calibrate(float_onnx, images, settings)
    network = trainable(calibrated, bits_of_layers(calibrated.quantized, settings))
    history = fit(network, train, calibrated.preprocessing, settings.train, training)
    data = write(calibrated, network.cpu().initializers())
    return Quantized(data, trained_notes(calibrated, data, network)), history
