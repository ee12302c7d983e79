"""What a study needs to know of a user's own images, found by reading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.datasets import DATASETS, MEANT_FOR, built_in, kind_of
from niwaki.data.look import LOOKED_AT, Size, are_coloured, look_at, proposed_size, size_range
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Places, Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError, Setting, SpecError
from niwaki.files import cache_folder
from niwaki.notify import Notify, silent

LEAST_SIDE = 32  # smaller images are padded to it: small networks expect as much
MOST_PAD = 4  # pixels on each side


@dataclass(frozen=True)
class Survey:
    """Images with proposed settings: `spec` has them, `data` is the dataset that they give."""

    spec: DataSpec
    data: Dataset
    sizes: str
    """Heights and widths of the images, in words."""
    coloured: bool
    own_validation: bool
    own_test: bool

    @property
    def imbalance(self) -> float:
        """Training images of the largest class for one of the smallest."""
        counts = np.bincount(self.data.train.labels, minlength=self.data.num_classes)
        return float(counts.max() / max(1, counts.min()))


def survey(place: Path, notify: Notify = silent) -> Survey:
    """Read a user's images, a folder or a file, and choose the settings that follow from them.

    Files that cannot be read are left out (`skip`). Raises DataError if the images cannot be used.
    """
    kind = DATASETS[kind_of(place)]
    if built_in(kind.name):
        raise SpecError(Setting("data", f'"{place}"'), f": is {kind.name}, for which there are studies: copy one")
    skip = {"skip": True} if kind.name in MEANT_FOR["skip"] else {}
    given = DataSpec(name=kind.name, path=place, **skip)
    found = kind.find(given, Places(cache_folder(), notify))
    sizes, coloured = _looks(found)
    spec = DataSpec(name=kind.name, path=place, preprocessing=_proposed(sizes, coloured), **skip)
    data = open_dataset(prepare(spec, notify=notify))
    if skip and not any(note.startswith("skipped ") for note in data.notes):
        spec = spec.model_copy(update={"skip": False})
    return Survey(spec, data, size_range(sizes), coloured, found.has_validation, found.has_test)


def _looks(found: Source) -> tuple[list[Size], bool]:
    if found.paths:
        sizes, coloured = look_at(found.paths)
        if not sizes:
            raise DataError(f"{found.origin}: none of the images that were tried can be read")
        return sizes, coloured
    images = found.decode(Preprocessing(color="rgb")).train.images
    some = images[:: max(1, len(images) // LOOKED_AT)].transpose(0, 2, 3, 1)
    return [(int(images.shape[2]), int(images.shape[3]))], are_coloured(list(some))


def _proposed(sizes: list[Size], coloured: bool) -> Preprocessing:
    """Small square images of one size stay as they are, perhaps padded; others are resized to a square."""
    color = "rgb" if coloured else "grey"
    height, width = sizes[0]
    pad = max(0, (LEAST_SIDE - height + 1) // 2)
    if len(set(sizes)) == 1 and height == width <= 96 and pad <= MOST_PAD:
        return Preprocessing(color=color, pad=pad)
    return Preprocessing(color=color, size=proposed_size(sizes))
