"""Frames of many kinds, as series: some to learn the empty scene from, some to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from niwaki.scenes.scene import bare_scene, garment_scene
from niwaki.vision.finding import Finding
from niwaki.vision.library import compile_vision
from niwaki.vision.reference import Reference


@dataclass(frozen=True, eq=False)
class Series:
    """Frames of one size, in order."""

    look: list[np.ndarray]
    learn: list[np.ndarray] = field(default_factory=list)
    forget: bool = False
    inner: tuple[int, int] = (28, 28)

    def run(self, vision) -> list[Finding]:
        """The findings of a vision for this size on the frames."""
        for frame in self.learn:
            vision.learn(frame)
        if self.forget:
            vision.forget()
        return [vision.find(frame) for frame in self.look]

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.look[0].shape
        return width, height


def as_tuple(finding: Finding) -> tuple:
    return (*finding.__dict__.values(),)[:-1]


def check_same(found: list[Finding], expected: list[Finding]) -> None:
    assert [as_tuple(finding) for finding in found] == [as_tuple(finding) for finding in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)


def speckled(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A frame of noise about one level, or of pure noise."""
    if rng.random() < 0.2:
        return rng.integers(0, 256, size, dtype=np.uint8)
    return np.clip(rng.normal(rng.integers(0, 256), rng.integers(0, 20), size), 0, 255).astype(np.uint8)


def random_series(rng: np.random.Generator, longest: int = 150) -> Series:
    """Small frames of noise, most of them with a few boxes in them; perhaps with a scene; a picture of any size."""
    size = tuple(int(side) for side in rng.integers(16, longest, 2))
    look = []
    for _ in range(2):
        frame = speckled(rng, size)
        for _ in range(rng.integers(0, 4)):
            top, left = (int(rng.integers(0, side)) for side in size)
            frame[top : top + rng.integers(1, size[0]), left : left + rng.integers(1, size[1])] = rng.integers(0, 256)
        look.append(frame)
    learn = [speckled(rng, size) for _ in range(rng.integers(0, 3))]
    if learn and rng.random() < 0.5:  # a scene that fits
        look = [np.clip(frame // 2 + learn[0] // 2, 0, 255).astype(np.uint8) for frame in look]
    return Series(look, learn, rng.random() < 0.1, tuple(int(side) for side in rng.integers(1, 40, 2)))


SIZES = (
    (16, 16), (16, 2000), (2000, 16), (240, 320), (241, 321), (700, 501),
    (20, 4096), (4096, 20), (31, 2500), (2478, 31), (32, 2500), (2500, 33),  # cells of one pixel, cells of two
)  # fmt: skip


def extremes() -> Iterator[Series]:
    """Sizes and levels at their limits."""
    for height, width in SIZES:
        rows, columns = np.mgrid[:height, :width]
        light = (60 + 60 * rows // height + 40 * columns // width).astype(np.uint8)
        with_box = light.copy()
        with_box[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 250
        band = light.copy()
        band[:, width // 3 : width // 2] = 250
        chess = ((rows + columns) % 2 * 255).astype(np.uint8)
        flat = [np.full((height, width), level, np.uint8) for level in (0, 128, 255)]
        yield Series([with_box, 255 - with_box, band, 255 - band, light, chess, *flat])
        yield Series([with_box, 255 - with_box, band, np.minimum(light, 255 - band), chess, *flat], [light, light // 2])
    yield Series([flat[0], flat[2]], [flat[2]] * 2, inner=(256, 256))
    yield Series([with_box], inner=(1, 1))


def drawn_garment(rng: np.random.Generator) -> np.ndarray:
    """Something like a shirt: 28 × 28, bright on black."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[:, 8:20] = rng.integers(120, 256, (28, 12))
    pixels[2:9, 1:27] = rng.integers(60, 200)
    return pixels


def scene_series() -> Iterator[Series]:
    """Photographs that niwaki makes, with and without the empty scene."""
    rng = np.random.default_rng(4)
    scenes = [garment_scene(drawn_garment(rng), 0, number, family="tuning") for number in range(5)]
    for scene in [*scenes, *(bare_scene(number, family="tuning") for number in range(4))]:
        yield Series([scene.frame], list(scene.learned(3)))
        yield Series([scene.frame])


@pytest.fixture(scope="session")
def every_series() -> list[tuple[Series, list[Finding]]]:
    """Series of all kinds, each with what the reference says."""
    rng = np.random.default_rng(0)
    series = [*(random_series(rng) for _ in range(60)), *extremes(), *scene_series()]
    return [(one, one.run(Reference(*one.size, one.inner))) for one in series]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vision, compiled for this machine."""
    return compile_vision(tmp_path_factory.mktemp("vision") / "libvision.so")
