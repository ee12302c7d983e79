"""A worker's whole job: (task with its parent's bytes, data) → (record, model's bytes). It never touches the store."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import torch
from torch import nn

from niwaki.data.classes import in_order
from niwaki.data.dataset import Dataset, Split
from niwaki.errors import DataError, FactoryError, ModelError, StageFailed, WorkerLost
from niwaki.files import sha256_of
from niwaki.measure.accuracy import evaluate
from niwaki.measure.cost import count
from niwaki.measure.memory import peak_activation_bytes
from niwaki.measure.predict import torch_predictor
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.examine import check_answers, check_numbers, check_same
from niwaki.models.generators import seeded
from niwaki.models.modelfile import ModelInfo
from niwaki.models.provenance import Provenance
from niwaki.randomness import derive_seed
from niwaki.study.environment import Facts, fingerprint
from niwaki.study.fitting import check_import
from niwaki.study.metrics import measure_anew
from niwaki.study.own_training import TRAINER, train_by
from niwaki.study.plan import Settings, Stage
from niwaki.study.records import Record, Results
from niwaki.study.spec import ModelSpec
from niwaki.study.structure import structure_id
from niwaki.study.telling import EpochTold, Tell, nobody
from niwaki.training.memory import keep_freed_memory
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import COMPARED, Given, prune_step, widths
from niwaki.training.settings import FinetuneSettings, PruneSettings, TrainSettings
from niwaki.training.teachers import Teacher, make_teacher
from niwaki.training.train import Training, fit, sample

TEST = "test"  # in a stage's environment: the test images are kept from it
_HEAD = 100


@dataclass(frozen=True)
class Task:
    """Everything that a worker needs besides the data: plain values, so that it can be sent anywhere."""

    stage: Stage
    parent: bytes | None
    data: str
    environment: Facts
    device: str = "cpu"
    trust: bool = False
    paths: tuple[str, ...] = ()  # where to find the user's modules
    teachers: tuple[bytes, ...] = ()  # model files, in the order of the stage's list


@dataclass(frozen=True)
class Outcome:
    """A worker's result: the record and the model's file (an ONNX after `quantize`), None if it failed."""

    record: Record
    weights: bytes | None


def run_stage(task: Task, data: Dataset, tell: Tell = nobody) -> Outcome:
    """Run one stage, and call `tell` for every epoch that it trains.

    If its own computation fails, that becomes its record; anything else is raised.
    """
    factories.look_in(task.paths)
    _make_deterministic(task.device)
    _check_machine(task)
    try:
        data = _as_the_model_counts(task, without_test(data) if task.environment.get(TEST) else data)
        if task.stage.kind == "quantize":
            from niwaki.study.quantize import quantize_stage  # imported here: workers that train do not need ONNX

            with seeded(derive_seed(task.stage.seed, task.stage.kind, task.stage.position)):
                training = _training(task, data, tell)
                weights, results = quantize_stage(task.stage, _parent(task), data, training, trust=task.trust)
        else:
            with seeded(derive_seed(task.stage.seed, task.stage.kind, task.stage.position)):
                weights, results = _float_stage(task, data, tell)
        return Outcome(_record(task, results=results, weights=weights), weights)
    except FactoryError:
        raise
    except (StageFailed, ModelError) as error:
        return Outcome(_record(task, reason=str(error)), None)


def without_test(data: Dataset) -> Dataset:
    """The data for a search, which never sees a test image: some for validation stand in their place."""
    head = Split(data.validation.images[:_HEAD], data.validation.labels[:_HEAD])
    return replace(data, test=head)


def _float_stage(task: Task, data: Dataset, tell: Tell) -> tuple[bytes, Results]:
    model, info, told = _STEPS[task.stage.kind](task, data, tell)
    model.cpu().eval()
    weights = modelfile.dumps(model, info, trust=True)
    stored, _ = modelfile.loads(weights, trust=True)  # measure what is stored
    check_same(model, stored, sample(data, 4, 0)[0])
    return weights, measure(stored, info, data, task.device, file_bytes=len(weights), told=told)


def measure(model: nn.Module, info: ModelInfo, data: Dataset, device: str, *, file_bytes: int, told: Told) -> Results:
    """Everything deterministic about a model: accuracy on validation and test, cost, memory, structure."""
    cost = count(model, data.input_shape)
    heads = find_heads(model, data.input_shape)
    activation_bytes = peak_activation_bytes(model, data.input_shape)
    predict = torch_predictor(model.to(device), data.preprocessing.table(), device)
    validation, test = (
        evaluate(predict, split.images, split.labels, data.num_classes) for split in (data.validation, data.test)
    )
    return Results(
        validation=validation,
        test=test,
        params=cost.params,
        macs=cost.macs,
        macs_tp=cost.macs_tp,
        bytes=cost.bytes,
        file_bytes=file_bytes,
        activation_bytes=activation_bytes,
        widths=widths(model, heads),
        structure=structure_id(model, info),
        measured=measure_anew(model, predict, data.test.images, data.test.labels),
        uncounted=cost.uncounted,
        epochs=told.epochs,
        removed=told.removed,
        notes=(*told.notes, *cost.remarks),
        ratio_asked=told.ratio_asked,
        ratio_reached=told.ratio_reached,
    )


def reset_weights(model: nn.Module, seed: int) -> None:
    """Give every layer fresh weights, drawn by its own `reset_parameters`, at its present sizes.

    Raises ModelError, naming the module, if a module with parameters cannot draw them.
    """
    with seeded(seed):
        for name, module in model.named_modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
            elif any(True for _ in module.parameters(recurse=False)):
                raise ModelError(
                    f"module {name or type(module).__name__!r} has parameters but no reset_parameters(): "
                    "it cannot be trained from scratch at pruned widths; give it that method"
                )


def _make_deterministic(device: str) -> None:
    torch.set_num_threads(1)  # a stage's bits must not depend on the number of cores
    keep_freed_memory()
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it to repeat its sums
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False


def _check_machine(task: Task) -> None:
    """Refuse to compute under a key for another kind of machine: nodes of a cluster may differ."""
    here = fingerprint(task.device)
    unlike = [name for name in here if here[name] != task.environment.get(name)]
    if unlike:
        raise WorkerLost(
            f"the worker's {unlike[0]} is {here[unlike[0]]!r}, the driver's {task.environment.get(unlike[0])!r}: "
            "results would differ; use nodes of one kind"
        )


def _as_the_model_counts(task: Task, data: Dataset) -> Dataset:
    """The data with its classes in the order of the parent model, which may be an imported one."""
    if task.parent is None:
        return data
    try:
        return in_order(data, modelfile.info_of(task.parent).labels)
    except DataError as error:
        raise ModelError(str(error)) from error


@dataclass(frozen=True)
class Told:
    """The callback that reports the epochs of a stage."""

    epochs: tuple[dict[str, float | None], ...] = ()
    removed: dict[str, int] | None = None
    notes: tuple[str, ...] = ()
    ratio_asked: float | None = None
    ratio_reached: float | None = None


Step = tuple[nn.Module, ModelInfo, Told]


def _import(task: Task, data: Dataset, _tell: Tell) -> Step:
    model, info = modelfile.loads(_parent(task), trust=task.trust, name="the imported weights")
    check_import(info, data)
    check_numbers(model)
    check_answers(model, sample(data, 2, 0)[0])
    return model, _info(task, data, model, _builds(task)), Told()


def _train(task: Task, data: Dataset, tell: Tell) -> Step:
    stage = task.stage
    seed = derive_seed(stage.seed, "init", stage.position)
    recipe = TrainSettings.model_validate(_without(stage.settings, "factory", "args", "source", *TRAINER))
    if task.parent is not None:  # a control: the parent's structure without its weights
        model, info = modelfile.loads(task.parent, trust=task.trust)
        reset_weights(model, seed)
    else:
        network = _builds(task)
        model = factories.build_seeded(network.factory, network.args, seed, trust=task.trust)
        info = _info(task, data, model, network)
    return model, info, Told(_fit(model, task, data, recipe, tell))


def _prune(task: Task, data: Dataset, _tell: Tell) -> Step:
    stage = task.stage
    model, info = modelfile.loads(_parent(task), trust=task.trust)
    settings = PruneSettings.model_validate(_without(stage.settings, "torch_pruning"))
    seed = derive_seed(stage.seed, "prune", stage.position)
    given = Given(
        state=info.pruning if stage.position > 1 else None,
        original=info.original_widths,
        images=sample(data, COMPARED, seed)[0],
        gradients_from=sample(data, settings.taylor_images, seed) if settings.importance == "taylor" else None,
        seed=seed,
    )
    report = prune_step(model, settings, data.input_shape, step=stage.position, given=given)
    info = info.model_copy(update={"pruning": report.state})
    told = Told((), report.removed, report.notes, report.asked, report.reached)
    return model, info, told


def _cut(task: Task, data: Dataset, _tell: Tell) -> Step:
    """The parent with so many channels in each group as `widths` says: the most important ones."""
    model, info = modelfile.loads(_parent(task), trust=task.trust)
    asked = task.stage.settings["widths"]
    keep = {str(name): int(width) for name, width in asked.items()} if isinstance(asked, dict) else {}
    how = PruneSettings(ratio=0.5, steps=1)  # of which only the ranking counts
    report = prune_step(model, how, data.input_shape, step=1, given=Given(keep=keep, original=info.original_widths))
    return model, info, Told((), report.removed)


def _finetune(task: Task, data: Dataset, tell: Tell) -> Step:
    model, info = modelfile.loads(_parent(task), trust=task.trust)
    recipe = FinetuneSettings.model_validate(_without(task.stage.settings, *TRAINER))
    return model, info, Told(_fit(model, task, data, recipe, tell))


_STEPS = {"import": _import, "train": _train, "prune": _prune, "cut": _cut, "finetune": _finetune}


def _fit(
    model: nn.Module, task: Task, data: Dataset, recipe: TrainSettings, tell: Tell
) -> tuple[dict[str, float | None], ...]:
    if trainer := task.stage.settings.get("trainer"):
        train_by(str(trainer), model, data, recipe.epochs, task.stage.seed)
        return ()
    history = fit(model, data.train, data.preprocessing, recipe, _training(task, data, tell))
    return tuple(epoch.to_dict() for epoch in history)


def _training(task: Task, data: Dataset, tell: Tell) -> Training:
    """Which training of which stage it is."""
    stage = task.stage
    return Training(
        data.validation, stage.seed, stage.kind, stage.position, task.device, teachers=teachers_of(task, data),
        after_epoch=lambda number, epoch: tell(EpochTold(stage.key, number, epoch.loss, epoch.validation_accuracy)),
    )  # fmt: skip


def teachers_of(task: Task, data: Dataset) -> list[Teacher]:
    """The networks that the stage's network learns from. Raises ModelError if one does not match the data."""
    loaded = [modelfile.loads(content, trust=task.trust, name="a teacher") for content in task.teachers]
    return [make_teacher(model, info, data) for model, info in loaded]


def _builds(task: Task) -> ModelSpec:
    """What builds the network of a stage that starts with a fresh one."""
    return ModelSpec.model_validate({name: task.stage.settings[name] for name in ("factory", "args")})


def _info(task: Task, data: Dataset, model: nn.Module, network: ModelSpec) -> ModelInfo:
    return ModelInfo(
        factory=network.factory,
        args=network.args,
        input_shape=data.input_shape,
        labels=data.labels,
        preprocessing=data.preprocessing,
        original_widths=widths(model, find_heads(model, data.input_shape)),
        provenance=Provenance(
            {"stage": task.stage.key, "data": task.data, "data_name": data.name, "synthetic": data.synthetic}
        ),
    )


def _parent(task: Task) -> bytes:
    if task.parent is None:
        raise ModelError(f"stage {task.stage.key} ({task.stage.kind}) was given no model to work on")
    return task.parent


def _record(
    task: Task, *, results: Results | None = None, weights: bytes | None = None, reason: str | None = None
) -> Record:
    stage = task.stage
    return Record(
        key=stage.key,
        kind=stage.kind,
        parent=stage.parent,
        seed=stage.seed,
        position=stage.position,
        settings=stage.settings,
        data=task.data,
        environment=dict(task.environment),
        status="failed" if reason else "done",
        reason=reason,
        results=results,
        weights_sha256=sha256_of(weights) if weights else None,
    )


def _without(settings: Settings, *keys: str) -> Settings:
    return {key: value for key, value in settings.items() if key not in keys}
