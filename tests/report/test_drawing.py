"""Scales, labels and SVG of figures."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from niwaki.report.charts.chart import Axis, Chart, Matrix, Panel, Point, Rule, Series
from niwaki.report.drawing.figure import draw
from niwaki.report.drawing.lines import apart
from niwaki.report.drawing.markers import DASHES, LOOKS, MARKERS
from niwaki.report.drawing.scales import log_ticks, round_ticks, scaled, tick_text
from niwaki.report.drawing.svg import fitted, tag, text_width

SVG = "{http://www.w3.org/2000/svg}"


def test_ticks_are_round_numbers() -> None:
    assert round_ticks(0, 61_706, 5) == [0, 20_000, 40_000, 60_000]
    assert round_ticks(86.1, 89.4, 6) == [87, 88, 89]
    assert log_ticks(400, 70_000, 6) == [1000, 10_000]
    assert log_ticks(40, 90, 6) == [40, 50, 60, 70, 80, 90]
    assert log_ticks(3, 3.5, 6) == [3]


@pytest.mark.parametrize(
    ("value", "unit", "step", "text"),
    [(20_000, "count", 20_000, "20k"), (2_500_000, "bytes", 1, "2.5M"), (500, "bytes", 500, "500"),
     (87.5, "percent", 2.5, "87.5"), (85, "percent", 2.5, "85.0"), (88, "percent", 1, "88"),
     (1e-6, "number", 1, "1e-6")],
)  # fmt: skip
def test_tick_texts(value, unit, step, text) -> None:
    assert tick_text(value, unit, step) == text


def test_scales_put_values_on_pixels() -> None:
    linear = scaled(Axis("y", from_zero=True), [100.0], 200, 0)
    assert linear.at(0) == 200  # zero is the axis itself
    assert 0 < linear.at(100) < 20
    logarithmic = scaled(Axis("x", "log"), [1.0, 100.0], 0, 100)
    assert logarithmic.at(10) == pytest.approx(50)
    names = scaled(Axis("x", "category", categories=("a", "b")), [], 0, 100)
    assert [names.at(name) for name in "ab"] == [25, 75]
    full = scaled(Axis("x", unit="percent"), [99.0, 99.98], 0, 1)
    assert full.high == 100
    assert max(full.ticks) <= 100
    spread = scaled(Axis("y", unit="percent"), [-3.0, 85.0], 100, 0)
    assert (spread.low, min(spread.ticks)) == (0, 0)  # no accuracy is below 0, whatever its error bar
    assert scaled(Axis("x"), [5.0], 0, 100).at(5) == pytest.approx(50)
    assert scaled(Axis("x"), [], 0, 1).ticks


def test_labels_are_moved_apart_and_stay_above_the_axis() -> None:
    assert apart([10, 12, 90], 100) == [10, 23, 90]
    assert apart([95, 96, 97], 100) == [74, 87, 100]
    assert apart([], 100) == []


def test_text_is_cut_where_there_is_no_room() -> None:
    assert fitted("short", 12, 100) == "short"
    cut = fitted("a very long name of a class", 12, 80)
    assert cut.endswith("…")
    assert text_width(cut, 12) <= 80.5
    assert text_width("가방", 12) == 24


def test_everything_in_svg_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    assert "<script" not in tag("text", evil, data_tip=evil, class_="x")
    point = Point(evil, 1.0, evil, label=evil)
    panel = Panel(Axis(evil, "category", categories=(evil,)), Axis(evil), (Series(evil, (point,), end_label=evil),),
                  rules=(Rule(1.0, evil),))  # fmt: skip
    flipped = Panel(Axis(evil), Axis("", "category", categories=(evil,)), (Series(evil, (Point(1.0, evil, evil),)),))
    matrix = Matrix(evil, (evil,), ((3,),), ((evil,),), evil, evil)
    for chart in (
        Chart("a", "lines", evil, evil, evil, (panel,)),
        Chart("b", "dots", evil, evil, evil, (flipped,)),
        Chart("c", "bars", evil, evil, evil, (flipped,)),
        Chart("d", "matrix", evil, evil, evil, matrices=(matrix,)),
    ):
        for text in draw(chart):
            assert "<script" not in text
            assert ElementTree.fromstring(text).find(f"{SVG}title").text.startswith(evil)


def test_the_same_chart_gives_the_same_bytes_and_its_own_ids() -> None:
    panel = Panel(Axis("x"), Axis("y"), (Series("s", (Point(1.0, 2.0, "t"), Point(2.0, 1.0, "t"))),))
    one, two = (Chart(name, "lines", "t", "", "d", (panel, panel)) for name in ("one", "two"))
    assert draw(one) == draw(one)
    ids = [
        e.get("id") for c in (one, two) for text in draw(c) for e in ElementTree.fromstring(text).iter() if e.get("id")
    ]
    assert len(ids) == len(set(ids)) == 12
    assert {name.split("-")[0] for name in ids} == {"one", "two"}
    root = ElementTree.fromstring(draw(one)[0])
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "one-0-t one-0-d"


def test_looks_differ_without_their_colour() -> None:
    assert len(set(MARKERS)) == len(set(DASHES)) == LOOKS


def test_error_bars_and_the_ring_of_the_choice() -> None:
    points = (Point(1.0, 2.0, "t", low=1.5, high=2.5), Point(2.0, 3.0, "t", chosen=True))
    text = draw(Chart("c", "lines", "", "", "", (Panel(Axis("x"), Axis("y"), (Series("s", points),)),)))[0]
    root = ElementTree.fromstring(text)
    assert len(root.findall(f".//{SVG}path[@class='whisker']")) == 1
    assert len(root.findall(f".//{SVG}circle[@class='ring']")) == 1
    assert len(root.findall(f".//{SVG}g[@class='pt chosen']")) == 1


def test_bars_are_stacked() -> None:
    y = Axis("", "category", categories=("a",))
    panel = Panel(
        Axis("x", from_zero=True), y, (Series("s", (Point(10.0, "a", ""),)), Series("t", (Point(30.0, "a", ""),)))
    )
    root = ElementTree.fromstring(draw(Chart("c", "bars", "", "", "", (panel,)))[0])
    first, second = (bar for bar in root.iter(f"{SVG}rect") if bar.get("class") == "bar")
    assert float(second.get("x")) == pytest.approx(float(first.get("x")) + float(first.get("width")), abs=0.02)
    assert float(second.get("width")) == pytest.approx(3 * float(first.get("width")), abs=0.05)
