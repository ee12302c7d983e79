"""QOperator files of ONNX Runtime become the same integer networks as its QDQ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from exported import exported
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.origin import open_origin
from niwaki.errors import ModelError
from niwaki.foreign.qoperator import as_qdq
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import open_session


class Images(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {"input": image[None]}


def quantized(folder: Path, name: str, kind: QuantFormat) -> Path:
    network = exported(name)
    shape = [dim.dim_value for dim in onnx.load_from_string(network.onnx).graph.input[0].type.tensor_type.shape.dim]
    images = np.random.default_rng(0).random((8, *shape[1:]), np.float32)
    (folder / "float.onnx").write_bytes(network.onnx)
    out = folder / f"{kind.name}.onnx"
    quantize_static(
        str(folder / "float.onnx"), str(out), Images(images), quant_format=kind, per_channel=True,
        weight_type=QuantType.QInt8, activation_type=QuantType.QInt8,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("name", ["LeNet-5", "residual"])
def test_a_qoperator_file_gives_the_scores_of_its_nodes_one_by_one(name: str, tmp_path: Path) -> None:
    file = quantized(tmp_path, name, QuantFormat.QOperator)
    assert any(node.op_type == "QLinearConv" for node in onnx.load(file).graph.node)
    origin = open_origin(file)
    graph = read_qdq(load_onnx(origin.data), "a.onnx")
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    inputs = np.random.default_rng(1).integers(-128, 128, (30, *source.shape)).astype(np.int8)
    numbers = ((inputs.astype(np.float64) - source.zero_point) * source.scale).astype(np.float32)
    (scores,) = open_session(file.read_bytes(), "plain").run(None, {"input": numbers})
    steps = np.rint(scores / np.float64(target.scale)) + target.zero_point
    found = reference.run(graph, inputs)
    assert np.abs(found - steps).max() <= 1
    assert (found.argmax(1) == steps.argmax(1)).mean() > 0.9


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    model = load_onnx(quantized(tmp_path, "LeNet-5", QuantFormat.QDQ))
    assert as_qdq(model) is model


def test_a_product_with_another_factor_is_refused_by_name(tmp_path: Path) -> None:
    model = onnx.load(quantized(tmp_path, "LeNet-5", QuantFormat.QOperator))
    for node in model.graph.node:
        if node.op_type == "QGemm":
            node.attribute.append(onnx.helper.make_attribute("alpha", 2.0))
    kept = as_qdq(model)
    assert [node.op_type for node in kept.graph.node].count("QGemm") == 3
    with pytest.raises(ModelError, match=r"^com\.microsoft\.QGemm .* is not supported"):
        read_qdq(kept, "a.onnx")
