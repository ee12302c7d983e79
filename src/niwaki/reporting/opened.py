"""A study's folder for Python: its experiments, trials, tables and models in their current state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from niwaki.errors import SpecError, guess
from niwaki.reporting.build import Built, build_report
from niwaki.reporting.results import Record as Flat
from niwaki.reporting.results import ResultTable, dataframe, write_csv
from niwaki.reporting.tables import make_tables
from niwaki.reporting.terminal import Terminal
from niwaki.reporting.text import print_study
from niwaki.reporting.view import TrialView, View, load_view
from niwaki.study.records import Record, Results
from niwaki.study.store import Store, model_name

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Trial:
    """One value of what an experiment varies, with one seed.

    `status` is done, failed (`reason` says why) or running: some of its stages are not there yet.
    """

    experiment: str
    value: Any
    seed: int
    status: Literal["done", "running", "failed"]
    reason: str | None
    stages: tuple[str, ...]
    """The keys of its stages, in the order in which they run."""

    def __repr__(self) -> str:
        varied = "" if self.value is None else f" {self.value}"
        return f"<Trial {self.experiment}{varied}, seed {self.seed}: {self.status}>"


@dataclass(frozen=True)
class StudyModel:
    """The model of a stage, and its measurements. `file` is a model file, or an ONNX file if it is quantized."""

    key: str
    experiment: str
    value: Any
    seed: int
    step: int
    quantized: bool
    file: Path
    results: Results

    def __repr__(self) -> str:
        varied = "" if self.value is None else f" {self.value}"
        kind = "int8" if self.quantized else f"step {self.step}"
        return (
            f"<StudyModel {self.experiment}{varied}, seed {self.seed}, {kind}: "
            f"validation {self.validation_accuracy:.2f} %, {self.results.params:,} parameters>"
        )

    @property
    def validation_accuracy(self) -> float:
        """Correct predictions on the validation images, in percent."""
        return self.results.accuracy("validation")

    @property
    def test_accuracy(self) -> float:
        """Correct predictions on the test images, in percent."""
        return self.results.accuracy("test")


@dataclass(frozen=True)
class HistoryEpoch:
    """One epoch of a trial's training: the mean loss of its batches.

    `validation_accuracy` (percent) is None after epochs without a measurement.
    """

    kind: Literal["train", "finetune"]
    step: int
    epoch: int
    loss: float
    validation_accuracy: float | None


class OpenedStudy:
    """A study's folder, read only. It may be running: each access shows what is stored at that time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        Store(folder).study()  # raises StoreError if it is not a study
        self._known: tuple[object, View] | None = None

    def __repr__(self) -> str:
        view = self._view
        done = len(view.records) - len(view.failures)
        failed = f", {len(view.failures)} FAILED" if view.failures else ""
        return f"<OpenedStudy {self.folder}: {done} of {len(view.stages)} stages{failed}>"

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in self.tables)

    @property
    def title(self) -> str:
        """The study's title."""
        return self._view.spec.title

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the networks' outputs."""
        return tuple(self._view.data.labels)

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments; each has a `table`."""
        return tuple(experiment.name for experiment in self._view.spec.experiment)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in the order of the experiments."""
        view = self._view
        return tuple(_trial(view, trial) for trial in view.trials)

    @property
    def models(self) -> tuple[StudyModel, ...]:
        """Every measured model, once: the base, the result of each pruning step, and int8."""
        view = self._view
        return tuple(_models(view))

    @property
    def best(self) -> StudyModel | None:
        """The model with the highest validation accuracy, the smallest in a tie; None if there is none yet.

        It is the best of many on these images, so its validation accuracy is optimistic: judge it by the test images.
        """
        return max(self.models, key=lambda m: (m.validation_accuracy, -m.results.params), default=None)

    @property
    def chosen(self) -> StudyModel | None:
        """The model that the study chose; None until it has, or if no candidate is within the budget."""
        view = self._view
        key = view.choice.key if view.choice else None
        return next((model for model in _models(view) if model.key == key), None)

    def table(self, name: str) -> ResultTable:
        """The table of an experiment. Raises SpecError if the study has no such experiment."""
        found = {table.name: table for table in self.tables}
        if not isinstance(name, str) or name not in found:
            near = guess(str(name), found)
            raise SpecError(f"{self.folder}: no experiment {name!r}: {near}expected one of {', '.join(found)}")
        return found[name]

    @property
    def tables(self) -> tuple[ResultTable, ...]:
        """The tables of all experiments, in order."""
        return tuple(map(ResultTable, make_tables(self._view)))

    def to_dataframe(self, name: str | None = None) -> pandas.DataFrame:
        """The table of an experiment, or of all of them, as a pandas DataFrame: see `ResultTable.to_records`.

        Raises SpecError if pandas is not installed, or if there is no such experiment.
        """
        return dataframe(self._records(name))

    def to_csv(self, file: str | Path, name: str | None = None) -> Path:
        """Write the table of an experiment, or of all of them, as a CSV file, and return its path.

        Raises StoreError if it cannot be written, SpecError if there is no such experiment.
        """
        if not isinstance(file, str | Path):
            raise SpecError(f"file = {file!r}: expected the path of the CSV file")
        return write_csv(file, self._records(name))

    def history(self, trial: Trial | StudyModel) -> list[HistoryEpoch]:
        """Loss and accuracy of every epoch of a trial, or of all stages up to a model, in order.

        Raises SpecError if `trial` is neither.
        """
        if not isinstance(trial, Trial | StudyModel):
            raise SpecError(f"{self.folder}: {trial!r} is no trial and no model: take one of `trials` or `models`")
        records = self._view.records
        keys = trial.stages if isinstance(trial, Trial) else _way_to(records, trial.key)
        return [epoch for key in keys for epoch in _epochs(records.get(key))]

    def report(self, *, language: Literal["en", "ko"] = "en") -> Built:
        """Write `report.html` and `report.md` into the study's folder; `.html` of the result is the page's path.

        Raises StoreError if the folder cannot be written.
        """
        return build_report(self.folder, language=language)

    def show(self) -> None:
        """Print the tables of the study, as `niwaki study show` does."""
        print_study(Terminal(), self._view)

    @property
    def _view(self) -> View:
        """The current content of the folder: read again if one of its files has changed."""
        state = _state(self.folder)
        if self._known is None or self._known[0] != state:
            self._known = state, load_view(self.folder)
        return self._known[1]

    def _records(self, name: str | None) -> list[Flat]:
        tables = self.tables if name is None else (self.table(name),)
        return [record for table in tables for record in table.to_records()]


def _state(folder: Path) -> frozenset[tuple[str, int, int]]:
    """The files of a study, each with its time and size: another state, another content."""
    found = set()
    for path in (*folder.glob("*.json"), *folder.glob("stages/*/*")):
        try:
            facts = path.stat()
        except OSError:  # deleted meanwhile
            continue
        found.add((str(path), facts.st_mtime_ns, facts.st_size))
    return frozenset(found)


def _trial(view: View, trial: TrialView) -> Trial:
    reason = view.failure(trial)
    whole = all(view.results(key) for key in trial.stages)
    status: Literal["done", "running", "failed"] = "failed" if reason else "done" if whole else "running"
    return Trial(trial.experiment, trial.value, trial.seed, status, reason, trial.stages)


def _models(view: View) -> Iterator[StudyModel]:
    """Each measured model once, in the first trial that it belongs to."""
    seen: set[str] = set()
    for trial in view.trials:
        for key in trial.rows:
            record = view.records.get(key)
            if key in seen or record is None or record.results is None:
                continue
            seen.add(key)
            file = view.folder / "stages" / key / model_name(record)
            yield StudyModel(
                key, trial.experiment, trial.value, trial.seed, record.position, record.kind == "quantize", file,
                record.results,
            )  # fmt: skip


def _way_to(records: Mapping[str, Record], key: str) -> list[str]:
    """The stages that lead to a model, in order."""
    way: list[str] = []
    at: str | None = key
    while at is not None:
        way.append(at)
        record = records.get(at)
        at = record.parent if record else None
    return way[::-1]


def _epochs(record: Record | None) -> Iterator[HistoryEpoch]:
    """The epochs of a stage. The last one was measured, unless another epoch's weights were kept."""
    if record is None or record.results is None:
        return
    epochs = record.results.epochs
    kept_last = record.settings.get("keep") != "best"
    for number, epoch in enumerate(epochs, 1):
        accuracy = epoch.get("validation_accuracy")
        if accuracy is None and kept_last and number == len(epochs):
            accuracy = record.results.accuracy("validation")
        kind: Literal["train", "finetune"] = "train" if record.kind == "train" else "finetune"
        yield HistoryEpoch(kind, record.position, number, epoch["loss"] or 0.0, accuracy)
