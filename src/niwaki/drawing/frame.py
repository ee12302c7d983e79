"""The parts of every panel: its SVG with title and description, axes, grid, rules, and marks with tooltips."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from niwaki.drawing.chart import Point, Rule
from niwaki.drawing.labels import Label
from niwaki.drawing.scales import Scaled
from niwaki.drawing.svg import fitted, tag, text_width

SAID = 11.0  # pixels, of labels beside marks and lines
TEXT = 12.0  # pixels, of ticks and names
GAP = 4.0  # between the labels of ticks
BOLD = 13.0  # the width of text of this size


@dataclass(frozen=True)
class Box:
    """The area inside the axes, in a picture of `width` × `height` pixels."""

    width: float
    height: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def ends(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the area."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom


def picture(name: str, title: str, description: str, width: float, height: float, *parts: Markup) -> Markup:
    """One SVG that screen readers treat as a picture with a title and a description."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-t"),
        tag("desc", description, id=f"{name}-d"),
        *parts,
        id=name, class_="plot", viewBox=f"0 0 {width:g} {height:g}", role="img", tabindex="0",
        aria_labelledby=f"{name}-t {name}-d", xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


def x_axis(scale: Scaled, box: Box, *, grid: bool = False) -> list[Markup]:
    """Ticks and title below. A tick whose label would overlap another has none; the last one always has one."""
    left, top, right, bottom = box.ends
    labels = scale.labels
    named = _apart(labels)
    parts = []
    for index, (x, text) in enumerate(labels):
        if grid:
            parts.append(tag("path", class_="grid", d=f"M{x:.1f},{top:.1f}V{bottom:.1f}"))
        parts.append(tag("path", class_="tickmark", d=f"M{x:.1f},{bottom:.1f}v4"))
        if index in named:
            parts.append(tag("text", text, class_="tick", x=x, y=bottom + 17, text_anchor="middle"))
    parts.append(tag("path", class_="axis", d=f"M{left:.1f},{bottom:.1f}H{right:.1f}"))
    if scale.axis.title:
        title = fitted(scale.axis.title, BOLD, box.width - 8)
        middle = min(max((left + right) / 2, text_width(title, BOLD) / 2), box.width - text_width(title, BOLD) / 2)
        parts.append(tag("text", title, class_="name", x=middle, y=bottom + 35, text_anchor="middle"))
    return parts


def _apart(labels: list[tuple[float, str]]) -> set[int]:
    """Which labels fit into one line: from the last one down, and every n-th of labels at equal steps."""
    step = next((n for n in range(1, len(labels) + 1) if _roomy(labels[::-1][::n])), 1)
    if _equal([x for x, _ in labels]):
        return {len(labels) - 1 - index for index in range(0, len(labels), step)}
    kept: list[int] = []
    for index in range(len(labels) - 1, -1, -1):
        if not kept or _roomy([labels[kept[-1]], labels[index]]):
            kept.append(index)
    return set(kept)


def _equal(places: list[float]) -> bool:
    steps = [b - a for a, b in itertools.pairwise(places)]
    return not steps or max(steps) - min(steps) < 1


def _roomy(labels: list[tuple[float, str]]) -> bool:
    """Whether neighbouring labels, from right to left, do not touch at their real positions."""
    pairs = itertools.pairwise(labels)
    return all(b - a > (text_width(s, TEXT) + text_width(t, TEXT)) / 2 + GAP for (b, t), (a, s) in pairs)


def y_axis(scale: Scaled, box: Box) -> list[Markup]:
    """Grid lines and numbers; the title is on top, where it can be read without turning the head."""
    left, top, right, _ = box.ends
    parts = []
    for y, text in scale.labels:
        parts.append(tag("path", class_="grid", d=f"M{left:.1f},{y:.1f}H{right:.1f}"))
        parts.append(tag("text", text, class_="tick", x=left - 7, y=y + 4, text_anchor="end"))
    if scale.axis.title:
        parts.append(tag("text", fitted(scale.axis.title, BOLD, box.width - 4), class_="name", x=2, y=top - 12))
    return parts


def across(rules: Iterable[Rule], scale: Scaled, box: Box) -> list[Markup]:
    """Horizontal lines at a value."""
    left, _, right, _ = box.ends
    return [tag("path", class_="rule", d=f"M{left:.1f},{scale.at(rule.value):.1f}H{right:.1f}") for rule in rules]


def rule_labels(rules: Iterable[Rule], scale: Scaled, box: Box, *, at_left: bool = False) -> list[tuple[str, Label]]:
    """The names of lines across, at one of their ends, above or below; not where another name is."""
    left, top, right, _ = box.ends
    found: list[tuple[str, Label]] = []
    for rule in rules:
        at, width = scale.at(rule.value), text_width(rule.name, SAID)
        x = left + 3 + width / 2 if at_left else right - width / 2
        places = [at - 5, at + 13] if at - 5 - SAID > top - 6 else [at + 13]
        labels = [Label(x, y, width, SAID) for y in places]
        free = [label for label in labels if not any(label.meets(other) for _, other in found)]
        found += [(rule.name, label) for label in free[:1]]
    return found


def mark(point: Point, x: float, y: float, *parts: Markup) -> Markup:
    """A point's drawing, with its tooltip."""
    classes = "pt chosen" if point.chosen else "pt"
    return tag("g", *parts, class_=classes, data_x=x, data_y=y, data_tip=point.tip)
