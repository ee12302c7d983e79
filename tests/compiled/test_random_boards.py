"""Random networks, and shapes at the edges of the kernels, give the reference's bits on emulated microcontrollers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.operators.functions import KINDS
from niwaki.compiled.on_target import compile_sources
from niwaki.emit.generate import generate, write
from niwaki.toolchain.targets import TARGETS, Target, missing_tools, run_program
from random_graphs import Builder, graphs, in_rows
from random_shapes import STEPS, Shaped

M4, M55, RV32, AVR = (TARGETS[name] for name in ("cortex-m4", "cortex-m55", "rv32imc", "avr"))
ALL = (M4, M55, RV32, AVR)
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
LOOSER = "-Wno-error=array-bounds"  # at -Os GCC 12 sees the remainder of a row where there is none
MANY = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
IMAGES = 2
MAIN = """#include "host.h"
#define BEYOND 16 /* bytes that must stay as they are */
static int8_t input[{most}], output[{most} + BEYOND], arena[{arena} + BEYOND]; /* one for all: an AVR has 8 KB of RAM */
{declarations}
static void guard(int8_t *end) {{
  for (int i = 0; i < BEYOND; i++) end[i] = 77;
}}
static int intact(const int8_t *end) {{
  for (int i = 0; i < BEYOND; i++) if (end[i] != 77) return 0;
  return 1;
}}
int main(void) {{
  const host_file inputs = host_open("inputs.bin", "rb"), outputs = host_open("scores.bin", "wb");
{calls}
  return host_close(outputs) == 0 ? 0 : 4;
}}
"""
CALL = """  for (int i = 0; i < {count}; i++) {{
    guard(output + {given});
    guard(arena + {arena});
    if (host_read(inputs, input, {taken}) != {taken} || m{index}_run_in(arena, input, output) != 0) return 3;
    if (host_write(outputs, output, {given}) != {given}) return 4;
    if (!intact(output + {given}) || !intact(arena + {arena})) return 5; /* written beyond the end */
  }}"""


AVR_ARRAY, AVR_CONSTANTS, AVR_RAM = 32767, 50_000, 6000  # bytes: avr-gcc's limit, 64 KB in reach of `__flash`, 8 KB


def fitting(batch: Sequence[Graph], target: Target) -> list[Graph]:
    """Those of a batch that an AVR has room for; all on other targets."""
    if target is not AVR:
        return list(batch)
    kept, constants = [], 0
    for graph in batch:
        report = generate(graph).report
        ram = report.arena_bytes + 2 * max(report.input_bytes, report.output_bytes)
        largest = max((weights.bytes for weights in report.weights), default=0)
        if ram <= AVR_RAM and largest <= AVR_ARRAY and constants + report.constant_bytes <= AVR_CONSTANTS:
            kept.append(graph)
            constants += report.constant_bytes
    assert 2 * len(kept) > len(batch)
    return kept


def check(batch: Sequence[Graph], target: Target, levels: Sequence[str]) -> None:
    """One program of all networks for each level of the compiler."""
    if missing_tools(target):
        pytest.skip(f"needs {target.packages}: apt-get install {target.packages}")
    batch = fitting(batch, target)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-128, 128, (IMAGES, *g.tensors[g.input].shape)).astype(np.int8) for g in batch]
    expected = [reference.run(graph, x) for graph, x in zip(batch, inputs, strict=True)]
    inputs, expected = (
        [in_rows(x) if graph.layout == "HWC" else x for graph, x in zip(batch, found, strict=True)]
        for found in (inputs, expected)
    )
    sizes = [(graph.tensors[graph.input].size, graph.tensors[graph.output].size) for graph in batch]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [generate(graph, prefix=f"m{index}") for index, graph in enumerate(batch)]
        sources = [write(generated, folder / str(index)) / "model.c" for index, generated in enumerate(made)]
        main = folder / "main.c"
        main.write_text(
            MAIN.format(
                most=max(map(max, sizes)),
                arena=max(generated.report.arena_bytes for generated in made),
                declarations="\n".join(
                    f"int m{i}_run_in(void *, const int8_t *, int8_t *);" for i in range(len(batch))
                ),
                calls="\n".join(
                    CALL.format(
                        index=index, count=IMAGES, taken=taken, given=given, arena=made[index].report.arena_bytes
                    )
                    for index, (taken, given) in enumerate(sizes)
                ),
            )
        )
        (folder / "inputs.bin").write_bytes(b"".join(x.tobytes() for x in inputs))
        for level in levels:
            own_arenas = [f"-DM{index}_NO_STATIC_ARENA" for index in range(len(batch))]
            flags = (*level.split(), *STRICT, LOOSER, *own_arenas)
            program = compile_sources([*sources, main], target, flags, out=folder / "program")
            assert run_program(program, target, folder=folder, timeout=300).returncode == 0
            got = np.split(np.fromfile(folder / "scores.bin", np.int8), np.cumsum([x.size for x in expected])[:-1])
            for graph, scores, right in zip(batch, got, expected, strict=True):
                layers = [type(layer).__name__ for layer in graph.layers]
                np.testing.assert_array_equal(scores, right.reshape(-1), err_msg=f"{target.name} {level}: {layers}")


class Sensitive(Builder):
    """Outputs of the whole range: what is wrong in a layer is seen at the end."""

    def clamp(self) -> tuple[int, int]:
        return -128, 127


def edges() -> list[Graph]:
    """Rows and windows that end in the middle of a word, padding on all sides, odd numbers of places and channels."""
    made: list[Builder] = []

    def start(shape: tuple[int, ...]) -> Sensitive:
        builder = Sensitive(shape, len(made))
        made.append(builder)
        return builder

    start((3, 9, 7)).conv(7, (3, 3), pads=(1, 1, 1, 1))
    start((5, 9, 7)).conv(6, (2, 3), strides=(2, 1), pads=(0, 2, 1, 2), dilations=(2, 1))
    two = start((7, 5, 5))
    two.conv(9, (1, 1))
    two.conv(8, (3, 3), pads=(2, 2, 2, 2))
    start((1, 20, 17)).conv(3, (5, 5))
    made[-1].max_pool((2, 2), (2, 2))
    start((6, 9, 10)).conv(5, (3, 3), pads=(1, 1, 1, 1))
    made[-1].max_pool((3, 3), (3, 3))
    start((60, 5, 5)).conv(64, (3, 3), pads=(1, 1, 1, 1))  # its kernel rows are widened one at a time
    start((8, 9, 8)).conv(8, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1), groups=8)
    start((5, 6, 7)).conv(5, (3, 3), pads=(2, 2, 2, 2), groups=5)
    start((3, 4, 5)).bilinear((7, 9), (14, 18), same=False)
    start((3, 4, 5)).bilinear((7, 9), (14, 18), same=True)
    made.append(Sensitive((3, 4, 5), len(made), twice=True))
    made[-1].bilinear((7, 9), (1024, 1024), same=True)
    for inputs, outputs in ((42, 7), (300, 6), (33, 4)):
        start((inputs,)).dense(outputs)
    for axis in (None, 0, 1, 2):
        start((5, 4, 3)).lookup(axis)
    for kind in KINDS:
        gate = start((5, 4, 3))
        gate.pairwise(kind, gate.last, gate.shrunk((False, True, True)))
    for number, kind in enumerate(STEPS):
        shaped = Shaped((4, 3, 5), number)
        shaped.step(kind)
        made.append(shaped)
    return [builder.graph() for builder in made]


HALVED = {  # sides and weights whose two bytes become one number, by how inputs are widened
    "of few inputs": ((2, 9, 7), 8, (3, 3)),
    "row by row": ((8, 9, 7), 9, (3, 3)),
    "joined": ((10, 6, 5), 8, (3, 3)),
    "some rows at a time": ((60, 5, 5), 64, (3, 3)),
    "one place": ((6, 9, 9), 8, (5, 5)),
}


def halved() -> list[Graph]:
    """Convolutions and matrix products whose weights a Cortex-M4 multiplies two at a time, rounded once and twice."""
    made: list[Sensitive] = []

    def start(shape: tuple[int, ...], *, twice: bool) -> Sensitive:
        made.append(Sensitive(shape, len(made), twice=twice))
        made[-1].lowest = False  # as most quantizers have weights
        return made[-1]

    for twice in (False, True):
        for shape, filters, kernel in HALVED.values():
            start(shape, twice=twice).conv(filters, kernel, pads=(1, 1, 2, 1))
        start((6, 14, 14), twice=twice).conv(8, (5, 5))
        made[-1].max_pool((2, 2), (2, 2))
        for inputs, outputs in ((42, 7), (300, 6), (128, 12)):
            start((inputs,), twice=twice).dense(outputs)
    found = [builder.graph() for builder in made]
    assert sum(b".halves = 1" in generate(graph).files["model.c"] for graph in found) > 0.7 * len(found)
    return found


def packed() -> list[Graph]:
    """Weights of 4 and 2 bits: channels in twos and fours, and what these leave over; rounded once and twice."""
    made: list[Sensitive] = []

    def start(shape: tuple[int, ...], bits: int, *, twice: bool = False) -> Sensitive:
        made.append(Sensitive(shape, len(made), twice=twice))
        made[-1].bits = bits
        return made[-1]

    for bits in (4, 2):
        for shape, filters, kernel in HALVED.values():
            start(shape, bits).conv(filters, kernel, pads=(1, 1, 2, 1))
        for filters in (2, 5, 6, 8):
            start((10, 6, 5), bits).conv(filters, (3, 3), pads=(1, 0, 1, 1))
        widest = start((128, 2, 3), bits)  # 512 products at once, all as large as they can be in the padding
        widest.tensors[widest.input] = replace(widest.tensors[widest.input], zero_point=-128)
        widest.conv(4, (9, 1), pads=(8, 0, 8, 0))
        widest.layers[-1].weights[:, :, :8] = -(1 << bits - 1)
        start((6, 9, 9), bits, twice=True).conv(8, (3, 3), pads=(1, 1, 1, 1))
        start((6, 14, 14), bits).conv(8, (5, 5))
        made[-1].max_pool((2, 2), (2, 2))
        start((10, 9, 8), bits).conv(10, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1), groups=10)
        large = start((8, 5, 5), bits)  # sums that leave no room
        large.conv(8, (3, 3))
        large.layers[-1] = replace(large.layers[-1], bias=large.layers[-1].bias + (1 << 24))
    found = [builder.graph() for builder in made]
    texts = [generate(graph).files["model.c"] for graph in found]
    assert sum(b"bit_twos, niwaki_conv" in text for text in texts) > 0.6 * len(texts)
    assert 0.7 < sum(b".roomy = 1" in text for text in texts) / len(texts) < 1
    return found


def vector_edges() -> list[Graph]:
    """Strips and tiles that end early, few places, long rows, columns and pairs of places."""
    made = []

    def start(shape: tuple[int, ...]) -> Sensitive:
        made.append(Sensitive(shape, len(made)))
        return made[-1]

    for filters, kernel in ((7, (5, 5)), (2, (3, 4)), (8, (1, 1)), (3, (2, 7))):  # columns of a first layer
        start((1, 13, 25)).conv(filters, kernel, pads=(1, 0, 2, 1))
        made[-1].max_pool((2, 2), (2, 2))
    for width in (6, 7):
        for pads in ((1, 1, 1, 1), (0, 2, 1, 2)):  # two rows at once, then one; of 8 channels two places at once
            start((8, 6, width)).conv(8, (3, 3), pads=pads, groups=8)
    for channels in (1, 3, 4, 6):  # fewer than a vector: it reaches beyond the next place, and beyond the end
        for height, width in ((2, 1), (4, 9)):
            start((channels, height, width)).conv(channels, (3, 3), pads=(1, 1, 1, 1), groups=channels)
        start((channels, 3, 2)).conv(channels, (5, 5), pads=(2, 2, 2, 2), groups=channels)
        start((3, 4, 9)).conv(channels, (1, 1))
        start((1, 10, 18)).conv(channels, (3, 3), pads=(1, 1, 1, 1))
        made[-1].max_pool((2, 2), (2, 2))
    start((21, 9, 8)).conv(21, (3, 3), strides=(2, 1), pads=(1, 1, 1, 1), groups=21)
    start((20, 7, 8)).conv(20, (2, 4), pads=(1, 1, 1, 1), dilations=(2, 1), groups=20)
    start((16, 30, 31)).conv(23, (3, 3), pads=(1, 1, 1, 1))  # more than a strip
    start((32, 26, 17)).conv(32, (3, 3), pads=(1, 1, 1, 1), groups=32)
    start((120, 4, 4)).conv(17, (3, 3), pads=(1, 1, 1, 1))  # too many weights to widen
    start((9, 4, 2)).conv(40, (4, 2))  # one place
    start((6, 9, 9)).conv(8, (5, 5), pads=(2, 2, 2, 2))
    made[-1].max_pool((2, 2), (2, 2))
    start((3, 7, 7)).add(made[-1].last, made[-1].requantize())
    for inputs, outputs in ((42, 20), (300, 5), (33, 3)):
        start((inputs,)).dense(outputs)
    return [builder.graph() for builder in made]


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("native", "-O0 -march=x86-64-v3"), ("native", "-O0 -march=x86-64-v3 -mavx512vl -mavx512vnni"),
        ("aarch64", "-O0"), ("aarch64-dotprod", "-O0"), pytest.param("armhf-neon", "-O0", marks=pytest.mark.soak),
    ],
    ids=["avx2", "vnni", "neon", "dotprod", "armhf"],
)  # fmt: skip
def test_shapes_at_the_edges_of_vector_kernels(name: str, level: str) -> None:
    if missing_tools(TARGETS[name]):
        pytest.skip(f"needs {TARGETS[name].packages}: apt-get install {TARGETS[name].packages}")
    needed = {"native": "avx512_vnni" if "vnni" in level else "avx2"}.get(name)
    if needed and f" {needed} " not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"needs an x86-64 processor with {needed}")
    check(vector_edges(), TARGETS[name], (level,))


@pytest.mark.parametrize(
    ("target", "levels"),
    [(M4, ("-O2", "-O0")), (M55, ("-O2", "-Os")), (RV32, ("-Os",)), (AVR, ("-Os",))],
    ids=["m4", "m55", "rv32", "avr"],
)
def test_shapes_at_the_edges_of_the_kernels(target: Target, levels: Sequence[str]) -> None:
    batch = edges()
    at_once = 9 if target is AVR else len(batch)  # code and constants of all together are more than it has in reach
    for first in range(0, len(batch), at_once):
        check(batch[first : first + at_once], target, levels)


def test_weights_in_halves() -> None:
    check(halved(), M4, ("-O2",))


def test_weights_of_few_bits() -> None:
    check(packed(), M4, ("-O2",))


@pytest.mark.soak
@pytest.mark.parametrize("target", ALL, ids=[target.name for target in ALL])
def test_shapes_at_the_edges_at_every_level(target: Target) -> None:
    check([*edges(), *halved(), *packed()], target, ("-O0", "-Og", "-O1", "-Os", "-O3", "-Ofast"))


@pytest.mark.soak
@pytest.mark.parametrize("target", ALL, ids=[target.name for target in ALL])
@MANY
@given(batch=st.lists(graphs(), min_size=25, max_size=25))
def test_many_random_networks(target: Target, batch: list[Graph]) -> None:
    check(batch, target, ("-O2", "-Os"))
