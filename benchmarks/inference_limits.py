"""Limits that do not depend on the load of the machine: the peak of its vector unit, and counted instructions."""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import MissingPeer, compiler_for
from niwaki.compiled.library import interface
from niwaki.errors import NiwakiError
from niwaki.toolchain.compiler import SPEED

SOURCE = Path(__file__).with_name("inference_peak.c")
# valgrind does not support AVX-512, so instructions are counted for code for older processors.
BUILDS: Mapping[str, tuple[str, ...]] = {
    "AVX2": ("-O3", "-march=x86-64-v3"),
    "portable": ("-O3", "-DNIWAKI_PORTABLE"),
}
FEW, MANY = 1, 3  # runs of a network; their difference leaves out what happens once
DRIVER = """#include <stdlib.h>
#include "model.h"
static int8_t input[{macro}_INPUT_BYTES], output[{macro}_OUTPUT_BYTES];
int main(int count, char **arguments)
{{
    long runs = count > 1 ? atol(arguments[1]) : 1, index;
    for (index = 0; index < {macro}_INPUT_BYTES; ++index)
        input[index] = (int8_t)(index * 37 % 251 - 125);
    while (runs-- > 0)
        if ({prefix}_run(input, output) != 0)
            return 1;
    return 0;
}}
"""


@dataclass(frozen=True)
class Peak:
    """The most that one core of this machine can do in exact int8 arithmetic."""

    unit: str
    macs_per_ns: float
    cycles_per_ns: float

    @property
    def macs_per_cycle(self) -> float:
        """Multiply-accumulates in one clock cycle."""
        return self.macs_per_ns / self.cycles_per_ns


def measure_peak(folder: Path) -> Peak:
    """Compile the loop beside this file into `folder` and run it; the best of its repeats. Raises MissingPeer."""
    program = folder / "peak"
    _run(*shlex.split(compiler_for("the arithmetic limit")), *SPEED, "-o", str(program), str(SOURCE))
    return Peak(**json.loads(_run(str(program))))


def count_instructions(generated: Path, build: str) -> int:
    """Instructions of one inference of a folder of niwaki's C, by callgrind; `build` is one of BUILDS.

    Raises MissingPeer if valgrind or the compiler is missing, or the processor does not match the build.
    """
    name = "the count of instructions"
    compiler = compiler_for(name)
    if not shutil.which("valgrind"):
        raise MissingPeer(f"{name} is missing: apt-get install valgrind")
    if build == "AVX2" and platform.machine() not in ("x86_64", "AMD64"):
        raise MissingPeer(f"{name} for {build} is missing: this processor is {platform.machine()}")
    prefix = interface(generated).prefix
    driver, program = generated / "count.c", generated / f"count-{build}"
    driver.write_text(DRIVER.format(prefix=prefix, macro=prefix.upper()), encoding="utf-8")
    _run(
        *shlex.split(compiler), "-std=c99", *BUILDS[build], "-o", str(program), str(driver), str(generated / "model.c")
    )
    few, many = (_collected(program, runs) for runs in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def _collected(program: Path, runs: int) -> int:
    said = _run("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), str(runs))
    found = re.search(r"Collected : (\d+)", said)
    if found is None:
        raise NiwakiError(f"valgrind said nothing of instructions for {program}: {said.splitlines()[-1:]}")
    return int(found[1])


def _run(*command: str) -> str:
    """The output of a command, both streams; NiwakiError with its last line if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        raise NiwakiError(f"{' '.join(command[:3])} … failed ({done.returncode}): {(said.splitlines() or [''])[-1]}")
    return said
