from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from counted import count_reads
from niwaki.board.build import bundle_file
from niwaki.board.compile import Binaries
from niwaki.board.options import BundleOptions
from niwaki.data.dataset import Dataset
from niwaki.deploy import runners
from niwaki.deploy.exported import look_into, open_export
from niwaki.deploy.folder import read_note
from niwaki.deploy.formats import FILES
from niwaki.deploy.verify import VerifyOptions, verify_folder
from niwaki.errors import ModelError

ONCE = {"export.json", "model.safetensors", "model.onnx", "model-int8.onnx"}


def test_verify_reads_each_file_of_an_export_once(
    small_export: Path, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "missing_tools", lambda _target: ("a compiler",))
    seen = count_reads(small_export, monkeypatch)
    assert verify_folder(small_export, data=small_data, options=VerifyOptions(5)).ok
    assert set(seen) >= ONCE
    assert set(seen.values()) == {1}


def test_bundle_reads_each_file_of_an_export_once(
    small_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niwaki.board.build.check_zig", lambda: None)
    monkeypatch.setattr("niwaki.board.build.compile_binaries", lambda *_: Binaries(b"library", b"program"))
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path / "cache"))
    seen = count_reads(small_export, monkeypatch)
    bundle_file(small_export, "linux-x86_64", tmp_path / "bundle", options=BundleOptions(sound=False, scenes=0))
    assert set(seen) >= ONCE
    assert set(seen.values()) == {1}


def test_what_is_not_what_the_note_lists_is_broken_and_takes_no_other_with_it(
    small_export: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(small_export, tmp_path / "copy"))
    (copy / "model-int8.onnx").write_bytes((small_export / "model.onnx").read_bytes())
    (copy / "c/model.c").write_bytes(b"")
    export = open_export(copy)
    assert (export.info is not None, set(export.onnx), set(export.broken)) == (True, {"onnx"}, {"onnx-int8", "c"})
    assert "model-int8.onnx: not the file that export.json lists" in export.no_graph
    for ask in (lambda: export.integer, lambda: export.origin("onnx-int8")):
        with pytest.raises(ModelError, match=r"model-int8\.onnx: not the file"):
            ask()
    with pytest.raises(ModelError, match=r"model-int8\.onnx: not the file"):
        bundle_file(copy, "linux-x86_64", tmp_path / "bundle", options=BundleOptions(sound=False, scenes=0))


def test_a_note_of_another_format_is_not_called_damaged(small_export: Path, tmp_path: Path) -> None:
    said = json.loads((small_export / "export.json").read_bytes())
    del said["checksum"]
    (tmp_path / "export.json").write_text(json.dumps({**said, "format": 2}))
    with pytest.raises(ModelError, match=r"export\.json: of format 2, and this niwaki reads 1: use the niwaki that"):
        read_note(tmp_path)


def test_the_note_of_an_earlier_export_has_no_checksum_and_is_read(tmp_path: Path) -> None:
    stored = Path(__file__).parent / "stored" / "export"
    note = read_note(stored)
    assert "checksum" not in json.loads((stored / "export.json").read_bytes())
    assert note is not None
    (tmp_path / "export.json").write_bytes(note.to_json())  # as it is written today
    assert read_note(tmp_path) == note
    (tmp_path / "export.json").write_bytes(note.to_json().replace(b'"images": 100', b'"images": 101'))
    with pytest.raises(ModelError, match=r"export\.json: damaged: move the folder away and export"):
        read_note(tmp_path)


def test_an_export_gives_the_models_in_it(small_export: Path, small_data: Dataset) -> None:
    export = look_into(small_export)
    kinds = {"model": "model", "onnx": "float", "onnx-int8": "int8"}
    assert {form: export.origin(form).kind for form in export.files} == kinds
    assert all(export.origin(form).data == (small_export / FILES[form]).read_bytes() for form in export.files)
    assert export.note == read_note(small_export)
    assert (export.labels, export.input_shape, export.outputs) == (small_data.labels, (1, 16, 16), 4)


def test_a_folder_without_an_export_is_looked_into_but_not_opened(tmp_path: Path) -> None:
    export = look_into(tmp_path)
    assert (export.files, export.has_c, export.broken) == ({}, False, {})
    with pytest.raises(ModelError, match=r"contains neither model\.onnx nor model-int8\.onnx"):
        open_export(tmp_path)
