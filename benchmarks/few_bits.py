"""What weights of 4 and 2 bits save of flash, and what unpacking them costs: instructions on an emulated Cortex-M4.

The weights of 8 bits are made coarser, so what a network answers means nothing; its bits are compared all the same with
those of the integer reference. Nothing here depends on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tests.few_bits import of_few_bits

from benchmarks.inference_networks import NAMES, Network, networks
from benchmarks.report import Report, Table
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.footprint import measure_footprint
from niwaki.compiled.on_target import measure_on_board
from niwaki.data.dataset import Dataset
from niwaki.emit.generate import generate, write
from niwaki.errors import NiwakiError
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.targets import find_target

COMMAND = "python -m benchmarks few-bits"
TARGET = "cortex-m4"
BITS = (8, 4, 2)
LEVELS = ("-O2", "-Os")
QUICK = ("LeNet-5, 60 %",)
GOAL = 1.3  # times the instructions of the network of 8 bits
METHOD = (
    "from raw pixels to scores, one image; all layers but the last have weights of so many bits; qemu counts the "
    "instructions and knows no wait states; constants as generated, flash by the linker at -Os. Weights are random and "
    "made coarser; scores are compared with the integer reference."
)


@dataclass(frozen=True)
class Cost:
    """Of one network with weights of so many bits. Bytes, and instructions by the compiler's level."""

    network: str
    bits: int
    constants: int
    flash: int
    instructions: dict[str, int]


def run(data: Dataset, *, quick: bool) -> Report:
    """All networks; quick: a small one."""
    makers = networks(data, QUICK if quick else NAMES)
    return report([cost_of(network, bits) for network in (make() for make in makers.values()) for bits in BITS])


def cost_of(network: Network, bits: int) -> Cost:
    """What a network takes with weights of `bits`. Raises NiwakiError if its scores differ from the reference."""
    whole = read_qdq(load_onnx(network.int8_onnx), network.name)
    graph = whole if bits == 8 else of_few_bits(whole, bits)
    with TemporaryDirectory(prefix="niwaki-benchmark-few-bits-") as work:
        generated = generate(graph)
        folder = write(generated, Path(work) / "c")
        counts = {level: _instructions(graph, folder, network.pixels[:1], level) for level in LEVELS}
        flash = measure_footprint(folder, TARGET, pixels=True).flash
    return Cost(network.name, bits, generated.report.constant_bytes, flash, counts)


def _instructions(graph: Graph, folder: Path, pixels: np.ndarray, level: str) -> int:
    measured = measure_on_board(folder, pixels, find_target(TARGET), (level,))
    expected = reference.run(graph, reference.quantize_pixels(graph, pixels)).reshape(len(pixels), -1)
    if not np.array_equal(measured.scores, expected):
        raise NiwakiError(f"{folder} at {level}: other scores than those of the reference: this is a bug")
    return int(measured.instructions[0])


def report(costs: Sequence[Cost]) -> Report:
    """One table, and whether the goal is met."""
    whole = {cost.network: cost for cost in costs if cost.bits == 8}
    rows = []
    for cost in costs:
        base = whole[cost.network]
        cells = [cost.network, str(cost.bits), f"{cost.constants:,}", f"{cost.flash:,}"]
        for level in LEVELS:
            cells += [f"{cost.instructions[level]:,}", f"{_ratio(cost, base, level):.2f}"]
        rows.append(tuple(cells))
    columns = ("network", "bits", "constants", "flash", *(text for level in LEVELS for text in (level, "ratio")))
    worst = max(_ratio(cost, whole[cost.network], level) for cost in costs for level in LEVELS)
    verdict = "met" if worst <= GOAL else "MISSED"
    return Report(
        "Weights of 4 and 2 bits on a Cortex-M4",
        METHOD,
        COMMAND,
        (Table("Bytes, and instructions of one inference", columns, tuple(rows)),),
        (f"Fewer bits take at most {worst:.2f} times the instructions of 8 bits; goal: at most {GOAL:g} ({verdict}).",),
        {f"{cost.network}, {cost.bits} bits": asdict(cost) for cost in costs},
    )


def _ratio(cost: Cost, base: Cost, level: str) -> float:
    return cost.instructions[level] / base.instructions[level]
