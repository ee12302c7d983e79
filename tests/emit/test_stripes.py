"""Layers by stripes of rows give the bits of the reference, in less RAM."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from bundled import need_tool
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.program import Program
from niwaki.emit.fitting import fit, forms_of, planned
from niwaki.emit.generate import generate
from niwaki.emit.lower import lower
from niwaki.errors import ModelError
from random_graphs import Builder, compile_programs, run_c

FEW = settings(
    max_examples=1, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)  # fmt: skip
MANY = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
PLAIN = ("-O0", "-DNIWAKI_PORTABLE")
WIDEST = ("-O0", "-march=native")


@st.composite
def tall_images(draw: st.DrawFn) -> Graph:
    """A network of images with many rows: windows, residuals, joined channels, elements."""
    shape = draw(st.sampled_from([1, 2, 3, 8])), draw(st.integers(9, 26)), draw(st.integers(2, 9))
    b = Builder(shape, draw(st.integers(0, 2**32 - 1)), twice=draw(st.booleans()))
    for _ in range(draw(st.integers(2, 6))):
        b.bits = draw(st.sampled_from([8, 8, 4, 2]))
        _add_layer(draw, b)
    if draw(st.booleans()):
        b.dense(draw(st.integers(1, 9)))
    return b.graph()


def _add_layer(draw: st.DrawFn, b: Builder) -> None:
    channels, height, width = b.shape
    kernel, dilation = (draw(st.integers(1, min(4, height))), draw(st.integers(1, min(3, width)))), 1
    if kernel[0] == 2 and height > 2:
        dilation = draw(st.integers(1, 2))
    reach = (kernel[0] - 1) * dilation + 1
    pads = tuple(draw(st.integers(0, side - 1)) for side in (reach, kernel[1], reach, kernel[1]))
    strides, left = (draw(st.integers(1, 3)), draw(st.integers(1, 2))), b.last
    match draw(
        st.sampled_from(["conv", "conv", "depthwise", "pooled", "pool", "residual", "joined", "elements", "pad"])
    ):
        case "conv":
            b.conv(draw(st.sampled_from([1, 3, 4, 8, 17])), kernel, strides, pads, (dilation, 1))
        case "depthwise":
            b.conv(channels, kernel, strides, pads, (dilation, 1), groups=channels)
        case "pooled" if height > 3 and width > 1:
            b.conv(draw(st.sampled_from([2, 6, 16])), (1, 1), pads=(0, 0, 0, 0))
            b.max_pool((2, 2), (2, 2))
        case "pool" if b.twice:
            b.integer_mean(kernel, strides, pads)
        case "pool" if draw(st.booleans()):
            b.max_pool(kernel, strides, pads)
        case "pool":
            b.average_pool(kernel, strides, pads, draw(st.booleans()))
        case "residual" if height > 1 and width > 1:
            stride, filters = draw(st.integers(1, 2)), draw(st.sampled_from([4, channels]))
            b.conv(filters, (3, 3), (stride, 1), (1, 1, 1, 1))
            body = b.conv(filters, (3, 3), (1, 1), (1, 1, 1, 1))
            kept = stride == 1 and filters == channels
            beside = left if kept else b.conv(filters, (1, 1), (stride, 1), source=left)
            b.add(*draw(st.permutations([body, beside])))
        case "joined":
            parts = [b.requantize(), left, b.conv(3, (3, 1), (1, 1), (1, 0, 1, 0), source=left)]
            b.concat(draw(st.permutations(parts)))
        case "pad":
            b.pad(draw(st.tuples(*[st.integers(0, 3)] * 4)))
        case _:
            b.lookup(draw(st.sampled_from([None, 0])))
            b.requantize()


def some_form(draw: st.DrawFn, graph: Graph) -> Program:
    """A program of the graph with some part by stripes, if any part can."""
    program = lower(graph)
    forms = list(forms_of(graph, program, 1 << 30))
    return planned(program, draw(st.sampled_from(forms))) if forms else program


@st.composite
def batches(draw: st.DrawFn, size: int) -> list[tuple[Graph, Program]]:
    found = [draw(tall_images()) for _ in range(size)]
    assume(len({len(graph.layers) for graph in found}) > 3)  # the first example is the simplest: all networks alike
    return [(graph, some_form(draw, graph)) for graph in found]


@pytest.fixture(autouse=True, scope="module")
def compiler() -> None:
    need_tool("cc", "gcc libc6-dev")


def check(batch: list[tuple[Graph, Program]], builds: tuple[tuple[str, ...], ...]) -> None:
    rng = np.random.default_rng(0)
    assert sum(bool(program.stripes) for _, program in batch) > 0.8 * len(batch)
    with tempfile.TemporaryDirectory() as folder:
        for flags in builds:
            library = compile_programs(batch, Path(folder), flags)
            for index, (graph, program) in enumerate(batch):
                inputs = rng.integers(-128, 128, (2, *graph.tensors[graph.input].shape)).astype(np.int8)
                expected = reference.run(graph, inputs).reshape(2, -1)
                got = run_c(library, index, graph, inputs)
                layers = [type(layer).__name__ for layer in graph.layers]
                some = [(form.start, form.end, form.rows) for form in program.stripes]
                np.testing.assert_array_equal(got, expected, err_msg=f"{index} {' '.join(flags)}: {layers} {some}")


def test_a_loop_s_output_takes_the_place_of_what_it_has_read() -> None:
    b = Builder((8, 20, 5), 3)
    b.conv(8, (1, 1))
    b.conv(8, (3, 3), pads=(1, 1, 1, 1), groups=8)
    b.conv(8, (1, 1))
    b.dense(3)
    graph = b.graph()
    whole = lower(graph)
    forms = {(form.start, form.end, form.rows): form for form in forms_of(graph, whole, 1 << 30)}
    forms |= {(form.start, form.end, form.rows): form for form in forms_of(graph, whole, 1000)}
    assert whole.arena_bytes == 2 * 800
    assert forms[0, 1, 1].lags == {("t1", "input"): 40}  # 1x1: a row may be written once it was read
    assert forms[0, 2, 1].lags == {("t2", "input"): 0}  # the window between them is a row ahead already
    alone = planned(whole, forms[0, 3, 1])
    assert alone.arena_bytes == 800 + 3 * 40 + 40  # the image with the output over it, a window of three rows, one row
    check([(graph, alone)], (PLAIN, WIDEST))


def test_sums_and_joined_channels_wait_for_the_last_of_their_inputs() -> None:
    batch = []
    for join in ("add", "concat"):
        b = Builder((4, 12, 5), 1)
        left = b.conv(4, (1, 1))
        late = b.conv(4, (5, 3), pads=(2, 1, 2, 1))
        b.add(left, late) if join == "add" else b.concat([late, left])
        graph = b.graph()
        program = lower(graph)
        forms = [form for form in forms_of(graph, program, 1 << 30) if form.rows == 1]
        batch += [(graph, planned(program, form)) for form in forms if form.end >= 3]
    assert len(batch) == 2
    check(batch, (PLAIN,))


@FEW
@given(batches(12))
def test_random_networks_by_stripes(batch: list[tuple[Graph, Program]]) -> None:
    check(batch, (PLAIN, WIDEST))


@pytest.mark.soak
@MANY
@given(batches(60))
def test_many_random_networks_by_stripes(batch: list[tuple[Graph, Program]]) -> None:
    checked = ("-O1", "-DNIWAKI_PORTABLE", "-fsanitize=undefined", "-fno-sanitize-recover")
    builds = (checked, WIDEST, ("-O3", "-march=native"), ("-O1", "-march=x86-64-v3"), ("-Os", "-DNIWAKI_PORTABLE"))
    check(batch, builds)


def resnet8() -> Graph:
    """The layers of MLPerf Tiny's ResNet-8, with random weights."""
    b = Builder((3, 32, 32), 4)
    left = b.conv(16, (3, 3), pads=(1, 1, 1, 1))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        shortcut = left if stride == 1 else b.conv(filters, (1, 1), (stride, stride), source=left)
        b.conv(filters, (3, 3), (stride, stride), (1, 1, 1, 1), source=left)
        left = b.add(shortcut, b.conv(filters, (3, 3), pads=(1, 1, 1, 1)))
    b.average_pool((8, 8), (1, 1), (0, 0, 0, 0), False)
    b.dense(10)
    return b.graph()


def test_resnet8_takes_less_than_half_its_ram_and_gives_the_same_bits() -> None:
    """Three tensors of 16,384 bytes are alive as it is; by stripes what is left is the last block's."""
    graph = resnet8()
    whole, half = lower(graph), fit(graph, lower(graph), 24_000)
    assert whole.arena_bytes == 3 * 16 * 32 * 32
    assert half.arena_bytes <= 24_000
    later = fit(graph, whole, 38_000)
    assert later.stripes[0].start > 0
    check([(graph, half), (graph, later)], (("-O1", "-DNIWAKI_PORTABLE"),))


def test_a_limit_is_kept_by_stripes_and_refused_with_what_takes_the_ram() -> None:
    graph = resnet8()
    least = 15_360 + 10
    made = generate(graph, ram_limit=least)
    assert made.report.ram_bytes == least
    assert generate(graph, ram_limit=made.report.ram_bytes).files == made.files
    with pytest.raises(ModelError) as caught:
        generate(graph, ram_limit=least - 1)
    assert str(caught.value) == (
        "the model needs 15,370 bytes of RAM even with the layers node0 to node11 by stripes of rows (arena 15,360, "
        "output 10; at node0: the image with node11 over it 4,096, 3 rows of node0 1,536, 3 rows of node1 1,536), more "
        "than the limit of 15,369: prune further or raise the limit"
    )


def test_a_limit_that_is_not_exceeded_changes_nothing() -> None:
    graph = resnet8()
    assert generate(graph, ram_limit=49_162).files == generate(graph).files


def test_what_no_stripe_helps_says_so() -> None:
    b = Builder((1, 2, 2), 0)
    b.dense(60)
    b.dense(50)
    with pytest.raises(
        ModelError, match=r"needs 114 bytes of RAM \(arena 64, output 50; at node1: node1 60, the image 4\)"
    ):
        generate(b.graph(), ram_limit=100)
