"""Garment silhouettes that niwaki draws itself if Fashion-MNIST is not available: bright on black, 28 × 28."""

from __future__ import annotations

import numpy as np

from niwaki.data.dataset import Split
from niwaki.data.datasets import GARMENT_SIZE, GARMENTS
from niwaki.data.garments import DRAWN, Garment, Plane
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec

VERSION = 1  # of the drawings: raised whenever a pixel changes
AT_ONCE = 256  # images at a time: their planes stay in the processor's cache
NOISE = 0.08  # standard deviation at most; the full brightness is 1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Dice:
    """Random numbers for images; each depends only on (seed, split, image, how many were drawn before).

    SplitMix64 over that path: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
    """

    def __init__(self, seed: int, split: int, images: np.ndarray) -> None:
        start = _mix(_mix(np.full(len(images), seed, dtype=np.uint64)) + np.uint64(split))
        self._streams = _mix(start + images.astype(np.uint64))[:, None]
        self._drawn = 0

    def bits(self, count: int) -> np.ndarray:
        """The next `count` numbers of each image, uint64 (N, count)."""
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        return _mix(self._streams + steps * GOLDEN)

    def between(self, low: float, high: float) -> np.ndarray:
        """Uniform numbers, float32 (N, 1)."""
        unit = (self.bits(1) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        values: np.ndarray = np.float32(low) + np.float32(high - low) * unit
        return values

    def chance(self, probability: float) -> np.ndarray:
        """True with that probability, bool (N, 1)."""
        return self.between(0, 1) < probability

    def grain(self, count: int) -> np.ndarray:
        """Nearly normal numbers, float32 (N, count), standard deviation 1: sums of four uniform 16-bit numbers."""
        bits = self.bits(count)
        total = np.zeros(bits.shape, dtype=np.float32)
        for shift in (0, 16, 32, 48):
            total += ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float32)
        total -= np.float32(2 * 65535)
        total *= np.float32(3**0.5 / 65536)
        return total


def find(spec: DataSpec, places: Places) -> Source:  # noqa: ARG001 (it is looked for nowhere)
    """As many images as a study asks for."""
    return source(spec.train_samples, spec.test_samples, spec.synthetic_seed)


def source(train: int, test: int, seed: int) -> Source:
    """`train` and `test` images drawn from `seed`, cycling through the ten classes."""

    def decode(preprocessing: Preprocessing) -> Raw:
        parts = [draw(np.arange(count), seed=seed, split=split) for split, count in enumerate((train, test))]
        splits = [Split(preprocessing.arrange(images), labels) for images, labels in parts]
        return Raw(GARMENTS, splits[0], test=splits[1])

    identity = f"version {VERSION}, seed {seed}, {train} and {test} images"
    return Source(
        "synthetic",
        identity,
        f"drawn by niwaki, seed {seed}",
        decode,
        synthetic=True,
        train_images=train,
        has_test=True,
    )


def draw(images: np.ndarray, *, seed: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Images by number, uint8 (N, 28, 28), and their labels, int64 (N,): number i shows class i mod 10.

    The same number, seed and split (0: train, 1: test) give the same image, whatever else is drawn with it.
    """
    labels = (images % len(GARMENTS)).astype(np.int64)
    pixels = np.empty((len(images), *GARMENT_SIZE), dtype=np.uint8)
    for label, name in enumerate(GARMENTS):
        members = np.flatnonzero(labels == label)
        for at in range(0, len(members), AT_ONCE):
            chunk = members[at : at + AT_ONCE]
            pixels[chunk] = _draw_class(name, Dice(seed, split, images[chunk]))
    return pixels, labels


def _draw_class(name: str, dice: Dice) -> np.ndarray:
    plane = _posed(dice, mirrored=name in ("Sandal", "Sneaker", "Ankle boot"))
    bright = _painted(DRAWN[name](plane, dice), plane, dice)
    bright += NOISE * dice.between(0.2, 1) * dice.grain(bright.shape[1]) * (bright > 0.02)
    grey: np.ndarray = np.rint(np.clip(bright, 0, 1) * 255).astype(np.uint8)
    return grey.reshape(-1, *GARMENT_SIZE)


def _posed(dice: Dice, *, mirrored: bool) -> Plane:
    """The coordinates of the pixels as seen from a garment that was moved, turned, sheared and scaled."""
    height, width = GARMENT_SIZE
    rows, columns = np.divmod(np.arange(height * width), width)
    x = ((columns - (width - 1) / 2) / (width / 2)).astype(np.float32)[None] - dice.between(-0.1, 0.1)
    y = ((rows - (height - 1) / 2) / (height / 2)).astype(np.float32)[None] - dice.between(-0.1, 0.1)
    turn = dice.between(-0.16, 0.16).astype(np.float64)  # sine and cosine in float64, rounded: the same everywhere
    cos, sin = np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)
    x, y = cos * x + sin * y, cos * y - sin * x
    x = x + dice.between(-0.1, 0.1) * y
    if mirrored:
        x = np.where(dice.chance(0.15), -x, x)
    return Plane(x / dice.between(0.8, 1.1), y / dice.between(0.82, 1.05))


def _painted(garment: Garment, plane: Plane, dice: Dice) -> np.ndarray:
    """Brightness from 0 to 1: the cloth's grey with a pattern and light from one side, then the details."""
    cloth = dice.between(0.3, 0.95) * _pattern(plane, dice)
    cloth = cloth * (1 + dice.between(-0.25, 0.25) * plane.x + dice.between(-0.2, 0.2) * plane.y)
    for shape, tone in garment.details:
        cloth = cloth * (1 + _cover(shape) * (tone - 1))
    bright: np.ndarray = cloth * _cover(garment.outline)
    return bright


def _pattern(plane: Plane, dice: Dice) -> np.ndarray:
    """Plain cloth, or stripes across, along or at an angle: triangle waves around 1."""
    across, along = dice.between(-1, 1), dice.between(-1, 1)
    strength = np.where(dice.chance(0.4), dice.between(0.1, 0.4), 0).astype(np.float32)
    phase = (across * plane.x + along * plane.y) * dice.between(2, 5) + dice.between(0, 1)
    wave = np.abs(phase - np.floor(phase) - np.float32(0.5)) * 4 - 1
    pattern: np.ndarray = 1 + strength * wave
    return pattern


def _cover(shape: np.ndarray) -> np.ndarray:
    """How much of each pixel a shape covers: its edge is one pixel wide."""
    covered: np.ndarray = np.clip(shape * np.float32(GARMENT_SIZE[1] / 2) + np.float32(0.5), 0, 1)
    return covered


def _mix(value: np.ndarray) -> np.ndarray:
    value = value + GOLDEN
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = value ^ (value >> np.uint64(31))
    return mixed
