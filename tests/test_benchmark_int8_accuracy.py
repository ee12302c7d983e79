"""The benchmark of what networks lose from float to integers: its verdict, and its networks on the whole way."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import int8_accuracy
from benchmarks.int8_networks import NETWORKS

import niwaki
from niwaki.data.dataset import Split


def losses(worst: float) -> list[int8_accuracy.Loss]:
    return [int8_accuracy.Loss("SiLU", 12310, 18455, 88.98, 88.96), int8_accuracy.Loss("ViT", 900, 1000, 85.5, worst)]


def test_the_goal_is_for_the_network_that_loses_most() -> None:
    made = int8_accuracy.report(losses(84.5))
    assert made.tables[0].rows[0] == ("SiLU", "12,310", "18,455", "88.98", "88.96", "0.02")
    assert made.findings == ("At most 1.00 points are lost (ViT); goal: at most 1 (met).",)
    assert made.figures["ViT"]["integers"] == 84.5
    missed = int8_accuracy.report(losses(84.4)).findings[0]
    assert "At most 1.10 points are lost (ViT); goal: at most 1 (MISSED)" in missed


def test_networks_take_fashion_mnist_as_it_is_prepared() -> None:
    """28×28 with a border of two pixels."""
    images = torch.zeros(2, 1, 32, 32)
    assert [tuple(make().eval()(images).shape) for make in NETWORKS.values()] == [(2, 10)] * 4


@pytest.mark.soak
def test_a_network_is_trained_once_exported_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_accuracy, "NETWORKS", dict(list(NETWORKS.items())[:1]))
    data = niwaki.load_data("synthetic")
    first = int8_accuracy.run(data, quick=True, folder=tmp_path)
    (row,) = first.tables[0].rows
    model = niwaki.load(tmp_path / "silu-0-1" / "model.safetensors", trust=True)
    count = int8_accuracy.QUICK
    found = niwaki.evaluate(model, replace(data, test=Split(data.test.images[:count], data.test.labels[:count])))
    assert row[3] == f"{found.accuracy:.2f}"
    assert abs(float(row[5])) < 10
    monkeypatch.setattr(int8_accuracy, "train", lambda *_: pytest.fail("trained again"))
    assert int8_accuracy.run(data, quick=True, folder=tmp_path) == first
