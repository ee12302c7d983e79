from __future__ import annotations

import functools

import numpy as np
import onnx
import onnxruntime
import pytest

from handmade_onnx import by_hand, node, pixels
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.training import quantize_ranges as module
from niwaki.training.quantize_ranges import LEVELS, _divergence, activation_ranges, entropy_range, percentile_range
from niwaki.training.settings import QuantizeSettings


@functools.cache
def network() -> tuple[onnx.ModelProto, np.ndarray, dict[str, np.ndarray]]:
    """A network with a branch, its inputs, and its activations as ONNX Runtime gives them all at once."""
    nodes = [
        node("Conv", "input w", "maps", pads=[1, 1, 1, 1]), node("Relu", "maps", "positive"),
        node("Conv", "positive v", "more", pads=[1, 1, 1, 1]), node("Add", "positive more", "sum"),
        node("Flatten", "sum", "flat"), node("Gemm", "flat u", "logits"),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    data = by_hand(
        nodes, (1, 6, 6), w=rng.normal(size=(4, 1, 3, 3)), v=rng.normal(size=(4, 4, 3, 3)), u=rng.normal(size=(144, 5))
    )
    model = onnx.load_from_string(data)
    names = [node.output[0] for node in nodes]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[:-1])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = Preprocessing().scale(pixels(150, (1, 6, 6)))
    found = dict(zip(names, session.run(names, {"input": inputs}), strict=True))
    return onnx.load_from_string(data), inputs, found


def test_minmax_is_the_extremes(monkeypatch) -> None:
    model, inputs, activations = network()
    found = activation_ranges(model, inputs, QuantizeSettings())
    assert set(found) == {"input", *activations}
    assert found["input"] == (inputs.min(), inputs.max())
    for name, values in activations.items():
        assert found[name] == pytest.approx((values.min(), values.max()), rel=1e-5), name
    monkeypatch.setattr(module, "VALUES_AT_ONCE", 1)  # one image at a time
    again = activation_ranges(model, inputs, QuantizeSettings())
    assert all(again[name] == pytest.approx(found[name], rel=1e-6) for name in found)


def test_percentile_leaves_out_the_stated_share_of_what_is_not_zero() -> None:
    model, inputs, activations = network()
    found = activation_ranges(model, inputs, QuantizeSettings(calibration="percentile", percentile=90))
    for name, values in activations.items():
        low, high = found[name]
        inside = ((values >= low) & (values <= high))[values != 0].mean()
        assert inside == pytest.approx(1 if name == "logits" else 0.9, abs=0.01), name
    whole = activation_ranges(model, inputs, QuantizeSettings(calibration="percentile", percentile=100))
    for name, values in activations.items():
        assert whole[name] == pytest.approx((min(0, values.min()), max(0, values.max())), rel=1e-3), name


def test_percentile_range_by_hand() -> None:
    counts = np.array([1, 0, 4, 90, 4, 1])  # 100 values between 0 and 6
    assert percentile_range(counts, (0.0, 6.0), 100) == (0, 6)
    assert percentile_range(counts, (0.0, 6.0), 98) == (2, 5)
    assert percentile_range(counts, (0.0, 6.0), 96) == (2, 5)
    assert percentile_range(counts, (0.0, 6.0), 90) == (3, 4)


def test_entropy_cuts_what_is_nearly_empty_and_nothing_else() -> None:
    assert entropy_range(np.full(2048, 1000), (-1.0, 1.0)) == (-1, 1)
    # all but three values lie in the middle: seven eighths of the levels are too many for those three
    rng = np.random.default_rng(0)
    middle = rng.normal(0, 1 / 32, 100_000)
    low, high = entropy_range(np.histogram([*middle, -1, 0.9, 1], 2048, (-1, 1))[0], (-1.0, 1.0))
    assert -0.25 < low < -0.05
    assert 0.05 < high < 0.25
    # after Relu: the end at 0 stays
    low, high = entropy_range(np.histogram(np.abs([*middle, 1]), 2048, (0, 1))[0], (0.0, 1.0))
    assert low == 0
    assert 0.05 < high < 0.25


def test_the_divergence_by_hand() -> None:
    """Two bins hold 3 and 1 of ours; the one cut off at the right, 4, falls into an empty level and counts there."""
    counts = np.zeros(LEVELS + 1)
    counts[[0, 5, LEVELS]] = 3, 1, 4
    p = np.array([3, 1, 4]) / 8
    q = np.array([3, 1, 1e-4]) / 4.0001
    assert _divergence(counts, 0, LEVELS) == pytest.approx((p * np.log(p / q)).sum(), rel=1e-12)


def test_entropy_cuts_activations_but_never_scores() -> None:
    model, inputs, activations = network()
    spoiled = inputs.copy()
    spoiled[0, 0, 0, 0] = 30
    found = activation_ranges(model, spoiled, QuantizeSettings(calibration="entropy"))
    whole = activation_ranges(model, spoiled, QuantizeSettings())
    assert found["positive"][1] < 0.5 * whole["positive"][1]
    assert found["positive"][1] > 0.5 * activations["positive"].max()
    assert found["logits"] == whole["logits"]


def test_what_only_changes_the_scores_shape_is_not_cut_either() -> None:
    nodes = [node("Conv", "input w", "sums"), node("Flatten", "sums", "flat"), node("Softmax", "flat", "logits")]
    model = onnx.load_from_string(by_hand(nodes, (1, 1, 1), w=np.arange(-5.0, 5).reshape(10, 1, 1, 1)))
    inputs = Preprocessing().scale(pixels(500, (1, 1, 1)))
    found = activation_ranges(model, inputs, QuantizeSettings(calibration="percentile", percentile=60))
    assert found["sums"] == found["flat"] == pytest.approx((-5.0 * inputs.max(), 4.0 * inputs.max()))
    assert found["input"][1] < inputs.max()


def test_an_activation_that_is_always_zero_keeps_its_range_of_nothing() -> None:
    model = onnx.load_from_string(by_hand([node("Mul", "input w", "a"), node("Relu", "a", "logits")], w=-np.ones(4)))
    for calibration in ("minmax", "entropy", "percentile"):
        found = activation_ranges(model, Preprocessing().scale(pixels(9)), QuantizeSettings(calibration=calibration))
        assert found["logits"] == (0, 0)


@pytest.mark.parametrize("weight", [np.inf, np.nan])
def test_an_activation_that_is_not_finite_is_named(weight) -> None:
    model = onnx.load_from_string(by_hand([node("Mul", "input w", "a"), node("Relu", "a", "logits")], w=[weight] * 4))
    with pytest.raises(ModelError, match="^activation 'a': not finite on a calibration image: train the model again"):
        activation_ranges(model, Preprocessing().scale(pixels(9)), QuantizeSettings())
