"""The places of tensors while a graph is lowered, and the numbers that kernels get."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.codegen.graph.graph import Graph, Tensor
from niwaki.codegen.graph.lowering import Lowering, hwc, ordered_alike, reshape_fields
from niwaki.codegen.graph.operators.elementwise import Requantize
from niwaki.codegen.graph.operators.pooling import MaxPool
from niwaki.codegen.graph.program import INPUT

IMAGE, POOLED, FLAT = Tensor("x", (3, 8, 6), 1.0, 7), Tensor("y", (3, 4, 3), 1.0, -5), Tensor("z", (36,), 1.0, 9)
POOL = MaxPool("pool", ("x",), "y", (2, 2), (2, 2))


def lowering(image: Tensor = IMAGE) -> Lowering:
    return Lowering(Graph({"x": image, "y": POOLED, "z": FLAT}, (POOL,), "x", "z"), fuse=True)


def test_a_flat_tensor_is_one_pixel() -> None:
    assert hwc(FLAT) == (1, 1, 36)
    assert hwc(IMAGE) == (8, 6, 3)
    assert reshape_fields(IMAGE, FLAT) == {"in_h": 8, "in_w": 6, "in_c": 3, "out_h": 1, "out_w": 1, "out_c": 36}


@pytest.mark.parametrize(
    ("shape", "alike"),
    [((5,), True), ((1, 3, 2), True), ((4, 1, 1), True), ((2, 1, 2), False), ((2, 3, 3), False)],
)
def test_one_channel_or_one_pixel_has_one_order(shape: tuple[int, ...], alike: bool) -> None:
    tensor = Tensor("x", shape, 1.0, 0)
    assert ordered_alike(tensor) == alike
    assert lowering(tensor).arrange_input == (not alike)


def test_the_image_lies_in_the_input_and_the_rest_where_it_is_written() -> None:
    state = lowering()
    assert state.home == {"x": INPUT}
    assert state.sizes == {"x": 144, "y": 36, "z": 36, INPUT: 144}
    state.emit("max_pool", POOL, {"a": 1})
    state.emit("dense", Requantize("q", ("y",), "z", None), {}, {"w": np.ones(2)}, "rows", "elsewhere")
    first, second = state.steps
    assert (first.kernel, first.name, first.inputs, first.output) == ("max_pool", "pool", (INPUT,), "y")
    assert (first.fields, first.arrays, first.weights) == ({"a": 1}, {}, "")
    assert (second.inputs, second.output, second.weights, list(second.arrays)) == (("y",), "elsewhere", "rows", ["w"])
    assert state.home == {"x": INPUT, "y": "y", "elsewhere": "elsewhere"}


def test_what_a_kernel_is_told_of_its_images() -> None:
    state = lowering()
    assert state.image(POOL) == {"in_h": 8, "in_w": 6, "channels": 3, "out_h": 4, "out_w": 3}
    assert state.image(POOL, "z") == {"in_h": 8, "in_w": 6, "channels": 3, "out_h": 1, "out_w": 1}


def test_where_zero_is_and_where_the_output_ends() -> None:
    assert lowering().ends(POOL) == {"in_zero": 7, "out_zero": -5, "low": -128, "high": 127}
    clamped = Requantize("q", ("y",), "z", None, clamp=(-3, 40))
    assert lowering().ends(clamped) == {"in_zero": -5, "out_zero": 9, "low": -3, "high": 40}
