"""What makes small networks better: teachers, averages, label smoothing, warm-up, decay of weights alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.training.test_train import linear, split, weights
from torch import nn
from torch.nn import functional as F

import niwaki
from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, NiwakiError, SpecError
from niwaki.models.modelfile import ModelInfo
from niwaki.randomness import derive_seed
from niwaki.training.average import estimate_norms
from niwaki.training.optimizer import make_optimizer, make_scheduler
from niwaki.training.settings import FinetuneSettings, TrainSettings
from niwaki.training.teachers import Lesson, Teacher, make_teacher
from niwaki.training.train import Training, fit

BEFORE = {
    "epochs", "batch_size", "optimizer", "lr", "weight_decay", "momentum", "schedule", "flip", "shift", "clip_norm",
    "keep",
}  # fmt: skip
"""The keys that a stage had when the first studies were stored."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIWAKI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return niwaki.load_data("synthetic", limit=200, validation=40, test_limit=60)


def teacher(seed: int = 5) -> Teacher:
    return Teacher(linear(seed), Preprocessing().table())


def train(model: nn.Module, *teachers: Teacher, **settings) -> list:
    recipe = TrainSettings(**{"epochs": 2, "batch_size": 10, "lr": 0.01, **settings})
    return fit(model, split(), Preprocessing(), recipe, Training(seed=7, teachers=teachers))


def test_options_that_are_off_are_in_no_key() -> None:
    assert set(TrainSettings().identity()) == BEFORE == set(FinetuneSettings().identity())
    unused = {"temperature": 3.0, "teacher_weight": 0.5, "ema_decay": 0.9, "swa_epochs": 2, "decay": "weights"}
    assert set(TrainSettings(**unused).identity()) == BEFORE


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        ({"label_smoothing": 0.1}, {"label_smoothing"}),
        ({"warmup": 1.0}, {"warmup"}),
        ({"decay": "weights", "weight_decay": 0.1}, {"decay"}),
        ({"average": "ema"}, {"average", "ema_decay"}),
        ({"average": "swa"}, {"average", "swa_epochs"}),
        ({"teacher": "a"}, {"teacher", "temperature", "teacher_weight"}),
    ],
)
def test_options_in_use_are_in_the_key(settings: dict, added: set) -> None:
    assert set(TrainSettings(**settings).identity()) == BEFORE | added


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup": 1.0, "schedule": "one-cycle"}, "one-cycle schedule has a warm-up of its own"),
        ({"warmup": 9.0}, "longer than the 5 epochs"),
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"average": "mean"}, "'none', 'ema' or 'swa'"),
        ({"temperature": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings(**settings)


def test_label_smoothing_and_distillation_equal_a_plain_loop() -> None:
    """Hinton's loss by hand: (1 − w)·CE(smoothed labels) + w·T²·KL(teacher ‖ student), on each batch in order."""
    model, taught_by = linear(), teacher()
    plain, data = copy.deepcopy(model), split()
    train(model, taught_by, label_smoothing=0.1, temperature=3.0, teacher_weight=0.25, optimizer="sgd")
    step = torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.from_numpy(data.images) / 255, torch.from_numpy(data.labels)
    for epoch in range(2):
        order = torch.randperm(96, generator=torch.Generator().manual_seed(derive_seed(7, "train", 0, epoch)))
        for chosen in torch.split(order, 10):
            logits, wanted = plain(images[chosen]), taught_by.model(images[chosen]).detach()
            target = F.one_hot(labels[chosen], 2) * 0.9 + 0.05
            own = -(target * F.log_softmax(logits, 1)).sum(1).mean()
            soft = F.softmax(wanted / 3, 1)
            far = (soft * (soft.log() - F.log_softmax(logits / 3, 1))).sum(1).mean()
            step.zero_grad()
            (0.75 * own + 0.25 * 9 * far).backward()
            step.step()
    assert torch.allclose(weights(model), weights(plain), rtol=1e-4, atol=1e-6)


def test_several_teachers_say_the_mean_of_their_probabilities() -> None:
    teachers, images = [teacher(5), teacher(6)], torch.from_numpy(split().images)
    lesson = Lesson(teachers, images, TrainSettings(temperature=2.0, teacher="x"))
    said = [F.softmax(one.model(images / 255) / 2, 1) for one in teachers]
    chosen = torch.tensor([3, 90])
    assert torch.allclose(
        lesson.of(images[chosen], chosen, torch.zeros_like(chosen)), (said[0] + said[1])[chosen] / 2, atol=1e-6
    )


@pytest.mark.parametrize(
    ("settings", "kept", "asked"),
    [
        ({}, 2**28, 96),  # every image once
        ({"shift": 1, "epochs": 60}, 2**28, 9 * 96),  # every view once
        ({"shift": 1}, 9 * 96 * 2 * 4 - 1, 2 * 96),  # too many answers to keep: as they come
        ({"noise": 1.0}, 2**28, 2 * 96),  # every view is new
    ],
)
def test_a_teacher_is_asked_once_for_each_view(monkeypatch, settings: dict, kept: int, asked: int) -> None:
    monkeypatch.setattr("niwaki.training.teachers.MOST_BYTES", kept)
    seen, wrong = [], []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return x.flatten(1)[:, :2]

    counting = Teacher(Counting(), Preprocessing().table())
    of = Lesson.of

    def checked(lesson: Lesson, pixels: torch.Tensor, chosen: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        answer = of(lesson, pixels, chosen, view)
        wrong.append(bool((answer != F.softmax(pixels.flatten(1)[:, :2] / 255 / 2, 1)).any()))
        return answer

    monkeypatch.setattr(Lesson, "of", checked)
    train(linear(), counting, **settings)
    assert sum(seen) == asked
    assert not any(wrong)


def test_a_teacher_with_classes_in_another_order_is_asked_by_name(dataset: Dataset) -> None:
    turned = ModelInfo(
        factory="lenet5", input_shape=dataset.input_shape, labels=dataset.labels[::-1],
        preprocessing=dataset.preprocessing,
    )  # fmt: skip
    model = niwaki.LeNet5().eval()
    images = torch.from_numpy(np.array(dataset.train.images[:4]))
    lesson = Lesson([make_teacher(model, turned, dataset)], images, TrainSettings(temperature=1.0, teacher="x"))
    expected = F.softmax(model(images / 255), 1).flip(1)
    assert torch.allclose(lesson.of(images, torch.arange(4), torch.zeros(4, dtype=torch.int64)), expected, atol=1e-6)


def test_a_teacher_must_fit(dataset: Dataset) -> None:
    info = ModelInfo(factory="lenet5", input_shape=(1, 28, 28), labels=dataset.labels)
    with pytest.raises(ModelError, match=r"the teacher takes images of \(1, 28, 28\)"):
        make_teacher(niwaki.LeNet5(), info, dataset)
    info = ModelInfo(factory="lenet5", input_shape=dataset.input_shape, labels=("a", *dataset.labels[1:]))
    with pytest.raises(ModelError, match="knows 10 classes, not the data's 10 by the same names"):
        make_teacher(niwaki.LeNet5(), info, dataset)


def trained_step_by_step(**settings) -> tuple[nn.Module, list[torch.Tensor]]:
    """A trained model, and the weights that each step of its optimizer left."""
    model, steps = linear(), []
    original = torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        steps.append(weights(model).clone())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", watched)
        train(model, **settings)
    return model, steps


def test_ema_follows_its_formula_and_ends_in_the_model() -> None:
    """By hand: after step n (from 0), mean ← lerp(weights, mean, min(decay, (1 + n)/(10 + n)))."""
    model, steps = trained_step_by_step(average="ema", ema_decay=0.5)
    mean = steps[0]
    for seen, now in enumerate(steps[1:], 1):
        mean = torch.lerp(now, mean, min(0.5, (1 + seen) / (10 + seen)))
    assert torch.allclose(weights(model), mean, atol=1e-6)


def test_swa_is_the_mean_of_the_last_epochs() -> None:
    model, steps = trained_step_by_step(average="swa", swa_epochs=1)
    assert torch.allclose(weights(model), torch.stack(steps[10:]).mean(0), atol=1e-6)


def test_batch_norm_is_measured_anew_except_where_it_rests() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Dropout(0.9))
    model[0].running_mean.fill_(5)
    batches = [torch.randn(8, 3) + 2 for _ in range(3)]
    estimate_norms(model, batches, [model[0]])
    assert model[0].running_mean.tolist() == [5] * 3
    through = [model[0](batch) for batch in batches]
    assert torch.allclose(model[1].running_mean, torch.stack([x.mean(0) for x in through]).mean(0), atol=1e-5)
    assert not model.training
    assert model[1].momentum == 0.1


def test_decay_of_weights_alone_leaves_biases_and_norms() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    groups = make_optimizer(model, TrainSettings(weight_decay=0.1, decay="weights")).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 1), (0.0, 3)]
    (alone,) = make_optimizer(model, TrainSettings(weight_decay=0.1)).param_groups
    assert (alone["weight_decay"], len(alone["params"])) == (0.1, 4)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_rises_in_equal_steps_and_what_follows_ends_where_it_should(schedule: str) -> None:
    settings = TrainSettings(epochs=4, lr=1.0, schedule=schedule, warmup=1.0)
    optimizer = make_optimizer(linear(), settings)
    scheduler, rates = make_scheduler(optimizer, settings, 5), []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    last = optimizer.param_groups[0]["lr"]
    assert last == pytest.approx(1.0 if schedule == "constant" else 0.0, abs=1e-9)


class TestPython:
    def test_a_module_a_file_and_several(self, dataset: Dataset, tmp_path) -> None:
        big = niwaki.LeNet5()
        file = niwaki.save(big, tmp_path / "big.safetensors", factory="lenet5", data=dataset)
        left = []
        for given in (big, str(file), file, [big, big]):
            torch.manual_seed(1)
            small = niwaki.LeNet5(widths=[2, 3, 6, 5])
            niwaki.train(small, dataset, 1, teacher=given, temperature=4.0)
            left.append(weights(small))
        assert all(torch.equal(left[0], other) for other in left[1:3])
        assert torch.allclose(left[0], left[3], atol=1e-5)

    def test_the_model_before_pruning_teaches_it_afterwards(self, dataset: Dataset) -> None:
        left = []
        for teacher in ("base", None):
            torch.manual_seed(1)
            model = niwaki.LeNet5()
            niwaki.prune(model, dataset, ratio=0.5, steps=1, finetune={"epochs": 1, "teacher": teacher})
            left.append(weights(model))
        assert not torch.equal(*left)

    @pytest.mark.parametrize("given", [3, [4], {"a": 1}])
    def test_anything_else_is_refused(self, given, dataset: Dataset) -> None:
        with pytest.raises(SpecError, match="teacher = .*: expected a module, a model file, or a list of them"):
            niwaki.train(niwaki.LeNet5(), dataset, 1, teacher=given)

    def test_a_missing_file_is_named(self, dataset: Dataset) -> None:
        with pytest.raises(NiwakiError, match=r"none\.safetensors"):
            niwaki.train(niwaki.LeNet5(), dataset, 1, teacher="none.safetensors")
