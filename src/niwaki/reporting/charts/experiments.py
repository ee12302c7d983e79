"""From an experiment's table to its figures: accuracy, the other measures, channels by layer, bytes by type.

Every experiment gets figures, even an unforeseen one: by step if its rows are steps, along a numeric axis if numbers
vary, otherwise by category.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Rule, Series
from niwaki.reporting.charts.measures import ACCURACY, Measure, measures_of, number
from niwaki.reporting.columns import data_types, key_name, layers, row_name, shown_step, shown_value, value_name
from niwaki.reporting.tables import Figure, Row, Table
from niwaki.reporting.words import Words

SMALL_MULTIPLES = 3  # series beside published ones that still fit into one panel
LOOK_ELSEWHERE = 5
LOGARITHMIC = 50  # numbers that span more than this factor get a logarithmic axis


def charts_of(table: Table, words: Words) -> list[Chart]:
    """The figures of an experiment, without those that have no value yet."""
    charts = []
    if "accuracy" in table.columns:
        charts.append(_chart(table, (ACCURACY,), "accuracy", words))
    others = measures_of(table.columns)
    if others:
        charts.append(_chart(table, others, "measures", words))
    if "widths" in table.columns:
        charts.append(_channels(table, words))
    if "bytes_by_type" in table.columns:
        charts.append(_data_types(table, words))
    return [chart for chart in charts if not chart.is_empty]


def _chart(table: Table, measures: Sequence[Measure], name: str, words: Words) -> Chart:
    drawn = {measure: _panels(table, measure, words) for measure in measures}
    panels = [panel for found in drawn.values() for panel in found]
    shown = _listed([measure for measure, found in drawn.items() if found], words)
    title = words(f"chart.{name}", title=words.name(table.title), what=shown)
    described = words("chart.described", title=title, panels="; ".join(p.title or p.y.title for p in panels))
    return Chart(
        f"figure-{table.name}-{name}", "dots" if panels and panels[0].y.scale == "category" else "lines", title,
        _caption(panels, words), described, tuple(panels),
    )  # fmt: skip


def _listed(measures: Sequence[Measure], words: Words) -> str:
    """The kinds of measures that a figure shows, as the start of a sentence."""
    kinds = [words(f"chart.of.{kind}") for kind in dict.fromkeys(measure.kind for measure in measures)]
    said = words.listed(kinds)
    return said[:1].upper() + said[1:]


def _caption(panels: Sequence[Panel], words: Words) -> str:
    said = [words("caption.source")] if any(s.source and s.points for p in panels for s in p.series) else []
    if any(point.low is not None for p in panels for s in p.series for point in s.points):
        said.append(words("caption.std"))
    return " ".join(said)


def _panels(table: Table, measure: Measure, words: Words) -> list[Panel]:
    """One measure: its panels, none if no row has it."""
    rows = [row for row in table.rows if measure.name in row.figures or measure.published(row)]
    if not any(measure.name in row.figures for row in rows) or _is_constant(rows, measure):
        return []
    if has_steps(table):
        return _by_step(table, rows, measure, words)
    if _is_numeric(table):
        return [_by_number(table, rows, measure, words)]
    if len(rows) < 2:  # a single dot shows no more than its number
        return []
    return [_by_name(table, rows, measure, words)]


def _is_constant(rows: Sequence[Row], measure: Measure) -> bool:
    """Whether the varied setting does not affect a measure: its one value is in the table and needs no picture."""
    values = {row.figures[measure.name].mean for row in rows if measure.name in row.figures and not row.base}
    values |= {value for row in rows if not row.base for value in measure.published(row)}
    return len(values) < 2 and measure is not ACCURACY


def has_steps(table: Table) -> bool:
    """Whether some value has more than one pruning step in the table."""
    steps = [repr(row.value) for row in table.rows if not row.base and not row.quantized]
    return len(set(steps)) < len(steps)


def _is_numeric(table: Table) -> bool:
    values = _values(table)
    return len(values) > 1 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _values(table: Table) -> list[Any]:
    """The values that are varied, each once; they may be lists, as widths are."""
    return list({repr(row.value): row.value for row in table.rows if row.value is not None}.values())


# By step -------------------------------------------------------------------------------------------------------------


def _by_step(table: Table, rows: Sequence[Row], measure: Measure, words: Words) -> list[Panel]:
    """Along the pruning steps: all values in one panel, or one panel each if published values stand beside many."""
    steps = list(dict.fromkeys(shown_step(row, table, words) for row in rows))
    x = Axis(words("axis.step"), "category", categories=tuple(steps))
    y = measure.axis(words)
    values = _values(table) or [None]
    compared = any(measure.published(row) for row in rows) and measure is ACCURACY
    pairs = [_pair(table, rows, value, look, measure, words) for look, value in enumerate(values)]
    if compared and len(values) >= SMALL_MULTIPLES:
        shared = replace(y, reach=tuple(_heights(pairs)))
        return [
            Panel(x, shared, _alike(pair, words), _varied(table, value, words))
            for pair, value in zip(pairs, values, strict=True)
        ]
    shown = _unlike([series for pair in pairs for series in (pair if compared else pair[:1])])
    if not compared:
        shown += _elsewhere(pairs, words)
    if len(values) == 1 and values[0] is None:
        shown = list(_alike(pairs[0], words))
    return [Panel(x, y, tuple(shown))]


def _heights(pairs: Sequence[Sequence[Series]]) -> list[float]:
    """The lowest and the highest value of all series."""
    points = [p for pair in pairs for series in pair for p in series.points]
    values = [float(v) for p in points for v in (p.y, p.low, p.high) if v is not None]
    return [min(values), max(values)]


def _unlike(series: Sequence[Series]) -> list[Series]:
    """Without overlapping series: if all values have the same curve, one unnamed series stands for them."""
    curves = {tuple((point.x, point.y) for point in s.points) for s in series if s.points}
    if len(curves) == 1 and len(series) > 1:
        return [replace(next(s for s in series if s.points), name="", end_label="")]
    return list(series)


def _elsewhere(pairs: Sequence[tuple[Series, Series]], words: Words) -> list[Series]:
    """The published values as one series, if they differ from the measured ones."""
    ours = {(point.x, point.y) for pair in pairs for point in pair[0].points}
    theirs = dict.fromkeys(point for pair in pairs for point in pair[1].points)
    if all((point.x, point.y) in ours for point in theirs):
        return []
    return [Series(words("series.source"), tuple(theirs), LOOK_ELSEWHERE, source=True, joined=False)]


def _alike(pair: tuple[Series, ...], words: Words) -> tuple[Series, ...]:
    """If each panel has one value, the series are named after who measured them."""
    names = (words("series.ours"), words("series.source"))
    return tuple(replace(s, name=name, look=0, end_label="") for s, name in zip(pair, names, strict=True) if s.points)


def _pair(
    table: Table, rows: Sequence[Row], value: Any, look: int, measure: Measure, words: Words
) -> tuple[Series, Series]:
    mine = [row for row in rows if row.value == value or row.value is None]
    name = _varied(table, value, words) if value is not None else words("series.ours")
    ours = tuple(_point(table, row, shown_step(row, table, words), measure, words) for row in _having(mine, measure))
    theirs = tuple(
        point for row in mine for point in _published(table, row, shown_step(row, table, words), measure, words)
    )
    label = shown_value(table, mine[-1]) if table.key == "prune.ratio" and value is not None and mine else ""
    return (
        Series(name, ours, look, end_label=label),
        Series(words("series.source_of", name=name), theirs, look, source=True),
    )


# Along numbers -------------------------------------------------------------------------------------------------------


def _by_number(table: Table, rows: Sequence[Row], measure: Measure, words: Words) -> Panel:
    values = [float(value) for value in _values(table)]
    scale = "log" if min(values) > 0 and max(values) / min(values) >= LOGARITHMIC else "linear"
    is_ratio = table.key == "prune.ratio"
    factor = 100.0 if is_ratio else 1.0
    title = f"{_key(table, words)} (%)" if is_ratio else _key(table, words)
    ticks = tuple(sorted(factor * value for value in values))
    x = Axis(title, "log" if scale == "log" else "linear", "percent" if is_ratio else "number", ticks=ticks)
    at = [(row, factor * float(row.value)) for row in rows if row.value is not None]
    known = [(row, place) for row, place in at if measure.name in row.figures]
    kinds = list(dict.fromkeys(_kind(row) for row, _ in known if not row.base))
    kinds += ["base"] if any(row.base for row, _ in known) else []  # the varied setting changes the base too
    series = []
    for look, kind in enumerate(kinds):
        points = [_point(table, row, place, measure, words) for row, place in known if _kind(row) == kind]
        alone = kind == "float" and not {"static", "dynamic", "qat"} & set(kinds)
        name = words("series.ours" if alone else _KINDS[kind])
        series.append(Series(name, tuple(sorted(points, key=_place)), look))
    theirs = sorted((p for row, place in at for p in _published(table, row, place, measure, words)), key=_place)
    series.append(Series(words("series.source"), tuple(theirs), 0, source=True, joined=_single(theirs)))
    return Panel(
        x, measure.axis(words), tuple(s for s in series if s.points), rules=tuple(_rules(rows, measure, words))
    )


_KINDS = {
    "float": "series.float", "base": "base", "static": "int8.static", "dynamic": "int8.dynamic", "qat": "int8.qat",
}  # fmt: skip


def _kind(row: Row) -> str:
    return "base" if row.base else row.quantized or "float"


def _place(point: Point) -> float:
    return float(point.x)


def _single(points: Sequence[Point]) -> bool:
    """Whether every place has one value: a line through two values for one setting would not be a curve."""
    return len({point.x for point in points}) == len(points)


def _rules(rows: Sequence[Row], measure: Measure, words: Words) -> Iterator[Rule]:
    """The base, as a line across, if all values share it."""
    base = next((row for row in rows if row.base and measure.name in row.figures), None)
    if base is not None and base.value is None:
        value = base.figures[measure.name].mean
        yield Rule(value, words("rule.base", value=number(value, measure.unit)))


# By name -------------------------------------------------------------------------------------------------------------


def _by_name(table: Table, rows: Sequence[Row], measure: Measure, words: Words) -> Panel:
    names = {id(row): _name(table, row, words) for row in rows}
    ours = [_flipped(_point(table, row, names[id(row)], measure, words)) for row in _having(rows, measure)]
    theirs = [_flipped(p) for row in rows for p in _published(table, row, names[id(row)], measure, words)]
    categories = tuple(dict.fromkeys(names[id(row)] for row in rows))
    series = (
        Series(words("series.ours"), tuple(ours), 0, joined=False),
        Series(words("series.source"), tuple(theirs), 0, source=True, joined=False),
    )
    return Panel(replace(measure.axis(words), title=""), Axis("", "category", categories=categories),
                 tuple(s for s in series if s.points), measure.axis(words).title)  # fmt: skip


def _name(table: Table, row: Row, words: Words) -> str:
    """As short as is clear: the step only if no value identifies the row."""
    value = shown_value(table, row)
    if row.base or row.quantized:
        return row_name(table, row, words)
    return value or words("step.of", step=row.step)


def _flipped(point: Point) -> Point:
    return replace(point, x=point.y, y=point.x)


# Points --------------------------------------------------------------------------------------------------------------


def _having(rows: Sequence[Row], measure: Measure) -> list[Row]:
    return [row for row in rows if measure.name in row.figures]


def _point(table: Table, row: Row, x: float | str, measure: Measure, words: Words) -> Point:
    figure = row.figures[measure.name]
    low, high = _spread(figure)
    lines = [row_name(table, row, words), words("tip.ours", value=_with_std(figure, measure))]
    theirs = measure.published(row)
    if theirs:
        lines.append(words("tip.source", value=", ".join(number(value, measure.unit) for value in theirs)))
    return Point(x, figure.mean, "\n".join(lines), low, high)


def _published(table: Table, row: Row, x: float | str, measure: Measure, words: Words) -> Iterator[Point]:
    for value in measure.published(row):
        tip = "\n".join((row_name(table, row, words), words("tip.source", value=number(value, measure.unit))))
        yield Point(x, value, tip)


def _spread(figure: Figure) -> tuple[float | None, float | None]:
    if figure.std is None or figure.std == 0:
        return None, None
    return figure.mean - figure.std, figure.mean + figure.std


def _with_std(figure: Figure, measure: Measure) -> str:
    text = number(figure.mean, measure.unit)
    return text if figure.std is None else f"{text} ± {number(figure.std, measure.unit)}"


def _varied(table: Table, value: Any, words: Words) -> str:
    row = next(row for row in table.rows if row.value == value)
    return value_name(table, row, words)


def _key(table: Table, words: Words) -> str:
    return key_name(table.key or "", words)


# Channels and data types ---------------------------------------------------------------------------------------------


def _channels(table: Table, words: Words) -> Chart:
    """What remains of each layer: a panel for each, over the varied values from the base on."""
    rows = [row for row in table.rows if row.widths]
    names = {id(row): _name(table, row, words) for row in rows}
    categories = tuple(dict.fromkeys(names.values()))
    panels = []
    for layer in layers(table):
        points = tuple(
            Point(names[id(row)], float(row.widths[layer]), f"{row_name(table, row, words)}\n{layer}: "
                  + words("tip.channels", count=row.widths[layer]), label=str(row.widths[layer]))
            for row in rows if row.widths and layer in row.widths
        )  # fmt: skip
        x = Axis(_key(table, words), "category", categories=categories)
        y = Axis(words("axis.channels"), unit="count", from_zero=True)
        panels.append(Panel(x, y, (Series("", points),), layer))
    title = words("chart.channels", title=words.name(table.title))
    described = words("chart.described", title=title, panels=", ".join(layers(table)))
    return Chart(f"figure-{table.name}-channels", "lines", title, "", described, tuple(panels))


def _data_types(table: Table, words: Words) -> Chart:
    rows = [row for row in table.rows if row.bytes_by_type]
    categories = tuple(dict.fromkeys(_name(table, row, words) for row in rows))
    series = tuple(
        Series(kind, tuple(
            Point(float(row.bytes_by_type[kind]), _name(table, row, words),
                  f"{row_name(table, row, words)}\n{kind}: {row.bytes_by_type[kind]:,} B")
            for row in rows if row.bytes_by_type and row.bytes_by_type.get(kind)
        ), look, joined=False)
        for look, kind in enumerate(data_types(table))
    )  # fmt: skip
    x = Axis(words("axis.bytes"), unit="bytes", from_zero=True)
    title = words("chart.data_types", title=words.name(table.title))
    described = words("chart.described", title=title, panels=", ".join(data_types(table)))
    return Chart(f"figure-{table.name}-types", "bars", title, "", described,
                 (Panel(x, Axis("", "category", categories=categories), series),))  # fmt: skip
