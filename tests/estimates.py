"""Fit src/niwaki/emit/estimates to compiled and emulated candidates: `python -m tests.estimates TARGET`.

`--kept FILE` keeps what was measured, a line a candidate, so that an interrupted run goes on. Nothing depends on the
machine but which compiler it has: its version is in the result.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from niwaki.data.preprocessing import Preprocessing
from niwaki.emit import estimate
from niwaki.emit.generate import generate_within, least_ram
from niwaki.emit.work import STRIPES, Work, work_of
from niwaki.models import factory as factories
from niwaki.models.modelfile import ModelInfo
from niwaki.search.blueprint import Blueprint
from niwaki.search.groups import blueprint_of
from niwaki.search.measured import measure
from niwaki.toolchain.targets import find_target

sys.path.insert(0, str(Path(__file__).parent))  # for the factory of the residual network

FOLDER = Path(estimate.__file__).parent / "estimates"
TUNED = ("cortex-m4", "cortex-m7")
NETWORKS = {
    "lenet5": ("lenet5", {}, (1, 32, 32)),
    "lenet5 in colour": ("lenet5", {"norm": True, "in_channels": 3}, (3, 32, 32)),
    "separable": ("separable", {}, (1, 32, 32)),
    "separable, shallow": ("separable", {"widths": [16, 24, 48], "depth": 1, "in_channels": 3}, (3, 32, 32)),
    "residual": ("networks:ResidualNet", {"width": 16}, (1, 28, 28)),
    "residual in colour": ("networks:ResidualNet", {"width": 12, "channels": 3}, (3, 32, 32)),
}
FITTED, LEFT_OUT = 1, 2  # seeds of the candidates
ROUNDS = 25  # candidates of each network
FOLDS = 10


@dataclass(frozen=True)
class Candidate:
    """A network with some widths and bits."""

    network: str
    widths: dict[str, int]
    bits: dict[str, int]
    striped: bool = False
    """Whether it takes the least RAM that it can, by stripes of rows."""

    @property
    def ram_limit(self) -> int | None:
        return least_ram(self.graph) if self.striped else None

    @property
    def graph(self):
        """Its integer graph, with made-up weights."""
        return blueprint(self.network).graph(self.widths, self.bits)


@cache
def blueprint(network: str) -> Blueprint:
    factory, args, shape = NETWORKS[network]
    model = factories.build_seeded(factory, args, 0, trust=True)
    info = ModelInfo(
        factory=factory, args=dict(args), input_shape=shape, labels=tuple(map(str, range(10))),
        preprocessing=Preprocessing(color="grey" if shape[0] == 1 else "rgb"),
    )  # fmt: skip
    return blueprint_of(model, info)


def candidates(seed: int, rounds: int, networks: tuple[str, ...] = tuple(NETWORKS)) -> Iterator[Candidate]:
    """Widths spread over a factor of ten; a third with 8 bits, a third with mixed bits, a third with few."""
    draw = np.random.default_rng(seed)
    for number in range(rounds):
        for network in networks:
            known = blueprint(network)
            widths = {
                group.name: max(1, round(group.width / group.parts * float(np.exp(draw.uniform(np.log(0.1), 0)))))
                * group.parts
                for group in known.groups
            }
            kind = draw.integers(3)
            bits = {
                layer: 8 if kind == 0 else int(draw.choice([8, 4, 2])) if kind == 1 else (4, 2)[number % 2]
                for layer in known.layers
            }
            yield Candidate(network, widths, bits)
            if number % 3 == 0:
                yield Candidate(network, widths, bits, striped=True)


def works_of(candidate: Candidate, *, tuned: bool) -> tuple[list[Work], int]:
    """What its kernels do, and the bytes of its constants."""
    graph = candidate.graph
    made = generate_within(graph, candidate.ram_limit)
    return work_of(graph, made.program, tuned=tuned), made.report.constant_bytes


def measured(target: str, kept: Path | None) -> Iterator[tuple[Candidate, dict[str, float]]]:
    known = {}
    if kept is not None and kept.is_file():
        for line in kept.read_text().splitlines():
            entry = json.loads(line)
            known[json.dumps(entry["candidate"])] = entry["measured"]
    for candidate in candidates(FITTED, ROUNDS):
        name = json.dumps(vars(candidate))
        if name not in known:
            known[name] = measure(candidate.graph, target, instructions=True, ram_limit=candidate.ram_limit)
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps({"candidate": vars(candidate), "measured": known[name]}) + "\n")
        yield candidate, known[name]


def not_negative(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least squares of relative errors without negative coefficients (Lawson and Hanson, 1974)."""
    scaled = rows / values[:, None]
    size = np.abs(scaled).max(axis=0) + 1e-12
    a = scaled / size
    products, sums = a.T @ a + 1e-9 * np.eye(a.shape[1]), a.sum(axis=0)
    found, used = np.zeros(a.shape[1]), np.zeros(a.shape[1], bool)
    for _ in range(3 * a.shape[1]):
        slope = np.where(used, -np.inf, sums - products @ found)
        if slope.max() <= 1e-9:
            break
        used[slope.argmax()] = True
        while True:
            best = np.zeros_like(found)
            best[used] = np.linalg.solve(products[np.ix_(used, used)], sums[used])
            if best[used].min() > 0:
                found = best
                break
            low = used & (best <= 0)
            step = (found[low] / (found[low] - best[low] + 1e-30)).min()
            found = found + step * (best - found)
            used &= found > 1e-12
            found[~used] = 0
    return found / size


def ridge(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least squares of relative errors, a little towards zero: kernels come together."""
    scaled = rows / values[:, None]
    size = np.abs(scaled).max(axis=0) + 1e-12
    a = scaled / size
    return np.linalg.solve(a.T @ a + 0.05 * np.eye(a.shape[1]), a.T @ np.ones(len(values))) / size


def stacks(works: list[list[Work]], values: np.ndarray) -> dict[str, float]:
    """Beside its array, what a kernel takes: the median where it decides; and a loop by stripes of rows, beneath it."""
    plain = [not any(work.way == STRIPES for work in each) for each in works]
    beside: dict[str, float] = {}
    for _ in range(20):
        found: dict[str, list[float]] = {}
        for each, value in itertools.compress(zip(works, values, strict=True), plain):
            decides = max(each, key=lambda work: work.array + beside.get(work.way, 0.0))
            found.setdefault(decides.way, []).append(value - decides.array)
        beside |= {way: float(np.median(rest)) for way, rest in found.items()}
    striped = [not each for each in plain]
    more = [value - estimate.deepest(beside, each)
            for each, value in itertools.compress(zip(works, values, strict=True), striped)]  # fmt: skip
    return beside | ({STRIPES: float(np.median(more))} if more else {})


class Fit:
    """The coefficients from some candidates, and what they say of others."""

    def __init__(self, works: list[list[Work]], constants: np.ndarray, figures: dict[str, np.ndarray]) -> None:
        self.instructions = self._fitted(works, figures["instructions"], estimate.instruction_counts, not_negative)
        self.code = self._fitted(works, figures["flash"] - constants, estimate.code_counts, ridge)
        self.stack = stacks(works, figures["stack"])

    @staticmethod
    def _fitted(works, values, counts, solve) -> dict[str, float]:
        found = [counts(each) for each in works]
        names = sorted({name for each in found for name in each})
        rows = np.array([[each[name] for name in names] for each in found], float)
        solved = zip(names, solve(rows, values).tolist(), strict=True)
        return {name: float(f"{value:.5g}") for name, value in solved if value}

    def of(self, works: list[Work], constants: int) -> dict[str, float]:
        def total(coefficients, counts):
            return sum(coefficients.get(name, 0) * count for name, count in counts.items())

        code = total(self.code, estimate.code_counts(works))
        return {
            "instructions": total(self.instructions, estimate.instruction_counts(works)), "code": code,
            "flash": constants + code, "stack": estimate.deepest(self.stack, works),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--kept", type=Path)
    options = parser.parse_args()
    tuned = options.target in TUNED
    pairs = list(measured(options.target, options.kept))
    works, constants = map(list, zip(*(works_of(candidate, tuned=tuned) for candidate, _ in pairs), strict=True))
    figures = {name: np.array([found[name] for _, found in pairs]) for name in ("flash", "stack", "instructions")}
    figures["code"] = figures["flash"] - constants
    names = [json.dumps([one.network, one.widths, one.bits]) for one, _ in pairs]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    fold = np.array([order[name] for name in names]) // len(NETWORKS) % FOLDS  # with and without stripes together
    ratios: dict[str, list[float]] = {name: [] for name in figures}
    for number in range(FOLDS):
        inside = np.flatnonzero(fold != number)
        fit = Fit([works[i] for i in inside], np.array(constants)[inside],
                  {name: values[inside] for name, values in figures.items()})  # fmt: skip
        for i in np.flatnonzero(fold == number):
            for name, value in fit.of(works[i], constants[i]).items():
                ratios[name].append(figures[name][i] / value)
    whole = Fit(works, np.array(constants), figures)
    said = subprocess.run(
        [find_target(options.target).compiler, "--version"], capture_output=True, text=True, check=True
    )
    report = {
        "command": f"python -m tests.estimates {options.target}", "compiler": said.stdout.splitlines()[0],
        "candidates": len(pairs), "networks": len(NETWORKS), "tuned": tuned,
        "off": {name: _quantiles(np.abs(np.array(found) - 1)) for name, found in ratios.items()},
        "margins": {name: round(max(float(np.quantile(found, 0.95)) - 1, 0), 3) for name, found in ratios.items()},
        "instructions": whole.instructions, "code": whole.code, "stack": whole.stack,
    }  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{options.target}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["off"], indent=1), report["margins"])


def _quantiles(found: np.ndarray) -> dict[str, float]:
    return {name: round(float(np.quantile(found, at)), 4) for name, at in (("half", 0.5), ("95 %", 0.95), ("all", 1.0))}


if __name__ == "__main__":
    main()
