"""The findings of an experiment, in a sentence or two that its numbers support."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.measure.accuracy import wilson_interval
from niwaki.reporting.charts.controls import differences
from niwaki.reporting.charts.experiments import has_steps
from niwaki.reporting.columns import row_name, signed, value_name
from niwaki.reporting.tables import Row, Table, difference
from niwaki.reporting.view import View
from niwaki.reporting.words import Words


def findings(view: View, table: Table, words: Words) -> list[str]:
    """Sentences on accuracy and on agreement with published values; none if too little is measured."""
    said = []
    if "accuracy" in table.columns:
        said += _range(view, table, words)
    said += _counts(table, words)
    return said + _furthest(table, words)


def against(view: View, control: Table, other: Table, words: Words) -> list[str]:
    """Where training from scratch beats pruning, where pruning beats it, and where they cannot be told apart."""
    listed: dict[str, list[str]] = {"better": [], "worse": [], "same": [], "dead": []}
    rows = {repr(row.value): row for row in control.rows}
    for gap in differences(control, other):
        row = rows[repr(gap.value)]
        name = value_name(control, row, words)
        if words("note.dead") in row.notes:  # says nothing about training from scratch
            listed["dead"].append(name)
        elif abs(gap.points) <= 2**0.5 * noise(view, row.figures["accuracy"].mean):  # of two independent accuracies
            listed["same"].append(name)
        else:
            said = words("finding.scratch.one", value=name, points=abs(gap.points))
            listed["better" if gap.points > 0 else "worse"].append(said)
    return [words(f"finding.scratch.{kind}", list=", ".join(found)) for kind, found in listed.items() if found]


def noise(view: View, percent: float) -> float:
    """The uncertainty, in points, of an accuracy around `percent` from its test images (half the 95 % interval)."""
    tested = view.data.images.test
    low, high = wilson_interval(round(percent / 100 * tested), tested)
    return (high - low) / 2


def _range(view: View, table: Table, words: Words) -> list[str]:
    rows = [row for row in ends(table) if "accuracy" in row.figures]
    bases = [row for row in table.rows if row.base and "accuracy" in row.figures]
    if len(rows) < 2:
        return []
    ordered = sorted(rows, key=lambda row: row.figures["accuracy"].mean)
    worst, best = ordered[0], ordered[-1]
    high, low = best.figures["accuracy"].mean, worst.figures["accuracy"].mean
    names = {"best": value_name(table, best, words), "worst": value_name(table, worst, words)}
    said = [words("finding.range", high=high, low=low, **names)]
    if len(bases) == 1:  # otherwise every value has another base
        said[0] += " " + words("finding.base", base=bases[0].figures["accuracy"].mean)
    known = noise(view, (high + low) / 2)
    if _are_of_one_form(table, rows):
        said += [words("finding.noise", reach=high - low, known=known)] if high - low < known else []
    else:
        said += _changed(view, table, rows, words)
    return said


def _are_of_one_form(table: Table, rows: Sequence[Row]) -> bool:
    """Whether the rows are networks of their own, not forms of one model that differ image by image."""
    return len({row.quantized for row in rows}) == 1 and not (table.key or "").startswith("quantize.")


def _changed(view: View, table: Table, rows: Sequence[Row], words: Words) -> list[str]:
    """For how many of the same images an int8 network differs from its float model, for one seed."""
    tested = view.data.images.test
    known = [(row, row.figures["agreement"]) for row in rows if row.quantized and "agreement" in row.figures]
    listed = [
        f"{round(tested * (100 - figure.mean) / 100):,} ({value_name(table, row, words)})"
        for row, figure in known
        if figure.n == 1
    ]
    return [words("finding.changed", tested=tested, list=", ".join(listed))] if listed else []


def ends(table: Table) -> list[Row]:
    """The last float row of every value, and the int8 ones."""
    last: dict[tuple[str, str | None], Row] = {}
    for row in table.rows:
        if not row.base:
            last[repr(row.value), row.quantized] = row
    return list(last.values())


def _counts(table: Table, words: Words) -> list[str]:
    """How many of the published parameters, MACs and channels match exactly."""
    gaps = [
        gap for row in table.rows for name, found in difference(row).items()
        if name != "accuracy" and name in table.columns for gap in found
    ]  # fmt: skip
    return [words("finding.exact", count=len(gaps), equal=sum(gap == 0 for gap in gaps))] if gaps else []


def _furthest(table: Table, words: Words) -> list[str]:
    if "accuracy" not in table.columns:
        return []
    gaps: Sequence[tuple[float, Row]] = [
        (min(found, key=abs), row) for row in table.rows if (found := difference(row).get("accuracy"))
    ]
    if len(gaps) < 2:
        return []
    gap, row = max(gaps, key=lambda pair: abs(pair[0]))
    is_end = row in ends(table) and not has_steps(table)
    name = value_name(table, row, words) if is_end else row_name(table, row, words)
    return [words("finding.source", name=name, gap=signed(gap))]
