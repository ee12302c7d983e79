"""What a search finds: against random proposals of equal cost, and in half the bytes of other networks on other data.

Searches are kept in a folder: what was searched there is not searched again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import niwaki
from benchmarks.report import Report, Table
from benchmarks.search_data import write_syllables
from niwaki.data.dataset import Dataset
from niwaki.measure.accuracy import evaluate
from niwaki.models.factory import build_seeded
from niwaki.study.structure import one_thread

COMMAND = "python -m benchmarks search"
BUDGETS = (16, 8, 4, 2)  # KB
SEEDS, TRIALS, IMAGES = 5, 32, 12_000
SAMPLERS: tuple[Literal["tpe", "random"], ...] = ("tpe", "random")
FINAL_EPOCHS, FINALISTS = 15, 2
HALF_TRIALS, HALF_EPOCHS, GOAL = 16, 20, 1.0  # points
RECIPE = {
    "batch_size": 128, "optimizer": "adamw", "lr": 1e-2, "weight_decay": 1e-2, "decay": "weights",
    "schedule": "one-cycle", "shift": 1,
}  # fmt: skip
METHOD = (
    "LeNet-5 on {images:,} images of Fashion-MNIST: one search for 16 KB with {trials} trials for each of {seeds} "
    "seeds and each sampler, finalists trained for {epochs} epochs with three seeds; the same folder answers the other "
    "budgets. Test accuracy of the integers, differences within a seed. Then model files of other networks, trained "
    "for {half_epochs} epochs, and searches for half of their constants with {half_trials} trials."
)


@dataclass(frozen=True)
class Half:
    """A network and what was found in half of its bytes: constants, and percent of the test images in integers."""

    network: str
    data: str
    whole_constants: int
    whole: float
    constants: int
    found: float

    @property
    def lost(self) -> float:
        """In points."""
        return self.whole - self.found


Found = Mapping[str, Mapping[int, Sequence[float]]]
"""Test accuracies, by sampler and by budget in KB, one for each seed."""


def run(data: Dataset, *, quick: bool, folder: Path) -> Report:
    """Both tables; quick: one seed, few trials of few images."""
    seeds, trials, images = (1, 2, 600) if quick else (SEEDS, TRIALS, IMAGES)
    found: dict[str, dict[int, list[float]]] = {sampler: {budget: [] for budget in BUDGETS} for sampler in SAMPLERS}
    for seed in range(seeds):
        for sampler in SAMPLERS:
            for budget, test in searched(data.name, sampler, seed, trials, images, folder).items():
                found[sampler][budget].append(test)
    return report(found, halves(folder, quick=quick), (trials, images), quick=quick)


def searched(
    name: str, sampler: Literal["tpe", "random"], seed: int, trials: int, images: int, folder: Path
) -> dict[int, float]:  # fmt: skip
    """The test accuracy for each budget, from one search."""
    space: dict[str, Any] = {
        "data": {"limit": images},
        "search": {"seed": seed, "final_epochs": FINAL_EPOCHS, "finalists": FINALISTS},
    }
    place, accuracies = folder / f"{sampler}-{seed}-{trials}-{images}", {}
    for budget in BUDGETS:
        asked = {"trials": trials} if budget == BUDGETS[0] else {}
        answer = niwaki.compress(
            "lenet5", name, fit=f"constants<={budget}KB", sampler=sampler, space=space, out=place, **asked
        )
        accuracies[budget] = _test(answer)
    return accuracies


def halves(folder: Path, *, quick: bool) -> list[Half]:
    """Each network, trained, and what is found in half of its constants."""
    syllables = folder / "syllables.npz"
    if not syllables.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_syllables(syllables, 20_000, 4_000)
    epochs, trials = _half_cost(quick=quick)
    grey: dict[str, Any] = {"limit": 600} if quick else {}
    colour: dict[str, Any] = {**grey, "preprocessing": {"color": "rgb", "pad": 2}}
    lenet = {"norm": True, "image_size": 28}
    return [
        _half("LeNet-5", "lenet5", lenet, (str(syllables), grey), (epochs, trials), folder),
        _half("residual", "benchmarks.search_data:Residual", {}, ("synthetic", colour), (epochs, trials), folder),
    ]


def _half(
    title: str, factory: str, args: Mapping[str, Any], drawn: tuple[str, dict[str, Any]], cost: tuple[int, int],
    folder: Path,
) -> Half:  # fmt: skip
    (name, settings), (epochs, trials) = drawn, cost
    data = niwaki.load_data(name, **settings)
    place = folder / f"{title}-{epochs}-{trials}"
    file = place / "whole.safetensors"
    if not file.is_file():
        model = build_seeded(factory, dict(args), 0, trust=True)
        with one_thread():
            niwaki.train(model, data, epochs, **RECIPE)
        place.mkdir(parents=True, exist_ok=True)
        niwaki.save(model, file, factory=factory, args=dict(args), data=data)
    written = niwaki.export(file, place / "whole", to=("onnx-int8", "c"), data=name, trust=True)
    constants = written.footprint.constant_bytes if written.footprint else 0
    test = data.test
    whole = evaluate(niwaki.load_c(place / "whole" / "c"), test.images, test.labels, data.num_classes)
    answer = niwaki.compress(
        file, name, fit=f"constants<={constants // 2}", trials=trials, out=place / "half", trust=True,
        space={"data": settings, "search": {"final_epochs": epochs}},
    )  # fmt: skip
    said = f"{Path(name).stem}, {len(test):,} test images"
    return Half(title, said, constants, whole.accuracy, answer.chosen.footprint.constant_bytes, _test(answer))


def _test(answer: Any) -> float:
    found = answer.chosen.test
    return float(found.accuracy) if found else float("nan")


def _half_cost(*, quick: bool) -> tuple[int, int]:
    """Epochs and trials of the second table."""
    return (1, 2) if quick else (HALF_EPOCHS, HALF_TRIALS)


def report(found: Found, other: Sequence[Half], asked: tuple[int, int], *, quick: bool = False) -> Report:
    """Both tables, and whether their goals are met; the searches had so many trials and training images."""
    seeds = len(found["tpe"][BUDGETS[0]])
    rows, figures, better, worse = [], {}, 0, 0
    for budget in BUDGETS:
        searched, control = found["tpe"][budget], found["random"][budget]
        gains = [one - another for one, another in zip(searched, control, strict=True)]
        gain, spread = fmean(gains), _spread(gains)
        better += gain > spread
        worse += gain < -spread
        rows.append((f"{budget} KB", _said(searched), _said(control), f"{gain:+.2f} ± {spread:.2f}"))
        figures[f"{budget} KB"] = {"tpe": list(searched), "random": list(control)}
    met = "met" if better >= 2 and not worse else "MISSED"
    lost = max(other, key=lambda one: one.lost)
    kept = "met" if lost.lost <= GOAL else "MISSED"
    halved = tuple(
        (one.network, one.data, f"{one.whole_constants:,}", f"{one.whole:.2f}", f"{one.constants:,}",
         f"{one.found:.2f}", f"{one.lost:+.2f}")
        for one in other
    )  # fmt: skip
    (trials, images), (half_epochs, half_trials) = asked, _half_cost(quick=quick)
    method = METHOD.format(
        images=images, trials=trials, seeds=seeds, epochs=FINAL_EPOCHS, half_epochs=half_epochs, half_trials=half_trials
    )
    return Report(
        "What a search finds",
        method,
        COMMAND,
        (
            Table("Percent of the test images", ("constants", "tpe", "random", "tpe − random"), tuple(rows)),
            Table(
                "In half the bytes",
                ("network", "data", "constants", "test %", "half", "test %", "lost"),
                halved,
            ),
        ),
        (
            f"Better than random by more than the spread in {better} of {len(BUDGETS)} budgets, worse in {worse}; "
            f"goal: better in two, worse in none ({met}).",
            f"At most {lost.lost:.2f} points are lost in half the bytes ({lost.network}); "
            f"goal: at most {GOAL:g} ({kept}).",
        ),
        {**figures, **{f"half of {one.network}": asdict(one) for one in other}},
    )


def _said(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} ± {_spread(values):.2f}"


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
