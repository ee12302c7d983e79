"""Budgets: what a text allows, in numbers."""

from __future__ import annotations

import pytest

from niwaki.study.budget import parse_budget


@pytest.mark.parametrize(
    ("text", "quantity", "limit"),
    [
        ("accuracy_drop<=1", "accuracy_drop", 1.0),
        ("accuracy_drop <= 0.5 %", "accuracy_drop", 0.5),
        ("macs<=83k", "macs", 83_000),
        ("params<=2M", "params", 2_000_000),
        ("bytes<=16KB", "bytes", 16_384),
        ("activations<=1.5MB", "activations", 1_572_864),
        ("flash<=16KB", "flash", 16_384),
        ("ram <= 2.5 kb", "ram", 2_560),
        ("latency<=2ms", "latency", 2_000),
        ("latency<=80us", "latency", 80),
        ("balanced_accuracy>=85.5", "balanced_accuracy", 85.5),
        ("worst_class >= 80 %", "worst_class", 80),
    ],
)
def test_budgets(text: str, quantity: str, limit: float) -> None:
    budget = parse_budget(text)
    assert (budget.quantity, budget.limit) == (quantity, limit)


@pytest.mark.parametrize(
    "text", ["macs<83k", "speed<=3", "bytes<=3ms", "params<=16KB", "flash<=2ms", "latency<=2", "macs<=-1", ""]
)
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="budget") as error:
        parse_budget(text)
    assert str(error.value) == (
        f"budget {text!r}: expected a quantity, <= or >= and a limit, as in accuracy_drop<=1, balanced_accuracy>=85, "
        "worst_class>=80, params<=20k, macs<=83k, bytes<=16KB, activations<=8KB, flash<=16KB, ram<=8KB, latency<=2ms"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worst_class<=80", r"opposite limit: worst_class>=…"),
        ("params>=20k", r"opposite limit: params<=…"),
        ("balanced_accuracy>=101", "is in percent: give 0 to 100"),
    ],
)
def test_a_limit_that_cannot_be_meant(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_budget(text)


def test_a_figure_within_a_limit() -> None:
    least, most = parse_budget("worst_class>=80"), parse_budget("params<=100")
    assert [least.allows(figure) for figure in (79.9, 80.0, 90.0, None)] == [False, True, True, False]
    assert [most.allows(figure) for figure in (99, 100, 101, None)] == [True, True, False, False]
    drop = parse_budget("accuracy_drop<=2")
    assert drop.allows(2 + 1e-10)  # sums of fractions are a little off
    assert [drop.allows(2 + 1e-8), least.allows(80 - 1e-10), least.allows(80 - 1e-8)] == [False, True, False]


def test_a_limit_is_shown_as_it_was_written() -> None:
    assert parse_budget(" bytes <= 16KB ").text == "bytes <= 16KB"


def test_a_percentage_may_be_the_highest_there_is() -> None:
    assert parse_budget("worst_class>=100").allows(100.0)
