"""The names that arrays have in .npz files of others, and which part of a dataset each one is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from niwaki.errors import DataError

PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
KEYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test", "labels")
NUMBERED = tuple(f"arr_{number}" for number in range(6))  # numpy's own names
_ALONE = {"images": "x_train", "x": "x_train", "X": "x_train", "y": "y_train"}
_SAID = {"images": "x", "labels": "y", "x": "x", "X": "x", "y": "y", "imgs": "x"}


def _known() -> dict[str, str]:
    names = dict(_ALONE)
    for part, spellings in PARTS.items():
        for said, which in _SAID.items():
            for spelled in spellings:
                names[f"{spelled}_{said}"] = f"{which}_{part}"  # train_images
                names[f"{said}_{spelled}"] = f"{which}_{part}"  # x_train
    return names


NAMES = _known()
READ = (*KEYS, *NUMBERED, *(name for name in NAMES if name not in KEYS))
"""Every name that is read."""


def by_part(found: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, str]:
    """For each array (its shape and NumPy's letter for the kind of its type), which one of `KEYS` it is.

    Arrays numbered by NumPy are told apart by their shapes: images have three or more dimensions, labels one.

    >>> by_part({"arr_0": ((60, 28, 28), "u"), "arr_1": ((60,), "i")})
    {'arr_0': 'x_train', 'arr_1': 'y_train'}
    """
    numbered = {name: facts for name, facts in found.items() if name in NUMBERED}
    if numbered and len(numbered) == len(found):
        return _numbered(numbered)
    roles = {name: NAMES.get(name, name) for name in found}
    if "y_train" not in roles.values() and "labels" in found and found["labels"][1] in "iu":
        roles["labels"] = "y_train"
    twice = next((name for name in roles if list(roles.values()).count(roles[name]) > 1), None)
    if twice is not None:
        both = " and ".join(name for name in roles if roles[name] == roles[twice])
        raise DataError(f"{both} would both be {roles[twice]}: keep one")
    return roles


def _numbered(found: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, str]:
    images = [name for name, (shape, _) in sorted(found.items()) if len(shape) >= 3]
    labels = [name for name in sorted(found) if name not in images]
    pairs = [(one, other) for one, other in zip(images, labels, strict=False)]
    lengths = {name: (shape or (0,))[0] for name, (shape, _) in found.items()}
    if not pairs or len(images) != len(labels) or any(lengths[one] != lengths[other] for one, other in pairs):
        shapes = ", ".join(f"{name} {shape}" for name, (shape, _) in found.items())
        raise DataError(
            f"its arrays have no names ({shapes}): save them by name: numpy.savez(file, x_train=…, y_train=…)"
        )
    parts = {1: ("train",), 2: ("train", "test"), 3: ("train", "val", "test")}[len(pairs)]
    return {
        name: f"{which}_{part}"
        for part, (one, other) in zip(parts, pairs, strict=True)
        for which, name in (("x", one), ("y", other))
    }


def labels_of(array: np.ndarray) -> np.ndarray:
    """Labels in a column or one-hot as (N,); anything else unchanged.

    >>> labels_of(np.array([[3], [1]])).tolist(), labels_of(np.array([[0, 1], [1, 0]])).tolist()
    ([3, 1], [1, 0])
    """
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    one_hot = array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "iufb"
    if one_hot and bool(np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()):
        found: np.ndarray = array.argmax(1)
        return found
    return array


def images_of(array: np.ndarray) -> np.ndarray:
    """Images with their channels last: (N, 1, H, W) and (N, 3, H, W) are moved; anything else unchanged.

    >>> images_of(np.zeros((2, 3, 8, 9), np.uint8)).shape
    (2, 8, 9, 3)
    """
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        return array.transpose(0, 2, 3, 1)
    return array
