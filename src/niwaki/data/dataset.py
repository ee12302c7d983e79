"""A decoded dataset: uint8 images and labels of three splits, and the folder that stores them for memory mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, first_line
from niwaki.files import canonical_json, load_json, whole_file, write_whole
from niwaki.tabular import Column, Tabular

FORMAT = 1
MANIFEST = "dataset.json"
SPLITS = ("train", "validation", "test")
LABEL_TYPE = np.dtype("<i8")


@dataclass(frozen=True)
class Split:
    """Images, uint8 (N, C, H, W) after the preprocessing's geometry, and their labels, int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Split: {len(self):,} images {'×'.join(map(str, self.images.shape[1:]))}>"


@dataclass(frozen=True)
class Dataset:
    """Everything to train and measure on. `fingerprint` is the same exactly if all contents are the same."""

    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    fingerprint: str
    origin: str
    synthetic: bool
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()
    """Remarks on the images from when they were decoded, one line each."""
    transform: Callable[[Any], Any] | None = field(default=None, compare=False)
    """Of the user's own, called in training on each image: a uint8 tensor (C, H, W), and another of the same shape."""

    def __repr__(self) -> str:
        images = " + ".join(f"{len(getattr(self, split)):,}" for split in SPLITS)
        shape = "×".join(map(str, self.train.images.shape[1:]))
        return f"<Dataset {self.name}: {images} images {shape}, {len(self.labels)} classes>"

    def _repr_html_(self) -> str:
        rows = tuple(
            (label, *(f"{int((getattr(self, split).labels == number).sum()):,}" for split in SPLITS))
            for number, label in enumerate(self.labels)
        )
        columns: tuple[Column, ...] = (("class", "left"), *((split, "right") for split in SPLITS))
        return Tabular(columns, rows, f"{self!r}"[1:-1], self.notes).to_html()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.labels)


class _Manifest(BaseModel):
    """The content of `dataset.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    fingerprint: str
    origin: str
    synthetic: bool
    shapes: dict[str, tuple[int, int, int, int]]
    notes: tuple[str, ...] = ()


def fingerprint_of(labels: tuple[str, ...], preprocessing: Preprocessing, splits: dict[str, Split]) -> str:
    """SHA-256 over class names, preprocessing and every pixel and label: independent of where they are stored."""
    shapes = {name: list(splits[name].images.shape) for name in SPLITS}
    head = {"labels": labels, "preprocessing": preprocessing.model_dump(mode="json"), "shapes": shapes}
    digest = hashlib.sha256(canonical_json(head))
    for name in SPLITS:
        digest.update(np.ascontiguousarray(splits[name].images).data)
        digest.update(np.ascontiguousarray(splits[name].labels, dtype=LABEL_TYPE).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class About:
    """The facts about a dataset other than its images."""

    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    origin: str
    synthetic: bool
    notes: tuple[str, ...] = ()


def write_dataset(folder: Path, splits: dict[str, Split], about: About) -> None:
    """Write what `open_dataset` reads into `folder`; `dataset.json` comes last and marks the rest as complete."""
    for part in SPLITS:
        _write_array(folder / f"{part}_images.npy", splits[part].images)
        _write_array(folder / f"{part}_labels.npy", splits[part].labels.astype(LABEL_TYPE))
    manifest = _Manifest(
        format=FORMAT,
        name=about.name,
        labels=about.labels,
        preprocessing=about.preprocessing,
        fingerprint=fingerprint_of(about.labels, about.preprocessing, splits),
        origin=about.origin,
        synthetic=about.synthetic,
        shapes={part: splits[part].images.shape for part in SPLITS},
        notes=about.notes,
    )
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())


def open_dataset(folder: Path) -> Dataset:
    """The dataset that `prepare` left in `folder`, memory-mapped and read-only.

    Sizes and types are checked, not every pixel (`check_contents` does that). Raises DataError naming the file
    that is missing or damaged.
    """
    try:
        manifest = _Manifest.model_validate(load_json(folder / MANIFEST))
    except OSError as error:
        raise DataError(f"{folder / MANIFEST}: {error.strerror}: not a decoded dataset; {_again(folder)}") from error
    except ValueError as error:  # pydantic's error is one
        raise DataError(f"{folder / MANIFEST}: damaged or of another version; {_again(folder)}") from error
    train, validation, test = (_open_split(folder, part, manifest) for part in SPLITS)
    return Dataset(
        name=manifest.name,
        labels=manifest.labels,
        preprocessing=manifest.preprocessing,
        fingerprint=manifest.fingerprint,
        origin=manifest.origin,
        synthetic=manifest.synthetic,
        notes=manifest.notes,
        train=train,
        validation=validation,
        test=test,
    )


def check_contents(data: Dataset, folder: Path) -> None:
    """Read every pixel and label once. Raises DataError if they do not match the fingerprint."""
    splits = {name: getattr(data, name) for name in SPLITS}
    if fingerprint_of(data.labels, data.preprocessing, splits) != data.fingerprint:
        raise DataError(f"{folder}: its arrays do not match its fingerprint; {_again(folder)}")


def _open_split(folder: Path, part: str, manifest: _Manifest) -> Split:
    shape = manifest.shapes.get(part, (0, 0, 0, 0))
    images = _open_array(folder / f"{part}_images.npy", shape, np.dtype(np.uint8))
    return Split(images, _open_array(folder / f"{part}_labels.npy", shape[:1], LABEL_TYPE))


def _open_array(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, which fails in many ways on damaged bytes
        raise DataError(f"{path}: missing or damaged: {first_line(error)}; {_again(path.parent)}") from error
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype} {array.shape}"
        raise DataError(f"{path}: holds {found}, expected {dtype} {shape}; {_again(path.parent)}")
    return array


def _write_array(path: Path, array: np.ndarray) -> None:
    with whole_file(path) as file:
        np.save(file, array, allow_pickle=False)


def _again(folder: Path) -> str:
    return f"delete {folder} and run again"
