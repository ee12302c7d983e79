"""The steps of a study as single functions: train, prune, evaluate, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from niwaki.api.teaching import Named_or_several, teachers_of
from niwaki.arguments import check_data, check_factory, check_pair, check_split, checked, settings_of, warn
from niwaki.callbacks.events import Callbacks, Done, EpochEnd, StageEnd
from niwaki.data.classes import in_order, places_of
from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import SpecError
from niwaki.measure import cost
from niwaki.measure.accuracy import Accuracy, Predict
from niwaki.measure.accuracy import evaluate as measure_accuracy
from niwaki.measure.predict import torch_predictor
from niwaki.models import modelfile
from niwaki.models.accelerator import check_device
from niwaki.models.class_names import remember, remembered
from niwaki.models.examine import check_answers, check_bare, check_numbers, check_usable
from niwaki.models.modelfile import ModelInfo
from niwaki.models.pixels import pixel_scale
from niwaki.models.provenance import Provenance
from niwaki.randomness import derive_seed
from niwaki.study.fitting import check_outputs
from niwaki.training import sensitivity as measuring
from niwaki.training.carry import Following
from niwaki.training.prune import COMPARED, Given, PruneReport, prune_step
from niwaki.training.sensitivity import SensitivityReport
from niwaki.training.settings import FinetuneSettings, PruneSettings, TrainSettings
from niwaki.training.train import Epoch, Training, fit, resting_norms, sample, tensor_of


@checked
def train(
    model: nn.Module,
    data: Dataset,
    epochs: int | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    teacher: Named_or_several = None,
    callbacks: Sequence[object] = (),
    **settings: Any,
) -> list[Epoch]:
    """Train `model` in place and return the loss of every epoch. `settings` are those of `[train]`: batch_size, lr, …

    `epochs` is 5 by default; 0 leaves the model unchanged. `teacher` is a trained module or a model file, or a list
    whose answers are averaged: the model then learns from their scores too (`temperature`, `teacher_weight`).
    `callbacks` are called after every epoch (see `niwaki.callbacks`).

    If the model already knows these classes in another order (from a file or earlier training), it keeps its order and
    niwaki warns. Norms that you froze and put in eval mode (in a model in training mode) stay frozen.

    Raises NiwakiError if the network cannot be trained: its output is random, all of it is frozen, it contains NaN, or
    the number of its scores differs from the number of classes.

    >>> model = niwaki.LeNet5()
    >>> [epoch.loss for epoch in niwaki.train(model, data, epochs=2, lr=1e-3)]  # doctest: +ELLIPSIS
    [2..., 2...]
    """
    check_pair(model, data)
    heard = Callbacks(callbacks)
    recipe = settings_of(TrainSettings, settings if epochs is None else {**settings, "epochs": epochs})
    check_device(device)
    data = _as_the_model_counts(model, data)
    check_outputs(model, data)
    remember(model, data.labels)
    training = Training(
        data.validation, seed, device=device, resting=resting_norms(model), teachers=teachers_of(teacher, data),
        after_epoch=partial(_tell_epoch, heard, "train", 0, recipe.epochs), transform=data.transform,
    )  # fmt: skip
    history = fit(model, data.train, data.preprocessing, recipe, training)
    heard.on_done(Done(True, metrics={"loss": history[-1].loss} if history else {}))
    return history


@checked
def prune(
    model: nn.Module,
    data: Dataset,
    *,
    seed: int = 0,
    finetune: Mapping[str, Any] | int | None = None,
    device: str = "cpu",
    optimizer: Optimizer | None = None,
    after_step: Callable[[PruneReport], None] | None = None,
    callbacks: Sequence[object] = (),
    **settings: Any,
) -> list[PruneReport]:
    """Prune `model` in place in steps, and fine-tune after each step if `finetune` is given.

    `settings` are those of `[prune]` (ratio, steps, scope, importance, …), `finetune` those of `[finetune]`, or the
    number of epochs; its `teacher` may be "base" (the model as it is now), a module or a model file. niwaki calls
    `after_step` with the report of each fine-tuned step; `callbacks` are called after each epoch, and after each step.

    Pruning replaces parameters: `optimizer`, of your own, gets the new ones. One left behind warns at its next step.

    Raises NiwakiError if the network cannot be pruned: its output is random in eval mode, it contains NaN, or none of
    its layers can lose channels.

    >>> [report] = niwaki.prune(niwaki.LeNet5(), data, ratio=0.5, steps=1)
    >>> report.widths
    {'conv1': 3, 'conv2': 8, 'fc1': 60, 'fc2': 42}
    """
    check_pair(model, data)
    heard = Callbacks(callbacks)
    how = settings_of(PruneSettings, settings)
    check_device(device)
    recover, teacher = _recovery(finetune)
    data = _as_the_model_counts(model, data)
    _check_whole(model, sample(data, 2, seed)[0])
    following = Following(model, optimizer)
    resting, taught = resting_norms(model), teachers_of(teacher, data, model)
    reports: list[PruneReport] = []
    original: dict[str, int] | None = None
    for step in range(1, how.steps + 1):
        step_seed = derive_seed(seed, "prune", step)
        gradients = sample(data, how.taylor_images, step_seed) if how.importance == "taylor" else None
        given = Given(
            reports[-1].state if reports else None, original, sample(data, COMPARED, step_seed)[0], gradients, step_seed
        )
        report = prune_step(model.cpu(), how, data.input_shape, step=step, given=given)
        following.step()
        original = original or {name: report.widths[name] + gone for name, gone in report.removed.items()}
        if recover.epochs:
            tell = partial(_tell_epoch, heard, f"fine-tune step {step}/{how.steps}", step, recover.epochs)
            training = Training(data.validation, seed, "finetune", step, device, resting, taught, tell, data.transform)
            fit(model, data.train, data.preprocessing, recover, training)
        reports.append(report)
        if after_step:
            after_step(report)
        heard.on_stage(
            StageEnd(f"prune step {step}/{how.steps}", step, step, how.steps, _figures(report), tuple(report.notes))
        )
    following.end()
    heard.on_done(Done(True, metrics=_figures(reports[-1])))
    return reports


@checked
def evaluate(
    model: nn.Module,
    data: Dataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    labels: Sequence[str] | None = None,
    device: str = "cpu",
) -> Accuracy:
    """Accuracy in percent, overall and per class, and the confusion matrix of a model on one split of the data.

    `labels` names the model's outputs, if they differ from the classes that it was trained or saved with. niwaki
    compares classes by name, and warns if the model has them in another order than the data.

    Raises DataError if the names differ; ModelError if the accuracy would be meaningless because the network's output
    is random or contains NaN.

    >>> niwaki.evaluate(model, data, "test")  # doctest: +ELLIPSIS
    <Accuracy ... of 60 images>
    """
    check_pair(model, data)
    check_split(split)
    part = getattr(data, split)
    check_device(device)
    check_numbers(model)
    table = data.preprocessing.table()
    check_answers(model.to(device), pixel_scale(table, device)(tensor_of(part.images[:2]).to(device)))
    predict = torch_predictor(model, table, device)
    named = tuple(labels) if labels is not None else remembered(model)
    if named is not None and named != data.labels:
        in_order(data, named, notify=warn)
        predict = _reordered(predict, places_of(data.labels, named))
    return measure_accuracy(predict, part.images, part.labels, data.num_classes)


@checked
def sensitivity(model: nn.Module, data: Dataset, images: int | None = None) -> SensitivityReport:
    """The validation accuracy that `model` loses if one layer alone is pruned or has its weights rounded.

    For each convolution and linear layer: without 25, 50 and 75 % of its channels (those with the lowest L1 norm), and
    with weights of 8, 4 and 2 bits. Nothing is trained, and the model stays unchanged. Each loss has its noise: the
    95 % limit of chance on the same images. `images` is how many validation images to use; all by default.

    Raises NiwakiError if the network cannot be measured: its output is random, it contains NaN, or its classes are not
    those of the data.

    >>> report = niwaki.sensitivity(model, data, images=20)
    >>> report.layers[1].name, report.layers[1].left
    ('conv2', {25: 12, 50: 8, 75: 4})
    """
    check_pair(model, data)
    labels = remembered(model)
    return measuring.sensitivity(model, data if labels is None else in_order(data, labels, notify=warn), images)


@checked
def save(
    model: nn.Module,
    path: str | Path,
    *,
    factory: str,
    args: Mapping[str, Any] | None = None,
    data: Dataset | None = None,
    input_shape: tuple[int, int, int] | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Save your trained model as a model file; a study can start from it (`[model] weights = …`). Returns its path.

    `factory` names the function that builds the module: `lenet5`, or `package.module:callable`, called with `args`.
    Pass `data`, or input shape, labels and preprocessing separately. With `data` the file also records which images the
    model was trained on, so exports are calibrated and verified on them.

    Raises ModelError if loading the file would not give the same model.

    >>> niwaki.save(model, "mine.safetensors", factory="lenet5", data=data).name
    'mine.safetensors'
    """
    check_usable(model)
    check_factory(factory)
    if data is not None:
        check_data(data)
        input_shape, labels = input_shape or data.input_shape, labels or _as_the_model_counts(model, data).labels
        preprocessing = preprocessing or data.preprocessing
    if input_shape is None or labels is None or preprocessing is None:
        raise SpecError("save needs data=…, or input_shape, labels and preprocessing")
    info = ModelInfo(
        factory=factory, args=dict(args or {}), input_shape=input_shape, labels=tuple(labels),
        preprocessing=preprocessing, provenance=Provenance() if data is None else Provenance.of(data),
    )  # fmt: skip
    return modelfile.save(model, path, info)


@checked
def load(path: str | Path, *, trust: bool = False) -> nn.Module:
    """The module that a model file holds, in eval mode, on the CPU.

    `trust` allows code of your own to build it. Raises ModelError if the file cannot be read or is not a model file.

    >>> model = niwaki.load("small.safetensors")
    """
    return modelfile.load(path, trust=trust)


@checked
def read_info(path: str | Path) -> ModelInfo:
    """The description in a model file, without building the module.

    Raises ModelError if the file cannot be read or is not a model file.

    >>> niwaki.read_info("small.safetensors")
    <ModelInfo lenet5: 1×32×32 to 10 classes>
    """
    return modelfile.read_info(path)


@checked
def count(model: nn.Module, input_shape: tuple[int, int, int]) -> cost.Cost:
    """Count parameters, MACs and bytes of `model` for one image of `input_shape` (C, H, W).

    MACs are the multiply-accumulates of convolutions and matrix products without bias, also those inside recurrent
    layers, attention, einsum and bilinear layers (`in1 · in2 · out`). Operators with weights that it cannot count are
    named in `uncounted`. Shared weights count once, in `params` and in `bytes`; buffers (the running statistics of
    batch norm, its int64 step counter) are bytes, not params. The model runs on its own device and is left unchanged.

    Raises ModelError if the model cannot run on that input or has modules of torch's own quantization.

    >>> niwaki.count(niwaki.LeNet5(), (1, 32, 32)).macs
    416520
    """
    return cost.count(model, input_shape)


def _check_whole(model: nn.Module, images: torch.Tensor) -> None:
    """Raise ModelError unless the network is bare, finite and answers images the same way each time."""
    check_bare(model)
    check_numbers(model)
    check_answers(model.cpu(), images)


def _recovery(finetune: Mapping[str, Any] | int | None) -> tuple[FinetuneSettings, Any]:
    """How to fine-tune: not at all, for a number of epochs, or as a dictionary says; and the teacher in it."""
    if finetune is None or (isinstance(finetune, int) and not isinstance(finetune, bool)):
        finetune = {"epochs": finetune or 0}
    named = finetune if isinstance(finetune, Mapping) else {}
    settings = {key: value for key, value in named.items() if key != "teacher"} if named else finetune
    return settings_of(FinetuneSettings, settings, "finetune"), named.get("teacher")


def _tell_epoch(heard: Callbacks, name: str, step: int, epochs: int, number: int, epoch: Epoch) -> None:
    heard.on_epoch(EpochEnd(name, step, number, epochs, epoch.loss, epoch.validation_accuracy))


def _figures(report: PruneReport) -> dict[str, float]:
    """The metrics of a pruning step that callbacks receive."""
    return {"channels": sum(report.widths.values()), "removed": sum(report.removed.values())}


def _as_the_model_counts(model: nn.Module, data: Dataset) -> Dataset:
    """The data with its classes in the model's order, if the model has the same classes."""
    labels = remembered(model)
    known = labels is not None and places_of(data.labels, labels) is not None
    return in_order(data, labels, notify=warn) if labels is not None and known else data


def _reordered(predict: Predict, places: np.ndarray | None) -> Predict:
    """A model's scores in the data's order of classes."""

    def by_name(pixels: np.ndarray) -> np.ndarray:
        scores = predict(pixels)
        return scores[:, places] if places is not None and scores.shape[1] == len(places) else scores

    return by_name
