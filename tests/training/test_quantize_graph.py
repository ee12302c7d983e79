from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest

from handmade_onnx import by_hand, node, operators, pixels
from niwaki.data.preprocessing import Preprocessing
from niwaki.models.onnxsession import scores
from niwaki.training.quantize_graph import in_order, last_softmax, prepared


def test_activations_move_before_pooling_and_whole_pooling_is_global() -> None:
    nodes = [
        node("Conv", "input w", "maps"), node("MaxPool", "maps", "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "pooled", "flat"), node("Relu", "flat", "positive"), node("Reshape", "positive s", "square"),
        node("AveragePool", "square", "mean", kernel_shape=[4, 4]), node("Flatten", "mean", "logits"),
    ]  # fmt: skip
    w = np.random.default_rng(0).normal(size=(2, 1, 1, 1))
    data = by_hand(nodes, (1, 8, 8), w=w, s=np.array([-1, 2, 4, 4]))
    ready = prepared(onnx.load_from_string(data))
    assert operators(ready) == ["Conv", "Relu", "MaxPool", "Flatten", "Reshape", "GlobalAveragePool", "Flatten"]
    inputs = Preprocessing().scale(pixels(20, (1, 8, 8)))
    assert np.allclose(scores(ready.SerializeToString(), inputs), scores(data, inputs), atol=1e-6)


def test_a_thousand_activations_pass_a_thousand_poolings() -> None:
    """One by one they would take a million steps."""
    kinds = ["MaxPool"] * 1000 + ["Relu", "Clip"] * 500
    names = ["input", *(f"t{index}" for index in range(1, 2000)), "logits"]
    nodes = [
        node(kind, source, target, **({"kernel_shape": [1, 1]} if kind == "MaxPool" else {}))
        for kind, source, target in zip(kinds, names[:-1], names[1:], strict=True)
    ]
    ready = prepared(onnx.load_from_string(by_hand(nodes)))
    assert operators(ready) == kinds[1000:] + kinds[:1000]
    assert [(n.input[0], n.output[0]) for n in ready.graph.node] == list(itertools.pairwise(names))
    assert [n.name for n in ready.graph.node][:2] == ["Relu t1001", "Clip t1002"]


@pytest.mark.parametrize(
    "nodes",
    [
        # what the activation reads is read elsewhere too, or is not only moved around
        [node("MaxPool", "input", "a", kernel_shape=[2, 2]), node("Relu", "a", "b"), node("Add", "a b", "logits")],
        [node("AveragePool", "input", "a", kernel_shape=[2, 2]), node("Relu", "a", "logits")],
        [node("Relu", "input", "a"), node("MaxPool", "a", "logits", kernel_shape=[2, 2])],
        # its bound is computed after the pooling
        [
            node("MaxPool", "input", "a", kernel_shape=[2, 2]),
            node("ReduceMax", "a", "high", keepdims=0),
            onnx.helper.make_node("Clip", ["a", "", "high"], ["logits"], "clip"),
        ],
        # not over the whole image, or with a border
        [node("AveragePool", "input", "logits", kernel_shape=[2, 4])],
        [node("AveragePool", "input", "logits", kernel_shape=[4, 4], pads=[1, 1, 1, 1])],
    ],
)
def test_other_networks_are_left_as_they_are(nodes) -> None:
    model = onnx.load_from_string(by_hand(nodes, (1, 4, 4)))
    assert prepared(model) == model


def test_nodes_come_right_before_they_are_needed_and_unused_ones_go() -> None:
    nodes = [
        node("Add", "b a", "logits"),
        node("Neg", "a", "unused"),
        node("Relu", "input", "a"),
        node("Neg", "a", "b"),
    ]
    graph = onnx.GraphProto(node=nodes, output=[onnx.ValueInfoProto(name="logits")])
    assert [entry.output[0] for entry in in_order(graph)] == ["a", "b", "logits"]


def test_only_a_softmax_at_the_end_is_the_last() -> None:
    inner = [node("Softmax", "input", "a"), node("LogSoftmax", "a", "logits")]
    assert last_softmax(onnx.load_from_string(by_hand(inner))) == ["LogSoftmax logits"]
    assert last_softmax(onnx.load_from_string(by_hand([inner[0], node("Relu", "a", "logits")]))) == []


def test_every_node_gets_a_name_of_its_own() -> None:
    nodes = [node("Relu", "input", "a"), node("Relu", "a", "b"), node("Relu", "b", "c"), node("Neg", "c", "logits")]
    for entry, name in zip(nodes, ("", "twice", "twice", "once"), strict=True):
        entry.name = name
    named = [entry.name for entry in prepared(onnx.load_from_string(by_hand(nodes))).graph.node]
    assert named == ["Relu, node 0", "twice, node 1", "twice, node 2", "once"]
