"""A study's folder from Python: what is in it, while it runs and afterwards."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import pytest

import niwaki
from niwaki.cli.entry import run
from niwaki.errors import SpecError, StoreError
from niwaki.reporting.opened import OpenedStudy


@pytest.fixture(scope="module")
def study(finished_study: Path) -> OpenedStudy:
    return niwaki.open_study(finished_study)


def test_it_names_its_experiments_trials_and_models(study: OpenedStudy) -> None:
    assert study.experiments[:3] == ("ratio", "batch", "scope")
    ratios = [trial for trial in study.trials if trial.experiment == "ratio"]
    assert [(trial.value, trial.seed) for trial in ratios] == [(r, s) for r in (0.3, 0.5, 0.6) for s in (0, 1)]
    assert {trial.status for trial in study.trials} == {"done"}
    keys = [model.key for model in study.models]
    assert len(keys) == len(set(keys))
    assert repr(ratios[0]) == "<Trial ratio 0.3, seed 0: done>"
    assert repr(study) == f"<OpenedStudy {study.folder}: {len(list((study.folder / 'stages').iterdir()))} of " + (
        f"{len(list((study.folder / 'stages').iterdir()))} stages>"
    )


def test_the_best_is_of_all_models_and_can_be_loaded(study: OpenedStudy) -> None:
    best = study.best
    assert best is not None
    assert best.test_accuracy == best.results.accuracy("test")
    assert best.validation_accuracy == max(model.validation_accuracy for model in study.models)
    floats = [model for model in study.models if not model.quantized]
    loaded = niwaki.load(floats[-1].file)
    assert niwaki.count(loaded, (1, 16, 16)).params == floats[-1].results.params
    assert {model.file.suffix for model in study.models if model.quantized} == {".onnx"}


def test_the_chosen_is_what_the_study_chose(study: OpenedStudy) -> None:
    chosen = study.chosen
    assert chosen is not None
    assert chosen.experiment == "ratio"
    assert f"{100 * chosen.value:g} %" in niwaki.open_study(study.folder).report().markdown.read_text(encoding="utf-8")


def test_a_table_has_a_record_for_each_row(study: OpenedStudy, tmp_path: Path) -> None:
    table = study.table("ratio")
    records = table.to_records()
    assert len(records) == len(table.rows)
    base = records[0]
    assert (base["varied"], base["base"], base["seeds"]) == ("prune.ratio", True, 2)
    assert base["accuracy"] == pytest.approx(table.rows[0].figures["accuracy"].mean)
    assert base["accuracy_std"] == table.rows[0].figures["accuracy"].std
    assert (base["published_accuracy"], base["published_accuracy_2"], base["published_params"]) == (99.0, 98.0, 1)
    with table.to_csv(tmp_path / "ratio.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(row["params"]) for row in read] == [record["params"] for record in records]
    assert read[1]["published_params"] == ""
    assert "<b>By ratio &amp; step</b>" in table._repr_html_()
    everything = study.to_csv(tmp_path / "all.csv").read_text(encoding="utf-8")
    assert len(everything.splitlines()) == 1 + sum(len(each.rows) for each in study.tables)


def test_the_history_follows_the_stages(study: OpenedStudy) -> None:
    trial = next(trial for trial in study.trials if trial.experiment == "ratio")
    history = study.history(trial)
    assert [(epoch.kind, epoch.step, epoch.epoch) for epoch in history] == [
        ("train", 0, 1), ("train", 0, 2), ("finetune", 1, 1), ("finetune", 2, 1),
    ]  # fmt: skip
    assert history[0].validation_accuracy is None
    assert history[0].loss > history[1].loss > 0
    last = next(model for model in study.models if model.key == trial.stages[-1])
    assert history[-1].validation_accuracy == last.validation_accuracy
    assert study.history(last) == history


def test_a_study_is_read_again_when_it_has_changed(study_copy: Path) -> None:
    study = niwaki.open_study(study_copy)
    trial = study.trials[0]
    assert trial.status == "done"
    before = study.table("ratio")
    assert study._view is study._view
    shutil.rmtree(study_copy / "stages" / trial.stages[-1])
    assert study.trials[0].status == "running"
    assert study.table("ratio") != before


def test_show_prints_what_the_command_prints(study: OpenedStudy, capsys: pytest.CaptureFixture[str]) -> None:
    study.show()
    assert "By ratio & step" in capsys.readouterr().out


def test_what_is_not_there_is_told(study: OpenedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=r"nowhere: there is no such folder"):
        niwaki.open_study(tmp_path / "nowhere")
    with pytest.raises(SpecError, match=r"no experiment 'ration': did you mean 'ratio'\?"):
        study.table("ration")
    with pytest.raises(SpecError, match=r"no experiment 3: expected one of ratio"):
        study.table(3)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"'ratio' is no trial and no model: take one of `trials` or `models`"):
        study.history("ratio")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"file = 3: expected the path of the CSV file"):
        study.to_csv(3)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"cannot be written: .*give another name"):
        study.to_csv(Path("/dev/null/a.csv"))
    with pytest.raises(SpecError, match="`out=` is for the page that compares two studies: give both folders"):
        niwaki.report(study.folder, out=tmp_path / "a.html")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SpecError, match="pip install pandas"):
        study.to_dataframe("ratio")


def test_a_narrow_terminal_shows_what_counts_and_says_what_is_left_out(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert run(["study", "show", str(finished_study)]) == 0
    narrow = capsys.readouterr().out
    assert all(len(line) <= 60 for line in narrow.splitlines() if "/" not in line)
    assert "Columns left out: " in narrow
    assert f"niwaki study show {finished_study} --wide" in narrow
    assert run(["study", "show", str(finished_study), "--wide"]) == 0
    wide = capsys.readouterr().out
    assert "Columns left out" not in wide
    assert wide.count("source %") > narrow.partition("Columns left out")[0].count("source %")
    file = tmp_path / "a b.csv"
    assert run(["study", "show", str(finished_study), "--csv", str(file)]) == 0
    assert capsys.readouterr().out == f"Wrote {file}\n"
    assert file.read_text(encoding="utf-8").startswith("experiment,varied,value,step,")
