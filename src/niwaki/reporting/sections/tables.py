"""An experiment's table as a block: in readable form, and as CSV with every value of every row."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.drawing.chart import to_csv
from niwaki.reporting.columns import columns_of, heading, row_name
from niwaki.reporting.document import Grid
from niwaki.reporting.tables import DONE, Figure, Row, Table
from niwaki.reporting.words import Words

LONG = 12  # rows: longer tables are folded
WIDE, LOW = 10, 5  # columns and rows: a table with more columns and no more rows is transposed


def table_grid(table: Table, words: Words) -> Grid:
    """The table of an experiment. Its notes name unfinished rows and remarks on single rows.

    A wide and low table is transposed: a line for each measure, a column for each row.
    """
    columns = columns_of(table, words)
    notes = [
        f"{row_name(table, row, words)}: {text}"
        for row in table.rows
        for text in (*row.notes, *([row.status] if row.status != DONE else []))
    ]
    left = frozenset(index for index, column in enumerate(columns) if column.align == "left")
    heads = tuple(heading(column, words) for column in columns)
    rows = tuple(tuple(column.cell(row) for column in columns) for row in table.rows)
    if len(columns) > WIDE and len(rows) <= LOW:
        measures = [index for index, column in enumerate(columns) if column.name not in ("varied", "step")]
        rows = tuple((heads[index], *(row[index] for row in rows)) for index in measures)
        heads = (words("answer.measure"), *(row_name(table, row, words) for row in table.rows))
        left = frozenset({0})
    return Grid(
        f"table-{table.name}", words.name(table.title), heads, rows, experiment_csv(table), left,
        (*notes, *table.remarks), folded=len(table.rows) > LONG,
    )  # fmt: skip


def experiment_csv(table: Table) -> str:
    """Every value of every row: the mean over the seeds and, if there are several, its standard deviation."""
    names = list(dict.fromkeys(name for row in table.rows for name in row.figures))
    spread = {name for row in table.rows for name, figure in row.figures.items() if figure.std is not None}
    widths = list(dict.fromkeys(name for row in table.rows for name in row.widths or {}))
    types = list(dict.fromkeys(name for row in table.rows for name in row.bytes_by_type or {}))
    published = ("accuracy", "params", "macs_tp", "latency_us", "channels", "memory_mb", "size_kb")
    head = [table.key or "value", "step", "kind", "status", "seeds"]
    for name in names:
        head += [name, *([f"{name}_std"] if name in spread else [])]
    head += [f"width_{name}" for name in widths] + [f"bytes_{name}" for name in types]
    head += [f"published_{name}" for name in published]
    return to_csv(head, (_csv_row(row, names, spread, widths, types, published) for row in table.rows))


def _csv_row(
    row: Row, names: Sequence[str], spread: set[str], widths: Sequence[str], types: Sequence[str],
    published: Sequence[str],
) -> list[str]:  # fmt: skip
    kind = row.quantized or ("base" if row.base else "float")
    seeds = max((figure.n for figure in row.figures.values()), default=0)
    cells = ["" if row.value is None else str(row.value), str(row.step), kind, row.status, str(seeds)]
    for name in names:
        figure = row.figures.get(name)
        cells += [_mean(figure), *([_std(figure)] if name in spread else [])]
    cells += [str((row.widths or {}).get(name, "")) for name in widths]
    cells += [str((row.bytes_by_type or {}).get(name, "")) for name in types]
    return cells + [_stated(getattr(row.published, name)) if row.published else "" for name in published]


def _mean(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.mean:.10g}"


def _std(figure: Figure | None) -> str:
    return "" if figure is None or figure.std is None else f"{figure.std:.10g}"


def _stated(value: object) -> str:
    if value is None:
        return ""
    return " | ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def plain_csv(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A small table as it is read, but without commas in thousands."""
    return to_csv(heads, [[_number(cell) for cell in row] for row in rows])


def _number(cell: str) -> str:
    bare = cell.replace(",", "").replace("−", "-")
    try:
        float(bare)
    except ValueError:
        return cell
    return bare
