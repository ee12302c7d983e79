"""Which images are held out: the same for the same seed, in proportion from every class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from niwaki.device.text import counted
from niwaki.errors import DataError


def shares(counts: np.ndarray, total: int) -> np.ndarray:
    """Split `total` over classes in proportion to `counts`, by largest remainder; the first class wins a tie.

    >>> shares(np.array([50, 30, 20]), 7).tolist()  # quotas 3.5, 2.1, 1.4
    [4, 2, 1]
    """
    whole, remainder = np.divmod(counts.astype(np.int64) * total, counts.sum())
    order = np.argsort(-remainder, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole


USUAL, PLENTY = 5_000, 20_000


def usual_validation(images: int) -> int:
    """How many of the training images are held out if the study does not say.

    >>> usual_validation(60_000), usual_validation(604)
    (5000, 60)
    """
    return USUAL if images >= PLENTY else max(1, images // 10)


def images_needed(*fractions: float) -> int:
    """How many images of a class are enough, whatever rounding does, if these fractions are held out one after another.

    >>> images_needed(0.2, 0.1), images_needed(0.9)
    (3, 10)
    """
    needed = 1
    while _left(needed, fractions) < 1:
        needed += 1
    return needed


def _left(images: int, fractions: Sequence[float]) -> int:
    for fraction in fractions:
        images -= math.ceil(fraction * images)
    return images


def hold_out(
    labels: np.ndarray,
    classes: tuple[str, ...],
    count: int,
    seed: int,
    key: str = "data.validation",
    before: Sequence[float] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images that stay and of the `count` held out, both ascending.

    Which images of a class are held out depends only on (seed, class). Raises DataError, naming the `key` that sets the
    number, if there are not enough images, or if a class would have none left to train on; `before` lists the fractions
    that were held out before.
    """
    if count >= len(labels):
        raise DataError(f"{count} images to hold out of {len(labels)}: set {key} lower, or give more images")
    counts = np.bincount(labels, minlength=len(classes))
    taken = shares(counts, count)
    held = np.zeros(len(labels), dtype=bool)
    for index, (have, take) in enumerate(zip(counts, taken, strict=True)):
        if have == take:
            needed = images_needed(*before, count / len(labels))
            raise DataError(
                f"class {classes[index]!r} has {_said(have, bool(before))}: none is left to train on; "
                f"every class needs at least {needed} images, or fewer held out ({key})"
            )
        order = np.random.default_rng([seed, index]).permutation(have)
        held[np.flatnonzero(labels == index)[order[:take]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _said(have: int, held_before: bool) -> str:
    if not have:
        return "no image"
    left = " beside those held out before" if held_before else ""
    return f"{counted(have, 'image')}{left}, {'which is' if have == 1 else 'all of which are'} held out"


def first_of_each(labels: np.ndarray, classes: tuple[str, ...], limit: int) -> np.ndarray:
    """Indices, ascending, of the first `limit` images, in proportion from every class; all of them if there are fewer.

    Raises DataError if a class would be left with none.
    """
    if limit >= len(labels):
        return np.arange(len(labels))
    counts = np.bincount(labels, minlength=len(classes))
    taken = shares(counts, limit)
    lost = (taken == 0) & (counts > 0)
    if lost.any():
        raise DataError(
            f"a limit of {limit} images leaves none of class {classes[int(lost.argmax())]!r} "
            f"(of {len(classes)} classes): raise the limit"
        )
    chosen = [np.flatnonzero(labels == index)[:take] for index, take in enumerate(taken)]
    return np.sort(np.concatenate(chosen))
