"""Tables for a terminal: rich where it is one, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from niwaki.report.forms import print_verification
from niwaki.report.tables import Figure, Row, Table, difference, make_tables
from niwaki.report.view import View
from niwaki.study.store import FORMS

_LABELS = {"finetune.epochs": "fine-tuning epochs", "finetune.lr": "fine-tuning lr", "prune.ratio": "ratio",
           "prune.steps": "steps", "prune.scope": "scope", "prune.importance": "importance",
           "quantize.kind": "quantization", "quantize.images": "calibration images"}  # fmt: skip
_INT8 = {"static": "int8", "dynamic": "dynamic int8"}


def print_study(console: Console, view: View) -> None:
    """All tables of a study, what failed, what is not there yet, and the choice."""
    data = view.data
    title = view.spec.title or str(view.folder)
    console.print(f"[bold]{escape(title)}[/bold]", highlight=False)
    images = data["images"]
    console.print(
        f"{escape(data['name'])}: {images['train']:,} training, {images['validation']:,} validation and "
        f"{images['test']:,} test images ({escape(data['origin'])}); {escape(view.environment['machine'])}, "
        f"torch {view.environment['torch']}; {view.spec.seeds} seed{'s' if view.spec.seeds > 1 else ''}",
        highlight=False,
    )
    if data["synthetic"]:
        console.print(
            "[bold yellow]SYNTHETIC DATA: garments that niwaki drew. These figures say nothing about Fashion-MNIST; "
            "the source's are left out.[/bold yellow]"
        )
    tables = make_tables(view)
    for table in tables:
        console.print()
        print_table(console, table)
    console.print()
    for remark in dict.fromkeys(remark for table in tables for remark in table.remarks):
        console.print(f"[dim]{escape(remark)}[/dim]", highlight=False)
    _print_state(console, view)


def print_table(console: Console, table: Table) -> None:
    """One table, with what is to be said of single rows below it."""
    console.print(f"[bold]{escape(table.title)}[/bold]", highlight=False)
    shown = RichTable(box=None, pad_edge=False)
    columns = _columns(table)
    for heading, justify, _ in columns:
        shown.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in table.rows:
        shown.add_row(*(escape(cell(row)) for _, _, cell in columns))
    console.print(shown)
    for row in table.rows:
        for remark in (*row.notes, *([row.status] if row.status != "done" else [])):
            console.print(f"  {escape(_name(table, row))}: {escape(remark)}", highlight=False)
    if table.source:
        console.print(f"  [dim]Source: {escape(table.source)}.[/dim]", highlight=False)


Cell = Callable[[Row], str]


def _columns(table: Table) -> list[tuple[str, str, Cell]]:
    columns: list[tuple[str, str, Cell]] = []
    if table.key is not None:
        columns.append((_LABELS.get(table.key, table.key), "left", lambda row: _value(table, row)))
    columns.append(("step", "right", lambda row: _step(row, table)))
    for name in table.columns:
        columns.extend(_COLUMNS[name](table))
    return columns


def _step(row: Row, table: Table) -> str:
    if row.quantized:
        return "int8" if table.key == "quantize.kind" else _INT8[row.quantized]  # the kind stands beside it
    return "base" if row.base else str(row.step)


def _number(name: str, heading: str, digits: int = 0) -> Callable[[Table], list[tuple[str, str, Cell]]]:
    """A column of figures; beside a published one: ✓ where equal, else the published figure and the difference."""

    def cell(row: Row) -> str:
        text = _figure(row.figures.get(name), digits)
        theirs = getattr(row.published, name) if name in ("params", "macs_tp", "channels") and row.published else None
        if theirs is None:
            return text
        gap = difference(row).get(name, [None])[0]
        if gap is None:
            return f"{text} ({theirs:,})"
        return f"{text} ✓" if gap == 0 else f"{text} ({theirs:,} {gap:+,.0f})"

    return lambda _: [(heading, "right", cell)]


def _accuracy(table: Table) -> list[tuple[str, str, Cell]]:
    columns: list[tuple[str, str, Cell]] = [("test %", "right", lambda row: _figure(row.figures.get("accuracy"), 2))]
    if any(row.published and row.published.accuracy for row in table.rows):
        columns.append(("source %", "right", _their_accuracy))
        columns.append(("difference", "right", _accuracy_gap))
    return columns


def _their_accuracy(row: Row) -> str:
    return " | ".join(f"{a:.2f}" for a in row.published.accuracy) if row.published else ""


def _accuracy_gap(row: Row) -> str:
    return " | ".join(f"{gap:+.2f}" for gap in difference(row).get("accuracy", []))


def _latency(name: str, heading: str) -> Callable[[Table], list[tuple[str, str, Cell]]]:
    def cell(row: Row) -> str:
        return _figure(row.figures.get(name), 1) + (" ≈" if name in row.like_base else "")

    def make(table: Table) -> list[tuple[str, str, Cell]]:
        columns: list[tuple[str, str, Cell]] = [
            (heading, "right", cell),
            ("p95", "right", lambda row: _figure(row.figures.get(f"{name}_p95"), 1)),
        ]
        if name != "latency_1" and any(row.published and row.published.latency_us for row in table.rows):
            columns.append(("source µs", "right", _their_latency))
        return columns

    return make


def _their_latency(row: Row) -> str:
    return f"{row.published.latency_us:.1f}" if row.published and row.published.latency_us is not None else ""


def _bytes(table: Table) -> list[tuple[str, str, Cell]]:
    columns: list[tuple[str, str, Cell]] = [
        ("weights, bytes", "right", lambda row: _figure(row.figures.get("bytes"), 0))
    ]
    if any(row.published and row.published.memory_mb is not None for row in table.rows):
        first = next((row for row in table.rows if row.published and row.published.memory_mb is not None), None)
        columns.append(
            (f"MB to {_value(table, first) if first else ''}", "right", lambda row: _megabytes_to(first, row))
        )
        columns.append(("source MB", "right", _their_memory))
    return columns


def _megabytes_to(first: Row | None, row: Row) -> str:
    if first is None or "bytes" not in first.figures or "bytes" not in row.figures:
        return ""
    return f"{(row.figures['bytes'].mean - first.figures['bytes'].mean) / 1e6:+.3f}"


def _their_memory(row: Row) -> str:
    return f"{row.published.memory_mb:+.2f}" if row.published and row.published.memory_mb is not None else ""


def _bytes_by_type(table: Table) -> list[tuple[str, str, Cell]]:
    largest: dict[str, int] = {}
    for row in table.rows:
        for name, count in (row.bytes_by_type or {}).items():
            largest[name] = max(count, largest.get(name, 0))
    return [(f"{name} B", "right", _bytes_of(name)) for name in sorted(largest, key=lambda name: -largest[name])]


def _bytes_of(name: str) -> Cell:
    return lambda row: f"{row.bytes_by_type[name]:,}" if name in (row.bytes_by_type or {}) else "–"  # type: ignore[index]


def _file(table: Table) -> list[tuple[str, str, Cell]]:
    columns = _number("file", "file, bytes")(table)
    if any(row.published and row.published.size_kb is not None for row in table.rows):
        columns.append(("source KB", "right", _their_size))
    return columns


def _their_size(row: Row) -> str:
    return f"{row.published.size_kb:g}" if row.published and row.published.size_kb is not None else ""


def _widths(table: Table) -> list[tuple[str, str, Cell]]:
    names = next((list(row.widths) for row in table.rows if row.widths), [])
    return [(name, "right", _width_of(name)) for name in names]


def _width_of(name: str) -> Cell:
    return lambda row: str(row.widths.get(name, "")) if row.widths else ""


def _per_class(table: Table) -> list[tuple[str, str, Cell]]:
    count = next((len(row.per_class) for row in table.rows if row.per_class), 0)
    return [(f"class {index} %", "right", _class_of(index)) for index in range(count)]


def _class_of(index: int) -> Cell:
    def cell(row: Row) -> str:
        value = row.per_class[index] if row.per_class else None
        return "" if value is None else f"{value:.1f}"

    return cell


_COLUMNS: dict[str, Callable[[Table], list[tuple[str, str, Cell]]]] = {
    "validation": _number("validation", "validation %", 2),
    "accuracy": _accuracy,
    "per_class": _per_class,
    "params": _number("params", "parameters"),
    "macs": _number("macs", "MACs"),
    "macs_tp": _number("macs_tp", "macs_tp"),
    "bytes": _bytes,
    "bytes_by_type": _bytes_by_type,
    "flash": _number("flash", "flash, bytes"),
    "ram": _number("ram", "RAM, bytes"),
    "agreement": _number("agreement", "agree %", 2),
    "file": _file,
    "activations": _number("activations", "activations, bytes"),
    "channels": _number("channels", "channels (in + out)"),
    "latency_1": _latency("latency_1", "µs b1"),
    "latency_256": _latency("latency_256", "µs b256"),
    "latency_ort": _latency("latency_ort", "µs b1 ONNX R."),
    "widths": _widths,
}


def _figure(figure: Figure | None, digits: int) -> str:
    if figure is None:
        return "–"
    text = f"{figure.mean:,.{digits}f}"
    return text if figure.std is None or figure.std == 0 else f"{text} ± {figure.std:,.{digits}f}"


def _value(table: Table, row: Row) -> str:
    if row.value is None:
        return ""
    if table.key == "prune.ratio":
        return f"{row.value:.0%}"
    return f"{row.value:g}" if isinstance(row.value, float) else str(row.value)


def _name(table: Table, row: Row) -> str:
    value = _value(table, row)
    where = _step(row, table) if row.base or row.quantized else f"step {row.step}"
    return f"{value}, {where}" if value else where


def _print_state(console: Console, view: View) -> None:
    for problem in view.damaged:
        console.print(f"[red]{escape(problem)}; the next run mends it[/red]", highlight=False)
    for key, reason in view.failures.items():
        console.print(f"[red]failed: stage {key} ({view.records[key].kind}): {escape(reason)}[/red]", highlight=False)
    missing = len(view.stages) - len(view.records)
    if missing:
        console.print(f"{missing} of {len(view.stages)} stages are not done yet.", highlight=False)
    if view.choice:
        console.print(f"[bold]Choice.[/bold] {escape(view.choice['reason'])}", highlight=False)
    if view.verification:
        print_verification(console, view.verification, view.folder / FORMS)


def study_as_json(view: View) -> dict[str, Any]:
    """The whole of a study for programs: `niwaki study show DIR --json`."""
    return {
        "folder": str(view.folder),
        "title": view.spec.title,
        "data": view.data,
        "environment": view.environment,
        "seeds": view.spec.seeds,
        "stages": {"planned": len(view.stages), "done": len(view.records) - len(view.failures)},
        "experiments": [table.to_dict() for table in make_tables(view)],
        "choice": view.choice,
        "verification": view.verification,
        "failed": view.failures,
        "damaged": list(view.damaged),
        "timings": view.timings,
    }
