from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.measure.cost import count
from niwaki.measure.predict import torch_predictor
from tiny_networks import NETWORKS, ds_cnn, mobilenet, pictures, resnet8, tiny_network

PLAIN = (np.arange(256) / 255).astype(np.float32)[None]

# Parameters as Keras counts those of the reference models, which is with the running statistics of batch norm. The
# paper gives the sizes of the int8 files only (96, 52.5, 325 and 270 KB). All figures are worked out by hand from the
# reference repository's layers; the MACs, convolution by convolution:
#   ResNet-8: 32²·16·3·9 + 2·32²·16·16·9 + 16²·32·(16·9 + 32·9 + 16) + 8²·64·(32·9 + 64·9 + 32) + 64·10
#   DS-CNN: 25·5·64·(10·4 + 4·(9 + 64)) + 64·12
#   MobileNetV1-0.25: 497,664 + 460,800 + 377,856 + 755,712 + 336,384 + 672,768 + 315,648 + 5·631,296 + 305,280
#     + 610,560 + 512 (a first convolution, 13 pairs of a depthwise and a 1×1 convolution, a dense layer)
#   autoencoder: 2·640·128 + 6·128² + 2·128·8
COUNTS = {
    "ResNet-8": (78_666, 12_501_632),
    "DS-CNN": (24_908, 2_656_768),
    "MobileNetV1-0.25": (221_794, 7_489_664),
    "autoencoder": (269_992, 264_192),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_reference_networks_have_the_size_of_the_models_of_mlperf_tiny(name: str) -> None:
    model, shape = NETWORKS[name].build(), NETWORKS[name].input_shape
    cost = count(model, shape)
    statistics = sum(len(buffer) for buffer in model.buffers() if buffer.ndim)
    assert (cost.params + statistics, cost.macs) == COUNTS[name]


@pytest.mark.parametrize(
    ("build", "name", "pads"),
    [
        (resnet8, "ResNet-8", [(0, 1, 0, 1)] * 2),
        (ds_cnn, "DS-CNN", [(1, 1, 4, 5)]),
        (mobilenet, "MobileNetV1-0.25", [(0, 1, 0, 1)] * 5),
    ],
)
def test_tensorflows_padding_has_the_same_shapes_and_macs(build, name: str, pads: list[tuple[int, ...]]) -> None:
    model, shape = build(padding="tensorflow"), NETWORKS[name].input_shape
    assert [layer.padding for layer in model.modules() if isinstance(layer, nn.ZeroPad2d)] == pads
    assert count(model, shape).macs == COUNTS[name][1]


@pytest.mark.parametrize("name", ["ResNet-8", "DS-CNN"])
def test_the_reference_networks_behave_like_trained_ones(name: str) -> None:
    model, shape = tiny_network(name, seed=3), NETWORKS[name].input_shape
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all(float(norm.running_var.std()) > 0 and float(norm.running_mean.abs().max()) > 0 for norm in norms)
    scores = torch_predictor(model, np.repeat(PLAIN, shape[0], axis=0))(pictures(shape, 60, seed=4))
    assert len(set(scores.argmax(1))) >= 8
    again = tiny_network(name, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
