"""The benchmark of weights of few bits: its counts, and its verdict on the goal."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import few_bits

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import NiwakiError
from niwaki.toolchain.targets import TARGETS, missing_tools


def costs(slowest: int) -> list[few_bits.Cost]:
    return [
        few_bits.Cost(name, bits, 1000 * bits, 1200 * bits, {"-O2": count, "-Os": 200})
        for name, counts in (("LeNet-5", (100, 90, slowest)), ("DS-CNN", (100, 100, 120)))
        for bits, count in zip(few_bits.BITS, counts, strict=True)
    ]


def test_the_goal_is_for_every_network() -> None:
    made = few_bits.report(costs(130))
    assert made.tables[0].rows[2] == ("LeNet-5", "2", "2,000", "2,400", "130", "1.30", "200", "1.00")
    assert made.findings == ("Fewer bits take at most 1.30 times the instructions of 8 bits; goal: at most 1.3 (met).",)
    assert (
        "at most 1.31 times the instructions of 8 bits; goal: at most 1.3 (MISSED)"
        in few_bits.report(costs(131)).findings[0]
    )
    assert made.figures["DS-CNN, 4 bits"]["constants"] == 4000


@pytest.mark.soak
def test_a_network_is_counted_and_its_scores_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing_tools(TARGETS["cortex-m4"]):
        pytest.skip(f"needs {TARGETS['cortex-m4'].packages}")
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    part = Split(images, np.zeros(20, np.int64))
    data = Dataset("noise", ("a",), Preprocessing(pad=2), "", "", True, part, part, part)
    rows = few_bits.run(data, quick=True).tables[0].rows
    assert [row[:3] for row in rows] == [
        ("LeNet-5, 60 %", bits, size) for bits, size in (("8", "10,355"), ("4", "5,788"), ("2", "3,505"))
    ]
    monkeypatch.setattr(few_bits.reference, "run", lambda _graph, inputs: np.zeros((len(inputs), 10), np.int8))
    with pytest.raises(NiwakiError, match="other scores than those of the reference"):
        few_bits.run(data, quick=True)
