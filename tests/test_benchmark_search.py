"""The benchmark of searches: its verdicts, its data, and a search that goes on where it was stopped."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import search, search_data

import niwaki


def found(gain: float) -> search.Found:
    better, same = [90.0 + gain, 91.0 + gain], [90.0, 91.0]
    return {
        "tpe": {16: better, 8: better, 4: same, 2: [90.0, 91.4]},
        "random": dict.fromkeys(search.BUDGETS, same),
    }


def half(after: float) -> search.Half:
    return search.Half("LeNet-5", "syllables, 4,000 test images", 46000, 97.0, 22900, after)


def test_differences_are_taken_within_a_seed() -> None:
    made = search.report(found(0.5), [half(96.0)], (32, 12_000))
    assert made.tables[0].rows[0] == ("16 KB", "91.00 ± 0.71", "90.50 ± 0.71", "+0.50 ± 0.00")
    assert made.tables[1].rows[0][2:] == ("46,000", "97.00", "22,900", "96.00", "+1.00")
    assert made.findings[0].startswith("Better than random by more than the spread in 2 of 4 budgets, worse in 0")
    assert made.findings[0].endswith("(met).")
    assert "on 12,000 images" in made.method
    assert made.findings[1] == "At most 1.00 points are lost in half the bytes (LeNet-5); goal: at most 1 (met)."
    missed = search.report(found(-0.1), [half(95.9)], (32, 12_000))
    assert all(finding.endswith("(MISSED).") for finding in missed.findings)
    assert "in 0 of 4 budgets, worse in 2" in missed.findings[0]


def test_syllables_are_told_apart_by_eye_and_always_the_same(tmp_path: Path) -> None:
    if not all(font.is_file() for font in search_data.FONTS):
        pytest.skip("needs fonts-noto-cjk: apt-get install fonts-noto-cjk")
    search_data.write_syllables(tmp_path / "one.npz", 40, 20)
    search_data.write_syllables(tmp_path / "two.npz", 40, 20)
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        assert {name: array.shape for name, array in one.items()} == {
            "x_train": (40, 28, 28), "y_train": (40,), "x_test": (20, 28, 28), "y_test": (20,),
        }  # fmt: skip
        assert all(np.array_equal(one[name], two[name]) for name in one)
        ink = one["x_train"].reshape(40, -1).mean(1)
        assert ink.min() > 5
        assert ink.max() < 120
        means = np.stack([one["x_train"][one["y_train"] == label].mean(0) for label in range(10)])
        assert all(np.abs(means[0] - other).mean() > 5 for other in means[1:])


def test_the_residual_network_takes_colour() -> None:
    assert tuple(search_data.Residual().eval()(torch.zeros(2, 3, 32, 32)).shape) == (2, 10)


@pytest.mark.soak
def test_a_search_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    data = niwaki.load_data("fashion-mnist")
    first = search.run(data, quick=True, folder=tmp_path)
    assert search.run(data, quick=True, folder=tmp_path).tables == first.tables
