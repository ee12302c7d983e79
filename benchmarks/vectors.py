"""Instructions of small networks in the vector units of x86 and 64-bit ARM, counted exactly.

Scores are compared with those of the integer reference. Nothing here depends on time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.executed import Block, counted_by_callgrind, executed
from benchmarks.inference_networks import NAMES, Network, networks
from benchmarks.peers import MissingPeer
from benchmarks.report import Report, Table
from benchmarks.static_cycles import MISSING, cycles_of, has_tools
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import interface
from niwaki.compiled.on_target import compile_sources, run_on_target
from niwaki.data.dataset import Dataset
from niwaki.emit.generate import generate, write
from niwaki.errors import NiwakiError
from niwaki.measure.onnxcost import count_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.targets import TARGETS, Target, missing_tools

COMMAND = "python -m benchmarks vectors"
QUICK = ("LeNet-5, 60 %",)


@dataclass(frozen=True, eq=False)
class Processor:
    """A vector unit: what compiles for it, flags, and the goals for it, in instructions or in instructions a MAC."""

    name: str
    target: Target
    flags: tuple[str, ...]
    goals: Mapping[str, float]
    model: str | None = None
    """LLVM's name for the processor, if it has a model of it."""


AVX2 = Processor(
    "x86 with AVX2", TARGETS["native"], ("-O3", "-march=x86-64-v3"),
    {"LeNet-5": 100_000, "LeNet-5, 60 %": 40_000, "ResNet-8": 2.2e6, "DS-CNN": 750_000, "MobileNetV1-0.25": 2e6},
)  # fmt: skip
A57 = Processor("Cortex-A57", TARGETS["aarch64"], ("-O2",), {"ResNet-8": 0.33, "LeNet-5": 0.45}, "cortex-a57")
A76 = Processor("Cortex-A76, dot product", TARGETS["aarch64-dotprod"], ("-O2",), {"ResNet-8": 0.13})
METHOD = (
    "one image from int8 inputs to scores: the difference of a program that runs the network two times and one that "
    "runs it once. AVX2: -O3 -march=x86-64-v3, callgrind; ARM: -O2, qemu's log of executed code. Weights are random; "
    "scores are compared with the integer reference. Cycles are an estimate: llvm-mca's for each executed block by "
    "itself, repeated, with data in the first cache and branches foreseen."
)
DRIVER = """#include <stdlib.h>
#include "{header}"
static int8_t input[{macro}_INPUT_BYTES], output[{macro}_OUTPUT_BYTES];
int main(int count, char **arguments) {{
  for (long runs = count > 1 ? atol(arguments[1]) : 1; runs > 0; runs--)
    if ({prefix}_run(input, output) != 0) return 1;
  return 0;
}}
"""


@dataclass(frozen=True)
class Cost:
    """Instructions of a network."""

    network: str
    macs: int
    instructions: int
    cycles: int | None = None
    """Estimated by LLVM's model of the processor; None without one."""


def run(data: Dataset, *, quick: bool) -> Report:
    """All networks; quick: a small one."""
    makers = networks(data, QUICK if quick else (*NAMES, "autoencoder"))
    known = [make() for make in makers.values()]
    costs: dict[Processor, list[Cost]] = {}
    missing: list[str] = []
    for chip in (AVX2, A57, A76):
        try:
            costs[chip] = [cost_of(network, chip) for network in known]
        except MissingPeer as error:
            missing.append(f"{chip.name}: {error}")
        else:
            missing += [f"{chip.name}: {MISSING}"] if chip.model and not has_tools() else []
    return report(costs, missing)


def cost_of(network: Network, chip: Processor) -> Cost:
    """What a network takes. Raises MissingPeer if a tool is missing, NiwakiError if scores are not the reference's."""
    if missing_tools(chip.target):
        raise MissingPeer(f"the compiler or the emulator is missing: apt-get install {chip.target.packages}")
    model = load_onnx(network.int8_onnx)
    graph = read_qdq(model, network.name)
    inputs = reference.quantize_pixels(graph, network.pixels[:2])
    with TemporaryDirectory(prefix="niwaki-benchmark-vectors-") as work:
        folder = write(generate(graph), Path(work) / "c")
        scores = run_on_target(folder, inputs, chip.target, chip.flags)
        if not np.array_equal(scores, reference.run(graph, inputs).reshape(len(inputs), -1)):
            raise NiwakiError(f"{network.name}, {chip.name}: other scores than those of the reference: this is a bug")
        prefix = interface(folder).prefix
        main = folder / "count.c"
        main.write_text(DRIVER.format(header="model.h", prefix=prefix, macro=prefix.upper()), encoding="utf-8")
        program = compile_sources([folder / "model.c", main], chip.target, chip.flags, out=Path(work) / "program")
        macs = count_onnx(model).macs
        if not chip.target.emulator:
            once, twice = (counted_by_callgrind(program, (str(runs),))["main"] for runs in (1, 2))
            return Cost(network.name, macs, twice - once)
        ran = [Counter(executed(program, chip.target, (str(runs),), folder=program.parent)) for runs in (1, 2)]
    ran[1].subtract(ran[0])
    instructions = sum(len(block.words) * times for block, times in ran[1].items())
    return Cost(network.name, macs, instructions, _cycles(+ran[1], chip.model) if chip.model and has_tools() else None)


def _cycles(ran: Mapping[Block, int], model: str) -> int:
    each = cycles_of(tuple(ran), model)
    return round(sum(each[block] * times for block, times in ran.items()))


def report(costs: Mapping[Processor, Sequence[Cost]], missing: Sequence[str] = ()) -> Report:
    """A table of all processors, and for every goal whether it is met."""
    known = {cost.network: cost.macs for of_chip in costs.values() for cost in of_chip}
    counts = {(chip.name, cost.network): cost.instructions for chip, of_chip in costs.items() for cost in of_chip}
    estimates = {(chip.name, cost.network): cost.cycles for chip, of_chip in costs.items() for cost in of_chip}
    rows = []
    for network, macs in known.items():
        cells = [f"{macs:,}"]
        for chip in costs:
            count = counts[chip.name, network]
            cells += [f"{count:,}", f"{count / macs:.3f}"]
            if chip.model is not None:
                cycles = estimates[chip.name, network]
                cells += ["–", "–"] if cycles is None else [f"{cycles:,}", f"{cycles / macs:.3f}"]
        rows.append((network, *cells))
    columns = ("network", "MACs", *(text for chip in costs for text in _columns(chip)))
    return Report(
        "Vector units",
        METHOD,
        COMMAND,
        (Table("Instructions of one inference", columns, tuple(rows)),),
        (*_findings(costs), *missing),
        {chip.name: {cost.network: asdict(cost) for cost in of_chip} for chip, of_chip in costs.items()},
    )


def _columns(chip: Processor) -> tuple[str, ...]:
    return chip.name, "a MAC", *(() if chip.model is None else ("cycles", "a MAC"))


def _findings(costs: Mapping[Processor, Sequence[Cost]]) -> Iterator[str]:
    for chip, of_chip in costs.items():
        for cost in of_chip:
            goal = chip.goals.get(cost.network)
            if goal is None:
                continue
            each = goal < 10  # a MAC
            took = cost.instructions / cost.macs if each else cost.instructions
            said, least = (
                (f"{took:.3f} instructions a MAC", f"{goal:g}") if each else (f"{took:,} instructions", f"{goal:,.0f}")
            )
            verdict = "met" if took <= goal else "MISSED"
            yield f"{chip.name}, {cost.network}: {said}; goal: at most {least} ({verdict})."
