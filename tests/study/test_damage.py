"""Damage, full disks, second drivers, other data: a clear line, nothing lost, and how to continue."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from niwaki.errors import StoreError
from niwaki.files import canonical_json, sha256_of
from niwaki.study.store import DamagedStage, Store
from tests.study.conftest import SMALL, Niwaki, contents, records


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def a_stage(folder: Path, kind: str) -> Path:
    key = next(record["key"] for record in records(folder) if record["kind"] == kind)
    return folder / "stages" / key


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("finetune", "weights.safetensors", "weights.safetensors is damaged"),
        ("finetune", "record.json", "record.json is damaged"),
        ("quantize", "model.onnx", "model.onnx is damaged: its SHA-256 is not the record's"),
    ],
)
def test_a_flipped_byte_costs_one_stage(copy: Path, niwaki: Niwaki, kind: str, name: str, message: str) -> None:
    before = contents(copy / "out")
    path = a_stage(copy / "out", kind) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if name == "record.json":
        shown = niwaki("study", "show", copy / "out").stdout
        assert message in shown
    done = niwaki("study", "run", copy / "small.toml", "--jobs", 1, "--out", copy / "out")
    assert message in done.stderr
    assert "it will run again" in done.stderr
    assert "1 to run" in done.stderr
    assert contents(copy / "out") == before


def test_missing_weights_and_a_swapped_record(copy: Path, niwaki: Niwaki) -> None:
    before = contents(copy / "out")
    (a_stage(copy / "out", "prune") / "weights.safetensors").unlink()
    train, finetune = (a_stage(copy / "out", kind) for kind in ("train", "finetune"))
    shutil.copy(train / "record.json", finetune / "record.json")
    done = niwaki("study", "run", copy / "small.toml", "--jobs", 1, "--out", copy / "out")
    assert "weights.safetensors cannot be read: No such file" in done.stderr
    assert f"record.json belongs to stage {train.name}" in done.stderr
    assert "2 to run" in done.stderr
    assert contents(copy / "out") == before


def test_damaged_timings_are_told_of_and_made_again(copy: Path, niwaki: Niwaki) -> None:
    (copy / "out" / "timings.json").write_text("{")
    done = niwaki("study", "run", copy / "small.toml", "--jobs", 1, "--out", copy / "out")
    assert "timings.json: damaged" in done.stderr
    assert json.loads((copy / "out" / "timings.json").read_text())["models"]


def test_other_data_are_refused(copy: Path, niwaki: Niwaki, small_npz: Path) -> None:
    before = contents(copy / "out")
    arrays = dict(np.load(small_npz))
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(copy / "other.npz", **arrays)
    (copy / "other.toml").write_text(SMALL.format(data=copy / "other.npz"))
    done = niwaki("study", "run", copy / "other.toml", "--jobs", 1, "--out", copy / "out", check=2)
    assert "this study began with other data: small.npz (fingerprint " in done.stderr
    assert "now other.npz (" in done.stderr
    assert "another --out" in done.stderr
    assert contents(copy / "out") == before


def test_a_second_driver_is_told_who_holds_the_study(copy: Path, niwaki: Niwaki) -> None:
    import os

    with Store(copy / "out").driver():
        done = niwaki("study", "run", copy / "small.toml", "--jobs", 1, "--out", copy / "out", check=2)
        assert f"process {os.getpid()} on " in done.stderr
        assert "is running this study" in done.stderr
        niwaki("study", "show", copy / "out")  # reading goes on
        (copy / "out" / ".driver.json").write_text("{")
        done = niwaki("study", "run", copy / "small.toml", "--jobs", 1, "--out", copy / "out", check=2)
        assert "another process is running this study" in done.stderr
    niwaki("study", "run", copy / "small.toml", "--jobs", 1, "--out", copy / "out")


def test_a_full_disk_stops_with_a_clear_line_and_loses_nothing(finished: Path, tmp_path: Path, niwaki: Niwaki) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs (root)")
    try:
        done = niwaki("study", "run", finished / "small.toml", "--jobs", 1, "--out", disk / "out", check=2)
        assert "No space left on device; free some space and run the same command again" in done.stderr
        kept = contents(disk / "out")
        assert kept
        assert not list((disk / "out").rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        niwaki("study", "run", finished / "small.toml", "--jobs", 1, "--out", disk / "out")
        assert contents(disk / "out") == contents(finished / "out")
        whole = {path for path in kept if path.endswith("record.json")}
        assert whole <= set(contents(disk / "out"))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_is_not_a_study(tmp_path: Path, copy: Path, niwaki: Niwaki) -> None:
    assert "there is no such folder" in niwaki("study", "show", tmp_path / "none", check=2).stderr
    assert "not a study's folder (no study.json)" in niwaki("study", "show", tmp_path, check=2).stderr
    (copy / "out" / "study.json").write_text("[]")
    assert "study.json: damaged: not an object" in niwaki("study", "show", copy / "out", check=2).stderr
    (copy / "out" / "study.json").write_text("{}")
    assert "study.json: damaged: data: Field required" in niwaki("study", "show", copy / "out", check=2).stderr


def test_records_that_are_none(copy: Path) -> None:
    store, stage = Store(copy / "out"), a_stage(copy / "out", "prune")
    path = stage / "record.json"
    body = json.loads(path.read_bytes())
    path.write_text(json.dumps({**body, "seed": 7}))
    with pytest.raises(DamagedStage, match="record.json is damaged: its checksum does not match"):
        store.record(stage.name)
    other = {key: value for key, value in {**body, "format": 2}.items() if key != "checksum"}
    path.write_text(json.dumps({**other, "checksum": sha256_of(canonical_json(other))}))
    with pytest.raises(DamagedStage, match="not a record of format 1"):
        store.record(stage.name)
    path.unlink()
    path.mkdir()
    with pytest.raises(DamagedStage, match="record.json cannot be read: Is a directory"):
        store.record(stage.name)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = "cannot be written: Not a directory; check the folder's permissions"
    with pytest.raises(StoreError, match=message), Store(tmp_path / "file" / "out").driver():
        raise AssertionError("never reached")
