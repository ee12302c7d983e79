"""The result for the chosen model in a terminal: its forms, what the C needs, whether all of them agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from niwaki.reporting.terminal import print_table
from niwaki.study.result_files import FormFootprint, Verification, VerifiedForm
from niwaki.tabular import Column

_COLUMNS: tuple[Column, ...] = (
    ("form", "left"), ("run by", "left"), ("images", "right"), ("test %", "right"), ("compared with", "left"),
    ("same class", "right"), ("verdict", "left"),
)  # fmt: skip
_VERDICTS = {True: "agrees", False: "DISAGREES", None: ""}


def print_verification(console: Console, found: Verification, folder: Path) -> None:
    """Print the content of `verify.json` for the forms in `folder`."""
    if not found.exists:
        reason = f"The chosen model cannot be exported and verified: {found.reason}"
        console.print(f"[yellow]{escape(reason)}[/yellow]", highlight=False)
        return
    agree = "all forms agree" if found.all_compared else "the forms that were compared agree"
    verdict = "[red]FORMS DISAGREE[/red]" if found.disagree else "; ".join((agree, *found.far))
    if failed := sorted({form.form for form in found.forms if form.ok is False and not form.images}):
        verdict += f"; [red]NOT COMPARED[/red]: {escape(', '.join(failed))}"
    console.print(
        f"[bold]Exported[/bold] to {escape(str(folder))}, verified on {escape(found.images)}: {verdict}.",
        highlight=False,
    )
    print_table(console, _COLUMNS, [_cells(form) for form in found.forms])
    for form, reason in found.missing.items():
        console.print(f"  [red]MISSING[/red]: {escape(f'no {form}: {reason}')}", highlight=False)
    needs = _needs(found.exported["c"]) if "c" in found.exported else []
    for line in (*needs, *_reasons(found.forms), *found.export_notes, *found.notes):
        console.print(f"  {escape(line)}", highlight=False)


def _cells(form: VerifiedForm) -> tuple[str, ...]:
    if not form.images:
        return form.form, form.how, "", "", "", "", "not run" if form.ok is None else "not compared"
    accuracy = f"{form.accuracy.percent:.2f}" if form.accuracy else ""
    against = same = ""
    if form.agreement:
        bits = {True: ", to the bit", False: ", not to the bit", None: ""}[form.agreement.equal]
        against = form.agreement.against + bits
        same = f"{form.agreement.same_class:,}"
    return form.form, form.how, f"{form.images:,}", accuracy, against, same, _VERDICTS[form.ok]


def _needs(c: FormFootprint) -> list[str]:
    lines = []
    if c.flash is not None:
        lines.append(f"C: {c.flash:,} bytes of constants in flash, {c.ram:,} bytes of RAM; code and stack on top.")
    if c.board:
        board = c.board
        lines.append(
            f"C on {board.cpu} ({board.optimization}): flash {board.flash:,} bytes (code {board.code:,}, "
            f"constants {board.constants:,}), RAM {board.ram:,}, stack {board.stack:,}."
        )
    return lines


def _reasons(forms: Sequence[VerifiedForm]) -> list[str]:
    """Where forms disagree, and why some were not run."""
    said = {True: "", False: "", None: "not run: "}
    return [f"{form.form}, {form.how}: {said[form.ok]}{form.reason}" for form in forms if form.reason]
