"""A study's folder as it is now, finished or not, read without its data and on any machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from niwaki.errors import StoreError
from niwaki.study.records import Record, Results
from niwaki.study.spec import Experiment, StudySpec
from niwaki.study.store import BENCH, CHOICE, EVIDENCE, TIMINGS, VERIFY, DamagedStage, Store


@dataclass(frozen=True)
class TrialView:
    """A trial as `study.json` lists it."""

    experiment: str
    value: Any
    seed: int
    stages: tuple[str, ...]
    rows: tuple[str, ...]
    quantize: str | None = None  # the kind of quantization that the last row is of


@dataclass(frozen=True)
class View:
    """Everything about a study that can be shown."""

    folder: Path
    spec: StudySpec
    data: dict[str, Any]
    environment: dict[str, str]
    stages: tuple[str, ...]
    trials: tuple[TrialView, ...]
    records: dict[str, Record]
    damaged: tuple[str, ...]
    timings: dict[str, Any] | None
    choice: dict[str, Any] | None
    verification: dict[str, Any] | None = None
    evidence: dict[str, Any] | None = None
    bench: dict[str, Any] | None = None

    def of(self, experiment: Experiment) -> Iterator[TrialView]:
        """The trials of an experiment."""
        return (trial for trial in self.trials if trial.experiment == experiment.name)

    def results(self, key: str) -> Results | None:
        """What was measured after a stage, if it is done."""
        record = self.records.get(key)
        return record.results if record else None

    def failure(self, trial: TrialView) -> str | None:
        """Why a trial did not get to its end, if one of its stages failed."""
        for key in trial.stages:
            record = self.records.get(key)
            if record is not None and record.status == "failed":
                return record.reason
        return None

    @property
    def failures(self) -> dict[str, str]:
        """The failed stages and their reasons."""
        return {key: record.reason or "" for key, record in self.records.items() if record.status == "failed"}


def load_view(folder: Path) -> View:
    """Read a study's folder. Raises StoreError if it is not one."""
    store = Store(folder)
    study = store.study()
    try:
        spec = StudySpec.model_validate(study["spec"])
        trials = tuple(
            TrialView(t["experiment"], t["value"], t["seed"], tuple(t["stages"]), tuple(t["rows"]), t.get("quantize"))
            for t in study["trials"]
        )
        data, machine, stages = study["data"], study["environment"], tuple(study["stages"])
    except (ValidationError, KeyError, TypeError) as error:
        raise StoreError(f"{folder}: study.json is of another version or damaged; run the study again") from error
    records: dict[str, Record] = {}
    damaged: list[str] = []
    for key in stages:
        try:
            record = store.record(key)
        except DamagedStage as error:
            damaged.append(str(error))
            continue
        if record is not None:
            records[key] = record
    return View(
        folder, spec, data, machine, stages, trials, records, tuple(damaged), store.read_json(TIMINGS),
        store.read_json(CHOICE), store.read_json(VERIFY), store.read_json(EVIDENCE), store.read_json(BENCH),
    )  # fmt: skip
