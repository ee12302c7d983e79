"""What each kernel takes in the vector units of x86 and 64-bit ARM, counted exactly, so any growth is seen."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks/ is beside tests/, not installed

from benchmarks.executed import Block, blocks, counted_by_callgrind, executed
from benchmarks.vectors import A57, A76, AVX2

from niwaki.compiled.on_target import compile_sources
from niwaki.emit.generate import generate, write
from niwaki.toolchain.targets import missing_tools
from typical_layers import SAME, Typical

KNOWN = {
    "native": {
        "niwaki_conv_columns": 34_906,
        "niwaki_conv_tiles_16": 80_828,
        "niwaki_conv_tiles_8": 9_264,
        "niwaki_depthwise_3x3": 4_067,
        "niwaki_depthwise_rows": 13_475,
        "niwaki_place": 2_248,
        "niwaki_prepare_columns": 1_987,
        "niwaki_run_add": 1_076,
        "niwaki_run_depthwise": 1_396,
        "niwaki_see_strip": 5_288,
    },
    "aarch64": {
        "niwaki_conv_columns": 64_419,
        "niwaki_conv_tiles_16": 146_869,
        "niwaki_conv_tiles_8": 16_833,
        "niwaki_depthwise_3x3": 47_775,
        "niwaki_make_panel": 1_543,
        "niwaki_place": 1_815,
        "niwaki_prepare_columns": 2_174,
        "niwaki_run_add": 1_871,
        "niwaki_run_depthwise": 1_074,
        "niwaki_see_strip": 1_314,
    },
    "aarch64-dotprod": {
        "niwaki_conv_columns": 64_419,
        "niwaki_conv_tiles_16": 57_849,
        "niwaki_conv_tiles_8": 10_777,
        "niwaki_depthwise_3x3": 47_775,
        "niwaki_make_panel": 1_543,
        "niwaki_place": 1_410,
        "niwaki_prepare_columns": 2_174,
        "niwaki_run_add": 1_871,
        "niwaki_run_depthwise": 1_074,
        "niwaki_see_strip": 1_314,
    },
}
MAIN = """#include "model.h"
static int8_t output[NIWAKI_MODEL_OUTPUT_BYTES];
int main(void) { return niwaki_model_run(niwaki_model_input(NULL), output); }
"""


def network():
    """A layer for each kernel."""
    builder = Typical((1, 32, 32), 0)
    builder.lowest = False
    builder.conv(6, (5, 5))
    builder.max_pool((2, 2), (2, 2))
    builder.conv(16, (5, 5), pads=(2, 2, 2, 2))
    builder.conv(16, (3, 3), pads=SAME, groups=16)
    builder.conv(8, (1, 1))
    builder.conv(8, (3, 3), strides=(2, 2), pads=SAME, groups=8)
    builder.add(builder.last, builder.last)
    builder.dense(10)
    return builder.graph()


@pytest.mark.parametrize(
    "chip", [AVX2, A57, pytest.param(A76, marks=pytest.mark.soak)], ids=lambda chip: chip.target.name
)
def test_no_kernel_takes_more_instructions_than_it_did(chip, tmp_path):
    """Who needs fewer by more than a hundredth writes the new number here."""
    if missing_tools(chip.target):
        pytest.skip(f"needs {chip.target.packages}: apt-get install {chip.target.packages}")
    if chip is AVX2 and not (shutil.which("valgrind") and " avx2 " in Path("/proc/cpuinfo").read_text()):
        pytest.skip("needs an x86-64 processor with AVX2, and valgrind: apt-get install valgrind")
    said = subprocess.run([chip.target.compiler or "cc", "-dumpversion"], check=True, capture_output=True, text=True)
    if said.stdout.split(".")[0].strip() != "12":
        pytest.skip(f"counts are those of GCC 12, this is {said.stdout.strip()}")
    folder = write(generate(network()), tmp_path / "c")
    main = tmp_path / "main.c"
    main.write_text(MAIN)
    flags = (*chip.flags, f"-I{folder}")
    program = compile_sources([folder / "model.c", main], chip.target, flags, out=tmp_path / "program")
    counts = Counter()
    if chip.target.emulator:
        for block in executed(program, chip.target, folder=tmp_path):
            counts[block.function] += len(block.words)
    else:
        counts.update(counted_by_callgrind(program, alone=True))
    took = {name: count for name, count in counts.items() if name.startswith("niwaki_") and count > 1000}
    known = KNOWN[chip.target.name]
    more = {name: (count, known.get(name)) for name, count in took.items() if count > known.get(name, 0)}
    assert not more, f"more instructions (now, before): {more}"
    fewer = {name: (counts[name], count) for name, count in known.items() if counts[name] < 0.99 * count}
    assert not fewer, f"fewer instructions: write them here (now, before): {fewer}"


def test_blocks_are_counted_as_often_as_they_are_executed():
    log = """----------------
IN: main
0x00400580:  a9bf7bfd  stp      x29, x30, [sp, #-0x10]!
0x00400584:  910003fd  mov      x29, sp

Trace 0: 0x7f00 [00000000/0000000000400580/00000000/ff000000] main
----------------
IN: next
0x00400590:  d65f03c0  ret

Trace 0: 0x7f10 [00000000/0000000000400590/00000000/ff000000] next
Trace 0: 0x7f00 [00000000/0000000000400580/00000000/ff000000] main
"""
    main, following = Block("main", ("a9bf7bfd", "910003fd")), Block("next", ("d65f03c0",))
    assert list(blocks(iter(log.splitlines()))) == [main, following, main]
