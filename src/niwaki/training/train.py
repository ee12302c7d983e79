"""One loop for training and fine-tuning: the data stays on the device, which is waited for only once per epoch."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, StageFailed
from niwaki.measure.accuracy import evaluate
from niwaki.measure.predict import torch_predictor
from niwaki.models.examine import check_answers, check_numbers, describe
from niwaki.models.generators import generators_kept, reseed
from niwaki.models.pixels import pixel_scale
from niwaki.randomness import derive_seed
from niwaki.training.augment import augment, transformed
from niwaki.training.average import Average, estimate_norms
from niwaki.training.fast_convolutions import fast_narrow_convolutions
from niwaki.training.memory import laid_out, stored_as
from niwaki.training.optimizer import make_optimizer, make_scheduler
from niwaki.training.outliers import against_none, draw_outliers, shape_pool
from niwaki.training.settings import TrainSettings
from niwaki.training.teachers import Lesson, Teacher


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch: the mean training loss and, if a decision needs it, the validation accuracy (%)."""

    loss: float
    validation_accuracy: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Batches:
    """Training images and labels as tensors on the device, and how they become the network's input."""

    images: torch.Tensor  # uint8 (N, C, H, W)
    labels: torch.Tensor  # int64 (N,)
    scale: Callable[[torch.Tensor], torch.Tensor]
    shapes: torch.Tensor | None = None  # uint8 (n, H, W): shapes for outliers

    @staticmethod
    def resident(split: Split, preprocessing: Preprocessing, device: str) -> Batches:
        """Put a split onto the device; on the CPU a memory map stays one."""
        images, labels = tensor_of(split.images).to(device), tensor_of(split.labels).to(device)
        return Batches(images, labels, pixel_scale(preprocessing.table(), device))


@dataclass(frozen=True)
class Training:
    """Which training of a network it is, and where it runs: everything besides its settings."""

    validation: Split | None = None
    seed: int = 0
    kind: str = "train"
    position: int = 0
    """Position in the sequence of stages: the pruning step that it follows."""
    device: str = "cpu"
    resting: Sequence[nn.Module] = ()
    """Modules that stay in eval mode."""
    teachers: Sequence[Teacher] = ()
    """Networks from whose scores it also learns."""
    after_epoch: Callable[[int, Epoch], None] | None = None
    """Called with the number of each epoch, from 1, and its result."""
    transform: Callable[[torch.Tensor], torch.Tensor] | None = None
    """The user's own augmentation of one image, uint8 (C, H, W)."""


_ALONE = Training()
MEASURED_AT_ONCE = 500  # images for measuring mean and variance of batch norm


@dataclass(frozen=True)
class _Work:
    """A network in training, with its optimizer."""

    model: nn.Module
    data: Batches
    settings: TrainSettings
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None
    lesson: Lesson | None
    average: Average | None
    transform: Callable[[torch.Tensor], torch.Tensor] | None
    weights: torch.Tensor | None
    """Of the classes in the loss, float32 (classes,)."""

    @staticmethod
    def on(model: nn.Module, data: Batches, settings: TrainSettings, training: Training) -> _Work:
        batches = _batches(len(data.labels), settings.batch_size)
        optimizer = make_optimizer(model, settings)
        return _Work(
            model, data, settings, optimizer, make_scheduler(optimizer, settings, batches),
            Lesson(training.teachers, data.images, settings) if training.teachers else None,
            Average(model, settings, batches) if settings.average != "none" else None, training.transform,
            class_weights(data.labels) if settings.class_weights == "balanced" else None,
        )  # fmt: skip

    @property
    def result(self) -> nn.Module:
        """The network at this point of training: the average of several steps once there is one."""
        return self.average.model if self.average is not None and self.average.begun else self.model

    def loss(self, logits: torch.Tensor, labels: torch.Tensor, taught: torch.Tensor | None) -> torch.Tensor:
        """The loss of a batch; after the images with labels, there may be outliers."""
        smoothing = self.settings.label_smoothing
        if self.data.shapes is not None:
            loss = against_none(logits, labels, smoothing)
        else:
            weights = (
                self.weights if self.weights is None else F.pad(self.weights, (0, logits.shape[1] - len(self.weights)))
            )
            loss = F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
        return loss if self.lesson is None or taught is None else self.lesson.loss(loss, logits[: len(labels)], taught)


def fit(
    model: nn.Module,
    train: Split,
    preprocessing: Preprocessing,
    settings: TrainSettings,
    training: Training = _ALONE,
) -> list[Epoch]:
    """Train `model` in place (it ends on the device, in eval mode) and return the result of each epoch.

    Cross-entropy; with `outliers` also against a class `none`, with teachers also towards their scores. The order of
    the images, augmentation and the network's own random numbers (dropout) depend only on (seed, kind, position,
    epoch). A last batch of a single image is left out, since batch norm cannot train on it. With `keep="best"` it keeps
    the weights of the epoch with the best validation accuracy, the first in a tie. With `average` the model ends with
    the mean of its weights, and its batch norms are measured again.

    Raises StageFailed if the loss of an epoch is not finite; ModelError, before training, for a network that cannot be
    trained in its present state (`check_answers`, all frozen, a weight that is NaN).
    """
    seed, kind, position, device = training.seed, training.kind, training.position, training.device
    data = Batches.resident(train, preprocessing, device)
    if settings.outliers:
        generator = torch.Generator().manual_seed(derive_seed(seed, f"outliers of {kind}", position))
        height, width = data.images.shape[2:]
        shapes = shape_pool(height, width, generator)
        data = replace(data, shapes=shapes.to(device))
    model.to(device)
    check_numbers(model)
    check_answers(model, data.scale(data.images[:2]))
    work = _Work.on(model, data, settings, training)
    history: list[Epoch] = []
    best: tuple[float, dict[str, torch.Tensor]] | None = None
    with (
        stored_as(settings.memory_format, model), generators_kept(), fast_narrow_convolutions(model),
        _quiet_schedulers(),
    ):  # fmt: skip
        for epoch in range(settings.epochs):
            epoch_seed = derive_seed(seed, kind, position, epoch)
            model.train()
            for module in training.resting:
                module.eval()
            loss = _one_epoch(work, epoch_seed)
            if not math.isfinite(loss):
                raise StageFailed(_not_finite(loss, epoch, settings, kind))
            accuracy = None
            if settings.keep == "best" and training.validation is not None:
                accuracy = _accuracy(work.result, training.validation, preprocessing, device)
                if best is None or accuracy > best[0]:
                    best = (accuracy, copy.deepcopy(work.result.state_dict()))
            history.append(Epoch(loss, accuracy))
            if training.after_epoch:
                training.after_epoch(len(history), history[-1])
    if best is not None or work.result is not model:
        model.load_state_dict(best[1] if best is not None else work.result.state_dict())
    if work.result is not model:
        estimate_norms(model, map(data.scale, torch.split(data.images, MEASURED_AT_ONCE)), training.resting)
    model.eval()
    return history


def resting_norms(model: nn.Module) -> list[nn.Module]:
    """The norms that the user froze: without gradients and in eval mode, in a model that is in training mode."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
    frozen = [norm for norm in norms if not any(parameter.requires_grad for parameter in norm.parameters())]
    return [norm for norm in frozen if model.training and not norm.training]


def tensor_of(array: np.ndarray) -> torch.Tensor:
    """A tensor over the same memory, which may be a read-only memory map: niwaki never writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def sample(data: Dataset, images: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A random part of the training images as the network sees them, float32 (N, C, H, W), and their labels."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train.labels), generator=generator)[:images]
    scale = pixel_scale(data.preprocessing.table())
    return scale(tensor_of(data.train.images)[chosen]), tensor_of(data.train.labels)[chosen]


@contextlib.contextmanager
def _quiet_schedulers() -> Iterator[None]:
    """Schedulers are stepped after the optimizer, as torch requires; those that take their first step alone warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        yield


def _one_epoch(work: _Work, seed: int) -> float:
    data, settings = work.data, work.settings
    generator = torch.Generator().manual_seed(seed)
    reseed(seed)  # for what the model draws itself: dropout, layers skipped at random
    count = len(data.labels)
    order = _order(data.labels, settings, generator)
    total = torch.zeros((), device=data.labels.device, dtype=torch.float64)
    parameters = [parameter for parameter in work.model.parameters() if parameter.requires_grad]
    seen = 0
    for chosen in torch.split(order, settings.batch_size):
        if len(chosen) == 1 < settings.batch_size and count > 1:
            continue
        pixels, labels = data.images.index_select(0, chosen), data.labels.index_select(0, chosen)
        if work.transform is not None:
            pixels = transformed(pixels, work.transform)
        if data.shapes is not None:
            pixels = torch.cat([pixels, draw_outliers(pixels, settings.outliers, data.shapes, generator)])
        pixels, view = augment(pixels, settings, generator)
        known = None if work.transform else view[: len(labels)]
        taught = None if work.lesson is None else work.lesson.of(pixels[: len(labels)], chosen, known)
        logits = work.model(laid_out(data.scale(pixels), settings.memory_format))
        if not isinstance(logits, torch.Tensor):
            raise ModelError(_not_scores(logits))
        loss = work.loss(logits, labels, taught)
        work.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        work.optimizer.step()
        if work.scheduler is not None:
            work.scheduler.step()
        if work.average is not None:
            work.average.after_step(work.model)
        total += loss.detach() * len(chosen)
        seen += len(chosen)
    return float(total) / max(seen, 1)  # the only wait for the device in an epoch


def class_weights(labels: torch.Tensor) -> torch.Tensor:
    """A weight for each class, float32 (classes,), so that all count the same: N/(classes · images of the class).

    >>> class_weights(torch.tensor([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 2.0]
    """
    counts = torch.bincount(labels)
    return len(labels) / ((counts > 0).sum() * counts.clamp(min=1)).float()


def _order(labels: torch.Tensor, settings: TrainSettings, generator: torch.Generator) -> torch.Tensor:
    """The numbers of the images of an epoch: each once, or drawn so that every class comes equally often."""
    count = len(labels)
    if settings.sampling == "balanced":
        chances = class_weights(labels)[labels].cpu()
        return torch.multinomial(chances, count, replacement=True, generator=generator).to(labels.device)
    return torch.randperm(count, generator=generator).to(labels.device)


def _batches(images: int, size: int) -> int:
    whole, rest = divmod(images, size)
    return whole + (rest > 1 or images == 1)


def _accuracy(model: nn.Module, split: Split, preprocessing: Preprocessing, device: str) -> float:
    predict = torch_predictor(model, preprocessing.table(), device)
    classes = int(split.labels.max()) + 1
    logits = predict(split.images[:1])
    return evaluate(predict, split.images, split.labels, max(classes, logits.shape[1])).accuracy


def _not_scores(output: object) -> str:
    return (
        f"in training the network returns {describe(output)}, not one tensor (images, classes): niwaki trains on the "
        "scores alone; switch the other outputs off when building the network (aux_logits=False)"
    )


def _not_finite(loss: float, epoch: int, settings: TrainSettings, kind: str) -> str:
    return (
        f"the loss became {loss} in epoch {epoch + 1} of {settings.epochs}: "
        f"lower {kind}.lr (now {settings.lr:g}) or set {kind}.clip_norm"
    )
