"""What became of the chosen model: its forms, what the C needs, whether all of them agree; for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from niwaki.reporting.terminal import Column, print_table

_COLUMNS: tuple[Column, ...] = (
    ("form", "left"), ("run by", "left"), ("images", "right"), ("test %", "right"), ("compared with", "left"),
    ("same class", "right"), ("", "left"),
)  # fmt: skip
_VERDICTS = {True: "agrees", False: "DISAGREES", None: ""}


def print_verification(console: Console, found: dict[str, Any], folder: Path) -> None:
    """Print what `verify.json` says of the forms in `folder`."""
    if found["ok"] is None:
        reason = f"The chosen model cannot be exported and verified: {found['reason']}"
        console.print(f"[yellow]{escape(reason)}[/yellow]", highlight=False)
        return
    agree = "all forms agree" if all_compared(found) else "the forms that were compared agree"
    agree = "; ".join((agree, *found.get("far", ())))
    verdict = "[red]FORMS DISAGREE[/red]" if disagree(found) else agree
    if failed := sorted({form["form"] for form in found["forms"] if form["ok"] is False and not form["images"]}):
        verdict += f"; [red]NOT COMPARED[/red]: {escape(', '.join(failed))}"
    console.print(
        f"[bold]Exported[/bold] to {escape(str(folder))}, verified on {escape(found['images'])}: {verdict}.",
        highlight=False,
    )
    print_table(console, _COLUMNS, [_cells(form) for form in found["forms"]])
    needs = _needs(found["exported"].get("c", {}))
    missing = [f"no {form}: {reason}" for form, reason in found.get("missing", {}).items()]
    for line in missing:
        console.print(f"  [red]MISSING[/red]: {escape(line)}", highlight=False)
    for line in (*needs, *_reasons(found["forms"]), *found["export_notes"], *found["notes"]):
        console.print(f"  {escape(line)}", highlight=False)


def all_compared(found: Mapping[str, Any]) -> bool:
    """Whether every form of a verification was run and held against another."""
    return all(form["images"] for form in found["forms"]) and not (found.get("not_held") or found.get("far"))


def disagree(found: Mapping[str, Any]) -> bool:
    """Whether a form of a verification disagrees with another; one that was not run cannot."""
    return not found["ok"] and any(form["ok"] is False and form["images"] for form in found["forms"])


def _cells(form: dict[str, Any]) -> tuple[str, ...]:
    if not form["images"]:
        return form["form"], form["how"], "", "", "", "", "not run" if form["ok"] is None else "not compared"
    accuracy = f"{form['accuracy']['percent']:.2f}" if form["accuracy"] else ""
    against = same = ""
    if form["agreement"]:
        bits = {True: ", to the bit", False: ", not to the bit", None: ""}[form["agreement"]["equal"]]
        against = form["agreement"]["against"] + bits
        same = f"{form['agreement']['same_class']:,}"
    return form["form"], form["how"], f"{form['images']:,}", accuracy, against, same, _VERDICTS[form["ok"]]


def _needs(c: dict[str, Any]) -> list[str]:
    lines = []
    if "flash" in c:
        lines.append(
            f"C: {c['flash']:,} bytes of constants in flash, {c['ram']:,} bytes of RAM; code and stack on top."
        )
    if c.get("board"):
        board = c["board"]
        lines.append(
            f"C on {board['cpu']} ({board['optimization']}): flash {board['flash']:,} bytes (code {board['code']:,}, "
            f"constants {board['constants']:,}), RAM {board['ram']:,}, stack {board['stack']:,}."
        )
    return lines


def _reasons(forms: list[dict[str, Any]]) -> list[str]:
    """Where forms disagree, and why some were not run."""
    said = {True: "", False: "", None: "not run: "}
    return [f"{f['form']}, {f['how']}: {said[f['ok']]}{f['reason']}" for f in forms if f["reason"]]
