"""Results as data first, as text second: tables for the terminal, for README.md and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from niwaki.errors import NiwakiError
from niwaki.files import write_whole
from niwaki.study.environment import processor_name

RESULTS = "results"  # the part that does not belong to one benchmark
BUSY = 0.5  # a load average above this means that other programs are computing here


@dataclass(frozen=True)
class Table:
    """Rows of text cells, under a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """The result of one benchmark, how it was measured, and the command to repeat it; `figures` are plain numbers."""

    title: str
    method: str
    command: str
    tables: tuple[Table, ...]
    findings: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, Any]:
    """Where the results were measured. Taken before anything runs: `load` shows the work of others."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def describe(where: Mapping[str, Any]) -> str:
    """The machine in one line, with a warning below it if it was not quiet."""
    line = (
        f"{where['processor']}, {where['cores']} cores; torch {where['torch']} (default threads: {where['threads']}), "
        f"Python {where['python']}; true Fashion-MNIST"
    )
    if where["load"] is not None and where["load"] > BUSY:
        line += f"\nNOT QUIET: the load average was {where['load']:g} at the start; these figures are not to be quoted."
    return line


def render(report: Report) -> str:
    """A report as plain text."""
    parts = [f"== {report.title} ==", f"Method: {report.method}", f"Command: {report.command}"]
    parts += ["\n" + render_table(table) for table in report.tables]
    if report.findings:
        parts.append("\n" + "\n".join(f"- {finding}" for finding in report.findings))
    return "\n".join(parts)


def render_table(table: Table) -> str:
    """A table as plain text: the first column left-aligned, all others right-aligned."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(table.columns))]

    def aligned(line: tuple[str, ...]) -> str:
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        return "  ".join(cells).rstrip()

    return "\n".join([table.title, aligned(table.columns), "-" * (sum(widths) + 2 * len(widths) - 2)]
                     + [aligned(row) for row in table.rows])  # fmt: skip


def write_json(path: Path, where: Mapping[str, Any], reports: Mapping[str, Report]) -> None:
    """Every figure as one JSON object."""
    benches = {
        name: {"title": report.title, "method": report.method, "command": report.command, **report.figures}
        for name, report in reports.items()
    }
    write_whole(path, (json.dumps({"machine": dict(where), **benches}, indent=1) + "\n").encode())


def markers(part: str = RESULTS) -> tuple[str, str]:
    """The two comments around a part of the results in a Markdown file."""
    return f"<!-- {part} -->", f"<!-- /{part} -->"


def write_results(path: Path, where: Mapping[str, Any], reports: Mapping[str, Report], part: str = RESULTS) -> None:
    """Replace the text between the two markers of a part of a Markdown file by the results."""
    first, last = markers(part)
    texts = [describe(where), *(render(report) for report in reports.values())]
    block = "\n\n".join(f"```text\n{text}\n```" for text in texts)
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise NiwakiError(f"{path}: the markers {first} and {last} are not both there: put them back")
    write_whole(path, f"{before}{first}\n\n{block}\n\n{last}{after}".encode())
