from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import StageFailed
from niwaki.models.pixels import pixel_scale
from niwaki.randomness import derive_seed
from niwaki.training.settings import FinetuneSettings, PruneSettings, TrainSettings
from niwaki.training.train import Training, fit, resting_norms


def split(count: int = 96, seed: int = 0) -> Split:
    """Bright on the left or on the right: two classes that a linear layer learns."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.int64)
    images = rng.integers(0, 40, (count, 1, 4, 6), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, :, 3 * label : 3 * label + 3] += 120
    return Split(images, labels)


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(24, 2))


def train(model: nn.Module, **settings) -> list:
    more = {key: settings.pop(key) for key in ("seed", "kind", "position", "validation") if key in settings}
    return fit(model, split(), Preprocessing(), TrainSettings(**{"epochs": 2, **settings}), Training(**more))


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1, momentum=0.9)),
    ],
)
def test_equals_a_plain_loop(optimizer: str, make) -> None:
    """The same order, batch by batch, with torch's own default optimizer and nothing of niwaki's loop."""
    model = linear()
    plain = copy.deepcopy(model)
    history = train(model, optimizer=optimizer, lr=0.01, weight_decay=0.1, batch_size=10, seed=7)
    data, step = split(), make(plain.parameters())
    losses = []
    for epoch in range(2):
        order = torch.randperm(96, generator=torch.Generator().manual_seed(derive_seed(7, "train", 0, epoch)))
        total = 0.0
        for start in range(0, 96, 10):
            chosen = order[start : start + 10]
            loss = F.cross_entropy(
                plain(torch.from_numpy(data.images)[chosen] / 255), torch.from_numpy(data.labels)[chosen]
            )
            step.zero_grad()
            loss.backward()
            step.step()
            total += loss.item() * len(chosen)
        losses.append(total / 96)
    assert torch.allclose(weights(model), weights(plain), rtol=1e-5, atol=1e-7)
    assert [epoch.loss for epoch in history] == pytest.approx(losses, rel=1e-5)
    assert not model.training


def test_the_same_seed_gives_the_same_bits_and_settings_do_not_change_the_order() -> None:
    one, two, other = linear(), linear(), linear()
    train(one), train(two), train(other, seed=1)
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))
    seen = {
        derive_seed(s, k, p, e) for s in range(3) for k in ("train", "finetune") for p in range(3) for e in range(3)
    }
    assert len(seen) == 54
    assert derive_seed(1, "train", 0, 0) == 4129659201957268844  # by sha256sum: part of every result


def test_dropout_follows_the_seed_and_leaves_torchs_generator_alone() -> None:
    def once() -> torch.Tensor:
        model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), linear()[1])
        train(model)
        return weights(model)

    torch.manual_seed(1)
    first = once()
    torch.manual_seed(2)
    linear()
    state = torch.get_rng_state()
    second = once()
    torch.manual_seed(2)
    linear()
    linear()
    assert torch.equal(first, second)
    assert state is not None


def test_schedules_end_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: dict[str, list[float]] = {}
    step = torch.optim.SGD.step
    for schedule in ("constant", "cosine", "one-cycle"):
        seen = rates.setdefault(schedule, [])

        def spy(self, *args, seen=seen, **kwargs):
            seen.append(self.param_groups[0]["lr"])
            return step(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.SGD, "step", spy)
        train(linear(), optimizer="sgd", lr=0.5, schedule=schedule, epochs=3, batch_size=32)
    assert rates["constant"] == [0.5] * 9
    assert rates["cosine"][0] == 0.5
    assert rates["cosine"] == sorted(rates["cosine"], reverse=True)
    assert rates["cosine"][-1] == pytest.approx(0.5 * (1 + np.cos(np.pi * 8 / 9)) / 2)
    assert max(rates["one-cycle"]) == pytest.approx(0.5, rel=0.1)
    assert rates["one-cycle"][0] == pytest.approx(0.5 / 25)
    assert rates["one-cycle"][-1] < 0.1


def test_clipping_bounds_the_step() -> None:
    model = linear()
    before = weights(model)
    train(model, optimizer="sgd", momentum=0.0, lr=1.0, clip_norm=1e-3, epochs=1, batch_size=96)
    assert float((weights(model) - before).norm()) == pytest.approx(1e-3, rel=1e-3)


def test_a_loss_that_is_not_finite_ends_the_stage_with_the_way_out() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 50), nn.ReLU(), nn.Linear(50, 2))
    with torch.no_grad():
        model[1].weight.mul_(1e30)
    with pytest.raises(StageFailed, match=r"the loss became (nan|inf) in epoch \d of 3: lower train.lr \(now 100\)"):
        train(model, optimizer="sgd", lr=100, epochs=3)


def test_best_keeps_the_best_epoch() -> None:
    validation = split(40, seed=1)
    model = linear()
    history = train(model, keep="best", epochs=6, lr=0.05, validation=validation)
    accuracies = [epoch.validation_accuracy for epoch in history]
    with torch.no_grad():
        found = (model(torch.from_numpy(validation.images) / 255).argmax(1).numpy() == validation.labels).mean() * 100
    assert found == pytest.approx(max(accuracies))


def test_a_last_batch_of_one_is_left_out() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    data = split(33)
    history = fit(model, data, Preprocessing(), TrainSettings(epochs=1, batch_size=32, schedule="one-cycle"))
    assert len(history) == 1
    assert int(model[1].num_batches_tracked) == 1


def test_batches_of_one_train_all_the_same() -> None:
    model = linear()
    before = weights(model)
    history = fit(model, split(6), Preprocessing(), TrainSettings(epochs=1, batch_size=1))
    assert history[0].loss > 0
    assert not torch.equal(weights(model), before)


def test_frozen_parameters_do_not_move() -> None:
    model = linear()
    model[1].bias.requires_grad_(False)
    before = model[1].bias.clone()
    train(model)
    assert torch.equal(model[1].bias, before)


@pytest.mark.parametrize("option", [{"flip": True}, {"shift": 1}, {"rotate": 10.0}, {"noise": 20.0}])
def test_training_augments(option: dict) -> None:
    plain, changed = linear(), linear()
    train(plain)
    train(changed, **option)
    assert not torch.equal(weights(plain), weights(changed))


class TestPixelScale:
    @pytest.mark.parametrize("preprocessing", [Preprocessing(), Preprocessing(mean=(0.3,), std=(0.2,))])
    def test_equals_the_preprocessing_to_the_bit(self, preprocessing: Preprocessing) -> None:
        pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
        ours = pixel_scale(preprocessing.table())(torch.from_numpy(pixels))
        assert np.array_equal(ours.numpy(), preprocessing.scale(pixels))

    def test_colour(self) -> None:
        preprocessing = Preprocessing(color="rgb", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
        scale = pixel_scale(preprocessing.table())
        assert np.array_equal(scale(torch.from_numpy(pixels)).numpy(), preprocessing.scale(pixels))
        with pytest.raises(ValueError, match="1 channels, but the preprocessing has 3"):
            scale(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))


def test_settings() -> None:
    assert FinetuneSettings().lr == 1e-4
    with pytest.raises(ValueError, match="ratio 0 removes nothing"):
        PruneSettings(ratio=0)
    assert PruneSettings(distribution="global").weights_decide


def test_what_the_network_draws_from_any_generator_repeats() -> None:
    """Python's and NumPy's generators are seeded in every epoch, as torch's is; afterwards they are where they were."""

    def trained(before: int) -> torch.Tensor:
        random.seed(before)
        np.random.seed(before)
        torch.manual_seed(0)
        model = Random()
        history = train(model, epochs=2, lr=0.01, seed=3)
        assert random.random() == random.Random(before).random()
        assert np.random.rand() == np.random.RandomState(before).rand()
        assert history[0].loss != history[1].loss
        return weights(model)

    assert torch.equal(trained(1), trained(2))


class Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gain = random.random() + np.random.rand() if self.training else 1.0
        return self.fc(F.dropout(x.flatten(1), 0.1, self.training)) * gain


def test_norms_put_to_rest_stay_so() -> None:
    """Frozen and in eval mode, in a model that is in training mode: that was meant. A loaded model is all in eval."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[2].requires_grad_(False).eval()
    assert resting_norms(model) == [model[2]]
    before = model[2].running_mean.clone()
    fit(model, split(), Preprocessing(), TrainSettings(epochs=1), Training(resting=resting_norms(model)))
    assert torch.equal(model[2].running_mean, before)
    assert model[3].running_mean.abs().max() > 0
    assert resting_norms(model.eval()) == []
