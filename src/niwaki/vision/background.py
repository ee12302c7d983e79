"""What a frame would show without the garment: the learned scene, or a smooth surface fitted to the frame's border.

Part of the reference: NumPy, integers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

WHITE = 255 * 16
BLOCKS = 16  # along each side: averages of cells, to which the surface is fitted
FLOOR = 6 * 16  # the smallest difference that counts
NOISE = 6  # times the median difference along the border


def divide(value: int, by: int) -> int:
    """`value` / `by`, `by` > 0, to the nearest integer; halves go up."""
    return (2 * value + by) // (2 * by)


@dataclass(frozen=True, eq=False)
class Background:
    """The difference between the cells and their expected values, and the expected values."""

    difference: Array
    """int64 (rows, columns), 16ths: positive where the frame is brighter."""
    surface: Array
    """int64 (rows, columns), 16ths: added to the scene, or used alone."""
    gain: int
    """How much brighter the scene is now, in 4096ths; 0: not compared with it."""
    noise: int
    """The median difference along the border, 16ths."""

    @property
    def threshold(self) -> int:
        """The smallest difference that is more than noise."""
        return max(FLOOR, NOISE * self.noise)


def edges(count: int) -> Array:
    """The starts of the blocks, and the end of the last one: (17,) cells."""
    return np.arange(BLOCKS + 1) * count // BLOCKS


def to_blocks(cells: Array) -> Array:
    """Means of the cells in 16 × 16 blocks, rounded down."""
    rows, columns = edges(cells.shape[0]), edges(cells.shape[1])
    sums = np.add.reduceat(np.add.reduceat(cells, rows[:-1], 0), columns[:-1], 1)
    return np.asarray(sums // np.outer(np.diff(rows), np.diff(columns)))


_RING = np.ones((BLOCKS, BLOCKS), bool)
_RING[1:-1, 1:-1] = False
_X = np.tile(2 * np.arange(BLOCKS) - (BLOCKS - 1), (BLOCKS, 1)).astype(np.int64)
_Y = _X.T
_MEAN = 170  # of x² + y² over the blocks: with it the terms are orthogonal
_BASIS = np.stack([np.ones_like(_X), _X, _Y, _X * _Y, _X * _X + _Y * _Y - _MEAN, _X * _X - _Y * _Y])
_LIMITS = np.array([1 << 21, 1 << 16, 1 << 16, 1 << 12, 1 << 12, 1 << 12])


def fit_gain(blocks: Array, scene: Array) -> int:
    """How much brighter the frame is than the scene, in 4096ths, between a half and twice.

    The median over the border, where the garment covers least; 4096 if the scene is too dark to tell.
    """
    usable = _RING & (scene >= 8 * 16)
    ratios = np.sort(blocks[usable] * 4096 // scene[usable])
    return int(ratios[len(ratios) // 2].clip(2048, 8192)) if len(ratios) >= _RING.sum() // 4 else 4096


def fit_background(cells: Array, scene: Array | None = None, gain: int = 0) -> Background:
    """Fit a smooth surface to the cells, or to their difference from the scene, `gain` times as bright."""
    base = np.zeros_like(cells) if scene is None else (scene * gain + 2048) >> 12
    surface = evaluate(fit_surface(to_blocks(cells - base)), *cells.shape)
    difference = cells - (base + surface).clip(0, WHITE)
    rows, columns = edges(cells.shape[0]), edges(cells.shape[1])
    ring = np.ones(cells.shape, bool)
    ring[rows[1] : rows[-2], columns[1] : columns[-2]] = False
    noise = int(np.sort(abs(difference[ring]))[ring.sum() // 2])
    return Background(difference, surface, gain, noise)


def fit_surface(blocks: Array) -> Array:
    """Six coefficients in 256ths: of 1, x, y, xy, x² + y² - 170, x² - y²; x and y are -15, -13 … 15 at the blocks.

    Fitted to the border first, then to all blocks. Blocks far from the surface may be the garment: they are replaced by
    the surface itself and the fit is repeated (the modified residuals of Huber, Robust Statistics, 1981, section 7.8,
    with rejection instead of clipping). Since the terms are orthogonal over the blocks, a step is six divisions.
    """
    border = np.sort(blocks[_RING])
    middle = len(border) // 2
    coefficients = np.array([int(border[middle]) * 256, 0, 0, 0, 0, 0])
    for seen, terms, repeats in ((_RING, 3, 6), (_RING, 6, 6), (np.ones_like(_RING), 6, 8)):
        norms = (_BASIS[:, seen] ** 2).sum(1)
        for _ in range(repeats):
            residual = blocks - (np.tensordot(coefficients, _BASIS, 1) >> 8)
            cut = max(48, 4 * int(np.sort(abs(residual[_RING]))[middle]))
            residual = np.where((abs(residual) <= cut) & seen, residual, 0)
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
    return np.asarray((a[:, None] + ((b[:, None] * x) >> 6) + (((c[4] + c[5]) * x2) >> 4)) >> 8)
