"""niwaki's C compared with other ways to run a small network: one image at a time, one thread, all in turn."""

from __future__ import annotations

import importlib.metadata
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.inference_limits import BUILDS, Peak
from benchmarks.inference_networks import IMAGES, LENET_WIDTHS, NAMES
from benchmarks.inference_race import MAKERS, OURS_INT8, Maker, Outcome, Race, measure
from benchmarks.peers import LOOPED
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset
from niwaki.toolchain.compiler import find_compiler

QUICK = ("LeNet-5, 60 %",)
GOALS = {**dict.fromkeys(NAMES, 1.0), **dict.fromkeys(LENET_WIDTHS, 4.0)}  # times as fast as the fastest peer
METHOD = (
    "batch 1, one thread, one pinned processor; for each network all contenders in turn, every second round backwards, "
    "each time a call that does not count and then calls for {ms:g} ms; medians over {rounds} rounds (quartiles), "
    "ratios within each round. Peers get a float image that lies ready; niwaki's C gets raw pixels and quantizes them. "
    "All C is compiled with -O3 -march=native. Weights are random; each contender is first compared with torch on "
    "{images} images. {versions}."
)


def run(data: Dataset, *, quick: bool, names: Sequence[str] | None = None, makers: Sequence[Maker] = MAKERS) -> Report:
    """All contenders that are available here on each network; quick: a small one, too short to mean anything."""
    rounds, sample_s = (3, 2e-4) if quick else (60, 2e-3)
    outcome = measure(data, names=names or (QUICK if quick else NAMES), makers=makers, rounds=rounds, sample_s=sample_s)
    tables = [times_table(race) for race in outcome.races]
    if outcome.peak:
        tables.append(limit_table(outcome.races, outcome.peak))
    tables.append(instructions_table(outcome.races))
    return Report(
        "Inference of small networks",
        METHOD.format(ms=1e3 * sample_s, rounds=rounds, images=IMAGES, versions=versions()),
        "python -m benchmarks inference",
        tuple(tables),
        tuple(findings(outcome)),
        figures(outcome),
    )


def versions() -> str:
    """Which peers these are, and which compiler built the C."""
    names = {"onnxruntime": "ONNX Runtime", "executorch": "ExecuTorch", "emx-onnx-cgen": "emx-onnx-cgen"}
    found = [f"{names[name]} {version}" for name in names if (version := _version(name))]
    compiler = find_compiler()
    if compiler:
        said = subprocess.run([*shlex.split(compiler), "--version"], capture_output=True, text=True, check=False).stdout
        found += said.splitlines()[:1]
    return ", ".join(found)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def times_table(race: Race) -> Table:
    """Microseconds of each contender, and its time relative to niwaki's."""
    rows = []
    for label in sorted(race.seconds, key=lambda label: (label.endswith(LOOPED), race.median_us(label))):
        ratio = race.ratio(label)
        like = f"{race.likeness[label]:.4f}" if label in race.likeness else ""
        rows.append((label, f"{race.median_us(label):.2f}", str(ratio) if ratio else "–", like))
    columns = ("contender", "µs", "times niwaki's C, called alike", "correlates with torch")
    return Table(f"{race.name} ({race.macs:,} MACs)", columns, tuple(rows))


def limit_table(races: Sequence[Race], peak: Peak) -> Table:
    """niwaki's loop in C beside the time that the multiply-accumulates alone would take."""
    rows = []
    for race in races:
        label, limit = OURS_INT8 + LOOPED, race.macs / peak.macs_per_ns / 1e3
        if label in race.seconds:
            us = race.median_us(label)
            rate = race.macs / us / 1e3
            rows.append((race.name, f"{race.macs:,}", f"{limit:.2f}", f"{us:.2f}", f"{rate:.1f}", f"{limit / us:.1%}"))
    title = (
        f"Distance to the arithmetic limit: {peak.unit}, measured {peak.macs_per_ns:.1f} MACs/ns "
        f"= {peak.macs_per_cycle:.1f} per cycle at {peak.cycles_per_ns:.2f} GHz"
    )
    return Table(title, ("network", "MACs", "limit µs", "niwaki's loop in C µs", "MACs/ns", "reached"), tuple(rows))


def instructions_table(races: Sequence[Race]) -> Table:
    """Instructions of one inference of niwaki's C, and how many MACs one instruction stands for."""
    rows = []
    for race in races:
        cells = [race.name]
        for build in BUILDS:
            number = race.instructions.get(build)
            cells += ["–", "–"] if number is None else [f"{number:,}", f"{race.macs / number:.2f}"]
        rows.append(tuple(cells))
    columns = ("network", *(text for build in BUILDS for text in (build, "MACs each")))
    return Table("Instructions of one inference (callgrind)", columns, tuple(rows))


def findings(outcome: Outcome) -> Iterator[str]:
    """What the results say about the goals, and what is missing."""
    for race in outcome.races:
        peer = race.fastest_peer()
        ratio = race.ratio(peer)
        if ratio is not None:
            goal = GOALS[race.name]
            verdict = f"goal: at least {goal:g} times ({'met' if ratio.median >= goal else 'MISSED'})"
            yield f"{race.name}: {ratio.median:.2f} times as fast as {peer}, the fastest peer; {verdict}."
    yield from outcome.missing


def figures(outcome: Outcome) -> dict[str, Any]:
    """Every number, for JSON."""
    races = {
        race.name: {
            "macs": race.macs,
            "us": {label: race.median_us(label) for label in race.seconds},
            "times_niwaki": {label: asdict(ratio) for label in race.seconds if (ratio := race.ratio(label))},
            "likeness": dict(race.likeness),
            "instructions": dict(race.instructions),
        }
        for race in outcome.races
    }
    return {"networks": races, "peak": asdict(outcome.peak) if outcome.peak else None, "missing": outcome.missing}
