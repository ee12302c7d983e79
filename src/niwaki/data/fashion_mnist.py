"""Fashion-MNIST: 60,000 + 10,000 grey images of 28 × 28 in ten classes (Xiao, Rasul, Vollgraf: arXiv:1708.07747)."""

from __future__ import annotations

import os
from pathlib import Path

from niwaki.data import idx, synthetic
from niwaki.data.dataset import Split
from niwaki.data.datasets import GARMENTS
from niwaki.data.download import RemoteFile, download, md5_of
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError, Setting, Wording
from niwaki.files import sha256_of

FILES = (
    RemoteFile("train-images-idx3-ubyte.gz", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    RemoteFile("train-labels-idx1-ubyte.gz", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
    RemoteFile("t10k-images-idx3-ubyte.gz", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
    RemoteFile("t10k-labels-idx1-ubyte.gz", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
)
MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
)
DATA_VARIABLE = "NIWAKI_DATA_DIR"
FOLDER = "fashion-mnist"
TRAINING_IMAGES = 60_000


class NotAvailable(DataError):
    """Not found and not downloaded; the only failure after which a study may continue with other data."""


def find(spec: DataSpec, places: Places) -> Source:
    """The dataset from the study's path, or its usual place, or downloaded; or `synthetic` if that is allowed."""
    try:
        return source(_folder(spec, places))
    except NotAvailable as error:
        if not spec.fallback:
            raise
        places.notify(
            Wording(
                "Fashion-MNIST is not available, so this study uses 'synthetic', garments that niwaki draws; "
                "its figures say nothing about Fashion-MNIST. ",
                error,
            )
        )
        return synthetic.find(spec, places)


def _folder(spec: DataSpec, places: Places) -> Path:
    """The folder with the four files: the given one, or in $NIWAKI_DATA_DIR, or in the cache, downloaded if needed."""
    named = _named_place(spec)
    if named is not None:
        check(named)
        return named
    place = places.cache / FOLDER
    check_present(place)
    absent = missing(place)
    try:
        if absent:
            download(absent, place, MIRRORS if places.mirrors is None else places.mirrors, notify=places.notify)
    except (DataError, OSError) as error:
        raise NotAvailable(
            f"Fashion-MNIST is {_not_in(place)}, and {error}: put its four files into {place}, or set {DATA_VARIABLE} "
            "or ", Setting("data"), " to their folder",
        ) from error  # fmt: skip
    return place


def _not_in(place: Path) -> str:
    """Where it is not; the variable is named only if it is set."""
    named = os.environ.get(DATA_VARIABLE)
    return f"neither in {DATA_VARIABLE}={named} nor in {place}" if named else f"not in {place}"


def _named_place(spec: DataSpec) -> Path | None:
    if spec.path is not None:
        return folder_within(spec.path) or spec.path
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    place = Path(named) / FOLDER
    return folder_within(Path(named)) or (place if place.is_dir() else None)


def folder_within(place: Path) -> Path | None:
    """`place`, or its sub-folder `fashion-mnist`, whichever holds any of the four files; None if neither does.

    MNIST and its relatives have files of the same names: these differ in size.
    """
    for folder in (place, place / FOLDER):
        if any((folder / file.name).is_file() and (folder / file.name).stat().st_size == file.size for file in FILES):
            return folder
    return None


def missing(folder: Path) -> list[RemoteFile]:
    """Those of the four files that are not in `folder`."""
    return [file for file in FILES if not (folder / file.name).exists()]


def check(folder: Path) -> None:
    """Raise DataError, naming the file, unless all four are in `folder` with the right MD5."""
    for file in missing(folder):
        raise DataError(f"{folder / file.name}: missing: put the four files of Fashion-MNIST into {folder}")
    check_present(folder)


def check_present(folder: Path) -> None:
    """Raise DataError, naming the file, if one of the four is in `folder` with a wrong MD5."""
    for file in FILES:
        path = folder / file.name
        if not path.exists():
            continue
        try:
            found = md5_of(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        if found != file.md5:
            raise DataError(f"{path}: MD5 is {found}, expected {file.md5}: delete it and run again")


def source(folder: Path) -> Source:
    """The dataset in `folder`, whose four files `check` has verified."""

    def decode(preprocessing: Preprocessing) -> Raw:
        return Raw(GARMENTS, _split(folder, "train", preprocessing), test=_split(folder, "t10k", preprocessing))

    identity = sha256_of("".join(file.md5 for file in FILES).encode())
    origin = "Fashion-MNIST (Zalando Research), files checked by MD5"
    return Source(FOLDER, identity, origin, decode, train_images=TRAINING_IMAGES, has_test=True)


def _split(folder: Path, part: str, preprocessing: Preprocessing) -> Split:
    images = idx.read_images(folder / f"{part}-images-idx3-ubyte.gz")
    labels = idx.read_labels(folder / f"{part}-labels-idx1-ubyte.gz", len(GARMENTS))
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} {part} images but {len(labels)} labels: get the four files again")
    return Split(preprocessing.arrange(images), labels)
