"""Which images a finished model is calibrated and tried on: those of the dataset that it was trained on, or random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwaki.data.classes import in_order, shown
from niwaki.data.dataset import Dataset, Split, open_dataset
from niwaki.data.prepare import find_decoded, prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import BUILT_IN, DataSpec
from niwaki.errors import DataError
from niwaki.randomness import derive_seed

Notify = Callable[[str], None]


def find_data(
    provenance: Mapping[str, Any], preprocessing: Preprocessing, named: str | None, notify: Notify
) -> Dataset | None:
    """The dataset that a user named, else the one of a model's `provenance`; None where that says nothing of use.

    A dataset of the user's own (`npz`, `folder`) that nobody named is found only in the cache of decoded data. A
    study may have held other images out of it than is usual: that is said. Raises DataError where the data cannot be
    had.
    """
    known, name = provenance.get("data"), provenance.get("data_name")
    cached = find_decoded(known) if isinstance(known, str) else None
    found = cached
    if named is not None:
        found = _prepared(named, preprocessing, notify)
        if cached and cached.origin == found.origin and np.array_equal(cached.test.images, found.test.images):
            found = cached  # the same, split as it was for training
    elif cached is None and name in BUILT_IN:
        found = _prepared(str(name), preprocessing, notify)
    if found is None:
        return None
    if isinstance(known, str) and found.fingerprint != known:
        notify(f"{found.origin}: other images, or split in another way, than those that the model was trained on")
    if found.synthetic:
        notify(f"{found.name}: garments that niwaki draws; no figure of them is a figure of Fashion-MNIST")
    return found


def fit_to(
    data: Dataset, input_shape: tuple[int, ...], labels: Sequence[str], notify: Notify, outputs: int | None = None
) -> Dataset:
    """`data` with its classes in a model's order (`labels`, compared by name).

    Of a model without labels only the number of its `outputs`, if known, can be compared: that is said. Raises
    DataError where the images or the classes are not those of the model.
    """
    if data.input_shape != input_shape:
        want, have = ("×".join(map(str, shape)) for shape in (input_shape, data.input_shape))
        raise DataError(f"{data.origin}: its images are {have}, but the model takes {want}: name its own data")
    if labels:
        return in_order(data, labels, notify=notify)
    if outputs is not None and data.num_classes != outputs:
        raise DataError(
            f"{data.origin}: {data.num_classes} classes ({shown(data.labels)}), but the model has {outputs} outputs: "
            "name the data that it was trained on"
        )
    notify(f"the model does not name its classes: its outputs are taken as {shown(data.labels)}, in this order")
    return data


def calibration_images(train: Split, count: int, seed: int | None = None) -> np.ndarray:
    """`count` images drawn from a training split, uint8 (n, C, H, W); all of them where there are not so many.

    The same split and seed give the same images; without a seed they are those of every export.
    """
    drawn = derive_seed(0, "export", 0) if seed is None else seed
    chosen = np.random.default_rng(drawn).permutation(len(train))[:count]
    return np.asarray(train.images[np.sort(chosen)])


def random_images(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Made-up images, uint8 (count, *shape): by turns noise, and patches of 4×4 pixels as in a coarse picture."""
    channels, height, width = shape
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    coarse = rng.integers(0, 256, (count, channels, -(-height // 4), -(-width // 4)), dtype=np.uint8)
    patches = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]
    images[1::2] = patches[1::2]
    return images


def _prepared(named: str, preprocessing: Preprocessing, notify: Notify) -> Dataset:
    if named in BUILT_IN:
        return open_dataset(prepare(DataSpec(name=named, preprocessing=preprocessing), notify=notify))
    usual = DataSpec(name="folder", path=Path(named), preprocessing=preprocessing)
    return open_dataset(prepare(usual, data=named, notify=notify))
