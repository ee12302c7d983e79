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
from niwaki.codegen.generate import generate, write
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.on_target import run_on_target
from niwaki.errors import ModelError
from niwaki.foreign.tflite import read_tflite
from niwaki.models.onnxfile import metadata
from niwaki.toolchain.targets import TARGETS
from tflite_cases import CASES, inputs_of, one, scores_of, weighted
from tflite_files import SAME, File, Tensor, small_file

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


def test_the_same_file_becomes_the_same_bytes() -> None:
    data = small_file().build()
    assert read_tflite(data, "a").SerializeToString() == read_tflite(data, "b").SerializeToString()


def test_c_takes_and_gives_rows_of_pixels(tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    for name in ("small 0", "rows joined", "mean"):
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


DENSE = 16  # the tensor of the scores
REFUSED: dict[str, tuple[Callable[[], File], str]] = {
    "an operator": (
        lambda: with_operator("TANH", Tensor((1, 5), 1 / 128)),
        r"TANH_8 is not supported; these are: ADD, AVERAGE_POOL_2D, .*, SQUEEZE$",
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
    "float": (lambda: changed(tensor=3, kind="FLOAT32", scale=None), r"tensor 3 't': an activation of FLOAT32"),
    "a batch": (lambda: changed(tensor=0, shape=(2, 9, 7, 2)), r"tensor 0 'input': a batch of 2: 1 is supported"),
    "two networks": (lambda: several(subgraphs=2), r"2 networks in one file: one is supported"),
    "two outputs": (lambda: several(outputs=[3, DENSE]), r"2 outputs: networks with one are supported"),
    "no scale": (lambda: changed(tensor=3, scale=None), r"an activation with 0 scales"),
    "weights with a zero point": (lambda: changed(tensor=1, zero=3), r"CONV_2D_0: weights with a zero point"),
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
    "a scale ratio": (lambda: changed(tensor=3, scale=1e-38), r"CONV_2D_0: the scale ratio .* is beyond 32-bit"),
    "a mean of channels": (
        lambda: one("MEAN", (1, 9, 7, 4), Tensor((1, 9, 7), 0.05), ([3], "INT32")), r"MEAN_0: over axes \[3\]",
    ),
    "a border of channels": (
        lambda: one("PAD", (1, 9, 7, 4), Tensor((1, 9, 7, 6), 0.05, 3), ([[0, 0], [0, 0], [0, 0], [1, 1]], "INT32")),
        r"PAD_0: .* a border around height and width is supported",
    ),
    "other channels": (
        lambda: one("RESHAPE", (1, 4, 4, 6), Tensor((1, 4, 6, 4), 0.05, 3), ([1, 4, 6, 4], "INT32")),
        r"RESHAPE_0: an image of 4 channels made from other rows",
    ),
    "a flat image at the end": (
        lambda: one("RESHAPE", (1, 4, 4, 6), Tensor((1, 96), 0.05, 3), ([1, 96], "INT32")),
        r"its output is a flattened image",
    ),
    "an average in another scale": (
        lambda: one("AVERAGE_POOL_2D", (1, 4, 4, 5), Tensor((1, 4, 4, 5), 0.1, 3), FilterHeight=1, FilterWidth=1),
        r"AVERAGE_POOL_2D_0: its output has another scale than its input",
    ),
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
        (lambda data: data[: len(data) // 2], "damaged: "),
        (lambda data: b"\xff\xff\xff\x7f" + data[4:], "damaged: "),
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
