"""Small films of a table: empty, or with a garment on it that is enlarged, brighter or darker than the table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

WIDTH, HEIGHT, FPS = 192, 128, 30  # as rpicam: takes them too


class Table:
    """Draws frames, uint8 (height, width); the noise of each is another. A garment's pixels are enlarged `times`."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT, times: int = 3, noise: int = 2) -> None:
        self._rng = np.random.default_rng(0)
        self._table = 110 + np.add.outer(np.arange(height), np.arange(width)) // 10  # lit from one side
        self._times, self._noise = times, noise

    def empty(self, frames: int) -> list[np.ndarray]:
        return [self._noisy(self._table) for _ in range(frames)]

    def shows(self, garment: np.ndarray, frames: int, sign: int = 1) -> list[np.ndarray]:
        """A garment (28, 28) near the middle, trembling by a pixel; sign -1: darker than the table."""
        return [self._noisy(self._laid(garment, sign, *self._rng.integers(-1, 2, 2))) for _ in range(frames)]

    def near(self, frames: int) -> list[np.ndarray]:
        """A hand that covers the lens."""
        return [self._noisy(np.full_like(self._table, 30)) for _ in range(frames)]

    def _laid(self, garment: np.ndarray, sign: int, down: int, right: int) -> np.ndarray:
        large = np.kron(garment, np.ones((self._times, self._times), np.int64))
        scene = self._table.copy()
        top, left = ((side - len(large)) // 2 for side in scene.shape)
        place = scene[top + down :, left + right :][: len(large), : len(large)]
        place += sign * np.where(large > 20, 10 + large * 90 // 255, 0)
        return scene

    def _noisy(self, scene: np.ndarray) -> np.ndarray:
        noise = self._rng.integers(-self._noise, self._noise + 1, scene.shape)
        frame: np.ndarray = np.clip(scene + noise, 0, 255).astype(np.uint8)
        return frame


def y4m(frames: Iterable[np.ndarray]) -> bytes:
    """The frames as a grey film."""
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 Cmono\n".encode()
    return head + b"".join(b"FRAME\n" + frame.tobytes() for frame in frames)
