"""A float ONNX with open sides is fixed to the size that the preprocessing states; one of several ends is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import niwaki
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.origin import described, open_origin
from niwaki.errors import ModelError
from niwaki.models.onnxfile import write_metadata
from niwaki.models.onnxsession import scores

SIZE = Preprocessing(color="rgb", size=(8, 12))


def network(folder: Path, *, preprocessing: Preprocessing | None = None, outputs: tuple[str, ...] = ("y",)) -> Path:
    """A convolution of stride 2, brought back to the image's size, as an exporter writes it; means; four scores."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "fc": rng.normal(size=(4, 4)).astype(np.float32),
        "all": np.array([-1]), "one": np.float32(1),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Shape", ["c"], ["first"], end=2),
        helper.make_node("Shape", ["x"], ["last"], start=2),
        helper.make_node("Reshape", ["last", "all"], ["sides"]),
        helper.make_node("Concat", ["first", "sides"], ["sizes"], axis=0),
        helper.make_node("Resize", ["c", "", "", "sizes"], ["r"], "up", mode="nearest"),
        helper.make_node("GlobalAveragePool", ["r"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("MatMul", ["f", "fc"], ["y"], "fc"),
        helper.make_node("Add", ["y", "one"], ["z"], "more"),
    ]
    graph = helper.make_graph(
        nodes[: 9 + ("z" in outputs)], "open",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if preprocessing is not None:
        write_metadata(model, tuple("abcd"), preprocessing)
    onnx.save(model, folder / "open.onnx")
    return folder / "open.onnx"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "pictures" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_the_size_comes_from_the_preprocessing_that_is_said_or_stored(tmp_path: Path) -> None:
    file = network(tmp_path)
    said = described(open_origin(file), SIZE, list("abcd"))
    stored = open_origin(network(tmp_path, preprocessing=SIZE))
    images = np.random.default_rng(1).random((3, 3, 8, 12), np.float32)
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": images})[0]
    for origin in (said, stored):
        assert origin.input_shape == (3, 8, 12)
        assert origin.needs.input_shape == (3, 8, 12)
        entry = onnx.load_from_string(origin.data).graph.input[0].type.tensor_type.shape
        assert entry.dim[0].dim_param == "n"
        np.testing.assert_allclose(scores(origin.data, images), expected, rtol=1e-5, atol=1e-5)
    assert said.given == network(tmp_path).read_bytes()
    assert open_origin(network(tmp_path)).data == said.given


def test_it_becomes_int8_and_c(tmp_path: Path, pictures: Path) -> None:
    report = niwaki.export(
        network(tmp_path), tmp_path / "out", to=["onnx-int8", "c"], data=pictures, preprocessing=SIZE
    )
    assert report.ok
    assert [note for note in report.notes if "computed in float" in note] == []


@pytest.mark.parametrize("stored", [True, False])
def test_without_a_size_it_is_refused_with_the_way_out(stored: bool, tmp_path: Path, pictures: Path) -> None:
    whole = Preprocessing(color="rgb")
    file = network(tmp_path, preprocessing=whole if stored else None)
    with pytest.raises(
        ModelError, match=r"input 'x' leaves its sides open: state them, as in 'size = \[64, 64\]', with"
    ):
        niwaki.export(file, tmp_path / "out", to="c", data=pictures, preprocessing=None if stored else whole)


def test_several_outputs_are_refused_before_images_are_read(tmp_path: Path) -> None:
    file = network(tmp_path, preprocessing=SIZE, outputs=("y", "z"))
    told = (
        r"open\.onnx: 2 outputs \(y, z\): a classifier has one, its scores: .* onnx\.utils\.extract_model\('open\.onnx'"
    )
    said: list[str] = []
    for command in (niwaki.export, niwaki.quantize):
        options = {"to": "c"} if command is niwaki.export else {}
        with pytest.raises(ModelError, match=told):
            command(file, tmp_path / "out.onnx", data="no such folder", notify=said.append, **options)
    assert said == []
    onnx.utils.extract_model(str(file), str(tmp_path / "one.onnx"), ["x"], ["y"])  # as it says
    assert open_origin(tmp_path / "one.onnx").needs.outputs == 4


def test_several_inputs_are_refused_too(tmp_path: Path) -> None:
    model = onnx.load(network(tmp_path, preprocessing=SIZE))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 4]))
    onnx.save(model, tmp_path / "masked.onnx")
    with pytest.raises(ModelError, match=r"2 inputs \(x, mask\): a classifier has one, its images"):
        niwaki.export(tmp_path / "masked.onnx", tmp_path / "out", to="c")
