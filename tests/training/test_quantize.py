from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from pydantic import ValidationError

import niwaki
from exported import exported
from handmade_onnx import by_hand, constants, node, operators, pixels
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, ModelError
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import metadata
from niwaki.models.onnxsession import scores
from niwaki.models.opset import check_opset
from niwaki.training import quantize as module
from niwaki.training.quantize import input_quantization, quantize, quantize_dynamic, quantize_static
from niwaki.training.quantize_checks import float_nodes
from niwaki.training.settings import QuantizeSettings

KINDS = ({}, {"calibration": "entropy"}, {"calibration": "percentile"}, {"kind": "dynamic"})
CALIBRATIONS = ("minmax", "entropy", "percentile")
PLAIN = Preprocessing()


NETWORKS = ("LeNet-5", "residual", "depthwise and grouped", "all kinds", "DS-CNN", "autoencoder")


def network(name: str) -> tuple[bytes, np.ndarray]:
    """The float ONNX of a network and 100 images for it."""
    return exported(name).onnx, exported(name).images(100)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_int8_is_the_float_network_a_little_rounded(name, calibration) -> None:
    data, images = network(name)
    done = quantize_static(data, images[:50], QuantizeSettings(calibration=calibration))
    inputs = PLAIN.scale(images[50:])
    expected, found = scores(data, inputs), scores(done.onnx, inputs)
    varies = (expected - expected.mean(0)).std()  # from image to image, not from class to class
    assert np.sqrt(np.mean((found - expected) ** 2)) < (0.3 if name in ("all kinds", "autoencoder") else 0.15) * varies
    assert not [note for note in done.notes if "in float" in note]


@pytest.mark.parametrize("name", NETWORKS)
def test_everything_is_int8_in_one_clean_file(name) -> None:
    data, images = network(name)
    model = onnx.load_from_string(quantize_static(data, images[:10], QuantizeSettings()).onnx)
    check_opset(model.SerializeToString(), 13, 7)
    assert metadata(model) == metadata(onnx.load_from_string(data))
    assert {entry.key for entry in model.metadata_props} == {"niwaki.labels", "niwaki.preprocessing"}
    assert (model.producer_name, model.graph.name, len(model.graph.value_info)) == ("niwaki", "niwaki", 0)
    assert float_nodes(model) == []
    found, made = constants(model), {name: entry for entry in model.graph.node for name in entry.output}
    for layer in (entry for entry in model.graph.node if entry.op_type in ("Conv", "Gemm")):
        values, scale, zero_point = (found[name] for name in made[layer.input[1]].input)
        assert (values.dtype, zero_point.any()) == (np.int8, False)
        assert scale.shape == (len(values),)  # one for each output
        if len(layer.input) == 3:
            bias, bias_scale, _ = (found[name] for name in made[layer.input[2]].input)
            assert bias.dtype == np.int32
            assert np.allclose(bias_scale, found[made[layer.input[0]].input[1]] * scale, rtol=1e-6)


SCRIPT = """
import hashlib, sys
import numpy as np
from niwaki.training.quantize import quantize
from niwaki.training.settings import QuantizeSettings
data, images = open(sys.argv[1], "rb").read(), np.load(sys.argv[2])
for settings in ({}, {"calibration": "entropy"}, {"calibration": "percentile"}, {"kind": "dynamic"}):
    print(hashlib.sha256(quantize(data, images, QuantizeSettings(**settings)).onnx).hexdigest())
"""


def test_the_same_bytes_in_another_process_without_a_word_and_no_file_left(tmp_path, capfd) -> None:
    data, images = network("residual")
    (tmp_path / "float.onnx").write_bytes(data)
    np.save(tmp_path / "images.npy", images[:20])
    folder = tmp_path / "temporary"
    folder.mkdir()
    ordinary = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "float.onnx", tmp_path / "images.npy"],
        capture_output=True, text=True, check=True, cwd=folder,
        env={**ordinary, "PYTHONHASHSEED": "12345", "TMPDIR": str(folder), "HOME": str(folder)},
    )  # fmt: skip
    capfd.readouterr()
    here = [quantize(data, images[:20], QuantizeSettings(**kind)).onnx for kind in KINDS]
    assert capfd.readouterr() == ("", "")
    assert done.stdout.split() == [hashlib.sha256(int8).hexdigest() for int8 in here]
    assert len(set(here)) == len(KINDS)
    assert done.stderr == ""
    assert not list(folder.iterdir())


# The input


def test_the_int8_of_a_pixel_is_the_pixel_minus_128_whatever_it_is_calibrated_on() -> None:
    data, images = network("LeNet-5")
    found = constants(quantize_static(data, images[:5] // 4, QuantizeSettings()).onnx)
    scale, zero_point = found["input_scale"], found["input_zero_point"]
    assert (scale, zero_point) == (np.float32(1) / np.float32(255), -128)
    assert np.array_equal(np.rint(PLAIN.table()[0] / scale) + zero_point, np.arange(256) - 128)


@settings(max_examples=200, deadline=None)
@given(mean=st.tuples(*[st.floats(-2, 2)] * 3), std=st.tuples(*[st.floats(0.01, 10)] * 3))
def test_every_value_of_a_table_fits_to_half_a_step_and_0_exactly(mean, std) -> None:
    table = Preprocessing(color="rgb", mean=mean, std=std).table()
    scale, zero_point = input_quantization(table)
    int8 = np.clip(np.rint(table / scale) + zero_point, -128, 127)
    assert np.abs((int8 - zero_point) * np.float64(scale) - table).max() <= scale * 0.501 + 1e-6 * np.abs(table).max()
    assert -128 <= zero_point <= 127


# Relu and Clip


def dying(channels: int) -> tuple[bytes, np.ndarray]:
    """A LeNet-5, some or all of whose channels of conv2 are dead, and its scores."""
    model = onnx.load_from_string(exported("LeNet-5").onnx)
    for tensor in model.graph.initializer:
        if tensor.name == "conv2.bias":
            bias = numpy_helper.to_array(tensor) - 1000 * (np.arange(16) < channels)
            tensor.CopyFrom(numpy_helper.from_array(bias.astype(np.float32), tensor.name))
    return model.SerializeToString(), scores(model.SerializeToString(), others())


def others() -> np.ndarray:
    return exported("LeNet-5").inputs(50, seed=1)


@pytest.mark.parametrize("channels", [8, 16])
@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_a_dead_layer_lets_nothing_negative_pass(channels, calibration) -> None:
    data, expected = dying(channels)
    done = quantize_static(data, exported("LeNet-5").images(50), QuantizeSettings(calibration=calibration))
    found = constants(done.onnx)
    assert [int(found[f"relu{suffix}_zero_point"]) for suffix in ("", "_1", "_2", "_3")] == [-128] * 4
    difference = np.abs(scores(done.onnx, others()) - expected).max()
    assert difference < (0.25 * expected.std() if channels == 8 else 0.01 * np.abs(expected).max())


def test_without_the_repair_a_dead_layer_is_refused_and_rightly_so(monkeypatch) -> None:
    data, expected = dying(16)
    monkeypatch.setattr(module, "_usable", lambda _model, ranges: ranges)
    with pytest.raises(ModelError, match=r"^Relu 'relu_1': int8 stands for -128 to 127 there, outside 0 to inf: "):
        quantize_static(data, exported("LeNet-5").images(50), QuantizeSettings())
    monkeypatch.setattr(module, "check_clamps", lambda _float, _int8: None)
    wrong = scores(quantize_static(data, exported("LeNet-5").images(50), QuantizeSettings()).onnx, others())
    assert np.abs(wrong - expected).max() > 0.1 * np.abs(expected).max()


def test_a_clip_that_is_always_0_keeps_both_sides() -> None:
    nodes = [node("Mul", "input w", "a"), node("Clip", "a low high", "b"), node("Add", "b input", "logits")]
    data = by_hand(nodes, w=np.array([1.0, -1, 0, 0]), low=np.float32(-0.5), high=np.float32(6))
    done = quantize_static(data, np.zeros((5, 1, 1, 4), np.uint8), QuantizeSettings())
    found = constants(done.onnx)
    ends = [(int8 - float(found["b_zero_point"])) * float(found["b_scale"]) for int8 in (-128, 127)]
    assert ends == pytest.approx([-0.5, 1], abs=0.005)
    # an output without such a clamp, always 0 too, keeps both sides of 0
    assert (found["logits_scale"], found["logits_zero_point"]) == (np.float32(2 / 255), 0)


def clamped(low: float, high: float) -> bytes:
    """Two scores: 20·pixel − 5 and 20·pixel, of the first two pixels, between `low` and `high`."""
    nodes = [
        node("Flatten", "input", "flat"), node("Gemm", "flat w b", "sums", transB=1),
        node("Clip", "sums low high", "logits"),
    ]  # fmt: skip
    return by_hand(nodes, w=np.eye(2, 4) * 20, b=[-5.0, 0.0], low=np.float32(low), high=np.float32(high))


@pytest.mark.parametrize(("low", "high"), [(0, 6), (-1, 1), (-2, 0), (-0.1, 30), (0, 1000)])
def test_a_clip_that_was_taken_away_still_clips(low, high) -> None:
    data = clamped(low, high)
    done = quantize_static(data, pixels(200), QuantizeSettings())
    assert operators(done.onnx) == ["Flatten", "Gemm"]
    inputs = PLAIN.scale(pixels(200, seed=1))
    step = (min(high, 20) - max(low, -5)) / 255
    assert np.abs(scores(done.onnx, inputs) - scores(data, inputs)).max() < 2 * step + 0.5 * 20 / 127 / 2


def test_a_clip_that_int8_cannot_do_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^Clip 'Clip logits': int8 stands for 0 to 5 there, outside 1 to 5: "):
        quantize_static(clamped(1, 5), pixels(20), QuantizeSettings())


def test_a_bias_that_dwarfs_its_weights_does_not_overflow() -> None:
    """What weight decay leaves of an unused output: weights near 0, a bias that is not; and all zeros."""
    nodes = [node("Flatten", "input", "flat"), node("Gemm", "flat w b", "logits", transB=1)]
    weights = [[1e-20, 0, 1e-20, 0], [1, -1, 0.5, 0], [0.0, 0, 0, 0]]
    data = by_hand(nodes, w=weights, b=[1.0, -0.25, 0.75])
    inputs = PLAIN.scale(pixels(50, seed=1))
    done = quantize_static(data, pixels(50), QuantizeSettings())
    assert np.abs(scores(done.onnx, inputs) - scores(data, inputs)).max() < 0.03


def test_a_sum_that_could_overflow_is_refused() -> None:
    # 0.9 of the weights at which the bias is 2³¹ steps: ONNX Runtime widens their scale just enough for the bias alone
    weights = np.full((2, 16), 0.9 * 255 * 127 / 2**31)
    weights[0] = 1
    nodes = [node("Flatten", "input", "flat"), node("Gemm", "flat w b", "logits", transB=1)]
    data = by_hand(nodes, (1, 4, 4), w=weights, b=[0.0, 1.0])
    with pytest.raises(ModelError, match=r"^Gemm 'Gemm logits': output 1 could reach 2,147,\d+,\d+, more than 32"):
        quantize_static(data, pixels(50, (1, 4, 4)), QuantizeSettings())


# Notes and errors


def test_what_stays_float_is_noted() -> None:
    sines = [node("Sin", *ends) for ends in (("flat", "a"), ("a", "b"), ("b", "c"), ("c", "d"))]
    nodes = [node("Flatten", "input", "flat"), *sines, node("Gemm", "d w", "logits", transB=1)]
    done = quantize_static(by_hand(nodes, w=np.eye(2, 4)), pixels(20), QuantizeSettings())
    assert done.notes == (
        "computed in float: Sin (Sin a), Sin (Sin b), Sin (Sin c) and 1 more; the model runs in ONNX "
        "Runtime, but is not an integer network",
    )


def test_a_batch_norm_that_no_layer_absorbs_is_int8_too() -> None:
    """Of a convolution that is used twice, with the norm on one way only: it cannot be folded."""
    nodes = [
        node("Conv", "input w", "a"), node("BatchNormalization", "a one b b one", "n"), node("Conv", "n w", "m"),
        node("Flatten", "m", "logits"),
    ]  # fmt: skip
    data = by_hand(nodes, (1, 2, 2), w=np.ones((1, 1, 1, 1)), one=np.ones(1), b=np.zeros(1))
    quantized = quantize_static(data, pixels(20, (1, 2, 2)), QuantizeSettings())
    assert quantized.notes == ()
    assert float_nodes(onnx.load_from_string(quantized.onnx)) == []


def test_a_model_that_takes_one_image_at_a_time_is_quantized_as_with_a_free_batch() -> None:
    """As `torch.onnx.export` writes it unless told otherwise."""
    data, images = network("LeNet-5")
    model = onnx.load_from_string(data)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    free = quantize_static(data, images[:20], QuantizeSettings(images=20))
    fixed = quantize_static(model.SerializeToString(), images[:20], QuantizeSettings(images=20))
    inputs = PLAIN.scale(images[20:])
    np.testing.assert_array_equal(scores(fixed.onnx, inputs), scores(free.onnx, inputs))


def test_poor_agreement_is_noted() -> None:
    """Two scores that differ by less than a step of int8."""
    nodes = [node("Flatten", "input", "flat"), node("Gemm", "flat w b", "logits", transB=1)]
    data = by_hand(nodes, w=[[1, 1, 1, 1.0001], [1, 1, 1, 1]], b=[0.0, 0.00005])
    (note,) = quantize_static(data, pixels(100), QuantizeSettings()).notes
    assert re.fullmatch(
        r"int8 and float give the same class on \d\d\.0 % of the 100 calibration images; likely cause: rounding: for "
        r"(\d+) of these \1 images, float has the classes within 3 int8 steps",
        note,
    )


def test_a_runtime_that_computes_otherwise_is_named_as_the_cause(monkeypatch) -> None:
    """A session whose optimizations spoil the classes of an int8 file: not calibration is to blame."""
    nodes = [node("Flatten", "input", "flat"), node("Gemm", "flat w", "logits", transB=1)]
    data, compute = by_hand(nodes, w=np.eye(2, 4)), module.scores

    def spoiled(onnx_bytes, inputs, mode="exact"):
        found = compute(onnx_bytes, inputs, mode=mode)
        return found[:, ::-1] if mode == "exact" and onnx_bytes != data else found

    monkeypatch.setattr(module, "scores", spoiled)
    (note,) = quantize_static(data, pixels(100), QuantizeSettings()).notes
    assert re.fullmatch(
        r"int8 and float give the same class on \d+\.0 % of the 100 calibration images; likely cause: the runtime: "
        r"with its optimizations off, (99|100)\.0 % agree",
        note,
    )


def without_preprocessing() -> bytes:
    model = onnx.load_from_string(by_hand([node("Relu", "input", "logits")]))
    del model.metadata_props[:]
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "images", "error", "message"),
    [
        (
            without_preprocessing,
            pixels(5),
            ModelError,
            "the float ONNX does not say how images are preprocessed for it",
        ),
        (lambda: network("LeNet-5")[0], pixels(0, (1, 32, 32)), DataError, "no images to calibrate on"),
        (lambda: network("LeNet-5")[0], pixels(2, (3, 32, 32)), DataError, "pixels are uint8 (2, 3, 32, 32): exp"),
        (
            lambda: network("LeNet-5")[0],
            pixels(2),
            DataError,
            "images to calibrate on have the shape (1, 1, 4); the ON",
        ),
        (lambda: by_hand([node("Relu", "input", "logits")], opset=12), pixels(5), ModelError, "opset 12: int8 with a"),
        (lambda: network("LeNet-5")[0][:1000], pixels(5), ModelError, "the ONNX: not an ONNX file, or truncated"),
    ],
)
def test_what_cannot_be_quantized_is_named(data, images, error, message) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        quantize_static(data(), images, QuantizeSettings())


@pytest.mark.parametrize("kind", KINDS)
def test_int8_is_not_quantized_again(kind) -> None:
    data, images = network("LeNet-5")
    done = quantize(data, images[:5], QuantizeSettings(**kind))
    for again in (quantize_dynamic, lambda int8: quantize_static(int8, images[:5], QuantizeSettings())):
        with pytest.raises(ModelError, match="^the ONNX is quantized already: give the float one"):
            again(done.onnx)


def test_settings_are_strict() -> None:
    for wrong in (
        {"kind": "static "}, {"calibration": "mean"}, {"images": 0}, {"images": "10"}, {"percentile": 50.0},
        {"percentile": 100.1}, {"bits": 3}, {"bits": "4"}, {"layer_bits": {"fc1": 5}}, {"bit": 4},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            QuantizeSettings(**wrong)


# Dynamic


def test_dynamic_is_the_linear_layers_only() -> None:
    data, images = network("LeNet-5")
    done = quantize(data, images[:0], QuantizeSettings(kind="dynamic"))
    assert done.notes == ()
    check_opset(done.onnx, 13, 7)
    model = onnx.load_from_string(done.onnx)
    assert metadata(model) == metadata(onnx.load_from_string(data))
    found = constants(model)
    assert found["conv1.weight"].dtype == np.float32
    integers = {values.shape for values in found.values() if values.dtype == np.int8 and values.ndim == 2}
    assert integers == {(400, 120), (120, 84), (84, 10)}
    scales = {values.shape for name, values in found.items() if name.endswith("_scale")}
    assert scales == {(120,), (84,), (10,)}  # one for each output
    counts = {name: operators(model).count(name) for name in ("Conv", "MatMulInteger", "Gemm", "MatMul")}
    assert counts == {"Conv": 2, "MatMulInteger": 3, "Gemm": 0, "MatMul": 0}
    inputs = PLAIN.scale(images)
    expected = scores(data, inputs)
    varies = (expected - expected.mean(0)).std()
    assert np.sqrt(np.mean((scores(done.onnx, inputs) - expected) ** 2)) < 0.05 * varies


def test_dynamic_needs_a_linear_layer() -> None:
    nodes = [node("Conv", "input w", "sums"), node("Flatten", "sums", "logits")]
    with pytest.raises(ModelError, match="^dynamic quantization is for linear layers, and this network has none"):
        quantize_dynamic(by_hand(nodes, w=np.ones((2, 1, 1, 4))))


# On the true data


@pytest.mark.soak
def test_accuracy_is_that_of_float_to_half_a_point(true_data) -> None:
    """LeNet-5 after one epoch on Fashion-MNIST: all 10,000 test images through every kind and calibration."""
    data = niwaki.load_data("fashion-mnist")
    torch.manual_seed(0)
    model = LeNet5()
    niwaki.train(model, data, epochs=1, batch_size=128, lr=3e-3)
    info = ModelInfo(
        factory="lenet5", input_shape=data.input_shape, labels=data.labels, preprocessing=data.preprocessing
    )
    float_onnx = to_onnx(model, info)
    chosen = np.random.default_rng(0).permutation(len(data.train.images))[:1000]
    inputs = data.preprocessing.scale(np.asarray(data.test.images))

    def accuracy(onnx_bytes: bytes) -> float:
        return 100 * float((scores(onnx_bytes, inputs).argmax(1) == data.test.labels).mean())

    before = accuracy(float_onnx)
    for kind in KINDS:
        done = quantize(float_onnx, np.asarray(data.train.images[chosen]), QuantizeSettings(**kind))
        assert abs(accuracy(done.onnx) - before) < 0.5, kind
