"""A user's dataset as one NumPy .npz file.

Keys: `x_train` uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), or with channels first, and `y_train` integers (N,);
optionally `x_val`, `y_val`, `x_test` and `y_test`, and `labels`, the class names as strings (otherwise the classes are
named by their numbers). `niwaki.data.npz_names` has the other names that these may have.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from niwaki.data.classes import shown
from niwaki.data.dataset import Split
from niwaki.data.limits import CLASSES, check_images
from niwaki.data.npz_names import READ, by_part, images_of, labels_of
from niwaki.data.npzfile import read_arrays, read_headers
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError

LAST_CHARACTER, SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)  # of Unicode


def find(spec: DataSpec, places: Places) -> Source:  # noqa: ARG001 (it is where the study says)
    """The dataset that a study names."""
    assert spec.path is not None  # DataSpec makes sure of it
    return source(spec.path)


def source(path: Path) -> Source:
    """The dataset in the file. Arrays are read when needed. Raises DataError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            identity = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{path}: {why}: data.path must be an .npz file") from error

    def decode(preprocessing: Preprocessing) -> Raw:
        return _decode(path, preprocessing)

    headers = read_headers(path, READ)
    roles = _roles(path)
    shapes = {roles[key]: header.shape for key, header in headers.items()}
    count = (shapes.get("y_train") or (0,))[0]
    return Source(
        "npz", identity, path.name, decode, train_images=count, has_validation="x_val" in shapes,
        has_test="x_test" in shapes,
    )  # fmt: skip


def _roles(path: Path) -> dict[str, str]:
    """Which part of the dataset each array of the file is."""
    try:
        return by_part({key: (header.shape, header.dtype.kind) for key, header in read_headers(path, READ).items()})
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _decode(path: Path, preprocessing: Preprocessing) -> Raw:
    roles = _roles(path)
    arrays = {roles[key]: array for key, array in read_arrays(path, READ).items()}
    for key, array in arrays.items():
        if key != "labels":
            arrays[key] = images_of(array) if key.startswith("x_") else labels_of(array)
    for pair in (("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test")):
        present = [key for key in pair if key in arrays]
        if len(present) == 1 or (not present and pair[0] == "x_train"):
            missing = next(key for key in pair if key not in arrays)
            raise DataError(f"{path}: {missing} is missing; it has {', '.join(arrays) or 'nothing'}")
    names = _names(arrays, path)
    train = _split(arrays, "train", names, path, preprocessing)
    absent = set(range(len(names))) - set(np.unique(train.labels).tolist())
    if absent:
        raise DataError(f"{path}: y_train has no image of class {names[min(absent)]!r} (label {min(absent)})")
    beside: dict[str, Split] = {}
    for part in (part for part in ("val", "test") if f"x_{part}" in arrays):
        beside[part] = _split(arrays, part, names, path, preprocessing)
        if beside[part].images.shape[1:] != train.images.shape[1:]:
            shapes = f"{arrays[f'x_{part}'].shape[1:]}, those of x_train {arrays['x_train'].shape[1:]}"
            raise DataError(f"{path}: images of x_{part} are {shapes}: set preprocessing.size = [height, width]")
    called = {
        split: [f"x_{part}[{number}]" for number in range(len(arrays[f"y_{part}"]))]
        for part, split in (("train", "train"), ("val", "validation"), ("test", "test"))
        if f"y_{part}" in arrays
    }
    return Raw(names, train, beside.get("val"), beside.get("test"), called)


def _names(arrays: dict[str, np.ndarray], path: Path) -> tuple[str, ...]:
    if "labels" in arrays:
        labels = arrays["labels"]
        if labels.ndim != 1 or labels.dtype.kind != "U":
            raise DataError(f"{path}: labels is {labels.dtype} {labels.shape}: expected strings (classes,)")
        CLASSES.check(len(labels), f"{path}: labels")
        names = _strings(labels, path)
    else:
        names = _numbers(_integers(arrays, "y_train", path), path)
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{path}: its classes are {shown(names) or 'none'}: at least two are needed, all different")
    return names


def _strings(labels: np.ndarray, path: Path) -> tuple[str, ...]:
    points = np.ascontiguousarray(labels, dtype=labels.dtype.newbyteorder("=")).view(np.uint32)
    if np.any((points > LAST_CHARACTER) | ((points >= SURROGATES[0]) & (points <= SURROGATES[1]))):
        raise DataError(f"{path}: labels contain invalid characters: the file is damaged")
    return tuple(str(name) for name in labels)


def _numbers(labels: np.ndarray, path: Path) -> tuple[str, ...]:
    """The classes of labels without names: 0, 1, …, each with at least one image."""
    present = np.unique(labels[labels >= 0])
    missing = np.flatnonzero(present != np.arange(len(present)))
    if missing.size:
        raise DataError(f"{path}: {_beyond_the_gap(labels, present, int(missing[0]))}")
    CLASSES.check(len(present), f"{path}: y_train")
    return tuple(str(number) for number in range(len(present)))


def _beyond_the_gap(labels: np.ndarray, present: np.ndarray, below: int) -> str:
    """The lowest label that has no label directly below it, its position, and how many labels are below the gap."""
    at = int(np.flatnonzero(labels == present[below])[0])
    which = "other" if len(present) == below + 1 else "lower"
    found = {0: "no label is 0", 1: f"the only {which} label is 0 (1 class)"}.get(
        below, f"the {which} labels are 0 to {below - 1} ({below} classes)"
    )
    way = "correct it, or number" if below else "number"
    return f"y_train[{at}] is {labels[at]}, but {found}: {way} the classes 0, 1, … without a gap"


def _split(
    arrays: dict[str, np.ndarray], part: str, names: tuple[str, ...], path: Path, preprocessing: Preprocessing
) -> Split:
    images, labels = arrays[f"x_{part}"], _integers(arrays, f"y_{part}", path)
    if images.ndim and len(images) != len(labels):
        raise DataError(f"{path}: x_{part} has {len(images)} images, but y_{part} has {len(labels)} labels")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if wrong.size:
        at = wrong[0]
        raise DataError(f"{path}: y_{part}[{at}] is {labels[at]}: expected 0 to {len(names) - 1}")
    try:
        _check_memory(images, preprocessing)
        return Split(preprocessing.arrange(images), labels)
    except DataError as error:
        raise DataError(f"{path}: x_{part}: {error}") from error


def _integers(arrays: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    labels = arrays[key]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise DataError(f"{path}: {key} is {labels.dtype} {labels.shape}: expected integers (N,), one per image")
    return labels.astype(np.int64)


def _check_memory(images: np.ndarray, preprocessing: Preprocessing) -> None:
    if images.ndim in (3, 4):
        check_images(len(images), preprocessing.input_shape(images.shape[1:3]), "decoded")
