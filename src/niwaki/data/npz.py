"""Datasets of the user's own as one NumPy .npz file.

Keys: `x_train` uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) and `y_train` integers (N,); optionally `x_test` and
`y_test`, and `labels`, the class names as strings (else the classes are called by their numbers).
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Raw, Source
from niwaki.errors import DataError

KEYS = ("x_train", "y_train", "x_test", "y_test", "labels")


def source(path: Path) -> Source:
    """The dataset in the file. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as file:
            identity = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}: data.path must be an .npz file") from error

    def decode(preprocessing: Preprocessing) -> Raw:
        return _decode(path, preprocessing)

    return Source("npz", identity, path.name, decode)


def _decode(path: Path, preprocessing: Preprocessing) -> Raw:
    arrays = _arrays(path)
    for pair in (("x_train", "y_train"), ("x_test", "y_test")):
        present = [key for key in pair if key in arrays]
        if len(present) == 1 or (not present and pair[0] == "x_train"):
            missing = next(key for key in pair if key not in arrays)
            raise DataError(f"{path}: {missing} is missing; it has {', '.join(arrays) or 'nothing'}")
    names = _names(arrays, path)
    train = _split(arrays, "train", names, path, preprocessing)
    absent = set(range(len(names))) - set(np.unique(train.labels).tolist())
    if absent:
        raise DataError(f"{path}: y_train has no image of class {names[min(absent)]!r} (label {min(absent)})")
    if "x_test" not in arrays:
        return Raw(names, train)
    test = _split(arrays, "test", names, path, preprocessing)
    if test.images.shape[1:] != train.images.shape[1:]:
        shapes = f"{arrays['x_test'].shape[1:]}, those of x_train {arrays['x_train'].shape[1:]}"
        raise DataError(f"{path}: images of x_test are {shapes}: set preprocessing.size = [height, width]")
    return Raw(names, train, test=test)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The file's arrays by key; numbers and strings only, nothing that would have to be unpickled."""
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:  # a bare .npy is no zip file
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path}: not an .npz file of plain arrays: {error}") from error
    unknown = [key for key in arrays if key not in KEYS]
    if unknown:
        raise DataError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(KEYS)}")
    return arrays


def _names(arrays: dict[str, np.ndarray], path: Path) -> tuple[str, ...]:
    if "labels" in arrays:
        labels = arrays["labels"]
        if labels.ndim != 1 or labels.dtype.kind != "U":
            raise DataError(f"{path}: labels is {labels.dtype} {labels.shape}: expected strings (classes,)")
        names = tuple(str(name) for name in labels)
    else:
        integers = _integers(arrays, "y_train", path)
        names = tuple(str(number) for number in range(int(integers.max()) + 1))
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{path}: its classes are {', '.join(names) or 'none'}: at least two are needed, all different")
    return names


def _split(
    arrays: dict[str, np.ndarray], part: str, names: tuple[str, ...], path: Path, preprocessing: Preprocessing
) -> Split:
    images, labels = arrays[f"x_{part}"], _integers(arrays, f"y_{part}", path)
    if len(images) != len(labels):
        raise DataError(f"{path}: x_{part} has {len(images)} images, but y_{part} has {len(labels)} labels")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if wrong.size:
        at = wrong[0]
        raise DataError(f"{path}: y_{part}[{at}] is {labels[at]}: expected 0 to {len(names) - 1}")
    try:
        return Split(preprocessing.arrange(images), labels)
    except DataError as error:
        raise DataError(f"{path}: x_{part}: {error}") from error


def _integers(arrays: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    labels = arrays[key]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise DataError(f"{path}: {key} is {labels.dtype} {labels.shape}: expected integers (N,), one per image")
    return labels.astype(np.int64)
