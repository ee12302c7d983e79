"""Panels of points and lines in two dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from niwaki.drawing.chart import Panel, Point, Series
from niwaki.drawing.frame import BOLD, SAID, TEXT, Box, across, mark, picture, rule_labels, x_axis, y_axis
from niwaki.drawing.labels import GAP, Label, Place, along, apart, around, free_label
from niwaki.drawing.markers import dash, look_class, marker
from niwaki.drawing.scales import Scaled, scaled
from niwaki.drawing.svg import tag, text_width

THIN = 0.5  # of the size of a mark, if there are many
MARK, RING = 5.0, 9.0  # the radius of a mark, and of the ring around the choice


def draw_lines(name: str, panel: Panel, title: str, description: str, width: float, height: float) -> Markup:
    """One panel as SVG."""
    numbers = [*_numbers(panel, "y"), *(rule.value for rule in panel.rules)]
    ends = [s.end_label for s in panel.series if s.end_label]
    right = 16 + max((text_width(label, TEXT) + 6 for label in ends), default=0)
    y_of = scaled(panel.y, numbers, 0, 1)
    left = 12 + max((text_width(text, TEXT) for _, text in y_of.labels), default=0)
    height = max(height, GAP * len(ends) + 80)  # room for all names
    box = Box(width, height, left, 28 if panel.y.title or panel.rules else 12, right, 44 if panel.x.title else 26)
    x0, top, x1, bottom = box.ends
    x = scaled(panel.x, _numbers(panel, "x"), x0, x1)
    y = scaled(panel.y, numbers, bottom, top)
    parts = [*y_axis(y, box), *x_axis(x, box), *across(panel.rules, y, box)]
    ruled = rule_labels(panel.rules, y, box, at_left=_is_free_at_left(panel, x, y))
    parts += [_line(series, x, y) for series in panel.series if series.joined and len(series.points) > 1]
    ordered = sorted(panel.series, key=lambda s: not s.source)  # ours above the published ones
    parts += [tag("g", *(_mark(s, p, x, y) for p in s.points), class_=look_class(s)) for s in ordered if s.points]
    parts += [tag("text", name, class_="ruled", x=at.x, y=at.y, text_anchor="middle") for name, at in ruled]
    parts += _labels(panel, (x, y), box, [label for _, label in ruled])
    parts += _end_labels(panel.series, y, x1 + 8)
    return picture(name, title, description, width, height, *parts)


def _numbers(panel: Panel, side: str) -> list[float]:
    found: list[float] = []
    for series in panel.series:
        for point in series.points:
            value = getattr(point, side)
            if isinstance(value, str):
                continue
            found.append(value)
            if side == "y":
                found += [end for end in (point.low, point.high) if end is not None]
    return found


def _is_free_at_left(panel: Panel, x: Scaled, y: Scaled) -> bool:
    """Whether the name of a rule covers less at the left end than at the right one."""
    if not panel.rules:
        return False
    at = y.at(panel.rules[0].value) - 8
    points = [p for s in panel.series for p in s.points]
    places = [(x.at(p.x), y.at(v)) for p in points for v in (p.y, p.low, p.high) if v is not None]
    middle = (x.start + x.end) / 2
    away = {left: [abs(py - at) for px, py in places if (px < middle) == left] for left in (True, False)}
    return min(away[True], default=1e3) > min(away[False], default=1e3)


def _line(series: Series, x: Scaled, y: Scaled) -> Markup:
    first, *rest = (f"{a:.1f},{b:.1f}" for a, b in _corners(series, x, y))
    classes = f"line {look_class(series)}" + (" src" if series.source else "") + (" thin" if series.thin else "")
    return tag("path", class_=classes, d="L".join((f"M{first}", *rest)), stroke_dasharray=dash(series))


def _mark(series: Series, point: Point, x: Scaled, y: Scaled) -> Markup:
    at = x.at(point.x), y.at(point.y)
    return mark(point, *at, *_parts(series, point, *at, y))


def _parts(series: Series, point: Point, px: float, py: float, y: Scaled) -> Iterator[Markup]:
    if point.low is not None and point.high is not None:
        low, high = (min(max(y.at(end), y.end), y.start) for end in (point.low, point.high))
        yield tag("path", class_="whisker", d=f"M{px:.1f},{low:.1f}V{high:.1f}M{px - 4:.1f},{low:.1f}h8"
                  f"M{px - 4:.1f},{high:.1f}h8")  # fmt: skip
    if point.chosen:
        yield tag("circle", class_="ring", cx=px, cy=py, r=RING)
    yield marker(
        series.look, px, py, source=series.source, scale=THIN if series.thin and len(series.points) > 1 else 1.0
    )


def _labels(panel: Panel, axes: tuple[Scaled, Scaled], box: Box, ruled: Sequence[Label]) -> Iterator[Markup]:
    """The labels beside marks, each where it covers the fewest lines and marks, and no other text.

    The choice comes first. A label without room is left out: its mark shows it when pointed at.
    """
    x, y = axes
    taken = list(_taken(panel, x, y))
    left, top, right, bottom = box.ends
    texts = [*ruled, *(_tick_label(at, text, left) for at, text in y.labels)]
    free = (0, top - 8, right + 10, bottom)  # below the axis' title, left of the names at the ends of lines
    labelled = [point for series in panel.series for point in series.points if point.label]
    for point in sorted(labelled, key=lambda point: not point.chosen):
        at, rim = (x.at(point.x), y.at(point.y)), RING if point.chosen else MARK
        width = text_width(point.label, BOLD if point.chosen else SAID)
        label = free_label((at, rim, width), SAID, taken, texts, free)
        if label is not None:
            texts.append(label)
            yield tag("text", point.label, class_="said chosen" if point.chosen else "said", x=label.x, y=label.y,
                      text_anchor="middle")  # fmt: skip


def _tick_label(at: float, text: str, left: float) -> Label:
    width = text_width(text, TEXT)
    return Label(left - 7 - width / 2, at + 4, width, TEXT)


def _taken(panel: Panel, x: Scaled, y: Scaled) -> Iterator[Place]:
    """The places covered by lines, rules, marks and whiskers."""
    for series in panel.series:
        if series.joined:
            yield from along(_corners(series, x, y))
        for point in series.points:
            px = x.at(point.x)
            yield from around((px, y.at(point.y)), RING if point.chosen else MARK)
            if point.low is not None and point.high is not None:
                yield from along([(px, y.at(point.low)), (px, y.at(point.high))])
    for rule in panel.rules:
        yield from along([(x.start, y.at(rule.value)), (x.end, y.at(rule.value))])


def _corners(series: Series, x: Scaled, y: Scaled) -> list[Place]:
    """Where a line turns: at every point and, in steps, below or above the next one."""
    places = [(x.at(point.x), y.at(point.y)) for point in series.points]
    if not series.stepped:
        return places
    return places[:1] + [corner for (_, ay), (bx, by) in itertools.pairwise(places) for corner in ((bx, ay), (bx, by))]


def _end_labels(series: Sequence[Series], y: Scaled, right: float) -> Iterator[Markup]:
    """Names at the ends of lines, moved apart if they would overlap."""
    ends = sorted((y.at(s.points[-1].y), index, s) for index, s in enumerate(series) if s.end_label and s.points)
    for place, (_, _, one) in zip(apart([at for at, _, _ in ends], y.end, y.start), ends, strict=True):
        yield tag("text", one.end_label, class_=f"end {look_class(one)}", x=right, y=place + 4)
