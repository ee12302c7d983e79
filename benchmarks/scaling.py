"""How time grows: with workers and trials in real small studies, and the driver's own work with very many trials.

Real studies over true images, in fresh folders: an epoch of training, then two pruning steps with two epochs of
fine-tuning each, at several learning rates. The time runs from the plan to the last stage in the store, including the
start of the workers, without the timing phase. The driver's work is measured without training.
"""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.pairs import ratios, spread, take_turns
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset
from niwaki.errors import NiwakiError
from niwaki.study.listener import Silent
from niwaki.study.plan import Plan, Stage, make_plan
from niwaki.study.records import Record
from niwaki.study.run import RunOptions, run_study, stored
from niwaki.study.spec import StudySpec, parse_spec
from niwaki.study.store import Store
from niwaki.study.structure import check_structures

JOBS = (1, 2)
METHOD = (
    "real studies over {images:,} true images ({values} values of finetune.lr, {epochs} epochs per stage), --jobs 1 "
    "and 2 in turn, {rounds} rounds in fresh folders; seconds from the plan to the last stage stored, the workers' "
    "start included. Medians (quartiles). The driver's work: the best of {repeats}, nothing trained."
)
STUDY = """
[data]
name = "fashion-mnist"
limit = {images}
validation = 1000
test_limit = 1000
[train]
epochs = {epochs}
[prune]
ratio = 0.5
steps = 2
[finetune]
epochs = {epochs}
[[experiment]]
name = "lr"
vary = {{ "finetune.lr" = {values} }}
"""


class Stopwatch(Silent):
    """A study's listener that measures the time from the plan to the last stage."""

    def __init__(self) -> None:
        self.stages = self.epochs = 0
        self.begun = self.seconds = 0.0

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """The driver begins."""
        self.stages, self.epochs = len(missing), plan.unique[1]
        self.begun = time.perf_counter()

    def finished(self, stage: Stage, record: Record) -> None:
        """So far; the last one counts."""
        if record.status != "done":
            raise NiwakiError(f"scaling: {stage.label} failed, so the time means nothing: {record.reason}")
        self.seconds = time.perf_counter() - self.begun


def run(data: Dataset, *, quick: bool) -> Report:
    """Small studies with one and two workers, then the driver alone with up to 10,000 stages."""
    images, epochs, values, rounds = (500, 1, (2, 4), 1) if quick else (4000, 2, (2, 4, 8), 2)
    sizes, repeats = ((100, 1000), 1) if quick else ((1000, 3000, 10_000), 3)
    studies, study_figures = _studies(images, epochs, values, rounds)
    driver, seconds = _driver(data, sizes, repeats)
    growth = (seconds[sizes[-1]] / seconds[sizes[0]]) / (sizes[-1] / sizes[0])
    return Report(
        "How time grows",
        METHOD.format(images=images, values="/".join(map(str, values)), epochs=epochs, rounds=rounds, repeats=repeats),
        "python -m benchmarks scaling",
        (studies, driver),
        (f"From {sizes[0]:,} to {sizes[-1]:,} stages the driver's work per stage grows by a factor of {growth:.2f}.",),
        {"studies": study_figures, "driver_s": {str(size): value for size, value in seconds.items()}},
    )


def study_of(values: int, images: int, epochs: int) -> StudySpec:
    """A study over a number of values of finetune.lr: 2 + 3 · values stages."""
    rates = [1e-4 * (1 + index / values) for index in range(values)]
    return parse_spec(STUDY.format(images=images, epochs=epochs, values=rates), "scaling")


def _studies(images: int, epochs: int, counts: tuple[int, ...], rounds: int) -> tuple[Table, dict[str, Any]]:
    rows, figures = [], {}
    for count in counts:
        spec, watch = study_of(count, images, epochs), Stopwatch()
        sides = {str(jobs): lambda spec=spec, jobs=jobs, watch=watch: run_once(spec, jobs, watch) for jobs in JOBS}
        seconds = take_turns(sides, rounds, warm_up=False)
        speedup = ratios(seconds["1"], seconds["2"])
        for jobs, took in seconds.items():
            median = spread(took).median
            per_epoch, per_stage = f"{median / watch.epochs:.3f}", f"{median / watch.stages:.3f}"
            sizes = (str(count), jobs, str(watch.stages), str(watch.epochs))
            rows.append((*sizes, f"{median:.2f}", per_epoch, per_stage, "1" if jobs == "1" else str(speedup)))
        figures[str(count)] = {
            "stages": watch.stages, "epochs": watch.epochs, "seconds": seconds, "speedup": vars(speedup)
        }  # fmt: skip
    columns = ("values", "jobs", "stages", "epochs", "seconds", "s/epoch", "s/stage", "speed-up")
    return Table("Small studies", columns, tuple(rows)), figures


def run_once(spec: StudySpec, jobs: int, watch: Stopwatch) -> float:
    """Seconds that the stages of a study take in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="niwaki-scaling-") as folder:
        result = run_study(spec, RunOptions(Path(folder), jobs=jobs), watch)
    if result.failed:
        raise NiwakiError(f"scaling: the time means nothing, since stages were lost: {'; '.join(result.lost.values())}")
    return watch.seconds


def _driver(data: Dataset, sizes: tuple[int, ...], repeats: int) -> tuple[Table, dict[int, float]]:
    rows, totals = [], {}
    for size in sizes:
        tries = [driver_seconds(data, size) for _ in range(repeats)]
        best = {part: min(one[part] for one in tries) for part in tries[0]}
        totals[size] = sum(best.values())
        shown = (f"{value:.3f}" for value in (*best.values(), totals[size]))
        rows.append((f"{size:,}", *shown, f"{1e6 * totals[size] / size:.0f}"))
    columns = ("stages", "read the study", "plan", "structures", "look in store", "seconds", "µs/stage")
    return Table("The driver's work before anything is trained", columns, tuple(rows)), totals


def driver_seconds(data: Dataset, stages: int) -> dict[str, float]:
    """Seconds of each thing that the driver does for a study of about this many stages, with an empty store."""
    clock = [time.perf_counter()]
    spec = study_of(max(1, round((stages - 2) / 3)), len(data.train), 1)
    clock.append(time.perf_counter())
    plan = make_plan(spec, data=data.fingerprint, environment={})
    clock.append(time.perf_counter())
    check_structures(plan, data.input_shape, trust=False)
    clock.append(time.perf_counter())
    with tempfile.TemporaryDirectory(prefix="niwaki-scaling-") as folder:
        stored(Store(Path(folder)), plan)
        clock.append(time.perf_counter())
    parts = ("read", "plan", "structures", "look")
    return {part: after - before for part, (before, after) in zip(parts, pairwise(clock), strict=True)}
