"""Confusion matrices: the shade is a cell's share of its true class, the number counts images."""

from __future__ import annotations

import math

from markupsafe import Markup

from niwaki.drawing.chart import Matrix, Point
from niwaki.drawing.frame import BOLD, TEXT, mark, picture
from niwaki.drawing.svg import fitted, short, tag, text_width

WIDTH = 440.0
SLANT = 0.71  # height of slanted text of length 1
LINE = 14.0  # from the label of one class to the next
COUNT = 10.5  # the size of the numbers, shown in cells that are wide enough
DARK = 0.5  # the share from which a number is on a dark cell


def draw_matrix(name: str, matrix: Matrix, title: str, description: str) -> Markup:
    """A matrix as SVG: true classes down, predictions across. Correct predictions and errors have a colour each."""
    longest = max((text_width(label, TEXT) for label in matrix.labels), default=0)
    left = max(min(longest, 0.28 * WIDTH), text_width(matrix.rows, BOLD)) + 10
    slant = min(longest * SLANT, 70)
    top = slant + 26
    side = (WIDTH - left - slant) / max(len(matrix.labels), 1)
    parts = [*_sides(matrix, left, top, side)]
    for t, row in enumerate(matrix.counts):
        total = sum(row) or 1
        for p, count in enumerate(row):
            if count:
                parts.append(_cell(matrix, t, p, count / total, (left + side * p, top + side * t), side))
    size = side * len(matrix.labels)
    parts.append(tag("rect", class_="edge", x=left, y=top, width=size, height=size))
    return picture(name, title, description, WIDTH, top + size + 8, *parts)


def _sides(matrix: Matrix, left: float, top: float, side: float) -> list[Markup]:
    parts = [
        tag("text", matrix.columns, class_="name", x=left, y=12),
        tag("text", matrix.rows, class_="name", x=left - 8, y=top - 8, text_anchor="end"),
    ]
    down_every, across_every = (max(1, math.ceil(room / side)) for room in (LINE, LINE / SLANT))
    for index, label in enumerate(matrix.labels):
        middle = side * (index + 0.5)
        down = fitted(label, TEXT, left - 10)
        turned = f"translate({left + middle + 3:.1f} {top - 6:.1f}) rotate(-45)"
        if index % down_every == 0:
            parts.append(tag("text", down, class_="tick", x=left - 6, y=top + middle + 4, text_anchor="end"))
        if index % across_every == 0:
            parts.append(tag("text", fitted(label, TEXT, (top - 26) / SLANT + 4), class_="tick", transform=turned))
    return parts


def _cell(matrix: Matrix, t: int, p: int, share: float, corner: tuple[float, float], side: float) -> Markup:
    x, y = corner
    strength = share**0.5  # so that errors of a few percent are visible
    kind = "right" if t == p else "wrong"
    parts = [
        tag("rect", class_=f"cell {kind}", x=x, y=y, width=side, height=side, fill_opacity=short(round(strength, 3)))
    ]
    if text_width(str(matrix.counts[t][p]), COUNT) < side - 1:
        dark = " on" if strength >= DARK + 0.1 else ""
        parts.append(
            tag("text", str(matrix.counts[t][p]), class_=f"count{dark}", x=x + side / 2, y=y + side / 2 + 4,
                text_anchor="middle")
        )  # fmt: skip
    return mark(Point(p, t, matrix.tips[t][p]), x + side / 2, y + side / 2, *parts)
