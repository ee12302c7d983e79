"""ResNet-18 as it was published, at its full size: what its export and its compiler need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import niwaki
from niwaki.compiled.library import CModel
from niwaki.files import write_whole
from niwaki.models.factory import build_seeded

FACTORY, ARGS, SIDE, CLASSES = "zoo.residual:resnet18", {"classes": 10, "width": 64}, 224, 10
FACTS = "full.json"
HERE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Full:
    """What was measured on one machine, in seconds and bytes; flash is without code."""

    parameters: int
    export_seconds: float
    compile_seconds: float
    memory: int
    """The most that the whole process held, with PyTorch and ONNX Runtime."""
    flash: int
    ram: int
    agrees: bool
    """Whether the compiled C gives the bits of the integer reference."""


def measured(folder: Path) -> Full:
    """What a process of its own needs for it; kept in the folder, and not measured again."""
    if not (folder / FACTS).exists():
        paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "zoo.full", str(folder)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})
    found = Full(**json.loads((folder / FACTS).read_text()))
    if not found.agrees:
        raise RuntimeError(f"{folder}: the C of ResNet-18 does not give the bits of the integer reference")
    return found


def measure(folder: Path) -> Full:
    """Save, export and compile it in this process."""
    import resource

    from niwaki.codegen.graph import reference
    from niwaki.codegen.readers.qdq import read_qdq
    from niwaki.models.onnxfile import load_onnx

    folder.mkdir(parents=True, exist_ok=True)
    labels = [f"class {index}" for index in range(CLASSES)]
    images = np.random.default_rng(0).integers(0, 256, (2 * CLASSES, SIDE, SIDE, 3), np.uint8)
    classes = np.arange(2 * CLASSES) % CLASSES
    arrays = {"x_train": images, "y_train": classes, "x_test": images[:CLASSES], "y_test": classes[:CLASSES]}
    np.savez(folder / "data.npz", labels=labels, **arrays)
    model = build_seeded(FACTORY, ARGS, 0, trust=True)
    file = niwaki.save(
        model, folder / "model.safetensors", factory=FACTORY, args=ARGS, input_shape=(3, SIDE, SIDE), labels=labels,
        preprocessing=niwaki.Preprocessing(color="rgb", size=(SIDE, SIDE)),
    )  # fmt: skip
    start = time.monotonic()
    out = niwaki.export(file, folder / "out", to=["onnx-int8", "c"], data=folder / "data.npz", images=16, trust=True)
    exported = time.monotonic()
    compiled = CModel(folder / "out" / "c")
    ready = time.monotonic()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    graph = read_qdq(load_onnx(out.paths["onnx-int8"]), "ResNet-18")
    pixels = images[:1].transpose(0, 3, 1, 2)
    scores = reference.run(graph, reference.quantize_pixels(graph, pixels)).reshape(1, -1)
    return Full(
        sum(one.numel() for one in model.parameters()), exported - start, ready - exported, 1024 * max(most),
        out.footprint.constant_bytes, out.footprint.ram_bytes, np.array_equal(compiled(pixels), scores),
    )  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    found = measure(folder)
    write_whole(folder / FACTS, json.dumps({**asdict(found), "agrees": bool(found.agrees)}).encode())


if __name__ == "__main__":
    main()
