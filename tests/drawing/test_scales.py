"""The positions of values and ticks on an axis, worked out by hand."""

from __future__ import annotations

import pytest

from niwaki.drawing.chart import Axis
from niwaki.drawing.scales import Scaled, log_ticks, round_ticks, scaled, tick_text

SUM = 0.1 + 0.2  # a little above 0.3


def test_ticks_are_round_numbers() -> None:
    assert round_ticks(0, 61_706, 5) == [0, 20_000, 40_000, 60_000]
    assert round_ticks(86.1, 89.4, 6) == [87, 88, 89]
    assert round_ticks(-3, 12, 3) == [0, 5, 10]
    assert round_ticks(0, 3, 3) == [0, 1, 2, 3]
    assert round_ticks(0, 27, 3) == [0, 10, 20]  # 9 apart would be enough, which is no round number


def test_ticks_at_the_ends_are_there_though_fractions_are_not_exact() -> None:
    assert round_ticks(0, SUM, 3) == [0, 0.1, 0.2, 0.3]
    assert round_ticks(SUM, 0.8, 5) == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert round_ticks(0.1, 0.6, 5) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_ticks_of_a_logarithmic_axis() -> None:
    assert log_ticks(400, 70_000, 6) == [1000, 10_000]
    assert log_ticks(10, 100, 6) == [10, 100]  # both ends
    assert log_ticks(3, 30, 6) == [5, 10, 20]
    assert log_ticks(40, 90, 6) == [40, 50, 60, 70, 80, 90]
    assert log_ticks(3, 3.5, 6) == [3, 3.2, 3.4]
    assert log_ticks(9, 12, 6) == [9, 10]
    assert log_ticks(0.01, 1, 6) == pytest.approx([0.01, 0.1, 1])
    assert log_ticks(3.2, 3.5, 6) == [3.2, 3.3, 3.4, 3.5]  # not one digit lies between
    assert log_ticks(1300, 2400, 6) == [1500, 2000]  # of fewer than two digits, round numbers
    assert log_ticks(1, 1e11, 6) == [10.0**power for power in range(12)]
    assert log_ticks(1, 1e12, 6) == [1, 1e3, 1e6, 1e9, 1e12]  # more than twice as many as asked for


@pytest.mark.parametrize(
    ("value", "unit", "step", "text"),
    [
        (20_000, "count", 20_000, "20k"),
        (-20_000, "count", 20_000, "-20k"),
        (1000, "count", 500, "1k"),
        (1_000_000, "bytes", 1, "1M"),
        (2_500_000, "bytes", 1, "2.5M"),
        (999, "count", 1, "999"),
        (500, "bytes", 500, "500"),
        (20_000, "us", 1, "20,000"),
        (87.5, "percent", 2.5, "87.5"),
        (85, "percent", 2.5, "85.0"),
        (88, "percent", 1, "88"),
        (SUM, "number", 0.1, "0.3"),
        (0.1234567, "number", 1, "0.123457"),
        (0.001, "number", 0.001, "0.001"),
        (0.0004, "number", 1, "4e-4"),
        (1e-6, "number", 1, "1e-6"),
        (0, "number", 1, "0"),
    ],
)
def test_tick_texts(value, unit, step, text) -> None:
    assert tick_text(value, unit, step) == text


def test_a_step_is_a_whole_one_unless_it_is_told() -> None:
    assert tick_text(3, "us") == "3"


def spans(axis: Axis, *values: float) -> tuple[float, float]:
    found = scaled(axis, values, 0, 1)
    return pytest.approx(found.low), pytest.approx(found.high)


def test_six_hundredths_of_the_range_are_free_at_both_ends() -> None:
    found = scaled(Axis("x"), [20.0, 10.0, 15.0], 100, 212)
    assert (found.low, found.high) == pytest.approx((9.4, 20.6))
    assert found.ticks == (10, 12, 14, 16, 18, 20)
    assert [found.at(value) for value in (10, 20)] == pytest.approx([106, 206])


def test_one_value_and_none_have_a_range_of_their_own() -> None:
    assert spans(Axis("x"), 5) == (4.5, 5.5)
    assert spans(Axis("x"), 100) == (94, 106)
    assert spans(Axis("x"), -100) == (-106, -94)
    assert spans(Axis("x")) == (-0.06, 1.06)
    assert spans(Axis("x", "log"), 10) == (0.8, 1.2)
    assert spans(Axis("x", "log"), 0, -2) == (-0.06, 1.06)  # what has no logarithm is left out


def test_an_axis_reaches_over_its_ticks_and_what_other_panels_hold() -> None:
    assert spans(Axis("x", reach=(0, 40)), 10, 20) == (-2.4, 42.4)
    given = scaled(Axis("x", ticks=(3.0, 9.0)), [5.0], 0, 1)
    assert (given.low, given.ticks) == (pytest.approx(2.64), (3, 9))


def test_an_axis_from_zero_begins_there_unless_there_is_less() -> None:
    assert spans(Axis("y", from_zero=True), 100) == (0, 106)
    assert spans(Axis("y", from_zero=True), -10, 10) == (-11.2, 11.2)
    upward = scaled(Axis("y", from_zero=True), [100.0], 200, 0)
    assert upward.at(0) == 200
    assert upward.ticks == (0, 20, 40, 60, 80, 100)


def test_no_percentage_is_below_0_or_above_100() -> None:
    axis = Axis("y", unit="percent")
    assert spans(axis, 20, 70) == (17, 73)
    assert spans(axis, 1, 51) == (0, 54)
    assert spans(axis, -3, 85) == (0, 90.1)  # an error bar reaches further
    assert spans(axis, 0.5, 99.5) == (0, 100)
    near = scaled(axis, [99.0, 99.98], 0, 1)
    assert (near.high, near.ticks[-1]) == (100, 100)
    assert spans(axis, 50, 100) == spans(axis, 50, 130) == (47, 101.5)  # half the room, for the marks at 100
    assert scaled(axis, [50.0, 100.0], 0, 1, most=120).ticks[-1] == 100


def test_about_as_many_ticks_as_asked_for() -> None:
    assert scaled(Axis("x"), [0.0, 5.8], 0, 1).ticks == (0, 2, 4, 6)
    assert scaled(Axis("x"), [0.0, 5.8], 0, 1, most=7).ticks == (0, 1, 2, 3, 4, 5, 6)
    decades = [1.0, 1e14]
    assert scaled(Axis("x", "log"), decades, 0, 1).ticks == (1, 1e3, 1e6, 1e9, 1e12)
    assert len(scaled(Axis("x", "log"), decades, 0, 1, most=8).ticks) == 15


def test_a_logarithmic_axis() -> None:
    found = scaled(Axis("x", "log"), [1.0, 100.0, 0.0], 50, 150)
    assert (found.low, found.high) == pytest.approx((-0.12, 2.12))
    assert found.at(10) == pytest.approx(100)
    assert found.at(1) == pytest.approx(50 + 100 * 0.12 / 2.24)
    assert found.ticks == (1, 10, 100)
    assert scaled(Axis("x", "log"), [1e4, 1e6], 0, 1).ticks == (1e4, 1e5, 1e6)
    assert spans(Axis("x", "log"), 1, 0.01) == (-2.12, 0.12)  # small, but above zero
    assert scaled(Axis("x", "log", ticks=(2.0, 50.0)), [5.0], 0, 1).ticks == (2, 50)


def test_categories_share_the_axis() -> None:
    axis = Axis("x", "category", categories=("a", "b", "8"))
    found = scaled(axis, [3.0], 10, 130)
    assert found == Scaled(axis, 0, 1, 10, 130, ())
    assert found.at(8) == 110  # by its name
    assert found.labels == [(30, "a"), (70, "b"), (110, "8")]


def test_ticks_have_no_more_decimals_than_the_smallest_step_needs() -> None:
    quarters = Scaled(Axis("y", unit="percent"), 0, 10, 0, 100, (2.5, 5.0, 10.0))
    assert quarters.labels == [(25, "2.5"), (50, "5.0"), (100, "10.0")]
    for ticks, texts in (((0.5, 1, 1.5), ["0.5", "1.0", "1.5"]), ((0.4, 0.6, 0.8, 1), ["0.4", "0.6", "0.8", "1.0"])):
        assert [text for _, text in Scaled(Axis("y"), 0, 2, 0, 100, ticks).labels] == texts
    assert Scaled(Axis("y", unit="count"), 0, 9000, 0, 9, (3000.0,)).labels == [(3, "3k")]
    assert Scaled(Axis("y"), 0, 9, 0, 9, (3.0,)).labels == [(3, "3")]
