"""Panels with a line for each category: dots with whiskers, and stacked bars."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from niwaki.drawing.chart import Panel, Point, Series
from niwaki.drawing.frame import TEXT, Box, mark, picture, x_axis
from niwaki.drawing.markers import look_class, marker
from niwaki.drawing.scales import Scaled, scaled
from niwaki.drawing.svg import fitted, tag, text_width

ROW = 30.0  # pixels for a category
WIDEST_NAME = 0.4  # of the picture


def draw_dots(name: str, panel: Panel, title: str, description: str, width: float) -> Markup:
    """Dots along the x axis, one line for each category of the y axis."""
    box = _box(panel, width)
    left, _, right, _ = box.ends
    x = scaled(panel.x, _reach(panel), left + 6, right)
    parts = [*_lanes(panel, box), *x_axis(x, box, grid=True)]
    parts += _spans(panel, x, box)
    many = len([s for s in panel.series if s.points])
    for index, series in sorted(enumerate(panel.series), key=lambda pair: not pair[1].source):
        shift = 0.0 if _apart(panel) else (index - (many - 1) / 2) * 7
        parts.append(
            tag(
                "g",
                *(_dot(series, p, x, _lane(panel, str(p.y), box) + shift) for p in series.points),
                class_=look_class(series),
            )
        )
    return picture(name, title, description, width, box.height, *parts)


def draw_bars(name: str, panel: Panel, title: str, description: str, width: float) -> Markup:
    """Bars, the series stacked in each."""
    box = _box(panel, width, margin=58)
    left, _, right, _ = box.ends
    totals = dict.fromkeys(panel.y.categories, 0.0)
    for series in panel.series:
        for point in series.points:
            totals[str(point.y)] += float(point.x)
    x = scaled(panel.x, totals.values(), left, right, most=4)
    parts = [*_lanes(panel, box, lines=False), *x_axis(x, box, grid=True)]
    ends = dict.fromkeys(totals, 0.0)
    for series in panel.series:
        drawn = []
        for point in series.points:
            start = ends[str(point.y)]
            ends[str(point.y)] = start + float(point.x)
            drawn.append(_bar(point, x.at(start), x.at(start + float(point.x)), _lane(panel, str(point.y), box)))
        parts.append(tag("g", *drawn, class_=look_class(series)))
    for category, total in totals.items():
        at = _lane(panel, category, box)
        parts.append(tag("text", f"{total:,.0f}", class_="said", x=x.at(total) + 6, y=at + 4))
    return picture(name, title, description, width, box.height, *parts)


def _box(panel: Panel, width: float, margin: float = 18) -> Box:
    widest = max((text_width(category, TEXT) for category in panel.y.categories), default=0)
    left = min(widest, WIDEST_NAME * width) + 15
    bottom = 44.0 if panel.x.title else 26.0
    return Box(width, 20 + ROW * len(panel.y.categories) + bottom, left, 20, margin, bottom)


def _lane(panel: Panel, category: str, box: Box) -> float:
    return box.top + ROW * (panel.y.categories.index(category) + 0.5)


def _lanes(panel: Panel, box: Box, *, lines: bool = True) -> Iterator[Markup]:
    left, _, right, _ = box.ends
    for category in panel.y.categories:
        at = _lane(panel, category, box)
        if lines:
            yield tag("path", class_="lane", d=f"M{left:.1f},{at:.1f}H{right:.1f}")
        shown = fitted(category, TEXT, left - 14)
        yield tag("text", shown, class_="category", x=left - 10, y=at + 4, text_anchor="end")


def _reach(panel: Panel) -> list[float]:
    found: list[float] = []
    for series in panel.series:
        for point in series.points:
            found += [float(point.x), *(end for end in (point.low, point.high) if end is not None)]
    return found


def _apart(panel: Panel) -> bool:
    """Whether dots of several series may share a line: they have no whiskers that would hide one another."""
    return all(point.low is None for series in panel.series for point in series.points)


def _spans(panel: Panel, x: Scaled, box: Box) -> Iterator[Markup]:
    """A line between the dots of one category that shows how far it moved. None if there are whiskers."""
    if not _apart(panel):
        return
    for category in panel.y.categories:
        places = [x.at(p.x) for s in panel.series for p in s.points if p.y == category]
        if len(places) > 1:
            at = _lane(panel, category, box)
            yield tag("path", class_="span", d=f"M{min(places):.1f},{at:.1f}H{max(places):.1f}")


def _dot(series: Series, point: Point, x: Scaled, py: float) -> Markup:
    px = x.at(point.x)
    parts = []
    if point.low is not None and point.high is not None:
        low, high = x.at(point.low), x.at(point.high)
        parts.append(tag("path", class_="whisker", d=f"M{low:.1f},{py:.1f}H{high:.1f}M{high:.1f},{py - 3:.1f}v6"
                         + (f"M{low:.1f},{py - 3:.1f}v6" if point.low != point.x else "")))  # fmt: skip
    parts.append(marker(series.look, px, py, source=series.source))
    return mark(point, px, py, *parts)


def _bar(point: Point, start: float, end: float, at: float) -> Markup:
    width = max(end - start, 0.75)
    return mark(point, (start + end) / 2, at, tag("rect", class_="bar", x=start, y=at - 8, width=width, height=16))
