"""Every change of a side file is noticed: by its checksum, or by its shape if a file has none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from niwaki.study.checked_json import ResultFile, from_bytes, to_bytes, with_checksum
from niwaki.study.result_files import Bench, Choice, Evidence, Study, Timings, Verification
from niwaki.study.store import DamagedFile, Store
from stored import write_json

KINDS: dict[str, type[ResultFile]] = {
    kind.NAME: kind for kind in (Study, Choice, Timings, Verification, Evidence, Bench)
}
STORED = Path(__file__).parent / "stored"
TIME = {"median_us": 1.5, "p95_us": 2}
MADE_OF = {"base": "b", "chosen": None}
FILES: dict[str, dict[str, Any]] = {
    "study.json": {
        "spec": {"title": "t"},
        "data": {"name": "d", "origin": "o", "fingerprint": "f", "synthetic": False, "labels": ["a", "가"],
                 "images": {"train": 3, "validation": 2, "test": 1}, "input_shape": [1, 4, 4]},
        "environment": {"machine": "m", "torch": "2"}, "stages": ["k", "l"],
        "trials": [{"experiment": "e", "value": 0.5, "seed": 0, "stages": ["k"], "rows": ["k"], "quantize": None}],
    },
    "choice.json": {"key": "k", "value": 0.5, "reason": "r"},
    "timings.json": {
        "pinned": True, "noise_floor": {"1": 0.01, "256": 0.0}, "models": {"s": {"1": TIME, "256": TIME}},
        "onnxruntime": {},
    },
    "verify.json": {
        "ok": True, "reason": "", "made_of": {}, "images": "100 of d", "notes": ["n"], "export_notes": [],
        "exported": {"c": {"flash": 1, "ram": 2, "board": None, "reason": None}},
        "forms": [{"form": "c", "how": "gcc", "ok": True, "images": 4, "accuracy": {"percent": 1.0, "interval": [0, 2]},
                   "agreement": {"against": "onnx", "same_class": 4, "equal": True}, "reason": None}],
    },
    "evidence.json": {
        "made_of": MADE_OF, "base": {"key": "k", "int8": {"flash": None}}, "chosen": None,
        "confusion": {"base": [[1, 0], [0, 1]]}, "shown": {"base": [7]}, "moved": {}, "classes": ["png", None],
        "images": {"7": {"true": 1, "png": "p"}}, "answers": {"base": {"7": {"named": 0, "sure": 0.5, "true": 0.5}}},
        "layers": {"base": [{"name": "c", "kind": "Conv2d", "channels": 1, "params": 2, "macs": 3, "bytes": 4}]},
    },
    "bench.json": {
        "made_of": MADE_OF, "left_out": [{"file": "base", "form": "c", "reason": "r"}],
        "rows": [{"file": "base", "form": "c", "runtime": "r", "runs": 3, **TIME}], "noise_floor": 0.1,
        "pinned": False, "notes": [],
    },
}  # fmt: skip


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value that holds no other, and the way to it."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*way, key))
    if not isinstance(value, (dict, list)):
        yield way, value


def changed(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    made = copy.deepcopy(value)
    place = made
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = new
    return made


def others(old: Any) -> list[Any]:
    """A value of the same type, and of other types."""
    if isinstance(old, bool):
        same: Any = not old
    else:
        same = f"{old}x" if isinstance(old, str) else (old or 0) + 0.25 if isinstance(old, float) else (old or 0) + 1
    return [same, *(new for new in (None, "1", 7, 1.5, True, [], {}) if type(new) is not type(old))]


@pytest.mark.parametrize("name", FILES)
def test_every_change_of_a_value_is_told(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_json(tmp_path, name, FILES[name])
    assert store.load(KINDS[name]).to_dict() == FILES[name]
    written = json.loads((tmp_path / name).read_bytes())
    count = 0
    for way, old in places(written):
        for new in others(old):
            if way == ("checksum",) and new is None:
                continue  # as a file of an earlier version says none
            (tmp_path / name).write_text(json.dumps(changed(written, way, new)))
            with pytest.raises(DamagedFile, match=f"{name}: damaged: "):
                store.load(KINDS[name])
            count += 1
    assert count > 20


@pytest.mark.parametrize("name", FILES)
def test_files_of_earlier_versions_have_no_checksum(name: str, tmp_path: Path) -> None:
    """They load unchanged, and an error names the place of a value of another type."""
    store = Store(tmp_path)
    (tmp_path / name).write_text(json.dumps(FILES[name]))
    assert store.load(KINDS[name]).to_dict() == FILES[name]
    free = {"value", "quantize", "flash", "ram", "board", "title", "true"}  # may be anything, or null
    for way, old in places(FILES[name]):
        if old is None or way[-1] in free:
            continue
        (tmp_path / name).write_text(json.dumps(changed(FILES[name], way, {"a": 1})))
        with pytest.raises(DamagedFile, match=f"{name}: damaged: {way[0]}"):
            store.load(KINDS[name])


@pytest.mark.parametrize(
    ("name", "way", "new", "why"),
    [
        ("study.json", ("trials", 0, "rows"), ["m"], "a trial of .e. has a stage that is none"),
        ("study.json", ("data", "labels"), [], "data.labels: List should have at least 1 item"),
        ("study.json", ("format",), 2, "of format 2, and this niwaki reads 1"),
        ("timings.json", ("noise_floor",), {"1": 0.1}, "noise_floor lacks a batch"),
        ("choice.json", ("key",), 3, "key: expected a valid string"),
        ("verify.json", ("ok",), "true", "ok: expected a valid boolean"),
    ],
)
def test_a_shape_says_what_is_wrong(name: str, way: tuple[Any, ...], new: Any, why: str, tmp_path: Path) -> None:
    write_json(tmp_path, name, changed(FILES[name], way, new))
    with pytest.raises(DamagedFile, match=f"{name}: damaged: {why}"):
        Store(tmp_path).load(KINDS[name])


def test_what_json_cannot_hold_is_written_all_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(Choice(key=None, value=(1, float("inf"), float("nan"), Path("p")), reason="\udcff"))
    assert store.load(Choice) == Choice(key=None, value=[1, None, None, "p"], reason="?")


def test_a_file_is_written_again_as_it_is_stored(tmp_path: Path) -> None:
    """Of a study that was run by an earlier version: keys that nobody reads stand in it; it only gains its format."""
    for path in sorted(STORED.glob("*.json")):
        kind = KINDS[path.name]
        found = Store(STORED).load(kind)
        assert found is not None
        Store(tmp_path).save(found)
        again, before = (json.loads(file.read_bytes()) for file in (tmp_path / path.name, path))
        added = {"format", "checksum"}
        assert {k: v for k, v in again.items() if k not in added} == {k: v for k, v in before.items() if k not in added}
        assert again["format"] == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_file_states_its_format_and_another_is_not_read(kind: type[ResultFile]) -> None:
    values = FILES[kind.NAME]
    file = from_bytes(with_checksum(values), kind)  # of before it stated a format
    assert json.loads(to_bytes(file))["format"] == 1
    assert from_bytes(to_bytes(file), kind) == file
    for other in (2, True, "1"):
        with pytest.raises(ValueError, match=f"of format {other!r}, and this niwaki reads 1"):
            from_bytes(with_checksum({**values, "format": other}), kind)
