"""The generated folder: its contents, its needs, and what it refuses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bundled import need_tool
from few_bits import of_few_bits
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.operators.products import Conv, Dense
from niwaki.compiled.library import CModel, compile_library
from niwaki.emit.constants import comment
from niwaki.emit.generate import Generated, generate, write
from niwaki.emit.lower import lower
from niwaki.emit.source import c_string
from niwaki.errors import ModelError, NiwakiError
from random_graphs import Builder

SHIFTED = (np.arange(256) - 128).astype(np.int8)[None]


def lenet5(table: np.ndarray | None = SHIFTED, labels: tuple[str, ...] = ()) -> Graph:
    builder = Builder((1, 32, 32), 0)
    for filters in (6, 16):
        builder.conv(filters, (5, 5))
        builder.max_pool((2, 2), (2, 2))
    for outputs in (120, 84, 10):
        builder.dense(outputs)
    return with_input(builder, table, labels)


def with_input(builder: Builder, table: np.ndarray | None, labels: tuple[str, ...] = ()) -> Graph:
    return Graph(builder.tensors, tuple(builder.layers), builder.input, builder.last, labels, None, table)


def residual() -> Graph:
    builder = Builder((3, 9, 7), 4)
    stem = builder.conv(20, (3, 3), pads=(1, 1, 1, 1))
    builder.conv(20, (3, 3), pads=(1, 1, 1, 1), groups=20)
    branch = builder.conv(20, (1, 1))
    builder.add(stem, branch)
    builder.average_pool((9, 7), (1, 1), (0, 0, 0, 0), False)
    builder.dense(5)
    table = np.stack([np.clip(np.arange(256) // step - 60, -128, 127) for step in (1, 2, 3)]).astype(np.int8)
    return with_input(builder, table, ("a", "b", "c", "d", "e"))


def inputs_of(graph: Graph, count: int = 4) -> np.ndarray:
    shape = graph.tensors[graph.input].shape
    return np.random.default_rng(7).integers(-128, 128, (count, *shape)).astype(np.int8)


def test_lenet5_needs_2200_bytes_of_working_memory() -> None:
    """The image (1,024) and the first pooling (1,176); a plan by lifetimes alone holds a whole convolution too."""
    report = generate(lenet5()).report
    assert (report.arena_bytes, report.arena_without_input, report.ram_bytes) == (2200, 1176 + 400, 2210)
    assert report.lifetimes_bytes == 6 * 28 * 28 + 6 * 14 * 14
    weights = 6 * 25 + 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert report.weight_bytes == weights
    assert report.constant_bytes == weights + (6 + 16 + 120 + 84 + 10) * (4 + 4 + 1)  # bias, multiplier, shift
    assert list(report.layer_bytes.values()) == [
        6 * 25 + 6 * 9, 16 * 150 + 16 * 9, 400 * 120 + 120 * 9, 120 * 84 + 84 * 9, 84 * 10 + 10 * 9
    ]  # fmt: skip


def test_every_constant_but_the_table_of_pixels_belongs_to_a_layer() -> None:
    graph = residual()  # also a depthwise layer, whose weights are written in their own way
    report = generate(graph).report
    stored = {
        layer.name: layer.weights.size + 9 * len(layer.weights)
        for layer in graph.layers if isinstance(layer, Conv | Dense)
    }  # fmt: skip
    stored["node4"] = 4 + 1  # the mean: a multiplier and a shift for its one divisor
    assert report.layer_bytes == stored
    assert report.constant_bytes == sum(stored.values()) + 3 * 256


def test_weights_of_few_bits_are_counted_packed() -> None:
    """The last layer keeps its 8 bits; what vector units have stays as it was."""
    whole = generate(lenet5()).report
    for bits, packed in ((4, 75 + 1200 + 24_000 + 5_040), (2, 25 + 13 + 600 + 12_000 + 2_520)):
        generated = generate(of_few_bits(lenet5(), bits))
        report = generated.report
        assert report.weight_bytes == packed + 840
        assert report.constant_bytes == packed + 840 + 236 * 9
        assert (report.block_bytes, report.ram_bytes) == (whole.block_bytes, whole.ram_bytes)
        assert [(layer.bits, layer.bytes) for layer in report.weights][-2:] == [(bits, 84 * 120 * bits // 8), (8, 840)]
        assert f"weights {packed + 840:,}, the rest" in generated.files["README.md"].decode()
        assert f"weights of {bits} bits */" in generated.files["model.c"].decode()
    assert [layer.bits for layer in whole.weights] == [8] * 5
    assert "bit(" not in generate(lenet5()).files["model.c"].decode()


def test_pooling_is_taken_into_the_convolution() -> None:
    steps = lower(lenet5()).steps
    assert [step.kernel for step in steps] == ["conv", "conv", "dense", "dense", "dense"]
    assert (steps[0].fields["pool_h"], steps[0].fields["out_h"]) == (2, 14)


def test_a_convolution_that_something_else_reads_keeps_its_pooling_apart() -> None:
    builder = Builder((1, 8, 8), 0)
    first = builder.conv(4, (3, 3), pads=(1, 1, 1, 1))
    builder.max_pool((2, 2), (2, 2))
    builder.conv(4, (1, 1))
    pooled = builder.last
    builder.last = first
    builder.conv(4, (2, 2), (2, 2))
    builder.add(pooled, builder.last)
    builder.dense(3)
    assert [step.kernel for step in lower(builder.graph()).steps] == [
        "conv",
        "max_pool",
        "conv",
        "conv",
        "add",
        "dense",
    ]


def test_a_sum_is_written_over_what_nothing_reads_again() -> None:
    program = lower(residual())
    add = next(step for step in program.steps if step.kernel == "add")
    assert program.offsets[add.output] in {program.offsets[name] for name in add.inputs}
    assert program.arena_bytes <= program.lifetimes_bytes


def test_the_same_graph_gives_the_same_files() -> None:
    assert generate(residual()).files == generate(residual()).files


def test_constants_in_the_source_are_those_reported() -> None:
    for graph in (residual(), of_few_bits(residual(), 4), of_few_bits(residual(), 2)):
        check_constants(generate(graph))


def check_constants(generated: Generated) -> None:
    declared = re.findall(r"static const NIWAKI_FLASH (u?int\d+)_t (\w+)\[(\d+)\]", generated.files["model.c"].decode())
    widths = {"int8": 1, "uint8": 1, "int32": 4}
    sizes = {name: {int(count) * widths[kind]} for kind, name, count in declared}
    for kind, name, count in declared:
        sizes[name].add(int(count) * widths[kind])
    for constant in generated.report.constants:
        by_taps = {9 * 32} if constant.name == "layer1_conv_weights" else set()  # 9 taps of 20 channels, in tiles
        assert sizes[constant.name] == {constant.plain, constant.blocks} | by_taps, constant


@pytest.mark.parametrize("flags", [("-O1", "-march=native"), ("-O1", "-DNIWAKI_PORTABLE")])
def test_pixels_and_int8_inputs_give_the_reference_s_scores(flags: tuple[str, ...], tmp_path: Path) -> None:
    for number, graph in enumerate((lenet5(), residual(), lenet5(np.flip(SHIFTED, 1)))):
        folder = write(generate(graph), tmp_path / str(number))
        model = CModel(folder, library=compile_library(folder, flags=flags))
        inputs = inputs_of(graph)
        np.testing.assert_array_equal(model.run(inputs), reference.run(graph, inputs))
        pixels = np.random.default_rng(1).integers(0, 256, inputs.shape).astype(np.uint8)
        np.testing.assert_array_equal(model(pixels), reference.run(graph, reference.quantize_pixels(graph, pixels)))


def test_an_output_with_channels_comes_channels_first(tmp_path: Path) -> None:
    builder = Builder((2, 6, 5), 3)
    builder.conv(3, (3, 3), pads=(1, 1, 1, 1))
    graph = builder.graph()
    model = CModel(write(generate(graph), tmp_path))
    inputs = inputs_of(graph)
    np.testing.assert_array_equal(model.run(inputs), reference.run(graph, inputs).reshape(4, -1))


def test_a_model_without_preprocessing_takes_no_pixels(tmp_path: Path) -> None:
    folder = write(generate(lenet5(table=None)), tmp_path)
    assert "run_pixels" not in (folder / "model.h").read_text()
    model = CModel(folder)
    with pytest.raises(ModelError, match="takes int8 inputs only"):
        model(np.zeros((1, 1, 32, 32), np.uint8))


def test_its_own_program_names_the_classes(tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    labels = ("plain", 'a "quote"', "100 %d", "back\\slash", "??/", "한복", "a\nline", "*/ int", "i", "j")
    graph = lenet5(labels=labels)
    folder = write(generate(graph), tmp_path)
    subprocess.run(["make", "-s", "CFLAGS=-O1"], cwd=folder, check=True, capture_output=True)
    pixels = np.random.default_rng(2).integers(0, 256, (5, 1, 32, 32)).astype(np.uint8)
    (folder / "images.bin").write_bytes(pixels.tobytes())
    done = subprocess.run(["./classify", "images.bin"], cwd=folder, check=True, capture_output=True)
    scores = reference.run(graph, reference.quantize_pixels(graph, pixels))
    expected = [f"{i}: {labels[row.argmax()]} (score {row.max()})" for i, row in enumerate(scores)]
    assert done.stdout.decode().splitlines() == "\n".join(expected).splitlines()
    for arguments, complaint in (
        ([], b"usage"), (["missing.bin"], b"missing.bin"), (["Makefile"], b"does not hold whole images of 1024 bytes"),
    ):  # fmt: skip
        failed = subprocess.run(["./classify", *arguments], cwd=folder, check=False, capture_output=True)
        assert failed.returncode == 2
        assert complaint in failed.stderr


def test_the_folder_can_be_copied_to_where_every_file_is_compiled(tmp_path: Path) -> None:
    """As Arduino, PlatformIO, STM32CubeIDE and a GLOB do: with a `main` of the project's own."""
    need_tool("cc", "gcc libc6-dev")
    folder = write(generate(lenet5()), tmp_path / "c")
    (tmp_path / "own.c").write_text('#include "c/model.h"\nint main(void) { return niwaki_model_input(0) == 0; }\n')
    flat = ["own.c", *map(str, folder.glob("*.c"))]
    subprocess.run(["cc", "-O0", "-o", "flat", *flat], cwd=tmp_path, check=True)
    subprocess.run(["./flat"], cwd=tmp_path, check=True)
    deep = ["own.c", *map(str, folder.rglob("*.c"))]
    subprocess.run(["cc", "-O0", "-std=c99", "-Wpedantic", "-Werror", "-DPLATFORMIO=60118", "-Ic", "-o", "deep", *deep],
                   cwd=tmp_path, check=True)  # fmt: skip


def test_one_library_picks_its_kernels_at_run_time(tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    graph = lenet5()
    folder = write(generate(graph), tmp_path)
    subprocess.run(["make", "-s", "-j2", "portable-library"], cwd=folder, check=True, capture_output=True)
    model = CModel(folder, library=folder / "libniwaki_model.so")
    inputs = inputs_of(graph)
    np.testing.assert_array_equal(model.run(inputs), reference.run(graph, inputs))


def test_foreign_names_cannot_leave_their_comment() -> None:
    assert comment("a */ int x; /* b") == "a *_ int x; /_ b"
    assert comment("line\nbreak \\ é ??/") == "line?break _ ? __/"
    assert c_string('"\\n\n??é') == '"\\042\\134n\\012\\077\\077\\303\\251"'


@pytest.mark.parametrize("prefix", ["", "1model", "a-b", "int", "a b", "x" * 60, "naïve"])
def test_a_prefix_is_a_c_identifier(prefix: str) -> None:
    with pytest.raises(ModelError, match=re.escape(f"prefix {prefix!r}")):
        generate(lenet5(), prefix=prefix)


def test_a_limit_of_ram_is_kept() -> None:
    assert generate(lenet5(), ram_limit=2210).report.ram_bytes == 2210
    assert generate(lenet5(), ram_limit=2209).report.ram_bytes <= 2209
    with pytest.raises(ModelError, match=r"needs 1,538 bytes of RAM .* limit of 1,537"):
        generate(lenet5(), ram_limit=1537)


def test_sides_beyond_16_bits_are_refused() -> None:
    builder = Builder((1, 1, 40000), 0)
    builder.conv(2, (1, 1))
    with pytest.raises(ModelError, match="node0: shape .*40000.*: dimensions go up to 32767"):
        generate(builder.graph())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NiwakiError, match="cannot be written"):
        write(generate(lenet5()), tmp_path / "file")
