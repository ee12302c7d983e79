"""LeNet-5, whole and 60 %-pruned, in every form: module, ONNX, int8, generated C, and the reference's results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from niwaki import api
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data import synthetic
from niwaki.data.dataset import open_dataset
from niwaki.data.datasets import GARMENTS
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.emit.generate import Generated, generate, write
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings
from random_graphs import Builder

IMAGES = 24
WIDTHS = {"base": (6, 16, 120, 84), "pruned": (2, 6, 48, 33)}  # pruned: 60 % of the channels removed


@dataclass(frozen=True, eq=False)
class Example:
    """A generated folder, images for it, and the scores that are right."""

    onnx: bytes  # int8
    graph: Graph
    generated: Generated
    folder: Path
    images: np.ndarray  # uint8 (n, C, H, W)
    inputs: np.ndarray  # int8 (n, C, H, W): the same, quantized
    scores: np.ndarray  # int8 (n, classes): the integer reference's


def example(model: torch.nn.Module, calibration: np.ndarray, images: np.ndarray, folder: Path) -> Example:
    """Take a LeNet-5 the whole way to C in `folder`; its reference runs over `images`."""
    info = ModelInfo(factory="lenet5", input_shape=(1, 32, 32), labels=GARMENTS, preprocessing=Preprocessing(pad=2))
    quantized = quantize_static(to_onnx(model, info), calibration, QuantizeSettings(images=len(calibration)))
    graph = read_qdq(load_onnx(quantized.onnx), folder.name)
    generated = generate(graph)
    write(generated, folder)
    inputs = reference.quantize_pixels(graph, images)
    return Example(quantized.onnx, graph, generated, folder, images, inputs, reference.run(graph, inputs))


@pytest.fixture(scope="session")
def lenet5(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Example]:
    """By name (base, pruned): random weights, drawn garments and noise as images."""
    made: dict[str, Example] = {}
    drawn = Preprocessing(pad=2).arrange(synthetic.draw(np.arange(64), seed=0, split=0)[0])
    noise = np.random.default_rng(0).integers(0, 256, (IMAGES // 2, 1, 32, 32), dtype=np.uint8)
    images = np.concatenate([drawn[: IMAGES - len(noise)], noise])

    def make(name: str) -> Example:
        if name not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = LeNet5(WIDTHS[name])
            made[name] = example(model, drawn, images, tmp_path_factory.mktemp("lenet5") / name)
        return made[name]

    return make


@pytest.fixture(scope="session")
def few_bits(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """A network whose layers take 4, 2 and 8 bits a weight, by every kernel that reads packed weights."""
    builder = Builder((1, 32, 32), 333)
    builder.clamp = lambda: (-100, 127)  # type: ignore[method-assign]
    builder.bits = 4
    builder.conv(7, (5, 5))  # four channels, two, one
    builder.max_pool((2, 2), (2, 2))
    builder.bits = 2
    builder.conv(7, (3, 3), pads=(1, 1, 1, 1))
    builder.conv(7, (3, 3), pads=(1, 1, 1, 1), groups=7)
    builder.bits = 4
    builder.conv(6, (3, 3), strides=(2, 2), dilations=(1, 2))
    builder.conv(6, (3, 3), pads=(1, 1, 1, 1), groups=2)
    builder.dense(15)
    builder.bits = 2
    builder.dense(11)
    builder.bits = 8
    builder.dense(10)
    table = (np.arange(256) - 128).astype(np.int8)[None]
    graph = Graph(builder.tensors, tuple(builder.layers), builder.input, builder.last, GARMENTS, Preprocessing(), table)
    generated = generate(graph)
    folder = write(generated, tmp_path_factory.mktemp("few_bits") / "c")
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 32, 32), dtype=np.uint8)
    inputs = reference.quantize_pixels(graph, images)
    return Example(b"", graph, generated, folder, images, inputs, reference.run(graph, inputs))


@pytest.fixture(scope="session")
def trained_lenet5(tmp_path_factory: pytest.TempPathFactory, true_data: Path) -> Callable[[str], Example]:
    """The same two, trained (the second pruned from the first), with all 10,000 test images of Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("trained")
    spec = DataSpec(name="fashion-mnist", limit=12_000)  # training images; all that is tested is equality
    data = open_dataset(prepare(spec, data=str(true_data), cache=folder / "cache"))
    made: dict[str, Example] = {}
    model = LeNet5()
    for name in WIDTHS:
        if name == "base":
            api.train(model, data, epochs=2)
        else:
            api.prune(model, data, ratio=0.6, steps=2, finetune={"epochs": 1})
        made[name] = example(model, data.train.images[:1000], data.test.images, folder / name)
    assert len(made["base"].scores) == 10_000
    assert (made["pruned"].scores.argmax(1) == data.test.labels).mean() > 0.5
    return made.__getitem__
