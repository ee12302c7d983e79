"""The benchmark of memory in training: its table, and a side as a process of its own."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import memory


def test_ratios_are_taken_within_each_round() -> None:
    taken = {"as it was": [2.0, 4.0], "kept": [1.0, 2.0], "channels last": [2.0, 4.0], "both": [0.5, 1.0]}
    made = memory.report({"a network": taken}, steps=10)
    network, each, kept, last, both = made.tables[0].rows[0]
    assert (network, each) == ("a network", "300.0")
    assert (kept[:5], last[:5], both[:5]) == ("2.000", "1.000", "4.000")
    assert "within each of 2 rounds" in made.method


@pytest.mark.soak
@pytest.mark.parametrize("side", memory.SIDES)
def test_a_side_takes_its_steps_in_a_process_of_its_own(side: str, tmp_path: Path) -> None:
    file = tmp_path / "images.npz"
    np.savez(file, images=np.zeros((200, 1, 32, 32), np.uint8), labels=np.zeros(200, np.int64))
    assert memory._Child(file, "separable", side, 2)() > 0
