"""A damaged study: its report says what is missing, or one line says what is wrong. Nothing else is raised."""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from niwaki.errors import NiwakiError, StoreError
from niwaki.files import canonical_json, sha256_of
from niwaki.live.build import without
from niwaki.reporting.markdown import to_markdown
from niwaki.reporting.page import to_html
from niwaki.reporting.sections.report import compose
from niwaki.reporting.text import print_study, study_as_json
from niwaki.reporting.view import load_view
from niwaki.reporting.words import words_in

DEEP: Any = 0
for _ in range(60):
    DEEP = [DEEP]
ALIEN = (None, -1, 0, 0.5, 1e300, True, "x", "a\x1b[31m\nb", "\u202ex", [], {}, [None], {"a": None}, DEEP)
RAW = {
    "cut": lambda raw, rng: raw[: rng.randrange(len(raw))],
    "flip": lambda raw, rng: _flipped(raw, rng.randrange(8 * len(raw))),
    "missing": lambda _raw, _rng: None,
    "empty": lambda _raw, _rng: b"",
    "deep": lambda _raw, _rng: b"[" * 20_000,
    "not UTF-8": lambda raw, _rng: b"\xff\xfe" + raw,
}


def _flipped(raw: bytes, bit: int) -> bytes:
    return raw[: bit // 8] + bytes([raw[bit // 8] ^ 1 << bit % 8]) + raw[bit // 8 + 1 :]


def show(folder: Path) -> str:
    """Everything that a study is shown as, but the part in which the model runs."""
    view = load_view(folder)
    console = Console(file=io.StringIO(), width=80)
    print_study(console, view)
    json.dumps(study_as_json(view))
    document = compose(view, words_in("en"), "none")
    assert "</html>" in to_html(document, without("none", "en"))
    return to_markdown(document)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*at, key)
        yield from places(inner, (*at, key))


def changed(raw: bytes, at: tuple[Any, ...], new: Any) -> bytes:
    """A JSON file with one value for another, and a checksum that fits if it has one."""
    whole = json.loads(raw)
    inner = whole
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = copy.deepcopy(new)
    if whole.pop("checksum", None):
        whole["checksum"] = sha256_of(canonical_json(whole))
    return json.dumps(whole).encode()


def damaged(raw: bytes, rng: random.Random) -> tuple[str, bytes | None]:
    """One way to damage a file, and the file then."""
    if rng.random() < 0.4:
        how = rng.choice(list(RAW))
        return how, RAW[how](raw, rng)
    at = rng.choice(list(places(json.loads(raw))))
    at = at[: rng.randint(1, len(at))]  # as often near the root as at a leaf
    new = rng.choice(ALIEN)
    return f"{at} = {new!r}"[:99], changed(raw, at, new)


@pytest.mark.parametrize("count", [32, pytest.param(3000, marks=pytest.mark.soak)])
def test_a_report_of_a_damaged_folder_is_a_report_or_one_line(study_copy: Path, count: int) -> None:
    rng = random.Random(count)
    files = sorted(study_copy.glob("*.json")) + sorted(study_copy.glob("stages/*/record.json"))[:2]
    assert len(files) == 8
    told: list[str] = []
    for index in range(count):
        file = files[index % len(files)]
        raw = file.read_bytes()
        how, data = damaged(raw, rng)
        file.unlink() if data is None else file.write_bytes(data)
        try:
            show(study_copy)
        except NiwakiError as error:
            told.append(str(error))
        except Exception as error:
            pytest.fail(f"{file.name}, {how}: {type(error).__name__}: {error}")
        file.write_bytes(raw)
    assert 0 < len(told) < count / 2
    assert not [line for line in told if "\n" in line]
    assert load_view(study_copy).damaged == ()


@pytest.mark.parametrize(
    ("at", "new", "message"),
    [
        (("data", "images"), [], "data.images"),
        (("data", "labels"), [], "data.labels"),
        (("environment",), {}, "environment.machine"),
        (("stages", 0), "../x", "stages.0"),
        (("stages", 0), "abc", "has a stage that is none"),
        (("trials", 0, "rows"), ["abc"], "has a stage that is none"),
        (("trials", 0, "quantize"), 1e300, "trials.0.quantize"),
        (("trials", 0, "value"), "x", "a trial of 'ratio' has the value 'x'"),
        (("trials", 0, "experiment"), "none", "a trial of 'none' has the value 0.3"),
        (("spec", "experiment"), [], "experiment"),
        (("spec", "prune"), None, "set [prune]"),
    ],
)
def test_a_description_that_does_not_fit_together_is_told(study_copy: Path, at: tuple, new: Any, message: str) -> None:
    file = study_copy / "study.json"
    file.write_bytes(changed(file.read_bytes(), at, new))
    with pytest.raises(
        StoreError,
        match=r"study.json(: damaged: .*; remove it| is of another version or damaged \(.*; run the study again)",
    ) as told:
        load_view(study_copy)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("at", "new"),
    [
        (("test",), {}), (("test", "total"), 0), (("test", "correct"), "9"), (("test", "confusion"), [[1, 2], [3]]),
        (("validation", "confusion", 0, 0), -1), (("validation", "confusion"), []), (("validation", "confusion", 0), 1),
    ],
)  # fmt: skip
def test_a_record_with_a_fitting_checksum_but_no_counts_is_damaged(study_copy: Path, at: tuple, new: Any) -> None:
    file = min(study_copy.glob("stages/*/record.json"))
    file.write_bytes(changed(file.read_bytes(), ("results", *at), new))
    assert load_view(study_copy).damaged == (
        f"stage {file.parent.name}: record.json is damaged: not a record of format 1",
    )


@pytest.mark.parametrize(
    ("name", "at"),
    [("verify.json", ("exported", "c", "flash")), ("bench.json", ("rows", 0, "median_us"))],
)
def test_what_has_a_logarithm_is_above_zero(study_copy: Path, name: str, at: tuple) -> None:
    file = study_copy / name
    file.write_bytes(changed(file.read_bytes(), at, -1))
    assert f"{name} is damaged: " in show(study_copy)


def test_a_record_of_other_classes_is_damaged(study_copy: Path) -> None:
    file = min(study_copy.glob("stages/*/record.json"))
    two = {"total": 4, "correct": 3, "confusion": [[2, 0], [1, 1]]}
    file.write_bytes(changed(file.read_bytes(), ("results", "test"), two))
    assert load_view(study_copy).damaged == (f"stage {file.parent.name}: record.json is of other classes",)
    assert "is of other classes; the next run repairs it" in show(study_copy)


@pytest.mark.parametrize(
    ("pattern", "how", "message"),
    [
        ("stages/*/weights.safetensors", "cut", "weights.safetensors is damaged: its SHA-256 is not the record's"),
        ("stages/*/model.onnx", "missing", "model.onnx cannot be read: No such file or directory"),
        ("chosen.safetensors", "empty", "chosen.safetensors is damaged: its SHA-256 is not that of the chosen model"),
        ("chosen/model.onnx", "flip", "chosen/model.onnx is damaged: its SHA-256 is not the one in verify.json"),
        ("chosen/c/model.c", "missing", "chosen/c/model.c is missing"),
        ("chosen", "missing", "chosen: the folder is missing"),
    ],
)
def test_a_model_that_is_not_that_of_its_record(
    finished_study: Path, tmp_path: Path, pattern: str, how: str, message: str
) -> None:
    whole = Path(shutil.copytree(finished_study, tmp_path / "study"))
    file = min(whole.glob(pattern))
    data = None if file.is_dir() else RAW[how](file.read_bytes(), random.Random(0))
    file.rename(tmp_path / "gone") if data is None else file.write_bytes(data)
    (line,) = load_view(whole).damaged_models
    assert line.endswith(message)
    assert f"{message}; the next run repairs it" in show(whole)


def test_the_models_of_a_whole_study_are_those_of_its_records(finished_study: Path) -> None:
    view = load_view(finished_study)
    assert view.choice is not None
    assert view.verification is not None
    assert len(view.verification.files) > 5
    assert view.damages == ()
