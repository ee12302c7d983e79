import numpy as np
import pytest

from niwaki.data import synthetic
from niwaki.data.datasets import GARMENTS
from niwaki.data.preprocessing import Preprocessing
from niwaki.files import sha256_of


def test_an_image_depends_on_seed_split_and_number_alone():
    many, _ = synthetic.draw(np.arange(40), seed=5, split=0)
    few, labels = synthetic.draw(np.array([33, 7]), seed=5, split=0)
    np.testing.assert_array_equal(few, many[[33, 7]])
    assert labels.tolist() == [3, 7]
    for other in ({"seed": 6, "split": 0}, {"seed": 5, "split": 1}):
        assert (synthetic.draw(np.arange(40), **other)[0] != many).any(axis=(1, 2)).all()


def test_no_image_changes_without_a_new_version():
    images, _ = synthetic.draw(np.arange(100), seed=0, split=0)
    golden = {1: "75f8eb541835ee11eefe1010c6e79e0c3433e5fa4d4789db9fa6c05787309d37"}
    assert sha256_of(images.tobytes()) == golden[synthetic.VERSION]


def test_splitmix64_against_its_published_sequence():
    # the generator's outputs for the state 1234567, as implementations of it check themselves
    state, out = np.array([1234567], dtype=np.uint64), []
    for _ in range(3):
        out.append(int(synthetic._mix(state)[0]))
        state = state + synthetic.GOLDEN
    assert out == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_are_uniform_and_grain_is_normal():
    dice = synthetic.Dice(1, 0, np.arange(20_000))
    values = dice.between(2, 4)
    assert values.dtype == np.float32
    assert 2 <= values.min() < 2.01
    assert 3.99 < values.max() < 4
    assert abs(values.mean() - 3) < 0.02
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 0.03
    assert abs(dice.chance(0.3).mean() - 0.3) < 0.02
    grain = dice.grain(8)
    assert grain.dtype == np.float32
    assert abs(grain.mean()) < 0.02
    assert abs(grain.std() - 1) < 0.02


def test_bright_garments_on_black():
    images, labels = synthetic.draw(np.arange(500), seed=0, split=0)
    assert images.dtype == np.uint8
    assert images.shape == (500, 28, 28)
    for label in range(10):
        mine = images[labels == label]
        lit = (mine > 20).mean(axis=(1, 2))
        assert (lit > 0.04).all()
        assert (lit < 0.8).all()
        assert np.median(mine[mine > 20]) > 60
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.median(corners) == 0


def test_classes_can_be_told_apart_but_not_by_their_mean():
    train, labels = synthetic.draw(np.arange(2000), seed=0, split=0)
    test, truth = synthetic.draw(np.arange(500), seed=0, split=1)
    means = np.stack([train[labels == label].mean(axis=0).ravel() for label in range(10)])
    flat = test.reshape(len(test), -1).astype(float)
    nearest = ((flat[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.4 < (nearest == truth).mean() < 0.85


@pytest.mark.parametrize("seed", [0, 9])
def test_source(seed):
    source = synthetic.source(30, 20, seed)
    raw = source.decode(Preprocessing(pad=2))
    assert source.synthetic
    assert raw.labels == GARMENTS
    assert raw.train.images.shape == (30, 1, 32, 32)
    assert len(raw.test) == 20
    assert source.identity != synthetic.source(30, 20, seed + 1).identity
