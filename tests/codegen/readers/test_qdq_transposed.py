"""Transposed convolutions become one convolution, whose numbers are put in their places; and reductions of any axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundled import need_tool
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.emit.lower import lower
from niwaki.errors import ModelError
from qdq_models import Qdq, kinds, read, runtime_scores, start
from random_graphs import compile_together, run_c

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "doubled": ((3, 4, 5), (3, 4, 2, 2), {"strides": [2, 2]}),
    "of three": ((3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "of three, doubled": ((3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}),
    "of four": ((3, 4, 5), (3, 4, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "no stride": ((3, 4, 5), (3, 4, 3, 2), {"pads": [1, 0, 1, 1]}),
    "apart": ((3, 4, 5), (3, 4, 1, 2), {"strides": [3, 2], "output_padding": [2, 1]}),
    "dilated": ((3, 4, 5), (3, 4, 2, 3), {"strides": [2, 1], "dilations": [2, 3], "pads": [1, 2, 0, 3]}),
    "cut": ((3, 6, 7), (3, 4, 3, 3), {"strides": [1, 2], "pads": [2, 4, 2, 4]}),
    "in groups": ((4, 4, 5), (4, 3, 3, 3), {"strides": [2, 2], "group": 2, "pads": [1, 1, 0, 0]}),
    "depthwise": ((4, 4, 5), (4, 1, 4, 4), {"strides": [2, 2], "group": 4, "pads": [1, 1, 1, 1]}),
    "a signal": ((3, 7), (3, 4, 4), {"strides": [2], "pads": [1, 1]}),
}


def made(case: str, axis: int | None = 1) -> tuple[Qdq, str]:
    """A QDQ model of a case, with a scale for each output, or one."""
    shape, sides, given = CASES[case]
    rng = np.random.default_rng(0)
    model, x = start(*shape, *[1] * (3 - len(shape)), scale=0.05, zero_point=9)
    if len(shape) < 3:
        x = model.node("Reshape", [x, model.constant(np.array([-1, *shape]))])
    values = rng.integers(-127, 128, sides).astype(np.int8)
    count = sides[1] if axis == 1 else sides[0]
    scale = 0.013 if axis is None else rng.uniform(0.005, 0.02, count).astype(np.float32)
    weights = model.weights(values, scale, **({} if axis is None else {"axis": axis}))
    bias = model.constant(rng.normal(0, 1, sides[1] * given.get("group", 1)).astype(np.float32))
    y = model.node("Relu", [model.node("ConvTranspose", [x, weights, bias], **given)])
    return model, model.qdq(y, 0.1, -128)


def expected_c(graph: Graph, folder: Path) -> np.ndarray:
    """What the reference gives, which the C gives too."""
    shape = graph.tensors[graph.input].shape
    inputs = np.random.default_rng(1).integers(-127, 128, (20, *shape)).astype(np.int8)
    found = reference.run(graph, inputs)
    library = compile_together([graph], folder, ["-O1"])
    np.testing.assert_array_equal(run_c(library, 0, graph, inputs), found.reshape(len(inputs), -1))
    return inputs


@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_computes_the_same(case: str, tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    model, y = made(case, None if case == "doubled" else 1)
    graph = read(model, y)
    assert sum(kind == "Conv" for kind in kinds(graph)) == 1
    inputs = expected_c(graph, tmp_path)
    found = reference.run(graph, inputs).astype(int)
    other = runtime_scores(model.build(y), graph, inputs)
    assert np.abs(found - other).max() <= 1
    assert (found == other).mean() > 0.97
    assert len(np.unique(found)) > 10


def test_no_table_of_places_is_stored() -> None:
    """Also where the result is cut: the copies are loops."""
    for case in ("doubled", "of three", "of three, doubled", "of four"):
        model, y = made(case)
        steps = lower(read(model, y)).steps
        assert "gather_from" not in {step.kernel for step in steps}, case


def test_what_is_no_form_of_it() -> None:
    model, y = made("doubled", axis=0)
    with pytest.raises(ModelError, match="a weight scale for each input channel"):
        read(model, y)
    for more in ({"output_shape": [8, 10]}, {"auto_pad": "SAME_UPPER"}):
        CASES["more"] = ((3, 4, 5), (3, 4, 2, 2), {"strides": [2, 2], **more})
        model, y = made("more")
        del CASES["more"]
        with pytest.raises(ModelError, match="auto_pad or output_shape: pads and output_padding are supported"):
            read(model, y)


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax"])
@pytest.mark.parametrize(("axes", "keep"), [([1, 3], 1), ([1, 3], 0), ([2, 4], 0), ([1, 3, 4], 1), ([-1, 1], 0)])
def test_reductions_of_axes_that_do_not_lie_side_by_side(kind: str, axes: list[int], keep: int, tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    model, x = start(3, 4, 10, scale=0.05, zero_point=9)
    if max(axes) > 3:
        x = model.node("Reshape", [x, model.constant(np.array([-1, 3, 4, 5, 2]))])
    given: dict[str, Any] = {} if kind == "ReduceSum" else {"axes": axes}
    more = [model.constant(np.array(axes))] if kind == "ReduceSum" else []
    reduced = model.node(kind, [x, *more], keepdims=keep, **given)
    y = model.qdq(reduced, 0.05 if kind != "ReduceSum" else 0.31, 9)
    graph = read(model, y)
    inputs = expected_c(graph, tmp_path)
    found, other = reference.run(graph, inputs).astype(int), runtime_scores(model.build(y), graph, inputs)
    assert np.abs(found - other).max() <= 1
    assert (found == other).mean() > 0.9
    assert len(np.unique(found)) > 10
