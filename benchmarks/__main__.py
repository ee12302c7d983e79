"""The command: `python -m benchmarks [BENCH|all] [--quick] [--json FILE] [--write]`; BENCH is one of NAMES."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import niwaki
from benchmarks import (
    convolutions,
    domain_gap,
    few_bits,
    inference,
    int8_accuracy,
    lite,
    memory,
    microcontrollers,
    overhead,
    report,
    scaling,
    search,
    small_cores,
    study,
    vectors,
    vision,
)
from niwaki.data.dataset import Dataset

TRAINING = ("overhead", "convolutions", "study", "scaling")
INFERENCE, DOMAIN_GAP, VISION, FEW_BITS = "inference", "domain-gap", "vision", "few-bits"
INT8_ACCURACY, MEMORY, SEARCH = "int8-accuracy", "memory", "search"
MICROCONTROLLERS, VECTORS, SMALL_CORES = "microcontrollers", "vectors", "small-cores"
TIMELESS = (
    DOMAIN_GAP,
    FEW_BITS,
    INT8_ACCURACY,
    MICROCONTROLLERS,
    VECTORS,
    SMALL_CORES,
    SEARCH,
)  # nothing there depends on time
ALONE = (
    INFERENCE,
    MEMORY,
    DOMAIN_GAP,
    VISION,
    FEW_BITS,
    INT8_ACCURACY,
    MICROCONTROLLERS,
    VECTORS,
    SMALL_CORES,
)  # each has a part of README.md to itself
TFLITE = "tflite"  # of files that the user has: `all` leaves it out, as it does `search`, which takes hours
NAMES = (*TRAINING, *ALONE)
README = Path(__file__).with_name("README.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested benchmarks; returns 0 when done, 2 with one line of explanation if that is impossible."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.write and (options.bench not in ("all", *ALONE, TFLITE, SEARCH) or options.quick):
        parser.error(
            "--write replaces results in README.md, those of training all at once: it goes with `all`, `inference`, "
            "`memory`, `domain-gap`, `vision`, `few-bits`, `int8-accuracy`, `microcontrollers`, `vectors`, "
            "`small-cores`, `search` or `tflite`, and not with --quick"
        )
    if options.wall is not None and options.wall <= 0:
        parser.error(f"--wall {options.wall:g}: give the seconds that the study took")
    try:
        data = niwaki.load_data("fashion-mnist")
        _run(options, data)
    except (niwaki.NiwakiError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace, data: Dataset) -> None:
    machine = report.machine()
    _show(report.describe(machine))
    if options.quick:
        _show("QUICK: too little is measured for any figure to mean something.")
    results: dict[str, report.Report] = {}
    for name in NAMES if options.bench == "all" else (options.bench,):
        results[name] = _bench(name, data, options)
        _show("\n" + report.render(results[name]))
    if options.json:
        report.write_json(options.json, machine, results)
    if options.write:
        _write(machine, results)


def _write(machine: Mapping[str, Any], results: Mapping[str, report.Report]) -> None:
    training = {name: results[name] for name in TRAINING if name in results}
    if training:
        report.write_results(README, machine, training)
    for name in (*ALONE, TFLITE, SEARCH):
        if name in results:
            where = {**machine, "load": None} if name in TIMELESS else machine
            report.write_results(README, where, {name: results[name]}, part=name)


def _bench(name: str, data: Dataset, options: argparse.Namespace) -> report.Report:
    if name == "study":
        return study.run(data, quick=options.quick, wall=options.wall)
    if name == TFLITE:
        return lite.run(sorted(options.files.glob("*.tflite")) if options.files else [], quick=options.quick)
    if name == DOMAIN_GAP:
        return domain_gap.run(data, quick=options.quick, studies=options.studies)
    if name == SEARCH:
        return search.run(data, quick=options.quick, folder=options.studies / SEARCH)
    if name == INT8_ACCURACY:
        return int8_accuracy.run(data, quick=options.quick, folder=options.studies / INT8_ACCURACY)
    benches = {
        "overhead": overhead.run,
        "convolutions": convolutions.run,
        "scaling": scaling.run,
        INFERENCE: inference.run,
        MEMORY: memory.run,
        VISION: vision.run,
        FEW_BITS: few_bits.run,
        MICROCONTROLLERS: microcontrollers.run,
        VECTORS: vectors.run,
        SMALL_CORES: small_cores.run,
    }
    return benches[name](data, quick=options.quick)


def _show(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What niwaki costs and saves, how fast its C is, what a camera costs."
    )
    parser.add_argument("bench", nargs="?", choices=(*NAMES, TFLITE, SEARCH, "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: shows that it works, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE as well")
    parser.add_argument("--write", action="store_true", help="put the results into benchmarks/README.md")
    parser.add_argument(
        "--wall",
        type=float,
        metavar="SECONDS",
        help="study: what `niwaki study run source --jobs 2` really took here, up to its timing phase",
    )
    parser.add_argument("--files", type=Path, metavar="DIR", help="tflite: the folder of the .tflite files to time")
    parser.add_argument(
        "--studies",
        type=Path,
        metavar="DIR",
        default=Path("studies"),
        help="where networks that take long to train are kept: domain-gap's two studies (camera, clean), those of "
        "int8-accuracy, the searches of search; what is there is not trained again",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
