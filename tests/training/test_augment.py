from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from niwaki.training.augment import augment, count_views
from niwaki.training.settings import TrainSettings


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int = 4, height: int = 24, width: int = 30, channels: int = 1) -> torch.Tensor:
    """Bright blobs on black, away from the border."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    images = np.zeros((count, channels, height, width))
    for image in images.reshape(-1, height, width):
        for y, x, bright in rng.uniform((8, 8, 60), (height - 8, width - 8, 120), (4, 3)):
            image[:] += bright * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 12)
    return torch.from_numpy(np.where(images > 4, images, 0).clip(0, 255).astype(np.uint8))


def test_shifts_move_zeros_in_and_are_whole_pixels() -> None:
    images = torch.arange(2 * 1 * 3 * 4, dtype=torch.uint8).view(2, 1, 3, 4) + 1
    seen = set()
    for seed in range(60):
        moved = augment(images, TrainSettings(shift=1), draws(seed))[0]
        assert moved.dtype == torch.uint8
        for before, after in zip(images, moved, strict=True):
            padded = F.pad(before, (1, 1, 1, 1))
            fits = [(r, c) for r in range(3) for c in range(3) if torch.equal(padded[:, r : r + 3, c : c + 4], after)]
            assert len(fits) == 1
            seen.update(fits)
    assert len(seen) == 9


def test_views_are_numbered_by_what_they_show() -> None:
    """Mirrored or not, in nine places: the same number is the same picture, and another number another one."""
    settings = TrainSettings(flip=True, shift=1)
    images = torch.arange(3 * 1 * 5 * 4, dtype=torch.uint8).view(3, 1, 5, 4) + 1
    seen: dict[tuple[int, int], torch.Tensor] = {}
    for seed in range(200):
        for number, (picture, view) in enumerate(zip(*augment(images, settings, draws(seed)), strict=True)):
            assert torch.equal(seen.setdefault((number, int(view)), picture), picture)
    assert len(seen) == len({(number, picture.numpy().tobytes()) for (number, _), picture in seen.items()}) == 3 * 18
    assert count_views(settings) == 18
    assert count_views(TrainSettings()) == 1
    assert count_views(TrainSettings(flip=True, noise=1)) is None


def test_flips_mirror_about_half() -> None:
    images = torch.arange(2 * 1 * 3 * 4, dtype=torch.uint8).view(2, 1, 3, 4)
    mirrored = 0
    for seed in range(100):
        out = augment(images, TrainSettings(flip=True), draws(seed))[0]
        for before, after in zip(images, out, strict=True):
            assert torch.equal(after, before) or torch.equal(after, before.flip(-1))
            mirrored += torch.equal(after, before.flip(-1))
    assert 70 < mirrored < 130


def test_turning_and_zooming_equal_pillow() -> None:
    """Pillow's own bilinear transform, with the angles and scales that the generator gives; the frame is no square."""
    images = smooth(count=8)
    height, width = images.shape[2:]
    out = augment(images, TrainSettings(rotate=40, zoom=0.3), draws(3))[0]
    generator = draws(3)
    angles = -40 + 80 * torch.rand(8, generator=generator)
    scales = 0.7 + 0.6 * torch.rand(8, generator=generator)
    assert angles.min() < -10
    assert angles.max() > 10
    for before, after, angle, scale in zip(images, out, angles, scales, strict=True):
        cos, sin = math.cos(math.radians(angle)) / float(scale), math.sin(math.radians(angle)) / float(scale)
        x, y = width / 2, height / 2
        matrix = (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)
        picture = Image.fromarray(before[0].numpy().astype(np.float32))
        expected = picture.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        assert np.abs(after[0].numpy().astype(int) - np.asarray(expected))[2:-2, 2:-2].max() <= 1
        assert not torch.equal(before, after)


def test_channels_of_an_image_are_changed_alike() -> None:
    grey = smooth(count=6)
    settings = TrainSettings(flip=True, rotate=20, zoom=0.2, blur=1.0, contrast=0.4, shift=2)
    one, three = (augment(images, settings, draws(1))[0] for images in (grey, grey.repeat(1, 3, 1, 1)))
    assert all(torch.equal(three[:, channel], one[:, 0]) for channel in range(3))


def test_blur_is_a_gaussian() -> None:
    images = torch.zeros(50, 1, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    out = augment(images, TrainSettings(blur=1.0), draws())[0].to(torch.float64)
    sigmas = torch.rand(50, generator=draws())
    totals = out.sum((1, 2, 3))
    assert (totals - 255).abs().max() < 13  # rounding of 25 pixels
    away = (torch.arange(9) - 4.0) ** 2
    spread = (out.sum((1, 2)) * away).sum(1) / totals
    wide = sigmas > 0.4  # narrower than that, hardly anything reaches the next pixel
    assert (spread - sigmas**2)[wide].abs().max() < 0.15
    assert out[sigmas < 0.2][:, 0, 4, 4].min() >= 254


def test_contrast_multiplies() -> None:
    images = smooth(count=20)
    out = augment(images, TrainSettings(contrast=0.5), draws(2))[0]
    gains = 0.5 + torch.rand(20, generator=draws(2))
    expected = (images * gains[:, None, None, None]).round().clamp(0, 255)
    assert (out.to(torch.float32) - expected).abs().max() <= 1
    assert gains.min() < 0.7
    assert gains.max() > 1.3


def test_noise_leaves_black_black() -> None:
    images = torch.zeros(40, 1, 32, 32, dtype=torch.uint8)
    images[:, :, 8:24, 8:24] = 128
    out = augment(images, TrainSettings(noise=20), draws())[0].to(torch.float32)
    assert torch.equal(out == 0, images == 0)
    spread = 20 * torch.rand(40, generator=draws())
    assert (out[:, 0, 8:24, 8:24].std((1, 2)) - spread).abs().max() < 0.15 * 20


@pytest.mark.parametrize(
    ("options", "drawn"),
    [
        ({"flip": True}, lambda g: torch.rand(4, generator=g)),
        ({"shift": 2}, lambda g: torch.randint(0, 5, (2, 4), generator=g)),
        ({"contrast": 0.1}, lambda g: torch.rand(4, generator=g)),
        ({}, lambda g: None),
    ],
)
def test_an_option_that_is_off_draws_nothing(options, drawn) -> None:
    """Else switching one on or off would change what the others, and the order of later batches, get."""
    used, expected = draws(), draws()
    augment(smooth(), TrainSettings(**options), used)
    drawn(expected)
    assert torch.equal(used.get_state(), expected.get_state())


def test_the_same_generator_gives_the_same_bits() -> None:
    settings = TrainSettings(flip=True, rotate=15, zoom=0.1, blur=0.8, contrast=0.3, noise=10, shift=2)
    first, again, other = (augment(smooth(), settings, draws(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
