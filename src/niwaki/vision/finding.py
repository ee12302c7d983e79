"""The result of vision for one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OUTCOMES = ("found", "nothing", "too_small", "too_large")  # indexed by niwaki_outcome


@dataclass(frozen=True, eq=False)
class Finding:
    """The garment in one frame, or why there is none."""

    outcome: str
    """One of OUTCOMES."""
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels of the frame; zeros if there is no garment."""
    polarity: int
    """1: brighter than its background, -1: darker, 0: no garment."""
    contrast: int
    """Contrast of the garment with its background, in grey levels."""
    used_scene: bool
    """Whether it was compared with the learned empty scene instead of its own border."""
    picture: np.ndarray
    """uint8 (inner height, inner width): the garment, bright on black; zeros unless it was found."""

    @property
    def found(self) -> bool:
        """Whether there is a garment to classify."""
        return self.outcome == OUTCOMES[0]
