"""The measures that can be plotted: their values in a row, their published values, and their axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from niwaki.drawing.chart import Axis, Unit
from niwaki.reporting.tables import Row
from niwaki.reporting.words import Words


@dataclass(frozen=True)
class Measure:
    """A column that is a number. `published` are the published values for a row, none if there are none."""

    name: str
    unit: Unit
    published: Callable[[Row], tuple[float, ...]]
    from_zero: bool = True
    kind: Literal["size", "time", "agreement", "channels"] = "size"
    """What its figure shows, in words."""

    def axis(self, words: Words) -> Axis:
        """Its axis."""
        return Axis(words.column(self.name), unit=self.unit, from_zero=self.from_zero)


def _none(_row: Row) -> tuple[float, ...]:
    return ()


def _stated(name: str) -> Callable[[Row], tuple[float, ...]]:
    def of(row: Row) -> tuple[float, ...]:
        value = getattr(row.published, name) if row.published else None
        return () if value is None else (float(value),)

    return of


def _accuracies(row: Row) -> tuple[float, ...]:
    return row.published.accuracy if row.published else ()


ACCURACY = Measure("accuracy", "percent", _accuracies, from_zero=False)
MEASURES = (
    ACCURACY,
    Measure("agreement", "percent", _none, from_zero=False, kind="agreement"),
    Measure("params", "count", _stated("params")),
    Measure("macs", "count", _none),
    Measure("macs_tp", "count", _stated("macs_tp")),
    Measure("bytes", "bytes", _none),
    Measure("file", "bytes", _none),
    Measure("activations", "bytes", _none),
    Measure("flash", "bytes", _none),
    Measure("ram", "bytes", _none),
    Measure("channels", "count", _stated("channels"), kind="channels"),
    Measure("latency_1", "us", _none, kind="time"),
    Measure("latency_256", "us", _stated("latency_us"), kind="time"),
    Measure("latency_ort", "us", _stated("latency_us"), kind="time"),
)


def measures_of(columns: tuple[str, ...]) -> list[Measure]:
    """The measures among the columns of an experiment, without accuracy, which has its own figure.

    Of the two counts of MACs it draws niwaki's: two nearly equal curves would say no more.
    """
    left_out = {"accuracy", *(["macs_tp"] if "macs" in columns else [])}
    return [m for m in MEASURES if m.name in columns and m.name not in left_out]


def number(value: float, unit: Unit) -> str:
    """A value in words, with a sensible number of digits."""
    if unit == "percent":
        return f"{value:.2f} %"
    if unit == "us":
        return f"{value:,.2f} µs" if value < 100 else f"{value:,.0f} µs"
    if unit == "bytes":
        return f"{value:,.0f} B"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:,.4g}"
