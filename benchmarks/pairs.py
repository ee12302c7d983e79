"""Sides measured in turn, so that disturbances of the machine affect them equally, and the ratios of each turn."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Side = Callable[[], float]  # does its work once and returns the seconds that count


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, and the quartiles around it."""

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}–{self.high:.3f})"


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles.

    >>> spread([4.0, 1.0, 2.0, 3.0, 5.0])
    Spread(median=3.0, low=2.0, high=4.0, count=5)
    """
    low, median, high = (float(value) for value in np.percentile(values, [25, 50, 75]))
    return Spread(median, low, high, len(values))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The spread of the ratios of each pair: `above[i] / below[i]`, both of the same turn."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def take_turns(sides: Mapping[str, Side], rounds: int, *, warm_up: bool = True) -> dict[str, list[float]]:
    """Seconds of each side in each round; every second one runs backwards. A warm-up round does not count."""
    for side in sides.values() if warm_up else ():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        gc.collect()
        for name in list(sides)[:: -1 if turn % 2 else 1]:
            seconds[name].append(sides[name]())
    return seconds
