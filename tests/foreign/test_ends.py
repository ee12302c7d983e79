"""The ends of other tools' networks: float scores, classes, rows of pixels, bytes; and what users say about them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from typer.testing import CliRunner

import niwaki
from foreign_habits import CLASSES, HABITS, REFUSED, drawn, ended, network
from niwaki.cli.main import app
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import float_output, read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.origin import Origin, described, open_origin
from niwaki.errors import ModelError, NiwakiError
from niwaki.foreign.ends import with_plain_ends
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import open_session
from qdq_models import Qdq, kinds, start
from tflite_files import File, Tensor


def write(model: ModelProto, folder: Path) -> Path:
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    return folder / "theirs.onnx"


def opened(model: ModelProto, folder: Path) -> Graph:
    """What niwaki makes of a file."""
    return read_qdq(load_onnx(open_origin(write(model, folder)).data), "theirs.onnx")


def with_bias(number: float) -> ModelProto:
    model, x = start(2, 4, 4, scale=1 / 127)
    y = model.node("Relu", [model.conv(x, model.constant(np.full(3, number, np.float32)), scale=0.25)])
    return model.build(y)


def test_the_bound_of_a_product_is_reached_by_an_input_and_left_by_none() -> None:
    """Weights of 0.25 for two channels, inputs from -128/127 to 1, and a Relu."""
    name, bounds = float_output(with_bias(0.3), "a") or ("", None)
    assert name.startswith("Relu")
    assert bounds is not None
    assert (bounds.low, round(bounds.high, 6)) == (0, 0.8)


ENDS = {
    "Add": (lambda m, a, b: m.node("Add", [a, b]), 2 * -128, 2 * 127),
    "Sub": (lambda m, a, b: m.node("Sub", [a, b]), -128 - 127, 127 + 128),
    "Mul": (lambda m, a, b: m.node("Mul", [a, b]), -128 * 127 / 2, 128 * 128 / 2),
    "Max": (lambda m, a, b: m.node("Max", [a, b]), -128, 127),
    "Min": (lambda m, a, b: m.node("Min", [a, b]), -128, 127),
    "mean": (lambda m, a, _: m.node("GlobalAveragePool", [a]), -128, 127),
    "sum": (lambda m, a, _: m.node("ReduceSum", [a, m.constant(np.array([1]))], keepdims=0), -128 * 2, 127 * 2),
    "function": (lambda m, a, _: m.node("Abs", [a]), 0, 128),
    "joined": (lambda m, a, b: m.node("Clip", [m.node("Concat", [a, b], axis=1), m.constant(np.float32(-3))]), -6, 127),
    "padded": (lambda m, a, _: m.node("Pad", [m.node("Abs", [a]), m.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])),
                                             m.constant(np.float32(-9))]), -18, 128),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_the_range_of_every_operation_at_the_end(name: str) -> None:
    """In steps of 0.5, worked out by hand from int8's -128 to 127."""
    make, low, high = ENDS[name]
    model = Qdq((2, 4, 4), opset=13)
    x = model.qdq("x", 0.5)
    other = model.qdq(model.node("Neg", [x]), 0.5)
    found = float_output(model.build(make(model, x, other)), "a")
    assert found is not None
    assert (found[1].low, found[1].high) == (low / 2, high / 2)


def test_a_fused_relu_narrows_the_range_of_what_is_before_the_end() -> None:
    model, x = start(2, 4, 4, scale=0.5)
    relu = model.qdq(model.node("Relu", [model.conv(x)]), 0.5)
    found = float_output(model.build(model.node("Add", [relu, relu])), "a")
    assert found is not None
    assert (found[1].low, found[1].high) == (0, 127)


def test_an_end_without_a_range_asks_for_images() -> None:
    model, x = start(2, 4, 4)
    ends = model.node("LayerNormalization", [x, model.constant(np.ones(4, np.float32))])
    model.opset = 17
    with pytest.raises(ModelError, match="its range does not follow from integers: give images"):
        float_output(model.build(ends), "a")


def test_a_float_output_becomes_int8_over_its_bound_and_the_record_says_so(tmp_path: Path) -> None:
    file = write(HABITS["float output"].build(), tmp_path)
    report = niwaki.export(file, tmp_path / "out", to="c")
    (note,) = (note for note in report.notes if note.startswith("the file's output is float"))
    assert "beyond which no input can bring them; for finer steps name images with `data=`" in note
    settings = json.loads((tmp_path / "out" / "export.json").read_text())["forms"]["onnx-int8"]["settings"]
    assert settings["output_range"] == "a bound for any input"
    graph = read_qdq(load_onnx(tmp_path / "out" / "model-int8.onnx"), "a")
    end = graph.tensors[graph.output]
    assert settings["output_low"] == pytest.approx((-128 - end.zero_point) * end.scale, abs=end.scale)
    inputs = np.random.default_rng(0).random((300, 2, 6, 6), np.float32)
    (scores,) = open_session(file.read_bytes(), "plain").run(None, {"x": inputs})
    assert settings["output_low"] < scores.min()
    assert scores.max() < settings["output_high"]


def photographs(folder: Path, kind: str = "RGB") -> Path:
    from PIL import Image

    rng = np.random.default_rng(3)
    for label in "abcd":
        (folder / label).mkdir(parents=True)
        for index in range(6):
            Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).convert(kind).save(
                folder / label / f"{index}.png"
            )
    return folder


def grey_network() -> ModelProto:
    model = Qdq((1, 6, 6), opset=17)
    x = model.qdq("x", 1 / 255, -128)
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 1, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    return model.build(ended(model, y, 6, quantized=False))


def test_images_give_a_float_output_its_range(tmp_path: Path) -> None:
    file, images = write(grey_network(), tmp_path), photographs(tmp_path / "photographs", "L")
    said = {"preprocessing": {"mean": [0.5]}, "labels": list("abcd")}
    report = niwaki.export(file, tmp_path / "out", to="c", data=images, **said)
    (note,) = (note for note in report.notes if note.startswith("the file's output is float"))
    assert "their range on" in note
    assert "training images of folder" in note
    model = load_onnx(tmp_path / "out" / "model-int8.onnx")
    graph = read_qdq(model, "a")
    assert graph.labels == ("a", "b", "c", "d")
    assert graph.preprocessing == Preprocessing(mean=(0.5,))
    settings = json.loads((tmp_path / "out" / "export.json").read_text())["forms"]["onnx-int8"]["settings"]
    assert settings["output_range"].endswith("images of folder")
    bound = open_origin(file).ending
    assert bound is not None
    assert settings["output_high"] < bound.high
    assert not any("does not say how pixels" in note for note in report.notes)


def test_a_file_that_says_nothing_gets_one_line_on_what_the_c_takes(tmp_path: Path) -> None:
    report = niwaki.export(write(HABITS["integer input"].build(), tmp_path), tmp_path / "out", to="c")
    (note,) = (note for note in report.notes if "does not say how pixels" in note)
    assert "or int8 inputs q = round(number / 0.0173000004) +9; say it with `preprocessing=`" in note


@pytest.mark.parametrize(("said", "used"), [
    ({"color": "rgb"}, 2),  # x/255 where the file's numbers are 0 to 255
    ({"color": "rgb", "std": [1 / 255]}, None),
])  # fmt: skip
def test_pixels_that_hardly_use_the_input_are_a_remark(
    said: dict[str, object], used: int | None, tmp_path: Path
) -> None:
    file = File()
    file.add((1, 4, 4, 3), 1.0, -128)
    file.run("RELU", [0], Tensor((1, 4, 4, 3), 1.0, -128))
    (tmp_path / "a.tflite").write_bytes(file.build())
    report = niwaki.export(tmp_path / "a.tflite", tmp_path / "out", to="c", preprocessing=said)
    notes = [note for note in report.notes if note.startswith("of the input's 256 int8 values")]
    told = f"of the input's 256 int8 values, which mean 0 to 255, pixels use {used}: they become 0 to 1: if the network"
    assert [note[: len(told)] for note in notes] == ([told] if used else [])
    assert "| input | 4×4×3, 48 bytes |" in (tmp_path / "out" / "c" / "README.md").read_text()


def test_images_need_the_preprocessing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file says how .* give the file with `preprocessing=`"):
        niwaki.export(write(grey_network(), tmp_path), tmp_path / "out", to="c", data="fashion-mnist")


@pytest.mark.parametrize(("said", "message"), [
    ({"preprocessing": {}}, "its input has 2 channels, but color = grey gives 1: say another"),
    ({"preprocessing": {"mean": ["x"]}}, r'^`preprocessing=`: `mean\[0\]="x"`: expected a valid number$'),
    ({"preprocessing": {"size": [8]}}, r"^`preprocessing=`: size\[1\] is missing$"),
    ({"labels": ["a", "b"]}, "2 names for 4 outputs: give one for each with `labels=`"),
])  # fmt: skip
def test_what_is_said_must_fit_the_file(said: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(NiwakiError, match=message):
        niwaki.export(write(HABITS["casts"].build(), tmp_path), tmp_path / "out", to="c", **said)


def test_sizes_that_are_said_must_fit_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"its input has 6 × 6 pixels, but size and pad give 6 × 5: say others"):
        niwaki.export(write(grey_network(), tmp_path), tmp_path / "o", to="c", preprocessing={"size": [4, 3], "pad": 1})
    numbers = Origin("a.onnx", "a", "int8", b"", (), None, (640,))
    with pytest.raises(ModelError, match="its input of 640 numbers is no image: leave out `preprocessing=`"):
        described(numbers, Preprocessing(), [])


@pytest.mark.parametrize(("kind", "shape", "message"), [
    (TensorProto.FLOAT16, (1, 3, 8, 8), r"input 'x' is float16: niwaki gives float32; .* with model\.float\(\)"),
    (TensorProto.UINT8, (1, 3, 8, 8), r"input 'x' is uint8: niwaki gives float32; "),
    (TensorProto.FLOAT, ("n", 3, "h", "w"), r"input 'x' leaves its sides open: state them, as in 'size"),
    (TensorProto.FLOAT, (1, 8, 9, 3), "its input is 8 × 9 × 3, with the channels last: export"),
])  # fmt: skip
def test_float_inputs_that_no_picture_becomes(kind: int, shape: tuple, message: str, tmp_path: Path) -> None:
    values = [
        onnx.helper.make_tensor_value_info("x", kind, shape),
        onnx.helper.make_tensor_value_info("y", kind, ("a", "b")),
    ]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Flatten", ["x"], ["y"])], "g", values[:1], values[1:])
    file = write(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), tmp_path)
    with pytest.raises(ModelError, match=rf"^{re.escape(str(file))}: {message}"):
        described(open_origin(file), Preprocessing(color="rgb"), [])


def test_a_refusal_names_the_file_and_endings_may_be_capitals(tmp_path: Path) -> None:
    file = tmp_path / "SCALES.ONNX"
    file.write_bytes(REFUSED["scales of inputs"].build().SerializeToString())
    with pytest.raises(ModelError, match=r"SCALES\.ONNX: .*a weight scale for each input channel"):
        niwaki.export(file, tmp_path / "out", to="c")


def test_calibration_of_an_int8_file_is_said_to_do_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    niwaki.export(write(grey_network(), tmp_path), tmp_path / "out", to="c", calibration="entropy", notify=said.append)
    assert any("its ranges stay as they are: nothing is calibrated" in line for line in said)
    note = json.loads((tmp_path / "out" / "export.json").read_text())
    assert note["origin_sha256"] == hashlib.sha256((tmp_path / "theirs.onnx").read_bytes()).hexdigest()


def test_a_model_file_says_it_itself(tmp_path: Path) -> None:
    model = Origin("a.safetensors", "a", "model", b"", ("a",), Preprocessing(), (1, 28, 28))
    with pytest.raises(ModelError, match="a model file states that itself: leave out `labels=`"):
        described(model, None, ["a"])


def test_a_folder_says_it_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a folder states that itself: export the file again with `preprocessing=`"):
        niwaki.verify(tmp_path, preprocessing={})


def test_the_command_line_says_it(tmp_path: Path) -> None:
    file = write(grey_network(), tmp_path)
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\nfour\n")
    words = ["export", str(file), "--to", "c", "--out", str(tmp_path / "out"), "--preprocessing", "std = [0.5]"]
    result = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "names.txt")])
    assert result.exit_code == 0, result.output
    graph = read_qdq(load_onnx(tmp_path / "out" / "model-int8.onnx"), "a")
    assert graph.labels == ("one", "two", "three", "four")
    assert graph.preprocessing == Preprocessing(std=(0.5,))
    (tmp_path / "names.txt").write_text("\n")
    result = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "names.txt")])
    assert "has no names: write one a line" in str(result.exception)


def test_argmax_goes_and_the_scores_stay(tmp_path: Path) -> None:
    model = HABITS["class at the end"].build()
    graph = opened(model, tmp_path)
    assert graph.tensors[graph.output].size == CLASSES
    assert "ArgMax" not in {node.op_type for node in with_plain_ends(model).graph.node}
    for entry in next(node for node in model.graph.node if node.op_type == "ArgMax").attribute:
        entry.i = 0 if entry.name == "axis" else entry.i
    with pytest.raises(ModelError, match="ArgMax .* is not supported: leave it out"):
        opened(model, tmp_path)


def test_rows_of_pixels_are_said(tmp_path: Path) -> None:
    graph = opened(HABITS["rows of integers"].build(), tmp_path)
    assert graph.layout == "HWC"
    assert graph.table is None
    assert graph.tensors[graph.input].shape == (2, 6, 6)


@pytest.mark.parametrize("change", ["another order", "a second reader"])
def test_other_turns_stay(change: str) -> None:
    model = HABITS["rows of integers"].build()
    turn = next(node for node in model.graph.node if node.op_type == "Transpose")
    if change == "another order":
        turn.attribute[0].ints[:] = [0, 3, 2, 1]
    else:
        model.graph.node.append(onnx.helper.make_node("Identity", [turn.input[0]], ["again"]))
    assert with_plain_ends(model) is model


def test_bytes_that_are_scaled_to_what_they_are_need_no_table(tmp_path: Path) -> None:
    graph = opened(HABITS["bytes inside"].build(), tmp_path)
    assert kinds(graph)[0] == "Conv"
    source = graph.tensors[graph.input]
    assert (source.scale, source.zero_point) == (float(np.float32(1 / 255)), -128)
    assert np.array_equal(graph.table, [np.arange(-128, 128)] * 2)


def shifted(kind: int) -> Graph:
    model = Qdq((2, 4, 4))
    x = model.node("Sub", [model.node("Cast", ["x"], to=TensorProto.FLOAT), model.constant(np.float32(7))])
    built = model.build(model.qdq(model.conv(model.qdq(x, 1.1, -20)), 9.3), input_type=kind)
    return read_qdq(load_onnx(built.SerializeToString()), "a")


@pytest.mark.parametrize(("kind", "zero_point"), [(TensorProto.UINT8, -128), (TensorProto.INT8, 0)])
def test_bytes_that_are_changed_take_a_table(kind: int, zero_point: int) -> None:
    graph = shifted(kind)
    source = graph.tensors[graph.input]
    assert (source.scale, source.zero_point) == (1, zero_point)
    assert kinds(graph)[:2] == ["Lookup", "Conv"]


def test_pixels_are_not_scaled_twice(tmp_path: Path) -> None:
    file = write(HABITS["scaled inside"].build(), tmp_path)
    how = {"color": "rgb", "mean": [0.5]}
    model, _ = network()
    assert "Sub" in {node.op_type for node in onnx.load(file).graph.node}
    with pytest.raises(ModelError, match="its input has 2 channels"):
        niwaki.export(file, tmp_path / "out", to="c", preprocessing=how)
    model = Qdq((1, 6, 6), opset=17)
    x = model.qdq(model.node("Mul", ["x", model.constant(np.float32(2))], name="twice"), 0.0213)
    file = write(model.build(ended(model, model.qdq(model.conv(x, weights=drawn(6, 1, 3, 3)), 0.03), 6)), tmp_path)
    with pytest.raises(ModelError, match="Mul 'twice': pixels are scaled here, and by the preprocessing as well"):
        niwaki.export(file, tmp_path / "out", to="c", preprocessing={"mean": [0.5]})


def test_a_float_onnx_of_another_tool_goes_all_the_way(small_export: Path, small_npz: Path, tmp_path: Path) -> None:
    """Without a word about its pixels it cannot be calibrated; with that it is quantized, verified and timed."""
    model = load_onnx(small_export / "model.onnx")
    del model.metadata_props[:]
    file = tmp_path / "theirs.onnx"
    onnx.save(model, file)
    how, names = {"size": [16, 16]}, ["a", "b", "c", "d"]
    with pytest.raises(ModelError, match="say how with `preprocessing=` and name its images with `data="):
        niwaki.export(file, tmp_path / "out", to="c", data=small_npz)
    renamed = tmp_path / "named.npz"
    np.savez(renamed, labels=names, **np.load(small_npz))
    niwaki.export(file, tmp_path / "out", to=["onnx-int8", "c"], data=renamed, preprocessing=how, labels=names)
    report = niwaki.verify(tmp_path / "out", images=20)
    assert report.ok
    assert {"onnx", "onnx-int8", "c"} <= {form.form for form in report.forms if form.images}
    assert niwaki.verify(file, images=20, data=renamed, preprocessing=how, labels=names).ok
    plain, ours = (niwaki.inspect(one).to_dict() for one in (file, small_export / "model.onnx"))
    assert plain["params"] == ours["params"]
    timed = niwaki.bench([tmp_path / "out"])
    assert {"onnx", "onnx-int8", "c"} <= {row.form for row in timed.rows}
