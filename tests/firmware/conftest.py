"""Projects of a small network, and of LeNet-5 with 60 % of its channels removed."""

from __future__ import annotations

from pathlib import Path

import pytest

import niwaki
from exported import exported
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings
from once import once

KINDS = ("arduino", "platformio", "esp-idf", "zephyr", "cmake")


@pytest.fixture(scope="session")
def small_projects(small_model: Path, small_npz: Path) -> Path:
    """The folder with every kind of project; not to be written to."""

    def make(folder: Path) -> None:
        report = niwaki.export(small_model, folder / "small", to=KINDS, prefix="small", images=100)
        assert set(report.projects) == set(KINDS)

    return once("projects", make) / "small"


@pytest.fixture(scope="session")
def pruned_projects() -> Path:
    """An Arduino library of the pruned LeNet-5, from its int8 ONNX."""

    def make(folder: Path) -> None:
        network = exported("pruned LeNet-5")
        int8 = quantize_static(network.onnx, network.images(64), QuantizeSettings(images=64)).onnx
        (folder / "lenet5.onnx").write_bytes(int8)
        niwaki.export(folder / "lenet5.onnx", folder / "out", to="arduino")

    return once("pruned project", make) / "out"
