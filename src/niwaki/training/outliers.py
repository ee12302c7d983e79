"""Made-up images of no class, from which a network learns to recognize that it does not know an image.

They roughly resemble what a camera finds: discs, boxes, rings, strokes and stripes, painted over each other, bright on
black; and training images with their quarters exchanged, which have all details of the classes but none of their
shapes.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

SHAPES = 4  # shapes painted over each other, at most
TORN = 0.25  # share of the outliers: training images in quarters
POOL, AT_ONCE = 1 << 23, 512  # bytes of shapes; shapes drawn at once
Draws = torch.Generator


def against_none(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Cross-entropy with one more class, `none`, whose logit is always 0: the images after the first
        len(labels) belong to it. Logits (N + m, classes), labels (N,).

    This is also a logistic loss on the energy -log sum exp(logits): below 0 for images of a class, above 0 for others.
    So the network learns what rejection by energy needs (Liu et al., "Energy-based Out-of-distribution Detection",
    2020), without margins to choose and without an extra output.
    """
    count, classes = logits.shape
    targets = torch.cat([labels, labels.new_full((count - len(labels),), classes)])
    return F.cross_entropy(F.pad(logits, (0, 1)), targets, label_smoothing=smoothing)


def shape_pool(height: int, width: int, generator: Draws) -> torch.Tensor:
    """Shapes to choose from repeatedly, uint8 (n, height, width): as many as fit into POOL bytes.

    Drawing new ones for every batch would take longer than training a small network on it.
    """
    count = max(1, POOL // (height * width))
    parts = [draw_shapes(min(AT_ONCE, count - done), height, width, generator) for done in range(0, count, AT_ONCE)]
    return torch.cat(parts)


def draw_outliers(images: torch.Tensor, share: float, shapes: torch.Tensor, generator: Draws) -> torch.Tensor:
    """Images of no class, uint8 (m, C, H, W), for a batch of uint8 (N, C, H, W): m = N · share, rounded.

    Some are images of the batch in quarters, the others `shapes`, uint8 (n, H, W) on the device of the batch; the
    choice depends only on `generator` (on the CPU).
    """
    count = round(len(images) * share)
    torn = min(len(images), round(count * TORN))
    height, width = images.shape[2:]
    quarters = images[:torn].roll((height // 2, width // 2), (2, 3))
    chosen = torch.randint(0, len(shapes), (count - torn,), generator=generator).to(images.device)
    drawn = shapes.index_select(0, chosen)[:, None].expand(-1, images.shape[1], -1, -1)
    return torch.cat([quarters, drawn])


def draw_shapes(count: int, height: int, width: int, generator: Draws) -> torch.Tensor:
    """Shapes of random kinds, sizes and brightness on black, uint8 (count, height, width)."""
    rows = ((torch.arange(height) + 0.5) * 2 / height - 1)[None, :, None]
    columns = ((torch.arange(width) + 0.5) * 2 / width - 1)[None, None, :]
    picture = torch.zeros(count, height, width)
    for order in range(SHAPES):
        inside = _inside(rows, columns, count, order == 0, generator)
        bright = _between(0.0 if order else 0.3, 1, count, generator)
        shown = _between(0, 1, count, generator) < (1 if order == 0 else 0.5)
        sharp = (inside * (height / 2) + 0.5).clamp(0, 1) * shown
        picture += sharp * (bright - picture)
    shade = 1 + _between(-0.4, 0.4, count, generator) * columns + _between(-0.4, 0.4, count, generator) * rows
    grain = _between(0, 0.1, count, generator) * torch.randn(picture.shape, generator=generator)
    picture = torch.where(picture > 0.02, picture * shade + grain, 0.0)
    return (picture * 255).round().clamp(0, 255).to(torch.uint8)


def _inside(rows: torch.Tensor, columns: torch.Tensor, count: int, first: bool, generator: Draws) -> torch.Tensor:
    """One shape for each image as a function of the plane that is positive inside: (count, height, width).

    The first one fills the length of the image, as objects cut out by vision do.
    """
    reach = 0.0 if first else 0.6
    x, y = (columns - _between(-reach, reach, count, generator), rows - _between(-reach, reach, count, generator))
    turn = _between(0, math.pi, count, generator)
    u, v = turn.cos() * x + turn.sin() * y, turn.cos() * y - turn.sin() * x
    long = _between(0.65 if first else 0.15, 0.9, count, generator)
    short = long * _between(0.08, 1, count, generator)
    thick = _between(0.03, 0.15, count, generator)
    box = torch.minimum(long - u.abs(), short - v.abs())
    disc = (1 - ((u / long) ** 2 + (v / short) ** 2).sqrt()) * short
    ring = thick - disc.abs()
    bow = torch.minimum(thick - (v - _between(-1, 1, count, generator) * (u * u - 0.3)).abs(), long - u.abs())
    wave = _between(6, 30, count, generator)
    stripes = torch.minimum(box, (torch.sin(u * wave) + _between(-0.3, 0.7, count, generator)) / wave)
    kinds = torch.stack([box, disc, ring, bow, stripes])
    chosen = torch.randint(0, len(kinds), (count,), generator=generator)
    return kinds[chosen, torch.arange(count)]


def _between(low: float, high: float, count: int, generator: Draws) -> torch.Tensor:
    return (low + (high - low) * torch.rand(count, generator=generator))[:, None, None]
