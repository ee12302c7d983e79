"""Scales, labels and SVG of figures."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.drawing.chart import Axis, Chart, Matrix, Panel, Point, Rule, Series
from niwaki.drawing.figure import draw
from niwaki.drawing.labels import Label, along, apart, around, free_label
from niwaki.drawing.markers import DASHES, LOOKS, MARKERS, SOURCE_DASH
from niwaki.drawing.svg import fitted, tag, text_width

SVG = "{http://www.w3.org/2000/svg}"


def test_labels_are_moved_apart_around_their_middle_and_stay_between_the_ends() -> None:
    assert apart([10, 12, 90], 0, 100) == [4.5, 17.5, 90]
    assert apart([50, 50, 50], 0, 100) == [37, 50, 63]
    assert apart([95, 96, 97], 0, 100) == [74, 87, 100]
    assert apart([1, 2, 3], 0, 100) == [0, 13, 26]
    assert apart([40, 70], 0, 100) == [40, 70]  # far enough apart: where they belong
    assert apart([], 0, 100) == []
    assert apart([1, 2, 3], 0, 20) == [-6, 7, 20]  # no room for all: none below the axis


@given(st.lists(st.floats(0, 300), min_size=1, max_size=7).map(sorted))
def test_labels_at_the_ends_of_lines_never_overlap_and_have_the_middle_of_their_lines(places) -> None:
    moved = apart(places, -200, 500)
    assert all(b - a >= 13 - 1e-9 for a, b in itertools.pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)


def test_a_label_stands_where_it_covers_nothing() -> None:
    box = (0.0, 0.0, 200.0, 200.0)
    mark = list(around((100, 100), 9))

    def placed(*lines):
        taken = [*mark, *(place for line in lines for place in along(line))]
        label = free_label(((100, 100), 9, 40), 11, taken, [], box)
        assert label is not None
        assert label.is_inside(*box)
        assert not any(label.covers(place) for place in taken)
        return label

    above = placed()
    assert (above.x, above.y < 100) == (100, True)
    over, under = [(0, 82), (200, 82)], [(0, 118), (200, 118)]
    assert placed(over).y > 110
    assert placed(over, under).x - 20 >= 109  # beside it
    assert placed(over, under, [(100, 100), (200, 100)]).x + 20 <= 91
    at_the_top = free_label(((100, 8), 9, 40), 11, [], [], box)
    assert at_the_top.y > 17  # above it is no room


def test_a_label_never_covers_another_text() -> None:
    around_it, box = ((100, 100), 9, 40), (0, 0, 200, 200)
    first = free_label(around_it, 11, [], [], box)
    second = free_label(around_it, 11, [], [first], box)
    assert not first.meets(second)
    assert free_label(around_it, 11, [], [Label(100, 100, 400, 400)], box) is None  # pointing at the mark says it


def test_the_name_of_the_choice_keeps_clear_of_the_front() -> None:
    """Its ring stands where the stepped line climbs: the name goes where neither line nor marks are."""
    front = [Point(x, y, "t") for x, y in ((1.0, 80.0), (3.0, 84.0), (5.0, 86.0), (5.1, 88.5), (9.0, 91.0))]
    others = [Point(5.6, 86.6, "t"), Point(5.0, 87.4, "t"), Point(5.0, 86.8, "t", chosen=True, label="chosen")]
    panel = Panel(
        Axis("x"), Axis("y"), (Series("o", tuple(others), 5, joined=False), Series("f", tuple(front), stepped=True))
    )
    root = ElementTree.fromstring(draw(Chart("c", "lines", "", "", "", (panel, panel, panel)))[0])
    text = next(node for node in root.iter(f"{SVG}text") if node.text == "chosen")
    x, y, half = float(text.get("x")), float(text.get("y")), text_width("chosen", 12) / 2
    line = next(node for node in root.iter(f"{SVG}path") if node.get("class", "").startswith("line")).get("d")
    corners = [tuple(map(float, corner.split(","))) for corner in line[1:].split("L")]
    marks = [(float(g.get("data-x")), float(g.get("data-y"))) for g in root.iter(f"{SVG}g") if g.get("data-x")]
    assert len(marks) == 8
    hit = [(px, py) for px, py in (*along(corners), *marks) if abs(px - x) <= half and y - 9 <= py <= y + 3]
    assert hit == []


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
    points = (Point(1.0, 2.0, "t"), Point(2.0, 3.0, "t"))
    series = [Series(f"s{look}", points, look=look) for look in range(LOOKS)] + [Series("p", points, source=True)]
    root = ElementTree.fromstring(
        draw(Chart("c", "lines", "", "", "", (Panel(Axis("x"), Axis("y"), tuple(series)),)))[0]
    )
    lines = [line for line in root.iter(f"{SVG}path") if (line.get("class") or "").startswith("line ")]
    assert [line.get("stroke-dasharray") for line in lines] == [*DASHES, SOURCE_DASH]


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


def test_a_point_that_no_line_shows_keeps_the_size_of_its_mark() -> None:
    points = tuple(Point(x, x, "") for x in (1.0, 2.0))
    panel = Panel(
        Axis("x"), Axis("y"), (Series("line", points, 0, thin=True), Series("alone", points[:1], 1, thin=True))
    )
    (picture,) = draw(Chart("f", "lines", "t", "c", "d", (panel,)))
    places = [
        mark.get("transform") for mark in ElementTree.fromstring(picture).iter(f"{SVG}path") if mark.get("class") == "m"
    ]
    assert [" scale(0.5)" in place for place in places] == [True, True, False]
