"""The surfaces under garments: reflectance around 1, float32 (height, width), multiplied with the ground's own.

Each kind belongs to one family only: `tuning` for whatever is tuned or calibrated, `figure` for published results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from niwaki.scenes.fields import Field, Size, clouds, grid, layered

Family = Literal["tuning", "figure"]
Draw = Callable[[np.random.Generator, Size], Field]


def plain(rng: np.random.Generator, size: Size) -> Field:
    """A sheet of card: almost uniform."""
    return 1 + np.float32(rng.uniform(0, 0.01)) * clouds(rng, size, size[0] / 4)


def gradient(rng: np.random.Generator, size: Size) -> Field:
    """A ground that gets lighter towards one side, linearly or curved."""
    rows, columns = grid(size)
    turn, bend = rng.uniform(0, 2 * np.pi), np.float32(rng.uniform(-0.3, 0.3))
    ramp = np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows
    return 1 + np.float32(rng.uniform(0.1, 0.4)) * (ramp + bend * ramp * ramp)


def wood(rng: np.random.Generator, size: Size) -> Field:
    """Boards: long fibres, growth rings, sometimes the joint of two boards."""
    height, width = size
    lengthways = size if rng.random() < 0.5 else (width, height)
    fibre = clouds(rng, lengthways, (height / 120, height / 2)) * np.float32(rng.uniform(0.01, 0.04))
    rows, _ = grid(lengthways)
    wave = rows * np.float32(rng.uniform(8, 25)) + clouds(rng, lengthways, (height / 2, height)) * np.float32(0.8)
    rings = np.sin(wave * np.float32(2)) * np.float32(rng.uniform(0.01, 0.06))
    board = 1 + fibre + rings
    pitch = rng.uniform(0.3, 0.9)
    place = (rows / np.float32(pitch) + np.float32(rng.random())) % 1
    joint = np.clip(1 - np.abs(place - np.float32(0.5)) * np.float32(pitch * height / 1.5), 0, 1)
    board = board * (1 - np.float32(rng.uniform(0, 0.3)) * joint)
    return board if lengthways == size else np.ascontiguousarray(board.T)


def cloth(rng: np.random.Generator, size: Size) -> Field:
    """A weave of threads in two directions, with soft folds."""
    rows, columns = grid(size)
    threads = np.float32(rng.uniform(60, 220))
    turn = rng.uniform(-0.3, 0.3)
    u = np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows
    v = np.float32(np.cos(turn)) * rows - np.float32(np.sin(turn)) * columns
    weave = np.sin(u * threads) * np.sin(v * threads) * np.float32(rng.uniform(0.01, 0.06))
    folds = clouds(rng, size, (size[0] / 1.5, size[0] / 4)) * np.float32(rng.uniform(0.01, 0.07))
    return 1 + weave + folds


def mottled(rng: np.random.Generator, size: Size) -> Field:
    """Stains of every size: an old table, a pavement."""
    grains = [size[0] / 2, size[0] / 5, size[0] / 12, size[0] / 40]
    return 1 + layered(rng, size, grains, 0.7) * np.float32(rng.uniform(0.02, 0.08))


def grainy(rng: np.random.Generator, size: Size) -> Field:
    """Fine grain alone: sandpaper, plaster."""
    return 1 + clouds(rng, size, size[0] / 200) * np.float32(rng.uniform(0.02, 0.08))


def lamp(rng: np.random.Generator, size: Size) -> Field:
    """A plain ground under a lamp: a bright spot that falls off."""
    rows, columns = grid(size)
    y, x = rows - np.float32(rng.uniform(-0.5, 0.5)), columns - np.float32(rng.uniform(-0.6, 0.6))
    reach = np.float32(rng.uniform(0.5, 1.1))
    spot = 1 / (1 + (x * x + y * y) / (reach * reach))
    ground: Field = 1 + np.float32(rng.uniform(0.2, 0.6)) * (spot - spot.mean())
    return ground


def tiles(rng: np.random.Generator, size: Size) -> Field:
    """Tiles with joints, each tile a little different."""
    rows, columns = grid(size)
    turn, pitch = rng.uniform(-0.4, 0.4), np.float32(rng.uniform(0.2, 0.6))
    u = (np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows) / pitch + np.float32(rng.uniform(8, 9))
    v = (np.float32(np.cos(turn)) * rows - np.float32(np.sin(turn)) * columns) / pitch + np.float32(rng.uniform(8, 9))
    which = rng.standard_normal((32, 32), dtype=np.float32)[v.astype(np.intp) % 32, u.astype(np.intp) % 32]
    edge = np.minimum(np.minimum(u % 1, 1 - u % 1), np.minimum(v % 1, 1 - v % 1)) * pitch * np.float32(size[0])
    joint = np.clip(np.float32(rng.uniform(1, 2.5)) * np.float32(size[0] / 240) - edge + 1, 0, 1)
    sign = -1 if rng.random() < 0.7 else 1
    ground: Field = 1 + which * np.float32(rng.uniform(0, 0.03)) + joint * np.float32(sign * rng.uniform(0.05, 0.25))
    return ground


def marble(rng: np.random.Generator, size: Size) -> Field:
    """Veins that wander over a polished slab."""
    rows, columns = grid(size)
    turn = rng.uniform(0, np.pi)
    wander = layered(rng, size, [size[0] / 2, size[0] / 5, size[0] / 12], 0.5)
    across = np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows
    phase = across * np.float32(rng.uniform(3, 9)) + wander * np.float32(0.6)
    veins = 1 - np.abs(np.sin(phase))
    veins = veins * veins * veins
    ground: Field = 1 - veins * np.float32(rng.uniform(0.04, 0.18)) + wander * np.float32(rng.uniform(0.005, 0.02))
    return ground


def concrete(rng: np.random.Generator, size: Size) -> Field:
    """A floor of concrete: clouds, grain, dark pores."""
    base = layered(rng, size, [size[0] / 3, size[0] / 60], 0.8) * np.float32(rng.uniform(0.02, 0.05))
    pores = np.clip(clouds(rng, size, size[0] / 90) - np.float32(rng.uniform(1.9, 2.4)), 0, 1)
    ground: Field = 1 + base - pores * np.float32(rng.uniform(0.1, 0.4))
    return ground


def carpet(rng: np.random.Generator, size: Size) -> Field:
    """Loops of wool, lighter and darker in stripes as it was brushed."""
    loops = clouds(rng, size, size[0] / rng.uniform(60, 140)) * np.float32(rng.uniform(0.03, 0.09))
    stripes = clouds(rng, size, (size[0] * 2.0, size[0] / rng.uniform(3, 8))) * np.float32(rng.uniform(0, 0.05))
    return 1 + loops + stripes


def crumpled(rng: np.random.Generator, size: Size) -> Field:
    """A bed sheet or paper with creases: ridges between smooth planes."""
    ridges = np.zeros(size, dtype=np.float32)
    for grain, weight in ((size[0] / 2.5, 1.0), (size[0] / 6, 0.5)):
        ridges += np.float32(weight) * np.abs(clouds(rng, size, grain))
    ground: Field = 1 + (ridges - ridges.mean()) * np.float32(rng.uniform(0.02, 0.1))
    return ground


KINDS: dict[Family, dict[str, Draw]] = {
    "tuning": {
        "plain": plain, "gradient": gradient, "wood": wood, "cloth": cloth, "mottled": mottled, "grainy": grainy,
    },
    "figure": {
        "lamp": lamp, "tiles": tiles, "marble": marble, "concrete": concrete, "carpet": carpet, "crumpled": crumpled,
    },
}  # fmt: skip
