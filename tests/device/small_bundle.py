"""A bundle for this machine's tests: a small network that knows garments, compiled by the host's or a cross compiler.

Everything in it is what `niwaki bundle` writes, except the compiler, the program (left out) and the sounds (silence).
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from niwaki import api
from niwaki.board.build import runner_files
from niwaki.board.decision import Decision
from niwaki.board.description import describe
from niwaki.board.network import Network
from niwaki.board.options import BundleOptions
from niwaki.board.place import put_bundle
from niwaki.board.selftest import make_selftest
from niwaki.board.targets import find_target
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.class_names import name_classes
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.datasets import GARMENTS
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.device.decision import Rule, energy
from niwaki.emit.generate import generate, write
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings
from niwaki.vision.library import source_files
from once import once

LANGUAGES = ("en", "ko")
WIDTHS = (3, 8, 48, 33)
IMAGES, EPOCHS = 4000, 4  # some seconds


@dataclass(frozen=True, eq=False)
class Garments:
    """A trained network, quantized, and images that it has not seen."""

    network: Network
    images: np.ndarray
    """uint8 (n, 28, 28): of the test split, classified rightly and accepted, the surest first."""
    labels: np.ndarray
    rule: Rule

    def image(self, name: str, number: int = 0) -> np.ndarray:
        """One of the surest garments of a class, uint8 (28, 28)."""
        return self.images[self.labels == GARMENTS.index(name)][number]


def train(true_data: Path | None, cache: Path) -> Garments:
    """On Fashion-MNIST where it is, else on garments that niwaki draws."""
    name = "synthetic" if true_data is None else "fashion-mnist"
    data = open_dataset(
        prepare(DataSpec(name=name, limit=IMAGES), data=str(true_data) if true_data else None, cache=cache)
    )
    int8 = (once(f"{name} garments", lambda folder: _train(data, folder / "int8.onnx")) / "int8.onnx").read_bytes()
    graph = read_qdq(load_onnx(int8), "small")
    source = dict(generate(graph).files.items())
    network = Network("small", int8, graph, source, GARMENTS, 2, data)
    return _judged(network, data)


def _train(data: Dataset, file: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeNet5(WIDTHS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network only waits for more
    try:
        api.train(model, data, epochs=EPOCHS, lr=2e-3, batch_size=32)
    finally:
        torch.set_num_threads(threads)
    info = ModelInfo(factory="lenet5", input_shape=(1, 32, 32), labels=GARMENTS, preprocessing=Preprocessing(pad=2))
    int8 = quantize_static(to_onnx(model, info), data.train.images[:200], QuantizeSettings(images=200))
    file.write_bytes(int8.onnx)


def _judged(network: Network, data: Dataset) -> Garments:
    """The rule accepts nearly all garments that are classified rightly."""
    images, labels = data.test.images[:1000], data.test.labels[:1000]
    logits = logits_of(network.graph, images)
    right = logits.argmax(1) == labels
    energies = np.array([energy(row) for row in logits.tolist()])
    rule = Rule(energy=float(np.quantile(energies[right], 0.97)))
    order = np.argsort(energies)
    chosen = order[(right & (energies <= rule.energy))[order]]
    return Garments(network, images[chosen][:, 0, 2:-2, 2:-2], labels[chosen], rule)


def logits_of(graph: Graph, images: np.ndarray) -> np.ndarray:
    """By the integer reference, float (n, classes); images are uint8 (n, 1, 32, 32)."""
    scores = reference.run(graph, reference.quantize_pixels(graph, images)).reshape(len(images), -1)
    output = graph.tensors[graph.output]
    return (scores.astype(np.int64) - output.zero_point) * float(output.scale)


def build(garments: Garments, folder: Path, work: Path, compiler: tuple[str, ...] = ("gcc",)) -> Path:
    """Write the bundle into `folder`, its library compiled by `compiler` in `work`."""
    network, rule = garments.network, garments.rule
    classes = name_classes(network.labels, LANGUAGES)
    target = find_target("linux-x86_64" if compiler == ("gcc",) else "jetson-nano")
    sounds = {f"sounds/{code}/{index}.wav": _silence() for code in LANGUAGES for index in range(len(classes))}
    put_bundle(
        folder,
        {
            "bundle.json": describe(network, target, classes, Decision.of(rule), BundleOptions(LANGUAGES)).to_json(),
            "libniwaki.so": compile_library(network, work, compiler),
            **runner_files(),
            **make_selftest(network.graph, network.data, network.pad, network.look).files(),
            **sounds,
        },
    )
    return folder


def compile_library(network: Network, work: Path, compiler: tuple[str, ...]) -> bytes:
    """The model and the vision in one shared library."""
    write(generate(network.graph), work)
    library = work / "libniwaki.so"
    with source_files() as vision:
        sources = [str(work / "model.c"), str(vision / "niwaki_vision.c"), str(vision / "niwaki_frame.c")]
        flags = ["-std=c99", "-O2", "-fPIC", "-shared", "-o", str(library)]
        subprocess.run([*compiler, *flags, *sources], check=True)
    return library.read_bytes()


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Change a file as a builder would: the manifest fits it."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest.pop("checksum", None)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def redescribe(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what bundle.json says, and leave out its checksum."""
    description = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    del description["checksum"]
    change(description)
    rewrite(folder, "bundle.json", json.dumps(description).encode())


def _silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return file.getvalue()
