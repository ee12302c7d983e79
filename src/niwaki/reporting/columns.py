"""The columns of an experiment's table: the text of each cell, the same in a terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from niwaki.reporting.tables import Figure, Row, Table, difference
from niwaki.reporting.words import Words
from niwaki.study.metrics import METRICS

Cell = Callable[[Row], str]


@dataclass(frozen=True)
class Column:
    """A column by its name: `varied`, `step`, a measure, or one beside a measure (`source_accuracy`, `gap`, …).

    `of` identifies a column of a family: the data type, the layer, the class, the varied key.
    """

    name: str
    align: Literal["left", "right"]
    cell: Cell
    of: str = ""


def columns_of(table: Table, words: Words) -> list[Column]:
    """The columns that a table shows, in order."""
    columns: list[Column] = []
    if table.key is not None:
        columns.append(Column("varied", "left", lambda row: shown_value(table, row), table.key))
    columns.append(Column("step", "right", lambda row: shown_step(row, table, words)))
    for name in table.columns:
        columns.extend(_OF_THEIR_OWN[name](table) if name in _OF_THEIR_OWN else [_number(name)])
    return columns


def heading(column: Column, words: Words) -> str:
    """The heading of a column."""
    if column.name == "varied":
        return key_name(column.of, words)
    if column.name == "width":
        return column.of
    key = f"column.{column.name}"
    return words(key, of=column.of) if key in words.texts else column.name


def shown_value(table: Table, row: Row) -> str:
    """The varied value of a row, as text."""
    if row.value is None:
        return ""
    if table.key == "prune.ratio":
        return f"{100 * row.value:.4g} %"
    return f"{row.value:g}".replace("e-0", "e-") if isinstance(row.value, float) else str(row.value)


def shown_step(row: Row, table: Table, words: Words) -> str:
    """The pruning step of a row, or another description of it."""
    if row.quantized:  # if the kind of quantization varies, it is in its own column
        return words("int8.static") if table.key == "quantize.kind" else words(f"int8.{row.quantized}")
    return words("base") if row.base else str(row.step)


def row_name(table: Table, row: Row, words: Words) -> str:
    """A row in a few words: its value, and its step."""
    value = shown_value(table, row)
    if row.base or row.quantized:
        where = shown_step(row, table, words)
    else:
        where, value = words("step.of", step=row.step), value and value_name(table, row, words)
    return f"{value}, {where}" if value else where


def value_name(table: Table, row: Row, words: Words) -> str:
    """The varied value of a row in a sentence or a legend; the row's name if nothing varies."""
    value = shown_value(table, row)
    if row.base or row.quantized or not value:
        return row_name(table, row, words)
    if table.key == "prune.ratio":
        return value
    if table.key == "finetune.epochs":
        some = words("value.finetune.epochs.some", epochs=words.count("epochs", row.value))
        return some if row.value else words("value.finetune.epochs.none")
    return words("value.of", key=key_name(table.key or "", words), value=value)


def key_name(key: str, words: Words) -> str:
    """The name of a varied key; an unknown one is its own name."""
    return words.get(f"column.key.{key}", key)


def figure_text(figure: Figure | None, digits: int) -> str:
    """A number over the seeds, with its standard deviation if there is one."""
    if figure is None:
        return "–"
    text = f"{figure.mean:,.{digits}f}"
    return text if figure.std is None or figure.std == 0 else f"{text} ± {figure.std:,.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign, a true minus.

    >>> signed(-1234.5, 1), signed(0.25)
    ('−1,234.5', '+0.25')
    """
    return f"{value:+,.{digits}f}".replace("-", "−")


Family = Callable[[Table], list[Column]]


def _number(name: str) -> Column:
    """A column of a metric; beside a published one: ✓ if equal, otherwise the published value and the difference."""

    def cell(row: Row) -> str:
        text = figure_text(row.figures.get(name), METRICS[name].digits)
        theirs = getattr(row.published, name) if name in ("params", "macs_tp", "channels") and row.published else None
        if theirs is None:
            return text
        gap = difference(row).get(name, [None])[0]
        if gap is None:
            return f"{text} ({theirs:,})"
        return f"{text} ✓" if gap == 0 else f"{text} ({theirs:,} {signed(gap, 0)})"

    return Column(name, "right", cell)


def _accuracy(table: Table) -> list[Column]:
    columns = [Column("accuracy", "right", lambda row: figure_text(row.figures.get("accuracy"), 2))]
    if any(row.published and row.published.accuracy for row in table.rows):
        columns.append(Column("source_accuracy", "right", _their_accuracy))
        columns.append(Column("gap", "right", _accuracy_gap))
    return columns


def _their_accuracy(row: Row) -> str:
    return " | ".join(f"{a:.2f}" for a in row.published.accuracy) if row.published else ""


def _accuracy_gap(row: Row) -> str:
    return " | ".join(signed(gap) for gap in difference(row).get("accuracy", []))


def _reached(_: Table) -> list[Column]:
    """Removed channels, and in brackets the requested number if it differs."""

    def cell(row: Row) -> str:
        asked, reached = row.figures.get("asked"), row.figures.get("reached")
        if asked is None or reached is None:
            return "–"
        return f"{figure_text(reached, 1)} ({figure_text(asked, 1)})"

    return [Column("reached", "right", cell)]


def _latency(name: str) -> Family:
    def cell(row: Row) -> str:
        return figure_text(row.figures.get(name), 1) + (" ≈" if name in row.like_base else "")

    def make(table: Table) -> list[Column]:
        columns = [
            Column(name, "right", cell),
            Column("p95", "right", lambda row: figure_text(row.figures.get(f"{name}_p95"), 1)),
        ]
        if name != "latency_1" and any(row.published and row.published.latency_us for row in table.rows):
            columns.append(Column("source_latency", "right", _their_latency))
        return columns

    return make


def _their_latency(row: Row) -> str:
    return f"{row.published.latency_us:.1f}" if row.published and row.published.latency_us is not None else ""


def _bytes(table: Table) -> list[Column]:
    columns = [Column("bytes", "right", lambda row: figure_text(row.figures.get("bytes"), 0))]
    first = next((row for row in table.rows if row.published and row.published.memory_mb is not None), None)
    if first is not None:
        columns.append(
            Column("megabytes", "right", lambda row: _megabytes_to(first, row), of=shown_value(table, first))
        )
        columns.append(Column("source_memory", "right", _their_memory))
    return columns


def _megabytes_to(first: Row, row: Row) -> str:
    if "bytes" not in first.figures or "bytes" not in row.figures:
        return ""
    return signed((row.figures["bytes"].mean - first.figures["bytes"].mean) / 1e6, 3)


def _their_memory(row: Row) -> str:
    return signed(row.published.memory_mb) if row.published and row.published.memory_mb is not None else ""


def _bytes_by_type(table: Table) -> list[Column]:
    return [Column("bytes_of_type", "right", _bytes_of(name), of=name) for name in data_types(table)]


def data_types(table: Table) -> list[str]:
    """The data types of constants in a table, the one with the most bytes first."""
    largest: dict[str, int] = {}
    for row in table.rows:
        for name, count in (row.bytes_by_type or {}).items():
            largest[name] = max(count, largest.get(name, 0))
    return sorted(largest, key=lambda name: -largest[name])


def _bytes_of(name: str) -> Cell:
    return lambda row: f"{row.bytes_by_type[name]:,}" if name in (row.bytes_by_type or {}) else "–"  # type: ignore[index]


def _file(table: Table) -> list[Column]:
    columns = [_number("file")]
    if any(row.published and row.published.size_kb is not None for row in table.rows):
        columns.append(Column("source_size", "right", _their_size))
    return columns


def _their_size(row: Row) -> str:
    return f"{row.published.size_kb:g}" if row.published and row.published.size_kb is not None else ""


def _widths(table: Table) -> list[Column]:
    return [Column("width", "right", _width_of(name), of=name) for name in layers(table)]


def layers(table: Table) -> list[str]:
    """The layers whose channels a table contains."""
    return next((list(row.widths) for row in table.rows if row.widths), [])


def _width_of(name: str) -> Cell:
    return lambda row: str(row.widths.get(name, "")) if row.widths else ""


def _per_class(table: Table) -> list[Column]:
    count = next((len(row.per_class) for row in table.rows if row.per_class), 0)
    return [Column("per_class", "right", _class_of(index), of=str(index)) for index in range(count)]


def _class_of(index: int) -> Cell:
    def cell(row: Row) -> str:
        value = row.per_class[index] if row.per_class else None
        return "" if value is None else f"{value:.1f}"

    return cell


_OF_THEIR_OWN: dict[str, Family] = {  # the others are single numbers
    "accuracy": _accuracy,
    "per_class": _per_class,
    "bytes": _bytes,
    "bytes_by_type": _bytes_by_type,
    "file": _file,
    "reached": _reached,
    "latency_1": _latency("latency_1"),
    "latency_256": _latency("latency_256"),
    "latency_ort": _latency("latency_ort"),
    "widths": _widths,
}
