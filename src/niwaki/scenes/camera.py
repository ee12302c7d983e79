"""Light and camera: from reflectance to grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.scenes.fields import Field, Size, blur, grid


@dataclass(frozen=True)
class Camera:
    """How a frame is made from light: everything that stays the same between the frames of a scene."""

    exposure: float
    blur: float  # blur of lens and movement, pixels at 240 rows
    noise: float  # noise in the dark, grey levels
    shot: float  # additional noise in bright places: at white, grey levels
    vignette: float  # darkening of the corners
    tilt: tuple[float, float]  # uneven light, over the picture's height: down, across

    @staticmethod
    def draw(rng: np.random.Generator) -> Camera:
        """A typical camera: from a good one to a cheap one in bad light."""
        turn, uneven = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
        return Camera(
            exposure=rng.uniform(0.8, 1.15),
            blur=rng.uniform(0, 1.6),
            noise=rng.uniform(0.5, 4.0),
            shot=rng.uniform(0.5, 4.0),
            vignette=rng.uniform(0, 0.25),
            tilt=(uneven * np.sin(turn), uneven * np.cos(turn)),
        )

    def light(self, size: Size) -> Field:
        """The brightness of the light at each place, around 1: float32 (height, width)."""
        rows, columns = grid(size)
        wide = size[1] / size[0]
        away: Field = (rows * rows + columns * columns) * np.float32(4 / (1 + wide * wide))  # 1 in the corners
        falls: Field = 1 - np.float32(self.vignette) * away
        uneven: Field = np.float32(self.tilt[0]) * rows + np.float32(self.tilt[1]) * columns
        light: Field = falls * (1 + uneven)
        return light

    def expose(self, reflectance: Field) -> Field:
        """A frame without noise, float32 grey levels (not yet clipped at black and white)."""
        lit = reflectance * self.light(reflectance.shape) * np.float32(255 * self.exposure)
        return blur(lit, self.blur * reflectance.shape[0] / 240)

    def frame(self, exposed: Field, rng: np.random.Generator, flicker: float = 1.0) -> np.ndarray:
        """One recorded frame: flickering light, noise, eight bits. uint8 (height, width)."""
        lit = exposed * np.float32(flicker)
        spread = np.sqrt(self.noise**2 + self.shot**2 / 255 * np.clip(lit, 0, 255))
        lit = lit + spread.astype(np.float32) * rng.standard_normal(lit.shape, dtype=np.float32)
        frame: np.ndarray = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
        return frame
