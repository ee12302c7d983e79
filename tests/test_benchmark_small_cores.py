"""The benchmark of small cores: its table, its verdict, what it refuses."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import small_cores
from benchmarks.small_cores import Cost

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import NiwakiError, ToolMissing


def test_an_uno_has_memory_to_spare_or_not() -> None:
    cost = Cost("LeNet-5", "ATmega328P", "plain C", "-Os", 12_097_792, 429)
    made = small_cores.report([cost], (50, 8))
    assert made.tables[0].rows == (("LeNet-5, ATmega328P", "plain C", "-Os", "12,097,792", "429"),)
    assert made.findings == (
        "SelfTest on an Uno: 1,998 of 2,048 bytes of RAM at its peak, 50 never used; goal: at least 50 (met). 8 of 8 "
        "images right to the bit.",
    )
    assert "(MISSED)" in small_cores.report([cost], (49, 8)).findings[0]
    assert made.figures["selftest_ram"] == 1998


@pytest.fixture
def noise() -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    part = Split(images, np.zeros(20, np.int64))
    return Dataset("noise", ("a",), Preprocessing(pad=2), "", "", True, part, part, part)


def test_what_is_missing_is_named(noise: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "simavr" else f"/usr/bin/{tool}")
    with pytest.raises(ToolMissing, match="small-cores needs simavr.*: apt-get install simavr"):
        small_cores.run(noise, quick=True)


@pytest.mark.soak
def test_cores_are_counted_and_their_scores_compared(noise: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = small_cores.run(noise, quick=True).tables[0].rows
    count = {row[0].removeprefix("LeNet-5, 60 %, ") + ", " + row[1]: int(row[3].replace(",", "")) for row in rows}
    assert 2.0e6 < count["ATmega328P, niwaki_avr.h"] < 2.2e6
    assert 11e6 < count["ATmega328P, plain C"] < 13e6
    assert 1.6e6 < count["Cortex-M0, plain C"] < 1.9e6
    assert 1.0e6 < count["RV32IMC, plain C"] < 1.2e6
    monkeypatch.setattr(small_cores.reference, "run", lambda _graph, inputs: np.zeros((len(inputs), 10), np.int8))
    with pytest.raises(NiwakiError, match="LeNet-5, 60 % on ATmega328P, plain C, -Os: other scores"):
        small_cores.run(noise, quick=True)
