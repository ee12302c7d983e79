"""How often a classifier is right, by class, and how certain that number is. The classifier is any callable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from niwaki.errors import DataError, ModelError, SpecError, StageFailed
from niwaki.tabular import Column, Tabular

FEW_CLASSES = 10  # up to which the five highest scores say little
Predict = Callable[[np.ndarray], np.ndarray]
"""From uint8 images (n, C, H, W) to one row of scores per image (n, classes)."""


@dataclass(frozen=True)
class Accuracy:
    """The predictions of a classifier on labelled images."""

    total: int
    correct: int
    confusion: tuple[tuple[int, ...], ...]
    """`confusion[t][p]`: how many images of class t were predicted as class p."""
    in_top5: int | None = None
    """Images whose class has one of the five highest scores; None if there are at most ten classes."""

    def __repr__(self) -> str:
        percent = f"{self.accuracy:.2f} %" if self.total else "unknown"
        return f"<Accuracy {percent}: {self.correct:,} of {self.total:,} images>"

    def _repr_html_(self) -> str:
        columns: tuple[Column, ...] = (("class", "right"), ("images", "right"), ("recognized %", "right"))
        rows = tuple(
            (str(number), f"{sum(row):,}", "" if recall is None else f"{recall:.2f}")
            for number, (row, recall) in enumerate(zip(self.confusion, self.per_class, strict=True))
        )
        return Tabular(columns, rows, f"{self!r}"[1:-1]).to_html()

    @property
    def accuracy(self) -> float:
        """Correct predictions in percent of all images."""
        return 100 * self.correct / self.total

    @property
    def top5(self) -> float | None:
        """Images whose class is among the five highest scores, in percent; None if there are at most ten classes."""
        return None if self.in_top5 is None else 100 * self.in_top5 / self.total

    @property
    def rows(self) -> list[list[int]]:
        """The confusion matrix as lists."""
        return [list(row) for row in self.confusion]

    @property
    def per_class(self) -> tuple[float | None, ...]:
        """Recall of each class in percent; None for a class without images."""
        return tuple(100 * row[true] / sum(row) if sum(row) else None for true, row in enumerate(self.confusion))

    @property
    def balanced(self) -> float | None:
        """The mean of the classes' recalls in percent; None if a class has no images."""
        known = self._known
        return fmean(known) if known else None

    @property
    def worst(self) -> float | None:
        """The lowest recall of any class in percent; None if a class has no images."""
        return min(self._known, default=None)

    @property
    def _known(self) -> tuple[float, ...]:
        """The recalls; none if one of them is unknown."""
        known = tuple(recall for recall in self.per_class if recall is not None)
        return known if len(known) == len(self.per_class) else ()

    @property
    def only_answer(self) -> int | None:
        """The class assigned to every image although they show several classes: the network is dead. Else None."""
        answered = [index for index, column in enumerate(zip(*self.confusion, strict=True)) if any(column)]
        several = sum(any(row) for row in self.confusion) > 1
        return answered[0] if several and len(answered) == 1 else None

    def lost(self, base: Accuracy) -> tuple[int, ...]:
        """Classes of which no image is recognized, although `base` clearly recognized them on the same images.

        "Clearly" means: if both recognized the class equally often, at most one draw in twenty would differ this much
        (the exact one-sided test of R. A. Fisher). Three of three images are enough for that, 4 of 5, or 5 of many.
        """
        both = zip(self.confusion, base.confusion, strict=True)
        return tuple(
            true
            for true, (ours, theirs) in enumerate(both)
            if not ours[true] and _chance(theirs[true], sum(ours)) <= 0.05
        )

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: the counts, from which everything else follows."""
        said: dict[str, object] = {"total": self.total, "correct": self.correct, "confusion": self.rows}
        return said if self.in_top5 is None else {**said, "in_top5": self.in_top5}

    @staticmethod
    def fault(values: Mapping[str, object]) -> str | None:
        """What is wrong with plain values that `to_dict` should have written, in a few words; None if nothing is."""
        confusion = values.get("confusion")
        if not isinstance(confusion, list | tuple) or not all(isinstance(row, list | tuple) for row in confusion):
            return "confusion is not a matrix"
        if not confusion or {len(row) for row in confusion} != {len(confusion)}:
            return "confusion is not square"
        if not all(type(count) is int and count >= 0 for row in confusion for count in row):
            return "confusion holds something other than counts"
        counted = {"total": sum(map(sum, confusion)), "correct": sum(row[i] for i, row in enumerate(confusion))}
        wrong = [name for name, count in counted.items() if type(values.get(name)) is not int or values[name] != count]
        top = values.get("in_top5")
        if top is not None and not (type(top) is int and counted["correct"] <= top <= counted["total"]):
            return "in_top5 does not match confusion"
        return f"{wrong[0]} does not match confusion" if wrong else None if counted["total"] else "no images"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Accuracy:
        """The Accuracy from the values that `to_dict` wrote."""
        return cls(
            values["total"], values["correct"], tuple(tuple(row) for row in values["confusion"]), values.get("in_top5")
        )


def _chance(right: int, total: int) -> float:
    """The probability that all `right` predictions in two times `total` fall into one half: C(n, k) / C(2n, k)."""
    return math.prod((total - i) / (2 * total - i) for i in range(min(right, total)))


def evaluate(predict: Predict, images: np.ndarray, labels: np.ndarray, num_classes: int, batch: int = 500) -> Accuracy:
    """Compare the predictions of `predict` on uint8 `images` (n, C, H, W) with integer `labels` (n,).

    The prediction is the class with the highest score, the first one in a tie. `predict` is called with `batch` images
    at a time, and at the end with the rest.

    Raises DataError if images or labels are of another type or shape, differ in number, are empty, or if a label is not
    in 0…num_classes−1; SpecError if `batch` is below 1; ModelError if `predict` returns another shape than (n,
    num_classes); StageFailed if scores are NaN or infinite: a network that diverged has no accuracy.
    """
    _check_data(images, labels, num_classes)
    if batch < 1:
        raise SpecError(f"batch = {batch}: give at least 1 image per call")
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    broken = among = 0
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        scores = np.asarray(predict(some))
        if scores.shape != (len(some), num_classes):
            raise ModelError(
                f"predict gave shape {scores.shape} for {len(some)} images, expected {(len(some), num_classes)}: "
                "one score per class"
            )
        broken += int((~np.isfinite(scores)).any(axis=1).sum())
        among += _in_top5(scores, labels[start : start + batch]) if num_classes > FEW_CLASSES else 0
        np.add.at(confusion, (labels[start : start + batch], scores.argmax(axis=1)), 1)
    if broken:
        raise StageFailed(
            f"the outputs for {broken} of {len(images)} images are not finite (NaN or infinite): "
            "training diverged; lower the learning rate"
        )
    counts = tuple(tuple(int(n) for n in row) for row in confusion)
    return Accuracy(len(images), int(confusion.trace()), counts, among if num_classes > FEW_CLASSES else None)


def _in_top5(scores: np.ndarray, labels: np.ndarray) -> int:
    """How many images have their class among the five highest scores; in a tie, the first classes count as higher."""
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    before = np.arange(scores.shape[1]) < labels[:, None]
    return int((((scores > true) | ((scores == true) & before)).sum(axis=1) < 5).sum())


def wilson_interval(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of the true accuracy, in percent (low, high), given `correct` of `total`; z = 1.96 for 95 %.

    The score interval of E. B. Wilson (Journal of the American Statistical Association 22, 1927): unlike p ± z·s it is
    valid near 0 and 100 %. Without images it is (0, 100). It covers only the spread from the choice of images, not from
    seeds. Raises DataError unless 0 ≤ correct ≤ total.
    """
    if not 0 <= correct <= total:
        raise DataError(f"{correct} correct of {total}: expected 0 ≤ correct ≤ total")
    if total == 0:
        return 0.0, 100.0
    p, spread = correct / total, z * z / total
    middle = (p + spread / 2) / (1 + spread)
    reach = z * math.sqrt(p * (1 - p) / total + spread / (4 * total)) / (1 + spread)
    # At the ends the bound is exactly p; rounding must not push p outside.
    low = 0.0 if correct == 0 else 100 * (middle - reach)
    high = 100.0 if correct == total else 100 * (middle + reach)
    return low, high


def _check_data(images: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(f"images are {images.dtype} {images.shape}: expected uint8 (n, channels, height, width)")
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise DataError(f"labels are {labels.dtype} {labels.shape}: expected integers ({len(images)},), one per image")
    if len(images) == 0:
        raise DataError("no images to evaluate on: check the split")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()}, but the classes are 0 to {num_classes - 1}: "
            "check the labels or the number of classes"
        )
