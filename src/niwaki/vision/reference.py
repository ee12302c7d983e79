"""Vision in NumPy, integers only: the C must equal it, bit for bit.

Brightness is kept in 16ths of a grey level: 0 to 4080. `Cells` are the frame averaged over squares of pixels, at most
76,800, so that scanning them is fast; if a side has fewer than 32 pixels, they are the pixels. The steps are in
`background`, `garment` and `picture`.
"""

from __future__ import annotations

import numpy as np

from niwaki.errors import NiwakiError
from niwaki.vision.background import BLOCKS, WHITE, Array, Background, divide, fit_background, fit_gain, to_blocks
from niwaki.vision.finding import Finding
from niwaki.vision.garment import Box, Garment, find_garment
from niwaki.vision.picture import draw

MIN_SIDE, MAX_SIDE, MAX_INNER, MAX_LEARNED = 16, 4096, 256, 256
MOST_CELLS = 320 * 240  # unless a block would be left without cells
SMALLEST = 8  # a garment's longest side is at least an eighth of the frame's shorter one


class Reference:
    """The same calls as `library.Vision`, in NumPy: frames are uint8 (height, width)."""

    def __init__(self, width: int, height: int, inner: tuple[int, int] = (28, 28)) -> None:
        frame, picture = (min(width, height), max(width, height)), (min(inner), max(inner))
        if frame[0] < MIN_SIDE or frame[1] > MAX_SIDE or picture[0] < 1 or picture[1] > MAX_INNER:
            raise NiwakiError(
                f"frame {width}×{height}, picture {inner[1]}×{inner[0]}: frames have {MIN_SIDE} to {MAX_SIDE} pixels "
                f"each side, pictures 1 to {MAX_INNER}"
            )
        self.width, self.height, self.inner = width, height, inner
        self.factor = 1
        while np.prod(self.shape) > MOST_CELLS and min(width, height) // (self.factor + 1) >= BLOCKS:
            self.factor += 1
        self.forget()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.height // self.factor, self.width // self.factor

    def forget(self) -> None:
        """Forget the scene."""
        self.learned = 0
        self._scene = np.zeros((self.height, self.width), np.int64)  # sums over the learned frames

    def learn(self, frame: Array) -> int:
        """Learn one frame of the empty scene; returns how many there are now."""
        if self.learned < MAX_LEARNED:
            self._scene += frame
            self.learned += 1
        return self.learned

    def find(self, frame: Array) -> Finding:
        """The garment in the frame, or why there is none."""
        background = self._background(self._cells(frame))
        garment = find_garment(background.difference, background.threshold)
        if garment is None:
            return Finding("nothing", (0, 0, 0, 0), 0, 0, background.gain > 0, np.zeros(self.inner, np.uint8))
        box, outcome = self._pixels(garment.box), self._judge(garment.box)
        picture = np.zeros(self.inner, np.uint8)
        if outcome == "found":
            picture = draw(self._away(frame, background, garment), self.inner, background.threshold // 2)
        return Finding(outcome, box, garment.polarity, garment.contrast, background.gain > 0, picture)

    def _sum_cells(self, frame: Array) -> Array:
        """Sums over squares of `factor` pixels; pixels left over at the right and the bottom are ignored."""
        f, (rows, columns) = self.factor, self.shape
        whole = frame[: rows * f, : columns * f].astype(np.int64)
        return np.asarray(whole.reshape(rows, f, columns, f).sum((1, 3)))

    def _cells(self, frame: Array) -> Array:
        """Means over cells, in 16ths."""
        return (self._sum_cells(frame) * divide(1 << 20, self.factor**2) + 32768) >> 16

    def _background(self, cells: Array) -> Background:
        """Whichever explains the border better: the learned scene, or a smooth surface alone."""
        plain = fit_background(cells)
        if not self.learned:
            return plain
        area = self.factor**2 * self.learned
        scene = (self._sum_cells(self._scene) * 16 + area // 2) // area
        seen = fit_background(cells, scene, fit_gain(to_blocks(cells), to_blocks(scene)))
        return seen if 4 * seen.noise <= 5 * plain.noise else plain

    def _pixels(self, box: Box) -> tuple[int, int, int, int]:
        f = self.factor
        return box.left * f, box.top * f, box.width * f, box.height * f

    def _judge(self, box: Box) -> str:
        rows, columns = self.shape
        if box.width == columns or box.height == rows:
            return "too_large"
        smallest = max(*self.inner, min(self.width, self.height) // SMALLEST)
        return "too_small" if max(box.width, box.height) * self.factor < smallest else "found"

    def _away(self, frame: Array, background: Background, garment: Garment) -> Array:
        """How far each pixel in the garment's box is from the background, in 16ths; 0 outside its mask."""
        x, y, width, height = self._pixels(garment.box)
        f, box = self.factor, garment.box
        cells = np.s_[box.top : box.bottom + 1, box.left : box.right + 1]
        expected = background.surface[cells].repeat(f, 0).repeat(f, 1)
        if background.gain:
            scale = (background.gain * 1024 + self.learned // 2) // self.learned  # 2^18 times the mean in 16ths
            expected = expected + ((self._scene[y : y + height, x : x + width] * scale) >> 18)
        pixels = frame[y : y + height, x : x + width].astype(np.int64) * 16
        away = garment.polarity * (pixels - expected.clip(0, WHITE))
        return np.where(garment.mask[cells].repeat(f, 0).repeat(f, 1), away, 0)
