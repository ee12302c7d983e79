"""Whether two forms of a model agree on the same images, and which image is the first on which they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from niwaki.measure.accuracy import wilson_interval

Rule = Literal["equal bits", "same class"]


@dataclass(frozen=True)
class Agreement:
    """The scores of one form compared with another's."""

    against: str
    same_class: int
    """Images for which the same class has the highest score (the first in a tie)."""
    equal: bool | None
    """Whether all int8 scores are equal; None if one of the two is float."""
    difference: float | None
    """The largest difference between two scores; None if their units differ."""
    unit: str
    """Unit of the difference: score, or int8 step."""
    first: int | None
    """The number of the first image that breaks the rule, or would; None if there is none."""

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {name: value for name, value in vars(self).items() if name != "first"}


def compare(scores: np.ndarray, other: np.ndarray, against: str, *, unit: str = "score") -> Agreement:
    """Compare scores (n, classes) with another form's; an empty `unit` says that they cannot be subtracted.

    >>> compare(np.int8([[1, 2], [3, 4]]), np.int8([[1, 2], [3, 2]]), "reference", unit="int8 step").first
    1
    """
    ours, theirs = scores.reshape(len(scores), -1), other.reshape(len(other), -1)
    bits = ours.dtype == theirs.dtype == np.int8
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    gaps = np.abs(ours.astype(np.float64) - theirs).max(axis=1, initial=0.0) if unit else None
    apart = gaps != 0 if bits and gaps is not None else ~same
    return Agreement(
        against,
        int(same.sum()),
        bool(not apart.any()) if bits else None,
        None if gaps is None else float(gaps.max(initial=0.0)),
        unit,
        int(np.flatnonzero(apart)[0]) if apart.any() else None,
    )


def allowed(images: int, percent: float) -> int:
    """How many of `images` may get another class if `percent` of them must not: rounded up.

    >>> allowed(10_000, 99.5), allowed(100, 99.5)
    (50, 1)
    """
    return math.ceil(round(images * (100 - percent) / 100, 9))


@dataclass(frozen=True)
class Right:
    """How many labelled images a form classifies correctly."""

    correct: int
    total: int

    @property
    def percent(self) -> float:
        """In percent of all images."""
        return 100 * self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson, in percent."""
        return wilson_interval(self.correct, self.total)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, with the 95 % interval of Wilson."""
        low, high = self.interval
        return {"correct": self.correct, "total": self.total, "percent": self.percent, "interval": [low, high]}


def count_right(scores: np.ndarray, labels: np.ndarray) -> Right:
    """Compare the classes with the highest scores (the first in a tie) with integer labels (n,)."""
    return Right(int((scores.reshape(len(scores), -1).argmax(axis=1) == labels).sum()), len(labels))
