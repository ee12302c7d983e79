"""The data of a figure: panels with axes and series, or a matrix. Nothing here knows about pixels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log", "category"]
Unit = Literal["percent", "count", "bytes", "us", "number"]


@dataclass(frozen=True)
class Point:
    """One value. On a category axis, x or y is the category's name. `low` and `high` are the ends of its error bar."""

    x: float | str
    y: float | str
    tip: str
    """Its text when pointed at; lines end with a newline."""
    low: float | None = None
    high: float | None = None
    label: str = ""
    """A label beside it."""
    chosen: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one kind. `look` selects its colour, marker and dash; `source`: published by somebody else, hollow."""

    name: str
    points: tuple[Point, ...]
    look: int = 0
    source: bool = False
    joined: bool = True
    stepped: bool = False
    end_label: str = ""
    """The label at the end of its line, if there is no room for a legend."""
    thin: bool = False
    """One of many lines with many points: thin, with small marks; a point without a line keeps its mark."""


@dataclass(frozen=True)
class Axis:
    """`categories` in order for a category axis; `from_zero`: the scale starts at 0."""

    title: str
    scale: Scale = "linear"
    unit: Unit = "number"
    categories: tuple[str, ...] = ()
    ticks: tuple[float, ...] = ()
    """The positions of the ticks, if not at round numbers."""
    from_zero: bool = False
    reach: tuple[float, ...] = ()
    """Values to include beside those of its panel: panels that are compared share a scale."""


@dataclass(frozen=True)
class Rule:
    """A line across the panel at a value of its numeric axis: the reference for comparison."""

    value: float
    name: str


@dataclass(frozen=True)
class Panel:
    """One coordinate system."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    title: str = ""
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """Counts by true class (rows) and prediction (columns), with the titles of both sides."""

    title: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    tips: tuple[tuple[str, ...], ...]
    rows: str
    columns: str


@dataclass(frozen=True)
class Chart:
    """A figure. `id` is unique in the report; `kind` says how its panels are drawn."""

    id: str
    kind: Literal["lines", "dots", "bars", "matrix"]
    title: str
    caption: str
    description: str
    """A description of the picture for those who cannot see it."""
    panels: tuple[Panel, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    small: bool = False
    """Many small panels to compare at a glance, as many side by side as fit."""

    @property
    def legend(self) -> tuple[Series, ...]:
        """The series by name, each once, in order; none if the panels need no legend."""
        found: dict[tuple[str, int, bool], Series] = {}
        for panel in self.panels:
            for series in panel.series:
                if series.name and series.points:
                    found.setdefault((series.name, series.look, series.source), series)
        return tuple(found.values())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw yet."""
        return not self.matrices and not any(series.points for panel in self.panels for series in panel.series)


def chart_csv(chart: Chart) -> str:
    """The values of a figure as CSV: one line for each point, or for each cell of a matrix that is not 0."""
    if chart.matrices:
        return to_csv(("panel", "true", "answer", "images"), _cells(chart))
    return to_csv(("panel", "series", "published", "x", "y", "low", "high", "chosen"), _points(chart))


def _cells(chart: Chart) -> Iterator[Sequence[str]]:
    for matrix in chart.matrices:
        for t, row in enumerate(matrix.counts):
            for p, count in enumerate(row):
                if count:
                    yield matrix.title, matrix.labels[t], matrix.labels[p], str(count)


def _points(chart: Chart) -> Iterator[Sequence[str]]:
    for panel in chart.panels:
        for series in panel.series:
            for point in series.points:
                values = [_plain(value) for value in (point.x, point.y, point.low, point.high)]
                published, chosen = ("yes" if flag else "" for flag in (series.source, point.chosen))
                yield panel.title or panel.y.title, series.name, published, *values, chosen


def to_csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV according to RFC 4180. Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in (head, *rows):
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def _plain(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return repr(round(value, 6)).removesuffix(".0")


def _harmless(cell: str) -> str:
    if cell[:1] in "=+-@\t\r" and cell and not _is_number(cell):
        return "'" + cell
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
