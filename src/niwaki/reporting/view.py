"""A study's folder in its current state, finished or not, read without its data and on any machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from niwaki.errors import SpecError, StoreError, explain, step
from niwaki.study.checked_json import File
from niwaki.study.records import Record, Results, float_record
from niwaki.study.result_files import (
    Bench,
    Choice,
    DataFacts,
    Evidence,
    Machine,
    Study,
    Timings,
    Verification,
)
from niwaki.study.spec import Experiment, StudySpec, resolve
from niwaki.study.store import DamagedFile, DamagedStage, Store
from niwaki.study.whole import damaged_models


@dataclass(frozen=True)
class TrialView:
    """A trial as listed in `study.json`."""

    experiment: str
    value: Any
    seed: int
    stages: tuple[str, ...]
    rows: tuple[str, ...]
    quantize: str | None = None  # the kind of quantization in the last row


@dataclass(frozen=True)
class View:
    """Everything about a study that can be shown."""

    folder: Path
    spec: StudySpec
    data: DataFacts
    environment: Machine
    stages: tuple[str, ...]
    trials: tuple[TrialView, ...]
    records: dict[str, Record]
    damaged: tuple[str, ...]
    timings: Timings | None
    choice: Choice | None
    verification: Verification | None = None
    evidence: Evidence | None = None
    bench: Bench | None = None
    damaged_files: tuple[str, ...] = ()
    """Problems with files beside the stages, whose content is then treated as missing."""
    damaged_models: tuple[str, ...] = ()
    """Problems with the files of the models; the measurements remain valid."""

    def of(self, experiment: Experiment) -> Iterator[TrialView]:
        """The trials of an experiment."""
        return (trial for trial in self.trials if trial.experiment == experiment.name)

    def results(self, key: str) -> Results | None:
        """The measurements after a stage, if it is done."""
        record = self.records.get(key)
        return record.results if record else None

    def failure(self, trial: TrialView) -> str | None:
        """Why a trial did not finish, if one of its stages failed."""
        for key in trial.stages:
            record = self.records.get(key)
            if record is not None and record.status == "failed":
                return record.reason
        return None

    @property
    def damages(self) -> tuple[str, ...]:
        """All problems with the files of the study; the next run repairs them."""
        return (*self.damaged, *self.damaged_files, *self.damaged_models)

    @property
    def waiting(self) -> frozenset[str]:
        """The stages that cannot run because an earlier one failed."""
        return _waiting(self.trials, self.records)

    @property
    def to_do(self) -> int:
        """How many stages another run would do: the missing ones, except those that wait for a failed one."""
        return len(self.stages) - len(self.records) - len(self.waiting)

    @property
    def failures(self) -> dict[str, str]:
        """The failed stages and their reasons."""
        return {key: record.reason or "" for key, record in self.records.items() if record.status == "failed"}


@step("reading the study's folder")
def load_view(folder: Path) -> View:
    """Read a study's folder. Raises StoreError if it is not one."""
    store = Store(folder)
    study = store.study()
    spec = _spec(folder, study)
    trials = tuple(TrialView(t.experiment, t.value, t.seed, t.stages, t.rows, t.quantize) for t in study.trials)
    records, damaged = _records(store, study)
    files = _Files(store)
    timings = files.read(Timings)
    choice = _standing(files.read(Choice), set(study.stages) - _waiting(trials, records), records)
    chosen = _chosen_weights(choice, records)
    verification = _of_the_chosen(files.read(Verification), chosen)
    evidence = _with_all_classes(_fitting(files.read(Evidence), records, chosen), len(study.data.labels))
    bench = _fitting(files.read(Bench), records, chosen)
    return View(
        folder, spec, study.data, study.environment, study.stages, trials, records, damaged, timings, choice,
        verification, evidence, bench, tuple(files.problems), damaged_models(store, records, chosen, verification),
    )  # fmt: skip


def _records(store: Store, study: Study) -> tuple[dict[str, Record], tuple[str, ...]]:
    """The records that exist, and the problems with others."""
    records: dict[str, Record] = {}
    damaged: list[str] = []
    for key in study.stages:
        try:
            record = store.record(key)
        except DamagedStage as error:
            damaged.append(str(error))
            continue
        if record is None:
            continue
        if record.results is not None and len(record.results.test.confusion) != len(study.data.labels):
            damaged.append(f"stage {key}: record.json is of other classes")
            continue
        records[key] = record
    return records, tuple(damaged)


def _spec(folder: Path, study: Study) -> StudySpec:
    """The specification in `study.json`, which its trials must match."""
    try:
        spec = StudySpec.model_validate(study.spec)
        varied = {experiment.name: [value for value, _ in resolve(spec, experiment)] for experiment in spec.experiment}
        alien = [trial for trial in study.trials if trial.value not in varied.get(trial.experiment, ())]
        if not alien:
            return spec
        problem = f"a trial of {alien[0].experiment!r} has the value {alien[0].value!r}"
    except ValidationError as error:
        problem = explain(error, StudySpec)
    except SpecError as error:
        problem = str(error)
    raise StoreError(f"{folder}: {Study.NAME} is of another version or damaged ({problem}); run the study again")


class _Files:
    """Reads the files beside the stages, and collects the problems with those that cannot be read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problems: list[str] = []

    def read(self, kind: type[File]) -> File | None:
        try:
            return self.store.load(kind)
        except DamagedFile as error:
            self.problems.append(error.problem)
            return None


def _waiting(trials: Sequence[TrialView], records: Mapping[str, Record]) -> frozenset[str]:
    waiting: set[str] = set()
    for trial in trials:
        failed = [index for index, key in enumerate(trial.stages) if key in records and not records[key].results]
        waiting.update(key for key in trial.stages[min(failed, default=len(trial.stages)) :] if key not in records)
    return frozenset(waiting)


def _standing(choice: Choice | None, stages: Collection[str], records: Mapping[str, Record]) -> Choice | None:
    """The choice, if its candidates still exist: the chosen model, or, if there is none, all `stages`."""
    if choice is None:
        return None
    key = choice.key
    if key is None:
        return choice if all(stage in records for stage in stages) else None
    record = records.get(key)
    needed = [record, records.get(record.parent or "")] if record and record.kind == "quantize" else [record]
    return choice if all(found is not None and found.status == "done" for found in needed) else None


def _chosen_weights(choice: Choice | None, records: Mapping[str, Record]) -> str | None:
    """The SHA-256 of the chosen model in float, None if nothing is chosen."""
    key = choice.key if choice else None
    return None if key is None else float_record(records, key).weights_sha256


def _of_the_chosen(verification: Verification | None, chosen: str | None) -> Verification | None:
    """The exported forms, if they belong to the model that is chosen now."""
    if verification is None or chosen is None:
        return None
    made_of = verification.made_of
    return None if "model" in made_of.model_fields_set and made_of.model != chosen else verification


Gathered = TypeVar("Gathered", Evidence, Bench)


def _fitting(found: Gathered | None, records: Mapping[str, Record], chosen: str | None) -> Gathered | None:
    """The evidence from the end of a study, if it describes the present models: a study may run again."""
    if found is None:
        return None
    bases = {record.weights_sha256 for record in records.values() if record.position == 0}
    return found if found.made_of.base in bases and found.made_of.chosen == chosen else None


def _with_all_classes(evidence: Evidence | None, classes: int) -> Evidence | None:
    return evidence if evidence is not None and len(evidence.classes) == classes else None
