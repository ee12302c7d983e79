"""A folder of images per class: FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE with test/ and val/ beside train/."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Raw, Source
from niwaki.errors import DataError

Result = TypeVar("Result")
ORIENTATION = 0x0112  # of EXIF
QUARTER_TURNS = (5, 6, 7, 8)
Files = dict[str, list[Path]]  # class name → its images, both sorted


def source(root: Path) -> Source:
    """The dataset below `root`. Reads every file once, for its identity. Raises DataError for what is wrong there."""
    train, validation, test = _parts(root)
    names = tuple(train)

    def decode(preprocessing: Preprocessing) -> Raw:
        size = preprocessing.size or _one_size([*_all(train), *_all(validation), *_all(test)])
        shape = preprocessing.input_shape(size)

        def split(files: Files) -> Split:
            return _decode(files, names, shape, preprocessing)

        return Raw(names, split(train), split(validation) if validation else None, split(test) if test else None)

    identity = _identity(root, [*_all(train), *_all(validation), *_all(test)])
    return Source("folder", identity, f"folder {root.resolve().name}", decode)


def _parts(root: Path) -> tuple[Files, Files, Files]:
    """The images of train, validation and test; of the last two none where they have no folder of their own."""
    if not (root / "train").is_dir():
        return _classes(root), {}, {}
    train = _classes(root / "train")
    beside = {part: _classes(root / part) if (root / part).is_dir() else {} for part in ("val", "test")}
    for part, files in beside.items():
        strangers = sorted(set(files) - set(train))
        if strangers:
            raise DataError(f"{root / part / strangers[0]}: no such class in {root / 'train'}: {', '.join(train)}")
    return train, beside["val"], beside["test"]


def _classes(root: Path) -> Files:
    entries = _entries(root)
    loose = [entry for entry in entries if not entry.is_dir()]
    if loose:
        raise DataError(f"{loose[0]}: a file among the class folders: move it into its class, or out of {root}")
    if len(entries) < 2:
        found = f"only the class {entries[0].name!r}" if entries else "no folder in it"
        raise DataError(f"{root}: {found}: at least two are needed, one folder of images per class")
    files = {entry.name: _entries(entry) for entry in entries}
    for name, images in files.items():
        if not images:
            raise DataError(f"{root / name}: no image in it: add some, or remove the folder")
    return files


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; what is hidden is not part of it."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error


def _all(files: Files) -> Iterator[Path]:
    for images in files.values():
        yield from images


def _identity(root: Path, paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            contents = hashlib.sha256(path.read_bytes()).digest()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + contents)
    return digest.hexdigest()


def _one_size(paths: list[Path]) -> tuple[int, int]:
    """Height and width of all images. Raises DataError naming the first that differs from the first of all."""
    first = _size(paths[0])
    for path in paths[1:]:
        size = _size(path)
        if size != first:
            raise DataError(
                f"{path} is {size[0]} × {size[1]}, but {paths[0]} is {first[0]} × {first[1]} (height × width): "
                "set preprocessing.size = [height, width]"
            )
    return first


def _size(path: Path) -> tuple[int, int]:
    def upright(image: Image.Image) -> tuple[int, int]:
        turned = image.getexif().get(ORIENTATION, 1) in QUARTER_TURNS
        return (image.width, image.height) if turned else (image.height, image.width)

    return _with_image(path, upright)


def _decode(files: Files, names: tuple[str, ...], shape: tuple[int, int, int], preprocessing: Preprocessing) -> Split:
    paths = list(_all(files))
    images = np.empty((len(paths), *shape), dtype=np.uint8)
    for index, path in enumerate(paths):
        images[index] = _with_image(path, preprocessing.decode)
    labels = [names.index(name) for name, members in files.items() for _ in members]
    return Split(images, np.array(labels, dtype=np.int64))


def _with_image(path: Path, use: Callable[[Image.Image], Result]) -> Result:
    try:
        with Image.open(path) as image:
            return use(image)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no image that can be read ({error}): repair or remove it") from error
