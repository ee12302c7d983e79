"""The time for one image in every form and runtime: the base beside the chosen model, with the spread."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series
from niwaki.reporting.words import Words
from niwaki.study.result_files import TIMED_FORMS, FormTime


def latency_chart(rows: Sequence[FormTime], words: Words) -> Chart:
    """Median, with a whisker to the 95th percentile, of each form in each runtime."""
    placed = sorted(rows, key=lambda row: (TIMED_FORMS.index(row.form), row.runtime, row.file != "base"))
    categories = tuple(dict.fromkeys(form_name(row.form, row.runtime, words) for row in placed))
    series = tuple(
        Series(words(name), tuple(_point(row, words) for row in placed if row.file == name), look, joined=False)
        for look, name in enumerate(("base", "chosen"))
    )
    x = Axis(words("axis.us"), "log", unit="us")
    title = words("chart.latency")
    described = words("chart.described", title=title, panels=", ".join(categories))
    panel = Panel(x, Axis("", "category", categories=categories), series)
    return Chart("figure-latency", "dots", title, words("caption.latency"), described, (panel,))


def form_name(form: str, runtime: str, words: Words) -> str:
    """A form and its runtime, in a few words."""
    return words(f"form.{form}.{_RUNTIMES.get(runtime, 'other')}", runtime=runtime)


_RUNTIMES = {"torch": "torch", "ONNX Runtime": "ort", "C": "c", "C, in a loop": "loop"}


def _point(row: FormTime, words: Words) -> Point:
    median, p95 = row.median_us, row.p95_us
    name = form_name(row.form, row.runtime, words)
    figures = words("tip.latency", median=median, p95=p95, runs=row.runs)
    tip = f"{words(row.file)}: {name}\n{figures}"
    return Point(median, name, tip, low=median, high=max(median, p95))
