"""The chosen model in a study's tables, the base beside it, and what the generated C of both needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from niwaki.reporting.tables import Row, Table
from niwaki.reporting.view import View
from niwaki.study.records import float_record
from niwaki.study.result_files import FormFootprint

Which = Literal["base", "chosen"]


@dataclass(frozen=True)
class Chosen:
    """The rows of the experiment in which the choice was made."""

    table: Table
    base: Row
    final: Row  # in float
    int8: Row | None
    alike: Row | None = None
    """With several seeds: the row of another experiment with the int8 network of the same C, over all seeds."""


@dataclass(frozen=True)
class CNeeds:
    """Bytes that the generated C of a network needs; None if unknown. Those of `board` include code."""

    flash: int | None = None
    ram: int | None = None
    board_flash: int | None = None
    board_ram: int | None = None
    board_stack: int | None = None


def chosen_rows(view: View, tables: Sequence[Table]) -> Chosen | None:
    """The base, the chosen network in float and, if the experiment quantizes, in int8; None without a choice."""
    if view.spec.select is None or view.choice is None or view.choice.key is None:
        return None
    table = next((table for table in tables if table.name == view.spec.select.experiment), None)
    if table is None:
        return None
    value = view.choice.value
    rows = [row for row in table.rows if not row.base and row.value == value and row.figures]
    base = next((row for row in table.rows if row.base and row.value in (None, value) and row.figures), None)
    floats = [row for row in rows if row.quantized is None]
    if base is None or not (floats or rows):
        return None
    final = floats[-1] if floats else base
    return Chosen(table, base, final, next((row for row in rows if row.quantized), None), _over_seeds(view, tables))


def _over_seeds(view: View, tables: Sequence[Table]) -> Row | None:
    flash = c_needs(view, "chosen").flash
    of_c = (row for t in tables for row in t.rows if row.quantized in ("static", "qat") and "accuracy" in row.figures)
    return next((r for r in of_c if r.figures["accuracy"].n > 1 and _flash(r) == flash), None)


def _flash(row: Row) -> float | None:
    return row.figures["flash"].mean if "flash" in row.figures else None


def c_needs(view: View, which: Which) -> CNeeds:
    """What the generated C of the base or of the chosen model needs."""
    found = _footprint(view, which)
    board = found.board
    if board is None:
        return CNeeds(found.flash, found.ram)
    return CNeeds(found.flash, found.ram, board.flash, board.ram, board.stack)


def c_layers(view: View, which: Which) -> dict[str, int] | None:
    """Bytes that the generated C of a network stores for each layer, by the layer's name; None if unknown.

    The empty name stands for what belongs to no layer: a table of pixels. The bytes add up to `CNeeds.flash`.
    """
    found = _footprint(view, which)
    if found.flash is None or found.layers is None:
        return None
    rest = found.flash - sum(found.layers.values())
    return dict(found.layers) | ({"": rest} if rest else {})


def _footprint(view: View, which: Which) -> FormFootprint:
    if which == "base":
        return view.evidence.base.int8 if view.evidence else FormFootprint()
    exported = view.verification.exported if view.verification else {}
    return exported.get("c", FormFootprint())


def tested_accuracy(view: View, network: str) -> float | None:
    """Correct predictions on the test images in percent, for a network with a confusion matrix in the evidence."""
    confusion = view.evidence.confusion.get(network) if view.evidence else None
    if not confusion:
        return None
    right: int = sum(row[index] for index, row in enumerate(confusion))
    return 100 * right / sum(map(sum, confusion))


def base_key(view: View) -> str | None:
    """The stage of the base that the chosen model came from, or of the first trial, if it is done."""
    key = view.choice.key if view.choice else None
    if key is not None and key in view.records:
        key = float_record(view.records, key).key
    for trial in view.trials:
        if (key is None or key in trial.rows) and view.results(trial.rows[0]) is not None:
            return trial.rows[0]
    return None
