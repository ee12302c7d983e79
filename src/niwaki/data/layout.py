"""Which split and class each file of a folder belongs to: FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE and the like.

Splits are recognized by the names in `PARTS`, in upper or lower case. Classes are numbered in the order of
`labels.txt`, one name a line, or by name. An entry that no rule covers is an error: only hidden files, files of the
operating system, a README and a licence are skipped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from niwaki.data.classes import places_of, shown
from niwaki.data.limits import CLASSES
from niwaki.errors import DataError
from niwaki.files import read_at_most

PARTS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
LABELS, LABELS_LIMIT = "labels.txt", 1 << 20
LEFT_BY_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx")  # like .DS_Store, but not hidden
DOCUMENTS = ("readme", "license", "licence")  # prefixes of files that describe the data
_PART_OF = {name: part for part, names in PARTS.items() for name in names}

Files = dict[str, list[Path]]  # class name → its images


@dataclass(frozen=True)
class Layout:
    """The images of a folder by split and class; validation and test are empty without a folder of their own."""

    root: Path
    train: Files
    validation: Files
    test: Files

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in order."""
        return tuple(self.train)

    @property
    def paths(self) -> list[Path]:
        """Every image: those of train, of validation, of test."""
        return [*files_of(self.train), *files_of(self.validation), *files_of(self.test)]


def find_layout(root: Path) -> Layout:
    """The contents of a folder of images. Raises DataError, naming the entry, for anything that it cannot interpret."""
    parts = _parts(root)
    if not parts:
        return Layout(root, _in_listed_order(root, _classes(root, listed=True)), {}, {})
    train = _in_listed_order(root, _classes(parts["train"]))
    beside = {part: _classes(parts[part]) if part in parts else {} for part in ("validation", "test")}
    for part, files in beside.items():
        strangers = sorted(set(files) - set(train))
        if strangers:
            raise DataError(f"{parts[part] / strangers[0]}: no such class in {parts['train']}: {shown(list(train))}")
    return Layout(root, train, beside["validation"], beside["test"])


def files_of(files: Files) -> Iterator[Path]:
    """The images of all classes, one class after the other."""
    for images in files.values():
        yield from images


def _parts(root: Path) -> dict[str, Path]:
    """The folders that are splits; none if the classes are in `root` itself.

    A class may well be called train and hold images: only a folder of folders is a split.
    """
    entries = _entries(root)
    named = [entry for entry in entries if entry.is_dir() and entry.name.casefold() in _PART_OF]
    holding = [entry for entry in named if any(inner.is_dir() for inner in _entries(entry))]
    if not holding:
        return {}
    parts: dict[str, Path] = {}
    for entry in named:
        part = _PART_OF[entry.name.casefold()]
        if part in parts:
            raise DataError(f"{parts[part]} and {entry.name}: both are read as {part}: merge them, or keep one")
        parts[part] = entry
    if "train" not in parts:
        raise DataError(f"{holding[0]}: looks like a part of a dataset, but there is no train/ beside it")
    for entry in entries:
        if entry not in named and not _is_about(entry):
            known = ", ".join(name for names in PARTS.values() for name in names)
            raise DataError(
                f"{entry}: unexpected beside {parts['train'].name}/ (known folders: {known}): rename it, move it out "
                "of the folder, or start its name with a dot"
            )
    return parts


def _classes(root: Path, *, listed: bool = False) -> Files:
    """The images of each class below `root`, both sorted by name; with `listed`, a list of the classes may be there."""
    entries = [entry for entry in _entries(root) if not (listed and _is_about(entry))]
    loose = [entry for entry in entries if not entry.is_dir()]
    if loose:
        raise DataError(f"{loose[0]}: a file among the class folders: move it into its class, or out of {root}")
    if len(entries) < 2:
        found = f"only the class {entries[0].name!r}" if entries else "no folder in it"
        raise DataError(f"{root}: {found}: at least two are needed, one folder of images per class")
    CLASSES.check(len(entries), str(root))
    _check_names(root, [entry.name for entry in entries])
    return {entry.name: _images(entry) for entry in entries}


def _images(folder: Path) -> list[Path]:
    images = _entries(folder)
    if not images:
        raise DataError(f"{folder}: no images in it: add some, or remove the folder")
    for entry in images:
        if entry.is_dir():
            raise DataError(
                f"{entry}: a folder among the images of class {folder.name!r}: move its images up, or out of it"
            )
    return images


def _check_names(root: Path, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{root / name}: its name is not UTF-8: rename it") from error
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise DataError(
                f"{root}: the classes {seen[folded]!r} and {name!r} differ only in case or in how their accents are "
                "encoded: merge them, or rename one"
            )
        seen[folded] = name


def _in_listed_order(root: Path, files: Files) -> Files:
    """The classes in the order of `labels.txt`, if the file exists."""
    path = root / LABELS
    if not path.is_file():
        return files
    try:
        text = read_at_most(path, LABELS_LIMIT).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    listed = [line.strip() for line in text.splitlines() if line.strip()]
    places = places_of(list(files), listed)
    if places is None:
        raise DataError(f"{path}: lists {shown(listed)}, but the classes are {shown(list(files))}: list each once")
    names = list(files)
    order = sorted(range(len(names)), key=lambda index: int(places[index]))
    return {names[index]: files[names[index]] for index in order}


def _is_about(entry: Path) -> bool:
    """Whether a file describes the data: the list of classes, a README, a licence."""
    return entry.is_file() and (entry.name == LABELS or entry.name.casefold().startswith(DOCUMENTS))


def _entries(folder: Path) -> list[Path]:
    """The entries of a folder by name, without hidden ones and files of the operating system."""
    try:
        return sorted(entry for entry in folder.iterdir() if not _is_overlooked(entry.name))
    except OSError as error:
        why = "there is no such folder" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{folder}: {why}") from error


def _is_overlooked(name: str) -> bool:
    return name.startswith(".") or name.casefold() in LEFT_BY_SYSTEMS
