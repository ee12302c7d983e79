"""Instructions, flash, RAM and stack of small networks on emulated Cortex-M, beside those of CMSIS-NN.

Scores are compared with those of the integer reference. Nothing here depends on time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.inference_networks import NAMES, Network, networks
from benchmarks.report import Report, Table
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.footprint import measure_footprint
from niwaki.compiled.on_target import BoardRun, measure_on_board
from niwaki.data.dataset import Dataset
from niwaki.emit.generate import generate, write
from niwaki.errors import NiwakiError
from niwaki.measure.onnxcost import count_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.targets import find_target

COMMAND = "python -m benchmarks microcontrollers"
LEVELS = ("-O2", "-Os", "-O3")
QUICK = ("LeNet-5, 60 %",)


@dataclass(frozen=True, eq=False)
class Processor:
    """A target, the goals for it in instructions a MAC at -O2, how many times fewer than CMSIS-NN, and its figures."""

    target: str
    goals: dict[str, float]
    times: float
    peer: Path
    peer_level: str


M4 = Processor(
    "cortex-m4",
    {
        "LeNet-5": 1.8, "LeNet-5, 60 %": 2.8, "ResNet-8": 1.5, "DS-CNN": 1.9, "MobileNetV1-0.25": 1.7,
        "autoencoder": 1.4,
    },
    1.5, Path(__file__).with_name("cmsis_nn_cortex_m4.txt"), "-O2",
)  # fmt: skip
M55 = Processor(
    "cortex-m55",
    {"LeNet-5": 0.6, "ResNet-8": 0.28, "DS-CNN": 0.45, "MobileNetV1-0.25": 0.55, "autoencoder": 0.4},
    1.0, Path(__file__).with_name("cmsis_nn_cortex_m55.txt"), "-O3",
)  # fmt: skip
METHOD = (
    "one image from int8 inputs to scores; qemu counts the instructions and knows no wait states. Flash is the "
    "linker's; RAM is arena and scores; stack is measured in the run at -O2. Weights are random; scores are compared "
    "with the integer reference. CMSIS-NN at -O2, on cortex-m55 at -O3 with its kernels for Helium: see "
    f"benchmarks/{M4.peer.name} and {M55.peer.name}."
)


@dataclass(frozen=True)
class Cost:
    """Of one network. Instructions and bytes of flash by the compiler's level; bytes of RAM and stack."""

    network: str
    macs: int
    instructions: dict[str, int]
    flash: dict[str, int]
    ram: int
    stack: int


def run(data: Dataset, *, quick: bool) -> Report:
    """All networks; quick: a small one."""
    makers = networks(data, QUICK if quick else (*NAMES, "autoencoder"))
    known = [make() for make in makers.values()]
    return report({chip: [cost_of(network, chip.target) for network in known] for chip in (M4, M55)})


def cost_of(network: Network, target: str = M4.target) -> Cost:
    """What a network takes. Raises NiwakiError if its scores differ from the reference."""
    model = load_onnx(network.int8_onnx)
    graph = read_qdq(model, network.name)
    inputs = reference.quantize_pixels(graph, network.pixels[:1])
    expected = reference.run(graph, inputs).reshape(1, -1)
    runs: dict[str, BoardRun] = {}
    with TemporaryDirectory(prefix="niwaki-benchmark-microcontrollers-") as work:
        folder = write(generate(graph), Path(work) / "c")
        for level in LEVELS:
            runs[level] = measure_on_board(folder, inputs, find_target(target), (level,))
            if not np.array_equal(runs[level].scores, expected):
                raise NiwakiError(f"{network.name} at {level}: other scores than those of the reference: this is a bug")
        sizes = {level: measure_footprint(folder, target, level) for level in LEVELS[:2]}
    return Cost(
        network.name,
        count_onnx(model).macs,
        {level: int(done.instructions[0]) for level, done in runs.items()},
        {level: size.flash for level, size in sizes.items()},
        sizes["-O2"].ram,
        runs["-O2"].stack_bytes,
    )


def peers(chip: Processor = M4, level: str = "") -> dict[str, int]:
    """Instructions that CMSIS-NN takes for each network, compiled at `level`."""
    lines = chip.peer.read_text(encoding="utf-8")
    found = re.findall(rf"^{chip.target} {level or chip.peer_level} (\S+) total ([\d,]+)", lines, re.MULTILINE)
    return {name.replace("LeNet-560", "LeNet-5, 60 %"): int(count.replace(",", "")) for name, count in found}


def report(costs: Mapping[Processor, Sequence[Cost]]) -> Report:
    """A table for each processor, and for every network whether its goals are met."""
    found = [_of(chip, of_chip) for chip, of_chip in costs.items()]
    return Report(
        "Microcontrollers",
        METHOD,
        COMMAND,
        tuple(table for table, _ in found),
        tuple(finding for _, findings in found for finding in findings),
        {
            chip.target: {cost.network: {**asdict(cost), "cmsis_nn": peers(chip)[cost.network]} for cost in of_chip}
            for chip, of_chip in costs.items()
        },
    )


def _of(chip: Processor, costs: Sequence[Cost]) -> tuple[Table, list[str]]:
    peer = peers(chip)
    rows, findings = [], []
    for cost in costs:
        fast, name = cost.instructions["-O2"], cost.network
        each, times, goal = fast / cost.macs, peer[name] / fast, chip.goals.get(name)
        cells = [f"{cost.macs:,}", f"{fast:,}", f"{each:.2f}", f"{peer[name]:,}", f"{times:.2f}"]
        cells += [f"{cost.instructions[level]:,}" for level in LEVELS[1:]]
        cells += [f"{cost.flash[level]:,}" for level in LEVELS[:2]]
        rows.append((name, *cells, f"{cost.ram:,}", f"{cost.stack:,}"))
        where = f"{chip.target}, {name}"
        if goal is not None:
            findings.append(
                f"{where}: {each:.2f} instructions a MAC; goal: at most {goal:g} ({_verdict(each <= goal)})."
            )
        findings.append(
            f"{where}: {times:.2f} times fewer than CMSIS-NN; goal: {chip.times:g} ({_verdict(times >= chip.times)})."
        )
    columns = (
        "network", "MACs", "-O2", "a MAC", "CMSIS-NN", "times", "-Os", "-O3", "flash -O2", "flash -Os", "RAM", "stack",
    )  # fmt: skip
    return Table(f"{chip.target}: instructions of one inference, and bytes", columns, tuple(rows)), findings


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
