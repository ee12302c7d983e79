"""Quantization-aware training: what it computes is what the file computes, and weights fit into their bits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from pydantic import ValidationError

from exported import exported
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, SpecError
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxsession import scores
from niwaki.study.structure import one_thread
from niwaki.training.optimizer import make_optimizer
from niwaki.training.qat import quantize_aware
from niwaki.training.qdq_network import LIMITS, first_steps, rounded
from niwaki.training.quantize import bits_of_layers, calibrate, quantize, quantize_static, trainable, write
from niwaki.training.settings import QatSettings, QuantizeSettings
from niwaki.training.train import Training

NETWORKS = ("LeNet-5", "residual", "depthwise and grouped", "DS-CNN", "autoencoder")
EDGES = {8: (-127, 127), 4: (-8, 7), 2: (-2, 1)}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """These networks are small: torch's threads would only wait for each other."""
    with one_thread():
        yield


def weights_of(data: bytes) -> dict[str, np.ndarray]:
    """The int8 weights of a file by name."""
    tensors = onnx.load_from_string(data).graph.initializer
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    return {name: array for name, array in arrays.items() if array.dtype == np.int8 and array.ndim > 1}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_training_computes_what_the_integer_network_computes(name: str, bits: int) -> None:
    """One step of the scores at most, except for a rare image if a rounding before it went the other way."""
    data, images = exported(name).onnx, exported(name).images(60)
    settings = QuantizeSettings(kind="qat", bits=bits)
    calibrated = calibrate(data, images[:30], settings)
    network = trainable(calibrated, bits_of_layers(calibrated.quantized, settings))
    with torch.no_grad():  # as if training had moved them
        for step in network.steps:
            step.add_(0.01 * step.requires_grad)
        for parameter in network.weights:
            parameter.mul_(1.01)
    graph = read_qdq(onnx.load_from_string(write(calibrated, network.initializers())), name)
    output = graph.tensors[graph.output]
    found = reference.run(graph, reference.quantize_pixels(graph, images)).reshape(60, -1)
    with torch.no_grad():
        scores = network(torch.from_numpy(calibrated.preprocessing.scale(images))).numpy().reshape(60, -1)
    off = np.abs(np.rint(scores / output.scale) + output.zero_point - found)
    assert (off > 1).mean() < 0.01
    assert off.max() <= 4


@pytest.mark.parametrize("kind", ["static", "qat"])
@pytest.mark.parametrize("bits", [4, 2])
def test_weights_fit_into_their_bits_and_some_layers_may_have_others(kind: str, bits: int) -> None:
    data, images = exported("LeNet-5").onnx, exported("LeNet-5").images(40)
    recipe = QatSettings(epochs=1, batch_size=20)
    settings = QuantizeSettings(kind=kind, bits=bits, layer_bits={"fc3": 8, "conv*": 4}, train=recipe)
    if kind == "static":
        made = quantize_static(data, images, settings).onnx
    else:
        labels = np.arange(40) % 10
        made = quantize_aware(data, images, Split(images, labels), settings, Training())[0].onnx
    wanted = {"conv1": 4, "conv2": 4, "fc1": bits, "fc2": bits, "fc3": 8}
    found = {name.split(".")[0]: (int(array.min()), int(array.max())) for name, array in weights_of(made).items()}
    for layer, used in wanted.items():
        low, high = EDGES[used]
        assert low <= found[layer][0] <= found[layer][1] <= high
    assert found["fc3"][1] > 7


def test_training_with_rounding_wins_back_what_two_bits_lose() -> None:
    """On images that say their class plainly; by ONNX Runtime, as everything is measured."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 10
    images = rng.integers(0, 60, (300, 1, 32, 32), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label : 3 * label + 4] += 150
    data = exported("LeNet-5").onnx
    settings = QuantizeSettings(
        kind="qat", bits=2, images=100, train=QatSettings(epochs=6, batch_size=20, schedule="one-cycle", lr=4e-3)
    )
    done, history = quantize_aware(data, images[:100], Split(images, labels), settings, Training())
    right = (scores(done.onnx, Preprocessing().scale(images)).argmax(1) == labels).mean()
    assert right > 0.9
    assert history[-1].loss < history[0].loss
    again, _ = quantize_aware(data, images[:100], Split(images, labels), settings, Training())
    assert again.onnx == done.onnx
    assert not done.notes


def test_the_gradient_of_rounding_is_that_of_learned_steps() -> None:
    """Esser et al. 2020, equation 3: within the range round(v/s) − v/s, at its ends the end; straight through for v."""
    values = torch.tensor([-0.95, -0.3, 0.24, 0.26, 0.9], requires_grad=True)
    step = torch.tensor(0.1, requires_grad=True)
    rounded(values, step, -8, 7).sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 1, 0]
    expected = [-8, 0.0, 2 - 2.4, 3 - 2.6, 7]
    assert float(step.grad) == pytest.approx(sum(expected) / (5 * 7) ** 0.5, abs=1e-4)


@pytest.mark.parametrize("bits", [4, 2])
def test_first_steps_lose_least(bits: int) -> None:
    torch.manual_seed(0)
    weights, (low, high) = torch.randn(3, 50), LIMITS[bits]
    steps = first_steps(weights, bits, 0)
    for row, step in zip(weights, steps.flatten(), strict=True):

        def error(s: torch.Tensor, row: torch.Tensor = row) -> float:
            return float((rounded(row, s, low, high) - row).square().sum())

        assert error(step) <= 1.02 * min(error(torch.tensor(s)) for s in np.linspace(0.02, 3.5, 400))


def test_eight_bits_begin_with_the_scales_of_static_quantization() -> None:
    data, images = exported("LeNet-5").onnx, exported("LeNet-5").images(20)
    settings = QuantizeSettings(kind="qat", train=QatSettings(epochs=0))
    made, history = quantize_aware(data, images, Split(images, np.zeros(20, np.int64)), settings, Training())
    static = weights_of(quantize_static(data, images, QuantizeSettings()).onnx)
    assert not history
    for name, array in weights_of(made.onnx).items():
        assert np.abs(array.astype(int) - static[name]).max() <= 1


def test_what_cannot_be_is_named() -> None:
    data, images = exported("LeNet-5").onnx, exported("LeNet-5").images(5)
    with pytest.raises(SpecError, match="no layer is called 'fc9'; the layers are conv1, conv2, fc1, fc2, fc3"):
        quantize_static(data, images, QuantizeSettings(layer_bits={"fc9": 4}))
    with pytest.raises(SpecError, match="kind = qat trains"):
        quantize(data, images, QuantizeSettings(kind="qat"))
    with pytest.raises(SpecError, match="kind = static does not train"):
        quantize_aware(data, images, Split(images, np.zeros(5, np.int64)), QuantizeSettings(), Training())
    with pytest.raises(ValidationError, match="dynamic quantization has 8 bits"):
        QuantizeSettings(kind="dynamic", bits=4)


def test_an_operator_that_cannot_be_trained_is_named() -> None:
    data, images = exported("LeNet-5").onnx, exported("LeNet-5").images(5)
    calibrated = calibrate(data, images, QuantizeSettings())
    pool = next(node for node in calibrated.quantized.graph.node if node.op_type == "MaxPool")
    pool.op_type = "LpPool"
    with pytest.raises(ModelError, match="LpPool.*cannot be trained with rounding.*use kind = static"):
        trainable(calibrated, dict.fromkeys(("conv1", "conv2", "fc1", "fc2", "fc3"), 8))


def test_a_static_file_of_few_bits_says_why_it_is_poor() -> None:
    data, images = exported("LeNet-5").onnx, exported("LeNet-5").images(100)
    notes = quantize_static(data, images, QuantizeSettings(bits=2)).notes
    assert any("weights of 2 bits, for which the network was not trained" in note for note in notes)


def test_weight_decay_never_shrinks_steps() -> None:
    data, images = exported("LeNet-5").onnx, exported("LeNet-5").images(20)
    calibrated = calibrate(data, images, QuantizeSettings())
    network = trainable(calibrated, dict.fromkeys(("conv1", "conv2", "fc1", "fc2", "fc3"), 4))
    for decay, shrunk in (("all", 10), ("weights", 5)):
        groups = make_optimizer(network, QatSettings(weight_decay=0.1, decay=decay)).param_groups
        (kept,) = (group for group in groups if group["weight_decay"] == 0.1)
        assert len(kept["params"]) == shrunk
        steps = {id(parameter) for parameter in network.undecayed}
        assert not steps & {id(parameter) for parameter in kept["params"]}


def test_a_channel_without_weights_keeps_its_bias() -> None:
    model = LeNet5(widths=[2, 3, 6, 5])
    with torch.no_grad():
        model.conv1.weight[0] = 0
        model.conv1.bias[0] = 0.7
    info = ModelInfo(
        factory="lenet5", args={"widths": [2, 3, 6, 5]}, input_shape=(1, 32, 32), labels=tuple("0123456789")
    )
    images = exported("LeNet-5").images(20)
    made = quantize_static(to_onnx(model, info), images, QuantizeSettings(bits=4)).onnx
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(made).graph.initializer}
    stored = arrays["conv1.bias_quantized"][0] * arrays["conv1.bias_quantized_scale"][0]
    assert stored == pytest.approx(0.7, rel=1e-3)
