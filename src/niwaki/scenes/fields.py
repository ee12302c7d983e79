"""Random fields over a picture, float32 (height, width), and the smoothing that makes scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Size = tuple[int, int]  # height, width
Field = npt.NDArray[np.float32]


def enlarge(coarse: Field, size: Size) -> Field:
    """A float32 picture at another size, smoothly (bicubic)."""
    return np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def clouds(rng: np.random.Generator, size: Size, grain: float | tuple[float, float]) -> Field:
    """Smooth noise of standard deviation around 1 whose blobs measure `grain` (rows, columns) in pixels."""
    down, across = grain if isinstance(grain, tuple) else (grain, grain)
    coarse = (max(2, round(size[0] / down)) + 1, max(2, round(size[1] / across)) + 1)
    if coarse[0] >= size[0] and coarse[1] >= size[1]:
        return rng.standard_normal(size, dtype=np.float32)
    noise = enlarge(rng.standard_normal(coarse, dtype=np.float32), size)
    return noise * np.float32(1.3)  # what interpolation loses


def layered(rng: np.random.Generator, size: Size, grains: Sequence[float], fall: float = 0.6) -> Field:
    """Noise at several scales, coarse to fine, each `fall` times as strong as the previous one; deviation around 1."""
    weights = np.array([fall**order for order in range(len(grains))], dtype=np.float32)
    weights /= np.sqrt((weights * weights).sum())
    total = np.zeros(size, dtype=np.float32)
    for weight, grain in zip(weights, grains, strict=True):
        total += weight * clouds(rng, size, grain)
    return total


def grid(size: Size) -> tuple[Field, Field]:
    """Rows (height, 1) and columns (1, width) from the centre, in units of the picture's height."""
    height, width = size
    rows = (np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2)) / np.float32(height)
    columns = (np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)) / np.float32(height)
    return rows[:, None], columns[None, :]


def shift(picture: Field, down: int, across: int) -> Field:
    """A picture shifted by whole pixels; the border is repeated."""
    height, width = picture.shape
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - across, 0, width - 1)
    return picture[rows][:, columns]


def blur(picture: Field, sigma: float) -> Field:
    """Gaussian blur with the border repeated; below a fifth of a pixel nothing happens."""
    if sigma < 0.2:
        return picture
    reach = max(1, int(3 * sigma + 0.5))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    height, width = picture.shape
    padded = np.pad(picture, ((reach, reach), (0, 0)), mode="edge")
    down: Field = taps[0] * padded[:height]
    for place, tap in enumerate(taps[1:], 1):
        down += tap * padded[place : place + height]
    padded = np.pad(down, ((0, 0), (reach, reach)), mode="edge")
    across: Field = taps[0] * padded[:, :width]
    for place, tap in enumerate(taps[1:], 1):
        across += tap * padded[:, place : place + width]
    return across


def wide_blur(picture: Field, sigma: float) -> Field:
    """The same for wide blurs, on a smaller picture that is enlarged again."""
    factor = max(1, int(sigma / 2))
    if factor == 1:
        return blur(picture, sigma)
    height, width = picture.shape
    small = Image.fromarray(picture.astype(np.float32)).resize(
        (max(2, width // factor), max(2, height // factor)), Image.Resampling.BOX
    )
    return enlarge(blur(np.asarray(small), sigma / factor), (height, width))
