"""A user's dataset in the IDX files of MNIST and its relatives: KMNIST, EMNIST, or your own.

`train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, perhaps with a prefix (`emnist-letters-`), gzipped or not, and
test files named `t10k-…` or `test-…`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwaki.data import idx
from niwaki.data.dataset import Split
from niwaki.data.layout import LABELS, LABELS_LIMIT
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError
from niwaki.files import read_at_most

NAME = re.compile(r"(?P<before>.*?)(?P<part>train|t10k|test)-images[-.]idx3-ubyte(?:\.gz)?")
TURNED = "emnist-"  # EMNIST stores its images with rows and columns exchanged


@dataclass(frozen=True)
class Pair:
    """The images and the labels of a split."""

    images: Path
    labels: Path


def find(spec: DataSpec, places: Places) -> Source:  # noqa: ARG001 (it is where the study says)
    """The dataset that a study names."""
    assert spec.path is not None  # DataSpec makes sure of it
    return source(spec.path)


def folder_within(place: Path) -> Path | None:
    """`place`, if there are IDX files of images in it; otherwise None."""
    return place if _families(place) else None


def source(path: Path) -> Source:
    """The dataset in a folder of IDX files, or beside a training file. Raises DataError, naming the file, if it cannot
    be read.
    """
    train, test = _pairs(path)
    files = [train.images, train.labels, *((test.images, test.labels) if test else ())]
    names = _names(train)
    digest = hashlib.sha256()
    for file in (*files, *names.files):
        digest.update(_sha256(file))
    if train.images.name.startswith(TURNED):
        digest.update(b"turned")

    def decode(preprocessing: Preprocessing) -> Raw:
        labels = idx.read_labels(train.labels, 256)
        known = np.unique(labels)
        said = names.of(known, train.labels)
        note = "EMNIST stores its images with rows and columns exchanged: they are turned back"
        return Raw(
            said,
            _split(train, labels, known, preprocessing),
            test=None if test is None else _split(test, idx.read_labels(test.labels, 256), known, preprocessing),
            notes=(note,) if train.images.name.startswith(TURNED) else (),
        )

    origin = f"IDX files {train.images.name}"
    return Source("idx", digest.hexdigest(), origin, decode, train_images=idx.count(train.labels), has_test=bool(test))


def _families(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of images in a folder, by what their names begin with and by split."""
    found: dict[str, dict[str, Path]] = {}
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        match = NAME.fullmatch(entry.name)
        if match and entry.is_file():
            part = "train" if match["part"] == "train" else "test"
            found.setdefault(match["before"], {}).setdefault(part, entry)
    return found


def _pairs(path: Path) -> tuple[Pair, Pair | None]:
    folder = path if path.is_dir() else path.parent
    families = _families(folder)
    if not path.is_dir():
        match = NAME.fullmatch(path.name)
        if match is None or not path.is_file():
            raise DataError(f"{path}: not a file of IDX images (train-images-idx3-ubyte)")
        families = {match["before"]: families[match["before"]]}
    complete = {before: parts for before, parts in families.items() if "train" in parts}
    if not complete:
        raise DataError(f"{path}: no IDX file of training images in it (train-images-idx3-ubyte, perhaps .gz)")
    if len(complete) > 1:
        files = ", ".join(parts["train"].name for parts in complete.values())
        raise DataError(f"{path}: holds several datasets: name the file of training images: {files}")
    [parts] = complete.values()
    return _pair(parts["train"]), _pair(parts["test"]) if "test" in parts else None


def _pair(images: Path) -> Pair:
    """The file of labels beside one of images, gzipped or not."""
    base = re.sub(r"-images([-.])idx3-", r"-labels\1idx1-", images.name.removesuffix(".gz"))
    dotted = re.sub(r"labels[-.]idx1", "labels.idx1", base), re.sub(r"labels[-.]idx1", "labels-idx1", base)
    for name in (base, *dotted):
        for ending in ("", ".gz"):
            if (images.parent / f"{name}{ending}").is_file():
                return Pair(images, images.parent / f"{name}{ending}")
    raise DataError(f"{images.parent / base}: missing: the labels of {images.name}, perhaps with .gz")


def _split(pair: Pair, labels: np.ndarray, known: np.ndarray, preprocessing: Preprocessing) -> Split:
    images = idx.read_images(pair.images)
    if len(images) != len(labels):
        raise DataError(f"{pair.images}: {len(images)} images, but {pair.labels.name} has {len(labels)} labels")
    strangers = np.flatnonzero(~np.isin(labels, known))
    if strangers.size:
        at = strangers[0]
        raise DataError(f"{pair.labels}: label {labels[at]} of image {at}: no training image has it")
    if pair.images.name.startswith(TURNED):
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    return Split(preprocessing.arrange(images), np.searchsorted(known, labels).astype(np.int64))


@dataclass(frozen=True)
class _Names:
    """The names of the classes: of a list, of EMNIST's mapping from labels to characters, or the labels themselves."""

    listed: Path | None
    mapping: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """What the names depend on."""
        return tuple(file for file in (self.listed, self.mapping) if file is not None)

    def of(self, known: np.ndarray, file: Path) -> tuple[str, ...]:
        """The names of these labels, in their order. Raises DataError if there are others, or if two are the same."""
        if len(known) < 2:
            raise DataError(f"{file}: only the label {known[0]}: at least two classes are needed")
        names = [str(number) for number in known]
        if self.listed is not None:
            names = [line.strip() for line in _text(self.listed).splitlines() if line.strip()]
            if len(names) != len(known) or len(set(names)) != len(names):
                raise DataError(f"{self.listed}: {len(names)} names for {len(known)} classes: list each once")
        elif self.mapping is not None:
            rows = [line.split() for line in _text(self.mapping).splitlines() if line.strip()]
            if not all(len(row) >= 2 and all(cell.isdigit() and int(cell) < 0x10000 for cell in row) for row in rows):
                raise DataError(f"{self.mapping}: expected lines of a label and its characters, as in 1 65 97")
            said = {int(row[0]): chr(int(row[1])) for row in rows}
            names = [said.get(int(number), str(number)) for number in known]
        return tuple(names)


def _names(train: Pair) -> _Names:
    before = NAME.fullmatch(train.images.name)
    assert before is not None  # it was found by this pattern
    listed, mapping = train.images.parent / LABELS, train.images.parent / f"{before['before']}mapping.txt"
    return _Names(listed if listed.is_file() else None, mapping if mapping.is_file() else None)


def _text(path: Path) -> str:
    try:
        return read_at_most(path, LABELS_LIMIT).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _sha256(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
