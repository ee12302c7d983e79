"""Which split and class each file of a folder belongs to: FOLDER/CLASS/IMAGE, or FOLDER/train/CLASS/IMAGE and the like.

Splits are recognized by the names in `PARTS`, in upper or lower case. Classes are numbered in the order of
`labels.txt`, one name a line, or by name. Folders within a class are read with it. Hidden files, files of the operating
system, empty files, a README and a licence are passed over; any other entry that no rule covers is a `Problem`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from niwaki.data.classes import places_of, shown
from niwaki.data.limits import CLASSES
from niwaki.data.pictures import Problem
from niwaki.device.text import counted
from niwaki.errors import DataError
from niwaki.files import read_at_most

PARTS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
LABELS, LABELS_LIMIT = "labels.txt", 1 << 20
LEFT_BY_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx")  # like .DS_Store, but not hidden
DOCUMENTS = ("readme", "license", "licence")  # prefixes of files that describe the data
DEEPEST = 16  # folders within each other, below a class
PART_OF = {name: part for part, names in PARTS.items() for name in names}

Files = dict[str, list[Path]]  # class name → its images


@dataclass
class Found:
    """What is met on the way through a folder, besides images."""

    problems: list[Problem] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    nested: list[Path] = field(default_factory=list)
    """Folders of images within a class."""

    def notes(self, root: Path) -> tuple[str, ...]:
        """A line for each kind of thing that was passed over, or read although it is unusual."""
        lines = []
        if self.empty:
            lines.append(f"passed over {counted(len(self.empty), 'empty file')} ({_below(root, self.empty[0])})")
        if self.nested:
            inside = counted(len(self.nested), "folder")
            lines.append(f"read {inside} within classes as part of them ({_below(root, self.nested[0])})")
        return tuple(lines)


@dataclass(frozen=True)
class Layout:
    """The images of a folder by split and class; validation and test are empty without a folder of their own."""

    root: Path
    train: Files
    validation: Files
    test: Files
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in order."""
        return tuple(self.train)

    @property
    def parts(self) -> dict[str, Files]:
        """The images of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def paths(self) -> list[Path]:
        """Every image: those of train, of validation, of test."""
        return [path for files in self.parts.values() for path in files_of(files)]

    def name_of(self, path: Path) -> str:
        """A file's name below the folder, or its whole path if it is elsewhere."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def without(self, problems: Sequence[Problem]) -> Layout:
        """The layout without these files; the classes stay the same."""
        if not problems:
            return self
        bad = {problem.path for problem in problems}
        train, validation, test = (
            {name: [path for path in images if path not in bad] for name, images in files.items()}
            for files in self.parts.values()
        )
        return replace(self, train=train, validation=validation, test=test)


def find_layout(root: Path) -> Layout:
    """The contents of a folder of images, with everything in it that cannot be used.

    Raises DataError, naming the entry, if it is unclear what the classes are.
    """
    _check_is_of_images(root)
    found = Found()
    root = _inside(root)
    parts = _parts(root, found)
    if not parts:
        train = in_listed_order(root, _classes(root, found, listed=True))
        return Layout(root, train, {}, {}, tuple(found.problems), found.notes(root))
    train = in_listed_order(root, _classes(parts["train"], found))
    beside = {part: _classes(parts[part], found, least=1) if part in parts else {} for part in ("validation", "test")}
    for part, files in beside.items():
        strangers = sorted(set(files) - set(train))
        if strangers:
            raise DataError(f"{parts[part] / strangers[0]}: no such class in {parts['train']}: {shown(list(train))}")
    return Layout(root, train, beside["validation"], beside["test"], tuple(found.problems), found.notes(root))


def _check_is_of_images(root: Path) -> None:
    """Raise DataError for folders of other tools that hold no files of images; it says how to read them."""
    names = {entry.name for entry in _entries(root)}
    pickles = {"train", "test", "meta"} <= names and not (root / "train").is_dir()
    if pickles or names & {"data_batch_1", "batches.meta"}:
        raise DataError(
            f"{root}: Python pickles, as CIFAR's, which can run code and which niwaki never opens: read them with "
            "torchvision, and give that dataset to niwaki.dataset(train=…, test=…)"
        )
    if names & {"dataset_dict.json", "dataset_info.json"}:
        raise DataError(
            f"{root}: a dataset that Hugging Face's `datasets` saved: read it with datasets.load_from_disk, and give "
            "its splits to niwaki.dataset(train=…, test=…)"
        )


def files_of(files: Files) -> Iterator[Path]:
    """The images of all classes, one class after the other."""
    for images in files.values():
        yield from images


def _inside(root: Path) -> Path:
    """The folder that holds the classes: archives often unpack to a folder with a single folder in it."""
    for _ in range(DEEPEST):
        entries = [entry for entry in _entries(root) if not _is_about(entry)]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].name.casefold() in PART_OF:
            return root
        inner = _entries(entries[0])
        if not any(entry.is_dir() for entry in inner) or not all(entry.is_dir() or _is_about(entry) for entry in inner):
            return root
        root = entries[0]
    return root


def _parts(root: Path, found: Found) -> dict[str, Path]:
    """The folders that are splits; none if the classes are in `root` itself.

    A class may well be called train and hold images: only a folder of folders is a split.
    """
    entries = _entries(root)
    named = [entry for entry in entries if entry.is_dir() and entry.name.casefold() in PART_OF]
    holding = [entry for entry in named if any(inner.is_dir() for inner in _entries(entry))]
    if not holding:
        return {}
    parts: dict[str, Path] = {}
    for entry in named:
        part = PART_OF[entry.name.casefold()]
        if part in parts:
            raise DataError(f"{parts[part]} and {entry.name}: both are read as {part}: merge them, or keep one")
        parts[part] = entry
    if "train" not in parts:
        raise DataError(f"{holding[0]}: looks like a part of a dataset, but there is no train/ beside it")
    known = ", ".join(name for names in PARTS.values() for name in names)
    for entry in entries:
        if entry not in named and not _is_about(entry):
            why = (
                f"unexpected beside {parts['train'].name}/ (known folders: {known}): rename it, move it out "
                "of the folder, or start its name with a dot"
            )
            found.problems.append(Problem(entry, why))
    return parts


def _classes(root: Path, found: Found, *, listed: bool = False, least: int = 2) -> Files:
    """The images of each class below `root`, both sorted by name; with `listed`, a list of the classes may be there."""
    entries = [entry for entry in _entries(root) if not (listed and _is_about(entry))]
    for entry in entries:
        if not entry.is_dir():
            why = f"a file among the class folders: move it into its class, or out of {root}"
            found.problems.append(Problem(entry, why))
    folders = [entry for entry in entries if entry.is_dir()]
    CLASSES.check(len(folders), str(root))
    _check_names(root, [entry.name for entry in folders])
    classes = {entry.name: _images(entry, found) for entry in folders}
    for name in [name for name, images in classes.items() if not images]:
        found.problems.append(Problem(root / name, "no images in it: add some, or remove the folder"))
        del classes[name]
    if len(classes) < least:
        seen = f"only the class {next(iter(classes))!r}" if classes else "no folder in it that has images"
        raise DataError(f"{root}: {seen}: at least two are needed, one folder of images per class")
    return classes


def _images(folder: Path, found: Found, depth: int = 1) -> list[Path]:
    """The files of a class, those in folders within it after its own; each real folder once, whatever links to it."""
    files: list[Path] = []
    folders: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir():
            folders.append(entry)
        elif entry.is_file() and not entry.stat().st_size:
            found.empty.append(entry)
        else:
            files.append(entry)
    found.nested += [folder] if depth > 1 and files else []
    for entry in folders:
        if depth == DEEPEST or entry.resolve() in (folder.resolve(), *folder.resolve().parents):
            found.problems.append(Problem(entry, "leads back to a folder that it is in, or too deep: remove it"))
            continue
        files += _images(entry, found, depth + 1)
    return files


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


def in_listed_order(root: Path, files: Files) -> Files:
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


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
