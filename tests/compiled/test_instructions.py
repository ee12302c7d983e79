"""What an inference takes on a Cortex-M4, counted by the emulator: exact, so any growth is seen."""

import subprocess

import numpy as np
import pytest

from niwaki.compiled.on_target import compile_sources, measure_on_board
from niwaki.emit.generate import generate, write
from niwaki.toolchain.targets import TARGETS, missing_tools, run_program
from typical_layers import SAME, Typical

M4 = TARGETS["cortex-m4"]


@pytest.fixture(autouse=True)
def tools():
    if missing_tools(M4):
        pytest.skip(f"needs {M4.packages}: apt-get install {M4.packages}")


@pytest.mark.parametrize("flag", ["-ffreestanding", "-fno-builtin"])
def test_loads_stay_loads_without_a_c_library(lenet5, flag):
    """Zephyr compiles so: a memcpy of four bytes would be a call, and the whole take four times the instructions."""
    example = lenet5("pruned")
    hosted, alone = (measure_on_board(example.folder, example.images[:1], M4, ("-O2", *more)) for more in ((), (flag,)))
    assert (alone.scores == example.scores[:1]).all()
    assert alone.instructions[0] < 1.05 * hosted.instructions[0]


def conv(shape, filters, kernel, strides=(1, 1), pads=(0, 0, 0, 0), groups=1, pool=0):
    builder = Typical(shape, 0)
    builder.conv(filters, kernel, strides, pads, groups=groups)
    if pool:
        builder.max_pool((pool, pool), (pool, pool))
    return builder.graph()


def dense(inputs, outputs):
    builder = Typical((inputs,), 0)
    builder.dense(outputs)
    return builder.graph()


def add(shape):
    builder = Typical(shape, 0)
    builder.add(builder.last, builder.last)
    return builder.graph()


def average(shape):
    builder = Typical(shape, 0)
    builder.average_pool(shape[1:], (1, 1), (0, 0, 0, 0), False)
    return builder.graph()


LAYERS = {  # of the networks in benchmarks/microcontrollers.py; instructions at -O2, with the copy to channels first
    "LeNet-5, first": (conv((1, 32, 32), 6, (5, 5), pool=2), 204_000),
    "LeNet-5, second": (conv((6, 14, 14), 16, (5, 5), pool=2), 314_920),
    "LeNet-5, dense 400 -> 120": (dense(400, 120), 67_520),
    "LeNet-5 at 60 %, first": (conv((1, 32, 32), 2, (5, 5), pool=2), 79_920),
    "LeNet-5 at 60 %, second": (conv((2, 14, 14), 6, (5, 5), pool=2), 71_520),
    "ResNet-8, first": (conv((3, 32, 32), 16, (3, 3), pads=SAME), 1_034_680),
    "ResNet-8, 16 channels": (conv((16, 32, 32), 16, (3, 3), pads=SAME), 2_866_960),
    "ResNet-8, 64 channels": (conv((64, 8, 8), 64, (3, 3), pads=SAME), 2_446_720),
    "ResNet-8, shortcut": (conv((16, 32, 32), 32, (1, 1), (2, 2)), 323_440),
    "ResNet-8, sum": (add((16, 32, 32)), 524_320),
    "DS-CNN, first": (conv((1, 49, 10), 64, (10, 4), (2, 2), (5, 1, 5, 1)), 596_760),
    "DS-CNN, depthwise": (conv((64, 25, 5), 64, (3, 3), pads=SAME, groups=64), 306_760),
    "DS-CNN, 1x1": (conv((64, 25, 5), 64, (1, 1)), 714_160),
    "DS-CNN, average": (average((64, 25, 5)), 53_040),
    "MobileNetV1-0.25, first": (conv((3, 96, 96), 8, (3, 3), (2, 2), SAME), 1_308_600),
    "MobileNetV1-0.25, 1x1 of 8 channels": (conv((8, 48, 48), 16, (1, 1)), 1_247_960),
    "MobileNetV1-0.25, depthwise by 2": (conv((16, 48, 48), 16, (3, 3), (2, 2), SAME, groups=16), 454_280),
    "MobileNetV1-0.25, 1x1 of 128 channels": (conv((128, 6, 6), 128, (1, 1)), 668_960),
    "autoencoder, dense 640 -> 128": (dense(640, 128), 111_880),
    "autoencoder, dense 128 -> 128": (dense(128, 128), 20_280),
}
COUNTER = """#include "host.h"
static int8_t arena[131072], output[32768];
{declarations}
int main(void) {{
  const host_file counts = host_open("counts.bin", "wb");
  uint32_t before, ticks;
  host_start_timer();
{calls}
  return host_close(counts);
}}
"""
CALL = """  before = host_ticks();
  m{0}_run_in(arena, NULL, output);
  ticks = (host_ticks() - before) & 0xffffff;
  host_write(counts, &ticks, sizeof ticks);"""


def test_no_layer_takes_more_instructions_than_it_did(tmp_path):
    """Counts are exact to 40 instructions. Who needs fewer by more than a hundredth writes the new number here."""
    version = subprocess.run([M4.compiler, "-dumpversion"], check=True, capture_output=True, text=True).stdout
    if not version.startswith("12.2"):
        pytest.skip(f"counts are those of GCC 12.2, this is {version.strip()}")
    sources = [
        write(generate(graph, prefix=f"m{index}"), tmp_path / str(index)) / "model.c"
        for index, (graph, _) in enumerate(LAYERS.values())
    ]
    numbers = range(len(LAYERS))
    declarations = "\n".join(f"int m{i}_run_in(void *, const int8_t *, int8_t *);" for i in numbers)
    main = tmp_path / "main.c"
    main.write_text(COUNTER.format(declarations=declarations, calls="\n".join(CALL.format(i) for i in numbers)))
    flags = ("-O2", *(f"-DM{i}_NO_STATIC_ARENA" for i in numbers))
    program = compile_sources([*sources, main], M4, flags, out=tmp_path / "program")
    assert run_program(program, M4, folder=tmp_path).returncode == 0
    ticks = np.fromfile(tmp_path / "counts.bin", "<u4")
    took = {name: int(count) * 40 for name, count in zip(LAYERS, ticks, strict=True)}
    more = {name: (took[name], known) for name, (_, known) in LAYERS.items() if took[name] > known + 40}
    fewer = {name: (took[name], known) for name, (_, known) in LAYERS.items() if took[name] < 0.99 * known}
    assert not more, f"more instructions than before (now, before): {more}"
    assert not fewer, f"fewer instructions: write them here (now, before): {fewer}"
