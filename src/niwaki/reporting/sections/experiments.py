"""Every experiment: what it varies, its figures, its table beside the published values, and its findings."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.reporting.charts.controls import counterpart, overlaid
from niwaki.reporting.charts.experiments import charts_of
from niwaki.reporting.charts.learning import learning_charts
from niwaki.reporting.columns import key_name, shown_value
from niwaki.reporting.document import Block, Figure, Section, Text
from niwaki.reporting.findings import against, findings
from niwaki.reporting.longer import of_training
from niwaki.reporting.sections.tables import table_grid
from niwaki.reporting.tables import Table
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.spec import Experiment

OF_INT8 = {"agreement", "bytes_by_type", "flash", "ram", "latency_ort"}


def kind_of(experiment: Experiment) -> str:
    """`control`, `quantization`, or `experiment`: the section that contains it."""
    by_chance = experiment.varied_key == "prune.importance" and "random" in next(iter(experiment.vary.values()))
    if experiment.from_scratch or experiment.longer or by_chance:
        return "control"
    quantizes = (experiment.varied_key or "").startswith("quantize.") or any(
        key.startswith("quantize.") for key in experiment.set
    )
    return "quantization" if quantizes and OF_INT8 & set(experiment.columns) else "experiment"


def experiment_parts(view: View, tables: Sequence[Table], kind: str, words: Words) -> tuple[Section, ...]:
    """The experiments of a kind, a part each."""
    pairs = zip(view.spec.experiment, tables, strict=True)
    return tuple(_part(view, e, table, tables, words) for e, table in pairs if kind_of(e) == kind)


def _part(view: View, experiment: Experiment, table: Table, tables: Sequence[Table], words: Words) -> Section:
    blocks: list[Block] = [Text(_what(experiment, table, words), "note")]
    said = findings(view, table, words)
    charts = charts_of(table, words)
    other = counterpart(experiment, view.spec.experiment, tables) if experiment.from_scratch else None
    if other is not None:
        together = overlaid(table, other, words)
        charts = [together] if together else charts
        said = against(view, table, other, words)
    if experiment.longer:
        said = of_training(view, experiment, table, tables, words) or said
    blocks += [Text(text, "finding") for text in said]
    blocks += [Figure(chart) for chart in charts]
    if not any(row.figures for row in table.rows):
        blocks.append(Text(words("page.nothing"), "warning"))
    blocks.append(table_grid(table, words))
    blocks += [Figure(chart) for chart in learning_charts(view, experiment, table, words)]
    if table.source:
        blocks.append(Text(words("experiment.source", source=table.source), "note"))
    return Section(f"experiment-{table.name}", words.name(table.title), tuple(blocks))


def _what(experiment: Experiment, table: Table, words: Words) -> str:
    said = []
    if experiment.varied_key is not None:
        key = key_name(experiment.varied_key, words)
        values = ", ".join(dict.fromkeys(shown_value(table, row) for row in table.rows if row.value is not None))
        stated = ", ".join(map(str, next(iter(experiment.vary.values()))))
        name = key if key == experiment.varied_key else f"{key} ({experiment.varied_key})"
        said.append(words("experiment.varies", key=name, values=values or stated))
    else:
        said.append(words("experiment.longer" if experiment.longer else "experiment.varies.not"))
    if experiment.set:
        said.append(words("experiment.set", settings=", ".join(f"{k} = {v}" for k, v in experiment.set.items())))
    return " ".join(said)
