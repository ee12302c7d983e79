"""A command looks for the images of a model once, whether they are available or not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from niwaki.board.network import open_network
from niwaki.board.options import BundleOptions
from niwaki.data.dataset import Dataset
from niwaki.deploy import pictures, runners, verify
from niwaki.deploy.bench_forms import forms_of
from niwaki.deploy.exported import open_export
from niwaki.deploy.origin import Origin, open_origin
from niwaki.deploy.pictures import ImageNeeds, Pictures, find_pictures
from niwaki.deploy.verify import VerifyOptions, verify_file
from niwaki.errors import DataError, ModelError
from niwaki.live.build import build
from niwaki.models.modelfile import read_info
from niwaki.models.provenance import Provenance


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the packages that know datasets are asked for one."""
    seen: Counter[str] = Counter()

    def counted(name: str) -> None:
        whole = getattr(pictures, name)
        monkeypatch.setattr(pictures, name, lambda *given, **named: (seen.update((name,)), whole(*given, **named))[1])

    counted("prepare")
    counted("find_decoded")
    monkeypatch.setattr(runners, "missing_tools", lambda _target: ("a compiler",))
    return seen


def test_verify_prepares_the_named_data_once(small_export: Path, small_npz: Path, asked: Counter[str]) -> None:
    report = verify_file(small_export / "model.onnx", data=str(small_npz), options=VerifyOptions(5))
    assert report.of == "5 of the 100 test images of npz"
    assert asked == {"prepare": 1}


def test_verify_does_not_look_again_for_what_cannot_be_had(
    small_export: Path, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_given: object, **_named: object) -> None:
        asked.update(("prepare",))
        raise DataError("no network")

    def trained_on_fashion(path: Path) -> Origin:
        return replace(open_origin(path), provenance=Provenance({"data": "1f", "data_name": "fashion-mnist"}))

    monkeypatch.setattr(pictures, "prepare", gone)
    monkeypatch.setattr(verify, "open_origin", trained_on_fashion)
    report = verify_file(small_export / "model.onnx", options=VerifyOptions(5))
    assert asked == {"prepare": 1, "find_decoded": 1}
    assert "random images, since the model's own data is not available: no network" in report.notes


def test_bundle_bench_and_report_look_once(
    small_export: Path, small_npz: Path, tmp_path: Path, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_network(small_export, BundleOptions(), data=str(small_npz), notify=lambda _line: None)
    assert asked == {"prepare": 1, "find_decoded": 1}
    asked.clear()
    monkeypatch.setattr("niwaki.toolchain.compiler.find_compiler", lambda: None)
    forms_of(small_export, notify=lambda _line: None)
    assert asked == {}  # what is timed as it is needs no images of its own
    (tmp_path / "chosen").symlink_to(small_export)
    monkeypatch.setattr("niwaki.live.build.compile_module", lambda *_given, **_named: b"WebAssembly")
    assert "strip" in build(tmp_path).data
    assert asked == {"find_decoded": 1}


def test_data_at_hand_are_fitted_and_not_looked_for(
    small_export: Path, small_data: Dataset, asked: Counter[str]
) -> None:
    needs = open_export(small_export).needs
    assert find_pictures(needs, small_data, lambda _line: None).data is not None
    assert asked == {}
    with pytest.raises(DataError, match="its images are 1×16×16, but the model takes 3×16×16"):
        find_pictures(replace(needs, input_shape=(3, 16, 16)), small_data, lambda _line: None)


def test_a_model_without_preprocessing_takes_no_data(asked: Counter[str]) -> None:
    needs = ImageNeeds("theirs.onnx", (1, 16, 16))
    assert find_pictures(needs, None, lambda _line: None) == Pictures()
    with pytest.raises(ModelError, match=r"theirs\.onnx: no file says how pixels become the model's input, so `data=`"):
        find_pictures(needs, "fashion-mnist", lambda _line: None)
    assert asked == {}


def test_provenance_is_what_the_file_says(small_model: Path, small_data: Dataset) -> None:
    info = read_info(small_model)
    assert info.provenance == Provenance.of(small_data)
    assert (info.provenance.data, info.provenance.data_name) == (small_data.fingerprint, "npz")
    assert info.model_dump(mode="json")["provenance"] == dict(info.provenance)
    odd = Provenance({"z": [1], "data": 3, "data_name": None})
    assert (odd.data, odd.data_name, list(odd)) == (None, None, ["z", "data", "data_name"])
    copied = info.model_copy(update={"provenance": odd})
    assert type(info).model_validate_json(copied.model_dump_json()).provenance == odd
