"""TensorFlow Lite files become integer graphs with the bits of TensorFlow Lite's own reference kernels."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from bundled import need_tool
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.on_target import run_on_target
from niwaki.deploy.bench import bench_files
from niwaki.emit.generate import generate, write
from niwaki.errors import ModelError
from niwaki.foreign.tflite import read_tflite
from niwaki.foreign.tflite_operators import OPERATORS
from niwaki.models.onnxfile import metadata
from niwaki.toolchain.targets import TARGETS
from tflite_cases import (
    CASES,
    bent,
    between_pixels,
    inputs_of,
    one,
    pair,
    parts,
    resized,
    scores_of,
    sliced,
    turned_around,
    weighted,
)
from tflite_files import SAME, VALID, File, Operator, Tensor, small_file

# CRC-32 of what the reference kernels of LiteRT 2.3.0 answer to `inputs_of`, the scores before a last SOFTMAX:
# tests/integrations/test_litert.py runs them.
ANSWERS = {
    "small 0": 2567546739,
    "small 1": 847996832,
    "conv": 3043233398,
    "conv, one scale": 3166736217,
    "conv, dilated": 2204679430,
    "conv, groups": 3691191723,
    "conv, 4 bits": 514242734,
    "conv of single pixels": 2582782785,
    "depthwise": 1544055037,
    "depthwise, two of each": 197295098,
    "dense": 2417388426,
    "dense, a scale for each": 1164751749,
    "dense of an image": 3223005474,
    "average": 641593559,
    "average of all": 1041217071,
    "maximum": 2536631716,
    "mean": 644667399,
    "mean, one scale": 2667188749,
    "add": 141243297,
    "add, relu": 3799089841,
    "channels joined": 2554903804,
    "rows joined": 704269483,
    "pad": 752345888,
    "quantize": 1055962754,
    "relu": 800592313,
    "relu6": 3578193487,
    "float at both ends": 3084344413,
    "subtract": 216263928,
    "subtract, relu": 2301837053,
    "multiply": 370371314,
    "multiply, relu6": 3884245923,
    "add, repeated": 1823235660,
    "subtract, repeated": 373317449,
    "multiply, repeated": 1792343352,
    "maximum of two": 3541388839,
    "minimum of two": 732405983,
    "add a number": 1156848065,
    "add a number, relu6": 4264756093,
    "subtract a number": 3364049347,
    "subtract from a number": 3970620139,
    "multiply by a number": 3645248865,
    "add to channels": 197225942,
    "subtract from channels": 1914200984,
    "add to few channels": 2272095797,
    "multiply channels": 2254185864,
    "multiply columns": 3696340041,
    "add an image": 511616680,
    "subtract an image": 107462551,
    "multiply an image": 293997621,
    "add to flat": 208356694,
    "multiply rows": 3888406482,
    "logistic": 2790986974,
    "tanh": 3376056792,
    "hard swish": 1317386419,
    "leaky relu": 618411701,
    "leaky relu, negative": 4214235104,
    "prelu": 4248882080,
    "prelu, one slope": 2943207636,
    "transpose": 3805637137,
    "transpose of rows": 3426578021,
    "slice": 2031838479,
    "slice, masks": 3759768034,
    "slice, one row": 1643357272,
    "slice, backwards": 979887631,
    "slice by size": 4273082993,
    "split": 468674648,
    "split in sizes": 719639382,
    "resize": 2929865125,
    "resize, corners": 3112354094,
    "resize, centres": 2966589790,
    "bilinear, twice": 1041232553,
    "bilinear, twice, corners": 2284695063,
    "bilinear, twice, centres": 3721157656,
    "bilinear, odd": 3310426875,
    "bilinear, odd, corners": 2052698567,
    "bilinear, odd, centres": 2089867430,
    "bilinear, smaller": 918459140,
    "bilinear, one pixel, corners": 2819496956,
    "bilinear, smaller, centres": 4284248906,
    "bilinear, of one pixel": 2267598062,
    "bilinear, of one row, corners": 1043350368,
    "bilinear, of one column, centres": 541360018,
    "uint8, bilinear, twice, centres": 920808784,
    "uint8, bilinear, thrice": 1276413628,
    "uint8, bilinear, corners": 1082172849,
    "depth to space": 342660090,
    "space to depth": 342660090,
    "mirrored border": 483487743,
    "border of the edge": 744742531,
    "other rows": 4081330361,
    "flat at the end": 4081330361,
    "gated": 612282094,
    "uint8, conv": 3539570799,
    "uint8, conv, symmetric": 3043007102,
    "uint8, depthwise": 4096647306,
    "uint8, dense": 2520314333,
    "uint8, add a number": 3989289309,
    "uint8, multiply channels": 864345117,
    "uint8, network": 589984422,
    "transposed conv": 2445724932,
    "transposed conv, valid": 3625990717,
    "transposed conv, one step": 3447619559,
    "transposed conv, odd": 146637211,
}


def graph_of(file: File) -> Graph:
    return read_qdq(read_tflite(file.build(), "a.tflite"), "a.tflite")


@pytest.mark.parametrize("name", CASES)
def test_bits_of_the_reference_kernels(name: str) -> None:
    file = CASES[name]()
    assert zlib.crc32(scores_of(graph_of(file), inputs_of(file)).tobytes()) == ANSWERS[name]


def test_what_the_onnx_says() -> None:
    model = read_tflite(small_file().build(), "a.tflite")
    graph = read_qdq(model, "a.tflite")
    assert [type(layer).__name__ for layer in graph.layers] == [
        "Conv", "Conv", "FineAdd", "Pad", "IntegerMean", "MaxPool", "Reshape", "Dense",
    ]  # fmt: skip
    assert [layer.name for layer in graph.layers[:3]] == ["CONV_2D_0", "DEPTHWISE_CONV_2D_1", "ADD_2"]
    assert (graph.layout, graph.rounds_twice, graph.dropped, graph.table) == ("HWC", True, ("SOFTMAX_8",), None)
    assert (graph.tensors[graph.input].shape, graph.tensors[graph.output].shape) == ((2, 9, 7), (5,))
    assert graph.tensors[graph.output].zero_point == 10
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch", 2, 9, 7,
    ]  # fmt: skip


def test_the_page_on_these_files_names_every_operator() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "tflite.md").read_text()
    rows = [line.split("|")[1] for line in page.split("## Operators")[1].split("##")[0].splitlines() if "|" in line]
    assert sorted(re.findall(r"[A-Z][A-Z0-9_]+", " ".join(rows))) == sorted(OPERATORS)


def test_the_same_file_becomes_the_same_bytes() -> None:
    data = small_file().build()
    assert read_tflite(data, "a").SerializeToString() == read_tflite(data, "b").SerializeToString()


def test_c_takes_and_gives_rows_of_pixels(tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    for name in ("small 0", "rows joined", "mean", "subtract, repeated", "multiply, repeated", "uint8, network"):
        file = CASES[name]()
        graph, inputs = graph_of(file), inputs_of(file)[:50]
        folder = write(generate(graph), tmp_path / name.replace(" ", "-"))
        header = (folder / "model.h").read_text()
        assert "rows of pixels (HWC)" in header
        assert "channels first" not in header
        found = run_on_target(folder, inputs, TARGETS["native"], ("-O1", "-DNIWAKI_PORTABLE"))
        np.testing.assert_array_equal(found, scores_of(graph, inputs))


def changed(**fields: object) -> File:
    """The small file with one tensor changed: `tensor` says which."""
    file = small_file()
    index = fields.pop("tensor")
    assert isinstance(index, int)
    for key, value in fields.items():
        setattr(file.tensors[index], key, value)
    return file


def with_operator(kind: str, output: Tensor, **options: float) -> File:
    file = small_file()
    del file.operators[-1]
    file.run(kind, [file.operators[-1].outputs[0]], output, **options)
    return file


def several(**ends: list[int]) -> File:
    file = small_file()
    for key, value in ends.items():
        setattr(file, key, value)
    return file


def unlike(file: File, index: int, **fields: object) -> File:
    """A file with one tensor changed."""
    for key, value in fields.items():
        setattr(file.tensors[index], key, value)
    return file


def constants() -> File:
    file = File()
    file.add((1, 2), 0.05)
    held = file.constant([[1, 2]], "INT8", scale=0.1)
    file.run("ADD", [held, held], Tensor((1, 2), 0.1))
    return file


def enlarged() -> File:
    file = pair("MUL", (3,))
    return unlike(file, 1, shape=(2, 4, 5, 3), data=np.zeros((2, 4, 5, 3)))


DENSE = 16  # the tensor of the scores


def written_twice() -> File:
    file = File()
    source = file.add((1, 8), 0.05, 3)
    file.run("QUANTIZE", [source], Tensor((1, 8), 0.1))
    file.operators.append(Operator("QUANTIZE", [source], [1]))
    return file


REFUSED: dict[str, tuple[Callable[[], File], str]] = {
    "an operator": (
        lambda: with_operator("COS", Tensor((1, 5), 1 / 128)),
        r"COS_8 is not supported; these are: ADD, AVERAGE_POOL_2D, .*, TRANSPOSE_C",
    ),
    "a custom operator": (
        lambda: with_operator("TFLite_Detection", Tensor((1, 5), 0.1)),
        r"CUSTOM 'TFLite_Detection'_8 is not supported",
    ),
    "a way out": (
        lambda: with_operator("ARG_MAX", Tensor((1,), kind="INT32")), r"ARG_MAX_8 is not supported: leave it out",
    ),
    "16 bits": (
        lambda: changed(tensor=0, kind="INT16"), r"tensor 0 'input': an activation of INT16: int8 and uint8 with one",
    ),
    "float weights": (
        lambda: changed(tensor=1, kind="FLOAT32", scale=None),
        r"FLOAT32 for input 1: .* supported: convert the network again with full integer",
    ),
    "float": (lambda: changed(tensor=3, kind="FLOAT32", scale=None), r"tensor 3 't': an activation of FLOAT32"),
    "weights around another number": (
        lambda: changed(tensor=1, zero=[3] * 6),
        "CONV_2D_0: its INT8 weights have zero point 3, where TensorFlow Lite knows 0 alone: convert the network again",
    ),
    "a batch": (lambda: changed(tensor=0, shape=(2, 9, 7, 2)), r"tensor 0 'input': a batch of 2: 1 is supported"),
    "two networks": (lambda: several(subgraphs=2), r"2 networks in one file: one is supported"),
    "two outputs": (lambda: several(outputs=[3, DENSE]), r"2 outputs: networks with one are supported"),
    "no scale": (lambda: changed(tensor=3, scale=None), r"an activation with 0 scales"),
    "scales of inputs": (
        lambda: changed(tensor=1, axis=1, scale=[0.1] * 3), r"CONV_2D_0: weight scales along axis 1: one for each",
    ),
    "too few scales": (lambda: changed(tensor=1, scale=[0.1] * 3), r"tensor 1 't': 3 scales and 3 zero points"),
    "a zero point beyond int8": (lambda: changed(tensor=3, zero=300), r"tensor 3 't': a zero point of 300"),
    "another shape": (
        lambda: changed(tensor=3, shape=(1, 5, 4, 7)), r"CONV_2D_0: gives \(1, 6, 5, 4\), but the file says",
    ),
    "an activation": (
        lambda: with_operator("ADD", Tensor((1, 5), 0.1), FusedActivationFunction=4), r"ADD_8: input 1 is missing",
    ),
    "TANH inside": (
        lambda: weighted_with(FusedActivationFunction=4), r"CONV_2D_0: activation 4: RELU, RELU_N1_TO_1 and RELU6",
    ),
    "no stride": (lambda: weighted_with(StrideH=0), r"CONV_2D_0: kernel \[3, 3\], strides \[0, 1\]"),
    "a bias of another size": (
        lambda: changed(tensor=2, data=np.zeros(5), shape=(5,), scale=0.1), r"CONV_2D_0: a bias of 5 numbers for 6",
    ),
    "sums beyond 32 bits": (
        lambda: changed(tensor=2, data=np.full(6, 2**31 - 1)), r"CONV_2D_0: channel 0 could reach 2,.*32 bits",
    ),
    "a scale without end": (
        lambda: changed(tensor=3, scale=float("inf")), r"tensor 3 't': a scale of inf: a positive number",
    ),
    "a scale ratio": (lambda: changed(tensor=3, scale=1e-38), r"CONV_2D_0: the scale ratio .* is beyond 32-bit"),
    "a mean of channels": (
        lambda: one("MEAN", (1, 9, 7, 4), Tensor((1, 9, 7), 0.05), ([3], "INT32")), r"MEAN_0: over axes \[3\]",
    ),
    "a border of channels": (
        lambda: one("PAD", (1, 9, 7, 4), Tensor((1, 9, 7, 6), 0.05, 3), ([[0, 0], [0, 0], [0, 0], [1, 1]], "INT32")),
        r"PAD_0: .* a border around height and width is supported",
    ),
    "an average in another scale": (
        lambda: one("AVERAGE_POOL_2D", (1, 4, 4, 5), Tensor((1, 4, 4, 5), 0.1, 3), FilterHeight=1, FilterWidth=1),
        r"AVERAGE_POOL_2D_0: its output has another scale than its input",
    ),
    "weights with several zero points": (
        lambda: changed(tensor=1, zero=[0, 0, 0, 1, 0, 0]), r"CONV_2D_0: its weights have several zero points: int8",
    ),
    "weights without a scale": (lambda: changed(tensor=1, scale=None), r"CONV_2D_0: its weights have no scale: int8"),
    "weights with a far zero point": (
        lambda: changed(tensor=1, zero=300, kind="UINT8"), r"CONV_2D_0_weights: a zero point of 300",
    ),
    "two constants": (constants, r"ADD_0: two constants: convert"),
    "a maximum in another scale": (lambda: pair("MAXIMUM", (3,)), r"MAXIMUM_0: its inputs and its output must"),
    "shapes that do not fit": (
        lambda: unlike(pair("MUL", (1, 4, 5, 3)), 1, shape=(2, 2, 15)), r"MUL_0: .* do not fit together",
    ),
    "a constant of 32 bits": (
        lambda: unlike(pair("MUL", (3,)), 1, kind="INT32"), r"MUL_0: a constant of INT32: int8 with one scale",
    ),
    "a constant with scales": (
        lambda: unlike(pair("MUL", (3,)), 1, scale=[0.1, 0.2, 0.3]), r"MUL_0: a constant of INT8: int8 with one scale",
    ),
    "a constant that is larger": (enlarged, r"MUL_0: a constant of shape \(2, 4, 5, 3\) for"),
    "a result of another shape": (
        lambda: unlike(pair("MUL", (3,)), 2, shape=(1, 4, 5, 2)), r"MUL_0: gives \(1, 3, 4, 5\), but the file says",
    ),
    "a constant with a far zero point": (
        lambda: pair("MUL", (3,), zero=300), r"MUL_0_constant: a zero point of 300",
    ),
    "slopes with scales": (
        lambda: unlike(bent((1, 1, 6)), 1, scale=[0.1] * 6, axis=2), r"PRELU_0: slopes with one scale are supported",
    ),
    "slopes of pixels": (lambda: bent((4, 5, 1)), r"PRELU_0: slopes of shape \(4, 5, 1\): one for each of 6 channels"),
    "a slope without end": (
        lambda: one("LEAKY_RELU", (1, 2, 2, 2), Tensor((1, 2, 2, 2), 0.05), Alpha=float("inf")),
        r"LEAKY_RELU_0: a slope of inf",
    ),
    "an output too fine": (
        lambda: one("HARD_SWISH", (1, 2, 2, 2), Tensor((1, 2, 2, 2), 0.0001)), r"HARD_SWISH_0: .* below a 128th of its",
    ),
    "five axes of two": (
        lambda: pair("MUL", (3,), shape=(1, 2, 2, 2, 3)), r"MUL_0: \(1, 2, 2, 2, 3\): up to 3 axes for each image",
    ),
    "a slice in another scale": (
        lambda: unlike(sliced([0] * 4, [1, 6, 5, 4], [1] * 4, (1, 6, 5, 4)), -1, scale=0.1),
        r"STRIDED_SLICE_0: its output has another scale than its input",
    ),
    "a slice of another size": (
        lambda: sliced([0] * 4, [1, 5, 5, 4], [1] * 4, (1, 6, 5, 4)), r"STRIDED_SLICE_0: gives \(1, 5, 5, 4\), but",
    ),
    "a new axis": (
        lambda: sliced([0] * 4, [1, 6, 5, 4], [1] * 4, (1, 6, 5, 4), NewAxisMask=1), r"STRIDED_SLICE_0: an ellipsis, a",
    ),
    "a stride of zero": (
        lambda: sliced([0] * 4, [1, 6, 5, 4], [1, 1, 0, 1], (1, 6, 5, 4)), r"STRIDED_SLICE_0: begin .*, strides \[1, 1",
    ),
    "a slice beyond": (
        lambda: one("SLICE", (1, 6, 5), Tensor((1, 3, 5), 0.05, 3), ([0, 4, 0], "INT32"), ([1, 3, 5], "INT32")),
        r"SLICE_0: begin \[0, 4, 0\], size \[1, 3, 5\] for \(1, 6, 5\)",
    ),
    "a slice of a vector": (
        lambda: one("SLICE", (6,), Tensor((3,), 0.05, 3), ([1], "INT32"), ([3], "INT32")),
        r"SLICE_0: an input of shape \(6,\): a batch of 1",
    ),
    "an axis that is not there": (
        lambda: unlike(parts("SPLIT", (3, 3), 2), 1, data=[7]), r"SPLIT_0: axis 7 of \(1, 4, 6, 5\)",
    ),
    "an order of other axes": (
        lambda: one("TRANSPOSE", (1, 6, 5), Tensor((1, 5, 6), 0.05, 3), ([0, 2, 4], "INT32")),
        r"TRANSPOSE_0: order \[0, 2, 4\]: the batch stays first",
    ),
    "too large a tensor": (
        lambda: one("RELU", (1, 10_000, 10_000), Tensor((1, 10_000, 10_000), 0.05)), r"tensor 0 't' needs .* of memory",
    ),
    "too few numbers": (
        lambda: one("TRANSPOSE", (1, 6, 5), Tensor((1, 5, 6), 0.05, 3), ([0, 2], "INT32")),
        r"TRANSPOSE_0: 2 numbers for 3 axes",
    ),
    "a batch that moves": (
        lambda: one("TRANSPOSE", (1, 6, 5), Tensor((6, 1, 5), 0.05, 3), ([1, 0, 2], "INT32")),
        r"TRANSPOSE_0: order \[1, 0, 2\]: the batch stays first",
    ),
    "turned in another scale": (
        lambda: one("TRANSPOSE", (1, 6, 5), Tensor((1, 5, 6), 0.1, 3), ([0, 2, 1], "INT32")),
        r"TRANSPOSE_0: \(1, 6, 5\) in the order \[0, 2, 1\] is not \(1, 5, 6\) in its scale",
    ),
    "parts that do not fit": (
        lambda: parts("SPLIT_V", (3, 3), 3), r"SPLIT_V_0: \(1, 4, 6, 5\) along axis 3 in parts of \[3, 3\]",
    ),
    "resized to nothing": (lambda: unlike(resized((2, 4)), 1, data=[0, 4]), r"RESIZE_NEAREST_NEIGHBOR_0: .* to \[0, 4"),
    "both kinds of corners": (
        lambda: between_pixels((2, 3), (4, 6), AlignCorners=True, HalfPixelCenters=True),
        r"RESIZE_BILINEAR_0: aligned corners and centres of pixels: TensorFlow Lite takes one of both",
    ),
    "resized to another scale": (
        lambda: unlike(between_pixels((2, 3), (4, 6)), 2, scale=0.1),
        r"RESIZE_BILINEAR_0: \(1, 2, 3, 3\) to \[4, 6\] is not \(1, 4, 6, 3\) in its scale",
    ),
    "a border that is too wide": (
        lambda: one("MIRROR_PAD", (1, 3), Tensor((1, 6), 0.05, 3), ([[0, 0], [3, 0]], "INT32"), Mode=0),
        r"MIRROR_PAD_0: a border of 3 and 0 around 3 elements",
    ),
    "blocks of nothing": (
        lambda: one("SPACE_TO_DEPTH", (1, 6, 4, 2), Tensor((1, 6, 4, 2), 0.05, 3), BlockSize=0),
        r"SPACE_TO_DEPTH_0: blocks of 0 of \(1, 2, 6, 4\): images in one scale",
    ),
    "blocks that do not fit": (
        lambda: one("DEPTH_TO_SPACE", (1, 6, 4, 6), Tensor((1, 12, 8, 1), 0.05, 3), BlockSize=2),
        r"DEPTH_TO_SPACE_0: blocks of 2 of \(1, 6, 6, 4\) are not",
    ),
    "a transposed window of another size": (
        lambda: turned_around((1, 4, 5, 3), (3, 3), SAME, 2, (3, 3)), r"TRANSPOSE_CONV_0: .* to \(1, 6, 3, 3\) with",
    ),
    "transposed weights of other channels": (
        lambda: unlike(turned_around((1, 4, 5, 3), (3, 3), SAME, 2, (8, 10)), 0, shape=(1, 4, 5, 2)),
        r"TRANSPOSE_CONV_0: weights \(6, 3, 3, 3\) for \(1, 2, 4, 5\)",
    ),
    "weights of other channels": (
        lambda: weighted("CONV_2D", (1, 9, 7, 4), (5, 3, 3, 3), Tensor((1, 9, 7, 5), 0.3), Padding=SAME),
        r"CONV_2D_0: weights \(5, 3, 3, 3\) do not match an input of 4 channels",
    ),
    "depthwise weights of other channels": (
        lambda: weighted("DEPTHWISE_CONV_2D", (1, 9, 7, 4), (1, 3, 3, 6), Tensor((1, 9, 7, 6), 0.3), axis=3),
        r"DEPTHWISE_CONV_2D_0: weights \(1, 3, 3, 6\) do not match an input of 4 channels",
    ),
    "a convolution of numbers": (
        lambda: weighted("CONV_2D", (1, 8), (5, 3, 3, 4), Tensor((1, 5), 0.3), Padding=SAME),
        r"CONV_2D_0: an input of shape \(1, 8\): images are supported",
    ),
    "weights of three axes": (
        lambda: weighted("CONV_2D", (1, 9, 7, 4), (5, 3, 4), Tensor((1, 9, 7, 5), 0.3), Padding=SAME),
        r"CONV_2D_0: a constant of shape \(5, 3, 4\): 4 axes are needed",
    ),
    "a window beyond the image": (
        lambda: weighted("CONV_2D", (1, 2, 7, 4), (5, 3, 3, 4), Tensor((1, 1, 5, 5), 0.3), Padding=VALID),
        r"CONV_2D_0: a window of 3 over 2 pixels",
    ),
    "dense weights of another size": (
        lambda: weighted("FULLY_CONNECTED", (1, 8), (5, 7), Tensor((1, 5), 0.3)),
        r"FULLY_CONNECTED_0: weights \(5, 7\) do not match an input of 8 values",
    ),
    "shuffled weights": (
        lambda: weighted("FULLY_CONNECTED", (1, 8), (5, 8), Tensor((1, 5), 0.3), WeightsFormat=1),
        r"FULLY_CONNECTED_0: shuffled weights: the default format is supported",
    ),
    "a tensor written twice": (written_twice, r"QUANTIZE_1: writes tensor 1, which has a value already"),
}  # fmt: skip


def weighted_with(**options: float) -> File:
    return weighted("CONV_2D", (1, 9, 7, 4), (5, 3, 3, 4), Tensor((1, 9, 7, 5), 0.3), Padding=SAME, **options)


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_become_c_is_named(what: str) -> None:
    make, message = REFUSED[what]
    with pytest.raises(ModelError, match=r"^a\.tflite: |^" + message) as refused:
        graph_of(make())
    assert re.search(message, str(refused.value)), refused.value
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "not a TensorFlow Lite file: the identifier TFL3 is missing"),
        (lambda data: data[:4] + b"ABCD" + data[8:], "not a TensorFlow Lite file"),
        (lambda data: data[: len(data) // 2], "damaged or truncated, copy it or convert the network again: "),
        (lambda data: b"\xff\xff\xff\x7f" + data[4:], "damaged or truncated, "),
    ],
)
def test_damage_is_named(damage: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(ModelError, match="^a.tflite: " + message):
        read_tflite(damage(small_file().build()), "a.tflite")


@pytest.mark.parametrize("key", ["niwaki.layout", "niwaki.rounding"])
def test_metadata_that_is_not_known(key: str) -> None:
    model = ModelProto()
    model.metadata_props.add(key=key, value="odd")
    with pytest.raises(ModelError, match=f"^metadata {key}: 'odd': expected "):
        metadata(model)


def test_a_network_on_a_row_of_numbers_is_timed_in_c(tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    path = tmp_path / "row.tflite"
    path.write_bytes(weighted("FULLY_CONNECTED", (1, 8), (5, 8), Tensor((1, 5), 0.3)).build())
    report = bench_files([path], rounds=1)
    assert {row.form for row in report.rows} >= {"c"}
    (left,) = (left for left in report.left_out if left.form == "onnx-int8")
    assert (left.reason, left.failed) == ("its input has 2 axes, and ONNX Runtime is given images", False)
    assert report.ok
