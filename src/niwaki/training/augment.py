"""Augmentation of whole batches of raw pixels: mirror, turn, resize, blur, brighten, add noise, shift.

What enters from outside the image is black (raw zeros). All random numbers come from one generator on the CPU, in a
fixed order, and an option that is off draws none, so it does not change what the others produce.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from niwaki.errors import DataError, kind_and_line
from niwaki.models.examine import describe
from niwaki.training.settings import TrainSettings

BLUR_REACH = 2  # pixels each way: enough for the deviations that settings allow


def count_views(settings: TrainSettings) -> int | None:
    """How many different views of one image `augment` can make; None if there is no end to them."""
    if any((settings.rotate, settings.zoom, settings.blur, settings.contrast, settings.noise)):
        return None
    return (1 + settings.flip) * (2 * settings.shift + 1) ** 2


def augment(
    images: torch.Tensor, settings: TrainSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of uint8 (N, C, H, W), augmented as `settings` says; random numbers come from `generator` alone.

    With it, int64 (N,), which view of its image each is, below `count_views`: the same view has the same pixels, as
    long as only mirroring and shifting are on.
    """
    view = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    if settings.flip:
        images, view = _mirror(images, generator)
    if settings.rotate or settings.zoom:
        images = _turn(images, settings.rotate, settings.zoom, generator)
    if settings.blur or settings.contrast or settings.noise:
        images = _photograph(images, settings, generator)
    if settings.shift:
        images, moved = _move(images, settings.shift, generator)
        view = view * (2 * settings.shift + 1) ** 2 + moved
    return images, view


def transformed(images: torch.Tensor, transform: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """A batch of uint8 (N, C, H, W) after a user's own transform of each image.

    Raises DataError if it fails or gives something other than uint8 of the same shape.
    """
    made = []
    for image in images:
        try:
            made.append(transform(image.clone()))
        except Exception as error:  # whatever a user's transform raises
            raise DataError(f"transform failed on an image of {tuple(image.shape)}: {kind_and_line(error)}") from error
        if not isinstance(made[-1], torch.Tensor) or made[-1].dtype != torch.uint8 or made[-1].shape != image.shape:
            raise DataError(
                f"transform gave {describe(made[-1])}: expected bytes (uint8) of the same shape, {tuple(image.shape)}; "
                "scaling and normalizing are in preprocessing"
            )
    return torch.stack(made)


def _mirror(images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Half of the images mirrored left to right, and 1 for each of them."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(_each(mirrored, images), images.flip(-1), images), mirrored.to(images.device, torch.int64)


def _turn(images: torch.Tensor, degrees: float, zoom: float, generator: torch.Generator) -> torch.Tensor:
    """Turn each image about its centre, up to `degrees` each way, and resize it by 1 − zoom to 1 + zoom (bilinear)."""
    count, _, height, width = images.shape
    angle = _between(-math.radians(degrees), math.radians(degrees), count, generator)
    scale = _between(1 - zoom, 1 + zoom, count, generator)
    cos, sin, zero = angle.cos() / scale, angle.sin() / scale, torch.zeros(count)
    # Coordinates run from −1 to 1 over each side; the ratio of the sides keeps a rotation a rotation.
    matrix = torch.stack([cos, -sin * (height / width), zero, sin * (width / height), cos, zero], 1).view(count, 2, 3)
    grid = F.affine_grid(matrix.to(images.device), list(images.shape), align_corners=False)
    turned = F.grid_sample(images.to(torch.float32), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return _pixels(turned)


def _photograph(images: torch.Tensor, settings: TrainSettings, generator: torch.Generator) -> torch.Tensor:
    """Blur, then change brightness, then add noise where the image is not black: black stays black."""
    count = len(images)
    pixels = images.to(torch.float32)
    if settings.blur:
        pixels = _blur(pixels, _between(0, settings.blur, count, generator))
    if settings.contrast:
        pixels = pixels * _each(_between(1 - settings.contrast, 1 + settings.contrast, count, generator), images)
    if settings.noise:
        spread = _each(_between(0, settings.noise, count, generator), images)
        grain = torch.randn(images.shape, generator=generator).to(images.device)
        pixels = torch.where(pixels >= 0.5, pixels + spread * grain, pixels)
    return _pixels(pixels)


def _blur(pixels: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """A Gaussian with its own deviation (pixels) for every image, as one grouped convolution down and one across."""
    count, channels, height, width = pixels.shape
    away = torch.arange(-BLUR_REACH, BLUR_REACH + 1)
    taps = torch.exp(-0.5 * (away / sigma.clamp(min=1e-3)[:, None]) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(channels, 0).to(pixels.device)[:, None, None, :]
    planes = pixels.reshape(1, count * channels, height, width)
    planes = F.conv2d(planes, taps.transpose(2, 3), padding=(BLUR_REACH, 0), groups=count * channels)
    planes = F.conv2d(planes, taps, padding=(0, BLUR_REACH), groups=count * channels)
    return planes.view(pixels.shape)


def _move(images: torch.Tensor, shift: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift each image by up to `shift` whole pixels each way; with it, the number of the shift that each got."""
    count, _, height, width = images.shape
    moves = torch.randint(0, 2 * shift + 1, (2, count), generator=generator).to(images.device)
    padded = F.pad(images, (shift, shift, shift, shift))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, rows moved, columns moved, height, width)
    each = torch.arange(count, device=images.device)
    return windows[each, :, moves[0], moves[1]], moves[0] * (2 * shift + 1) + moves[1]


def _between(low: float, high: float, count: int, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _each(values: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """One value for each image, shaped to combine with its pixels."""
    return values.to(images.device)[:, None, None, None]


def _pixels(values: torch.Tensor) -> torch.Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
