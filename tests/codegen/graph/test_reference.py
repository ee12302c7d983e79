from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.codegen.graph import reference, windows
from niwaki.codegen.graph.arithmetic import common_rescale_of, rescale_of
from niwaki.codegen.graph.graph import Graph, Layer, Tensor
from niwaki.codegen.graph.operators.arrange import Concat, Pad, Reshape, Widen
from niwaki.codegen.graph.operators.elementwise import Add, Requantize
from niwaki.codegen.graph.operators.pooling import AveragePool, MaxPool
from niwaki.codegen.graph.operators.products import Conv, Dense
from niwaki.codegen.graph.operators.resize import Between, Bilinear
from niwaki.errors import ModelError

ONE, HALF = Fraction(1), Fraction(1, 2)
SQUARE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def compute(layer: Layer, x, shape: tuple[int, ...], zero: int = 0, out_zero: int = 0, other=None) -> list:
    """What a layer makes of one image `x`; `other` is the layer's second input: (values, zero point)."""
    points = {"x": (x, zero)} if other is None else {"x": (x, zero), "b": other}
    tensors = {name: Tensor(name, np.shape(values), 1.0, point) for name, (values, point) in points.items()}
    tensors["y"] = Tensor("y", shape, 1.0, out_zero)
    inputs = [np.array(points[name][0], np.int8)[None] for name in layer.inputs]
    if layer.inputs == ("x",):
        return reference.run(Graph(tensors, (layer,), "x", "y"), inputs[0])[0].tolist()
    return reference.run_layer(layer, inputs, tensors)[0].tolist()


def conv(weights, bias, factors=(HALF,), **settings) -> Conv:
    weights = np.array(weights, np.int8)
    rescale = rescale_of([*factors] * (len(weights) // len(factors)), "conv")
    return Conv("conv", ("x",), "y", weights, np.array(bias, np.int32), rescale, **settings)


def test_convolution():
    """x - 1 is 0 to 8; each place: x[i, j] - x[i + 1, j + 1] + 1 = -3; half of it, -1.5, goes up to -1."""
    layer = conv([[[[1, 0], [0, -1]]]], [1])
    assert compute(layer, [SQUARE], (1, 2, 2), zero=1, out_zero=10) == [[[9, 9], [9, 9]]]


def test_padding_is_the_number_zero():
    """Above and left of the image, only the tap at the lower right sees it: 1 - x, of which half."""
    layer = conv([[[[1, 0], [0, -1]]]], [1], pads=(1, 1, 0, 0))
    assert compute(layer, [SQUARE], (1, 3, 3), zero=1, out_zero=10) == [[[11, 10, 10], [9, 9, 9], [8, 9, 9]]]


def test_padding_on_every_side_by_itself():
    layer = conv([[[[1]]]], [0], [ONE], pads=(0, 2, 1, 0))
    assert compute(layer, [[[5]]], (1, 2, 3), zero=2) == [[[0, 0, 3], [0, 0, 0]]]


def test_strides_and_dilations():
    image = [np.arange(20).reshape(4, 5)]  # taps at (0, 0), (0, 1), (2, 0), (2, 1); places (0, 0), (0, 3), (1, 0), …
    layer = conv([[[[1, 10], [-1, -10]]]], [0], [Fraction(1, 10)], strides=(1, 3), dilations=(2, 1))
    assert compute(layer, image, (1, 2, 2)) == [[[-11, -11], [-11, -11]]]
    layer = conv([[[[0, 1]]]], [0], [ONE], strides=(3, 2), dilations=(1, 2))
    assert compute(layer, image, (1, 2, 2)) == [[[2, 4], [17, 19]]]


def test_groups_see_their_own_channels():
    """Two groups of two channels in, three out; and depthwise, with a factor for each channel."""
    x = [[[1]], [[2]], [[3]], [[4]]]
    weights = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1]]).reshape(6, 2, 1, 1)
    assert np.ravel(compute(conv(weights, [0] * 6, [ONE], groups=2), x, (6, 1, 1))).tolist() == [1, 2, 3, 3, 4, 7]
    depthwise = conv(np.full((4, 1, 1, 1), 10), [1, 2, 3, 4], [ONE, HALF], groups=4)
    assert np.ravel(compute(depthwise, x, (4, 1, 1))).tolist() == [11, 11, 33, 22]


def test_the_clamp_is_after_the_zero_point():
    layer = conv([[[[1]]]], [0], [ONE], clamp=(-10, 5))
    assert compute(layer, [[[-20, -4, 0, 4, 20]]], (1, 1, 5), out_zero=3) == [[[-10, -1, 3, 5, 5]]]


def test_dense():
    """[1, 2, 3] - 1 = [0, 1, 2]: 1·1 + 2·2 + 7 = 12 and -127·2 + 1 = -253; by a quarter and a half; plus 5."""
    weights, bias = np.array([[100, 1, 2], [0, 0, -127]], np.int8), np.array([7, 1], np.int32)
    layer = Dense("dense", ("x",), "y", weights, bias, rescale_of([Fraction(1, 4), HALF], "dense"))
    assert compute(layer, [1, 2, 3], (2,), zero=1, out_zero=5) == [8, -121]


def test_max_pooling():
    layer = MaxPool("pool", ("x",), "y", (2, 2), (1, 2), (0, 1, 0, 0))
    assert compute(layer, [[[-128, -7, -9], [-100, -8, -6]]], (1, 1, 2), zero=50, out_zero=50) == [[[-100, -6]]]
    lowest = MaxPool("pool", ("x",), "y", (2, 2), (2, 2), (1, 1, 1, 1))
    assert compute(lowest, [np.full((2, 2), -128)], (1, 2, 2)) == [[[-128, -128], [-128, -128]]]


@pytest.mark.parametrize(
    ("include", "divisors", "expected"),
    [(True, [4], [[3, 4, 3], [3, 5, 5]]), (False, [1, 2, 4], [[10, 8, 6], [6, 5, 5]])],
)
def test_average_pooling_with_padding(include, divisors, expected):
    """A border above and left: sums of 10, 15, 11 and 12, 20, 18; of 1, 2, 2 and 2, 4, 4 pixels."""
    factors = {n: rescale_of([Fraction(1, n)], "pool") for n in divisors}
    layer = AveragePool("pool", ("x",), "y", (2, 2), (1, 1), (1, 1, 0, 0), include, factors)
    assert compute(layer, [[[10, 5, 6], [2, 3, 4]]], (1, 2, 3)) == [expected]


WIDER = Between(np.array([0, 0, 0, 1]), np.array([0, 1, 3, 0]), 4)  # two columns to four: 0, 1/4, 3/4 and 1
ONE_ROW = Between(np.array([0]), np.array([0]), 1)


def test_an_image_between_pixels():
    """In one scale -10/4 = -2.5 and -30/4 = -7.5; else from -2 to -12, in steps of half and 1 further."""
    x = [[[0, -10]]]
    for ties, found in (("up", [0, -2, -7, -10]), ("away", [0, -3, -8, -10]), ("even", [0, -2, -8, -10])):
        assert compute(Bilinear("b", ("x",), "y", ONE_ROW, WIDER, None, ties), x, (1, 1, 4), 7, 7) == [[found]]
    layer = Bilinear("b", ("x",), "y", ONE_ROW, WIDER, rescale_of([2 * ONE / 4], "b"), clamp=(-20, 127))
    assert compute(layer, x, (1, 1, 4), zero=2, out_zero=1) == [[[-3, -8, -18, -20]]]
    square = Bilinear("b", ("x",), "y", WIDER, WIDER, None)
    assert compute(square, [[[0, 16], [32, 100]]], (1, 4, 4))[0][1] == [8, 15, 30, 37]  # 8 + 29/4, 8 + 29 · 3/4


def test_average_of_a_whole_image_in_another_scale():
    """(1 + … + 9 - 9·1)/9 = 4, in steps of half: 8; moved to -3, clamped."""
    layer = AveragePool("pool", ("x",), "y", (3, 3), (1, 1), (0, 0, 0, 0), False, {9: rescale_of([2 * ONE / 9], "p")})
    assert compute(layer, [SQUARE], (1, 1, 1), zero=1, out_zero=-3) == [[[5]]]
    clamped = AveragePool("pool", ("x",), "y", (3, 3), (1, 1), (0, 0, 0, 0), True, layer.rescale, (-128, 4))
    assert compute(clamped, [SQUARE], (1, 1, 1), zero=1, out_zero=-3) == [[[4]]]


def test_a_sum_is_rounded_once():
    """3/2 + 5/4 = 2.75 → 3; 1/2 + 2/4 = 1 (one by one: 1 + 1); -3/2 + 0 = -1.5 → -1; 125/2 + 128/4 = 94.5 → 95."""
    layer = Add("add", ("x", "b"), "y", common_rescale_of([HALF, HALF / 2], "add"), (-2, 127))
    other = ([4, 1, -1, 127], -1)
    assert compute(layer, [5, 3, -1, 127], (4,), zero=2, other=other) == [3, 1, -1, 95]
    assert compute(layer, [-50, 2, 2, 2], (4,), zero=2, out_zero=1, other=other) == [-2, 2, 1, 33]
    itself = Add("add", ("x", "x"), "y", common_rescale_of([HALF, HALF], "add"))
    assert compute(itself, [5, -1, -128], (3,), zero=2, out_zero=100) == [103, 97, -30]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [(0, [[[1, 2]], [[5, -128]]]), (1, [[[1, 2], [5, -128]]]), (2, [[[1, 2, 5, -128]]])],
)
def test_concatenation_brings_all_to_one_scale(axis, expected):
    layer = Concat("concat", ("x", "b"), "y", axis, (rescale_of([HALF], "a"), rescale_of([2 * ONE], "b")))
    assert compute(layer, [[[1, 3]]], np.shape(expected), zero=2, out_zero=1, other=([[[2, -90]]], 0)) == expected


def test_another_scale():
    layer = Requantize("requantize", ("x",), "y", rescale_of([Fraction(3, 2)], "requantize"), (0, 100))
    assert compute(layer, [-128, 2, 3, 6, 127], (5,), zero=1, out_zero=1) == [0, 3, 4, 9, 100]


def test_a_border():
    layer = Pad("pad", ("x",), "y", (1, 0, 0, 2), -7)
    assert compute(layer, [[[1, 2]], [[3, 4]]], (2, 2, 4), zero=9, out_zero=9) == [
        [[-7, -7, -7, -7], [1, 2, -7, -7]],
        [[-7, -7, -7, -7], [3, 4, -7, -7]],
    ]


def test_more_channels():
    layer = Widen("pad", ("x",), "y", 1, 2, -7)
    assert compute(layer, [[[1, 2]], [[3, 4]]], (5, 1, 2), zero=9, out_zero=9) == [
        [[-7, -7]], [[1, 2]], [[3, 4]], [[-7, -7]], [[-7, -7]],
    ]  # fmt: skip


def test_another_shape_keeps_the_order_of_the_onnx():
    layer = Reshape("flatten", ("x",), "y")
    assert compute(layer, [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], (8,)) == [1, 2, 3, 4, 5, 6, 7, 8]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_convolution_as_its_definition_says(data):
    """Every output as a sum over taps in Python, for any strides, dilations, groups and padding."""
    draw, rng = data.draw, np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, strides, dilations = draw(pair), draw(pair), draw(pair)
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    groups, depth, filters = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [max(1, r - pads[i] - pads[2 + i]) + draw(st.integers(0, 4)) for i, r in enumerate(reach)]
    rows, columns = ((size[i] + pads[i] + pads[2 + i] - reach[i]) // strides[i] + 1 for i in (0, 1))
    x = rng.integers(-128, 128, (groups * depth, *size))
    weights = rng.integers(-128, 128, (groups * filters, depth, *kernel))
    bias, zero = rng.integers(-3000, 3000, groups * filters), int(rng.integers(-128, 128))
    expected = np.zeros((groups * filters, rows, columns), int)
    for o, r, c in product(*map(range, expected.shape)):
        total = int(bias[o])
        for i, ky, kx in product(range(depth), *map(range, kernel)):
            y, z = r * strides[0] - pads[0] + ky * dilations[0], c * strides[1] - pads[1] + kx * dilations[1]
            if 0 <= y < size[0] and 0 <= z < size[1]:
                total += int(weights[o, i, ky, kx]) * (int(x[o // filters * depth + i, y, z]) - zero)
        expected[o, r, c] = min(max((total + 128) // 256, -128), 127)
    layer = conv(weights, bias, [Fraction(1, 256)], strides=strides, pads=pads, dilations=dilations, groups=groups)
    assert compute(layer, x, expected.shape, zero=zero) == expected.tolist()


def network() -> Graph:
    """A convolution that is read twice, a sum of its branches, a flat output."""
    tensors = [
        Tensor("x", (2, 4, 4), 1.0, -3), Tensor("a", (3, 4, 4), 1.0, 5), Tensor("b", (3, 4, 4), 1.0, 0),
        Tensor("c", (3, 4, 4), 1.0, 1), Tensor("y", (48,), 1.0, 1),
    ]  # fmt: skip
    weights = np.random.default_rng(1).integers(-128, 128, (3, 2, 3, 3)).astype(np.int8)
    rescale = rescale_of([Fraction(1, 100)] * 3, "conv")
    layers = (
        Conv("conv", ("x",), "a", weights, np.array([5, 0, -5], np.int32), rescale, pads=(1, 1, 1, 1)),
        Requantize("relu", ("a",), "b", rescale_of([HALF], "relu"), (0, 127)),
        Add("add", ("a", "b"), "c", common_rescale_of([HALF, ONE], "add")),
        Reshape("flatten", ("c",), "y"),
    )
    return Graph({tensor.name: tensor for tensor in tensors}, layers, "x", "y")


def test_images_do_not_depend_on_each_other(monkeypatch):
    inputs = np.random.default_rng(0).integers(-128, 128, (50, 2, 4, 4)).astype(np.int8)
    together = reference.run(network(), inputs)
    monkeypatch.setattr(reference, "_ELEMENTS_AT_ONCE", 48 * 7)  # 8 times 7 images at once, or fewer
    np.testing.assert_array_equal(reference.run(network(), inputs), together)
    np.testing.assert_array_equal([reference.run(network(), image[None])[0] for image in inputs], together)
    assert len(np.unique(together)) > 50


def test_no_images():
    assert reference.run(network(), np.empty((0, 2, 4, 4), np.int8)).shape == (0, 48)


@pytest.mark.parametrize(
    "inputs", [np.zeros((1, 2, 4, 4), np.uint8), np.zeros((2, 4, 4), np.int8), np.zeros((1, 2, 4, 5), np.int8)]
)
def test_other_inputs_are_refused(inputs):
    with pytest.raises(ModelError, match=r"inputs are u?int8 \(.*\): expected int8 \(n, 2, 4, 4\)"):
        reference.run(network(), inputs)


def test_pixels_go_through_the_table_of_their_channel():
    tensor = Tensor("x", (2, 1, 2), 1.0, 0)
    table = np.stack([np.arange(256) - 128, 127 - np.arange(256)]).astype(np.int8)
    graph = Graph({"x": tensor}, (), "x", "x", table=table)
    pixels = np.array([[[[0, 255]], [[0, 1]]]], np.uint8)
    assert reference.quantize_pixels(graph, pixels).tolist() == [[[[-128, 127]], [[127, 126]]]]
    with pytest.raises(ModelError, match=r"pixels are int8 \(1, 2, 1, 2\): expected uint8 \(n, 2, 1, 2\)"):
        reference.quantize_pixels(graph, pixels.astype(np.int8))
    with pytest.raises(ModelError, match=r"pixels are uint8 \(1, 2, 1, 1\)"):
        reference.quantize_pixels(graph, pixels[..., :1])
    with pytest.raises(ModelError, match="does not say how pixels"):
        reference.quantize_pixels(Graph({"x": tensor}, (), "x", "x"), pixels)


def test_sums_that_could_leave_32_bits():
    most = (1 << 31) - 1 - 255 * 127
    rescale = rescale_of([Fraction(1, 1 << 24)], "dense")
    layer = Dense("dense", ("x",), "y", np.array([[127]], np.int8), np.array([most], np.int32), rescale)
    assert compute(layer, [127], (1,), zero=-128) == [127]
    layer = Dense("dense", ("x",), "y", np.array([[-127]], np.int8), np.array([most + 1], np.int32), rescale)
    with pytest.raises(OverflowError, match="dense: a sum could leave 32 bits"):
        compute(layer, [127], (1,))


def test_a_layer_that_the_contract_does_not_know():
    with pytest.raises(TypeError, match="new: no layer of the contract: Layer"):
        compute(Layer("new", ("x",), "y"), [1], (1,))


def test_windows_row_by_row_are_the_same(monkeypatch):
    """Large windows over large images are looked through a few rows at a time."""
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (2, 4, 13, 9)).astype(np.int8)
    rescale = rescale_of([Fraction(1, 300)] * 6, "")
    weights, bias = rng.integers(-128, 128, (6, 2, 3, 2)).astype(np.int8), rng.integers(-999, 999, 6).astype(np.int32)
    means = {n: rescale_of([Fraction(1, n)], "") for n in range(1, 10)}
    layers: list[tuple[Layer, tuple[int, ...]]] = [
        (Conv("c", ("x",), "y", weights, bias, rescale, (2, 1), (1, 0, 2, 1), (2, 3), 2), (6, 6, 7)),
        (MaxPool("m", ("x",), "y", (3, 3), (2, 2), (1, 1, 1, 1)), (4, 7, 5)),
        (AveragePool("a", ("x",), "y", (3, 3), (2, 2), (1, 1, 1, 1), False, means), (4, 7, 5)),
    ]
    for layer, shape in layers:
        tensors = {"x": Tensor("x", x.shape[1:], 1.0, 3), "y": Tensor("y", shape, 1.0, -2)}
        whole = reference.run_layer(layer, [x], tensors)
        for at_once in (1, 2500):
            monkeypatch.setattr(windows, "_SEEN_AT_ONCE", at_once)
            np.testing.assert_array_equal(reference.run_layer(layer, [x], tensors), whole)
        monkeypatch.undo()
        assert whole.shape == (2, *shape)
        assert len(np.unique(whole)) > 20
