"""What a GPU changes: `python -m benchmarks.accelerator [--device cuda] [--quick]`, a script of its own.

The same networks are trained, pruned and trained with rounding on the CPU and on the device, with several seeds:
accuracies must agree within their noise. A study on the device is killed and resumed: its models must be those of an
undisturbed run. Then the source study runs with its plan, once with one seed and once with five.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import niwaki
from benchmarks.report import Report, Table, machine, render
from niwaki.data.dataset import Dataset
from niwaki.models.accelerator import check_device

METHOD = (
    "the same seeds, images and settings on both; test accuracy, mean ± standard deviation, and the mean difference of "
    "pairs with its standard error: a difference above two of them is one. Seconds include everything"
)
RECIPE = {"batch_size": 128, "optimizer": "adamw", "lr": 4e-3, "schedule": "one-cycle", "flip": True, "shift": 1}
STUDY = """
[data]
name = "fashion-mnist"
limit = {images}
[train]
epochs = {epochs}
[prune]
ratio = 0.6
steps = 2
[finetune]
epochs = {epochs}
[quantize]
kind = "qat"
bits = 4
[quantize.train]
epochs = {epochs}
[[experiment]]
name = "one"
"""


def run(device: str, *, quick: bool) -> Report:
    """Agreement, resuming and time on `device`. Raises NiwakiError if torch does not see it."""
    check_device(device)
    images, epochs, seeds = (1000, 1, 2) if quick else (20_000, 5, 5)
    data = niwaki.load_data("fashion-mnist", limit=images)
    agreement = _agreement(data, device, epochs, range(seeds))
    resumed = _resumed(device, images, epochs)
    times = Table("Source study", ("seeds", "seconds"), tuple(_source(device, quick=quick)))
    findings = (f"A study that was killed and resumed on {device} has {resumed}.",)
    command = f"python -m benchmarks.accelerator --device {device}{' --quick' if quick else ''}"
    return Report(f"Training on {device}", METHOD, command, (agreement, times), findings)


def _agreement(data: Dataset, device: str, epochs: int, seeds: range) -> Table:
    rows = []
    found: dict[str, dict[str, list[float]]] = {}
    spent: dict[str, dict[str, float]] = {}
    for where in ("cpu", device):
        for seed in seeds:
            for what, seconds, accuracy in _steps(data, where, epochs, seed):
                found.setdefault(what, {}).setdefault(where, []).append(accuracy)
                of = spent.setdefault(what, {})
                of[where] = of.get(where, 0.0) + seconds
    for what, by_device in found.items():
        apart = np.subtract(by_device[device], by_device["cpu"])
        error = apart.std(ddof=1) / len(apart) ** 0.5
        cells = [
            f"{np.mean(by_device[where]):.2f} ± {np.std(by_device[where], ddof=1):.2f}" for where in ("cpu", device)
        ]
        times = [f"{spent[what][where]:.1f}" for where in ("cpu", device)]
        rows.append((what, *cells, f"{apart.mean():+.2f} ± {error:.2f}", *times))
    heads = ("step", "on the CPU, %", f"on {device}, %", "difference", "CPU, s", f"{device}, s")
    return Table("Agreement", heads, tuple(rows))


def _steps(data: Dataset, device: str, epochs: int, seed: int) -> Iterator[tuple[str, float, float]]:
    """Each step's name, seconds and test accuracy, one after the other on the same network."""
    import torch

    torch.manual_seed(seed)
    model = niwaki.LeNet5(norm=True)

    def timed(what: str, work: Callable[[], object]) -> tuple[str, float, float]:
        begun = time.perf_counter()
        work()
        return what, time.perf_counter() - begun, niwaki.evaluate(model, data, "test", device=device).accuracy

    yield timed("train", lambda: niwaki.train(model, data, epochs, seed=seed, device=device, **RECIPE))
    finetune = {**RECIPE, "epochs": epochs}
    yield timed(
        "prune 60 %", lambda: niwaki.prune(model, data, seed=seed, device=device, ratio=0.6, steps=1, finetune=finetune)
    )
    with tempfile.TemporaryDirectory(prefix="niwaki-benchmark-accelerator-") as work:
        file = Path(work) / "small.safetensors"
        widths = [layer.weight.shape[0] for layer in (model.conv1, model.conv2, model.fc1, model.fc2)]
        niwaki.save(model.cpu(), file, factory="lenet5", args={"widths": widths, "norm": True}, data=data)
        begun = time.perf_counter()
        report = niwaki.quantize(
            file, Path(work) / "four.onnx", data=data, kind="qat", bits=4, train=epochs, seed=seed, device=device
        )
        yield "4 bits, trained", time.perf_counter() - begun, report.after.test


def _resumed(device: str, images: int, epochs: int) -> str:
    """Kill a study once its first stage is stored, resume it, and compare its models with an undisturbed run's."""
    with tempfile.TemporaryDirectory(prefix="niwaki-benchmark-accelerator-") as work:
        folder = Path(work)
        (folder / "s.toml").write_text(STUDY.format(images=images, epochs=epochs))
        command = [sys.executable, "-m", "niwaki", "study", "run", "s.toml", "--device", device, "--jobs", "1", "--out"]
        with subprocess.Popen([*command, "killed"], cwd=folder, stdout=subprocess.DEVNULL) as begun:
            while begun.poll() is None and not _models(folder / "killed"):
                time.sleep(0.05)
            begun.kill()
        for out in ("killed", "whole"):
            subprocess.run([*command, out], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        killed, whole = (_models(folder / out) for out in ("killed", "whole"))
        same = sum(killed.get(name) == content for name, content in whole.items())
        return f"the same bits in {same} of {len(whole)} models as an undisturbed one"


def _models(folder: Path) -> dict[str, bytes]:
    found = [*folder.glob("stages/*/*.safetensors"), *folder.glob("stages/*/*.onnx")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


def _source(device: str, *, quick: bool) -> Iterator[tuple[str, str]]:
    for seeds in ("1",) if quick else ("1", "5"):
        with tempfile.TemporaryDirectory(prefix="niwaki-benchmark-accelerator-") as work:
            command = [sys.executable, "-m", "niwaki", "study", "run", "quick" if quick else "source"]
            command += ["--device", device, "--seeds", seeds, "--out", f"{work}/out"]
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            yield seeds, f"{time.perf_counter() - begun:.0f}"


def main() -> int:
    """Print the report; 2 with one line of explanation if the device cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerator", description=__doc__)
    parser.add_argument("--device", default="cuda", help="as torch names it; cpu compares the CPU with itself")
    parser.add_argument("--quick", action="store_true", help="too little for figures that mean something")
    options = parser.parse_args()
    try:
        where = machine()
        report = run(options.device, quick=options.quick)
    except (niwaki.NiwakiError, OSError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    print(f"{where['processor']}, torch {where['torch']}\n\n{render(report)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
