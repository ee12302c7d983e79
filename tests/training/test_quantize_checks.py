from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from handmade_onnx import by_hand, node
from niwaki.codegen.readers.qdq_operators import OPERATORS
from niwaki.errors import ModelError
from niwaki.training.quantize_checks import (
    INT8_OPERATORS,
    bounds,
    check_accumulators,
    check_clamps,
    check_scales,
    float_nodes,
)


def clamp(op_type: str, *limits: float, named: str = "clamp") -> onnx.ModelProto:
    """`input` → Relu or Clip → `logits`."""
    names = " ".join(("low", "high")[: len(limits)])
    nodes = [node("Neg", "input", "sums"), node(op_type, f"sums {names}", "logits")]
    nodes[1].name = named
    return onnx.load_from_string(by_hand(nodes, low=np.float32([*limits, 0])[0], high=np.float32([0, *limits])[-1]))


def int8(scale: float, zero_point: int) -> onnx.ModelProto:
    """The same without the activation, its output quantized as the quantizer does it."""
    nodes = [
        node("Neg", "input", "sums"), node("QuantizeLinear", "sums s z", "q"),
        node("DequantizeLinear", "q s z", "logits"),
    ]  # fmt: skip
    nodes[1].name = "logits_QuantizeLinear"
    return onnx.load_from_string(by_hand(nodes, s=np.float32(scale), z=np.int8(zero_point)))


@pytest.mark.parametrize(
    ("before", "scale", "zero_point"),
    [
        (clamp("Relu"), 0.1, -128),
        (clamp("Clip", 0, 6), 6 / 255, -128),
        (clamp("Clip", 0, 6), 5 / 255, -128),  # cut by calibration
        (clamp("Clip", 0, 6), 6.01 / 255, -128),  # less than half a step too far
        (clamp("Clip", -1, 1), 2 / 255, 0),  # −128 stands for −1.004
        (clamp("Clip", -1), 2 / 255, 0),
    ],
)
def test_int8_that_clamps_is_accepted(before, scale, zero_point) -> None:
    check_clamps(before, int8(scale, zero_point))


@pytest.mark.parametrize(
    ("before", "scale", "zero_point", "message"),
    [
        (
            clamp("Relu"),
            1,
            0,
            "Relu 'clamp': int8 stands for -128 to 127 there, outside 0 to inf: the clamp is lost",
        ),
        (clamp("Relu"), 0.1, -127, "Relu 'clamp': int8 stands for -0.1 to 25.4 there, outside 0 to inf"),
        (clamp("Clip", 0, 6), 6.03 / 255, -128, "Clip 'clamp': int8 stands for 0 to 6.03 there, outside 0 to 6"),
        (clamp("Clip", 0, 6), 6 / 255, -127, "Clip 'clamp': int8 stands for -0.0235294 to 5.97647 there, outside 0"),
        (clamp("Clip", 1, 6), 6 / 255, -128, "Clip 'clamp': int8 stands for 0 to 6 there, outside 1 to 6"),
    ],
)
def test_int8_that_does_not_clamp_is_refused(before, scale, zero_point, message) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(message)}"):
        check_clamps(before, int8(scale, zero_point))


def test_an_activation_that_is_still_there_clamps_itself() -> None:
    check_clamps(clamp("Relu"), clamp("Relu"))


def test_an_activation_that_left_nothing_behind_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"^Relu 'clamp': the quantizer removed it without a replacement"):
        check_clamps(clamp("Relu"), clamp("Relu", named="another"))


def test_of_two_activations_in_a_row_the_last_is_quantized_and_both_are_checked() -> None:
    nodes = [node("Clip", "input low", "a"), node("Relu", "a", "logits")]
    check_clamps(onnx.load_from_string(by_hand(nodes, low=np.float32(-1))), int8(0.1, -128))
    with pytest.raises(ModelError, match=r"^Clip 'Clip a': int8 stands for 0 to 25\.5 there, outside 2 to inf"):
        check_clamps(onnx.load_from_string(by_hand(nodes, low=np.float32(2))), int8(0.1, -128))


def test_bounds_of_activations() -> None:
    known, infinity = {"low": np.float32(-1), "high": np.float32(6)}, float("inf")
    for inputs, expected in (("x low high", (-1, 6)), ("x low", (-1, infinity)), ("x", (-infinity, infinity))):
        assert bounds(node("Clip", inputs, "y"), known) == expected
    assert bounds(onnx.helper.make_node("Clip", ["x", "", "high"], ["y"]), known) == (-infinity, 6)
    assert bounds(node("Relu", "x", "y"), known) == (0, infinity)


def integer_layer(op_type: str, weights: np.ndarray, bias: int, **attributes: int) -> onnx.ModelProto:
    """A Conv, Gemm or MatMul with int8 weights, and an int32 bias for the first of two outputs."""
    inputs = "input weights" if op_type == "MatMul" else "input weights bias"
    nodes = [
        node("DequantizeLinear", "w s z", "weights"), node("DequantizeLinear", "b s", "bias"),
        node(op_type, inputs, "logits", **attributes),
    ]  # fmt: skip
    values = {"w": weights.astype(np.int8), "s": np.float32(1), "z": np.int8(0), "b": np.array([bias, 0], np.int32)}
    return onnx.load_from_string(by_hand(nodes, (1, 1, 2) if op_type == "Conv" else (2,), **values))


LAYERS = [
    ("Conv", np.array([[[[100, -20]]], [[[1, 1]]]]), {}),
    ("Gemm", np.array([[100, -20], [1, 1]]), {"transB": 1}),
    ("Gemm", np.array([[100, 1], [-20, 1]]), {}),
]


@pytest.mark.parametrize(("op_type", "weights", "attributes"), LAYERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_is_proved_for_each_output(op_type, weights, attributes, sign) -> None:
    room = 2**31 - 120 * 255
    check_accumulators(integer_layer(op_type, weights, sign * (room - 1), **attributes))
    message = rf"^{op_type} '{op_type} logits': output 0 could reach 2,147,483,648, more than 32 bits can hold"
    with pytest.raises(ModelError, match=message):
        check_accumulators(integer_layer(op_type, weights, sign * room, **attributes))


def test_sums_without_bias_and_float_weights() -> None:
    check_accumulators(integer_layer("MatMul", np.array([[100, 1], [-20, 1]]), 2**31 - 1))  # it has no bias
    nodes = [node("Gemm", "input w", "logits")]
    check_accumulators(onnx.load_from_string(by_hand(nodes, (2,), w=np.full((2, 2), 1e30))))
    many = np.full((70_000, 2), 127)
    with pytest.raises(ModelError, match=r"^MatMul 'MatMul logits': output 0 could reach 2,266,950,000"):
        check_accumulators(integer_layer("MatMul", many, 0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"s": np.zeros(2, np.float32)}, "'w': a scale of 0; scales must be positive numbers"),
        ({"s": np.array([1, -2], np.float32)}, "'w': a scale of -2; "),
        ({"s": np.array([np.nan, 1], np.float32)}, "'w': a scale of nan; "),
        ({"s": np.array([1, np.inf], np.float32)}, "'w': a scale of inf; "),
        ({"z": np.array([0, 1], np.int8)}, "'w': weights with a zero point; they must be symmetric"),
        ({"w": np.full((2, 4), -128, np.int8)}, "'w': a weight of -128; expected −127 to 127"),
        ({"w": np.full((2, 4), -127, np.int8)}, None),
    ],
)
def test_scales_and_weights_are_checked(values, message) -> None:
    nodes = [node("DequantizeLinear", "w s z", "weights", axis=0), node("Gemm", "input weights", "logits", transB=1)]
    plain = {"w": np.ones((2, 4), np.int8), "s": np.ones(2, np.float32), "z": np.zeros(2, np.int8)}
    model = onnx.load_from_string(by_hand(nodes, (4,), **{**plain, **values}))
    if message is None:
        check_scales(model)
        return
    with pytest.raises(ModelError, match=f"^{re.escape(message)}"):
        check_scales(model)


def test_nodes_between_quantizers_are_int8_and_others_float() -> None:
    nodes = [
        node("QuantizeLinear", "input s z", "q"), node("DequantizeLinear", "q s z", "a"), node("Relu", "a", "b"),
        node("QuantizeLinear", "b s z", "r"), node("DequantizeLinear", "r s z", "c"),
        node("Sinh", "c", "d"), node("Cosh", "d", "e"), node("Softmax", "e", "logits"),
    ]  # fmt: skip
    model = onnx.load_from_string(by_hand(nodes, s=np.float32(1), z=np.int8(0)))
    assert [entry.name for entry in float_nodes(model)] == ["Sinh d", "Cosh e"]


def test_an_operator_that_no_integers_stand_for_is_float_between_quantizers_too() -> None:
    nodes = [
        node("QuantizeLinear", "input s z", "q"), node("DequantizeLinear", "q s z", "a"),
        node("Sinh", "a", "b"),
        node("QuantizeLinear", "b s z", "r"), node("DequantizeLinear", "r s z", "logits"),
    ]  # fmt: skip
    model = onnx.load_from_string(by_hand(nodes, (1, 1, 4), s=np.float32(1), z=np.int8(0)))
    assert [entry.name for entry in float_nodes(model)] == ["Sinh b"]


def test_what_c_can_be_made_of_becomes_int8() -> None:
    """An operator that the reader of QDQ files learns is quantized too; what does nothing needs no scales."""
    assert set(INT8_OPERATORS) >= set(OPERATORS) - {"Dropout", "Identity"}
    assert {"Dropout", "Identity"}.isdisjoint(INT8_OPERATORS)
    assert {"Conv", "Gemm", "MatMul", "Add", "Mul", "Transpose", "Softmax"} <= set(INT8_OPERATORS)
