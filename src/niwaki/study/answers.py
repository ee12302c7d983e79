"""The predictions of a classifier image by image: which are worth showing, and the images as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from niwaki.data.dataset import Dataset
from niwaki.measure.accuracy import Predict
from niwaki.study.result_files import ShownAnswer, ShownImage

SHOWN = 12  # images of each kind
BATCH = 500


@dataclass(frozen=True)
class Answers:
    """The class that a network predicts for each image, int64 (n,), and its softmax, float32 (n, classes)."""

    named: np.ndarray
    sure: np.ndarray

    def confusion(self, labels: np.ndarray, classes: int) -> list[list[int]]:
        """`confusion[t][p]`: how many images of class t were predicted as class p."""
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (np.asarray(labels), self.named), 1)
        return [[int(count) for count in row] for row in counts]

    def of(self, labels: np.ndarray, shown: Mapping[str, Sequence[int]]) -> dict[str, ShownAnswer]:
        """The predictions for the images that are shown, by their number."""
        numbers = sorted({number for some in shown.values() for number in some})
        return {
            str(number): ShownAnswer(
                named=int(self.named[number]),
                sure=round(float(self.sure[number, self.named[number]]), 4),
                true=round(float(self.sure[number, labels[number]]), 4),
            )
            for number in numbers
        }


def answers_of(predict: Predict, images: np.ndarray) -> Answers:
    """The predictions for uint8 images (n, C, H, W); the first class if several have the highest score."""
    scores = np.concatenate([predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return Answers(scores.argmax(axis=1), exponentials / exponentials.sum(axis=1, keepdims=True))


def telling(answers: Mapping[str, Answers], labels: np.ndarray) -> dict[str, list[int]]:
    """Test images, by number, that show how the networks fail; the most confident errors first, at most `SHOWN` of a
    kind.

    `base` and `chosen`: the most confident wrong predictions of each. `lost`: wrong only after compression. `gained`:
    wrong only before. Images that several networks get wrong in the same way may appear in more than one list.
    """
    labels = np.asarray(labels)
    base, chosen = answers["base"], answers.get("chosen")
    found = {"base": _surest(base, base.named != labels)}
    if chosen is not None:
        wrong, was_wrong = chosen.named != labels, base.named != labels
        found["chosen"] = _surest(chosen, wrong)
        found["lost"] = _surest(chosen, wrong & ~was_wrong)
        found["gained"] = _surest(base, was_wrong & ~wrong)
    return found


def moved(answers: Mapping[str, Answers], labels: np.ndarray) -> dict[str, int]:
    """How many test images only the base predicts correctly (`lost`) and only the chosen model (`gained`)."""
    if "chosen" not in answers:
        return {}
    was_right, is_right = (answers[name].named == np.asarray(labels) for name in ("base", "chosen"))
    return {"lost": int((was_right & ~is_right).sum()), "gained": int((~was_right & is_right).sum())}


def samples(data: Dataset) -> list[str | None]:
    """The first test image of each class as PNG in base64, None for a class without one."""
    labels = np.asarray(data.test.labels)
    first = [np.flatnonzero(labels == index)[:1] for index in range(data.num_classes)]
    return [_png(data, int(index[0])) if len(index) else None for index in first]


def pictures(data: Dataset, numbers: Iterable[int]) -> dict[str, ShownImage]:
    """The test images with these numbers."""
    labels = np.asarray(data.test.labels)
    return {
        str(number): ShownImage(true=int(labels[number]), png=_png(data, number)) for number in sorted(set(numbers))
    }


def _surest(answers: Answers, which: np.ndarray) -> list[int]:
    certainty = np.where(which, answers.sure.max(axis=1), -1.0)
    order = np.argsort(-certainty, kind="stable")[:SHOWN]
    return [int(number) for number in order if which[number]]


def _png(data: Dataset, number: int) -> str:
    """A test image as the network sees it, without its padding."""
    pad = data.preprocessing.pad
    pixels = np.asarray(data.test.images[number])
    inner = pixels[:, pad : pixels.shape[1] - pad, pad : pixels.shape[2] - pad]
    image = Image.fromarray(inner[0] if len(inner) == 1 else np.ascontiguousarray(inner.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
