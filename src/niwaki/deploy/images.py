"""Images drawn with a seed: from a training split, to calibrate on, or made up."""

from __future__ import annotations

import numpy as np

from niwaki.data.dataset import Split
from niwaki.randomness import derive_seed


def calibration_images(train: Split, count: int, seed: int | None = None) -> np.ndarray:
    """`count` images drawn from a training split, uint8 (n, C, H, W); all of them if there are fewer.

    The same split and seed give the same images; the default seed is that of every export.
    """
    drawn = derive_seed(0, "export", 0) if seed is None else seed
    chosen = np.random.default_rng(drawn).permutation(len(train))[:count]
    return np.asarray(train.images[np.sort(chosen)])


def random_images(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Made-up images, uint8 (count, *shape): alternately noise, and patches of 4×4 pixels as in a coarse picture."""
    channels, height, width = shape
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    coarse = rng.integers(0, 256, (count, channels, -(-height // 4), -(-width // 4)), dtype=np.uint8)
    patches = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]
    images[1::2] = patches[1::2]
    return images
