"""`bundle.json` and `manifest.json`: their bytes do not change between versions, and are read back unchanged."""

import hashlib
import importlib.metadata
import json
from types import SimpleNamespace

import numpy as np
import pytest

from niwaki.board.decision import Calibration, Decision, Measured
from niwaki.board.description import describe, read_description
from niwaki.board.look import Look
from niwaki.board.manifest import manifest_of, read_manifest
from niwaki.board.options import BundleOptions
from niwaki.board.targets import TARGETS
from niwaki.data.class_names import Named
from niwaki.errors import ModelError
from niwaki.files import sha256_of

RATES = {"found_rate": 0.9, "accepted_true_rate": 0.8333, "accuracy_accepted": None, "false_word_rate": 0.0}
SAID = {
    "format": 1,
    "niwaki": importlib.metadata.version("niwaki"),
    "target": "jetson-nano",
    "machine": "aarch64",
    "name": "coats",
    "model_sha256": sha256_of(b"onnx"),
    "input": {"height": 32, "width": 36, "pad": 2, "inner_height": 28, "inner_width": 32},
    "scale": 0.125,
    "zero_point": -3,
    "classes": [{"id": "Coat", "names": {"ko": "코트", "en": "coat"}}],
    "languages": ["ko", "en"],
    "sound": False,
    "decision": {
        "energy": -1.5, "temperature": 1.0, "margin": None, "window_s": 1.0, "stable_s": 0.6, "empty_s": 0.5,
        "calibration": {"scenes": 4, "empty": 5, "seed": 0, "target": 0.025, **RATES, "learned": RATES, "source": "s"},
    },
}  # fmt: skip


SUM = hashlib.sha256(json.dumps(SAID, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.fixture
def description():
    output = SimpleNamespace(scale=np.float32(0.125), zero_point=np.int64(-3))
    network = SimpleNamespace(
        graph=SimpleNamespace(tensors={"y": output}, output="y"), int8=b"onnx", name="coats", pad=2,
        input_size=(32, 36), inner_size=(28, 32), channels=1, look=Look(),
    )  # fmt: skip
    measured = Calibration(scenes=4, empty=5, seed=0, target=0.025, **RATES, learned=Measured(**RATES), source="s")
    decision = Decision(energy=-1.5, calibration=measured)
    classes = [Named("Coat", {"ko": "코트", "en": "coat"})]
    return describe(network, TARGETS["jetson-nano"], classes, decision, BundleOptions(("ko", "en"), sound=False))


def test_a_description_is_written_as_it_always_was_and_read_back(description, tmp_path):
    content = description.to_json()
    assert content == json.dumps(SAID | {"checksum": SUM}, indent=1, ensure_ascii=False).encode() + b"\n"
    (tmp_path / "bundle.json").write_bytes(content)
    assert read_description(tmp_path) == description


def test_a_description_of_an_older_bundle_says_less_of_its_calibration(description, tmp_path):
    older = SAID | {"decision": {"energy": None, "calibration": {"accepted_true_rate": 0.5}}, "more": 1}
    (tmp_path / "bundle.json").write_text(json.dumps(older))
    decision = read_description(tmp_path).decision
    assert (decision.rule, decision.calibration) == (Decision().rule, Calibration(accepted_true_rate=0.5))


def test_descriptions_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match=r"bundle\.json: cannot be read: No such file"):
        read_description(tmp_path)
    (tmp_path / "bundle.json").write_text(json.dumps(SAID | {"scale": "much"}))
    with pytest.raises(ModelError, match=r"bundle\.json: damaged or of another version: build the bundle again"):
        read_description(tmp_path)


def test_files_of_earlier_versions_have_no_checksum(description, tmp_path):
    manifest = manifest_of({"a": b"1"})
    (tmp_path / "bundle.json").write_text(json.dumps(SAID))
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    assert (read_description(tmp_path), read_manifest(tmp_path)) == (description, manifest)


def test_a_change_that_fits_the_shape_is_told_by_the_checksum(description, tmp_path):
    (tmp_path / "bundle.json").write_bytes(description.to_json().replace(b"0.125", b"0.25"))
    with pytest.raises(ModelError, match=r"bundle\.json: damaged or of another version: build the bundle again"):
        read_description(tmp_path)
    (tmp_path / "manifest.json").write_bytes(manifest_of({"a": b"1"}).to_json().replace(b'"bytes": 1', b'"bytes": 2'))
    with pytest.raises(ModelError, match=r"manifest\.json: damaged: build the bundle again"):
        read_manifest(tmp_path)


def test_a_manifest_is_written_as_it_always_was_and_read_back(tmp_path):
    manifest = manifest_of({"b": b"2", "a/c": b"11"})
    files = {name: {"sha256": sha256_of(data), "bytes": len(data)} for name, data in (("a/c", b"11"), ("b", b"2"))}
    said = {"format": 1, "files": files}
    stated = {"checksum": hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()}
    assert manifest.to_json() == json.dumps(said | stated, indent=1).encode() + b"\n"
    (tmp_path / "manifest.json").write_bytes(manifest.to_json())
    assert read_manifest(tmp_path) == manifest
