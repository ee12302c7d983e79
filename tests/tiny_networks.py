"""The four reference networks of MLPerf Tiny at their true shapes, with random weights that behave like trained ones.

Layers, widths and biases are those of the reference models (https://github.com/mlcommons/tiny, benchmark/training:
image_classification, keyword_spotting, visual_wake_words and anomaly_detection, each `keras_model.py` or
`vww_model.py`; paper: Banbury et al., "MLPerf Tiny Benchmark", 2021), without the last Softmax.

TensorFlow pads an even size by one pixel more at the far side. PyTorch's convolutions pad both sides alike, which is
what people write there and what every runtime is built for; it gives the same shapes, and is the default here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Padding = Literal["both", "tensorflow"]
Pair = tuple[int, int]


def convolution(
    size: Pair, inputs: int, outputs: int, kernel: Pair, stride: int = 1, *, depthwise: bool = False,
    padding: Padding = "both",
) -> list[nn.Module]:  # fmt: skip
    """A convolution that gives ceil(size / stride) pixels, with the padding of its kind before or in it."""
    total = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k in zip(size, kernel, strict=True)]
    groups = inputs if depthwise else 1
    if padding == "both" or all(n % 2 == 0 for n in total):
        pads = tuple(-(-n // 2) for n in total)
        return [nn.Conv2d(inputs, outputs, kernel, stride, pads, groups=groups)]
    (top, bottom), (left, right) = ((n // 2, n - n // 2) for n in total)
    return [nn.ZeroPad2d((left, right, top, bottom)), nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)]


def normalized(layers: list[nn.Module], *, relu: bool = True) -> list[nn.Module]:
    """The layers, batch norm after the last of them, ReLU."""
    last = layers[-1]
    norm: nn.Module = (
        nn.BatchNorm2d(last.out_channels) if isinstance(last, nn.Conv2d) else nn.BatchNorm1d(last.out_features)
    )
    return [*layers, norm, nn.ReLU()] if relu else [*layers, norm]


class Residual(nn.Module):
    """Two 3×3 convolutions; where the size or the width changes, a 1×1 convolution beside them."""

    def __init__(self, size: int, inputs: int, outputs: int, stride: int, padding: Padding) -> None:
        super().__init__()
        out = -(-size // stride)
        self.body = nn.Sequential(
            *normalized(convolution((size, size), inputs, outputs, (3, 3), stride, padding=padding)),
            *normalized(convolution((out, out), outputs, outputs, (3, 3), padding=padding), relu=False),
        )
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.body(x))


def resnet8(*, padding: Padding = "both") -> nn.Sequential:
    """Image classification: (N, 3, 32, 32) → (N, 10)."""
    return nn.Sequential(
        *normalized(convolution((32, 32), 3, 16, (3, 3), padding=padding)),
        Residual(32, 16, 16, 1, padding),
        Residual(32, 16, 32, 2, padding),
        Residual(16, 32, 64, 2, padding),
        nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def separable(size: Pair, inputs: int, outputs: int, stride: int, padding: Padding) -> list[nn.Module]:
    """A depthwise 3×3 convolution and a 1×1 convolution."""
    return [
        *normalized(convolution(size, inputs, inputs, (3, 3), stride, depthwise=True, padding=padding)),
        *normalized([nn.Conv2d(inputs, outputs, 1)]),
    ]


def ds_cnn(*, padding: Padding = "both") -> nn.Sequential:
    """Keyword spotting: (N, 1, 49, 10) → (N, 12)."""
    return nn.Sequential(
        *normalized(convolution((49, 10), 1, 64, (10, 4), 2, padding=padding)),
        *(layer for _ in range(4) for layer in separable((25, 5), 64, 64, 1, padding)),
        nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, 12),
    )  # fmt: skip


def mobilenet(*, padding: Padding = "both") -> nn.Sequential:
    """MobileNetV1 at a quarter of its width, visual wake words: (N, 3, 96, 96) → (N, 2)."""
    layers = normalized(convolution((96, 96), 3, 8, (3, 3), 2, padding=padding))
    size, width = 48, 8
    for outputs, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)):
        layers += separable((size, size), width, outputs, stride, padding)
        size, width = size // stride, outputs
    return nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(256, 2))


def autoencoder() -> nn.Sequential:
    """Anomaly detection: (N, 1, 1, 640) → (N, 640)."""
    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    hidden = [layer for a, b in pairwise(widths) for layer in normalized([nn.Linear(a, b)])]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 640))


@dataclass(frozen=True)
class TinyNetwork:
    """What builds a network, and the shape of its input (C, H, W)."""

    build: Callable[[], nn.Sequential]
    input_shape: tuple[int, int, int]


NETWORKS = {
    "ResNet-8": TinyNetwork(resnet8, (3, 32, 32)),
    "DS-CNN": TinyNetwork(ds_cnn, (1, 49, 10)),
    "MobileNetV1-0.25": TinyNetwork(mobilenet, (3, 96, 96)),
    "autoencoder": TinyNetwork(autoencoder, (1, 1, 640)),
}


def pictures(shape: tuple[int, int, int], count: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures with a little noise, uint8 (count, *shape): neighbours are alike, as in true images."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, shape[0], min(4, shape[1]), min(4, shape[2]), generator=generator)
    smooth = F.interpolate(coarse, shape[1:], mode="bilinear", align_corners=True)
    noisy = smooth + 0.05 * torch.randn(smooth.shape, generator=generator)
    return noisy.clamp(0, 1).mul(255).round().to(torch.uint8).numpy()


def as_if_trained(network: nn.Module, shape: tuple[int, int, int], seed: int = 0) -> nn.Module:
    """Any `network` with seeded weights and statistics of batch norm measured on pictures, in eval mode.

    The last linear layer is scaled so that over those pictures every score has mean 0 and deviation 3: each class wins
    some. Without that, all pictures would fall into one class, and agreement of two forms would say nothing.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                    layer.weight.abs_()
                nn.init.normal_(layer.bias, std=0.1)
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.3)
                layer.momentum = None  # the plain mean over the batches that follow
        images = torch.from_numpy(pictures(shape, 64, seed)).float().div(255)
        network.train()(images)
        network.eval()
        scores, last = network(images), [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
        scale = 3 / scores.std(0)
        last.weight.mul_(scale[:, None])
        last.bias.sub_(scores.mean(0)).mul_(scale)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.momentum = 0.1  # torch's own, as the factory builds it
    return network


def tiny_network(name: str, seed: int = 0) -> nn.Module:
    """A network of `NETWORKS` as if trained, in eval mode; the same weights for the same seed."""
    wanted = NETWORKS[name]
    return as_if_trained(wanted.build(), wanted.input_shape, seed)
