"""Networks and their float ONNX, exported once for all tests: exporting takes seconds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import networks
import tiny_networks
from niwaki.data.preprocessing import Preprocessing
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.training.prune import prune_step
from niwaki.training.settings import PruneSettings
from once import once

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Exported:
    """A module, what is known of it, and its ONNX."""

    model: nn.Module
    info: ModelInfo
    onnx: bytes

    def images(self, count: int, seed: int = 0) -> np.ndarray:
        """Smooth pictures, uint8 (count, C, H, W)."""
        return tiny_networks.pictures(self.info.input_shape, count, seed)

    def inputs(self, count: int, seed: int = 0) -> np.ndarray:
        """The same as the network sees them, float32."""
        return self.info.preprocessing.scale(self.images(count, seed))


class AllKinds(nn.Module):
    """Every operator that becomes int8, as people write them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.conv3 = nn.Conv2d(12, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pad(torch.relu(nn.functional.max_pool2d(self.conv1(x), 2)), (1, 1, 0, 0))
        y = nn.functional.relu6(x + self.conv2(x))
        y = torch.cat([y, nn.functional.avg_pool2d(x[:, :4], 3, 1, 1)], 1)
        y = nn.functional.hardtanh(self.norm(self.conv3(y)))
        return torch.softmax(self.linear(nn.functional.avg_pool2d(y, 2).flatten(1)) * 2.0, 1)


def pruned_residual() -> nn.Module:
    model = networks.ResidualNet()
    with torch.enable_grad():  # it traces by gradients
        prune_step(model, PruneSettings(ratio=0.5, steps=1), (1, 16, 16), step=1)
    return model


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Shape, int]] = {
    "LeNet-5": (LeNet5, (1, 32, 32), 10),
    "pruned LeNet-5": (lambda: LeNet5((2, 6, 48, 33)), (1, 32, 32), 10),
    "residual": (networks.ResidualNet, (1, 16, 16), 10),
    "pruned residual": (pruned_residual, (1, 16, 16), 10),
    "depthwise and grouped": (networks.MobileNet, (1, 16, 16), 10),
    "split and concatenated": (networks.HardCodedSplit, (1, 28, 28), 10),
    "a parameter of its own": (networks.Bare, (1, 32, 32), 10),
    "all kinds": (AllKinds, (1, 8, 8), 5),
    "ResNet-8": (tiny_networks.resnet8, (3, 32, 32), 10),
    "DS-CNN": (tiny_networks.ds_cnn, (1, 49, 10), 12),
    "MobileNetV1-0.25": (tiny_networks.mobilenet, (3, 96, 96), 2),
    "autoencoder": (tiny_networks.autoencoder, (1, 1, 640), 640),
}


def about(shape: Shape, classes: int) -> ModelInfo:
    """What a model file would say of a network that sees x/255."""
    labels = tuple(f"class {number}" for number in range(classes))
    preprocessing = Preprocessing(color="rgb" if shape[0] == 3 else "grey")
    return ModelInfo(factory="tests", input_shape=shape, labels=labels, preprocessing=preprocessing)


@functools.cache
def exported(name: str, opset: int = 13) -> Exported:
    """A network of `NETWORKS`, its batch norm as after training, and its float ONNX. Not to be changed."""
    build, shape, classes = NETWORKS[name]
    info = about(shape, classes)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build()
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1, 0.2)
                nn.init.normal_(layer.bias, std=0.2)
                layer.momentum = None
        model.train()(torch.from_numpy(info.preprocessing.scale(tiny_networks.pictures(shape, 50))))

    def make(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(to_onnx(model, info, opset=opset))

    return Exported(model, info, (once(f"onnx {name} {opset}", make) / "model.onnx").read_bytes())
