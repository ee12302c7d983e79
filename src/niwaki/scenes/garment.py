"""A garment of 28 × 28 pixels, bright on black, enlarged into a photograph: its mask, and its cloth's brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from niwaki.scenes.fields import Field, Size, clouds

SEEN = 12  # a pixel brighter than this is garment
EDGE = (0.35, 0.65)  # of the enlarged mask: outside, inside
MARGIN = 0.03  # of the frame's height: a garment is entirely in the frame, at least this far from its border


@dataclass(frozen=True)
class Placed:
    """The position of a garment. `longest` is its longest side as a share of the frame's height, before turning."""

    longest: float
    degrees: float
    across: float  # of its middle: 0 leftmost, 1 rightmost place where it fits into the frame
    down: float


@dataclass(frozen=True)
class Enlarged:
    """A garment in a frame: float32 (height, width) mask from 0 to 1 and cloth (0: none, 1: brightest)."""

    mask: Field
    cloth: Field
    box: tuple[int, int, int, int]


def place(pixels: np.ndarray, placed: Placed, size: Size) -> Enlarged:
    """Enlarge uint8 (H, W) pixels smoothly (bicubic) to the position in `placed`; `box` is x, y, width, height."""
    inside = pixels > SEEN
    if not inside.any():  # a black picture: there is nothing to place
        return Enlarged(np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.float32), (0, 0, 0, 0))
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, left, tall, wide = rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    scale = placed.longest * size[0] / max(tall, wide)
    turn = np.deg2rad(placed.degrees)
    cos, sin = np.cos(turn), np.sin(turn)
    half_x = (abs(cos) * wide + abs(sin) * tall) * scale / 2 + MARGIN * size[0]
    half_y = (abs(sin) * wide + abs(cos) * tall) * scale / 2 + MARGIN * size[0]
    middle_x = _between(half_x, size[1] - half_x, placed.across)
    middle_y = _between(half_y, size[0] - half_y, placed.down)
    # From frame to picture: output (x, y) is read at (a x + b y + c, d x + e y + f).
    a, b, d, e = cos / scale, sin / scale, -sin / scale, cos / scale
    c = left + wide / 2 - a * middle_x - b * middle_y
    f = top + tall / 2 - d * middle_x - e * middle_y
    border = 2  # zeros around it, so that the edge of the picture is an edge of the garment too
    matrix = (a, b, c + border, d, e, f + border)
    values = np.pad(np.where(inside, pixels, 0), border).astype(np.float32)
    shape = _enlarge(np.pad(inside, border).astype(np.float32), matrix, size)
    mask = np.clip((shape - EDGE[0]) / (EDGE[1] - EDGE[0]), 0, 1)
    cloth = _enlarge(values, matrix, size) / np.maximum(shape, np.float32(0.3)) / 255
    return Enlarged(mask, np.clip(cloth, 0, 1), _box(mask))


def with_texture(cloth: Field, rng: np.random.Generator, strength: float) -> Field:
    """The threads and soft folds that 28 × 28 pixels cannot show."""
    height = cloth.shape[0]
    threads = clouds(rng, cloth.shape, height / 120)
    folds = clouds(rng, cloth.shape, height / 10)
    return np.clip(cloth * (1 + np.float32(strength) * (threads + folds)), 0, 1)


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low) if high > low else (low + high) / 2


def _enlarge(values: np.ndarray, matrix: tuple[float, ...], size: Size) -> Field:
    picture = Image.fromarray(values)
    turned = picture.transform((size[1], size[0]), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(turned)


def _box(mask: Field) -> tuple[int, int, int, int]:
    inside = mask >= 0.5
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
