"""A folder of images per class, laid out as `niwaki.data.layout` describes, decoded by Pillow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from niwaki.data import pictures
from niwaki.data.dataset import Split
from niwaki.data.layout import Files, Layout, files_of, find_layout
from niwaki.data.limits import check_images
from niwaki.data.look import proposed_size, size_range
from niwaki.data.pictures import Problem
from niwaki.data.preprocessing import Preprocessing, check_depth
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec
from niwaki.device.text import counted
from niwaki.errors import DataError


def find(spec: DataSpec, places: Places) -> Source:  # noqa: ARG001 (it is where the study says)
    """The dataset that a study names."""
    assert spec.path is not None  # DataSpec makes sure of it
    return source(spec.path, skip=spec.skip)


def source(root: Path, *, skip: bool = False) -> Source:
    """The dataset below `root`. Reads every file once to identify it.

    With `skip` it leaves out what cannot be used; a note counts and names it. Otherwise raises one DataError for all of
    it.
    """
    return source_of(find_layout(root), "folder", f"folder {root.resolve().name}", skip=skip)


def source_of(layout: Layout, name: str, origin: str, *, skip: bool = False) -> Source:
    """The dataset of files that are known by split and class. Raises DataError as `source` does."""
    digests, unread = _digests(layout)
    problems = [*layout.problems, *unread]
    if problems and not skip:
        rest = pictures.each(list(digests), _try)
        pictures.raise_together([*problems, *rest], len(layout.paths) + len(layout.problems))
    usable = layout.without(unread)

    def decode(preprocessing: Preprocessing) -> Raw:
        return _decode(usable, preprocessing, problems if skip else None)

    return Source(
        name,
        _identity(layout, digests),
        origin,
        decode,
        train_images=sum(map(len, usable.train.values())),
        has_validation=bool(usable.validation),
        has_test=bool(usable.test),
        paths=tuple(usable.paths),
    )


def _try(_: int, image: Image.Image) -> None:
    image.load()
    check_depth(image)


def _digests(layout: Layout) -> tuple[dict[Path, bytes], list[Problem]]:
    """The SHA-256 of every image, and the files that cannot be read."""
    digests: dict[Path, bytes] = {}
    unread = []
    for path in layout.paths:
        if not path.is_file():  # reading a pipe would block
            unread.append(Problem(path, "not a regular file: remove it"))
            continue
        try:
            with path.open("rb") as file:
                digests[path] = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            unread.append(Problem(path, f"cannot be read: {error.strerror}"))
    return digests, unread


def _identity(layout: Layout, digests: Mapping[Path, bytes]) -> str:
    digest = hashlib.sha256()
    for path, contents in digests.items():
        digest.update(layout.name_of(path).encode(errors="surrogateescape") + b"\0" + contents)
    return digest.hexdigest()


def _decode(layout: Layout, preprocessing: Preprocessing, skipped: Sequence[Problem] | None) -> Raw:
    """The images; `skipped` are the files left out so far, None if every file must be readable."""
    paths = layout.paths
    preprocessing, size, notes = _with_size(paths, preprocessing, skip=skipped is not None)
    shape = preprocessing.input_shape(size)
    check_images(len(paths), shape, str(layout.root))
    images = np.empty((len(paths), *shape), dtype=np.uint8)

    def keep(number: int, image: Image.Image) -> None:
        images[number] = preprocessing.decode(image)

    failed = pictures.each(paths, keep)
    if skipped is None:
        pictures.raise_together(failed, len(paths))
    left = layout.without(failed)
    lost = [name for name in layout.names if not left.train.get(name)]
    if lost:
        raise DataError(f"{layout.root}: no training image of class {lost[0]!r} can be read")
    bad = {problem.path for problem in failed}
    images = images[[path not in bad for path in paths]] if bad else images
    notes += _left_out([*(skipped or ()), *failed], layout)
    return _raw(left, images, preprocessing, (*layout.notes, *notes))


def _raw(layout: Layout, images: np.ndarray, preprocessing: Preprocessing, notes: tuple[str, ...]) -> Raw:
    ends = np.cumsum([sum(map(len, files.values())) for files in layout.parts.values()])

    def split(files: Files, start: int, end: int) -> Split:
        return Split(images[start:end], _labels(files, layout.names))

    train = split(layout.train, 0, ends[0])
    validation = split(layout.validation, ends[0], ends[1]) if layout.validation else None
    test = split(layout.test, ends[1], ends[2]) if layout.test else None
    return Raw(layout.names, train, validation, test, _names(layout), preprocessing, notes)


def _labels(files: Files, names: Sequence[str]) -> np.ndarray:
    return np.array([names.index(name) for name, members in files.items() for _ in members], dtype=np.int64)


def _names(layout: Layout) -> dict[str, list[str]]:
    return {part: [layout.name_of(path) for path in files_of(files)] for part, files in layout.parts.items()}


Size = tuple[int, int]


def _with_size(
    paths: Sequence[Path], preprocessing: Preprocessing, *, skip: bool
) -> tuple[Preprocessing, Size | None, tuple[str, ...]]:
    """The preprocessing with a size if it has none and the images differ; the size of all images if they do not."""
    if preprocessing.size is not None:
        return preprocessing, None, ()
    sizes: list[Size] = []
    failed = pictures.each(paths, lambda _, image: sizes.append(pictures.size_of(image)))
    if failed and not skip:
        pictures.raise_together(failed, len(paths))
    if len(set(sizes)) < 2:
        return preprocessing, next(iter(sizes), None), ()
    chosen = proposed_size(sizes)
    note = f"images of {size_range(sizes)} are resized to {chosen[0]}×{chosen[1]} (preprocessing.size)"
    return preprocessing.model_copy(update={"size": chosen}), None, (note,)


def _left_out(skipped: Sequence[Problem], layout: Layout) -> tuple[str, ...]:
    """A line that counts and names what was left out; none if nothing was."""
    if not skipped:
        return ()
    named = "; ".join(f"{layout.name_of(problem.path)}: {problem.why}" for problem in skipped[: pictures.NAMED])
    more = f"; and {len(skipped) - pictures.NAMED} more" if len(skipped) > pictures.NAMED else ""
    return (f"skipped {counted(len(skipped), 'file')}: {named}{more}",)
