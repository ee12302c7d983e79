"""No text in a figure covers another one, on a desktop, on a phone and on paper, however much there is."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from niwaki.drawing.chart import Axis, Chart, Matrix, Panel, Point, Rule, Series
from niwaki.reporting.document import Document, Figure, Section
from niwaki.reporting.page import to_html

RATIOS = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 92, 95, 97, 98, 99)
BOXES = """() => [...document.querySelectorAll(".plot")].filter(p => p.getClientRects().length).map(plot => {
    const box = e => (r => [r.left, r.top, r.right, r.bottom])(e.getBoundingClientRect());
    const texts = [...plot.querySelectorAll("text")].filter(t => t.textContent && !t.getAttribute("transform"));
    const scale = (box(plot)[2] - box(plot)[0]) / plot.viewBox.baseVal.width;
    return {id: plot.id, panel: box(plot.closest(".panel")), scale, texts: texts.map(t => [t.textContent, ...box(t)])};
})"""
MEDIA = [(1280, "screen"), (390, "screen"), (703, "print")]


def points(values: list[tuple[float | str, float]], **more: str) -> tuple[Point, ...]:
    return tuple(Point(x, y, "t", **more) for x, y in values)


def ratios() -> Chart:
    x = Axis("Ratio (%)", unit="percent", ticks=tuple(map(float, RATIOS)))
    accuracies = [(float(ratio), 99.9 - ratio / 200) for ratio in RATIOS]
    rules = (Rule(100.0, "base 100.00 %"), Rule(99.9, "base of another seed 99.90 %"))
    panel = Panel(x, Axis("Test accuracy (%)", unit="percent"), (Series("a", points(accuracies)),), "", rules)
    return Chart("ratios", "lines", "Ratios", "", "d", (panel,))


def ends() -> Chart:
    steps = tuple(map(str, range(40)))
    series = tuple(
        Series(f"{ratio} %", points([(step, 90 - ratio / 100) for step in steps]), look, end_label=f"{ratio} %")
        for look, ratio in enumerate((*RATIOS, 99.5, 99.9))
    )
    panel = Panel(Axis("Step", "category", categories=steps), Axis("Test accuracy (%)", unit="percent"), series)
    return Chart("ends", "lines", "Ends", "", "d", (panel,) * 3)


def front() -> Chart:
    crowd = points([(1000.0 * 1.2**index, 80 + index * 0.3) for index in range(40)])
    few = (Point(30_000.0, 85.0, "t", chosen=True, label="chosen"), *points([(31_000.0, 85.1)], label="near by"))
    panel = Panel(Axis("Parameters", "log", "count"), Axis("Test accuracy (%)", unit="percent"),
                  (Series("n", crowd, 5, joined=False), Series("f", few, stepped=True)))  # fmt: skip
    return Chart("front", "lines", "Front", "", "d", (panel,) * 3)


def channels() -> Chart:
    steps = tuple(f"step {index}" for index in range(20))
    labelled = tuple(Point(step, 512.0 - index, "t", label=str(512 - index)) for index, step in enumerate(steps))
    panel = Panel(Axis("Ratio", "category", categories=steps), Axis("Channels", unit="count"), (Series("", labelled),))
    return Chart("channels", "lines", "Channels", "", "d", (panel,) * 5)


def small() -> Chart:
    loss = points([(float(epoch), 2 / epoch) for epoch in range(1, 60)])
    panel = Panel(Axis("", unit="count"), Axis("", from_zero=True), (Series("l", loss, thin=True),), "a value")
    return Chart("small", "lines", "Loss", "", "d", (panel,) * 20, small=True)


def matrix(classes: int) -> Chart:
    labels = tuple(f"class number {index}" for index in range(classes))
    counts = tuple(tuple(1000 + index for index in range(classes)) for _ in labels)
    whole = Matrix("m", labels, counts, tuple(("t",) * classes for _ in labels), "true", "answer")
    return Chart(f"matrix{classes}", "matrix", "Matrix", "", "d", matrices=(whole, whole))


def bars(kind: str) -> Chart:
    names = tuple(f"a layer with a long name {index}" for index in range(12))
    lengths = tuple(Point(10.0 ** (index / 2), name, "t") for index, name in enumerate(names))
    x = Axis("Bytes of constants, all of them together", unit="bytes", from_zero=True)
    panel = Panel(x, Axis("", "category", categories=names), (Series("s", lengths, joined=False),))
    return Chart(kind, kind, "Bars", "", "d", (panel,) * 4)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of figures that have more in them than there is room for."""
    charts = [ratios(), ends(), front(), channels(), small(), *map(matrix, (3, 12, 60)), bars("bars"), bars("dots")]
    section = Section("answer", "All", tuple(map(Figure, charts)))
    file = tmp_path_factory.mktemp("crowded") / "page.html"
    file.write_text(to_html(Document("en", "t", "b", (), (section,), ())))
    return file


def covered(page: object) -> list[tuple[str, str, str]]:
    """Pairs of texts in one figure that cover one another, and texts that stand out of their panel."""
    found = []
    for plot in page.evaluate(BOXES):  # type: ignore[attr-defined]
        slack = 2 * plot["scale"]  # letters are lower than their line
        for (one, l1, t1, r1, b1), (other, l2, t2, r2, b2) in itertools.combinations(plot["texts"], 2):
            if min(r1, r2) - max(l1, l2) > 0 and min(b1, b2) - max(t1, t2) > slack:
                found.append((plot["id"], one, other))
        left, _, right, _ = plot["panel"]
        found += [
            (plot["id"], text, "out") for text, at, _, end, _ in plot["texts"] if at < left - 8 or end > right + 8
        ]
    return found


@pytest.mark.parametrize(("width", "media"), MEDIA)
def test_texts_keep_clear_of_one_another(crowded, finished_study, korean_page, open_page, width, media) -> None:
    for file in (crowded, finished_study / "report.html", korean_page):
        page = open_page(file, width=width).page
        page.emulate_media(media=media)
        assert covered(page) == []


def test_what_is_left_out_leaves_ends_and_the_choice(crowded, open_page) -> None:
    page = open_page(crowded).page
    texts = {plot["id"]: [text for text, *_ in plot["texts"]] for plot in page.evaluate(BOXES)}
    assert {"99", "10"} <= set(texts["ratios-0-wide"])
    assert texts["ends-0"].count("99.9 %") == 1
    assert "chosen" in texts["front-0"]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_text_can_be_read(crowded, open_page, width) -> None:
    plots = open_page(crowded, width=width).page.evaluate(BOXES)
    assert {plot["id"] for plot in plots if plot["scale"] * 11 < 8.9} == set()


def test_one_panel_is_as_wide_as_the_text_and_twenty_stand_side_by_side(crowded, open_page) -> None:
    for width, abreast in ((1280, 5), (390, 2)):
        page = open_page(crowded, width=width).page
        main, one = (page.evaluate(f"document.querySelector({name!r}).getBoundingClientRect().width")
                     for name in ("main", "#ratios .panel"))  # fmt: skip
        assert one == pytest.approx(main, abs=1)
        tops = page.eval_on_selector_all("#small .plot", "all => all.map(p => p.getBoundingClientRect().top)")
        assert len(tops) == 20
        assert tops.count(tops[0]) >= abreast


@pytest.mark.parametrize("width", [1280, 1024, 390])
def test_the_contents_stay_in_sight(finished_study, open_page, width) -> None:
    page = open_page(finished_study / "report.html", width=width).page
    page.locator("#classes-title").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('classes').scrollIntoView()")
    page.locator('.contents a[aria-current][href="#classes"]').wait_for()
    here = page.locator(".contents a[aria-current]")
    assert here.is_visible()
    box = here.bounding_box()
    assert 0 <= box["x"] < width
    assert 0 <= box["y"] < 900
    title = page.locator("#classes-title").bounding_box()
    assert width >= 1248 or title["y"] >= box["y"] + box["height"]  # not behind the list
