"""Learning curves hold the epochs that the records have, trial by trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from niwaki.reporting.charts.learning import MOST_POINTS, learning_charts, passed
from niwaki.reporting.tables import make_tables
from niwaki.reporting.view import View, load_view
from niwaki.reporting.words import words_in

WORDS = words_in("en")


@pytest.fixture(scope="module")
def view(finished_study: Path) -> View:
    return load_view(finished_study)


def charts(view: View, name: str) -> dict[str, object]:
    at = [experiment.name for experiment in view.spec.experiment].index(name)
    found = learning_charts(view, view.spec.experiment[at], make_tables(view, WORDS)[at], WORDS)
    return {chart.id.rsplit("-", 1)[1]: chart for chart in found}


def test_every_epoch_of_a_trial_is_a_point_of_its_loss(view) -> None:
    trial = next(trial for trial in view.trials if trial.experiment == "ratio")
    losses = [epoch["loss"] for key in trial.stages for epoch in view.records[key].results.epochs]
    assert len(losses) == 2 + 1 + 1  # a training of two epochs, two steps with one each
    points = [point for stage in passed(view, trial, "loss") for point in stage.points]
    assert points == list(enumerate(losses, 1))
    assert [s.kind for s in passed(view, trial, "loss")] == ["train", "prune", "finetune", "prune", "finetune"]


def test_the_accuracy_between_epochs_is_that_after_each_stage(view) -> None:
    trial = next(trial for trial in view.trials if trial.experiment == "ratio")
    known = [view.records[key].results.accuracy("validation") for key in trial.stages]
    points = [point for stage in passed(view, trial, "validation") for point in stage.points]
    assert points == list(zip([2, 2, 3, 3, 4], known, strict=True))


def test_an_accuracy_of_each_epoch_is_taken_where_it_was_measured(view) -> None:
    trial = next(trial for trial in view.trials if trial.experiment == "ratio")
    first = view.records[trial.stages[0]]
    epochs = ({"loss": 1.0, "validation_accuracy": 40.0}, {"loss": 0.5, "validation_accuracy": 60.0})
    record = first.model_copy(update={"results": first.results.model_copy(update={"epochs": epochs})})
    (stage, *_) = passed(replace(view, records={**view.records, first.key: record}), trial, "validation")
    assert stage.points == ((1, 40.0), (2, 60.0))


def test_a_value_has_a_panel_and_a_seed_a_line(view) -> None:
    found = charts(view, "ratio")
    for chart in found.values():
        assert [panel.title for panel in chart.panels] == ["30 %", "50 %", "60 %"]
        assert not chart.small
    assert [series.name for series in found["validation"].legend] == ["seed 0", "seed 1"]
    assert [series.name for series in found["loss"].legend] == ["Training", "Fine-tuning"]
    first = found["loss"].panels[0].series[0]
    assert first.points[0].tip.startswith("Training, epoch 1, seed 0\nloss ")


def test_of_many_epochs_every_nth_is_drawn_and_the_last(view) -> None:
    epochs = tuple({"loss": 1.0 / index, "validation_accuracy": None} for index in range(1, 1001))
    trained = [record for record in view.records.values() if record.kind == "train"]
    longer = {
        record.key: record.model_copy(update={"results": record.results.model_copy(update={"epochs": epochs})})
        for record in trained
    }
    chart = charts(replace(view, records={**view.records, **longer}), "ratio")["loss"]
    assert "Only the last of every 25 epochs is drawn" in chart.caption
    assert sum(len(series.points) for panel in chart.panels for series in panel.series) < MOST_POINTS / 10
    assert all(panel.series[0].points[-1].x == 1000 for panel in chart.panels)


def test_what_an_earlier_experiment_shows_is_not_shown_again(view) -> None:
    assert charts(view, "int8") == {}  # the networks of `ratio`, quantized


def test_a_trial_that_failed_ends_where_it_failed(view) -> None:
    trial = next(trial for trial in view.trials if trial.experiment == "ratio")
    cut = {key: record for key, record in view.records.items() if key != trial.stages[2]}
    assert [s.kind for s in passed(replace(view, records=cut), trial, "loss")] == ["train", "prune"]


def test_a_study_without_records_has_no_curves(view) -> None:
    assert charts(replace(view, records={}), "ratio") == {}
