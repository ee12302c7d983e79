"""niwaki's own cost over a bare training loop of the same batches (goal: at most 3 %).

Slices of one epoch over the same images, in one process with one thread, the sides in turn and every second round
backwards; the ratio is taken within each round. What `fit` does once per call (the optimizer, the random state, the
kernels) counts against a short slice here, and is spread over whole epochs in a study.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from benchmarks.loops import BATCH, LR, as_usual, same_kernels
from benchmarks.pairs import Side, ratios, spread, take_turns
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset, Split
from niwaki.models.lenet5 import LeNet5
from niwaki.randomness import derive_seed
from niwaki.study.structure import one_thread
from niwaki.training.settings import TrainSettings
from niwaki.training.train import fit

GOAL = 1.03
WIDTHS = {"base": (6, 16, 120, 84), "60 %": (2, 6, 48, 33)}
SEED = derive_seed(0, "train", 0, 0)  # the order in which `fit` takes the images of its first epoch
METHOD = (
    "one epoch over the same {images:,} images in the same order (batch 32, Adam, evaluation left out), one process, "
    "one thread; the sides in turn, every second round backwards; medians of the ratios within each of {rounds} rounds "
    "(quartiles)."
)


def run(data: Dataset, *, quick: bool) -> Report:
    """`fit` compared with both bare loops, for the base network and the one pruned by 60 %."""
    images, rounds = (640, 3) if quick else (6400, 30)
    part = Split(data.train.images[:images].copy(), data.train.labels[:images].copy())
    rows, figures = [], {}
    with one_thread():
        for name, widths in WIDTHS.items():
            seconds = take_turns(sides(data, part, widths), rounds)
            found = {
                "fit/same kernels": ratios(seconds["fit"], seconds["same kernels"]),
                "fit/as usual": ratios(seconds["fit"], seconds["as usual"]),
                "noise": ratios(seconds["same kernels again"], seconds["same kernels"]),
            }
            per_image = spread([1e6 * value / images for value in seconds["fit"]]).median
            rows.append((name, str(widths), f"{per_image:.1f}", *map(str, found.values())))
            figures[name] = {"us_per_image": per_image, **{key: vars(value) for key, value in found.items()}}
    worst = max(figures[name]["fit/same kernels"]["median"] for name in WIDTHS)
    table = Table(
        "Seconds of fit by seconds of a bare loop",
        ("network", "widths", "fit µs/image", "a/b same kernels", "a/c as usual", "noise b/b"),
        tuple(rows),
    )
    return Report(
        "Overhead of the training loop",
        METHOD.format(images=images, rounds=rounds),
        "python -m benchmarks overhead",
        (table,),
        (f"Over the same kernels fit costs {100 * (worst - 1):+.1f} % at the worst; goal: at most +3 %"
         f" ({'met' if worst <= GOAL else 'MISSED'}).",
         "a: niwaki's fit. b: a bare loop with fit's kernels and optimizer. c: a bare loop as people write it:"
         " resident float images, torch's own Adam and convolutions. Below 1, fit is the faster one."),
        figures,
    )  # fmt: skip


def sides(data: Dataset, part: Split, widths: tuple[int, ...]) -> dict[str, Side]:
    """Each way to train a fresh network for one epoch over `part`."""
    pixels, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    floats = pixels.to(torch.float32).div(255)
    settings = TrainSettings(epochs=1, batch_size=BATCH, lr=LR)

    def timed(train: Callable[[LeNet5], object]) -> float:
        model = LeNet5(widths, image_size=part.images.shape[-1])
        begun = time.perf_counter()
        train(model)
        return time.perf_counter() - begun

    def bare() -> float:
        return timed(lambda model: same_kernels(model, pixels, labels, SEED))

    return {
        "fit": lambda: timed(lambda model: fit(model, part, data.preprocessing, settings)),
        "same kernels": bare,
        "as usual": lambda: timed(lambda model: as_usual(model, floats, labels, SEED)),
        "same kernels again": bare,
    }
