from __future__ import annotations

import functools
import json

import numpy as np
import onnx
import pytest
from onnx import helper
from torch import nn

from exported import exported
from handmade_onnx import by_hand, node
from niwaki.errors import ModelError
from niwaki.measure.cost import Cost, count
from niwaki.measure.onnxcost import count_onnx
from niwaki.training.quantize import quantize
from niwaki.training.settings import QuantizeSettings

NETWORKS = (
    "LeNet-5", "pruned LeNet-5", "residual", "depthwise and grouped", "a parameter of its own", "MobileNetV1-0.25",
)  # fmt: skip
# Weight and bias of each channel that a batch norm had are gone; a convolution that had no bias gets one.
FOLDED = {"residual": 2 * (8 + 16 + 16) - 2 * 16, "depthwise and grouped": 2 * (8 + 8 + 16)}


@functools.cache
def files(name: str) -> dict[str, bytes]:
    """The float, static and dynamic ONNX of a network."""
    network = exported(name)
    forms = {"float": network.onnx, "static": quantize(network.onnx, network.images(3), QuantizeSettings()).onnx}
    if name != "depthwise and grouped":
        forms["dynamic"] = quantize(network.onnx, network.images(0), QuantizeSettings(kind="dynamic")).onnx
    return forms


def counted(data: bytes) -> Cost:
    return count_onnx(onnx.load_from_string(data))


def adds_up(cost: Cost) -> bool:
    return (
        sum(layer.params for layer in cost.layers) == cost.params
        and sum(layer.macs for layer in cost.layers) == cost.macs
        and sum(layer.bytes for layer in cost.layers) == sum(cost.bytes.values())
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_those_of_the_module_before_and_after_quantization(name) -> None:
    model = exported(name).model
    expected = count(model, exported(name).info.input_shape)
    folded = FOLDED.get(name, 2 * sum(m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)))
    for form, data in files(name).items():
        cost = counted(data)
        assert (cost.macs, cost.macs_tp) == (expected.macs, None), form
        assert cost.params == expected.params - folded, form
        assert adds_up(cost), form
        # the source study's two mistakes: layers that are quantized and count for nothing
        assert all(layer.params for layer in cost.layers if layer.macs), form
        assert len({layer.name for layer in cost.layers}) == len(cost.layers), form
        weights = {layer.name: layer.macs for layer in cost.layers if layer.macs}
        assert weights == {layer.name: layer.macs for layer in expected.layers if layer.macs}, form


LENET5 = [
    ("conv1", (6, 28, 28), 156, 117_600), ("conv2", (16, 10, 10), 2_416, 240_000), ("fc1", (120,), 48_120, 48_000),
    ("fc2", (84,), 10_164, 10_080), ("fc3", (10,), 850, 840),
]  # fmt: skip


def test_lenet5_in_float() -> None:
    cost = counted(files("LeNet-5")["float"])
    assert [(x.name, x.output_shape, x.params, x.macs) for x in cost.layers if x.params] == LENET5
    assert [x.kind for x in cost.layers] == [
        "Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Reshape", "Gemm", "Relu", "Gemm", "Relu", "Gemm",
    ]  # fmt: skip
    assert (cost.params, cost.macs) == (61_706, 416_520)
    assert cost.bytes == {"float32": 4 * 61_706, "int64": 16}
    assert {x.dtype for x in cost.layers} == {"float32"}


def test_lenet5_in_int8() -> None:
    cost = counted(files("LeNet-5")["static"])
    assert [(x.name, x.output_shape, x.params, x.macs) for x in cost.layers if x.params] == LENET5
    assert [(x.name, x.kind) for x in cost.layers] == [
        ("input", "Input"), ("conv1", "Conv"), ("pool1", "MaxPool"), ("conv2", "Conv"), ("pool2", "MaxPool"),
        ("reshape", "Reshape"), ("fc1", "Gemm"), ("fc2", "Gemm"), ("fc3", "Gemm"),
    ]  # fmt: skip
    outputs = 6 + 16 + 120 + 84 + 10
    assert cost.params == 61_706
    assert cost.bytes == {
        "int8": 61_706 - outputs + outputs + 6,  # weights, their zero points, those of input and five activations
        "int32": 2 * 4 * outputs,  # biases and their zero points
        "float32": 4 * (2 * outputs + 6),  # scales of weights, biases and activations
        "int64": 16,
    }
    assert {x.dtype for x in cost.layers} == {"int8"}


def test_lenet5_with_dynamic_linear_layers() -> None:
    cost = counted(files("LeNet-5")["dynamic"])
    assert [(x.name, x.output_shape, x.params, x.macs) for x in cost.layers if x.params] == LENET5
    assert [(x.kind, x.dtype) for x in cost.layers if x.params] == 2 * [("Conv", "float32")] + 3 * [
        ("MatMulInteger", "int8")
    ]
    weights, outputs = 48_000 + 10_080 + 840, 120 + 84 + 10
    assert cost.bytes == {
        "float32": 4 * (156 + 2_416 + outputs + outputs), "int8": weights + outputs, "int64": 16
    }  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "weight", "output", "macs"),
    [
        ({}, (8, 4, 3, 3), (8, 7, 4), 7 * 4 * 8 * 4 * 9),
        ({"strides": [2, 1], "pads": [1, 0, 1, 2]}, (8, 4, 3, 3), (8, 5, 6), 5 * 6 * 8 * 4 * 9),
        ({"group": 4}, (4, 1, 3, 3), (4, 7, 4), 7 * 4 * 4 * 9),
        ({"group": 2, "dilations": [2, 2]}, (6, 2, 3, 2), (6, 5, 4), 5 * 4 * 6 * 2 * 6),
    ],
)
def test_convolutions_by_hand(attributes, weight, output, macs) -> None:
    cost = counted(by_hand([node("Conv", "input w", "logits", **attributes)], (4, 9, 6), w=np.zeros(weight)))
    (layer,) = cost.layers
    assert (layer.output_shape, layer.macs, layer.params) == (output, macs, int(np.prod(weight)))


@pytest.mark.parametrize(
    ("nodes", "shape", "values", "macs", "params"),
    [
        ([node("MatMul", "input w", "logits")], (3, 5), {"w": np.zeros((5, 2))}, 3 * 5 * 2, 10),
        ([node("Gemm", "input w b", "logits")], (5,), {"w": np.zeros((5, 2)), "b": np.zeros(2)}, 10, 12),
        # the bias of a product, and only it, belongs to its layer
        (
            [node("MatMul", "input w", "p"), node("Add", "b p", "q"), node("Add", "q b2", "logits")], (5,),
            {"w": np.zeros((5, 2)), "b": np.zeros(2), "b2": np.zeros(2)}, 10, 14,
        ),
        # a product of two activations has no parameters
        ([node("Flatten", "input", "a"), node("Transpose", "a", "t"), node("MatMul", "a t", "logits")], (1, 2, 3), {},
         6, 0),
        # Gemm that transposes its first matrix; lone numbers are constants
        ([node("Mul", "input two", "a"), node("Gemm", "w a", "logits", transA=1)], (4,),
         {"w": np.zeros((1, 7)), "two": np.float32(2)}, 7 * 4, 7),
        # batch norm: weight and bias are parameters, its two statistics are not
        ([node("BatchNormalization", "input s b m v", "logits")], (2, 3, 3), dict.fromkeys("sbmv", np.zeros(2)), 0, 4),
        ([node("ConvTranspose", "input w b", "logits", strides=[2, 2])], (2, 3, 5),
         {"w": np.zeros((2, 4, 3, 3)), "b": np.zeros(4)}, 3 * 5 * 2 * 4 * 9, 76),
        # a batch of one with two steps of three numbers: four gates of five
        ([node("Transpose", "input", "a", perm=[1, 0, 2]), node("LSTM", "a w r b", "logits", hidden_size=5)], (2, 3),
         {"w": np.zeros((1, 20, 3)), "r": np.zeros((1, 20, 5)), "b": np.zeros((1, 40))}, 2 * 20 * (3 + 5), 200),
        ([node("Transpose", "input", "a", perm=[1, 0, 2]), node("GRU", "a w r", "logits", hidden_size=5)], (2, 3),
         {"w": np.zeros((1, 15, 3)), "r": np.zeros((1, 15, 5))}, 2 * 15 * (3 + 5), 120),
        ([node("Einsum", "input w", "logits", equation="nij,jk->nik")], (3, 5), {"w": np.zeros((5, 2))}, 3 * 5 * 2, 10),
        ([node("Einsum", "input", "logits", equation="nij->nji")], (3, 5), {}, 0, 0),
        ([node("PRelu", "input slope", "logits")], (2, 3, 3), {"slope": np.zeros((2, 1, 1))}, 0, 2),
    ],
)  # fmt: skip
def test_products_and_parameters_by_hand(nodes, shape, values, macs, params) -> None:
    cost = counted(by_hand(nodes, shape, **values))
    assert (cost.macs, cost.params) == (macs, params)
    assert adds_up(cost)


def test_quantized_operators_by_hand() -> None:
    """The other forms of int8: QLinearConv and QLinearMatMul; ConvInteger with its scales and a reshaped bias."""
    nodes = [
        node("QuantizeLinear", "input s z", "q"), node("QLinearConv", "q s z w s wz s z b", "c"),
        node("DequantizeLinear", "c s z", "maps"), node("DynamicQuantizeLinear", "maps", "d"),
        node("ConvInteger", "d v dz", "sums"), node("Cast", "sums", "float", to=onnx.TensorProto.FLOAT),
        node("Mul", "ds vs", "scale"), node("Mul", "float scale", "scaled"), node("Reshape", "e shape", "bias"),
        node("Add", "scaled bias", "biased"), node("Flatten", "biased", "flat"),
        node("QuantizeLinear", "flat s z", "f"),
        node("QLinearMatMul", "f s z u s wz s z", "g"), node("DequantizeLinear", "g s z", "logits"),
    ]  # fmt: skip
    nodes[3].output.extend(["ds", "dz"])
    values = {
        "s": np.float32(1), "z": np.uint8(0), "wz": np.int8(0), "w": np.zeros((2, 1, 3, 3), np.int8),
        "b": np.zeros(2, np.int32), "v": np.zeros((4, 2, 1, 1), np.uint8), "vs": np.float32(0.5), "e": np.zeros(4),
        "shape": np.array([1, -1, 1, 1]), "u": np.zeros((64, 3), np.int8),
    }  # fmt: skip
    cost = counted(by_hand(nodes, (1, 6, 6), **values))
    assert [(x.kind, x.params, x.macs, x.dtype) for x in cost.layers if x.macs] == [
        ("QLinearConv", 20, 16 * 18, "int8"), ("ConvInteger", 12, 16 * 8, "uint8"), ("QLinearMatMul", 192, 192, "int8"),
    ]  # fmt: skip
    assert [x.kind for x in cost.layers] == ["Input", "QLinearConv", "ConvInteger", "Flatten", "QLinearMatMul"]
    assert adds_up(cost)
    assert cost.bytes == {"float32": 4 + 4 + 16, "uint8": 1 + 8, "int8": 1 + 18 + 192, "int32": 8, "int64": 32}


def test_shared_and_unused_constants_count_once() -> None:
    data = by_hand(
        [node("MatMul", "input w", "a"), node("MatMul", "a w", "logits")], (3,), w=np.zeros((3, 3)), spare=np.zeros(5)
    )
    cost = counted(data)
    assert [(x.name, x.params, x.macs, x.bytes) for x in cost.layers] == [
        ("input", 0, 0, 20), ("MatMul a", 9, 9, 36), ("MatMul logits", 0, 9, 0),
    ]  # fmt: skip
    assert adds_up(cost)


def test_constants_that_are_nodes_and_outputs_beside_the_first() -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros((4, 2), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Split", ["input"], ["a", "b"], "cut"),
        node("MatMul", "a w", "c"), node("MatMul", "b w", "d"), node("Add", "c d", "logits"),
    ]  # fmt: skip
    nodes[1].attribute.append(helper.make_attribute("axis", 1))
    cost = counted(by_hand(nodes, (8,)))
    assert (cost.params, cost.macs, cost.bytes) == (8, 16, {"float32": 32})
    assert [x.name for x in cost.layers] == ["cut", "MatMul c", "MatMul d", "Add logits"]


def test_a_fixed_batch_is_counted_for_one_image() -> None:
    model = onnx.load_from_string(files("LeNet-5")["float"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    assert count_onnx(model).macs == 416_520


def broken(case: str) -> onnx.ModelProto:
    if case == "another domain":
        model = onnx.load_from_string(by_hand([node("Relu", "input", "logits")]))
        model.graph.node[0].domain = "com.microsoft"
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        return model
    if case in ("einsum", "deformed"):
        nodes = [node("Einsum", "input input", "logits", equation="n...,n...->n...")]
        if case == "deformed":
            nodes = [node("DeformConv", "input w o", "logits")]
        return onnx.load_from_string(by_hand(nodes, w=np.zeros(1), o=np.zeros(1)))
    if case == "free size":
        model = onnx.load_from_string(files("LeNet-5")["float"])
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
        return model
    if case == "no input":
        return onnx.load_from_string(by_hand([node("Relu", "input", "logits")], input=np.zeros((1, 1, 1, 4))))
    if case == "no fit":
        return onnx.load_from_string(by_hand([node("MatMul", "input w", "logits")], (5,), w=np.zeros((4, 2))))
    nodes = [node("NonZero", "input", "where"), node("Cast", "where", "a", to=1), node("MatMul", "w a", "logits")]
    return onnx.load_from_string(by_hand(nodes, w=np.zeros((2, 4))))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            "another domain",
            r"^node 'Relu logits': the MACs of com\.microsoft:Relu are unknown, so niwaki cannot count",
        ),
        ("einsum", r"^node 'Einsum logits': the MACs of Einsum 'n\.\.\.,n\.\.\.->n\.\.\.' are unknown"),
        ("deformed", "^node 'DeformConv logits': the MACs of DeformConv are unknown"),
        ("free size", "^input 'input': its shape is not fixed; only the batch may be free"),
        ("no input", "^the ONNX model has no input, so its cost cannot be counted"),
        ("no fit", "^the ONNX has shapes that do not fit together: "),
        ("found as it runs", r"^node 'NonZero where' \(NonZero\): the shape of 'where' is not in the file"),
    ],
)
def test_what_cannot_be_counted_is_named(case, message) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        count_onnx(broken(case))
    assert "\n" not in str(caught.value)


def test_to_dict_is_plain_json() -> None:
    values = json.loads(json.dumps(counted(files("LeNet-5")["static"]).to_dict()))
    assert values["layers"][1] == {
        "name": "conv1", "kind": "Conv", "output_shape": [6, 28, 28], "params": 156, "macs": 117_600, "dtype": "int8",
        "bytes": 150 + 6 + 24 + 24 + 24 + 24 + 5,
    }  # fmt: skip


def test_five_thousand_layers_with_constants_of_their_own() -> None:
    names = ["input", *(f"t{index}" for index in range(1, 5000)), "logits"]
    nodes = [node("Add", f"{names[index]} c{index}", names[index + 1]) for index in range(5000)]
    cost = counted(by_hand(nodes, (4,), **{f"c{index}": np.ones(4) for index in range(5000)}))
    assert (cost.params, len(cost.layers)) == (20_000, 5000)
    assert adds_up(cost)
