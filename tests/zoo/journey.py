"""A network's journey in three processes: train and save; reload, prune and save; reload, export and verify.

`python -m zoo.journey STAGE FOLDER NAME…`, with `tests` as PYTHONPATH, makes one stage of some networks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

import niwaki
from niwaki.data.dataset import Dataset
from niwaki.errors import NiwakiError
from niwaki.files import write_whole
from niwaki.models.factory import build_seeded
from niwaki.training.quantize_checks import float_nodes
from zoo.networks import ALL, Animal

CLASSES = 4
GOOD, ROUNDS = 90, 8  # percent, of two epochs
TRAINED, PRUNED, PROBE, FACTS = "trained.safetensors", "pruned.safetensors", "probe.npy", "facts.json"
FORMS = ("onnx", "onnx-int8", "c")
HERE = Path(__file__).parents[1]
STAGES = ("train", "prune", "ship")
Facts = dict[str, Any]


class Broken(Exception):
    """What a stage made is not as it must be."""


@dataclass(frozen=True)
class Row:
    """How far a network came, and what it needs. Bytes are those of its C; flash is without code."""

    name: str
    params: int = 0
    pruned: int = 0
    """Parameters after pruning."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why layers kept all of their channels, and how many did for each reason."""
    flash: int = 0
    ram: int = 0
    seconds: float = 0
    failed: str = ""
    """The stage that ended the journey."""
    why: str = ""
    """In one line."""

    @property
    def whole(self) -> int:
        """How many layers kept all of their channels."""
        return sum(self.reasons.values())


def travel(names: Sequence[str], folder: Path, *, fresh: Sequence[str] = STAGES) -> list[Row]:
    """Every stage of some networks; each stage in `fresh` has a process of its own, which begins with files alone.

    What is already in the folder is not made again.
    """
    for stage in STAGES:
        if stage not in fresh:
            go(stage, folder, names)
            continue
        paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", "zoo.journey", stage, str(folder), *names],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{stage}: {done.stderr}")
        sys.stderr.write("".join(line for line in done.stderr.splitlines(True) if "Traceback" in done.stderr))
    return [row_of(name, folder) for name in names]


def go(stage: str, folder: Path, names: Sequence[str]) -> None:
    """One stage of some networks; what came of it is written beside their files. A failed stage ends a journey."""
    step: Callable[[Animal, Path], Facts] = {"train": train, "prune": prune, "ship": ship}[stage]
    for name in names:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        facts = json.loads((place / FACTS).read_text()) if (place / FACTS).exists() else {"made": [], "seconds": 0}
        if "failed" in facts or stage in facts["made"]:
            continue
        start = time.process_time()
        try:
            facts |= step(ALL[name], place)
        except (NiwakiError, Broken) as error:
            facts |= {"failed": stage, "why": f"{type(error).__name__}: {error}"}
        except Exception as error:
            traceback.print_exc()
            facts |= {"failed": stage, "why": f"not one line: {error!r}"}
        facts["made"].append(stage)
        facts["seconds"] += time.process_time() - start
        write_whole(place / FACTS, json.dumps(facts).encode())


def row_of(name: str, folder: Path) -> Row:
    """What is known of a network's journey."""
    facts = json.loads((folder / name / FACTS).read_text())
    return Row(name, **{key: value for key, value in facts.items() if key != "made"})


def train(animal: Animal, place: Path) -> Facts:
    """A short training, and the model file of it."""
    data = data_of(animal.shape)
    model = build_seeded(animal.factory, animal.args, 0, trust=True)
    learn(model, data)
    niwaki.save(model, place / TRAINED, factory=animal.factory, args=animal.args, data=data)
    np.save(place / PROBE, answers(model, data))
    return {"params": parameters(model)}


def prune(animal: Animal, place: Path) -> Facts:
    """The model of that file, which must answer as before; then two steps of pruning."""
    data = data_of(animal.shape)
    model = reloaded(place, TRAINED, data)
    reports = niwaki.prune(model, data, ratio=0.3, steps=2, finetune={"epochs": 1, "batch_size": 16, "lr": 2e-3})
    learn(model, data)
    niwaki.save(model, place / PRUNED, factory=animal.factory, args=animal.args, data=data)
    np.save(place / PROBE, answers(model, data))
    return {"pruned": parameters(model), "reasons": Counter(reports[-1].whole.values())}


def ship(animal: Animal, place: Path) -> Facts:
    """The pruned model in all forms: nothing in int8 is float, all agree, and the C has the reference's bits."""
    reloaded(place, PRUNED, data_of(animal.shape))
    report = niwaki.export(place / PRUNED, place / "out", to=FORMS, images=64, trust=True)
    if report.missing:
        raise Broken("; ".join(f"{form}: {why}" for form, why in report.missing.items()))
    floats = {node.op_type for node in float_nodes(onnx.load(report.paths["onnx-int8"]))}
    if floats:
        raise Broken(f"float in int8: {', '.join(sorted(floats))}")
    verified = niwaki.verify(place / "out", images=40, trust=True)
    if not verified.ok:
        raise Broken("; ".join(verified.disagreements))
    if not any(form.form == "c" and form.images and form.ok for form in verified.forms):
        raise Broken(f"no C ran: {verified.summary}")
    return {"flash": report.footprint.constant_bytes, "ram": report.footprint.ram_bytes}


def learn(model: torch.nn.Module, data: Dataset) -> None:
    """Train until most images are told apart: two forms of a network that guesses may well answer differently."""
    for seed in range(ROUNDS):
        niwaki.train(model, data, epochs=2, batch_size=16, lr=2e-3, seed=seed)
        if niwaki.evaluate(model, data).accuracy >= GOOD:
            return


def reloaded(place: Path, file: str, data: Dataset) -> torch.nn.Module:
    model = niwaki.load(place / file, trust=True)
    lost = np.abs(answers(model, data) - np.load(place / PROBE)).max()
    if lost > 1e-4:
        raise Broken(f"the reloaded network answers otherwise, by {lost:g}")
    return model


def answers(model: torch.nn.Module, data: Dataset) -> np.ndarray:
    """The scores of a few images."""
    with torch.no_grad():
        return model.eval()(torch.from_numpy(np.array(data.test.images[:4])).float() / 255).numpy()


def parameters(model: torch.nn.Module) -> int:
    return sum(one.numel() for one in model.parameters())


def data_of(shape: tuple[int, int, int], count: int = 200) -> Dataset:
    """Images whose class is the place of their bright quarter, and its colour if they have any."""
    rng = np.random.default_rng(shape)
    channels, height, width = shape
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 100, (count, height, width, channels))
    for image, label in zip(images, labels, strict=True):
        rows, columns = slice(label // 2 * height // 2, None), slice(label % 2 * width // 2, None)
        image[rows, columns][: height // 2, : width // 2, label % channels :] += 120
    pixels = images.astype(np.uint8) if channels == 3 else images[..., 0].astype(np.uint8)
    classes = [f"class {index}" for index in range(CLASSES)]
    return niwaki.dataset((pixels, labels), labels=classes, name="quarters", validation_images=20)


def main() -> None:
    stage, folder, *names = sys.argv[1:]
    torch.set_num_threads(1)
    go(stage, Path(folder), names)


if __name__ == "__main__":
    main()
