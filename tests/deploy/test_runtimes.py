from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from niwaki.deploy.runtimes import onnxruntime_call, onnxruntime_predictor, predictor_call, torch_call
from niwaki.errors import DataError, ModelError
from niwaki.measure.predict import torch_predictor
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from tiny_networks import NETWORKS, pictures, tiny_network

PLAIN = (np.arange(256) / 255).astype(np.float32)[None]


def sums(batch: int | str = "batch", **changes: object) -> bytes:
    """An ONNX that weighs two pixels of two channels: scores (x·w, −x·w), checked by hand below."""
    kind = changes.get("type", TensorProto.FLOAT)
    shape = changes.get("shape", [batch, 2, 1, 1])
    weights = numpy_helper.from_array(np.array([[1, -1], [10, -10]], np.float32), "w")
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2])]
    if changes.get("two_outputs"):
        outputs.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, [batch, 2]))
    graph = helper.make_graph(nodes, "sums", [helper.make_tensor_value_info("x", kind, shape)], outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


TWO_CHANNELS = np.stack([np.arange(256), np.arange(256) / 4]).astype(np.float32)
THREE = np.array([[1, 8], [2, 4], [255, 0]], np.uint8).reshape(3, 2, 1, 1)
EXPECTED = [[1 + 20, -1 - 20], [2 + 10, -2 - 10], [255, -255]]


@pytest.mark.parametrize("batch", ["batch", 1, 2, 5])
def test_each_channel_goes_through_its_table_whatever_the_batch(batch: int | str) -> None:
    predict = onnxruntime_predictor(sums(batch), TWO_CHANNELS)
    scores = predict(THREE)
    assert scores.dtype == np.float32
    assert scores.tolist() == EXPECTED
    assert predict(THREE[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    "images",
    [THREE.astype(np.float32), THREE[0], THREE[:, :1], np.zeros((1, 2, 2, 1), np.uint8)],
    ids=["float", "no batch", "one channel", "another height"],
)
def test_images_of_another_kind(images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"my.onnx takes uint8 \(n, 2, 1, 1\)"):
        onnxruntime_predictor(sums(), TWO_CHANNELS, "my.onnx")(images)


@pytest.mark.parametrize("shape", [["n", 2, "h", 1], [None, 2, None, 1]], ids=["named", "unnamed"])
def test_a_size_that_is_free_takes_any_image(shape: list[object]) -> None:
    predict = onnxruntime_predictor(sums(shape=shape), TWO_CHANNELS)
    assert predict(THREE).tolist() == EXPECTED


def test_a_table_of_another_shape() -> None:
    with pytest.raises(DataError, match=r"preprocessing table: shape \(256,\), expected \(channels, 256\)"):
        onnxruntime_predictor(sums(), TWO_CHANNELS[0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no ONNX at all", "not an ONNX file, or truncated: "),
        (sums()[:-40], "not an ONNX file, or truncated: "),
        (sums(two_outputs=True), "1 inputs and 2 outputs"),
        (sums(shape=["n", 2]), r"its input is tensor\(float\) n × 2;"),
    ],
    ids=["noise", "truncated", "two outputs", "no images"],
)
def test_an_onnx_of_another_kind(data: bytes, reason: str) -> None:
    for make in (lambda: onnxruntime_predictor(data, TWO_CHANNELS, "my.onnx"),
                 lambda: onnxruntime_call(data, np.zeros((1, 2, 1, 1), np.float32), "my.onnx")):  # fmt: skip
        with pytest.raises(ModelError, match=f"^my.onnx: .*{reason}") as caught:
            make()
        assert "\n" not in str(caught.value)


def test_the_calls_run_on_the_images_that_were_given() -> None:
    inputs = np.array([[[[3.0]], [[0.5]]]], np.float32)
    assert onnxruntime_call(sums(), inputs)()[0].tolist() == [[8.0, -8.0]]
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(2)).train()
    with torch.inference_mode():
        found = torch_call(model, inputs)()
    torch.testing.assert_close(found, torch.tensor([[3.0, 0.5]]), rtol=1e-4, atol=0)  # as in eval mode
    assert predictor_call(lambda images: images.sum((1, 2, 3)), THREE)().tolist() == [9, 6, 255]


def test_means_the_same_as_torch_on_a_true_network() -> None:
    model, shape = tiny_network("DS-CNN"), NETWORKS["DS-CNN"].input_shape
    info = ModelInfo(factory="tiny_networks:ds_cnn", input_shape=shape, labels=tuple("abcdefghijkl"))
    images = pictures(shape, 6, seed=1)
    predict = onnxruntime_predictor(to_onnx(model, info), PLAIN)
    scores = predict(images)
    np.testing.assert_allclose(scores, torch_predictor(model, PLAIN)(images), rtol=1e-4, atol=1e-4)
    assert np.array_equal(predict(images), scores)
    assert len(set(scores.argmax(1))) > 1
