"""What a study would do: its trials and their structure, without reading data or training anything."""

from __future__ import annotations

from dataclasses import dataclass

from niwaki.errors import ModelError
from niwaki.models.factory import check_trust
from niwaki.study.imports import adopt_files, factories_of
from niwaki.study.plan import Plan, Trial, make_plan
from niwaki.study.spec import Experiment, StudySpec
from niwaki.study.structure import Rows, Structures, in_words


@dataclass(frozen=True)
class Work:
    """A number of stages, with the total of their epochs."""

    stages: int
    epochs: int


@dataclass(frozen=True)
class PlannedTrial:
    """A trial with its future structure: None if that depends on training, or the network is `refused`."""

    trial: Trial
    work: Work
    structure: Rows | None
    refused: str = ""

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        settings = self.trial.settings
        prune, finetune = settings.prune, settings.finetune
        return {
            "value": self.trial.value,
            "seed": self.trial.seed,
            "from_scratch": settings.from_scratch,
            "longer": settings.longer,
            "ratio": prune.ratio if prune else 0.0,
            "scope": prune.scope if prune else None,
            "steps": prune.steps if prune else 0,
            "importance": prune.importance if prune else None,
            "distribution": prune.distribution if prune else None,
            "finetune_lr": finetune.lr,
            "finetune_epochs": finetune.epochs,
            "quantize": self.trial.quantized,
            "stages": self.work.stages,
            "epochs": self.work.epochs,
            "structure": None if self.structure is None else [row.to_dict() for row in self.structure],
            **({"refused": self.refused} if self.refused else {}),
        }


@dataclass(frozen=True)
class PlannedExperiment:
    """The trials of one experiment."""

    experiment: Experiment
    trials: tuple[PlannedTrial, ...]

    @property
    def title(self) -> str:
        """Its name."""
        return self.experiment.title or self.experiment.name

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "name": self.experiment.name,
            "title": self.title,
            "varied": self.experiment.varied_key,
            "trials": [trial.to_dict() for trial in self.trials],
        }


@dataclass(frozen=True)
class DryRun:
    """The work of a study; `longer` is not included in the other two."""

    requested: Work
    unique: Work
    longer: Work
    experiments: tuple[PlannedExperiment, ...]

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "stages": {"unique": self.unique.stages, "requested": self.requested.stages},
            "epochs": {"unique": self.unique.epochs, "requested": self.requested.epochs},
            "longer": {"stages": self.longer.stages, "epochs": self.longer.epochs},
            "experiments": [experiment.to_dict() for experiment in self.experiments],
        }


def dry_run(spec: StudySpec, *, trust: bool) -> DryRun:
    """Stages and epochs, unique and as requested; every trial with its future structure."""
    spec, files = adopt_files(spec)
    for factory in sorted(factories_of(spec, files.imports)):
        check_trust(factory, trust)
    plan = make_plan(spec, data="", environment={}, imports=files.imports)
    structures = Structures(spec.data.known_input_shape(), trust=trust)
    refused = structures.refusals(plan)
    experiments = tuple(
        PlannedExperiment(
            experiment,
            tuple(
                _trial(plan, trial, structures, refused) for trial in plan.trials if trial.experiment == experiment.name
            ),
        )
        for experiment in spec.experiment
    )
    return DryRun(Work(*plan.requested), Work(*plan.unique), Work(*plan.longer), experiments)


def _trial(plan: Plan, trial: Trial, structures: Structures, refused: dict[str, ModelError]) -> PlannedTrial:
    error = refused.get(in_words(trial))
    work = Work(len(trial.stages), sum(plan.stages[key].epochs for key in trial.stages))
    if error:
        return PlannedTrial(trial, work, None, str(error))
    return PlannedTrial(trial, work, structures.of(trial))
