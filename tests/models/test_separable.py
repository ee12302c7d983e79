"""The small modern network: its shapes, its numbers worked out by hand, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from niwaki.errors import ModelError
from niwaki.measure.cost import count
from niwaki.models import factory
from niwaki.models.separable import Separable


def test_parameters_and_macs_are_those_worked_out_by_hand() -> None:
    model = Separable(widths=(8, 16, 32), depth=1).eval()
    stem = 9 * 8 + 2 * 8
    first = 9 * 8 + 2 * 8 + 8 * 16 + 2 * 16
    second = 9 * 16 + 2 * 16 + 16 * 32 + 2 * 32
    assert sum(parameter.numel() for parameter in model.parameters()) == stem + first + second + 32 * 10 + 10
    places = 16 * 16
    macs = places * (9 * 8 + 9 * 8 + 8 * 16) + places // 4 * (9 * 16 + 16 * 32) + 320
    assert count(model, (1, 32, 32)).macs == macs


def test_blocks_without_norm_between_have_as_many_weights_less_those_norms() -> None:
    whole, plain = (Separable(widths=(8, 16, 32), depth=1, between=between).eval() for between in (True, False))
    weights = [sum(parameter.numel() for parameter in model.parameters()) for model in (whole, plain)]
    assert weights[0] - weights[1] == 2 * (8 + 16)
    assert count(whole, (1, 32, 32)).macs == count(plain, (1, 32, 32)).macs
    block, image = plain.blocks[0], torch.rand(1, 8, 6, 6)
    expected = torch.relu(block.norm2(block.pointwise(block.depthwise(image))))
    assert torch.equal(block(image), expected)


def test_a_block_adds_its_input_where_the_shape_stays() -> None:
    model = Separable(widths=(8, 8, 16), depth=2).eval()
    assert [block.residual for block in model.blocks] == [True, True, False, True]
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    kept = Separable(widths=(4, 8), in_channels=3, image_size=24, resolution=24, num_classes=5)
    assert kept.stem.stride == (1, 1)
    assert kept.eval()(torch.zeros(1, 3, 24, 24)).shape == (1, 5)


def test_it_is_a_factory_that_needs_no_trust() -> None:
    assert isinstance(factory.build("separable", {"widths": [4, 8]}), Separable)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"widths": (8,)}, "give positive numbers, for the stem and each stage"),
        ({"widths": (8, 0)}, "give positive numbers"),
        ({"depth": 0}, "give at least 1 of each"),
        ({"resolution": 12}, "expected a divisor of image_size, 32"),
        ({"widths": (4, 4, 4, 4, 4, 4), "resolution": 8}, "5 stages leave 0 pixels of 8"),
        ({"widths": (20_000, 20_000)}, "Separable of about"),
    ],
)
def test_numbers_that_build_no_network_are_refused(args: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Separable(**args)  # type: ignore[arg-type]
