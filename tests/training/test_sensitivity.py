"""What each layer costs alone, compared with the same networks made by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import niwaki
from networks import ResidualNet
from niwaki.data.dataset import Dataset, Split
from niwaki.errors import DataError, ModelError, SpecError, StageFailed
from niwaki.training.sensitivity import (
    IS_OUTPUT,
    Change,
    LayerSensitivity,
    SensitivityReport,
    compare,
    round_weights,
)


@pytest.fixture(scope="module")
def lenet(small_model: Path) -> nn.Module:
    return niwaki.load(small_model)


@pytest.fixture(scope="module")
def found(lenet: nn.Module, small_data: Dataset) -> dict[str, LayerSensitivity]:
    return by_name(niwaki.sensitivity(lenet, small_data))


def by_name(report: SensitivityReport) -> dict[str, LayerSensitivity]:
    return {layer.name: layer for layer in report.layers}


def lost(model: nn.Module, changed: nn.Module, data: Dataset) -> float:
    before, after = (niwaki.evaluate(net, data, "validation").accuracy for net in (model, changed))
    return before - after


def lowest(count: int, *norms: torch.Tensor) -> list[int]:
    """The channels with the lowest sum of L1 norms: of their own weights, and of those that read them."""
    return torch.stack(norms).sum(dim=0).argsort()[:count].tolist()


def test_removed_channels_cost_what_they_cost_when_they_are_zero(found, lenet, small_data) -> None:
    seen = []
    for percent in (25, 50, 75):
        masked = copy.deepcopy(lenet)
        rows, columns = masked.fc2.weight.detach().abs().sum(1), masked.fc3.weight.detach().abs().sum(0)
        gone = lowest(12 * percent // 100, rows, columns)
        with torch.no_grad():
            masked.fc2.weight[gone] = masked.fc2.bias[gone] = 0
        seen.append(lost(lenet, masked, small_data))
        assert found["fc2"].pruned[percent].loss == pytest.approx(seen[-1])
    assert found["fc2"].left == {25: 9, 50: 6, 75: 3}
    assert found["conv1"].left == {25: 2, 50: 1, 75: 1}  # of 3, and one always remains
    masked = copy.deepcopy(lenet)
    own, reading = masked.conv1.weight.detach().abs(), masked.conv2.weight.detach().abs()
    gone = lowest(2, own.sum((1, 2, 3)), reading.sum((0, 2, 3)))
    with torch.no_grad():
        masked.conv1.weight[gone] = masked.conv1.bias[gone] = 0
    seen.append(lost(lenet, masked, small_data))
    assert found["conv1"].pruned[50].loss == pytest.approx(seen[-1])
    assert len(set(seen)) == 3


@pytest.mark.parametrize("layer", ["conv1", "conv2", "fc1", "fc3"])
def test_weights_of_8_bits_are_multiples_of_a_127th_of_the_largest(layer, found, lenet, small_data) -> None:
    changed = copy.deepcopy(lenet)
    weight = changed.get_submodule(layer).weight
    rows = weight.detach().numpy().reshape(len(weight), -1)
    steps = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
    with torch.no_grad():
        weight.copy_(torch.from_numpy(np.rint(rows / steps) * steps).reshape(weight.shape))
    assert found[layer].rounded[8].loss == pytest.approx(lost(lenet, changed, small_data))


def test_fewer_bits_leave_fewer_values_and_cost_more(found) -> None:
    weights = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    errors = []
    for bits in (8, 4, 2):
        done = round_weights(weights, bits, axis=0)
        assert max(len(row.unique()) for row in done) <= 2**bits
        errors.append(float((done - weights).square().mean()))
    assert errors[0] < 0.0002 < errors[1] < 0.02 < errors[2] < 0.3
    assert found["conv2"].rounded[8].loss <= found["conv2"].rounded[2].loss
    by_hand = torch.tensor([[0.504, -1.27, 0.004]])  # a step of 0.01
    assert torch.allclose(round_weights(by_hand, 8, axis=0), torch.tensor([[0.5, -1.27, 0.0]]))
    assert round_weights(torch.zeros(2, 3), 8, axis=0).tolist() == [[0, 0, 0]] * 2


def test_a_transposed_convolution_is_rounded_by_its_output_channels() -> None:
    weights = torch.ones(3, 2, 2, 2) * torch.tensor([1.0, 1000.0]).reshape(1, 2, 1, 1)
    assert torch.allclose(round_weights(weights, 8, axis=1), weights)
    layer = nn.ConvTranspose2d(3, 2, 2)
    layer.weight = nn.Parameter(weights)
    net = nn.Sequential(nn.Conv2d(1, 3, 16), layer, nn.Flatten(), nn.Linear(8, 4))
    assert by_name(measured(net))["1"].rounded[8].loss == 0


def measured(net: nn.Module, images: int = 20) -> SensitivityReport:
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 1, 16, 16), dtype=np.uint8)
    split = Split(pixels, np.arange(images) % 4)
    return niwaki.sensitivity(net, Dataset("x", tuple("abcd"), niwaki.Preprocessing(), "", "x", False, *[split] * 3))


def test_layers_around_a_residual_connection_lose_channels_together(small_data) -> None:
    torch.manual_seed(3)
    net = ResidualNet(width=4, num_classes=4)
    niwaki.train(net, small_data, epochs=2, lr=1e-2, batch_size=20)
    found = by_name(niwaki.sensitivity(net, small_data))
    assert (found["conv2"].tied, found["project"].tied) == (("project",), ("conv2",))
    assert found["conv2"].pruned == found["project"].pruned
    assert found["conv1"].tied == ()
    masked = copy.deepcopy(net)
    norms = [getattr(masked, name).weight.detach().abs() for name in ("conv2", "project", "bn2", "classify")]
    gone = lowest(4, norms[0].sum((1, 2, 3)), norms[1].sum((1, 2, 3)), norms[2], norms[3].sum(0))
    with torch.no_grad():
        masked.bn2.weight[gone] = masked.bn2.bias[gone] = 0
        masked.project.weight[gone] = 0
    assert found["conv2"].pruned[50].loss == pytest.approx(lost(net, masked, small_data))
    assert found["classify"].pruned == {25: None, 50: None, 75: None}
    assert found["classify"].reason == IS_OUTPUT
    assert found["classify"].rounded[4] is not None


def test_the_model_stays_as_it_is_and_the_same_follows_again(lenet, found, small_data) -> None:
    before = {name: value.clone() for name, value in lenet.state_dict().items()}
    lenet.train()
    lenet.fc1.requires_grad_(False)
    state = torch.get_rng_state()
    assert by_name(niwaki.sensitivity(lenet, small_data)) == found
    assert all(torch.equal(value, before[name]) for name, value in lenet.state_dict().items())
    assert lenet.training
    assert not lenet.fc1.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


def test_the_noise_is_that_of_the_images_whose_answer_changed() -> None:
    before = np.array([True] * 90 + [False] * 10)
    after = before.copy()
    after[:9], after[99] = False, True  # 9 are lost, 1 is gained
    change = compare(before, after)
    assert change.loss == 8
    assert change.noise == pytest.approx(1.96 * 10**0.5)
    assert (change.clear, change.cell) == (True, "8.00 ± 6.20")
    assert compare(after, before).cell == "-8.00 ± 6.20"
    after[:8] = True
    assert (compare(before, after).loss, compare(before, after).cell) == (0, "none")
    assert compare(before, before) == Change(0.0, 0.0)
    assert not compare(before, before).clear


def test_a_layer_that_cannot_be_changed_says_why() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.ReLU(), weight_norm(nn.Linear(8, 4)))
    first, last = measured(net).layers
    assert "parametrized" in first.reason  # its channels are inputs of the other
    assert set(first.pruned.values()) == {None}
    assert None not in first.rounded.values()
    assert set(last.rounded.values()) == {None}
    assert last.reason.startswith(f"{IS_OUTPUT}; the weight of 3 is parametrized")


def test_sizes_written_into_forward_keep_a_layer_whole() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), Fixed(), nn.Linear(4 * 196, 4))
    first, last = measured(net).layers
    assert set(first.pruned.values()) == {None}
    assert "fixed sizes" in first.reason
    assert first.left == {}
    assert None not in last.rounded.values()


class Fixed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, 4 * 196)


def test_a_network_that_cannot_be_traced_is_rounded_all_the_same() -> None:
    first, _ = measured(nn.Sequential(nn.Conv2d(1, 4, 3), Untraced(), nn.Flatten(), nn.Linear(784, 4))).layers
    assert "torch-pruning cannot trace this model" in first.reason
    assert None not in first.rounded.values()


class Untraced(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) == 1 and x.requires_grad and torch.is_grad_enabled():
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls > 1:  # the first call finds the layers of the output
                raise ValueError("one image")
        return x


def test_what_cannot_be_measured(lenet, small_data) -> None:
    with pytest.raises(SpecError, match="images = 0: give at least 1"):
        niwaki.sensitivity(lenet, small_data, 0)
    with pytest.raises(DataError, match="a limit of 3 images leaves none of class"):
        niwaki.sensitivity(lenet, small_data, 3)
    with pytest.raises(SpecError, match="images = 'x': expected int or None"):
        niwaki.sensitivity(lenet, small_data, "x")
    with pytest.raises(SpecError, match="the model and the data are swapped"):
        niwaki.sensitivity(small_data, lenet)
    with pytest.raises(DataError):
        niwaki.sensitivity(lenet, replace(small_data, labels=("k", "l", "m", "n")))
    with pytest.raises(ModelError, match="different outputs"):
        measured(nn.Sequential(nn.Flatten(), nn.Linear(256, 4), Always()))
    with pytest.raises(StageFailed, match="not finite"):
        measured(nn.Sequential(nn.Flatten(), nn.Linear(256, 4), Infinite()))
    with pytest.raises(ModelError, match="no parameters"):
        measured(nn.Sequential(nn.Flatten()))


class Always(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.5, True)


class Infinite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 0


def test_fewer_images_are_the_first_of_every_class(small_data) -> None:
    report = niwaki.sensitivity(nn.Sequential(nn.Flatten(), nn.Linear(256, 4)), small_data, 20)
    assert report.images == 20
    assert repr(report) == f"<SensitivityReport layers: 1, {report.accuracy:.2f} % of 20 images>"


def test_the_table() -> None:
    change, none = Change(4.25, 1.5), Change(0.5, 0.75)
    layers = (
        LayerSensitivity("a", 8, {25: none, 50: change, 75: change}, {8: none, 4: change, 2: change}, {}, ("b",)),
        LayerSensitivity("b", 8, {25: none, 50: change, 75: change}, {8: none, 4: none, 2: none}, {}, ("a",)),
        LayerSensitivity("c", 4, dict.fromkeys((25, 50, 75)), {8: none, 4: none, 2: none}, {}, (), "it is <it>"),
    )
    table = SensitivityReport(1000, 90.0, layers).table()
    assert [heading for heading, _ in table.columns] == [
        "layer", "channels", "-25 %", "-50 %", "-75 %", "8 bits", "4 bits", "2 bits",
    ]  # fmt: skip
    assert table.rows[0] == ("a", "8", "none", "4.25 ± 1.50", "4.25 ± 1.50", "none", "4.25 ± 1.50", "4.25 ± 1.50")
    assert table.rows[2][2:] == ("–", "–", "–", "none", "none", "none")
    assert "90.00 %" in table.caption
    assert "1,000 images" in table.notes[0]
    assert table.notes[1:] == ("a, b: lose channels together", "c: it is <it>")
    assert SensitivityReport(1000, 90.0, layers)._repr_html_() == table.to_html()
    plain = layers[2].to_dict()
    assert plain["pruned"] == {"25": None, "50": None, "75": None}
    assert plain["rounded"]["8"] == {"loss": 0.5, "noise": 0.75, "clear": False}
