"""What every panel has: its SVG with title and description, axes, grid, rules, and marks that can be pointed at."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from niwaki.drawing.chart import Point, Rule
from niwaki.drawing.scales import Scaled
from niwaki.drawing.svg import fitted, tag, text_width

TEXT = 12.0  # pixels, of ticks and names
BOLD = 13.0  # as wide as text of this size


@dataclass(frozen=True)
class Box:
    """The inside of the axes within a picture of `width` × `height` pixels."""

    width: float
    height: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def ends(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the inside."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom


def picture(name: str, title: str, description: str, width: float, height: float, *parts: Markup) -> Markup:
    """One SVG that a screen reader takes for a picture with a title and a description."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-t"),
        tag("desc", description, id=f"{name}-d"),
        *parts,
        id=name, class_="plot", viewBox=f"0 0 {width:g} {height:g}", role="img", tabindex="0",
        aria_labelledby=f"{name}-t {name}-d", xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


def x_axis(scale: Scaled, box: Box, *, grid: bool = False) -> list[Markup]:
    """Ticks and title below; every second label where they would run into one another."""
    left, top, right, bottom = box.ends
    labels = scale.labels
    room = (right - left) / max(len(labels), 1)
    widest = max((text_width(text, TEXT) for _, text in labels), default=0)
    every = 1 if widest + 4 <= room or _roomy(labels) else 2
    parts = []
    for index, (x, text) in enumerate(labels):
        if grid:
            parts.append(tag("path", class_="grid", d=f"M{x:.1f},{top:.1f}V{bottom:.1f}"))
        parts.append(tag("path", class_="tickmark", d=f"M{x:.1f},{bottom:.1f}v4"))
        if index % every == 0:
            parts.append(tag("text", text, class_="tick", x=x, y=bottom + 17, text_anchor="middle"))
    parts.append(tag("path", class_="axis", d=f"M{left:.1f},{bottom:.1f}H{right:.1f}"))
    if scale.axis.title:
        title = fitted(scale.axis.title, BOLD, box.width - 8)
        middle = min(max((left + right) / 2, text_width(title, BOLD) / 2), box.width - text_width(title, BOLD) / 2)
        parts.append(tag("text", title, class_="name", x=middle, y=bottom + 35, text_anchor="middle"))
    return parts


def _roomy(labels: list[tuple[float, str]]) -> bool:
    """Whether neighbouring labels do not touch where they really are."""
    pairs = itertools.pairwise(labels)
    return all(b - a > (text_width(s, TEXT) + text_width(t, TEXT)) / 2 + 3 for (a, s), (b, t) in pairs)


def y_axis(scale: Scaled, box: Box) -> list[Markup]:
    """Grid lines and numbers; the title stands on top, where it is read without turning one's head."""
    left, top, right, _ = box.ends
    parts = []
    for y, text in scale.labels:
        parts.append(tag("path", class_="grid", d=f"M{left:.1f},{y:.1f}H{right:.1f}"))
        parts.append(tag("text", text, class_="tick", x=left - 7, y=y + 4, text_anchor="end"))
    if scale.axis.title:
        parts.append(tag("text", fitted(scale.axis.title, BOLD, box.width - 4), class_="name", x=2, y=top - 12))
    return parts


def across(rules: Iterable[Rule], scale: Scaled, box: Box, *, at_left: bool = False) -> list[Markup]:
    """Horizontal lines at a value, named at one of their ends."""
    left, _, right, _ = box.ends
    parts = []
    for rule in rules:
        at = scale.at(rule.value)
        parts.append(tag("path", class_="rule", d=f"M{left:.1f},{at:.1f}H{right:.1f}"))
        x, anchor = (left + 3, "start") if at_left else (right, "end")
        parts.append(tag("text", rule.name, class_="ruled", x=x, y=at - 5, text_anchor=anchor))
    return parts


def mark(point: Point, x: float, y: float, *parts: Markup) -> Markup:
    """What is drawn for a point, with what is said of it when it is pointed at."""
    classes = "pt chosen" if point.chosen else "pt"
    return tag("g", *parts, class_=classes, data_x=x, data_y=y, data_tip=point.tip)
