"""What LeNet-5 takes on cores without vector units: cycles of an ATmega328P, instructions of Cortex-M0 and RV32IMC.

Scores are compared with those of the integer reference. Nothing here depends on time.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import niwaki
from benchmarks.inference_networks import Network, networks
from benchmarks.report import Report, Table
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import interface
from niwaki.compiled.on_target import measure_on_board
from niwaki.data.dataset import Dataset
from niwaki.emit.generate import generate, write
from niwaki.errors import NiwakiError, ToolMissing
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.compiler import run_compiler
from niwaki.toolchain.targets import TARGETS, missing_tools, run_program

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where modules import each other by their names alone

from emulated_uno import compile_sketch, measured, simulate

COMMAND = "python -m benchmarks small-cores"
NAMES, QUICK = ("LeNet-5, 60 %", "LeNet-5"), ("LeNet-5, 60 %",)
LEVELS = ("-Os", "-O2")
FORMS = {"plain C": ("-DNIWAKI_PORTABLE",), "niwaki_avr.h": ()}
UNO, UNO_RAM, SPARE = "ATmega328P", 2048, 50
AVR_FLAGS = ("-mmcu=atmega328p", "-std=gnu99", "-DF_CPU=16000000UL", "-ffunction-sections", "-fdata-sections")
METHOD = (
    "one image from int8 inputs to scores. ATmega328P: avr-gcc, cycles of simavr, to 256. Cortex-M0 and RV32IMC: GCC, "
    "instructions of qemu, which knows no wait states. Stack is painted before the run and searched after it. Weights "
    "are random; scores are compared with the integer reference. The sketch SelfTest is built by arduino-builder "
    "(-Os); its memory is painted before main."
)


@dataclass(frozen=True)
class Cost:
    """Of a network on a core: cycles or instructions, and bytes of stack."""

    network: str
    core: str
    form: str
    level: str
    count: int
    stack: int


def run(data: Dataset, *, quick: bool) -> Report:
    """All cores; quick: only the pruned network, at one level. Raises ToolMissing without simavr or a compiler."""
    _check_tools()
    known = [make() for make in networks(data, QUICK if quick else NAMES).values()]
    levels = LEVELS[:1] if quick else LEVELS
    costs = [cost for network in known for cost in costs_of(network, levels)]
    return report(costs, sketch_memory(known[0]))


def costs_of(network: Network, levels: Sequence[str]) -> list[Cost]:
    """What a network takes; on the ATmega328P only if it fits.

    Raises NiwakiError for other scores than the reference's.
    """
    graph = read_qdq(load_onnx(network.int8_onnx), network.name)
    inputs = reference.quantize_pixels(graph, network.pixels[:1])
    expected = reference.run(graph, inputs).reshape(-1)
    costs = []
    with TemporaryDirectory(prefix="niwaki-benchmark-small-cores-") as work:
        folder = write(generate(graph), Path(work) / "c")
        for level in levels:
            if network.name in QUICK:
                for form, flags in FORMS.items():
                    count, stack, scores = _on_uno(folder, inputs, (level, *flags))
                    costs.append(_cost(network.name, UNO, form, level, count, stack, scores, expected))
            done = measure_on_board(folder, inputs, TARGETS["cortex-m0"], (level,))
            counted = int(done.instructions[0]), done.stack_bytes, done.scores.reshape(-1)
            costs.append(_cost(network.name, "Cortex-M0", "plain C", level, *counted, expected))
            count, stack, scores = _on_riscv(folder, inputs, (level,))
            costs.append(_cost(network.name, "RV32IMC", "plain C", level, count, stack, scores, expected))
    return costs


def sketch_memory(network: Network) -> tuple[int, int]:
    """Bytes of an Uno's RAM that SelfTest never used, and its images that were right."""
    with TemporaryDirectory(prefix="niwaki-benchmark-small-cores-") as work:
        (Path(work) / "lenet5.onnx").write_bytes(network.int8_onnx)
        niwaki.export(Path(work) / "lenet5.onnx", Path(work) / "out", to="arduino")
        library = Path(work) / "out" / "arduino" / "niwaki_model"
        sketch = measured(library / "examples" / "SelfTest" / "SelfTest.ino", Path(work) / "Measured")
        program, _ = compile_sketch(sketch, library.parent, Path(work) / "build")
        lines = simulate(program, "never used")
    right = next(int(found[1]) for line in lines if (found := re.search(r"(\d+) of \1 images right", line)))
    return int(lines[-1].rpartition(" ")[2]), right


def report(costs: Sequence[Cost], memory: tuple[int, int]) -> Report:
    """A table of the costs, and whether an Uno has memory to spare."""
    never_used, right = memory
    rows = tuple(
        (f"{one.network}, {one.core}", one.form, one.level, f"{one.count:,}", f"{one.stack:,}") for one in costs
    )
    table = Table(
        "Cycles (ATmega328P) or instructions of one inference, and bytes of stack",
        ("network and core", "form", "level", "count", "stack"), rows,
    )  # fmt: skip
    verdict = "met" if never_used >= SPARE else "MISSED"
    return Report(
        "Small cores", METHOD, COMMAND, (table,),
        (
            f"SelfTest on an Uno: {UNO_RAM - never_used:,} of {UNO_RAM:,} bytes of RAM at its peak, {never_used} never "
            f"used; goal: at least {SPARE} ({verdict}). {right} of {right} images right to the bit.",
        ),
        {"costs": [asdict(cost) for cost in costs], "selftest_ram": UNO_RAM - never_used},
    )  # fmt: skip


def _check_tools() -> None:
    needed = {
        "avr-gcc": "gcc-avr avr-libc", "simavr": "simavr", "arduino-builder": "arduino-builder arduino-core-avr",
    }  # fmt: skip
    missing = [packages for tool, packages in needed.items() if shutil.which(tool) is None]
    missing += [TARGETS[name].packages for name in ("cortex-m0", "rv32imc") if missing_tools(TARGETS[name])]
    if missing:
        raise ToolMissing(f"small-cores needs {' '.join(missing)}: apt-get install {' '.join(missing)}")


def _cost(
    network: str, core: str, form: str, level: str, count: int, stack: int, scores: np.ndarray, expected: np.ndarray
) -> Cost:
    if not np.array_equal(scores, expected):
        raise NiwakiError(
            f"{network} on {core}, {form}, {level}: other scores than those of the reference: this is a bug"
        )
    return Cost(network, core, form, level, count, stack)


def _sources(folder: Path, inputs: np.ndarray, in_flash: str) -> list[str]:
    """The program's sources, with the image as a header."""
    model = interface(folder)
    prefix = model.prefix
    values = inputs[0].transpose(1, 2, 0).tobytes()
    (folder / "image.h").write_text(
        f'#include "model.h"\n#define RUN {prefix}_run\n#define INPUT {prefix}_input\n'
        f"enum {{ INPUT_BYTES = {model.input_bytes}, OUTPUT_BYTES = {model.output_bytes} }};\n"
        f"static const {in_flash} uint8_t IMAGE[INPUT_BYTES] = {{{', '.join(map(str, values))}}};\n"
    )
    return [str(Path(__file__).with_suffix(".c")), str(folder / "model.c"), f"-I{folder}"]


def _on_uno(folder: Path, inputs: np.ndarray, flags: Sequence[str]) -> tuple[int, int, np.ndarray]:
    program = folder / "avr.elf"
    sources = _sources(folder, inputs, "__flash")
    run_compiler(["avr-gcc", *AVR_FLAGS, *flags, *sources, "-Wl,--gc-sections", "-o", str(program)], "small_cores.c")
    lines = simulate(program, " ")
    return _read(lines[-1])


def _on_riscv(folder: Path, inputs: np.ndarray, flags: Sequence[str]) -> tuple[int, int, np.ndarray]:
    target, program = TARGETS["rv32imc"], folder / "riscv.elf"
    sources = _sources(folder, inputs, "")
    run_compiler([target.compiler, *target.flags, *flags, *sources, "-o", str(program)], "small_cores.c")
    done = run_program(program, target, folder=folder)
    return _read(done.stdout + done.stderr)  # where semihosting writes


def _read(line: str) -> tuple[int, int, np.ndarray]:
    count, stack, *scores = (int(number) for number in re.findall(r"-?\d+", line))
    return count, stack, np.array(scores, np.int8)
