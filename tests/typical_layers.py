"""Layers with numbers as trained networks have them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from niwaki.codegen.graph.arithmetic import Rescale, rescale_of
from random_graphs import Builder

SAME = (1, 1, 1, 1)


class Typical(Builder):
    """Layers as trained networks have them: shifts beyond 32, no dead channel, outputs of the whole range."""

    def clamp(self) -> tuple[int, int]:
        return -128, 127

    def weights(self, *shape: int) -> tuple[np.ndarray, np.ndarray, Rescale]:
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        factors = self.rng.uniform(0.5, 1.5, shape[0]) / (80 * np.sqrt(np.prod(shape[1:])))
        bias = self.rng.integers(-3000, 3000, shape[0]).astype(np.int32)
        return weights, bias, rescale_of([Fraction(float(factor)) for factor in factors], "typical")
