"""A study as tables for a terminal (rich if it is one, otherwise plain lines), and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from niwaki.device.text import counted
from niwaki.reporting import terminal
from niwaki.reporting.columns import Column, columns_of, row_name
from niwaki.reporting.forms import print_verification
from niwaki.reporting.tables import Table, make_tables
from niwaki.reporting.view import View
from niwaki.reporting.words import words_in
from niwaki.study.checked_json import Part
from niwaki.study.metrics import METRICS
from niwaki.study.store import FORMS
from niwaki.tabular import Tabular

_LABELS = {"finetune.epochs": "fine-tuning epochs", "finetune.lr": "fine-tuning lr", "prune.ratio": "ratio",
           "prune.steps": "steps", "prune.scope": "scope", "prune.importance": "importance",
           "quantize.kind": "quantization", "quantize.images": "calibration images"}  # fmt: skip
_HEADINGS = {name: metric.heading for name, metric in METRICS.items()} | {
    "source_accuracy": "source %", "gap": "difference", "per_class": "class {of} %", "bytes_of_type": "{of} B",
    "megabytes": "MB to {of}", "source_memory": "source MB", "source_size": "source KB", "latency_1": "µs b1",
    "reached": "removed (asked) %", "latency_256": "µs b256", "latency_ort": "µs b1 ONNX R.",
    "source_latency": "source µs",
}  # fmt: skip
ENGLISH = words_in("en")


def print_study(console: Console, view: View, *, wide: bool = False) -> bool:
    """Print all tables, failures, what is missing, and the choice; returns whether all columns are shown.

    If there is too little space, the least important columns are left out and named; with `wide` they go below.
    """
    data = view.data
    title = view.spec.title or str(view.folder)
    console.print(f"[bold]{escape(title)}[/bold]", highlight=False)
    console.print(
        f"{escape(data.name)}: {data.images.train:,} training, {data.images.validation:,} validation and "
        f"{data.images.test:,} test images ({escape(data.origin)}); {escape(view.environment.machine)}, "
        f"torch {view.environment.torch}; {counted(view.spec.seeds, 'seed')}",
        highlight=False,
    )
    if data.synthetic:
        console.print(
            "[bold yellow]SYNTHETIC DATA: garments that niwaki drew. These results say nothing about Fashion-MNIST, "
            "and the published ones are left out.[/bold yellow]"
        )
    tables = make_tables(view)
    left_out: dict[str, None] = {}
    for table in tables:
        console.print()
        left_out.update(dict.fromkeys(print_table(console, table, wide=wide)))
    console.print()
    if left_out:
        console.print(f"Columns left out: {', '.join(left_out)}.", highlight=False, markup=False)
    for remark in dict.fromkeys(remark for table in tables for remark in table.remarks):
        console.print(f"[dim]{escape(remark)}[/dim]", highlight=False)
    _print_state(console, view)
    return not left_out


def print_table(console: Console, table: Table, *, wide: bool = False) -> list[str]:
    """One table, with remarks on single rows below it; returns the headings of columns that are left out."""
    shown = as_tabular(table)
    every = range(len(shown.columns))
    kept: Sequence[int] = every
    if not wide:
        kept = terminal.that_fit(console, shown.columns, shown.rows, _importance(table))
    console.print(f"[bold]{escape(shown.caption)}[/bold]", highlight=False)
    rows = [[row[index] for index in kept] for row in shown.rows]
    terminal.print_table(console, [shown.columns[index] for index in kept], rows)
    for note in shown.notes:
        console.print(f"  {escape(note)}", highlight=False)
    if table.source:
        console.print(f"  [dim]Source: {escape(table.source)}.[/dim]", highlight=False)
    return [shown.columns[index][0] for index in every if index not in kept]


def as_tabular(table: Table) -> Tabular:
    """A table as a terminal and a notebook show it; its notes are remarks on single rows."""
    columns = columns_of(table, ENGLISH)
    rows = tuple(tuple(column.cell(row) for column in columns) for row in table.rows)
    notes = tuple(
        f"{row_name(table, row, ENGLISH)}: {remark}"
        for row in table.rows
        for remark in (*row.notes, *([row.status] if row.status != "done" else []))
    )
    return Tabular(tuple((_heading(column), column.align) for column in columns), rows, table.title, notes)


_FIRST = (
    "varied", "step", "accuracy", "reached", "params", "flash", "ram", "bytes", "agreement", "latency_1", "latency_ort",
    "macs", "gap", "source_accuracy", "validation",
)  # fmt: skip
"""The most important columns; the others follow in order, families of many columns last."""
_FAMILIES = ("width", "per_class", "bytes_of_type")


def _importance(table: Table) -> list[int]:
    names = [column.name for column in columns_of(table, ENGLISH)]
    rank = {name: number for number, name in enumerate(_FIRST)}
    last = dict.fromkeys(_FAMILIES, 1000)
    return sorted(range(len(names)), key=lambda index: rank.get(names[index], last.get(names[index], 100)))


def _heading(column: Column) -> str:
    """A column's heading in a terminal: short, since there are many."""
    if column.name in ("varied", "width"):
        return _LABELS.get(column.of, column.of)
    return _HEADINGS.get(column.name, column.name).format(of=column.of)


def _print_state(console: Console, view: View) -> None:
    for problem in view.damages:
        console.print(f"[red]{escape(problem)}; the next run repairs it[/red]", highlight=False)
    for key, reason in view.failures.items():
        console.print(f"[red]failed: stage {key} ({view.records[key].kind}): {escape(reason)}[/red]", highlight=False)
    if failed := len(view.failures):
        waiting = len(view.waiting)
        waits = f", {waiting} {'waits' if waiting == 1 else 'wait'} for {'it' if failed == 1 else 'them'}"
        console.print(f"{counted(failed, 'stage')} failed{waits if waiting else ''}.", highlight=False)
    if view.to_do:
        console.print(f"{view.to_do} of {len(view.stages)} stages are still to run.", highlight=False)
    if view.choice:
        console.print(f"[bold]Choice.[/bold] {escape(view.choice.reason)}", highlight=False)
    if view.verification:
        print_verification(console, view.verification, view.folder / FORMS)


def study_as_json(view: View) -> dict[str, object]:
    """A complete study for programs: `niwaki study show DIR --json`."""
    return {
        "folder": str(view.folder),
        "title": view.spec.title,
        "data": view.data.to_dict(),
        "environment": view.environment.to_dict(),
        "seeds": view.spec.seeds,
        "stages": {"planned": len(view.stages), "done": len(view.records) - len(view.failures)},
        "experiments": [table.to_dict() for table in make_tables(view)],
        "choice": _plain(view.choice),
        "verification": _plain(view.verification),
        "failed": view.failures,
        "damaged": list(view.damages),
        "timings": _plain(view.timings),
    }


def _plain(part: Part | None) -> dict[str, object] | None:
    return part.to_dict() if part is not None else None
