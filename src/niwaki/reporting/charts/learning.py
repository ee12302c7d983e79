"""How every trial learned: the loss of each epoch, and the validation accuracy if it was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series, Unit
from niwaki.drawing.scales import round_ticks
from niwaki.reporting.columns import value_name
from niwaki.reporting.tables import Table
from niwaki.reporting.view import TrialView, View
from niwaki.reporting.words import Words
from niwaki.study.spec import Experiment

What = Literal["loss", "validation"]
TICKS = 4
MOST_POINTS = 3000  # in all figures of a report: a page has at most 2 MB
FEW = 4  # panels that are drawn large


@dataclass(frozen=True)
class Passed:
    """One stage of a trial: its kind, the epochs before it, and its points (epoch of the trial, value)."""

    kind: str
    before: int
    points: tuple[tuple[int, float], ...]


def learning_charts(view: View, experiment: Experiment, table: Table, words: Words) -> list[Chart]:
    """The loss and the validation accuracy of an experiment's trials, a panel for each varied value.

    None for trials that an earlier experiment already shows. Values whose trials share every epoch share a panel.
    """
    shown = {_trained(view, trial) for earlier in _before(view, experiment) for trial in view.of(earlier)}
    panels: dict[tuple[tuple[str, ...], ...], list[Any]] = {}
    for value, trials in _by_value(view.of(experiment)):
        ways = tuple(dict.fromkeys(_trained(view, trial) for trial in trials))
        if any(way and way not in shown for way in ways):
            panels.setdefault(ways, []).append(value)
    if not panels:
        return []
    names = [", ".join(_name(table, value, words) for value in values) for values in panels.values()]
    named = [(name, trials) for name, trials in zip(names, _trials(view, experiment, panels.values()), strict=True)]
    charts = [_chart(view, table, what, named, words) for what in ("loss", "validation")]
    return [chart for chart in charts if not chart.is_empty]


def passed(view: View, trial: TrialView, what: What) -> list[Passed]:
    """The stages of a trial with their values. The validation accuracy after each stage is always known."""
    found, before = [], 0
    for key in trial.stages:
        record = view.records.get(key)
        if record is None or record.results is None:
            break
        if record.kind == "quantize":
            continue
        name = "loss" if what == "loss" else "validation_accuracy"
        epochs = [epoch.get(name) for epoch in record.results.epochs]
        points = [(before + index, value) for index, value in enumerate(epochs, 1) if value is not None]
        if what == "validation" and not points:
            points = [(before + len(epochs), record.results.accuracy("validation"))]
        found.append(Passed(record.kind, before, tuple(points)))
        before += len(epochs)
    return found


def _before(view: View, experiment: Experiment) -> Sequence[Experiment]:
    names = [other.name for other in view.spec.experiment]
    return view.spec.experiment[: names.index(experiment.name)]


def _by_value(trials: Iterator[TrialView]) -> list[tuple[Any, list[TrialView]]]:
    found: list[tuple[Any, list[TrialView]]] = []
    for trial in trials:
        same = next((known for value, known in found if value == trial.value), None)
        if same is None:
            found.append((trial.value, same := []))
        same.append(trial)
    return found


def _trained(view: View, trial: TrialView) -> tuple[str, ...]:
    """The stages of a trial that have epochs, in their order."""
    results = ((key, view.results(key)) for key in trial.stages)
    return tuple(key for key, found in results if found is not None and found.epochs)


def _trials(view: View, experiment: Experiment, values: Any) -> Iterator[list[TrialView]]:
    for same in values:
        yield [trial for trial in view.of(experiment) if trial.value == same[0]]


def _name(table: Table, value: Any, words: Words) -> str:
    row = next((row for row in table.rows if row.value == value and not row.base), None)
    return words.name(table.title) if row is None or value is None else value_name(table, row, words)


def _chart(view: View, table: Table, what: What, named: Sequence[tuple[str, list[TrialView]]], words: Words) -> Chart:
    known = [(name, [(trial, passed(view, trial, what)) for trial in trials]) for name, trials in named]
    every = sum(len(stage.points) for _, ways in known for _, way in ways for stage in way)
    nth = math.ceil(2 * len(view.spec.experiment) * every / MOST_POINTS) or 1
    drawn = [(name, [(trial, [_thinned(stage, nth) for stage in way]) for trial, way in ways]) for name, ways in known]
    points = [point for _, ways in drawn for _, way in ways for stage in way for point in stage.points]
    last = max((epoch for epoch, _ in points), default=1)
    heights = [value for _, value in points]
    x = Axis("", unit="count", ticks=_ticks(last), reach=(0.0, float(last)))
    unit: Unit = "percent" if what == "validation" else "number"
    y = Axis("", unit=unit, from_zero=what == "loss", reach=(min(heights), max(heights)) if heights else ())
    panels = tuple(Panel(x, y, tuple(_series(ways, what, words)), name) for name, ways in drawn)
    title = words(f"chart.learning.{what}", title=words.name(table.title))
    described = words("chart.described.figure", title=title, panels="; ".join(panel.title for panel in panels))
    caption = " ".join([words(f"learning.caption.{what}"), *([words("learning.thinned", nth=nth)] if nth > 1 else [])])
    return Chart(f"figure-{table.name}-{what}", "lines", title, caption, described, panels, small=len(panels) > FEW)


def _thinned(stage: Passed, nth: int) -> Passed:
    """Every n-th point, counted from the last one."""
    return replace(stage, points=stage.points[::-1][::nth][::-1])


def _ticks(last: int) -> tuple[float, ...]:
    return tuple(tick for tick in round_ticks(0, max(last, 1), TICKS) if tick == round(tick))


def _series(ways: Sequence[tuple[TrialView, Sequence[Passed]]], what: What, words: Words) -> Iterator[Series]:
    """The loss has a line for each stage, since pruning comes between them; the accuracy one line for each seed."""
    for trial, way in ways:
        if what == "validation":
            points = tuple(point for stage in way for point in _points(stage, trial, what, words))
            name = words("learning.seed", seed=trial.seed) if len(ways) > 1 else ""
            yield Series(name, points, trial.seed, thin=True)
            continue
        for stage in way:
            if stage.points:
                look = 0 if stage.kind == "train" else 1
                yield Series(words(f"kind.{stage.kind}"), tuple(_points(stage, trial, what, words)), look, thin=True)


def _points(stage: Passed, trial: TrialView, what: What, words: Words) -> Iterator[Point]:
    for epoch, value in stage.points:
        said = f"{value:.2f} %" if what == "validation" else f"{value:.4g}"
        tip = words("tip.learning", kind=words(f"kind.{stage.kind}"), epoch=epoch, seed=trial.seed)
        yield Point(float(epoch), value, f"{tip}\n{words(f'learning.{what}')} {said}")
