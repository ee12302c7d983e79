"""Where numbers lie in memory in training: time of a step, by format, with freed memory kept or not.

Each side is a process of its own, since one that keeps freed memory cannot be told to stop. It takes training steps
(batch, forward, backward, AdamW) on random batches of 128 true images with one thread; the sides take turns, and the
ratios are taken within each round.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.pairs import ratios, spread, take_turns
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset
from niwaki.models.lenet5 import LeNet5
from niwaki.models.separable import Separable
from niwaki.training.memory import keep_freed_memory, laid_out, stored_as

BATCH, WARM_UP = 128, 5
NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "separable": Separable,
    "separable, half the channels": lambda: Separable(widths=(8, 16, 32, 48)),
    "LeNet-5 with batch norm": lambda: LeNet5(norm=True),
}
SIDES = {
    "as it was": ("contiguous", False),
    "kept": ("contiguous", True),
    "channels last": ("channels_last", False),
    "both": ("channels_last", True),
}
METHOD = (
    "{steps} training steps (forward, backward, fused AdamW) on random batches of 128 images with one thread, each "
    "side in a process of its own, in turn; medians of the ratios within each of {rounds} rounds (quartiles)."
)


Seconds = Mapping[str, list[float]]


def run(data: Dataset, *, quick: bool) -> Report:
    """All sides for each network."""
    steps, rounds = (3, 2) if quick else (60, 9)
    with tempfile.TemporaryDirectory(prefix="niwaki-") as name:
        file = Path(name) / "images.npz"
        np.savez(file, images=data.train.images[:10_000], labels=data.train.labels[:10_000])
        seconds = {
            network: take_turns({side: _Child(file, network, side, steps) for side in SIDES}, rounds, warm_up=False)
            for network in NETWORKS
        }
    return report(seconds, steps)


def report(seconds: Mapping[str, Seconds], steps: int) -> Report:
    """The table, from what each side took for its steps in each round."""
    rows, figures, rounds = [], {}, 0
    for network, taken in seconds.items():
        first, *others = SIDES
        gained = {side: ratios(taken[first], taken[side]) for side in others}
        each, rounds = 1e3 * spread(taken[first]).median / steps, len(taken[first])
        rows.append((network, f"{each:.1f}", *map(str, gained.values())))
        figures[network] = {"ms": each} | {side: vars(ratio) for side, ratio in gained.items()}
    table = Table(
        "Milliseconds of a training step, and how many times as fast it is",
        ("network", "as it was", "memory kept", "channels last", "both"),
        tuple(rows),
    )
    return Report(
        "Memory in training",
        METHOD.format(steps=steps, rounds=rounds),
        "python -m benchmarks memory",
        (table,),
        ("Workers always keep freed memory: the same bits. A search trains depthwise networks with channels last.",),
        figures,
    )


class _Child:
    """A side: its process reports how long the steps took."""

    def __init__(self, file: Path, network: str, side: str, steps: int) -> None:
        self.command = [sys.executable, "-m", "benchmarks.memory", str(file), network, side, str(steps)]

    def __call__(self) -> float:
        return float(subprocess.run(self.command, check=True, capture_output=True, text=True).stdout)


def _steps(file: Path, network: str, side: str, steps: int) -> float:
    """Seconds of so many training steps, after a few untimed ones."""
    memory_format, kept = SIDES[side]
    if kept:
        keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(file) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    model = NETWORKS[network]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    begun = 0.0
    with stored_as(memory_format, model):
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                begun = time.perf_counter()
            chosen = torch.randint(0, len(labels), (BATCH,))
            pixels = images.index_select(0, chosen).to(torch.float32).div_(255)
            loss = F.cross_entropy(model(laid_out(pixels, memory_format)), labels.index_select(0, chosen))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - begun


if __name__ == "__main__":
    file, network, side, steps = sys.argv[1:]
    print(_steps(Path(file), network, side, int(steps)))
