"""Bad files and unusable places on the command line: one line that names the file, and the exit code."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from niwaki.errors import NiwakiError
from niwaki.study.result_files import Timings
from niwaki.study.store import Store

DEEP = "[" * 20_000
TOO_DEEP = "more than 64 levels of brackets within brackets"


def exported(folder: Path, text: str) -> list[object]:
    (folder / "export.json").write_text(text)
    return ["verify", folder]


def bundled(folder: Path, text: str) -> list[object]:
    (folder / "bundle.json").write_text("{}")
    (folder / "manifest.json").write_text(text)
    return ["doctor", folder, "--target", "jetson-nano"]


def watched(folder: Path, text: str) -> list[object]:
    bundled(folder, text)
    return ["watch", folder, "--source", "file:none"]


def model_file(folder: Path, text: str) -> list[object]:
    header = json.dumps({"__metadata__": {"niwaki": text}}).encode()
    (folder / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return ["inspect", folder / "m.safetensors"]


def study_file(folder: Path, text: str) -> list[object]:
    (folder / "s.toml").write_text(f"title = {text}")
    return ["study", "run", folder / "s.toml", "--dry-run"]


def study_folder(folder: Path, text: str) -> list[object]:
    (folder / "study.json").write_text(text)
    return ["study", "show", folder]


@pytest.mark.parametrize("place", [exported, bundled, watched, model_file, study_file, study_folder])
def test_brackets_without_end(place: Callable[[Path, str], list[object]], tmp_path: Path, call) -> None:
    code, out, err = call(*place(tmp_path, DEEP))
    assert (code, out) == (2, "")
    assert f": {tmp_path}" in err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    assert len(err) < 400


def test_brackets_without_end_in_a_study(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "timings.json").write_text(DEEP)
    with pytest.raises(NiwakiError, match=f"timings.json: damaged: {TOO_DEEP}; remove it: it is made again$"):
        store.load(Timings)
    (tmp_path / "stages" / "k").mkdir(parents=True)
    (tmp_path / "stages" / "k" / "record.json").write_text(DEEP)
    with pytest.raises(NiwakiError, match="stage k: record.json is damaged: not a whole record$"):
        store.record("k")
