"""How long one image takes in every form and runtime: the base beside the chosen model, with the spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from niwaki.reporting.charts.chart import Axis, Chart, Panel, Point, Series
from niwaki.reporting.words import Words

ORDER = ("torch", "onnx", "onnx-dynamic", "onnx-int8", "c")


def latency_chart(rows: Sequence[Mapping[str, Any]], words: Words) -> Chart:
    """Median, with a whisker to the 95th percentile, of each form in each runtime."""
    placed = sorted(rows, key=lambda row: (ORDER.index(row["form"]), row["runtime"], row["file"] != "base"))
    categories = tuple(dict.fromkeys(form_name(row, words) for row in placed))
    series = tuple(
        Series(words(name), tuple(_point(row, words) for row in placed if row["file"] == name), look, joined=False)
        for look, name in enumerate(("base", "chosen"))
    )
    x = Axis(words("axis.us"), "log", unit="us")
    title = words("chart.latency")
    described = words("chart.described", title=title, panels=", ".join(categories))
    panel = Panel(x, Axis("", "category", categories=categories), series)
    return Chart("figure-latency", "dots", title, words("caption.latency"), described, (panel,))


def form_name(row: Mapping[str, Any], words: Words) -> str:
    """A form and what runs it, in a few words."""
    return words(f"form.{row['form']}.{_RUNTIMES.get(row['runtime'], 'other')}", runtime=row["runtime"])


_RUNTIMES = {"torch": "torch", "ONNX Runtime": "ort", "C": "c", "C, in a loop": "loop"}


def _point(row: Mapping[str, Any], words: Words) -> Point:
    median, p95 = float(row["median_us"]), float(row["p95_us"])
    tip = "\n".join((
        f"{words(row['file'])}: {form_name(row, words)}",
        words("tip.latency", median=median, p95=p95, runs=row["runs"]),
    ))  # fmt: skip
    return Point(median, form_name(row, words), tip, low=median, high=max(median, p95))
