"""Which activations have no quantizer: those between element-wise nodes of one tensor, and before a layer's factors."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from handmade_onnx import by_hand, node
from niwaki.training.quantize_regions import regions_of

ONE, CHANNELS = np.float32(0.5), np.ones((2, 1, 1))


def inside(*nodes: onnx.NodeProto, **values: object) -> set[str]:
    data = by_hand(nodes, (2, 4, 4), w=np.ones((2, 2, 1, 1)), one=ONE, c=CHANNELS, rows=np.ones((4, 1)), **values)
    return set(regions_of(onnx.load_from_string(data)).inside)


def test_functions_of_one_tensor_have_no_quantizer_in_between() -> None:
    silu = [node("Conv", "input w", "a"), node("Sigmoid", "a", "s"), node("Mul", "a s", "m")]
    assert inside(*silu, node("Conv", "m w", "logits")) == {"s"}
    assert inside(*silu, node("Neg", "m", "n"), node("Conv", "n w", "logits")) == {"s", "m"}
    assert inside(*silu, node("Add", "m s", "logits")) == {"s", "m"}


def test_what_another_node_reads_has_one() -> None:
    nodes = [
        node("Sigmoid", "input", "s"),
        node("Tanh", "s", "t"),
        node("Conv", "s w", "b"),
        node("Add", "t b", "logits"),
    ]
    assert inside(*nodes) == set()


def test_two_tensors_end_a_region() -> None:
    nodes = [
        node("Conv", "input w", "a"),
        node("Tanh", "a", "t"),
        node("Conv", "t w", "b"),
        node("Mul", "t b", "logits"),
    ]
    assert inside(*nodes) == set()


def test_a_layer_takes_factors_and_offsets_of_its_channels() -> None:
    lines = [node("Conv", "input w", "a"), node("Mul", "a c", "m"), node("Add", "m c", "n")]
    assert inside(*lines, node("Relu", "n", "logits")) == {"a", "m"}
    assert inside(*lines, node("Sigmoid", "n", "logits")) == {"a", "m"}
    assert inside(node("Conv", "input w", "a"), node("Mul", "a rows", "logits")) == set()
    assert inside(node("Conv", "input w", "a"), node("Tanh", "a", "logits")) == set()


def test_a_line_of_channels_is_a_layer_and_no_table_of_each() -> None:
    assert inside(node("Tanh", "input", "t"), node("Mul", "t one", "m"), node("Exp", "m", "logits")) == {"t", "m"}
    assert inside(node("Mul", "input c", "m"), node("Add", "m c", "n"), node("Tanh", "n", "logits")) == {"m"}
    assert inside(node("Mul", "input c", "m"), node("Mul", "m rows", "logits")) == set()


@pytest.mark.parametrize("kind", ["Relu", "Clip"])
def test_a_clamp_right_after_a_layer_is_the_layer_s(kind: str) -> None:
    assert inside(node("Conv", "input w", "a"), node(kind, "a", "r"), node("Sigmoid", "r", "logits")) == set()
    assert inside(node("Neg", "input", "a"), node(kind, "a", "r"), node("Sigmoid", "r", "logits")) == {"a", "r"}
