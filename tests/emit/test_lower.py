"""From layers to steps on buffers: what goes where, and what an arena needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.program import INPUT, OUTPUT, Program
from niwaki.emit.lower import lower
from niwaki.errors import ModelError
from qdq_models import read, start
from random_graphs import Builder


def flow(program: Program) -> list[tuple[str, tuple[str, ...], str]]:
    """Kernels with what they read and write."""
    return [(step.kernel, step.inputs, step.output) for step in program.steps]


def test_the_last_step_writes_where_the_caller_wants_the_scores() -> None:
    builder = Builder((4,), 0)
    builder.dense(3)
    builder.dense(2)
    program = lower(builder.graph())
    assert flow(program) == [("dense", (INPUT,), "t1"), ("dense", ("t1",), OUTPUT)]
    assert program.sizes == {INPUT: 4, "t1": 3}
    assert (program.arena_bytes, program.arena_without_input, program.lifetimes_bytes) == (7, 3, 7)
    assert program.offsets == {"t1": 0, INPUT: 3}
    assert not program.arrange_input


def test_a_single_layer_needs_no_arena_beside_the_image() -> None:
    builder = Builder((4,), 0)
    builder.dense(2)
    program = lower(builder.graph())
    assert flow(program) == [("dense", (INPUT,), OUTPUT)]
    assert (program.arena_bytes, program.arena_without_input) == (4, 0)


def test_an_image_of_several_channels_is_put_into_rows_of_pixels_in_the_arena() -> None:
    builder = Builder((3, 5, 4), 0)
    builder.average_pool((5, 4), (1, 1), (0, 0, 0, 0), False)
    builder.dense(2)
    program = lower(builder.graph())
    assert program.arrange_input
    assert flow(program)[0] == ("average_pool", (INPUT,), "t1")
    assert program.arena_bytes == program.arena_without_input == 60 + 3


def test_pooling_that_a_convolution_takes_in_has_no_buffer() -> None:
    builder = Builder((1, 4, 4), 0)
    builder.conv(2, (1, 1))
    builder.max_pool((2, 2), (2, 2))
    builder.dense(3)
    program = lower(builder.graph())
    assert flow(program) == [("conv", (INPUT,), "t2"), ("dense", ("t2",), OUTPUT)]
    assert set(program.offsets) == {INPUT, "t2"}
    assert program.lifetimes_bytes == 16 + 32  # each layer by itself: the image and the convolution
    assert (program.arena_bytes, program.arena_without_input) == (16 + 8, 8)


def test_a_sum_in_place_has_the_offset_of_what_it_is_written_over() -> None:
    builder = Builder((4,), 0)
    first = builder.dense(3)
    second = builder.dense(3)
    added = builder.add(first, second)
    builder.dense(2)
    program = lower(builder.graph())
    assert program.offsets[added] == program.offsets[first]
    assert program.sizes[added] == 3
    assert program.arena_without_input == 6


def copied(program: Program) -> dict[str, int]:
    """The fields of the copy to the output, which is the last step."""
    last = program.steps[-1]
    assert (last.kernel, last.name, last.output) == ("reshape", "output", OUTPUT)
    return last.fields


def test_an_output_of_several_channels_is_copied_channels_first() -> None:
    builder = Builder((1, 6, 5), 0)
    builder.conv(3, (1, 1))
    program = lower(builder.graph())
    assert flow(program) == [("conv", (INPUT,), "t1"), ("reshape", ("t1",), OUTPUT)]
    assert copied(program) == {"in_h": 6, "in_w": 5, "in_c": 3, "out_h": 1, "out_w": 1, "out_c": 90}


def test_an_output_that_another_layer_reads_is_copied() -> None:
    builder = Builder((4,), 0)
    scores = builder.dense(3)
    builder.requantize()
    program = lower(replace(builder.graph(), output=scores))
    assert flow(program) == [("dense", (INPUT,), "t1"), ("requantize", ("t1",), "t2"), ("reshape", ("t1",), OUTPUT)]
    assert copied(program)["out_c"] == 3


def test_an_output_that_no_step_writes_is_copied() -> None:
    builder = Builder((1, 2, 3), 0)
    builder.reshape((6,))
    program = lower(builder.graph())
    assert flow(program) == [("reshape", (INPUT,), OUTPUT)]
    assert copied(program) == {"in_h": 1, "in_w": 1, "in_c": 6, "out_h": 1, "out_w": 1, "out_c": 6}


def wide(width: int, kernel: int = 1) -> Graph:
    builder = Builder((1, 1, width), 0)
    builder.max_pool((1, kernel), (1, 1))
    return builder.graph()


def test_sides_are_16_bit_numbers() -> None:
    assert flow(lower(wide(32767)))[-1][-1] == OUTPUT
    for graph, shape in ((wide(32768, 2), "(1, 1, 32768)"), (wide(40000), "(1, 1, 40000)")):
        with pytest.raises(ModelError) as error:
            lower(graph)
        assert str(error.value) == f"node0: shape {shape}: dimensions go up to 32767"
    grown = Builder((1, 1, 32760), 0)
    grown.pad((0, 4, 0, 4))
    with pytest.raises(ModelError, match=r"node0: shape \(1, 1, 32768\)"):
        lower(grown.graph())


def test_several_axes_as_one_side_are_16_bit_numbers() -> None:
    model, x = start(200, 200, 4)
    graph = read(model, model.qdq(model.node("MatMul", [x, model.weights(np.eye(4, dtype=np.int8), 0.5)]), 0.5))
    with pytest.raises(ModelError, match=r"^MatMul\d+: in_h of its kernel would be 40000: sizes go up to 32767$"):
        lower(graph)
    for side in (33, 34):
        model, x = start(31, 32, side)
        graph = read(model, model.qdq(model.node("ReduceSum", [x, model.constant(np.array([1, 2, 3]))]), 5))
        if side == 33:
            assert [step.kernel for step in lower(graph).steps][-1] == "average_pool"
        else:
            with pytest.raises(ModelError, match=r"^ReduceSum\d+: in_w of its kernel would be 33728: sizes"):
                lower(graph)


def test_a_dense_layer_takes_any_size() -> None:
    builder = Builder((1, 1, 40000), 0)
    builder.dense(2)
    assert flow(lower(builder.graph())) == [("dense", (INPUT,), OUTPUT)]


def test_channels_are_added_to_as_many_pixels_as_16_bits_count() -> None:
    for width, fits in ((163, True), (164, False)):
        wider = Builder((2, 200, width), 0)
        wider.widen(1, 1)
        if fits:
            assert lower(wider.graph()).steps[0].kernel == "pad"
        else:
            with pytest.raises(ModelError, match=r"^node0: in_h of its kernel would be 32800: sizes go up to 32767$"):
                lower(wider.graph())
