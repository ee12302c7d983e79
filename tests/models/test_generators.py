from __future__ import annotations

import random

import numpy as np
import torch

from niwaki.models.generators import generators_kept, reseed, seeded


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_a_seed_repeats_all_three_and_they_go_on_as_if_nothing_had_been() -> None:
    reseed(1)
    untouched = [draw(), draw()]
    reseed(1)
    first = draw()
    with seeded(2**63 - 1):
        one = draw()
    with seeded(2**63 - 1):
        two = draw()
    with seeded(5):
        other = draw()
    assert [first, draw()] == untouched
    assert one == two
    assert not set(one) & set(other)


def test_torchs_numbers_are_those_of_its_own_seed() -> None:
    """What torch alone seeded before is the same to the bit."""
    torch.manual_seed(12)
    expected = torch.rand(5)
    with seeded(12):
        assert torch.equal(torch.rand(5), expected)


def test_they_are_restored_after_an_error() -> None:
    reseed(3)
    expected = draw()
    reseed(3)
    try:
        with generators_kept():
            draw()
            raise KeyError
    except KeyError:
        assert draw() == expected
