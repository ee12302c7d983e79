"""Data whose classes are in another order than a model's."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from niwaki.data.classes import in_order, places_of, shown
from niwaki.data.dataset import Dataset
from niwaki.errors import DataError


def test_the_same_names_in_another_order_are_renumbered(small_data: Dataset) -> None:
    told: list[str] = []
    found = in_order(small_data, ("2", "0", "3", "1"), notify=told.append)
    assert found.labels == ("2", "0", "3", "1")
    for part in ("train", "validation", "test"):
        before, after = getattr(small_data, part), getattr(found, part)
        assert [found.labels[label] for label in after.labels] == [small_data.labels[label] for label in before.labels]
        assert after.labels.dtype == np.int64
        assert after.images is before.images
    assert found.fingerprint == small_data.fingerprint
    assert len(told) == 1
    assert "another order" in told[0]
    assert "(0, 1, 2, 3; the model: 2, 0, 3, 1)" in told[0]


def test_the_same_order_is_the_same_data(small_data: Dataset) -> None:
    told: list[str] = []
    assert in_order(small_data, list(small_data.labels), notify=told.append) is small_data
    assert told == []


@pytest.mark.parametrize("labels", [("0", "1", "2"), ("0", "1", "2", "x"), ("0", "1", "2", "2"), tuple("01234")])
def test_other_names_are_refused_with_both_lists(small_data: Dataset, labels: tuple[str, ...]) -> None:
    expected = rf"4 classes \(0, 1, 2, 3\), but mine has {len(labels)} classes \({', '.join(labels)}\): give the data"
    with pytest.raises(DataError, match=expected):
        in_order(small_data, labels, of="mine")
    assert places_of(labels, small_data.labels) is None


def test_accents_are_the_same_however_they_are_written(small_data: Dataset) -> None:
    told: list[str] = []
    taken_apart = tuple(unicodedata.normalize("NFD", name) for name in ("été", "b", "c", "d"))
    found = in_order(replace(small_data, labels=taken_apart), ("été", "b", "c", "d"), notify=told.append)
    assert found.labels[0] == "été"
    assert told == []
    np.testing.assert_array_equal(found.train.labels, small_data.train.labels)


def test_names_are_told_in_one_line(small_data: Dataset) -> None:
    told: list[str] = []
    strange = replace(small_data, labels=("0", "1", "\x1b[2J", "a\nb"))
    in_order(strange, ("1", "0", "\x1b[2J", "a\nb"), notify=told.append)
    assert r"(0, 1, \x1b[2J, a\nb; the model: 1, 0, \x1b[2J, a\nb)" in told[0]


def test_long_lists_are_cut() -> None:
    assert shown([str(number) for number in range(40)]).endswith("10, 11, … (40)")
    assert shown(["x" * 100, "b"]) == "x" * 23 + "…, b"
