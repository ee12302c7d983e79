"""From a PyTorch module to a plain callable on raw images, for accuracy and latency."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import nn

from niwaki.errors import DataError, ModelError
from niwaki.models.examine import evaluating
from niwaki.models.generators import seeded
from niwaki.models.pixels import pixel_scale


def torch_predictor(
    model: nn.Module, table: np.ndarray, device: str | torch.device = "cpu"
) -> Callable[[np.ndarray], np.ndarray]:
    """The function from raw uint8 images (n, C, H, W) to the scores (n, classes) of `model`, float32.

    `table` is the scale of the preprocessing, float32 (C, 256): the value of each raw pixel in each channel. `model`
    must already be on `device`. It runs in eval mode without gradients, with seeded random generators; each call
    restores the modes of all modules, and the generators.

    Raises DataError if `table` is not (C, 256) or, when called, the images are not uint8 with C channels;
    ModelError if the model is on another device.
    """
    if table.ndim != 2 or table.shape[1] != 256:
        raise DataError(f"preprocessing table: shape {table.shape}, expected (channels, 256)")
    _check_device(model, torch.device(device))
    scale = pixel_scale(table, device)

    def predict(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != len(table):
            raise DataError(
                f"images are {images.dtype} {images.shape}: expected uint8 (n, {len(table)}, height, width)"
            )
        pixels = torch.from_numpy(images.copy()).to(device)  # a copy: torch warns about memory that it may not write
        with evaluating(model), seeded(0), torch.no_grad():
            scores: np.ndarray = model(scale(pixels)).float().cpu().numpy()
        return scores

    return predict


def _check_device(model: nn.Module, device: torch.device) -> None:
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.device.type != device.type:
            raise ModelError(f"{type(model).__name__} is on {tensor.device}, not on {device}: move it there first")
