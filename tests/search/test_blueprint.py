"""What a candidate costs before training is what its C costs after it, whatever the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from networks import MobileNet, ResidualNet
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.images import random_images
from niwaki.emit.generate import Footprint, generate, least_ram
from niwaki.errors import ModelError
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.search import groups
from niwaki.search.blueprint import Blueprint
from niwaki.search.groups import blueprint_of, cut, groups_of
from niwaki.training.quantize import quantize
from niwaki.training.settings import QuantizeSettings


def _info(shape: tuple[int, int, int], classes: int) -> ModelInfo:
    return ModelInfo(factory="lenet5", input_shape=shape, labels=tuple(str(n) for n in range(classes)))


def _made(model: nn.Module, info: ModelInfo, widths: dict[str, int], bits: dict[str, int]) -> Footprint:
    """The footprint of the C of such a network, by the long way: cut, exported, quantized, generated."""
    float_onnx = to_onnx(cut(model, widths, info.input_shape), info)
    images = random_images(info.input_shape, 20, seed=3)
    few = {layer: number for layer, number in bits.items() if number != 8}
    int8 = quantize(float_onnx, images, QuantizeSettings(layer_bits=few)).onnx  # type: ignore[arg-type]
    return generate(read_qdq(onnx.load_from_string(int8), "the int8 ONNX")).report


def _drawn(blueprint: Blueprint, draw: np.random.Generator) -> tuple[dict[str, int], dict[str, int]]:
    widths = {
        group.name: int(draw.integers(1, group.width // group.parts + 1)) * group.parts for group in blueprint.groups
    }
    return widths, {layer: int(draw.choice([8, 4, 2])) for layer in blueprint.layers}


@pytest.mark.parametrize(
    ("make", "shape", "classes"),
    [
        (lambda: LeNet5(widths=(3, 5, 12, 9), num_classes=4, image_size=16, norm=True), (1, 16, 16), 4),
        (ResidualNet, (1, 16, 16), 10),
        (MobileNet, (1, 16, 16), 10),
    ],
    ids=["lenet5", "residual", "depthwise"],
)
def test_costs_before_training_are_those_of_the_generated_c(
    make: Callable[[], nn.Module], shape: tuple[int, int, int], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[int] = []
    monkeypatch.setattr(groups, "to_onnx", lambda *given: exported.append(1) or to_onnx(*given))
    torch.manual_seed(0)
    model, info = make().eval(), _info(shape, classes)
    for module in model.modules():  # as after training: folded, such norms become biases
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)
    blueprint = blueprint_of(model, info)
    assert len(exported) == 2  # the whole network, and half of it as a check: the others are narrowed files
    draw = np.random.default_rng(1)
    for _ in range(2):
        widths, bits = _drawn(blueprint, draw)
        found, made = blueprint.cost(widths, bits), _made(model, info, widths, bits)
        assert (found.constants, found.ram) == (made.constant_bytes, made.ram_bytes)
        assert dict(found.layer_bytes) == made.layer_bytes
        assert found.stripes is None
        # by stripes of rows too
        graph = blueprint.graph(widths, bits)
        least = least_ram(graph)
        striped = blueprint.cost(widths, bits, least)
        assert (striped.ram, striped.constants) == (generate(graph, ram_limit=least).report.ram_bytes, found.constants)
        assert striped.ram <= least <= found.ram
        if least < found.ram:
            assert striped.stripes is not None
            assert (striped.stripes.limit, striped.stripes.whole_ram) == (least, found.ram)
        assert blueprint.cost(widths, bits, least - 1).ram == found.ram  # nothing helps


def test_macs_are_those_of_the_base() -> None:
    model = LeNet5().eval()
    blueprint = blueprint_of(model, _info((1, 32, 32), 10))
    whole = blueprint.cost(blueprint.whole)
    assert whole.macs == 416_520
    assert [group.name for group in blueprint.groups] == ["conv1", "conv2", "fc1", "fc2"]
    assert blueprint.layers == ("conv1", "conv2", "fc1", "fc2", "fc3")
    assert blueprint.cost({"conv1": 2, "conv2": 6, "fc1": 48, "fc2": 33}).macs == 78_314


def test_a_network_without_anything_to_cut_is_refused() -> None:
    with pytest.raises(ModelError, match="there is nothing to prune"):
        groups_of(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), (1, 8, 8))
