"""A folder of images per class, laid out as `niwaki.data.layout` describes, decoded by Pillow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from niwaki.data import pictures
from niwaki.data.dataset import Split
from niwaki.data.layout import Files, Layout, files_of, find_layout
from niwaki.data.limits import check_images
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError


def find(spec: DataSpec, places: Places) -> Source:  # noqa: ARG001 (it is where the study says)
    """The dataset that a study names."""
    assert spec.path is not None  # DataSpec makes sure of it
    return source(spec.path)


def source(root: Path) -> Source:
    """The dataset below `root`. Reads every file once to identify it. Raises DataError if something is wrong there."""
    layout = find_layout(root)

    def decode(preprocessing: Preprocessing) -> Raw:
        return _decode(layout, preprocessing)

    return Source(
        "folder",
        _identity(layout),
        f"folder {root.resolve().name}",
        decode,
        train_images=sum(map(len, layout.train.values())),
        has_validation=bool(layout.validation),
        has_test=bool(layout.test),
    )


def _identity(layout: Layout) -> str:
    digest, failures, paths = hashlib.sha256(), [], layout.paths
    for path in paths:
        if not path.is_file():  # reading a pipe would block
            failures.append(f"{path}: not a regular file: remove it")
            continue
        try:
            with path.open("rb") as file:
                contents = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            failures.append(f"{path}: cannot be read: {error.strerror}")
            continue
        name = path.relative_to(layout.root).as_posix().encode(errors="surrogateescape")
        digest.update(name + b"\0" + contents)
    pictures.raise_together(failures, len(paths))
    return digest.hexdigest()


def _decode(layout: Layout, preprocessing: Preprocessing) -> Raw:
    paths = layout.paths
    shape = preprocessing.input_shape(preprocessing.size or _one_size(paths))
    check_images(len(paths), shape, str(layout.root))
    images = np.empty((len(paths), *shape), dtype=np.uint8)

    def keep(number: int, image: Image.Image) -> None:
        images[number] = preprocessing.decode(image)

    pictures.each(paths, keep)
    ends = np.cumsum([sum(map(len, files.values())) for files in (layout.train, layout.validation, layout.test)])

    def split(files: Files, start: int, end: int) -> Split:
        return Split(images[start:end], _labels(files, layout.names))

    train = split(layout.train, 0, ends[0])
    validation = split(layout.validation, ends[0], ends[1]) if layout.validation else None
    test = split(layout.test, ends[1], ends[2]) if layout.test else None
    return Raw(layout.names, train, validation, test, _names(layout))


def _labels(files: Files, names: Sequence[str]) -> np.ndarray:
    return np.array([names.index(name) for name, members in files.items() for _ in members], dtype=np.int64)


def _names(layout: Layout) -> dict[str, list[str]]:
    parts = {"train": layout.train, "validation": layout.validation, "test": layout.test}
    return {
        part: [path.relative_to(layout.root).as_posix() for path in files_of(files)] for part, files in parts.items()
    }


def _one_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Height and width of all images. Raises DataError naming the first image of another size."""
    sizes: dict[int, tuple[int, int]] = {}
    pictures.each(paths, lambda number, image: sizes.update({number: pictures.size_of(image)}))
    first = sizes[0]
    for number, size in sizes.items():
        if size != first:
            raise DataError(
                f"{paths[number]} is {size[0]} × {size[1]}, but {paths[0]} is {first[0]} × {first[1]} "
                "(height × width): set preprocessing.size = [height, width]"
            )
    return first
