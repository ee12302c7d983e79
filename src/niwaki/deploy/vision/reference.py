"""Vision in NumPy, integers only: what the C must equal, bit for bit.

Brightness is kept in 16ths of a grey level. `cells` are the frame averaged over squares of pixels, few enough to be
looked through quickly; `blocks` are 16 × 16 averages of the cells, on which the background is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.deploy.vision.finding import OUTCOMES, Finding
from niwaki.errors import NiwakiError

MIN_SIDE, MAX_SIDE, MAX_INNER, MAX_LEARNED = 16, 4096, 256, 256
MOST_CELLS = 320 * 240
WHITE = 255 * 16
BLOCKS = 16  # along each side
FLOOR = 6 * 16  # the least difference that counts as one
NOISE = 6  # times the median difference along the border
OTSU = (3, 8)  # part of Otsu's threshold
REACH = 2  # cells: parts of a garment that lie within twice this are one
NEAR, SHARE = 4, 20  # a part joins the main one within a quarter of its side, with a twentieth of its mass
FEWEST = 9  # cells of a garment
BRIGHT = 95  # per cent of the garment's pixels that are not brighter than white

Array = np.ndarray


def divide(value: int, by: int) -> int:
    """`value` / `by`, `by` > 0, to the nearest integer; halves go up."""
    return (2 * value + by) // (2 * by)


@dataclass(frozen=True)
class Box:
    """Cells left to right, top to bottom; the last ones included."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1


class Reference:
    """The same calls as `library.Vision`, in NumPy."""

    def __init__(self, width: int, height: int, inner: tuple[int, int] = (28, 28)) -> None:
        if not (MIN_SIDE <= min(width, height) and max(width, height) <= MAX_SIDE):
            raise NiwakiError(f"frame {width}×{height}: each side has {MIN_SIDE} to {MAX_SIDE} pixels")
        if not (1 <= min(inner) and max(inner) <= MAX_INNER):
            raise NiwakiError(f"picture {inner[1]}×{inner[0]}: each side has 1 to {MAX_INNER} pixels")
        self.width, self.height, self.inner = width, height, inner
        self.factor = next(f for f in range(1, MAX_SIDE) if (width // f) * (height // f) <= MOST_CELLS)
        self.shape = (height // self.factor, width // self.factor)
        self.forget()

    def forget(self) -> None:
        """Forget the scene."""
        self.learned = 0
        self.scene = np.zeros((self.height, self.width), np.int64)
        self.scene_cells = np.zeros(self.shape, np.int64)

    def learn(self, frame: Array) -> int:
        """Take in one frame of the empty scene; how many there are now."""
        if self.learned < MAX_LEARNED:
            self.scene += frame
            self.scene_cells += self._sum_cells(frame)
            self.learned += 1
        return self.learned

    def find(self, frame: Array) -> Finding:
        """The garment in the frame, or why there is none."""
        background = self._background(self._cells(frame))
        part = find_part(background.difference, background.threshold)
        if part is None:
            return self._finding("nothing", background)
        box = self._pixels(part.box)
        outcome = self._judge(part.box, box)
        picture = self._picture(frame, background, part) if outcome == "found" else None
        return self._finding(outcome, background, box, part, picture)

    def _finding(
        self, outcome: str, background: Background, box: tuple[int, int, int, int] = (0, 0, 0, 0),
        part: Part | None = None, picture: Array | None = None,
    ) -> Finding:  # fmt: skip
        empty = np.zeros(self.inner, np.uint8)
        polarity, contrast = (part.polarity, part.contrast) if part else (0, 0)
        return Finding(outcome, box, polarity, contrast, background.gain > 0, empty if picture is None else picture)

    def _sum_cells(self, frame: Array) -> Array:
        """Sums over squares of `factor` pixels; what is left over at the right and at the bottom is not looked at."""
        f, (rows, columns) = self.factor, self.shape
        whole = frame[: rows * f, : columns * f].astype(np.int64)
        return whole.reshape(rows, f, columns, f).sum((1, 3))

    def _cells(self, frame: Array) -> Array:
        """Means over cells, in 16ths."""
        return (self._sum_cells(frame) * divide(1 << 20, self.factor**2) + 32768) >> 16

    def _background(self, cells: Array) -> Background:
        plain = fit_background(cells, cells, 0)
        if not self.learned:
            return plain
        area = self.factor**2 * self.learned
        scene = (self.scene_cells * 16 + area // 2) // area
        gain = fit_gain(to_blocks(cells), to_blocks(scene))
        seen = fit_background(cells, cells - ((scene * gain + 2048) >> 12), gain)
        return seen if 4 * seen.noise <= 5 * plain.noise else plain

    def _pixels(self, box: Box) -> tuple[int, int, int, int]:
        f = self.factor
        return box.left * f, box.top * f, box.width * f, box.height * f

    def _judge(self, cells: Box, box: tuple[int, int, int, int]) -> str:
        rows, columns = self.shape
        across = cells.left == 0 and cells.right == columns - 1
        down = cells.top == 0 and cells.bottom == rows - 1
        if across or down:
            return "too_large"
        if max(box[2:]) < max(*self.inner, min(self.width, self.height) // 8):
            return "too_small"
        return "found"

    def _picture(self, frame: Array, background: Background, part: Part) -> Array:
        x, y, width, height = self._pixels(part.box)
        pixels = frame[y : y + height, x : x + width].astype(np.int64) * 16
        f = self.factor
        cells = np.s_[part.box.top : part.box.bottom + 1, part.box.left : part.box.right + 1]
        expected = background.surface[cells].repeat(f, 0).repeat(f, 1)
        if background.gain:
            scale = scene_scale(background.gain, self.learned)
            expected = expected + ((self.scene[y : y + height, x : x + width] * scale) >> 18)
        away = part.polarity * (pixels - expected.clip(0, WHITE))
        away = np.where(part.mask[cells].repeat(f, 0).repeat(f, 1), away, 0)
        return stretch(place(shrink(away, self.inner), self.inner), background.floor)


def scene_scale(gain: int, learned: int) -> int:
    """What a sum over learned frames is multiplied with to give 2^18 times the mean in 16ths."""
    return (gain * 1024 + learned // 2) // learned


@dataclass(frozen=True, eq=False)
class Background:
    """What the frame would show without the garment, and how the cells differ from it."""

    difference: Array  # int64 (rows, columns)
    surface: Array  # what is added to the scene, or stands alone
    gain: int  # by which the scene is brighter now, in 4096ths; 0: not compared with it
    noise: int  # the median difference along the border

    @property
    def threshold(self) -> int:
        """The least difference that is more than noise."""
        return max(FLOOR, NOISE * self.noise)

    @property
    def floor(self) -> int:
        return self.threshold // 2


def edges(count: int) -> Array:
    """Where the blocks begin and end: (17,) cells."""
    return np.arange(BLOCKS + 1) * count // BLOCKS


def to_blocks(cells: Array) -> Array:
    """Means of the cells in 16 × 16 blocks, rounded down."""
    rows, columns = edges(cells.shape[0]), edges(cells.shape[1])
    sums = np.add.reduceat(np.add.reduceat(cells, rows[:-1], 0), columns[:-1], 1)
    return sums // np.outer(np.diff(rows), np.diff(columns))


_RING = np.ones((BLOCKS, BLOCKS), bool)
_RING[1:-1, 1:-1] = False


def fit_gain(blocks: Array, scene: Array) -> int:
    """By how much the frame is brighter than the scene, in 4096ths, between a half and twice: the median of the border."""
    usable = _RING & (scene >= 8 * 16)
    ratios = np.sort(blocks[usable] * 4096 // scene[usable])
    return int(ratios[len(ratios) // 2].clip(2048, 8192)) if len(ratios) >= 15 else 4096


def fit_background(cells: Array, rest: Array, gain: int) -> Background:
    """Fit a smooth surface to `rest`: the cells, or what the scene does not explain of them."""
    surface = evaluate(fit_surface(to_blocks(rest)), *cells.shape)
    base = cells - rest
    difference = cells - (base + surface).clip(0, WHITE)
    rows, columns = edges(cells.shape[0]), edges(cells.shape[1])
    ring = np.ones(cells.shape, bool)
    ring[rows[1] : rows[-2], columns[1] : columns[-2]] = False
    noise = int(np.sort(abs(difference[ring]))[ring.sum() // 2])
    return Background(difference, surface, gain, noise)


_X = np.tile(2 * np.arange(BLOCKS) - (BLOCKS - 1), (BLOCKS, 1)).astype(np.int64)
_Y = _X.T
_MEAN = 170  # of x² + y² over the blocks
_BASIS = np.stack([np.ones_like(_X), _X, _Y, _X * _Y, _X * _X + _Y * _Y - _MEAN, _X * _X - _Y * _Y])
_LIMITS = np.array([1 << 21, 1 << 16, 1 << 16, 1 << 12, 1 << 12, 1 << 12])


def fit_surface(blocks: Array) -> Array:
    """Six coefficients in 256ths: 1, x, y, xy, x² + y² - 170, x² - y², where x and y are -15, -13 … 15 at the blocks.

    Blocks far from the surface are taken to be the garment: they are replaced by the surface itself, and the fit is
    repeated (the modified residuals of Huber, Robust Statistics, section 7.8, with rejection instead of clipping).
    """
    border = blocks[_RING]
    start = int(np.sort(border)[len(border) // 2])
    coefficients = np.array([start * 256, 0, 0, 0, 0, 0])
    for seen, terms, repeats in ((_RING, 3, 6), (_RING, 6, 6), (np.ones_like(_RING), 6, 8)):
        norms = (_BASIS[:, seen] ** 2).sum(1)
        for _ in range(repeats):
            residual = blocks - (np.tensordot(coefficients, _BASIS, 1) >> 8)
            middle = int(np.sort(abs(residual[_RING]))[len(border) // 2])
            residual = np.where((abs(residual) <= max(48, 4 * middle)) & seen, residual, 0)
            for k in range(terms):
                coefficients[k] += divide(256 * int((residual * _BASIS[k]).sum()), int(norms[k]))
            coefficients = coefficients.clip(-_LIMITS, _LIMITS)
    return coefficients


def evaluate(coefficients: Array, rows: int, columns: int) -> Array:
    """The surface at every cell: int64 (rows, columns) in 16ths."""
    c = [int(value) for value in coefficients]
    x, y = ((2 * np.arange(n) + 1) * 1024 // n - 1024 for n in (columns, rows))  # 64 to a unit
    x2, y2 = (x * x) >> 8, (y * y) >> 8  # 16 to a unit
    a = c[0] + ((c[2] * y) >> 6) + (((c[4] - c[5]) * y2) >> 4) - c[4] * _MEAN
    b = c[1] + ((c[3] * y) >> 6)
    return (a[:, None] + ((b[:, None] * x) >> 6) + (((c[4] + c[5]) * x2) >> 4)) >> 8


@dataclass(frozen=True, eq=False)
class Part:
    """The cells of the garment."""

    mask: Array  # bool (rows, columns), a little wider than the garment
    box: Box
    polarity: int
    contrast: int  # grey levels


def find_part(difference: Array, least: int) -> Part | None:
    """The garment among the cells; None where nothing differs by more than `least`."""
    brighter, darker = (int((side * difference - least).clip(0).sum()) for side in (1, -1))
    polarity = 1 if brighter >= darker else -1
    away = polarity * difference
    threshold = max(least, otsu(away.clip(0) >> 4) * 16 * OTSU[0] // OTSU[1])
    strong = away > threshold
    if not strong.any():
        return None
    labels, count = label(widen(strong, REACH))
    parts = measure(labels, count, strong, away)
    chosen = join(parts)
    if sum(parts[k].area for k in chosen) < FEWEST:
        return None
    mask = np.isin(labels, [k + 1 for k in chosen])
    inside = mask & strong
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
    return Part(mask, box, polarity, int(away[inside].sum()) // int(inside.sum()) >> 4)


def otsu(values: Array) -> int:
    """The threshold that splits values of 0 to 255 best (Otsu, 1979): those above it are the upper class."""
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


@dataclass
class Component:
    """A connected part of the mask."""

    area: int
    mass: int
    box: Box


def label(mask: Array) -> tuple[Array, int]:
    """Numbers 1, 2, … of the connected parts of a mask (eight neighbours), in the order of their first cells; 0: none."""
    labels = np.zeros(mask.shape, np.int64)
    parents: list[int] = [0]

    def root(a: int) -> int:
        while parents[a] != a:
            a = parents[a]
        return a

    previous: list[tuple[int, int, int]] = []
    for y, row in enumerate(mask):
        changes = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        runs = []
        for begin, end in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
            found = {root(number) for first, last, number in previous if first <= end and begin <= last}
            number = min(found) if found else len(parents)
            if not found:
                parents.append(number)
            for other in found:
                parents[other] = number
            labels[y, begin:end] = number
            runs.append((begin, end, number))
        previous = runs
    roots = np.array([root(number) for number in range(len(parents))])
    order = np.unique(roots)
    return np.searchsorted(order, roots)[labels], len(order) - 1


def widen(mask: Array, reach: int) -> Array:
    """The mask and everything within `reach` cells of it, along rows and columns."""
    wide = mask
    for axis in (0, 1):
        padded = np.pad(wide, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)])
        wide = np.any([np.roll(padded, k, axis) for k in range(-reach, reach + 1)], 0)
        wide = wide[reach:-reach] if axis == 0 else wide[:, reach:-reach]
    return wide


def measure(labels: Array, count: int, strong: Array, away: Array) -> list[Component]:
    parts = []
    for number in range(1, count + 1):
        rows, columns = np.nonzero((labels == number) & strong)
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
        parts.append(Component(len(rows), int(away[rows, columns].sum()), box))
    return parts


def join(parts: list[Component]) -> list[int]:
    """Which components are the garment: the heaviest one, and what is heavy enough and near it."""
    main = max(range(len(parts)), key=lambda k: (parts[k].mass, -k))
    box = parts[main].box
    gap = max(box.width, box.height) // NEAR
    return [
        k
        for k, part in enumerate(parts)
        if k == main or (part.mass * SHARE >= parts[main].mass and distance(part.box, box) <= gap)
    ]


def distance(a: Box, b: Box) -> int:
    """Cells between two boxes, along rows or columns, whichever is more."""
    return max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom)


def overlaps(source: int, target: int) -> Array:
    """How much of each source pixel falls into each target pixel: int64 (target, source); each row sums to `source`."""
    begin, end = np.arange(target)[:, None] * source, (np.arange(target)[:, None] + 1) * source
    place = np.arange(source)[None] * target
    return (np.minimum(end, place + target) - np.maximum(begin, place)).clip(0)


def shrink(values: Array, inner: tuple[int, int]) -> Array:
    """Averages over equal areas, so that the longest side fills the picture."""
    height, width = values.shape
    if width * inner[0] >= height * inner[1]:
        rows, columns = max(1, divide(height * inner[1], width)), inner[1]
    else:
        rows, columns = inner[0], max(1, divide(width * inner[0], height))
    sums = overlaps(height, rows) @ values @ overlaps(width, columns).T
    return (2 * sums + height * width) // (2 * height * width)


def place(values: Array, inner: tuple[int, int]) -> Array:
    """The values in the middle of zeros."""
    out = np.zeros(inner, np.int64)
    top, left = (inner[0] - values.shape[0]) // 2, (inner[1] - values.shape[1]) // 2
    out[top : top + values.shape[0], left : left + values.shape[1]] = values
    return out


def stretch(values: Array, floor: int) -> Array:
    """Grey levels: noise to 0, the bright parts to 255. uint8."""
    seen = np.sort(values[values > floor])
    if not len(seen):
        return np.zeros(values.shape, np.uint8)
    white = int(seen[(len(seen) - 1) * BRIGHT // 100])
    return np.where(values > floor, ((510 * values + white) // (2 * white)).clip(0, 255), 0).astype(np.uint8)
