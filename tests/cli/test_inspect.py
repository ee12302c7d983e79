"""`niwaki inspect` of ONNX files, and the sensitivity of layers; of model files, see test_cli."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import niwaki
from exported import exported
from handmade_onnx import by_hand, node
from niwaki.cli.entry import run
from niwaki.data.preprocessing import Preprocessing
from niwaki.training.quantize import quantize
from niwaki.training.settings import QuantizeSettings
from qdq_models import start
from tflite_files import small_file

LABELS = tuple(f"class {number}" for number in range(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet-5 as float.onnx, static.onnx, dynamic.onnx."""
    folder = tmp_path_factory.mktemp("onnx")
    network = exported("LeNet-5")
    (folder / "float.onnx").write_bytes(network.onnx)
    for kind in ("static", "dynamic"):
        done = quantize(network.onnx, network.images(5), QuantizeSettings(kind=kind))
        (folder / f"{kind}.onnx").write_bytes(done.onnx)
    return folder


def inspect(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["inspect", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("form", "quantization", "dtype"),
    [("float", "none", "float32"), ("static", "qdq", "int8"), ("dynamic",) * 2 + ("int8",)],
)
def test_an_onnx_has_the_keys_of_a_model_file_and_what_a_runtime_must_know(
    form, quantization, dtype, folder, capsys
) -> None:
    file = folder / f"{form}.onnx"
    code, out, err = inspect(capsys, file, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["params"], facts["macs"], facts["macs_tp"]) == (61_706, 416_520, None)
    assert facts["bytes"]["file"] == file.stat().st_size
    assert facts["bytes"][dtype] > 58_000
    assert (facts["opset"], facts["ir_version"], facts["domains"]) == (13, 7, ["ai.onnx"])
    assert (facts["quantization"], facts["producer"]) == (quantization, "niwaki")
    assert (facts["input_shape"], facts["labels"]) == ([1, 32, 32], list(LABELS))
    assert facts["preprocessing"] == Preprocessing().model_dump(mode="json")
    fc1 = next(layer for layer in facts["layers"] if layer["name"] == "fc1")
    assert (fc1["params"], fc1["macs"], fc1["output_shape"], fc1["dtype"]) == (48_120, 48_000, [120], dtype)


def test_it_prints_a_table(folder, capsys) -> None:
    code, out, _ = inspect(capsys, folder / "static.onnx")
    assert code == 0
    assert "static.onnx: ONNX, int8 (qdq), opset 13, file version 7, input 1×32×32, 10 classes" in out.replace("\n", "")
    assert "61,706 parameters, 416,520 MACs\n" in out
    assert "61,712 int8" in out
    assert "activations" not in out
    assert "ONNX, float, opset 13" in inspect(capsys, folder / "float.onnx")[1].replace("\n", "")


def test_it_says_what_kind_of_file_another_tool_wrote(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.tflite").write_bytes(small_file().build())
    code, out, _ = inspect(capsys, tmp_path / "a.tflite")
    assert code == 0
    assert "a.tflite: TensorFlow Lite, int8, input 2×9×7, no labels" in out.replace("\n", "")


def test_it_says_what_the_c_stores_of_each_layer(folder, capsys) -> None:
    facts = json.loads(inspect(capsys, folder / "static.onnx", "--json")[1])
    stored = {layer["name"]: (layer["bits"], layer["packed_bytes"]) for layer in facts["layers"] if layer["params"]}
    assert stored == {
        "conv1": (8, 150), "conv2": (8, 2_400), "fc1": (8, 48_000), "fc2": (8, 10_080), "fc3": (8, 840),
    }  # fmt: skip
    assert facts["flash"] == 61_470 + 236 * 9
    for form in ("float", "dynamic"):  # from which no C is generated
        facts = json.loads(inspect(capsys, folder / f"{form}.onnx", "--json")[1])
        assert facts["flash"] is None
        assert {layer["bits"] for layer in facts["layers"]} == {layer["packed_bytes"] for layer in facts["layers"]}
        assert "in C" not in inspect(capsys, folder / f"{form}.onnx")[1]


def test_weights_of_few_bits_are_counted_packed(tmp_path, capsys) -> None:
    model, x = start()
    x = model.qdq(model.conv(x, weights=np.full((3, 2, 2, 2), -8, np.int8)), 1)
    x = model.qdq(model.conv(x, weights=np.full((5, 3, 1, 1), 1, np.int8), name="point"), 1)
    onnx.save(model.build(x), tmp_path / "few.onnx")
    facts = json.loads(inspect(capsys, tmp_path / "few.onnx", "--json")[1])
    stored = {layer["name"]: (layer["bits"], layer["packed_bytes"]) for layer in facts["layers"] if layer["params"]}
    assert stored == {"conv": (4, 12), "point": (2, 3 + 1)}
    assert facts["bytes"]["int8"] == 24 + 15 + 8  # the file keeps a byte for each weight; eight zero points
    assert [layer["macs"] for layer in facts["layers"] if layer["params"]] == [24 * 9, 15 * 9]
    out = inspect(capsys, tmp_path / "few.onnx")[1]
    assert f"C: {facts['flash']} bytes of constants" in out
    assert [line.split()[-2:] for line in out.splitlines() if line.startswith(("conv", "point"))] == [
        ["4", "12"], ["2", "4"]
    ]  # fmt: skip


def test_a_quantized_onnx_without_c_is_inspected_too(tmp_path, capsys) -> None:
    model, x = start()
    onnx.save(model.build(model.conv(x)), tmp_path / "float_output.onnx")
    facts = json.loads(inspect(capsys, tmp_path / "float_output.onnx", "--json")[1])
    assert (facts["quantization"], facts["flash"], facts["layers"][-1]["bits"]) == ("qdq", None, None)


def foreign(domain: str = "") -> bytes:
    """A file of another tool's: no metadata, its weight among the inputs, as old files have it."""
    model = onnx.load_from_string(by_hand([node("MatMul", "input w", "logits")], (4,), w=np.zeros((4, 2))))
    del model.metadata_props[:]
    weight = onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4, 2])
    model.graph.input.insert(0, weight)
    if domain:
        model.graph.node[0].domain = domain
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    return model.SerializeToString()


def test_an_onnx_of_another_tool(tmp_path, capsys) -> None:
    file = tmp_path / "f.onnx"
    file.write_bytes(foreign())
    facts = json.loads(inspect(capsys, file, "--json")[1])
    assert (facts["labels"], facts["preprocessing"], facts["input_shape"]) == ([], None, [4])
    assert (facts["params"], facts["macs"]) == (8, 8)
    assert "input 4, no labels" in inspect(capsys, file)[1].replace("\n", "")


def test_qlinear_operators_are_named_as_such(tmp_path, capsys) -> None:
    nodes = [
        node("QuantizeLinear", "input s z", "q"), node("QLinearMatMul", "q s z w s z s z", "p"),
        node("DequantizeLinear", "p s z", "logits"),
    ]  # fmt: skip
    values = {"s": np.float32(1), "z": np.int8(0), "w": np.zeros((4, 2), np.int8)}
    (tmp_path / "q.onnx").write_bytes(by_hand(nodes, (4,), **values))
    assert json.loads(inspect(capsys, tmp_path / "q.onnx", "--json")[1])["quantization"] == "qoperator"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ONNX file, or empty"),
        (b"\x08\x07\x12", "not an ONNX file, or truncated"),
        (foreign("com.acme"), "node 'MatMul logits': the MACs of com.acme:MatMul are unknown"),
        (foreign().replace(b"MatMul", b"MotMul"), "not a valid ONNX model: MotMul 'MotMul logits': No Op"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(data, message, tmp_path, capsys) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(data)
    code, out, err = inspect(capsys, file)
    assert (code, out) == (2, "")
    assert err.startswith(f"niwaki: {file}: {message}")
    assert err.count("\n") == 1


def test_a_layer_that_does_nothing_has_no_row(small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = inspect(capsys, small_model)
    assert "conv1" in shown
    assert "Identity" not in shown
    _, facts, _ = inspect(capsys, small_model, "--json")
    assert {layer["kind"] for layer in json.loads(facts)["layers"]} == {"Conv2d", "MaxPool2d", "Linear"}


def test_the_sensitivity_of_a_model_file(small_model, capsys) -> None:
    code, out, err = inspect(capsys, small_model, "--sensitivity", "--images", 24, "--json")
    assert (code, err) == (0, "measuring on 24 validation images of npz\n")
    facts = json.loads(out)
    found = facts["sensitivity"]
    assert (found["images"], len(facts["layers"]) > 0) == (24, True)
    names = ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert [layer["name"] for layer in found["layers"]] == names
    assert found["layers"][2]["left"] == {"25": 12, "50": 8, "75": 4}
    assert found["layers"][4]["pruned"] == {"25": None, "50": None, "75": None}
    assert "sensitivity" not in json.loads(inspect(capsys, small_model, "--json")[1])


def test_the_table_of_sensitivity_follows_that_of_layers(small_model, small_folder, capsys) -> None:
    code, out, _ = inspect(capsys, small_model, "--sensitivity", "--images", 24, "--data", "synthetic")
    assert code == 2
    code, out, _ = inspect(capsys, small_model, "--sensitivity", "--images", 24)
    assert code == 0
    assert out.index("MACs") < out.index("sensitivity: points of validation accuracy lost")
    assert "fc3: its channels are the network's outputs" in out


def test_the_sensitivity_of_what_cannot_be_measured(folder, small_model, tmp_path, capsys) -> None:
    code, out, err = inspect(capsys, folder / "float.onnx", "--sensitivity")
    assert (code, out) == (2, "")
    assert "sensitivity needs a model file (.safetensors)" in err
    assert err.count("\n") == 1
    code, _, err = inspect(capsys, small_model, "--images", 10)
    assert (code, err.startswith("niwaki: --data, --images: without --sensitivity")) == (2, True)
    model = niwaki.load(small_model)
    info = niwaki.read_info(small_model)
    bare = niwaki.save(
        model, tmp_path / "bare.safetensors", factory="lenet5", args=info.args, input_shape=info.input_shape,
        labels=info.labels, preprocessing=info.preprocessing,
    )  # fmt: skip
    code, _, err = inspect(capsys, bare, "--sensitivity")
    assert code == 2
    assert err.endswith("the file names no dataset to measure on: name one with --data\n")
    code, _, err = inspect(capsys, bare, "--sensitivity", "--data", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    assert "none" in err


def test_a_tensorflow_lite_file_is_shown_as_the_onnx_that_it_becomes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "theirs.tflite"
    file.write_bytes(small_file().build())
    code, out, _ = inspect(capsys, file, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["quantization"], facts["input_shape"]) == ("qdq", [2, 9, 7])
    assert facts["bytes"]["file"] == file.stat().st_size
    assert facts["macs"] == 20 * 6 * 18 + 20 * 6 * 9 + 24 * 5
    assert [layer["packed_bytes"] for layer in facts["layers"] if layer["packed_bytes"]] == [108, 54, 120]
    file.write_bytes(b"TFL3")
    code, _, err = inspect(capsys, file)
    assert (code, err) == (2, f"niwaki: {file}: not a TensorFlow Lite file: the identifier TFL3 is missing\n")
    file.unlink()
    assert "there is no such file" in inspect(capsys, file)[2]
