"""From a specification to stages with content keys: trials that share a prefix share its stages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from niwaki.errors import ModelError, SpecError, step
from niwaki.files import canonical_json, sha256_of
from niwaki.models import factory as factories
from niwaki.study.beside import BASE, STUDY
from niwaki.study.environment import Facts
from niwaki.study.imports import Imports
from niwaki.study.spec import Experiment, ModelSpec, StudySpec, TrialSettings, resolve
from niwaki.training.settings import FinetuneSettings, PruneSettings, QuantizeSettings, TrainSettings

Recipe = TypeVar("Recipe", bound=TrainSettings)
Settings = dict[str, object]
"""What determines a stage, as JSON values: it is hashed, stored, and read by the worker that runs the stage."""

Kind = Literal["import", "train", "prune", "cut", "finetune", "quantize"]

# raised whenever a stage of that kind gives another result than before with the same settings
VERSIONS: dict[Kind, int] = {"import": 1, "train": 1, "prune": 2, "cut": 1, "finetune": 1, "quantize": 2}


@dataclass(frozen=True)
class Stage:
    """One unit of work. `position` is the pruning step that it belongs to (0 before the first)."""

    key: str
    kind: Kind
    settings: Settings
    parent: str | None
    seed: int
    position: int
    epochs: int
    label: str
    teachers: tuple[str, ...] = ()
    """The keys of the stages whose networks it learns from; they are in its settings."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys of all stages that must be done before it."""
        return (*((self.parent,) if self.parent is not None else ()), *self.teachers)


@dataclass(frozen=True)
class Trial:
    """One path of stages. `rows` are the keys of the table's rows: each pruning step's result, and then int8's."""

    experiment: str
    value: Any
    seed: int
    settings: TrialSettings
    stages: tuple[str, ...]
    rows: tuple[str, ...]

    @property
    def quantized(self) -> Literal["static", "dynamic", "qat"] | None:
        """The kind of quantization in the last row, if any."""
        return self.settings.quantize.kind if self.settings.quantize else None


@dataclass
class Plan:
    """Stages by key, each after its parent, and the trials that use them."""

    stages: dict[str, Stage] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Plan: {len(self.trials)} trials, {len(self.stages)} stages>"

    @property
    def requested(self) -> tuple[int, int]:
        """Stages and epochs if every trial ran by itself, without those of `longer`."""
        return self._sum(key for trial in self.own for key in self._asked(trial))

    @property
    def unique(self) -> tuple[int, int]:
        """Stages and epochs that really run, without those of `longer`."""
        return self._sum(dict.fromkeys(key for trial in self.own for key in self._asked(trial)))

    @property
    def longer(self) -> tuple[int, int]:
        """Stages and epochs of the control that trains the unpruned network longer: they are stated separately."""
        own = {key for trial in self.own for key in self._asked(trial)}
        return self._sum(key for key in self.stages if key not in own)

    @property
    def own(self) -> list[Trial]:
        """All trials except those of `longer`."""
        return [trial for trial in self.trials if not trial.settings.longer]

    def _asked(self, trial: Trial) -> dict[str, None]:
        """The stages of a trial and those of its teachers, each once."""
        teachers = (key for stage in trial.stages for key in self.stages[stage].teachers)
        return dict.fromkeys((*trial.stages, *teachers))

    def _sum(self, keys: Iterable[str]) -> tuple[int, int]:
        found = [self.stages[key] for key in keys]
        return len(found), sum(stage.epochs for stage in found)


_NOTHING = Imports()


@step("planning the stages")
def make_plan(
    spec: StudySpec,
    *,
    data: str,
    environment: Facts,
    imports: Imports = _NOTHING,
    sources: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
) -> Plan:
    """The plan of a study over data with the fingerprint `data`.

    `environment` is what can change results on this machine; `sources` are the hashes of the factories' code by name
    (computed here by default, which imports them: check trust before). `classes` are those of the imported model if the
    data orders them differently: it is then measured on reordered data.
    """
    known = Known(data, dict(environment), imports, list(classes or ()), dict(sources or {}))
    planner = _Planner(known, spec)
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


@dataclass(frozen=True)
class Known:
    """What decides results besides the settings of a study."""

    data: str
    environment: Facts
    imports: Imports = _NOTHING
    classes: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)


def stage_of(
    kind: Kind, settings: Settings, parent: str | None, drawn: tuple[int, int], known: Known,
    recipe: TrainSettings | None = None,
) -> Stage:  # fmt: skip
    """A stage, without a label; `drawn` are its seed and its position, `recipe` is its training, if it trains.

    Raises ModelError for settings that cannot be written as JSON.
    """
    seed, position = drawn
    identity = {
        "kind": kind,
        "version": VERSIONS[kind],
        "settings": settings,
        "parent": parent,
        "seed": seed,
        "position": position,
        "data": known.data,
        "environment": known.environment,
    }
    try:
        key = sha256_of(canonical_json(identity))[:32]
    except (TypeError, ValueError) as error:
        raise ModelError(f"{kind}: the settings {settings!r} cannot be written as JSON: {error}") from error
    epochs, teachers = (recipe.epochs, recipe.teacher) if recipe is not None else (0, ())
    return Stage(key, kind, settings, parent, seed, position, epochs, "", teachers)


class _Planner:
    """Builds a plan trial by trial; it never adds the same stage twice."""

    def __init__(self, known: Known, spec: StudySpec) -> None:
        self.plan = Plan()
        self.known = known
        self._spec = spec
        self._several = spec.seeds > 1  # labels name the seed if there are several
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
                    path.append(self._finetune(finetune, path[-1], seed, step, base))
                rows.append(path[-1])
        if settings.from_scratch and prune is not None:
            epochs = settings.train.epochs + prune.steps * finetune.epochs
            recipe = settings.train.model_copy(update={"epochs": epochs})
            pruned = path[-1] if not finetune.epochs else path[-2]  # only its structure matters
            path = path[: path.index(pruned) + 1]
            path.append(self._train(settings.model, recipe, pruned, seed, prune.steps, base))
            rows = [base, path[-1]]
        if settings.quantize is not None:
            path.append(self._quantize(settings.quantize, path[-1], seed, base))
            rows.append(path[-1])
        self.plan.trials.append(Trial(experiment.name, value, seed, settings, tuple(path), tuple(rows)))

    def _base(self, settings: TrialSettings, seed: int) -> str:
        if settings.model.weights is not None:
            classes: Settings = {"classes": self.known.classes} if self.known.classes else {}
            imported = {"sha256": self.known.imports.weights_sha256, **classes}
            return self._stage("import", {**self._model(settings.model), **imported}, None, 0, 0)
        itself = {BASE, STUDY} if settings.model == self._spec.model else {BASE}  # it cannot teach itself
        others = tuple(name for name in settings.train.teacher if name not in itself)
        return self._train(settings.model, settings.train.model_copy(update={"teacher": others}), None, seed, 0, "")

    def _study_base(self, seed: int) -> str:
        """The network of the study's own [model] and [train], which may teach those of every trial."""
        name, self._name = self._name, _Name("", None, None, longer=False)
        first = resolve(self._spec, Experiment(name="base"))[0][1]
        key = self._base(first, seed)
        self._name = name
        return key

    def _train(
        self, model: ModelSpec, recipe: TrainSettings, parent: str | None, seed: int, position: int, base: str
    ) -> str:
        taught = self._taught(recipe, base, seed)
        settings = {**self._model(model), **taught.identity()}
        return self._stage("train", settings, parent, seed, position, taught)

    def _finetune(self, recipe: FinetuneSettings, parent: str, seed: int, position: int, base: str) -> str:
        taught = self._taught(recipe, base, seed)
        return self._stage("finetune", taught.identity(), parent, seed, position, taught)

    def _taught(self, recipe: Recipe, base: str, seed: int) -> Recipe:
        """The recipe with its teachers named by the keys of their stages."""
        keys = tuple(self._teacher(name, base, seed) for name in recipe.teacher)
        return recipe.model_copy(update={"teacher": keys})

    def _teacher(self, name: str, base: str, seed: int) -> str:
        """The stage that trains or imports a teacher."""
        if name == BASE:
            return base
        if name == STUDY:
            return self._study_base(seed)
        file = self.known.imports.teachers[name]
        return self._stage("import", {**self._model(file.model), "sha256": file.sha256}, None, 0, 0)

    def _prune(self, prune: PruneSettings, step: int, parent: str, seed: int) -> str:
        settings = prune.identity()
        settings["torch_pruning"] = importlib.metadata.version("torch-pruning")
        if prune.importance != "taylor":
            del settings["taylor_images"]
        drawn = seed if prune.importance in ("random", "taylor") else 0
        return self._stage("prune", settings, parent, drawn, step)

    def _quantize(self, quantize: QuantizeSettings, parent: str, seed: int, base: str) -> str:
        """Calibration images are random; settings that the kind does not use are not part of the identity."""
        recipe = self._taught(quantize.train, base, seed) if quantize.kind == "qat" else None
        settings = quantize.identity()
        if recipe is not None:
            settings["train"] = recipe.identity()
        settings["tools"] = {name: importlib.metadata.version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
        drawn = 0 if quantize.kind == "dynamic" else seed
        return self._stage("quantize", settings, parent, drawn, self.plan.stages[parent].position, recipe)

    def _model(self, model: ModelSpec) -> Settings:
        sources = self.known.sources
        if model.factory not in sources:
            sources[model.factory] = factories.source_hash(model.factory)
        return {"factory": model.factory, "args": model.args, "source": sources[model.factory]}

    def _stage(
        self, kind: Kind, settings: Settings, parent: str | None, seed: int, position: int,
        recipe: TrainSettings | None = None,
    ) -> str:  # fmt: skip
        """The key of a stage, which is added if it is new; `recipe` is the stage's training, if it trains."""
        made = stage_of(kind, settings, parent, (seed, position), self.known, recipe)
        if made.key not in self.plan.stages:
            label = self._name.of(kind, settings, position) + (f", seed {seed}" if self._several else "")
            self.plan.stages[made.key] = replace(made, label=label)
        return made.key


@dataclass(frozen=True)
class _Name:
    """The names of a trial's stages in progress lines: what is done, for which trial, and which pruning step."""

    key: str
    value: Any
    prune: PruneSettings | None
    longer: bool

    def of(self, kind: Kind, settings: Settings, position: int) -> str:
        """The name of a stage of the trial; a shared stage has the name from its first trial."""
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
            "cut": "cut",
            "finetune": f"fine-tune{self._trial}{step}",
            "quantize": f"quantize{self._trial}{quantization}",
        }[kind]

    @property
    def _trial(self) -> str:
        ratio = f" {100 * self.prune.ratio:.4g} %" if self.prune else ""
        return ratio if self.key == "prune.ratio" else ratio + self._varied("")

    def _varied(self, *sections: str) -> str:
        """What varies, if it is a setting in one of these sections."""
        named = self.key and self.key.startswith(sections)
        return f" {self.key.rpartition('.')[2]}={self.value}" if named else ""
