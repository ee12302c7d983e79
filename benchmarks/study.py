"""The source study with its controls: niwaki with two workers against a plain script, one trial after the other.

The plain script decodes images with PIL as they are needed, has a DataLoader, torch's default threads and torch's own
Adam. Neither side is run completely. For every structure that the study trains, both train slices, in turn: the plain
script alone, with torch's default threads and with one; one worker of niwaki's alone; two at once. Seconds per image
times the epochs of the study's plan give the sums. Evaluation, pruning and storing are left out on both sides; `--wall`
compares the script's sum with the real time of `niwaki study run source --jobs 2`, which includes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from benchmarks import trials
from benchmarks.crew import JOBS, TRIAL, Crew
from benchmarks.pairs import Spread, ratios, spread
from benchmarks.report import Report, Table
from benchmarks.trials import Widths
from niwaki.data.dataset import Dataset
from niwaki.study.plan import Plan, make_plan
from niwaki.study.spec import load_spec

GOAL, FLOOR = 5.0, 3.5
METHOD = (
    "both sides train {images:,} images of each of the {structures} structures that the study trains, in turn, "
    "{rounds} rounds, after a warm-up: the plain script (PIL, DataLoader, Adam) with torch's default threads and with "
    "one, niwaki's fit alone with one thread, and two of those at once. Seconds per image times the epochs of the plan "
    "over {train:,} images. Evaluation, pruning and storing are left out on both sides. Medians over the rounds "
    "(quartiles)."
)


@dataclass(frozen=True)
class Round:
    """Seconds per image of one round, by structure."""

    plain: dict[Widths, float]
    single: dict[Widths, float]
    alone: dict[Widths, float]
    together: dict[Widths, float]


@dataclass(frozen=True)
class Work:
    """A way to get through the study: the epochs that it trains, by structure."""

    title: str
    epochs: Counter[Widths]

    def seconds(self, per_image: Mapping[Widths, float], images: int) -> float:
        """Its time, given the seconds per image of each structure, with `images` per epoch."""
        return sum(epochs * images * per_image[widths] for widths, epochs in self.epochs.items())


@dataclass(frozen=True)
class Breakdown:
    """The sources of the speed-up over a script; the total is the product of the factors."""

    threads: Spread
    loop: Spread
    sharing: Spread
    workers: Spread
    total: Spread
    single: Spread  # the total, compared with the script with one thread


def run(data: Dataset, *, quick: bool, wall: float | None) -> Report:
    """The speed-up over the script, where it comes from, and a check of the slices on a whole trial."""
    slice_images, rounds, trial_images = (96, 2, 320) if quick else (1600, 5, 8000)
    plan = make_plan(load_spec("source")[0], data="", environment={})
    widths = trials.widths_of_stages(plan, data.input_shape)
    scripts, shared = ways_through(plan, widths)
    structures = sorted({found for work in (*scripts, shared) for found in work.epochs}, reverse=True)
    with Crew() as crew:
        measured = [measure(crew, structures, slice_images, backwards=turn % 2 == 1) for turn in range(rounds)]
        whole = {who: crew.trial(who, trial_images) for who in ("plain", "plain, 1 thread", "niwaki")}
    images = len(data.train)
    found = [breakdown(measured, work, shared, images) for work in scripts]
    sums = [spread([work.seconds(turn.plain, images) for turn in measured]) for work in scripts]
    ours = spread([shared.seconds(turn.together, images) for turn in measured])
    checked = _check(measured, whole, _structures_of_trial(plan, widths), trial_images)
    return Report(
        "The source study against a plain script",
        METHOD.format(images=slice_images, structures=len(structures), rounds=rounds, train=images),
        "python -m benchmarks study" + (f" --wall {wall:g}" if wall else ""),
        (_sums(scripts, sums, shared, ours, wall), _where_from(scripts, found), checked),
        _findings(scripts, found, sums, wall),
        {
            "epochs": {work.title: work.epochs.total() for work in (*scripts, shared)},
            "seconds": {
                work.title: asdict(value) for work, value in zip((*scripts, shared), (*sums, ours), strict=True)
            },
            "speedups": {work.title: asdict(value) for work, value in zip(scripts, found, strict=True)},
            "whole_trial_s": whole,
            "wall_s": wall,
        },
    )


def ways_through(plan: Plan, widths: dict[str, Widths]) -> tuple[tuple[Work, ...], Work]:
    """What a script trains, from the simplest to the most careful one, and what niwaki trains."""

    def work(title: str, stages: Counter[str]) -> Work:
        return Work(title, trials.epochs_by_widths(plan, stages, widths))

    scripts = (
        work("A script, every trial", trials.every_trial(plan)),
        work("B script, distinct trials", trials.distinct_trials(plan)),
        work("C script, base kept too", trials.distinct_stages(plan)),
    )
    return scripts, work(f"niwaki, {JOBS} workers", trials.distinct_stages(plan))


def measure(crew: Crew, structures: Sequence[Widths], images: int, *, backwards: bool) -> Round:
    """One round: every structure, on every side; backwards in the order of both."""
    sides = {"plain": crew.plain, "single": crew.single, "alone": crew.alone, "together": crew.together}
    found: dict[str, dict[Widths, float]] = {name: {} for name in sides}
    step = -1 if backwards else 1
    for widths in structures[::step]:
        for name in list(sides)[::step]:
            found[name][widths] = sides[name](widths, images)
    return Round(**found)


def breakdown(measured: Iterable[Round], script: Work, shared: Work, images: int) -> Breakdown:
    """The speed-up over a script, and its factors: torch's threads, the loop, shared stages, two workers at once."""
    plain, single, ours, less, both = [], [], [], [], []
    for turn in measured:
        plain.append(script.seconds(turn.plain, images))
        single.append(script.seconds(turn.single, images))
        ours.append(script.seconds(turn.alone, images))
        less.append(shared.seconds(turn.alone, images))
        both.append(shared.seconds(turn.together, images))
    steps = (plain, single, ours, less, both)
    return Breakdown(
        *(ratios(above, below) for above, below in pairwise(steps)),
        total=ratios(plain, both),
        single=ratios(single, both),
    )


def _sums(scripts: Sequence[Work], sums: Sequence[Spread], shared: Work, ours: Spread, wall: float | None) -> Table:
    rows = [
        (work.title, str(work.epochs.total()), f"{took.median:.0f} ({took.low:.0f}–{took.high:.0f})")
        for work, took in zip((*scripts, shared), (*sums, ours), strict=True)
    ]
    if wall is not None:
        rows.append(("niwaki, the real run", str(shared.epochs.total()), f"{wall:.0f}"))
    return Table("Seconds for the whole study", ("", "epochs", "seconds"), tuple(rows))


def _where_from(scripts: Sequence[Work], found: Sequence[Breakdown]) -> Table:
    rows = tuple(
        (work.title, *map(str, (value.threads, value.loop, value.sharing, value.workers, value.total, value.single)))
        for work, value in zip(scripts, found, strict=True)
    )
    columns = ("niwaki against", "threads", "× loop", "× sharing", "× workers", "= total", "script with 1 thread")
    return Table("Where the speed-up comes from", columns, rows)


def _check(measured: Sequence[Round], whole: Mapping[str, float], stages: Sequence[Widths], images: int) -> Table:
    """A whole trial, including pruning, compared with the prediction from the slices."""
    work = Work("", Counter(stages))
    foretold = {
        "plain": spread([work.seconds(turn.plain, images) for turn in measured]).median,
        "plain, 1 thread": spread([work.seconds(turn.single, images) for turn in measured]).median,
        "niwaki": spread([work.seconds(turn.alone, images) for turn in measured]).median,
    }
    rows = tuple(
        (who, f"{took:.2f}", f"{foretold[who]:.2f}", f"{took / foretold[who]:.3f}") for who, took in whole.items()
    )
    title = (
        f"Check: the trial at {TRIAL['ratio']:.0%} whole, pruning included, {images:,} images per stage, one process"
    )
    return Table(title, ("", "seconds", "by the slices", "ratio"), rows)


def _structures_of_trial(plan: Plan, widths: dict[str, Widths]) -> list[Widths]:
    """What the trial that is run completely trains, in order."""
    trial = next(trial for trial in plan.trials if trial.experiment == "ratio" and trial.value == TRIAL["ratio"])
    return [widths[key] for key in trial.stages if plan.stages[key].epochs]


def _findings(
    scripts: Sequence[Work], found: Sequence[Breakdown], sums: Sequence[Spread], wall: float | None
) -> tuple[str, ...]:
    def verdict(speedup: float) -> str:
        if speedup >= GOAL:
            return f"the goal of {GOAL:g} is met"
        return f"below the goal of {GOAL:g}, " + ("above" if speedup >= FLOOR else "BELOW") + f" the floor of {FLOOR:g}"

    lines = [
        f"{work.title}: niwaki is {value.total.median:.2f} times as fast ({verdict(value.total.median)}); "
        f"with one thread for the script {value.single.median:.2f} times."
        for work, value in zip(scripts, found, strict=True)
    ]
    if wall is not None:
        lines += [
            f"{work.title}: against the real run, which evaluates, prunes and stores as well, "
            f"{value.median / wall:.2f} times ({verdict(value.median / wall)})."
            for work, value in zip(scripts, sums, strict=True)
        ]
    lines.append(
        "A trains every trial of (a) to (d), (f) and both controls by itself, (e) and (g) being printed from (f), and "
        "the controls from scratch at widths known beforehand; B trains a trial that several tables ask for once; C "
        "also keeps what trials begin with in common, by hand, as niwaki does by itself."
    )
    return tuple(lines)
