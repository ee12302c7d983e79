"""The images that the forms of a model are tried on: those of its test split, or made-up ones, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from niwaki.data.dataset import Dataset
from niwaki.deploy.exported import Export
from niwaki.deploy.images import Notify, find_data, fit_to, random_images
from niwaki.errors import DataError, ModelError

WORK = 5_000_000_000  # MACs that are tried unless the user says how many images: LeNet-5 on all 10,000, in seconds
FEWEST, RANDOM = 100, 1000
_NO_PIXELS = "no file says how pixels become the model's input"


@dataclass(frozen=True)
class Sample:
    """The images that every form gets."""

    images: np.ndarray  # uint8 (n, C, H, W)
    what: str
    labels: np.ndarray | None = None
    places: np.ndarray | None = None
    """Where in the test split they stand."""
    notes: tuple[str, ...] = ()

    def name(self, index: int) -> str:
        """Which image that is."""
        return f"image {index if self.places is None else self.places[index]}"


def choose_sample(export: Export, data: Dataset | str | None, count: int | None, notify: Notify) -> Sample:
    """`count` test images of `data`, else of the dataset that the files name, else random ones; None: as take seconds.

    Raises DataError where `data` cannot be had or does not fit the model.
    """
    if count is not None and count < 1:
        raise DataError(f"{count} images: give at least 1")
    found, why_not = (data, "") if isinstance(data, Dataset) else _find(export, data, notify)
    usual = max(FEWEST, WORK // export.macs)
    if found is None:
        count = count or min(RANDOM, usual)
        return Sample(random_images(_three(export.input_shape), count), f"{count:,} random images", notes=(why_not,))
    found = fit_to(found, export.input_shape, export.labels, notify, export.outputs)
    test = found.test
    count = min(len(test), count or usual)
    places = np.sort(np.random.default_rng(0).permutation(len(test))[:count])
    what = f"{count:,} of the {len(test):,} test images of {found.name}"
    if count == len(test):
        what = f"all {count:,} test images of {found.name}"
    notes = ("synthetic data: no figure here is a figure of Fashion-MNIST",) if found.synthetic else ()
    return Sample(np.asarray(test.images[places]), what, np.asarray(test.labels[places]), places, notes)


def no_pixels(path: Path) -> ModelError:
    """That data were named for a model which no image can be made an input of."""
    return ModelError(f"{path}: {_NO_PIXELS}, so `data=` means nothing for it: leave it out")


def _find(export: Export, named: str | None, notify: Notify) -> tuple[Dataset | None, str]:
    """The dataset; or None, and why the images are random."""
    if export.preprocessing is None:
        if named is not None:
            raise no_pixels(export.folder)
        return None, f"random images, since {_NO_PIXELS}"
    note = export.note
    provenance: Mapping[str, Any] = export.info.provenance if export.info else {}
    if note is not None and not provenance:
        provenance = note.provenance
    try:
        found = find_data(provenance, export.preprocessing, named or (note.data if note else None), notify)
    except DataError as error:
        if named is not None:
            raise
        return None, f"random images, since those that the model was trained on cannot be had: {error}"
    if found is None:
        return None, "random images, since no file says which the model was trained on: name them with `data=`"
    return found, ""


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as channels, height and width."""
    return shape if len(shape) == 3 else (1, 1, *shape)
