"""Random networks give the same bits in the reference and in every build of the C."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from bundled import need_tool
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph, Layer
from niwaki.codegen.graph.operators.table import OPERATORS
from niwaki.emit.lower import lower
from niwaki.emit.pack import stored
from random_graphs import compile_together, graphs, run_c
from random_shapes import STEPS, of_each_kind, shaped_graphs

# Every network of a batch in plain C, and those of images with this processor's widest vectors.
FEW = settings(
    max_examples=1, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)  # fmt: skip
MANY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
IMAGES, SOME = 50, 24  # networks of a batch with kernels for vector units; the others run in plain C everywhere
PLAIN, WIDEST = ("-O1", "-DNIWAKI_PORTABLE"), ("-O0", "-march=native")
VNNI = ("-O0", "-march=x86-64-v3", "-mavx512vl", "-mavx512vnni")  # the kernels of AVX-VNNI
HAS_VNNI = Path("/proc/cpuinfo").exists() and " avx512_vnni " in Path("/proc/cpuinfo").read_text()
BUILDS = (
    PLAIN, WIDEST, ("-O3", "-march=native"), ("-O1", "-march=native", "-mno-avx512vbmi"), ("-O1", "-march=x86-64-v3"),
    *((VNNI,) if HAS_VNNI else ()),
    ("-Os", "-DNIWAKI_PORTABLE"), ("-Ofast", "-march=native"),
    ("-O1", "-DNIWAKI_PORTABLE", "-fsanitize=undefined", "-fno-sanitize-recover"),
)  # fmt: skip


def batches(images: int, shaped: int) -> st.SearchStrategy[list[Graph]]:
    """Networks of images, then of tensors of any shape."""
    return st.builds(
        lambda first, last: [*first, *last], st.lists(graphs(), min_size=images, max_size=images),
        st.lists(shaped_graphs(), min_size=shaped, max_size=shaped),
    )  # fmt: skip


def check(batch: list[Graph], builds: tuple[tuple[str, ...], ...], images: int | None = IMAGES) -> None:
    """The bits of every build; of builds for this processor, only for `batch[:images]`."""
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-128, 128, (3, *g.tensors[g.input].shape)).astype(np.int8) for g in batch]
    expected = [reference.run(graph, x).reshape(len(x), -1) for graph, x in zip(batch, inputs, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        for flags in builds:
            some = batch[:images] if "-march=native" in flags else batch
            library = compile_together(some, Path(folder), flags)
            for index, graph in enumerate(some):
                layers = [type(layer).__name__ for layer in graph.layers]
                got = run_c(library, index, graph, inputs[index])
                np.testing.assert_array_equal(got, expected[index], err_msg=f"{' '.join(flags)}: {layers}")


@pytest.fixture(autouse=True, scope="module")
def compiler() -> None:
    need_tool("cc", "gcc libc6-dev")


def test_networks_of_each_kind_of_layer() -> None:
    """Every kind is known to the table, and weights of every layout are seen in 8, 4 and 2 bits."""
    networks = of_each_kind()
    check(networks, (PLAIN, WIDEST), -len(STEPS))
    kernels, lain = covered(networks)
    assert set(kernels) == set(OPERATORS)
    assert lain == {(how, bits) for how in ("rows", "blocks", "depthwise") for bits in (8, 4, 2)}


@FEW
@given(batches(SOME, 16))
def test_random_networks(batch: list[Graph]) -> None:
    assume(len({len(graph.layers) for graph in batch}) > 3)  # the first example is the simplest: all networks alike
    check(batch, (PLAIN, WIDEST), SOME)
    for kind, called in covered(batch)[0].items():
        assert called <= set(OPERATORS[kind].kernels), kind.__name__


def covered(batch: list[Graph]) -> tuple[dict[type[Layer], set[str]], set[tuple[str, int]]]:
    """The kernels that each kind of layer calls, and how weights lie, with their bits."""
    kernels: dict[type[Layer], set[str]] = {}
    lain: set[tuple[str, int]] = set()
    for graph in batch:
        kinds = {layer.name: type(layer) for layer in graph.layers}
        for step in lower(graph).steps:
            if step.name in kinds:  # the copy into the output is of no layer
                kernels.setdefault(kinds[step.name], set()).add(step.kernel)
            if weights := stored(step):
                lain.add((step.weights, weights.bits))
    return kernels, lain


@pytest.mark.soak
@MANY
@given(batches(IMAGES, 30))
def test_many_random_networks(batch: list[Graph]) -> None:
    check(batch, BUILDS, None)
