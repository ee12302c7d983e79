"""A network of three things in colour, trained in seconds, and photographs of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import niwaki
from niwaki import api
from niwaki.board.look import choose_look
from niwaki.board.network import Network
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.emit.generate import generate
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings

THINGS = {"lime": (90, 190, 40), "plum": (120, 40, 130), "tomato": (210, 40, 30)}
SIDE, PAD = 16, 2


def photograph(name: str, seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """A round thing on a grey table, uint8 (height, width, 3)."""
    rng = np.random.default_rng((seed, list(THINGS).index(name)))
    rows, columns = np.mgrid[:height, :width]
    centre = rng.uniform(0.4, 0.6, 2) * (height, width)
    inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (0.35 * height) ** 2
    picture = np.full((height, width, 3), rng.uniform(90, 180))
    picture[inside] = np.array(THINGS[name]) * rng.uniform(0.8, 1.1)
    return (picture + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


def small_things() -> Dataset:
    """Their photographs, whole, in a size for a small network."""
    told = Preprocessing(color="rgb", size=(SIDE, SIDE), pad=PAD)
    names = list(THINGS)
    pictures = np.stack([photograph(names[number % 3], number) for number in range(240)])
    labels = np.arange(len(pictures)) % 3
    return niwaki.dataset(
        (pictures, labels), labels=names, name="things", preprocessing=told, validation_images=60
    )  # fmt: skip


def train_things() -> Network:
    """Trained, quantized, its C made; it looks at the whole frame."""
    data = small_things()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)
        model = nn.Sequential(*layers)
    api.train(model, data, epochs=6, lr=1e-2, batch_size=16)
    told, side = data.preprocessing, SIDE + 2 * PAD
    info = ModelInfo(factory="mine:net", input_shape=(3, side, side), labels=data.labels, preprocessing=told)
    int8 = quantize_static(to_onnx(model, info), data.train.images, QuantizeSettings(images=100)).onnx
    graph = read_qdq(load_onnx(int8), "things")
    look = choose_look(told, data.labels, (SIDE, SIDE), data, None)
    return Network("things", int8, graph, dict(generate(graph).files.items()), data.labels, PAD, data, look.notes, look)
