"""Whole scenes: a ground, perhaps a garment or other things on it, light, a camera; and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from niwaki.scenes import backgrounds, clutter
from niwaki.scenes.backgrounds import Family
from niwaki.scenes.camera import Camera
from niwaki.scenes.fields import Field, Size, shift, wide_blur
from niwaki.scenes.garment import Enlarged, Placed, place, with_texture

VERSION = 1  # version of the scenes: raised whenever a pixel changes
QVGA, VGA = (240, 320), (480, 640)
FLICKER = 0.03  # flicker of the light between frames, at most
EMPTY = (0, 2)  # of five scenes without a garment: those with nothing at all in them
FAMILIES: dict[Family, int] = {"tuning": 0, "figure": 1}

Content = Literal["garment", "empty", "clutter"]


@dataclass(frozen=True, eq=False)
class Scene:
    """One photograph, and the truth about it."""

    frame: np.ndarray  # uint8 (height, width)
    content: Content
    background: str
    camera: Camera
    things: tuple[str, ...] = ()  # things in it that are not garments
    label: int | None = None
    box: tuple[int, int, int, int] | None = None  # of the garment: x, y, width, height
    polarity: int = 0  # of the garment: +1 brighter than the ground, −1 darker
    placed: Placed | None = None
    _before: Field = field(
        default_factory=lambda: np.empty((0, 0), dtype=np.float32), repr=False
    )  # the light without what was added later
    _path: tuple[int, ...] = ()

    def learned(self, count: int = 8) -> np.ndarray:
        """Frames of the place before anything was put there: other noise, a little flicker. uint8 (n, h, w)."""
        rng = np.random.default_rng((*self._path, 1))
        return np.stack([self.camera.frame(self._before, rng, _flicker(rng)) for _ in range(count)])

    def without_pixels(self) -> Scene:
        """The same without its frame, to save memory: it can no longer be learned."""
        return replace(self, frame=self.frame[:0].copy(), _before=self._before[:0].copy())


def garment_scene(
    pixels: np.ndarray, label: int, number: int, *, family: Family, seed: int = 0, size: Size = QVGA
) -> Scene:
    """Scene `number` of a family and seed, with this garment (uint8 (H, W), bright on black) in it."""
    path = (seed, FAMILIES[family], 0, number)
    rng = np.random.default_rng((*path, 0))
    polarity = -1 if rng.random() < 0.5 else 1
    name, texture = _background(rng, family, size)
    camera = Camera.draw(rng)
    level = rng.uniform(0.45, 0.92) if polarity < 0 else rng.uniform(0.04, 0.3)
    placed = Placed(rng.uniform(0.35, 0.85), rng.uniform(-15, 15), rng.random(), rng.random())
    enlarged = place(pixels, placed, size)
    ground = np.float32(level) * texture
    exposed = camera.expose(_laid(rng, ground, enlarged, level, polarity))
    return Scene(
        frame=camera.frame(exposed, rng, _flicker(rng)),
        content="garment",
        background=name,
        label=label,
        box=enlarged.box,
        polarity=polarity,
        placed=placed,
        camera=camera,
        _before=camera.expose(ground),
        _path=path,
    )


def bare_scene(number: int, *, family: Family, seed: int = 0, size: Size = QVGA) -> Scene:
    """Scene `number` of a family and seed without a garment: nothing on the ground, or other things."""
    path = (seed, FAMILIES[family], 1, number)
    rng = np.random.default_rng((*path, 0))
    name, texture = _background(rng, family, size)
    camera = Camera.draw(rng)
    ground = np.float32(rng.uniform(0.04, 0.92)) * texture
    kinds = [] if number % 5 in EMPTY else _kinds(rng, family)
    fixed = rng.random() < 0.25  # the things were there when the scene was learned
    filled = ground
    for kind in kinds:
        filled = _put(rng, filled, clutter.KINDS[family][kind](rng, size))
    exposed = camera.expose(filled)
    return Scene(
        frame=camera.frame(exposed, rng, _flicker(rng)),
        content="clutter" if kinds else "empty",
        background=name,
        things=tuple(kinds),
        camera=camera,
        _before=exposed if fixed else camera.expose(ground),
        _path=path,
    )


def _background(rng: np.random.Generator, family: Family, size: Size) -> tuple[str, Field]:
    kinds = backgrounds.KINDS[family]
    name = list(kinds)[rng.integers(len(kinds))]
    return name, np.maximum(kinds[name](rng, size), np.float32(0.05))


def _kinds(rng: np.random.Generator, family: Family) -> list[str]:
    """One thing, or several."""
    known = list(clutter.KINDS[family])
    count = 1 if rng.random() < 0.6 else int(rng.integers(2, 5))
    return [known[rng.integers(len(known))] for _ in range(count)]


def _laid(rng: np.random.Generator, ground: Field, garment: Enlarged, level: float, polarity: int) -> Field:
    """The garment on its ground, with a soft shadow around it: reflectance."""
    cloth = with_texture(garment.cloth ** np.float32(rng.uniform(0.85, 1.2)), rng, rng.uniform(0, 0.05))
    if polarity < 0:
        reflected = np.float32(level) * (1 - np.float32(rng.uniform(0.6, 0.95)) * cloth)
    else:
        reflected = np.float32(level) + np.float32(rng.uniform(0.65, 0.95) - level) * cloth
    lit = _shadow(rng, ground, garment.mask)
    return lit + garment.mask * (reflected - lit)


def _put(rng: np.random.Generator, ground: Field, things: list[clutter.Thing]) -> Field:
    """Things on their ground, the first with a shadow."""
    for order, thing in enumerate(things):
        lit = _shadow(rng, ground, thing.mask) if order == 0 else ground
        reflected: Field = np.maximum(thing.reflectance, np.float32(0))
        ground = lit + thing.mask * (reflected - lit)
    return ground


def _shadow(rng: np.random.Generator, ground: Field, mask: Field) -> Field:
    """The ground beside the things on it, darker where less light arrives."""
    height = ground.shape[0]
    down, across = (round(rng.uniform(-0.03, 0.03) * height) for _ in range(2))
    strength, soft = np.float32(rng.uniform(0, 0.4)), rng.uniform(0.01, 0.05) * height
    shade = wide_blur(shift(mask, down, across), soft)
    return ground * (1 - strength * np.clip(shade, 0, 1))


def _flicker(rng: np.random.Generator) -> float:
    return float(rng.uniform(1 - FLICKER, 1 + FLICKER))
