"""Controls beside their counterparts: the same widths trained from scratch, and pruned and fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from niwaki.drawing.chart import Chart, Panel, Series
from niwaki.reporting.charts.experiments import charts_of
from niwaki.reporting.tables import Row, Table
from niwaki.reporting.words import Words
from niwaki.study.spec import Experiment


@dataclass(frozen=True)
class Difference:
    """The control's accuracy minus its counterpart's, for one value: points, with the noise of choosing test images."""

    value: float | str
    points: float


def counterpart(experiment: Experiment, experiments: Sequence[Experiment], tables: Sequence[Table]) -> Table | None:
    """The table of the experiment that varies the same key over at least the same values, but is not a control."""
    for other, table in zip(experiments, tables, strict=True):
        same = (
            other.varied_key == experiment.varied_key
            and other.set == experiment.set
            and not (other.from_scratch or other.longer)
        )
        if same and experiment.varied_key and _values(experiment) <= _values(other) and other.name != experiment.name:
            return table
    return None


def overlaid(control: Table, other: Table, words: Words) -> Chart | None:
    """Accuracy of the control and its counterpart in one panel; None if either has no finished row."""
    wanted = {repr(row.value) for row in control.rows if row.value is not None}
    last = max((row.step for row in other.rows), default=0)
    ended = replace(
        other, columns=("accuracy",),
        rows=tuple(
            r for r in other.rows if not r.quantized and (r.base or (r.step == last and repr(r.value) in wanted))
        ),
    )  # fmt: skip
    in_float = tuple(row for row in control.rows if not row.quantized)
    ours = next(iter(charts_of(replace(control, columns=("accuracy",), rows=in_float), words)), None)
    theirs = next(iter(charts_of(ended, words)), None)
    if ours is None or theirs is None:
        return None
    panel = theirs.panels[0]
    renamed = [
        replace(s, name=words("series.source") if s.source else words("series.pruned"), end_label="")
        for s in panel.series
    ]
    scratch = [replace(s, name=words("series.scratch"), look=1) for s in ours.panels[0].series if not s.source]
    return replace(ours, panels=(_merged(panel, (*renamed, *scratch)),), caption=theirs.caption)


def differences(control: Table, other: Table) -> list[Difference]:
    """Control minus counterpart at the end of pruning, by value, if both are measured."""
    found = []
    for row in control.rows:
        twin = _last(other, row.value)
        if row.value is not None and not row.quantized and twin is not None and "accuracy" in row.figures:
            gap = row.figures["accuracy"].mean - twin.figures["accuracy"].mean
            found.append(Difference(row.value, gap))
    return found


def _last(table: Table, value: object) -> Row | None:
    rows = [r for r in table.rows if r.value == value and not r.base and not r.quantized and "accuracy" in r.figures]
    return max(rows, key=lambda row: row.step, default=None)


def _merged(panel: Panel, series: tuple[Series, ...]) -> Panel:
    return replace(panel, series=series)


def _values(experiment: Experiment) -> set[str]:
    return {repr(value) for values in experiment.vary.values() for value in values}
