"""From a specification to stages with content keys: trials that share a prefix share its stages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from niwaki.errors import ModelError, SpecError, step
from niwaki.files import canonical_json, sha256_of
from niwaki.models import factory as factories
from niwaki.study.environment import Facts
from niwaki.study.spec import Experiment, ModelSpec, StudySpec, TrialSettings, resolve
from niwaki.training.settings import PruneSettings, QuantizeSettings, TrainSettings

Settings = dict[str, object]
"""What decides a stage, as JSON has it: it is hashed, stored, and read again by what runs the stage."""

Kind = Literal["import", "train", "prune", "finetune", "quantize"]

# Raised whenever a stage of that kind computes something else than before with the same settings.
VERSIONS: dict[Kind, int] = {"import": 1, "train": 1, "prune": 2, "finetune": 1, "quantize": 2}


@dataclass(frozen=True)
class Stage:
    """One unit of work. `position` is the pruning step it belongs to (0 before the first)."""

    key: str
    kind: Kind
    settings: Settings
    parent: str | None
    seed: int
    position: int
    epochs: int
    label: str


@dataclass(frozen=True)
class Trial:
    """One path of stages. `rows` are the keys that the table shows: what each pruning step, and then int8, left."""

    experiment: str
    value: Any
    seed: int
    settings: TrialSettings
    stages: tuple[str, ...]
    rows: tuple[str, ...]

    @property
    def quantized(self) -> Literal["static", "dynamic"] | None:
        """The kind of quantization that the last row is of, if any."""
        return self.settings.quantize.kind if self.settings.quantize else None


@dataclass
class Plan:
    """Stages by key, each after its parent, and the trials that ask for them."""

    stages: dict[str, Stage] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Plan: {len(self.trials)} trials, {len(self.stages)} stages>"

    @property
    def requested(self) -> tuple[int, int]:
        """Stages and epochs if every trial were run by itself, without those of `longer`."""
        return self._sum(key for trial in self.own for key in trial.stages)

    @property
    def unique(self) -> tuple[int, int]:
        """Stages and epochs that are really run, without those of `longer`."""
        return self._sum(dict.fromkeys(key for trial in self.own for key in trial.stages))

    @property
    def longer(self) -> tuple[int, int]:
        """Stages and epochs that only the unpruned network asks for, trained on as a control: they are stated apart."""
        own = {key for trial in self.own for key in trial.stages}
        return self._sum(key for key in self.stages if key not in own)

    @property
    def own(self) -> list[Trial]:
        """All trials but those of `longer`."""
        return [trial for trial in self.trials if not trial.settings.longer]

    def _sum(self, keys: Iterable[str]) -> tuple[int, int]:
        found = [self.stages[key] for key in keys]
        return len(found), sum(stage.epochs for stage in found)


@step("planning the stages")
def make_plan(
    spec: StudySpec,
    *,
    data: str,
    environment: Facts,
    weights_sha256: str | None = None,
    sources: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
) -> Plan:
    """The plan of a study over data with the fingerprint `data`.

    `environment` is what of the machine can change results; `sources` are the hashes of the factories'
    code by name (taken here where not given, which imports them: check trust before). `classes` are those of the
    imported model where the data counts them in another order: what it is measured on is then not the data as it is.
    """
    imported: Settings = {"sha256": weights_sha256, **({"classes": list(classes)} if classes else {})}
    planner = _Planner(data, dict(environment), imported, dict(sources or {}), several=spec.seeds > 1)
    for experiment in spec.experiment:
        paths: dict[tuple[str, ...], Any] = {}
        for value, settings in resolve(spec, experiment):
            for seed in range(spec.seeds):
                planner.add(experiment, value, settings, seed)
            path = planner.plan.trials[-1].stages
            if path in paths:
                raise SpecError(
                    f"experiment {experiment.name!r}: {experiment.varied_key} = {paths[path]!r} and {value!r} "
                    "give the same trial: another setting cancels the difference"
                )
            paths[path] = value
    return planner.plan


class _Planner:
    """Builds a plan trial by trial; a stage that is there already is not added again."""

    def __init__(
        self, data: str, environment: Facts, imported: Settings, sources: dict[str, str], *, several: bool
    ) -> None:
        self.plan = Plan()
        self.data, self.environment, self.imported, self.sources = data, environment, imported, sources
        self._several = several  # seeds, which labels then name
        self._name = _Name("", None, None, longer=False)

    def add(self, experiment: Experiment, value: Any, settings: TrialSettings, seed: int) -> None:
        self._name = _Name(experiment.varied_key or "", value, settings.prune, longer=settings.longer)
        base = self._base(settings, seed)
        path, rows = [base], [base]
        prune, finetune = settings.prune, settings.finetune
        if prune is not None and settings.is_pruned:
            for step in range(1, prune.steps + 1):
                if not settings.longer:
                    path.append(self._prune(prune, step, path[-1], seed))
                if finetune.epochs:
                    path.append(self._stage("finetune", finetune.identity(), path[-1], seed, step, finetune.epochs))
                rows.append(path[-1])
        if settings.from_scratch and prune is not None:
            epochs = settings.train.epochs + prune.steps * finetune.epochs
            recipe = settings.train.model_copy(update={"epochs": epochs})
            pruned = path[-1] if not finetune.epochs else path[-2]  # its structure is all that counts
            path = path[: path.index(pruned) + 1]
            path.append(self._train(settings.model, recipe, pruned, seed, prune.steps))
            rows = [base, path[-1]]
        if settings.quantize is not None:
            path.append(self._quantize(settings.quantize, path[-1], seed))
            rows.append(path[-1])
        self.plan.trials.append(Trial(experiment.name, value, seed, settings, tuple(path), tuple(rows)))

    def _base(self, settings: TrialSettings, seed: int) -> str:
        if settings.model.weights is not None:
            return self._stage("import", {**self._model(settings.model), **self.imported}, None, 0, 0, 0)
        return self._train(settings.model, settings.train, None, seed, 0)

    def _train(self, model: ModelSpec, recipe: TrainSettings, parent: str | None, seed: int, position: int) -> str:
        settings = {**self._model(model), **recipe.identity()}
        return self._stage("train", settings, parent, seed, position, recipe.epochs)

    def _prune(self, prune: PruneSettings, step: int, parent: str, seed: int) -> str:
        settings = prune.model_dump()
        settings["torch_pruning"] = importlib.metadata.version("torch-pruning")
        if prune.importance != "taylor":
            del settings["taylor_images"]
        drawn = seed if prune.importance in ("random", "taylor") else 0
        return self._stage("prune", settings, parent, drawn, step, 0)

    def _quantize(self, quantize: QuantizeSettings, parent: str, seed: int) -> str:
        """Calibration images are drawn; what the kind does not use is no part of the identity."""
        used = {"static": {"kind", "calibration", "images"}, "dynamic": {"kind"}}[quantize.kind]
        if quantize.kind == "static" and quantize.calibration == "percentile":
            used.add("percentile")
        settings = quantize.model_dump(include=used)
        settings["tools"] = {name: importlib.metadata.version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
        drawn = seed if quantize.kind == "static" else 0
        return self._stage("quantize", settings, parent, drawn, self.plan.stages[parent].position, 0)

    def _model(self, model: ModelSpec) -> Settings:
        if model.factory not in self.sources:
            self.sources[model.factory] = factories.source_hash(model.factory)
        return {"factory": model.factory, "args": model.args, "source": self.sources[model.factory]}

    def _stage(self, kind: Kind, settings: Settings, parent: str | None, seed: int, position: int, epochs: int) -> str:
        identity = {
            "kind": kind,
            "version": VERSIONS[kind],
            "settings": settings,
            "parent": parent,
            "seed": seed,
            "position": position,
            "data": self.data,
            "environment": self.environment,
        }
        try:
            key = sha256_of(canonical_json(identity))[:32]
        except (TypeError, ValueError) as error:
            raise ModelError(f"{kind}: the settings {settings!r} cannot be written as JSON: {error}") from error
        if key not in self.plan.stages:
            label = self._name.of(kind, settings, position) + (f", seed {seed}" if self._several else "")
            self.plan.stages[key] = Stage(key, kind, settings, parent, seed, position, epochs, label)
        return key


@dataclass(frozen=True)
class _Name:
    """What progress calls the stages of a trial: what is done, for whom, and which pruning step."""

    key: str
    value: Any
    prune: PruneSettings | None
    longer: bool

    def of(self, kind: Kind, settings: Settings, position: int) -> str:
        """The name of a stage of the trial; one that other trials share bears the name of the first."""
        step = f" step {position}/{self.prune.steps}" if self.prune else ""
        quantization = "" if self.key == "quantize.kind" else f" {settings.get('kind')}"
        if kind == "train" and not position:
            return f"train{self._varied('model.', 'train.')}"
        if kind == "finetune" and self.longer:
            return f"train unpruned{self._varied('finetune.')}{step.replace('step', 'round')}"
        return {
            "import": f"import {settings.get('factory')}",
            "train": f"train from scratch{self._trial}",
            "prune": f"prune{self._trial}{step}",
            "finetune": f"fine-tune{self._trial}{step}",
            "quantize": f"quantize{self._trial}{quantization}",
        }[kind]

    @property
    def _trial(self) -> str:
        ratio = f" {100 * self.prune.ratio:.4g} %" if self.prune else ""
        return ratio if self.key == "prune.ratio" else ratio + self._varied("")

    def _varied(self, *sections: str) -> str:
        """What varies, if it is a setting of one of these sections."""
        named = self.key and self.key.startswith(sections)
        return f" {self.key.rpartition('.')[2]}={self.value}" if named else ""
