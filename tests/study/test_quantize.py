"""The stage that makes int8: measured like any other, calibrated on training images only, stored as an ONNX."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import niwaki as api
from niwaki.data.dataset import Dataset
from niwaki.deploy.images import calibration_images
from niwaki.errors import ModelError
from niwaki.files import canonical_json, sha256_of
from niwaki.models import factory
from niwaki.models.modelfile import ModelInfo, dumps
from niwaki.models.onnxsession import scores as onnx_scores
from niwaki.study import quantize
from niwaki.study.environment import fingerprint
from niwaki.study.plan import Stage
from niwaki.study.quantize import count_agreement
from niwaki.study.records import Record, from_bytes, to_bytes
from niwaki.study.stages import Outcome, Task, run_stage
from tests.study.conftest import records

STATIC = {"kind": "static", "calibration": "minmax", "images": 40}


@pytest.fixture(scope="module")
def data(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIWAKI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return api.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})


def model_file(data: Dataset) -> bytes:
    args = {"num_classes": 4, "image_size": 16, "widths": [3, 6, 16, 12]}
    info = ModelInfo(
        factory="lenet5", args=args, input_shape=(1, 16, 16), labels=data.labels, preprocessing=data.preprocessing
    )
    return dumps(factory.build_seeded("lenet5", args, 0), info)


def run(
    data: Dataset, parent: bytes, settings: dict, *, seed: int = 0, position: int = 0, trust: bool = False
) -> Outcome:
    stage = Stage("k", "quantize", {**settings, "tools": {}}, "p", seed, position, 0, "")
    return run_stage(Task(stage, parent, "d", fingerprint("cpu"), trust=trust), data)


def the(finished: Path, kind: str) -> dict:
    (found,) = (record for record in records(finished / "out") if record["kind"] == kind)
    return found


def test_int8_is_measured_like_any_stage(finished: Path) -> None:
    int8 = the(finished, "quantize")
    folder = finished / "out" / "stages"
    parent = json.loads((folder / int8["parent"] / "record.json").read_bytes())
    assert (parent["kind"], parent["position"]) == ("finetune", 2)
    ours, float_ = int8["results"], parent["results"]
    for same in ("params", "macs", "widths"):
        assert ours[same] == float_[same]
    assert ours["macs_tp"] is None
    assert 0 <= ours["agreement"] <= 100
    weights = 25 + 3 * 25 + 8 * 3 + 6 * 8 + 4 * 6  # of conv1 to fc3, whose images are 12×12, 6×6 pooled, 2×2, 1×1
    outputs = 1 + 3 + 8 + 6 + 4
    assert ours["params"] == weights + outputs
    assert ours["bytes"]["int8"] >= weights
    assert ours["bytes"]["int32"] == 4 * outputs + 4 * outputs  # biases, and their zero points
    assert ours["flash"] == weights + outputs * (4 + 4 + 1)  # bias, multiplier, shift
    assert ours["ram"] == 16 * 16 + 6 * 6 + 4  # the image, what conv1 and its pooling leave, the scores
    assert sorted(path.name for path in (folder / int8["key"]).iterdir()) == ["model.onnx", "record.json"]
    assert ours["file_bytes"] == (folder / int8["key"] / "model.onnx").stat().st_size


def test_the_stored_onnx_gives_the_recorded_answers(finished: Path, data: Dataset) -> None:
    int8 = the(finished, "quantize")
    stored = finished / "out" / "stages" / int8["key"] / "model.onnx"
    scores = onnx_scores(stored.read_bytes(), data.test.images.astype(np.float32) / np.float32(255))
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (data.test.labels, scores.argmax(1)), 1)
    assert confusion.tolist() == int8["results"]["test"]["confusion"]
    parent = api.load(finished / "out" / "stages" / int8["parent"] / "weights.safetensors")
    before = api.Preprocessing().table()[0][data.test.images]
    with torch.no_grad():
        same = parent(torch.from_numpy(before)).argmax(1).numpy() == scores.argmax(1)
    assert same.sum() == int8["results"]["agreement"]


def test_dynamic_has_no_c_and_keeps_float_convolutions(data: Dataset) -> None:
    parent = model_file(data)
    outcome = run(data, parent, {"kind": "dynamic"})
    results = outcome.record.results
    assert (results.flash, results.ram) == (None, None)
    assert results.activation_bytes == 4 * 2 * (3 * 12 * 12)  # as in float: of conv1, before and after ReLU
    assert results.bytes["float32"] >= 4 * (3 * 25 + 6 * 3 * 25)
    assert results.bytes["int8"] >= 6 * 16 + 16 * 12 + 12 * 4
    assert run(data, parent, {"kind": "dynamic"}, seed=1).weights == outcome.weights


def test_a_network_beyond_the_integer_c_is_measured_all_the_same(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beyond_c.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    up = nn.Upsample(4, mode='bicubic')\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 5, 5), up, nn.Flatten(), nn.Linear(64, 4))\n"
    )
    info = ModelInfo(
        factory="beyond_c:build", input_shape=(1, 16, 16), labels=data.labels, preprocessing=data.preprocessing
    )
    parent = dumps(importlib.import_module("beyond_c").build(), info, trust=True)
    record = run(data, parent, STATIC, trust=True).record
    assert record.status == "done"
    assert (record.results.flash, record.results.ram, record.results.activation_bytes) == (None, None, None)
    assert any(note.startswith("no C can be generated: ") and "mode cubic" in note for note in record.results.notes)
    assert record.results.params == 4 * 26 + 65 * 4


def test_calibration_sees_training_images_only_and_the_same_ones_for_all_settings(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray] = []

    def keep(_: bytes, images: np.ndarray, __: object) -> None:
        drawn.append(images)
        raise ModelError("that is all")

    monkeypatch.setattr(quantize, "to_onnx", lambda *_: b"")
    monkeypatch.setattr(quantize, "quantize", keep)
    parent = model_file(data)
    for settings, seed, position in (
        (STATIC, 0, 2), ({**STATIC, "calibration": "percentile", "percentile": 99.0}, 0, 2), (STATIC, 1, 2),
        (STATIC, 0, 3), ({**STATIC, "images": 5000}, 0, 2),
    ):  # fmt: skip
        assert run(data, parent, settings, seed=seed, position=position).record.reason == "that is all"
    train = {image.tobytes() for image in data.train.images}
    other = {image.tobytes() for split in (data.validation, data.test) for image in split.images}
    assert not train & other
    assert all(image.tobytes() in train for images in drawn for image in images)
    first, same, by_seed, by_position, all_ = drawn
    assert len(first) == len({image.tobytes() for image in first}) == 40
    assert np.array_equal(first, same)
    assert not np.array_equal(first, by_seed)
    assert not np.array_equal(first, by_position)
    assert len(all_) == len(data.train)
    assert calibration_images(data.train, 40, 0).dtype == np.uint8


def test_agreement_is_counted_by_the_highest_score() -> None:
    images = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)
    one = lambda x: np.stack([x[:, 0, 0, 0] < 3, x[:, 0, 0, 0] >= 3], axis=1)  # noqa: E731
    other = lambda x: np.stack([x[:, 0, 0, 0] < 5, x[:, 0, 0, 0] >= 5], axis=1) * 9.5  # noqa: E731
    assert count_agreement(one, other, images) == 5


def test_records_of_float_stages_are_written_as_before_there_was_int8(finished: Path) -> None:
    path = finished / "out" / "stages" / the(finished, "quantize")["parent"] / "record.json"
    body = json.loads(path.read_bytes())
    assert not {"agreement", "flash", "ram", "ratio_asked", "ratio_reached"} & set(body["results"])
    pruned = json.loads((path.parents[1] / body["parent"] / "record.json").read_bytes())["results"]
    first = next(record for record in records(finished / "out") if record["kind"] == "train" and not record["position"])
    left = sum(pruned["widths"].values()) / sum(first["results"]["widths"].values())
    assert (pruned["ratio_asked"], pruned["ratio_reached"]) == (0.5, pytest.approx(1 - left))
    assert pruned["notes"] == []
    record = from_bytes(path.read_bytes())
    assert record.results.flash is None
    assert to_bytes(record) == path.read_bytes()
    int8 = {**body["results"], "agreement": 9, "flash": 0}
    changed = {**{k: v for k, v in body.items() if k != "checksum"}, "results": int8}
    again = from_bytes(json.dumps({**changed, "checksum": sha256_of(canonical_json(changed))}).encode())
    assert (again.results.agreement, again.results.flash, again.results.ram) == (9, 0, None)
    assert isinstance(again, Record)
