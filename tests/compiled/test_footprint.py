"""Flash, RAM and stack: what the generator says, the linker's map, `size`, and what an emulated board sees."""

import re
import subprocess

import pytest

from niwaki.compiled import footprint, on_target
from niwaki.compiled.footprint import deepest_chain, measure_footprint, read_call_graph
from niwaki.compiled.on_target import measure_on_board
from niwaki.errors import ModelError, NiwakiError
from niwaki.toolchain.targets import TARGETS, missing_tools

M4 = TARGETS["cortex-m4"]
ARRAY = re.compile(r"_(weights|bias|multiplier|shift|table)$")


@pytest.fixture(autouse=True)
def tools():
    if missing_tools(M4):
        pytest.skip(f"needs {M4.packages}: apt-get install {M4.packages}")


@pytest.mark.parametrize(("model", "level"), [("base", "-Os"), ("pruned", "-Os"), ("pruned", "-O2")])
def test_what_is_reported_is_what_the_map_says(lenet5, model, level):
    example = lenet5(model)
    report = example.generated.report
    measured = measure_footprint(example.folder, "cortex-m4", level)
    reported = {constant.name: constant.plain for constant in report.constants}
    arrays = {name: size for name, size in measured.constants.items() if ARRAY.search(name)}
    inlined = {name: size for name, size in reported.items() if name not in arrays}  # numbers in the code, then
    assert arrays | inlined == reported
    assert sum(inlined.values()) <= (0 if level == "-Os" else 32)
    assert sum(reported.values()) == report.constant_bytes
    assert measured.bss == {"static_arena": report.arena_bytes}
    assert measured.data == {}
    assert measured.ram == report.ram_bytes
    assert measured.constants.get(footprint.UNNAMED, 0) <= 32
    structures = measured.constants.keys() - arrays.keys() - {footprint.UNNAMED}
    assert all(re.fullmatch(r"layer\d_(conv|dense)", name) for name in structures)
    assert len(structures) == (5 if level == "-Os" else 0)
    assert measured.padding < 32


def test_size_agrees(lenet5, tmp_path):
    """`size` of the whole program is the model and what is known of the rest: start-up code and main."""
    example = lenet5("pruned")
    measured = measure_footprint(example.folder)
    programs = {}
    with on_target.board_files() as files:
        for name, folder in {"with": example.folder, "without": tmp_path}.items():
            (tmp_path / "model.h").write_bytes((example.folder / "model.h").read_bytes())
            (tmp_path / "model.c").write_text(
                '#include "model.h"\n__attribute__((noinline)) int niwaki_model_run(const int8_t *i, int8_t *o) '
                "{ return i == (const int8_t *)o; }\n"
            )
            flags = ("-Os", *on_target.call_of(example.folder, pixels=False))
            programs[name] = on_target.compile_program(folder, files / "call.c", M4, flags, out=tmp_path / name)
    sizes = {name: size_of(program) for name, program in programs.items()}
    (with_text, with_data, with_bss), (text, data, bss) = sizes["with"], sizes["without"]
    stub = 10  # bytes of the function that stands for the model, at most, and alignment
    assert abs(with_text - text - measured.flash) <= stub
    assert (with_data - data, with_bss - bss) == (0, example.generated.report.arena_bytes)


def size_of(program):
    lines = subprocess.run(["arm-none-eabi-size", program], check=True, capture_output=True, text=True).stdout
    return tuple(int(word) for word in lines.splitlines()[1].split()[:3])


@pytest.mark.parametrize(("level", "pixels"), [("-Os", True), ("-O2", False)])
def test_the_stack_that_a_board_sees_is_what_the_compiler_says(lenet5, level, pixels):
    example = lenet5("pruned")
    measured = measure_footprint(example.folder, "cortex-m4", level, pixels=pixels)
    images = example.images if pixels else example.inputs
    seen = measure_on_board(example.folder, images[:2], M4, (level,)).stack_bytes
    assert set(measured.library_calls) <= {"memcpy", "memset"}  # which need next to none
    assert measured.entry == ("niwaki_model_run_pixels" if pixels else "niwaki_model_run")
    assert measured.frames[0][0] == measured.entry
    assert measured.stack - 16 <= seen <= measured.stack + 16


def test_only_microcontrollers_are_measured(lenet5):
    folder = lenet5("pruned").folder
    with pytest.raises(NiwakiError, match="aarch64: flash and RAM are those of microcontrollers: try cortex-m4"):
        measure_footprint(folder, "aarch64")
    with pytest.raises(NiwakiError, match="target 'z80': expected one of"):
        measure_footprint(folder, "z80")


MAP = """
Discarded input sections

 .text.unused   0x00000000       0x10 /tmp/model.o

Linker script and memory map

 .text.run      0x00000100       0x20 /tmp/model.o
 *fill*         0x00000120        0x3 
 .text.a_function_with_a_long_name
                0x00000124        0x8 /tmp/model.o
 .text.start    0x0000012c       0x40 /tmp/start.o
 .text.memcpy   0x0000016c       0x1c /usr/lib/libc.a(memcpy.o)
 *fill*         0x00000188        0x2 
 .rodata.weights
                0x0000018c       0x19 /tmp/model.o
 .rodata.str1.4
                0x000001a8        0x5 /tmp/model.o
 .rodata        0x000001b0        0x8 /tmp/model.o
 .data.counter  0x20000000        0x4 /tmp/model.o
 .bss.arena     0x20000004       0x64 /tmp/model.o
 .bss.input     0x20000068       0x32 /tmp/call.o
"""  # noqa: W291 (ld ends such a line with a space)


def test_a_map(tmp_path):
    from pathlib import Path

    sizes = footprint.read_map(MAP, Path("/tmp/model.o"))
    assert (sizes.code, sizes.library, sizes.padding) == (0x20 + 8, 0x1C, 3 + 2)
    assert sizes.constants == {"weights": 0x19, "str1.4": 5, "unnamed": 8}
    assert (sizes.data, sizes.bss) == ({"counter": 4}, {"arena": 100})


def node(name, frame):
    return f'node: {{ title: "{name}" label: "{name}\\nmodel.c:1:1{frame}" }}\n'


def edge(source, target):
    return f'edge: {{ sourcename: "{source}" targetname: "{target}" label: "model.c:2:2" }}\n'


FRAMES = (
    node("run", "\\n8 bytes (static)")
    + node("m.c:deep", "\\n40 bytes (static)")
    + node("m.c:wide", "\\n50 bytes (dynamic,bounded)")
)


def test_the_deepest_chain_of_calls():
    text = FRAMES + node("memcpy", "") + edge("run", "m.c:wide") + edge("run", "m.c:deep") + edge("m.c:deep", "memcpy")
    assert deepest_chain(read_call_graph(text), "run") == ((("run", 8), ("wide", 50)), ("memcpy",))
    text += node("m.c:leaf", "\\n12 bytes (static)") + edge("m.c:deep", "m.c:leaf")
    assert deepest_chain(read_call_graph(text), "run")[0] == (("run", 8), ("deep", 40), ("leaf", 12))


def test_a_stack_without_a_bound_is_refused():
    with pytest.raises(ModelError, match="alloca: its stack has no bound"):
        read_call_graph(node("m.c:alloca", "\\n16 bytes (dynamic)"))
    circle = read_call_graph(FRAMES + edge("run", "m.c:deep") + edge("m.c:deep", "run"))
    with pytest.raises(ModelError, match="run: calls itself"):
        deepest_chain(circle, "run")
    with pytest.raises(ModelError, match="main: no such function"):
        deepest_chain(circle, "main")
