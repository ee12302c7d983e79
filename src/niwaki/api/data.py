"""Data for the functions of Python: a dataset by name or place, or of one's own arrays and torch datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from niwaki.arguments import checked, settings_of, warn
from niwaki.data import arrays
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.datasets import BUILT_IN, built_in, kind_of
from niwaki.data.prepare import keep, prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError, guess


@checked
def load_data(name_or_folder: str | Path = "fashion-mnist", **settings: Any) -> Dataset:
    """A dataset, decoded once and memory-mapped: training, validation and test images as uint8 (N, C, H, W).

    `name_or_folder` is fashion-mnist, synthetic, a folder with one folder of images per class, a .csv or .npz file, or
    a folder of IDX files;
    `settings` are those of a study's `[data]` section (`limit=1000`, `preprocessing={"size": [32, 32]}`).

    Warns if images are duplicated. Raises NiwakiError if the dataset is missing or damaged.

    >>> niwaki.load_data("synthetic", limit=200, validation=40, test_limit=60)
    <Dataset synthetic: 200 + 40 + 60 images 1×32×32, 10 classes>
    """
    if built_in(name_or_folder):
        settings = {"name": name_or_folder, **settings}
    else:
        if not Path(name_or_folder).exists() and (near := guess(str(name_or_folder), BUILT_IN)):
            raise DataError(f"{name_or_folder}: {near}there is no such dataset, file or folder")
        settings = {"name": kind_of(name_or_folder), "path": name_or_folder, **settings}
    data = open_dataset(prepare(settings_of(DataSpec, settings)))
    for note in data.notes:
        warn(f"{data.origin}: {note}")
    return data


@checked
def dataset(
    train: object,
    *,
    validation: object = None,
    test: object = None,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    transform: Callable[[Any], Any] | None = None,
    name: str = "python",
    **settings: Any,
) -> Dataset:
    """A dataset of your own arrays, torch `Dataset` or `DataLoader`, decoded once; exports find it by its contents.

    `train`, `validation` and `test` are each `(images, labels)` or a sequence of such pairs: PIL images, or bytes with
    channels first or last. Missing parts are held out (`settings` are those of `[data]`: `validation_images=500`,
    `test_share=0.2`). `preprocessing` is what every device does with an image; without it, niwaki chooses colour and
    size. `transform` is your own augmentation: training calls it on every image, a uint8 tensor (C, H, W).

    Raises DataError if images or labels are none, or if a dataset's own transforms are random.

    >>> images, labels = np.zeros((40, 16, 16), np.uint8), np.arange(40) % 4
    >>> images[np.arange(40), labels] = 10 * np.arange(40)[:, None] // 2
    >>> niwaki.dataset((images, labels), labels=["a", "b", "c", "d"])
    <Dataset python: 29 + 3 + 8 images 1×16×16, 4 classes>
    """
    given = {"train": train, "validation": validation, "test": test}
    parts = {part: arrays.items_of(one, part) for part, one in given.items() if one is not None or part == "train"}
    found, how = arrays.source_of(parts, labels, preprocessing, name)
    split = {"validation": settings.pop("validation_images", None), "test": settings.pop("test_share", 0.2)}
    spec = settings_of(DataSpec, {"name": "npz", "path": name, "preprocessing": how, **split, **settings})
    data = replace(open_dataset(keep(found, spec)), transform=transform)
    for note in data.notes:
        warn(f"{data.origin}: {note}")
    return data
