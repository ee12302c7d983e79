"""From a torch module to the integers of its C: float ONNX, int8 ONNX, graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import nn

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import scores
from niwaki.training.quantize import quantize_static
from niwaki.training.quantize_checks import float_nodes
from niwaki.training.settings import QuantizeSettings


@dataclass(frozen=True, eq=False)
class Way:
    """Scores (n, classes) of the same images on each stage, and what stayed float."""

    graph: Graph
    inputs: np.ndarray
    integers: np.ndarray
    """int8, what the C must give."""
    step: float
    from_float: float
    """How many steps of the output the integers are from the float network, at most."""
    from_int8: float
    """And from ONNX Runtime's run of the int8 ONNX, on average."""
    noise: float
    """Decibels between the float scores and what quantization adds to them."""
    floats: tuple[str, ...]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the layers."""
        return [type(layer).__name__ for layer in self.graph.layers]


def images_of(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Random pixels, bright and dark ones, smooth enough to have structure."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, shape[0], -(-shape[1] // 4), -(-shape[2] // 4)))
    fine = coarse.repeat(4, 2).repeat(4, 3)[:, :, : shape[1], : shape[2]] + rng.integers(-30, 30, (count, *shape))
    fine[::2] = fine[::2] // 3
    return np.clip(fine, 0, 255).astype(np.uint8)


def whole_way(model: nn.Module, shape: tuple[int, int, int] = (3, 16, 16), classes: int = 10, count: int = 40) -> Way:
    """Every stage of a network, on random images."""
    preprocessing = Preprocessing(color="rgb" if shape[0] == 3 else "grey")
    labels = tuple(f"class {index}" for index in range(classes))
    info = ModelInfo(factory="own:network", input_shape=shape, labels=labels, preprocessing=preprocessing)
    data = to_onnx(model.eval(), info)
    images = images_of(count, shape)
    quantized = quantize_static(data, images, QuantizeSettings()).onnx
    graph = read_qdq(load_onnx(quantized), "the network")
    inputs = reference.quantize_pixels(graph, images)
    integers = reference.run(graph, inputs).reshape(count, -1)
    target = graph.tensors[graph.output]
    numbers = (integers.astype(np.float64) - target.zero_point) * target.scale
    floats, int8 = (scores(part, preprocessing.scale(images)) for part in (data, quantized))
    lost = np.abs(numbers - floats)
    return Way(
        graph, inputs, integers, target.scale, float(lost.max() / target.scale),
        float(np.abs(numbers - int8).mean() / target.scale), float(10 * np.log10(floats.var() / (lost**2).mean())),
        tuple(node.op_type for node in float_nodes(onnx.load_from_string(quantized))),
    )  # fmt: skip


def seeded(model: type[nn.Module], *args: object) -> nn.Module:
    """A module whose first weights are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model(*args)
