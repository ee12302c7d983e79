from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.board.rejection import energies
from niwaki.data import synthetic
from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.training import outliers
from niwaki.training.outliers import against_none, draw_outliers, draw_shapes
from niwaki.training.settings import TrainSettings
from niwaki.training.train import fit


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 40, channels: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, (count, channels, 20, 24), dtype=np.uint8))


def test_the_loss_is_a_logistic_one_on_the_energy() -> None:
    """By hand: log(1 + exp(-E)) for outliers, less the label's logit for the images; their mean."""
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (5, 4)))
    labels = torch.tensor([2, 0, 3])
    grown = np.log1p(np.exp(-energies(logits.numpy())))
    expected = (grown[:3] - [logits[0, 2], logits[1, 0], logits[2, 3]]).sum() + grown[3:].sum()
    assert float(against_none(logits, labels)) == pytest.approx(expected / 5)


def test_without_outliers_only_sure_images_lose_little() -> None:
    """What plain cross-entropy cannot tell apart: logits that are all higher by the same."""
    labels = torch.tensor([0])
    low, high = torch.tensor([[1.0, -9.0]]), torch.tensor([[11.0, 1.0]])
    assert F.cross_entropy(low, labels) == pytest.approx(float(F.cross_entropy(high, labels)), abs=1e-6)
    assert against_none(high, labels) < against_none(low, labels) / 100


POOLED = draw_shapes(50, 20, 24, draws(9))


@pytest.mark.parametrize(("share", "count"), [(0.25, 10), (0.01, 0), (1.0, 40)])
def test_a_share_of_the_batch_is_drawn(share: float, count: int) -> None:
    images = batch()
    drawn = draw_outliers(images, share, POOLED, draws())
    assert drawn.shape == (count, 1, 20, 24)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, draw_outliers(images, share, POOLED, draws()))
    if count:
        assert not torch.equal(drawn, draw_outliers(images, share, POOLED, draws(1)))


def test_a_quarter_of_them_are_images_with_their_quarters_exchanged_the_others_shapes() -> None:
    images = batch()
    drawn = draw_outliers(images, 0.5, POOLED, draws())
    for before, after in zip(images[:5], drawn[:5], strict=True):
        quarters = before[0].view(2, 10, 2, 12)
        assert torch.equal(after[0].view(2, 10, 2, 12), quarters.flip(0, 2))
    known = {shape.numpy().tobytes() for shape in POOLED}
    assert {shape[0].numpy().tobytes() for shape in drawn[5:]} <= known


def test_colour_images_get_grey_shapes() -> None:
    drawn = draw_outliers(batch(channels=3), 0.5, POOLED, draws())[5:]
    assert torch.equal(drawn[:, 0], drawn[:, 1])
    assert torch.equal(drawn[:, 0], drawn[:, 2])


def test_the_pool_is_as_large_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outliers, "POOL", 700 * 20 * 24)
    pool = outliers.shape_pool(20, 24, draws())
    assert pool.shape == (700, 20, 24)
    assert len({shape.numpy().tobytes() for shape in pool}) == 700
    assert torch.equal(pool, outliers.shape_pool(20, 24, draws()))
    assert len(outliers.shape_pool(700, 700, draws())) == 1


def test_shapes_are_bright_on_black_large_and_of_many_kinds() -> None:
    shapes = draw_shapes(300, 28, 28, draws()).to(torch.float32)
    covered = (shapes > 0).float().mean((1, 2))
    assert covered.min() > 0.01
    assert 0.15 < covered.median() < 0.6
    assert covered.max() > 0.6
    assert (shapes.amax((1, 2)) > 60).float().mean() > 0.95
    seen = (shapes > 0).any(1)
    wide = seen.float().sum(1).maximum((shapes > 0).any(2).float().sum(1))
    assert (wide >= 14).float().mean() > 0.9  # the longest side is at least half of the picture
    flat = F.normalize(shapes.flatten(1) - shapes.flatten(1).mean(1, keepdim=True))
    alike = (flat @ flat.T).triu(1)
    assert (alike > 0.95).float().sum() < 30  # of 44,850 pairs


def test_a_network_learns_to_know_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained on drawn garments: shapes never seen before get a higher energy than garments never seen before."""
    monkeypatch.setattr(outliers, "POOL", 1000 * 28 * 28)
    train, test = (
        Split(np.ascontiguousarray(images[:, None]), labels)
        for images, labels in (
            synthetic.draw(np.arange(600), seed=0, split=0),
            synthetic.draw(np.arange(200), seed=0, split=1),
        )
    )
    shapes = draw_shapes(200, 28, 28, draws(77))[:, None]

    def told_apart(share: float) -> float:
        """How often a shape has the higher energy of a pair: the area under the ROC curve."""
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 48), nn.ReLU(), nn.Linear(48, 10))
        fit(model, train, Preprocessing(), TrainSettings(epochs=12, outliers=share))
        with torch.no_grad():
            known, unknown = (
                energies(model(images / 255).double().numpy()) for images in (torch.from_numpy(test.images), shapes)
            )
        return float(np.mean(unknown[:, None] > known[None, :]))

    plain, taught = told_apart(0.0), told_apart(0.5)
    assert taught > 0.88
    assert taught > plain + 0.05
