"""Any damaged input gives one line of an error: in bounded time and memory, never a traceback."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuzz import campaign
from fuzz.readers import OF_A_STUDY, READERS, Reader, Samples
from niwaki import api
from niwaki.errors import DataError
from small_study import HEAD

SOAK_S, AT_LEAST = 1200.0, 20_000
STUDY = (
    'title = "small"\n'
    + HEAD
    + """
[select]
experiment = "ratio"
budget = ["accuracy_drop<=100"]
[[experiment]]
name = "ratio"
vary = {{ "prune.ratio" = [0.3, 0.5] }}
"""
)


@pytest.fixture
def run_campaign(
    small_npz: Path, small_model: Path, small_export: Path, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Start the campaign with some options and give back what it found."""
    state = tmp_path / "state"
    samples = ["--npz", small_npz, "--model", small_model, "--export", small_export, "--state", state]

    def run(*options: object) -> dict[str, Any]:
        command = [sys.executable, campaign.__file__, *samples, *options]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        last = state.read_text() if state.exists() else "none"
        assert done.returncode == 0, f"the process ended with {done.returncode} at input {last}: {done.stderr[-2000:]}"
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return run


def test_a_few_damaged_inputs_for_every_reader(run_campaign: Callable[..., dict[str, Any]]) -> None:
    found = run_campaign("--count", 40)
    assert set(found) == set(READERS)
    assert {name: told["faults"] for name, told in found.items() if told["faults"]} == {}


def test_two_hundred_damaged_tensorflow_lite_files(tmp_path: Path) -> None:
    reader, samples = READERS["tflite"], Samples(tmp_path, tmp_path, tmp_path)
    wholes, told = reader.samples(samples), []
    for number in range(200):
        rng = random.Random(number)
        told.append(campaign._fault(reader, reader.mutate(rng.choice(wholes), rng), samples))
    assert [fault for fault in told if fault] == []


@pytest.mark.soak
def test_five_thousand_damaged_tensorflow_lite_files(run_campaign: Callable[..., dict[str, Any]]) -> None:
    found = run_campaign("--only", "tflite", "--count", 5000)
    assert found["tflite"]["faults"] == []
    assert found["tflite"]["inputs"] == 5000


@pytest.mark.soak
def test_twenty_minutes_of_damaged_inputs(
    run_campaign: Callable[..., dict[str, Any]], small_npz: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(STUDY.format(data=small_npz))
    api.run_study(str(tmp_path / "small.toml"), out=tmp_path / "study", jobs=1)
    began, inputs, faults, count = time.monotonic(), 0, {}, 200
    first = 0
    while time.monotonic() - began < SOAK_S or inputs < AT_LEAST:
        found = run_campaign("--study", tmp_path / "study", "--first", first, "--count", count)
        assert set(found) == {*READERS, *OF_A_STUDY}
        inputs += sum(told["inputs"] for told in found.values())
        faults |= {
            f"{name} {fault['number']}": fault["fault"] for name, told in found.items() for fault in told["faults"]
        }
        first += count
    print(f"{inputs} inputs")
    assert faults == {}


def _reader(read: Callable[[], object]) -> Reader:
    return Reader(lambda _: [b"whole"], lambda data, _: data, lambda *_: read())


def _raise(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda: None, None),
        (lambda: _raise(DataError("one line: repair it")), None),
        (lambda: _raise(KeyError("shape")), "KeyError: 'shape'"),
        (lambda: _raise(MemoryError()), "MemoryError"),
        (lambda: time.sleep(5), "longer than"),
    ],
)
def test_the_campaign_tells_a_fault_from_a_refusal(
    read: Callable[[], object], fault: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "LIMIT_S", 0.1)
    before = campaign.signal.signal(campaign.signal.SIGALRM, campaign._too_slow)
    try:
        told = campaign._fault(_reader(read), b"", Samples(Path(), Path(), Path()))
    finally:
        campaign.signal.signal(campaign.signal.SIGALRM, before)
    assert told is None if fault is None else fault in told
