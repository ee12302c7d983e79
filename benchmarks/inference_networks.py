"""The networks of the inference benchmark, each in every form that a contender takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from tests import tiny_networks
from torch import nn

from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings

IMAGES = 100  # to calibrate int8 and compare the contenders
LENET_WIDTHS = {"LeNet-5": (6, 16, 120, 84), "LeNet-5, 60 %": (2, 6, 48, 33)}
LARGER = ("ResNet-8", "DS-CNN", "MobileNetV1-0.25")
NAMES = (*LENET_WIDTHS, *LARGER)


@dataclass(frozen=True)
class Network:
    """A network as torch module, float ONNX and QDQ ONNX, with matching images."""

    name: str
    model: nn.Module
    float_onnx: bytes
    int8_onnx: bytes
    pixels: np.ndarray
    """uint8 (n, C, H, W)."""

    @cached_property
    def inputs(self) -> np.ndarray:
        """The pixels as the network sees them, float32 (n, C, H, W)."""
        return scaled(self.pixels)


def networks(data: Dataset, names: tuple[str, ...] = NAMES) -> dict[str, Callable[[], Network]]:
    """What makes each network: LeNet-5 on images of `data`, the others on drawn ones, all with seeded random weights.

    The time of a network does not depend on its weights. The LeNet-5 at 60 % has the widths that the source study's
    pruning leaves.
    """

    def make(name: str) -> Network:
        if name in LENET_WIDTHS:
            model = tiny_networks.as_if_trained(LeNet5(LENET_WIDTHS[name]), (1, 32, 32))
            return with_all_forms(name, model, data.train.images[:IMAGES].copy())
        shape = tiny_networks.NETWORKS[name].input_shape
        return with_all_forms(name, tiny_networks.tiny_network(name), tiny_networks.pictures(shape, IMAGES, seed=1))

    return {name: lambda name=name: make(name) for name in names}


def with_all_forms(name: str, model: nn.Module, pixels: np.ndarray) -> Network:
    """A module in eval mode, exported, and quantized on `pixels`."""
    shape = (int(pixels.shape[1]), int(pixels.shape[2]), int(pixels.shape[3]))
    with torch.no_grad():
        classes = model(torch.zeros(1, *shape)).shape[1]
    labels = tuple(f"class {number}" for number in range(classes))
    info = ModelInfo(factory="benchmark", input_shape=shape, labels=labels, preprocessing=_preprocessing(pixels))
    exported = to_onnx(model, info)
    return Network(name, model, exported, quantize_static(exported, pixels, QuantizeSettings()).onnx, pixels)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """x/255, float32."""
    return _preprocessing(pixels).scale(pixels)


def _preprocessing(pixels: np.ndarray) -> Preprocessing:
    return Preprocessing(color="rgb" if pixels.shape[1] == 3 else "grey")
