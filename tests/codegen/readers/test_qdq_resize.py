"""Resize: nearest and linear, compared with ONNX Runtime, which computes in float."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.operators.resize import Bilinear
from niwaki.codegen.graph.ties import with_ties
from niwaki.codegen.readers.qdq import float_output
from niwaki.codegen.readers.qdq_bounds import Range
from niwaki.models.onnxfile import load_onnx
from qdq_models import Qdq, kinds, read, runtime_scores, start

SHAPE = (2, 5, 4)
HOWS = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric")


def resized(
    how: str, sides: tuple[int, ...] = (), scales: tuple[float, ...] = (), *, shape: tuple[int, ...] = SHAPE,
    step: float = 0.5, opset: int = 13, **attributes: object,
) -> tuple[Qdq, str]:  # fmt: skip
    """A Resize of an image in steps of 0.5, to steps of `step`."""
    model, x = start(*shape, batch=1, opset=opset)
    given = [x, "", model.constant(np.array([1, 1, *scales], np.float32))] if scales else [x, "", ""]
    if sides:
        given.append(model.constant(np.array([1, shape[0], *sides])))
    attributes = {"mode": "linear", **attributes}
    node = model.node("Resize", given, name="resize", coordinate_transformation_mode=how, **attributes)
    return model, model.qdq(node, step)


def scores(model: Qdq, output: str, graph: Graph, *, even: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    inputs = rng.integers(-128, 128, (60, *graph.tensors[graph.input].shape)).astype(np.int8)
    expected = runtime_scores(model.build(output), graph, inputs)
    found = reference.run(with_ties(graph, "even") if even else graph, inputs)
    return found.astype(int), expected.reshape(found.shape).astype(int)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("step", [0.5, 0.25])
def test_a_power_of_two_differs_in_ties_alone(how: str, step: float) -> None:
    """Float numbers are exact there, so that halves are all that is left."""
    model, output = resized(how, (9, 7) if how == "align_corners" else (10, 8), step=step)
    graph = read(model, output)
    assert kinds(graph) == ["Bilinear"]
    found, expected = scores(model, output, graph, even=True)
    np.testing.assert_array_equal(found, expected)
    found, expected = scores(model, output, graph)
    assert np.abs(found - expected).max() <= 1
    if step == 0.5:
        assert (found != expected).any()  # halves go up


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("sides", [(7, 13), (2, 3), (1, 1), (5, 4), (1, 9)])
def test_any_size(how: str, sides: tuple[int, int]) -> None:
    model, output = resized(how, sides, step=0.37)
    found, expected = scores(model, output, read(model, output))
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.995


@pytest.mark.parametrize("scales", [(1.3, 0.7), (1.5, 3.0)])
def test_stated_scales(scales: tuple[float, float]) -> None:
    """Of those that are no fraction of small numbers, places are rounded to a 2048th of a line."""
    model, output = resized("half_pixel", scales=scales, step=0.37)
    graph = read(model, output)
    (layer,) = graph.layers
    assert isinstance(layer, Bilinear)
    assert (layer.rows.unit, layer.columns.unit) == ((2048, 2048) if scales[0] == 1.3 else (6, 3))
    found, expected = scores(model, output, graph)
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.9


def test_a_row_of_one_pixel_and_a_signal() -> None:
    model, output = resized("align_corners", (3, 5), shape=(3, 1, 1))
    found, expected = scores(model, output, read(model, output))
    np.testing.assert_array_equal(found, expected)
    model, x = start(3, 2, 3, batch=1)
    signal = model.node("Reshape", [x, model.constant(np.array([1, 3, 6]))])
    sizes = model.constant(np.array([1, 3, 12]))
    output = model.qdq(model.node("Resize", [signal, "", "", sizes], mode="linear"), 0.37)
    graph = read(model, output)
    assert graph.tensors[graph.output].shape == (3, 12)
    found, expected = scores(model, output, graph)
    assert np.abs(found - expected).max() <= 1


def test_opset_10_has_its_own_rule() -> None:
    """Asymmetric places; of nearest neighbours, the one before."""
    for mode in ("linear", "nearest"):
        model, x = start(*SHAPE, opset=10)
        scales = model.constant(np.array([1, 1, 2, 2], np.float32))
        output = model.qdq(model.node("Resize", [x, scales], name="resize", mode=mode), 0.5)
        found, expected = scores(model, output, read(model, output), even=True)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("how", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_nearest_neighbours(how: str) -> None:
    model, output = resized("half_pixel", (7, 13), mode="nearest", nearest_mode=how)
    found, expected = scores(model, output, read(model, output))
    np.testing.assert_array_equal(found, expected)


def test_some_axes_alone() -> None:
    """Scales of the axes that are named."""
    model, x = start(*SHAPE, opset=18)
    scales = model.constant(np.array([1.3, 1.7], np.float32))
    output = model.qdq(model.node("Resize", [x, "", scales], mode="nearest", axes=[2, 3]), 0.5)
    found, expected = scores(model, output, read(model, output))
    np.testing.assert_array_equal(found, expected)


def test_a_float_end_has_the_range_of_its_input() -> None:
    model, x = start(*SHAPE)
    output = model.node("Resize", [x, "", "", model.constant(np.array([1, 2, 10, 8]))], mode="linear")
    assert float_output(load_onnx(model.build(output).SerializeToString()), "it") == (output, Range(-64.0, 63.5))


def test_a_sum_beyond_32_bits_is_refused() -> None:
    model, output = resized("half_pixel", (10, 8))
    graph = read(model, output)
    (layer,) = graph.layers
    assert isinstance(layer, Bilinear)
    wide = replace(layer, rows=replace(layer.rows, unit=1 << 22))
    with pytest.raises(OverflowError, match=r"^resize: weights in 4194304 by 4 units$"):
        reference.run(replace(graph, layers=(wide,)), np.zeros((1, *SHAPE), np.int8))
