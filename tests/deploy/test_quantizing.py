"""`niwaki quantize` and `niwaki.quantize`: one file in, one int8 file out, both measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import niwaki
from niwaki.data.dataset import Dataset
from niwaki.errors import ModelError, NiwakiError, SpecError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIWAKI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return niwaki.load_data("synthetic", limit=300, validation=60, test_limit=60)


@pytest.fixture(scope="module")
def model(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = niwaki.LeNet5(widths=[2, 4, 12, 10])
    niwaki.train(network, data, 2, lr=5e-3)
    return niwaki.save(
        network, tmp_path_factory.mktemp("model") / "m.safetensors", factory="lenet5",
        args={"widths": [2, 4, 12, 10]}, data=data,
    )  # fmt: skip


def widest(file: Path) -> dict[str, int]:
    """The largest weight of every layer, without its sign."""
    tensors = onnx.load(file).graph.initializer
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    return {
        name.split(".")[0]: int(np.abs(array.astype(int)).max())
        for name, array in arrays.items()
        if array.dtype == np.int8 and array.ndim > 1
    }


def test_qat_writes_what_it_measures(model: Path, data: Dataset, tmp_path: Path) -> None:
    heard = []

    class Listener:
        def on_epoch(self, epoch) -> None:
            heard.append((epoch.name, epoch.epoch, epoch.epochs))

    out = tmp_path / "four.onnx"
    report = niwaki.quantize(
        model, out, kind="qat", bits=4, layer_bits={"fc3": 8}, train=2, data=data, teacher=str(model),
        callbacks=[Listener()], images=50,
    )  # fmt: skip
    assert heard == [("quantize", 1, 2), ("quantize", 2, 2)]
    assert len(report.epochs) == 2
    found = widest(out)
    assert found.pop("fc3") > 8
    assert max(found.values()) <= 8
    again = niwaki.quantize(
        model, tmp_path / "again.onnx", kind="qat", bits=4, layer_bits={"fc3": 8}, train=2, data=data,
        teacher=niwaki.load(model), images=50,
    )  # fmt: skip
    assert again.file.read_bytes() == out.read_bytes()
    assert report.footprint is not None
    assert f"C: {report.footprint.constant_bytes:,} bytes of constants" in report._repr_html_()
    exported = niwaki.export(out, tmp_path / "c", to="c")
    assert exported.footprint is not None
    assert exported.footprint.constant_bytes == report.footprint.constant_bytes


def test_static_equals_what_export_makes_of_the_same_images(model: Path, data: Dataset, tmp_path: Path) -> None:
    report = niwaki.quantize(model, tmp_path / "static.onnx", data=data, images=300)
    assert report.kind == "static"
    assert not report.epochs
    assert max(widest(report.file).values()) == 127


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"out": "x.bin"}, "give a name that ends in .onnx"),
        ({"bits": 3}, "bits"),
        ({"layer_bits": {"fc9": 4}}, "no layer is called 'fc9'"),
        ({"kind": "qat", "train": {"epoch": 1}}, "did you mean 'epochs'"),
        ({"kind": "qat", "teacher": 3}, "teacher = 3"),
        ({"device": "gpu"}, "device"),
    ],
)
def test_bad_arguments_are_named(given: dict, message: str, model: Path, data: Dataset, tmp_path: Path) -> None:
    out = tmp_path / given.pop("out", "x.onnx")
    with pytest.raises(NiwakiError, match=message):
        niwaki.quantize(model, out, data=data, **given)
    assert not list(tmp_path.iterdir())


def test_an_int8_file_is_refused(model: Path, data: Dataset, tmp_path: Path) -> None:
    int8 = niwaki.quantize(model, tmp_path / "int8.onnx", data=data, images=20).file
    with pytest.raises(ModelError, match="is int8 already"):
        niwaki.quantize(int8, tmp_path / "again.onnx", data=data)


def test_settings_of_a_training_that_does_not_take_place_are_refused(model: Path, tmp_path: Path) -> None:
    from niwaki.cli.deploy import Recipe

    with pytest.raises(SpecError, match="does not train"):
        _ = Recipe("static", (), 3, None, ()).settings
