from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.models.onnxfile import LABELS, PREPROCESSING, Metadata, load_onnx, metadata, write_metadata

WEIGHTS = np.arange(300, dtype=np.float32)


def small() -> ModelProto:
    """y = x + w."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 300]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y])
    graph.initializer.append(numpy_helper.from_array(WEIGHTS, "w"))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def beside(folder: Path, location: str, **entries: str) -> Path:
    """The same with its weights in the file `location`; the model lies in `folder`."""
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def weights_of(model: ModelProto) -> np.ndarray:
    return numpy_helper.to_array(model.graph.initializer[0])


def test_from_bytes_and_from_a_file(tmp_path):
    data = small().SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    assert load_onnx(data) == load_onnx(tmp_path / "model.onnx") == small()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"none\.onnx: cannot be read: No such file"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="the model: cannot be read: Is a directory"):
        load_onnx(tmp_path, "the model")


@pytest.mark.parametrize("data", [b"", b"\x00" * 50, b"no ONNX at all", b"\x89PNG\r\n\x1a\n"])
def test_other_files(data):
    with pytest.raises(ModelError, match="the ONNX: (not an ONNX file|not a valid ONNX)"):
        load_onnx(data)


def test_every_truncation_is_noticed():
    data = small().SerializeToString()
    for length in range(len(data)):
        with pytest.raises(ModelError, match="cut: "):
            load_onnx(data[:length], "cut")


def test_a_model_that_breaks_the_specification():
    model = small()
    model.graph.node[0].input[1] = "missing"
    with pytest.raises(ModelError, match="the ONNX: not a valid ONNX model: .*missing"):
        load_onnx(model.SerializeToString())
    model = small()
    model.graph.node[0].op_type = "Addition"
    with pytest.raises(ModelError, match="not a valid ONNX model: .*Addition"):
        load_onnx(model.SerializeToString())


def test_external_data_come_into_the_model(tmp_path):
    path = beside(tmp_path, "data/weights.bin", offset="8", length="1200")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(b"8 bytes." + WEIGHTS.tobytes())
    model = load_onnx(path)
    np.testing.assert_array_equal(weights_of(model), WEIGHTS)
    assert model.graph.initializer[0].data_location == TensorProto.DEFAULT
    np.testing.assert_array_equal(weights_of(load_onnx(model.SerializeToString())), WEIGHTS)


def test_external_data_as_onnx_writes_them(tmp_path):
    onnx.save(small(), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").stat().st_size >= 1200
    np.testing.assert_array_equal(weights_of(load_onnx(tmp_path / "m.onnx")), WEIGHTS)


@pytest.mark.parametrize("location", ["../weights.bin", "inner/../../weights.bin", "{absolute}", "link.bin", "", "."])
def test_external_data_outside_of_the_folder(tmp_path, location):
    secret = tmp_path / "weights.bin"
    secret.write_bytes(WEIGHTS.tobytes())
    path = beside(tmp_path / "model", location.format(absolute=secret))
    (path.parent / "inner").mkdir()
    (path.parent / "link.bin").symlink_to(secret)
    with pytest.raises(
        ModelError,
        match=r"model\.onnx: tensor 'w' lies in .* outside the model's folder: move it "
        "beside the model",
    ):
        load_onnx(path)


def test_external_data_through_a_folder_that_is_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights.bin").write_bytes(WEIGHTS.tobytes())
    path = beside(tmp_path / "model", "inner/weights.bin")
    (path.parent / "inner").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="outside the model's folder: move it beside the model"):
        load_onnx(path)


def test_external_data_that_are_no_plain_file(tmp_path):
    path = beside(tmp_path, "weights.bin")
    with pytest.raises(ModelError, match=r"lies in 'weights\.bin': no such plain file beside the model"):
        load_onnx(path)
    (tmp_path / "real.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "weights.bin").symlink_to("real.bin")
    with pytest.raises(ModelError, match="no such plain file beside the model"):
        load_onnx(path)


def test_external_data_that_are_too_short(tmp_path):
    path = beside(tmp_path, "weights.bin", offset="0", length="1200")
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes()[:-1])
    with pytest.raises(ModelError, match=r"'w' lies in 'weights\.bin': bytes 0 to 1,200 of 1,199: it is truncated"):
        load_onnx(path)
    path = beside(tmp_path, "weights.bin")
    with pytest.raises(ModelError, match=r"tensor 'w': 1,199 bytes, but a shape of \(300,\) needs 1,200"):
        load_onnx(path)


def test_external_data_of_bytes(tmp_path):
    data = beside(tmp_path, "weights.bin").read_bytes()
    with pytest.raises(ModelError, match=r"the ONNX: tensor 'w' lies in 'weights\.bin': give the path"):
        load_onnx(data)


def test_external_data_in_subgraphs_and_attributes_are_found(tmp_path):
    """Wherever a tensor hides, its location is looked at."""
    outside = numpy_helper.from_array(WEIGHTS, "hidden")
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../weights.bin")
    constant = helper.make_node("Constant", [], ["c"], value=outside)
    body = helper.make_graph([constant], "body", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [300])])
    branch = helper.make_node("If", ["condition"], ["y"], then_branch=body, else_branch=body)
    initializer = helper.make_graph([], "body", [], [], [outside])
    sparse = helper.make_sparse_tensor(outside, numpy_helper.from_array(np.arange(300), "indices"), [300])
    function = helper.make_function("own", "F", [], ["c"], [constant], [helper.make_opsetid("", 13)])
    hiding = {
        "a node": lambda model: model.graph.node.append(constant),
        "a branch": lambda model: model.graph.node.append(branch),
        "a branch's weights": lambda model: model.graph.node.append(
            helper.make_node("If", [], [], then_branch=initializer)
        ),
        "several branches": lambda model: model.graph.node.append(helper.make_node("Own", [], [], bodies=[body])),
        "several tensors": lambda model: model.graph.node.append(helper.make_node("Own", [], [], tensors=[outside])),
        "a sparse tensor": lambda model: model.graph.sparse_initializer.append(sparse),
        "a function": lambda model: model.functions.append(function),
    }
    for place, hide in hiding.items():
        model = small()
        hide(model)
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match=r"tensor 'hidden' lies in '\.\./weights\.bin', outside"):
            load_onnx(tmp_path / "model.onnx", place)


def test_metadata_come_back():
    model = small()
    assert metadata(model) == Metadata((), None)
    preprocessing = Preprocessing(pad=2, mean=(0.25,), std=(0.5,))
    write_metadata(model, ["bag", "shirt – très chic"], preprocessing)
    assert metadata(model) == Metadata(("bag", "shirt – très chic"), preprocessing)


def test_metadata_are_replaced_and_others_kept():
    model = small()
    helper.set_model_props(model, {"author": "somebody", LABELS: '["old"]', PREPROCESSING: "{}"})
    write_metadata(model, ["new"], None)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"author": "somebody", LABELS: '["new"]'}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (LABELS, "[", r"metadata niwaki\.labels: not JSON"),
        (LABELS, '{"a": 1}', r"metadata niwaki\.labels: expected a list of names"),
        (LABELS, "[1, 2]", r"metadata niwaki\.labels: expected a list of names"),
        (PREPROCESSING, "[", r"metadata niwaki\.preprocessing: not JSON"),
        (PREPROCESSING, json.dumps({"std": [0]}), r"metadata niwaki\.preprocessing: .*above 0"),
    ],
)
def test_damaged_metadata(key, value, message):
    model = small()
    helper.set_model_props(model, {key: value})
    with pytest.raises(ModelError, match=message):
        metadata(model)
