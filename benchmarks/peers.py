"""The contenders of the inference benchmark that need only niwaki's own dependencies, and what all contenders share.

Every peer gets its image in the form that it takes without conversion (float32, scaled, in its own kind of array);
the generated C gets raw uint8 pixels and quantizes them itself. One thread each.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.inference_networks import Network, scaled
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import CModel
from niwaki.deploy.runtimes import onnxruntime_call, onnxruntime_predictor, predictor_call, torch_call
from niwaki.emit.generate import generate, write
from niwaki.measure.latency import Call
from niwaki.measure.predict import torch_predictor
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.compiler import find_compiler

LOOP_S = 2e-3  # a loop in C lasts about this long: the cost of its call from Python is less than a thousandth of it
COMPILER = "a C compiler: apt-get install gcc libc6-dev, or set CC"
OURS, LOOPED = "niwaki C", ", loop in C"


@dataclass(frozen=True)
class Contender:
    """One way to run a network."""

    name: str
    form: str
    """float, or the kind of int8."""
    call: Call
    """Runs one image; a loop in C runs `images` of them."""
    scores: Callable[[np.ndarray], np.ndarray]
    """From uint8 images (n, C, H, W) to scores (n, classes); int8 scores are in their own unit."""
    images: int = 1
    looped: bool = False

    @property
    def label(self) -> str:
        """Its name in the report."""
        return f"{self.name} {self.form}" + (LOOPED if self.looped else "")


class MissingPeer(Exception):  # not an error: the report says so and continues
    """A contender that is not installed here; the message names it and says how to install it."""


def need(module: str, name: str) -> None:
    """Raise MissingPeer if a package of the extra `bench` is missing."""
    if importlib.util.find_spec(module) is None:
        raise MissingPeer(f"{name} is missing: pip install executorch emx-onnx-cgen")


def compiler_for(name: str) -> str:
    """The C compiler. Raises MissingPeer if there is none."""
    found = find_compiler()
    if found is None:
        raise MissingPeer(f"{name} is missing: it needs {COMPILER}")
    return found


def images_in_a_loop(one: Call) -> int:
    """How many images take about LOOP_S, estimated from a call that takes one."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        one()
        seconds.append(time.perf_counter() - begun)
    return max(1, round(LOOP_S / max(min(seconds), 1e-6)))


def niwaki_c(network: Network, folder: Path) -> Sequence[Contender]:
    """The generated C, `-O3 -march=native`: called from Python for one image, and for many, which is a loop in C."""
    compiler_for(OURS)
    model = CModel(generated_folder(network, folder))
    one = model.prepare()
    one.image[:] = network.pixels[0]
    images = images_in_a_loop(one)
    many = predictor_call(model, np.repeat(network.pixels[:1], images, axis=0))
    return Contender(OURS, "int8", one, model), Contender(OURS, "int8", many, model, images, looped=True)


def generated_folder(network: Network, folder: Path) -> Path:
    """niwaki's C of the network's QDQ ONNX, in its own folder in `folder`."""
    graph = read_qdq(load_onnx(network.int8_onnx, network.name), network.name)
    return write(generate(graph), folder / plain(network.name))


def torch_eager(network: Network, _folder: Path) -> Sequence[Contender]:
    """The module itself."""
    scores = torch_predictor(network.model, scaled(_every_value(network)).reshape(-1, 256))
    return (Contender("torch", "float", torch_call(network.model, network.inputs[:1]), scores),)


def onnxruntime(network: Network, _folder: Path) -> Sequence[Contender]:
    """The float ONNX as niwaki exports it, and the QDQ ONNX from which its C is generated."""
    table = scaled(_every_value(network)).reshape(-1, 256)
    return [
        Contender("ONNX Runtime", form, onnxruntime_call(data, network.inputs[:1]), onnxruntime_predictor(data, table))
        for form, data in (("float", network.float_onnx), ("int8", network.int8_onnx))
    ]


def as_tensors(pixels: np.ndarray) -> tuple[torch.Tensor, ...]:
    """uint8 images as scaled float tensors of one image each."""
    return torch.from_numpy(scaled(pixels)).split(1)


def plain(name: str) -> str:
    """A name for a file."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _every_value(network: Network) -> np.ndarray:
    channels = network.pixels.shape[1]
    return np.broadcast_to(np.arange(256, dtype=np.uint8), (1, channels, 1, 256))
