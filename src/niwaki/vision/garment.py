"""Which cells are the garment: threshold, shadow, connected parts, the heaviest one and what belongs to it.

Part of the reference: NumPy, integers only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.vision.background import Array

OTSU = {1: 1, -1: 4}  # eighths of Otsu's threshold: dark things on a bright ground have shadows beside them
SHADOW = 12  # cells: the widest shadow that is removed
STEEP = 4  # over four cells, a quarter of the contrast is a slope
SHARP = 2  # a garment has at least half as many steep cells as outline cells; usually, six times as many
REACH = 2  # cells: parts within twice this distance are connected
NEAR, SHARE = 4, 20  # a part belongs to the heaviest one within a quarter of its side, with a twentieth of its mass
FEWEST = 9  # cells of a garment
THINNEST = 20  # a garment's area is at least a 20th of the square of its longest side: a cable or a joint is none


@dataclass(frozen=True)
class Box:
    """Cells; the last column and row included."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top + 1

    @property
    def longest(self) -> int:
        """The longer side."""
        return max(self.width, self.height)


@dataclass(frozen=True, eq=False)
class Garment:
    """The cells of the garment."""

    mask: Array
    """bool (rows, columns): slightly wider than the garment."""
    box: Box
    polarity: int
    """1: brighter than its background, -1: darker."""
    contrast: int
    """Grey levels."""


@dataclass(frozen=True)
class Part:
    """A connected part of the mask: its number there, and the marked cells in it."""

    number: int
    area: int
    mass: int
    box: Box


def find_garment(difference: Array, least: int) -> Garment | None:
    """The garment among the cells; None if nothing garment-like differs by more than `least`."""
    brighter, darker = (int((side * difference - least).clip(0).sum()) for side in (1, -1))
    polarity = 1 if brighter >= darker else -1
    away = polarity * difference
    marked = away > max(least, otsu(away.clip(0) >> 4) * 16 * OTSU[polarity] // 8)
    soft = blur(away)
    if polarity < 0:
        marked = without_shadow(marked, away, soft)
    labels, count = label(widen(marked, REACH))
    chosen = join(measure(labels, count, marked, away))
    area, mass = sum(part.area for part in chosen), sum(part.mass for part in chosen)
    if area < FEWEST:
        return None
    boxes = [part.box for part in chosen]
    box = Box(*(f(getattr(b, side) for b in boxes) for f, side in zip((min, min, max, max), _SIDES, strict=True)))
    mask = np.isin(labels, [part.number for part in chosen])
    if area * THINNEST < box.longest**2 or not is_sharp(mask & marked, soft, mass // area):
        return None
    return Garment(mask, box, polarity, mass // area >> 4)


_SIDES = ("left", "top", "right", "bottom")


def otsu(values: Array) -> int:
    """The threshold that best splits values of 0 to 255: those above it are the upper class.

    Otsu, A threshold selection method from gray-level histograms, 1979. 0 if all values are equal.
    """
    counts = np.bincount(values.ravel(), minlength=256)
    total, weighted = int(counts.sum()), int((counts * np.arange(256)).sum())
    below = sum_below = best = chosen = 0
    for value in range(255):
        below += int(counts[value])
        sum_below += value * int(counts[value])
        spread = below * (total - below) // total
        if spread == 0:
            continue
        distance = weighted * below // total - sum_below
        score = distance * distance // spread
        if score > best:
            best, chosen = score, value
    return chosen


def without_shadow(marked: Array, away: Array, soft: Array) -> Array:
    """Remove marked cells at the outside that are faint and smooth, as shadows are and cloth is not.

    Faint: less than half as far from the background as the mean. Smooth: over four cells they change by less than a
    quarter of it. `soft` are the distances, blurred. At most SHADOW cells are removed from each outside.
    """
    if not marked.any():
        return marked
    mean = int(away[marked].sum()) // int(marked.sum())
    firm = (soft >= mean // 2) | (slopes(soft) >= mean // STEEP)
    for _ in range(SHADOW):
        marked = marked & (firm | inner(marked))
    return marked


def is_sharp(marked: Array, soft: Array, mean: int) -> bool:
    """Whether there are enough steep cells for the outline: the edges of cloth are steep, folds and stains are not."""
    steep = int((marked & (slopes(soft) >= mean // STEEP)).sum())
    return steep * SHARP >= int((marked & ~inner(marked)).sum())


def inner(marked: Array) -> Array:
    """Cells whose four neighbours are marked; beyond the frame, cells equal the edge."""
    wide = np.pad(marked, 1, mode="edge")
    return np.asarray(wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:])


def slopes(soft: Array) -> Array:
    """How much the values change over four cells, along rows or columns, whichever is more; edges are repeated."""
    wide = np.pad(soft, 2, mode="edge")
    across, down = abs(wide[2:-2, 4:] - wide[2:-2, :-4]), abs(wide[4:, 2:-2] - wide[:-4, 2:-2])
    return np.asarray(np.maximum(across, down))


def blur(values: Array) -> Array:
    """Averages with the weights 1, 2, 1 along rows and columns, rounded down; edges are repeated."""
    wide = np.pad(values, 1, mode="edge")
    rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return np.asarray((rows[:-2] + 2 * rows[1:-1] + rows[2:]) >> 4)


def widen(mask: Array, reach: int) -> Array:
    """The mask and everything within `reach` cells of it, along rows and columns."""
    height, width = mask.shape
    for axis, size in ((1, width), (0, height)):
        wide = np.pad(mask, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)])
        mask = np.any([wide.take(range(k, k + size), axis) for k in range(2 * reach + 1)], 0)
    return mask


def label(mask: Array) -> tuple[Array, int]:
    """The connected parts of a mask (eight neighbours): their numbers, 1, 2, … by their first cells, and how many.

    Rosenfeld and Pfaltz, Sequential operations in digital picture processing, 1966, with runs of cells.
    """
    labels = np.zeros(mask.shape, np.int64)
    parents = [0]
    previous: list[tuple[int, int, int]] = []
    for y, row in enumerate(mask):
        changes = np.flatnonzero(np.diff(row.astype(np.int8), prepend=0, append=0))
        runs = []
        for begin, end in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
            touching = {_root(parents, k) for first, last, k in previous if first <= end and begin <= last}
            number = min(touching, default=len(parents))
            if not touching:
                parents.append(number)
            for other in touching:
                parents[other] = number
            labels[y, begin:end] = number
            runs.append((begin, end, number))
        previous = runs
    roots = np.array([_root(parents, k) for k in range(len(parents))])
    kept, numbers = np.unique(roots, return_inverse=True)
    return numbers[labels], len(kept) - 1


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        number = parents[number]
    return number


def measure(labels: Array, count: int, marked: Array, away: Array) -> list[Part]:
    """Each part of the mask: the number of marked cells, their mass, their box."""
    parts = []
    for number in range(1, count + 1):
        rows, columns = np.nonzero((labels == number) & marked)
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
        parts.append(Part(number, len(rows), int(away[rows, columns].sum()), box))
    return parts


def join(parts: list[Part]) -> list[Part]:
    """The heaviest part (the first in a tie), and the parts that are heavy enough and near it."""
    if not parts:
        return []
    main = max(parts, key=lambda part: (part.mass, -part.number))
    gap = main.box.longest // NEAR
    return [
        part
        for part in parts
        if part is main or (part.mass * SHARE >= main.mass and distance(part.box, main.box) <= gap)
    ]


def distance(a: Box, b: Box) -> int:
    """Cells between two boxes, along rows or columns, whichever is more; 0 or less if they overlap."""
    return max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom)
