"""Training on classes of unlike size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import niwaki
from niwaki.training.settings import TrainSettings
from niwaki.training.train import _order, class_weights

pytestmark = pytest.mark.filterwarnings("ignore:python")  # images on purpose in several splits
LABELS = torch.tensor([0] * 90 + [1] * 9 + [2])


def test_weights_by_hand() -> None:
    weights = class_weights(LABELS)
    assert weights.tolist() == pytest.approx([100 / 3 / 90, 100 / 3 / 9, 100 / 3])
    assert class_weights(torch.tensor([0, 2])).tolist() == [1.0, 1.0, 1.0]  # nothing to weigh in class 1


def test_a_balanced_epoch_shows_every_class_equally_often() -> None:
    labels = LABELS.repeat(30)
    drawn = labels[_order(labels, TrainSettings(sampling="balanced"), torch.Generator().manual_seed(0))]
    assert len(drawn) == 3000
    assert (torch.bincount(drawn) - 1000).abs().max() < 100  # four standard deviations
    every = _order(labels, TrainSettings(), torch.Generator().manual_seed(0))
    assert sorted(every.tolist()) == list(range(3000))


def test_the_loss_of_the_first_step_is_weighed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 16, 16), dtype=np.uint8)
    data = niwaki.dataset((images, LABELS), validation=(images, LABELS), test=(images, LABELS))
    torch.manual_seed(0)
    model = niwaki.LeNet5(num_classes=3, image_size=16, widths=[2, 3, 8, 8])
    with torch.no_grad():
        logits = model(torch.from_numpy(images)[:, None] / 255)
        by_hand = F.cross_entropy(logits, LABELS, torch.tensor([100 / 270, 100 / 27, 100 / 3])).item()
    [epoch] = niwaki.train(model, data, epochs=1, batch_size=100, class_weights="balanced")
    assert epoch.loss == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("settings", [{"class_weights": "balanced"}, {"sampling": "balanced"}])
def test_rare_classes_are_found(settings: dict[str, str]) -> None:
    """Brightness with a spread of 25 levels, 40 more for one image in twenty: plain training never names these."""
    generator = np.random.default_rng(0)
    labels = (np.arange(400) % 20 == 0).astype(np.int64)
    levels = (generator.normal(100, 25, 400) + 40 * labels).clip(0, 255).astype(np.uint8)
    images = np.repeat(levels, 16).reshape(400, 4, 4)
    data = niwaki.dataset((images, labels), validation=(images, labels), test=(images, labels))

    def worst(**how: str) -> float:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        niwaki.train(model, data, epochs=20, lr=2e-2, **how)
        found = niwaki.evaluate(model, data).worst
        assert found is not None
        return found

    assert worst() < 20
    assert worst(**settings) > 60


def test_settings_that_change_nothing_are_not_in_a_key() -> None:
    assert "sampling" not in TrainSettings().identity()
    assert TrainSettings(class_weights="balanced").identity()["class_weights"] == "balanced"
    with pytest.raises(ValueError, match="outliers have a loss of their own"):
        TrainSettings(class_weights="balanced", outliers=0.5)
