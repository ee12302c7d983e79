"""Instructions, flash, RAM and stack of small networks on an emulated Cortex-M4, beside those of CMSIS-NN.

Scores are compared with those of the integer reference. Nothing here depends on time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.inference_networks import NAMES, Network, networks
from benchmarks.report import Report, Table
from niwaki.codegen.generate import generate, write
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.footprint import measure_footprint
from niwaki.compiled.on_target import BoardRun, measure_on_board
from niwaki.data.dataset import Dataset
from niwaki.errors import NiwakiError
from niwaki.measure.onnxcost import count_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.targets import find_target

COMMAND = "python -m benchmarks microcontrollers"
TARGET = "cortex-m4"
LEVELS = ("-O2", "-Os", "-O3")
QUICK = ("LeNet-5, 60 %",)
GOALS = {
    "LeNet-5": 1.8, "LeNet-5, 60 %": 2.8, "ResNet-8": 1.5, "DS-CNN": 1.9, "MobileNetV1-0.25": 1.7, "autoencoder": 1.4,
}  # instructions a MAC, at -O2  # fmt: skip
TIMES = 1.5  # fewer instructions than CMSIS-NN
PEER = Path(__file__).with_name("cmsis_nn_cortex_m4.txt")
METHOD = (
    f"one image from int8 inputs to scores on a {TARGET}; qemu counts the instructions and knows no wait states. Flash "
    "is the linker's; RAM is arena and scores; stack is measured in the run at -O2. Weights are random; scores are "
    f"compared with the integer reference. CMSIS-NN at -O2: see benchmarks/{PEER.name}."
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
    return report([cost_of(make()) for make in makers.values()])


def cost_of(network: Network) -> Cost:
    """What a network takes. Raises NiwakiError if its scores differ from the reference."""
    model = load_onnx(network.int8_onnx)
    graph = read_qdq(model, network.name)
    inputs = reference.quantize_pixels(graph, network.pixels[:1])
    expected = reference.run(graph, inputs).reshape(1, -1)
    runs: dict[str, BoardRun] = {}
    with TemporaryDirectory(prefix="niwaki-benchmark-microcontrollers-") as work:
        folder = write(generate(graph), Path(work) / "c")
        for level in LEVELS:
            runs[level] = measure_on_board(folder, inputs, find_target(TARGET), (level,))
            if not np.array_equal(runs[level].scores, expected):
                raise NiwakiError(f"{network.name} at {level}: other scores than those of the reference: this is a bug")
        sizes = {level: measure_footprint(folder, TARGET, level) for level in LEVELS[:2]}
    return Cost(
        network.name,
        count_onnx(model).macs,
        {level: int(done.instructions[0]) for level, done in runs.items()},
        {level: size.flash for level, size in sizes.items()},
        sizes["-O2"].ram,
        runs["-O2"].stack_bytes,
    )


def peers(level: str = "-O2") -> dict[str, int]:
    """Instructions that CMSIS-NN takes for each network, compiled at `level`."""
    found = re.findall(rf"^{TARGET} {level} (\S+) total ([\d,]+)", PEER.read_text(encoding="utf-8"), re.MULTILINE)
    return {name.replace("LeNet-560", "LeNet-5, 60 %"): int(count.replace(",", "")) for name, count in found}


def report(costs: Sequence[Cost]) -> Report:
    """One table, and for every network whether its goals are met."""
    peer = peers()
    rows, findings = [], []
    for cost in costs:
        fast, name = cost.instructions["-O2"], cost.network
        each, times = fast / cost.macs, peer[name] / fast
        cells = [f"{cost.macs:,}", f"{fast:,}", f"{each:.2f}", f"{peer[name]:,}", f"{times:.2f}"]
        cells += [f"{cost.instructions[level]:,}" for level in LEVELS[1:]]
        cells += [f"{cost.flash[level]:,}" for level in LEVELS[:2]]
        rows.append((name, *cells, f"{cost.ram:,}", f"{cost.stack:,}"))
        findings += [
            f"{name}: {each:.2f} instructions a MAC; goal: at most {GOALS[name]:g} ({_verdict(each <= GOALS[name])}).",
            f"{name}: {times:.2f} times fewer than CMSIS-NN; goal: {TIMES:g} ({_verdict(times >= TIMES)}).",
        ]
    columns = (
        "network", "MACs", "-O2", "a MAC", "CMSIS-NN", "times", "-Os", "-O3", "flash -O2", "flash -Os", "RAM", "stack",
    )  # fmt: skip
    return Report(
        "Microcontrollers",
        METHOD,
        COMMAND,
        (Table("Instructions of one inference, and bytes", columns, tuple(rows)),),
        tuple(findings),
        {cost.network: {**asdict(cost), "cmsis_nn": peer[cost.network]} for cost in costs},
    )


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
