"""An error in an ONNX file from outside gives one line that names the node or tensor."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from niwaki.errors import ModelError
from niwaki.models import onnxcheck
from niwaki.models.onnxfile import LABELS, load_onnx, metadata
from niwaki.models.onnxsession import open_session


def small() -> ModelProto:
    """y = relu(x + w)."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    nodes = [helper.make_node("Add", ["x", "w"], ["sum"], "add"), helper.make_node("Relu", ["sum"], ["y"], "relu")]
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(np.float32([1, -2, 3]), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def weights(model: ModelProto) -> TensorProto:
    return model.graph.initializer[0]


def typed(model: ModelProto) -> None:
    weights(model).ClearField("raw_data")
    weights(model).float_data.extend([1.0, 2.0])


def text(model: ModelProto) -> None:
    weights(model).CopyFrom(helper.make_tensor("w", TensorProto.STRING, [3], [b"a"] * 3))


def cycle(model: ModelProto) -> None:
    model.graph.node[0].input[1] = "y"


def itself(model: ModelProto) -> None:
    model.graph.node[0].input[1] = "sum"


def no_name(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["x"], [""], "none"))


def calls_itself(model: ModelProto) -> None:
    call = helper.make_node("F", ["a"], ["b"], domain="own")
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [call], [helper.make_opsetid("own", 1)]))


def functions_of_functions(model: ModelProto) -> None:
    """Each calls the next one four times: 4 ** 20 nodes in 80."""
    for level in range(20):
        kind, domain = (f"F{level + 1}", "own") if level < 19 else ("Relu", "")
        calls = [helper.make_node(kind, ["a"], [f"b{time}"], domain=domain) for time in range(4)]
        opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 13)]
        model.functions.append(helper.make_function("own", f"F{level}", ["a"], ["b0"], calls, opsets))
    model.graph.node.append(helper.make_node("F0", ["x"], ["z"], "many", domain="own"))


def pool(model: ModelProto, *inputs: str, **attributes: object) -> None:
    node = helper.make_node("MaxPool", list(inputs), ["y"], "pool", **attributes)
    model.graph.node[1].CopyFrom(node)


def setting(path: str, value: object) -> Callable[[ModelProto], None]:
    """Change a field: `graph.node.0.name`."""

    def change(model: ModelProto) -> None:
        at, (*way, last) = model, path.split(".")
        for step in way:
            at = at[int(step)] if step.isdigit() else getattr(at, step)
        if last.isdigit():
            at[int(last)] = value
        else:
            setattr(at, last, value)

    return change


BAD: list[tuple[str, Callable[[ModelProto], None]]] = [
    (r"tensor 'w': 5 bytes, but a shape of \(3,\) needs 12", setting("graph.initializer.0.raw_data", b"short")),
    (r"tensor 'w': 13 bytes, but a shape of \(3,\) needs 12", setting("graph.initializer.0.raw_data", b"1" * 13)),
    (r"tensor 'w': 2 elements do not match its type and its shape \(3,\)", typed),
    ("tensor 'w': data type 77 is unknown", setting("graph.initializer.0.data_type", 77)),
    ("tensor 'w': data type 0 is unknown", setting("graph.initializer.0.data_type", 0)),
    ("tensor 'w' is text: tensors of numbers", text),
    (r"tensor 'w': shape \(-3,\): dimensions cannot be negative", setting("graph.initializer.0.dims.0", -3)),
    (r"tensor 'w': shape .*: more elements than 64 bits", lambda m: weights(m).dims.extend([2**40, 2**40])),
    ("tensor 'w': stored in segments", setting("graph.initializer.0.segment.begin", 1)),
    ("opset 0: expected 1 to ", setting("opset_import.0.version", 0)),
    ("opset 99: expected 1 to ", setting("opset_import.0.version", 99)),
    ("'x': data type 99 is unknown", setting("graph.input.0.type.tensor_type.elem_type", 99)),
    ("'x' is sequence: tensors", setting("graph.input.0.type.sequence_type.elem_type.tensor_type.elem_type", 1)),
    (r"'x': shape \(0, -5\): dimensions", setting("graph.input.0.type.tensor_type.shape.dim.1.dim_value", -5)),
    ("it has no output", lambda m: m.graph.ClearField("output")),
    ("Relu 'none': it has no output", lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], [], "none"))),
    ("Relu 'none': it has no output", no_name),
    (r"Relu, node \d of \d: it has no output", lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], []))),
    ("Add 'add' and Relu 'relu': 'sum' is produced twice", setting("graph.node.1.output.0", "sum")),
    ("Add 'add': it depends on its own output: a cycle", cycle),
    ("Add 'add': it depends on its own output: a cycle", itself),
    ("function 'F': it calls itself", calls_itself),
    (r"1,099,511,627,778 nodes after expanding functions: up to 20,000", functions_of_functions),
    ("MaxPool 'pool': Required attribute 'kernel_shape' is missing", lambda m: pool(m, "sum")),
    ("Mismatched attribute type in 'pool : kernel_shape'", lambda m: pool(m, "sum", kernel_shape=2)),
]


@pytest.mark.parametrize(("message", "damage"), BAD)
def test_refused_in_one_line(message, damage):
    model = small()
    damage(model)
    with pytest.raises(ModelError, match=f"^its file: not a valid ONNX model: {message}") as caught:
        load_onnx(model.SerializeToString(), "its file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("old", ["add", "relu", "batch", "sum"])
def test_names_that_are_no_text(old):
    data = small().SerializeToString().replace(old.encode(), b"\xff" * len(old))
    with pytest.raises(ModelError, match=r"the name b'\\xff.* is not UTF-8"):
        load_onnx(data)


def test_nodes_in_any_order_are_sorted():
    model = small()
    expected = open_session(model.SerializeToString()).run(None, {"x": np.float32([[1, 1, -9]])})[0].tolist()
    model.graph.node.reverse()
    found = load_onnx(model.SerializeToString())
    assert [node.name for node in found.graph.node] == ["add", "relu"]
    assert expected == open_session(found.SerializeToString()).run(None, {"x": np.float32([[1, 1, -9]])})[0].tolist()
    assert expected == [[2, 0, 0]]


def test_nodes_that_are_in_order_stay():
    model = small()
    model.graph.node.insert(1, helper.make_node("Identity", ["x"], ["unused"], "between"))
    assert load_onnx(model.SerializeToString()) == model


def test_too_many_nodes(monkeypatch):
    monkeypatch.setattr(onnxcheck, "MOST_NODES", 1)
    with pytest.raises(ModelError, match="2 nodes after expanding functions: up to 1 are supported"):
        load_onnx(small().SerializeToString())
    monkeypatch.setattr(onnxcheck, "_MOST_FUNCTIONS", 0)
    model = small()
    calls_itself(model)
    with pytest.raises(ModelError, match="1 functions: up to 0 are supported"):
        load_onnx(model.SerializeToString())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a\0b"], r"the name 'a\\x00b' has a NUL in it"),
        (["\ud800"], "not JSON: half a surrogate pair, which is not a character"),
        (["x" * 300], "a name of 300 characters: 1 to 255 are supported"),
        ([""], "a name of 0 characters"),
    ],
)
def test_labels_that_no_program_could_show(labels, message):
    model = small()
    helper.set_model_props(model, {LABELS: json.dumps(labels)})
    with pytest.raises(ModelError, match=rf"metadata niwaki\.labels: {message}"):
        metadata(model)


def test_labels_nested_beyond_all_measure():
    model = small()
    helper.set_model_props(model, {LABELS: "[" * 100_000})
    with pytest.raises(ModelError, match=r"metadata niwaki\.labels: not JSON"):
        metadata(model)
