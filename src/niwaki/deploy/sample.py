"""The images that the forms of a model are tried on: from its test split, or made-up ones, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.deploy.exported import Export
from niwaki.deploy.images import random_images
from niwaki.deploy.pictures import NO_PIXELS, Pictures
from niwaki.errors import Setting, Wording

WORK = 5_000_000_000  # MACs to try unless the user sets the number of images: LeNet-5 on all 10,000, in seconds
FEWEST, RANDOM = 100, 1000


@dataclass(frozen=True)
class Sample:
    """The images that every form gets."""

    images: np.ndarray  # uint8 (n, C, H, W)
    what: str
    labels: np.ndarray | None = None
    places: np.ndarray | None = None
    """Their positions in the test split."""
    notes: tuple[str, ...] = ()

    def name(self, index: int) -> str:
        """The name of an image."""
        return f"image {index if self.places is None else self.places[index]}"


def choose_sample(export: Export, pictures: Pictures, count: int | None) -> Sample:
    """`count` of the test images, or random ones if none are known; None: as many as take a few seconds."""
    usual = max(FEWEST, WORK // export.macs)
    if pictures.data is None:
        count = count or min(RANDOM, usual)
        images = random_images(_three(export.input_shape), count)
        return Sample(
            images, f"{count:,} random images", notes=(Wording("random images, since ", _why(export, pictures)),)
        )
    found, test = pictures.data, pictures.data.test
    count = min(len(test), count or usual)
    places = np.sort(np.random.default_rng(0).permutation(len(test))[:count])
    what = f"{count:,} of the {len(test):,} test images of {found.name}"
    if count == len(test):
        what = f"all {count:,} test images of {found.name}"
    notes = ("synthetic data: these results say nothing about Fashion-MNIST",) if found.synthetic else ()
    return Sample(np.asarray(test.images[places]), what, np.asarray(test.labels[places]), places, notes)


def _why(export: Export, pictures: Pictures) -> str:
    """Why the images are random."""
    if export.preprocessing is None:
        return NO_PIXELS
    if pictures.error is not None:
        return Wording("the model's own data is not available: ", pictures.error)
    return Wording("no file says which data the model was trained on: name it with ", Setting("data"))


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as channels, height and width."""
    return shape if len(shape) == 3 else (1, 1, *shape)
