"""What four kinds of networks lose from float to integers: SiLU, squeeze and excitation, layer norm, attention.

Each is trained on Fashion-MNIST, exported to C, and asked about every test image. Nothing here depends on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import niwaki
from benchmarks.int8_networks import NETWORKS
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset, Split
from niwaki.measure.accuracy import evaluate
from niwaki.models.factory import build_seeded
from niwaki.study.structure import one_thread

COMMAND = "python -m benchmarks int8-accuracy"
SEED, EPOCHS, QUICK = 0, 2, 2000
RECIPE = {"batch_size": 64, "optimizer": "adamw", "weight_decay": 0.01, "schedule": "one-cycle", "lr": 4e-3}
GOAL = 1.0  # points of test accuracy
METHOD = (
    f"trained on 55,000 images, {EPOCHS} epochs (AdamW, one-cycle, batch {RECIPE['batch_size']}), one seed; exported "
    "with niwaki's own settings, calibrated on training images; accuracy on all 10,000 test images, of torch in float "
    "and of the compiled C."
)


@dataclass(frozen=True)
class Loss:
    """Of one trained network: its accuracy on the test images in percent, in float and as C."""

    network: str
    parameters: int
    constants: int
    exact: float
    integers: float

    @property
    def lost(self) -> float:
        """In points."""
        return self.exact - self.integers


def run(data: Dataset, *, quick: bool, folder: Path) -> Report:
    """All networks; quick: of few images, after one epoch. What is trained in the folder is not trained again."""
    if quick:
        data = replace(data, train=_first(data.train, QUICK), test=_first(data.test, QUICK))
    return report([measure(name, 1 if quick else EPOCHS, data, folder) for name in NETWORKS])


def _first(part: Split, count: int) -> Split:
    return Split(part.images[:count], part.labels[:count])


def measure(name: str, epochs: int, data: Dataset, folder: Path) -> Loss:
    """Train a network, or take it from the folder, and compare its forms."""
    make = NETWORKS[name].__name__
    place = folder / f"{make}-{SEED}-{epochs}"
    file = place / "model.safetensors"
    if not file.exists():
        train(make, epochs, data, file)
    model = niwaki.load(file, trust=True)
    exported = niwaki.export(file, place / "out", to=("onnx-int8", "c"), data=data.name, trust=True)
    test = data.test
    integers = evaluate(niwaki.load_c(place / "out" / "c"), test.images, test.labels, data.num_classes)
    constants = exported.footprint.constant_bytes if exported.footprint else 0
    parameters = sum(each.numel() for each in model.parameters())
    return Loss(name, parameters, constants, niwaki.evaluate(model, data).accuracy, integers.accuracy)


def train(make: str, epochs: int, data: Dataset, file: Path) -> None:
    """The model file of a network after so many epochs, in one thread."""
    factory = f"benchmarks.int8_networks:{make}"
    model = build_seeded(factory, {}, SEED, trust=True)
    with one_thread():
        niwaki.train(model, data, epochs, seed=SEED, **RECIPE)
    file.parent.mkdir(parents=True, exist_ok=True)
    niwaki.save(model, file, factory=factory, data=data)


def report(losses: Sequence[Loss]) -> Report:
    """A row for each network, and whether each keeps to the goal."""
    rows = tuple(
        (loss.network, f"{loss.parameters:,}", f"{loss.constants:,}", f"{loss.exact:.2f}", f"{loss.integers:.2f}",
         f"{loss.lost:.2f}")
        for loss in losses
    )  # fmt: skip
    worst = max(losses, key=lambda loss: loss.lost)
    verdict = "met" if worst.lost <= GOAL else "MISSED"
    columns = ("network", "parameters", "constants", "float", "C", "points lost")
    return Report(
        "From float to integers",
        METHOD,
        COMMAND,
        (Table("Percent of the test images, and bytes of the C's constants", columns, rows),),
        (f"At most {worst.lost:.2f} points are lost ({worst.network}); goal: at most {GOAL:g} ({verdict}).",),
        {loss.network: asdict(loss) for loss in losses},
    )
