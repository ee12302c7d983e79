"""The datasets, one entry each: what is known before any file is read, and the module that finds the images."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the table itself must not load NumPy: help texts list it
    from niwaki.data.source import Places, Source

GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
GARMENT_SIZE = (28, 28)


@dataclass(frozen=True)
class BuiltIn:
    """What is known of a dataset from its name alone."""

    labels: tuple[str, ...]
    size: tuple[int, int]
    """Height and width of its images."""
    pad: int = 0
    """The default padding, unless a study sets a size or a pad."""


@dataclass(frozen=True)
class DatasetKind:
    """A dataset, or a kind of dataset that the user brings."""

    name: str
    module: str
    """A module below niwaki.data. Its `find(spec, places)` returns the `Source`, or raises DataError."""
    built_in: BuiltIn | None = None
    """None: the user's own dataset, named by `path`."""
    keys: tuple[str, ...] = ()
    """Keys of `[data]` that apply to this dataset and not to every one."""
    path_is: str = ""
    """What `path` must be; empty: the dataset does not need it."""
    given_as: str = ""
    """What the user can give as this kind of dataset instead of a name."""
    suffix: str = ""
    """The ending of its file; empty: it is not a single file."""
    in_folders: bool = False
    """Whether its files may be in a folder of the user's: if so, the module's `folder_within(folder)` is not None."""

    def find(self, spec: Any, places: Places) -> Source:
        """Its images as a study's `[data]` (`DataSpec`) asks for them. Raises DataError if they are not available."""
        found: Source = import_module(f"niwaki.data.{self.module}").find(spec, places)
        return found

    def is_in(self, folder: Path) -> bool:
        """Whether its files are in that folder."""
        return self.in_folders and import_module(f"niwaki.data.{self.module}").folder_within(folder) is not None


_GARMENTS = BuiltIn(GARMENTS, GARMENT_SIZE, pad=2)  # LeNet-5 takes 32 × 32
_KNOWN = (
    DatasetKind("fashion-mnist", "fashion_mnist", _GARMENTS, keys=("fallback", "path"), in_folders=True),
    DatasetKind("synthetic", "synthetic", _GARMENTS, keys=("train_samples", "test_samples", "synthetic_seed")),
    DatasetKind(
        "folder", "folder", keys=("path", "test", "skip"), given_as="a folder",
        path_is="the folder that holds one sub-folder of images per class",
    ),
    DatasetKind(
        "csv", "table", keys=("path", "test", "skip"), given_as="a .csv file",
        path_is="a .csv file with the columns file and label", suffix=".csv",
    ),
    DatasetKind(
        "idx", "idx_files", keys=("path", "test"), given_as="a folder of IDX files", in_folders=True,
        path_is="the folder with the IDX files, or its file of training images",
    ),
    DatasetKind(
        "npz", "npz", keys=("path", "test"), given_as="an .npz file", path_is="the .npz file", suffix=".npz"
    ),
)  # fmt: skip
DATASETS = {kind.name: kind for kind in _KNOWN}
BUILT_IN = tuple(kind.name for kind in _KNOWN if kind.built_in is not None)
MEANT_FOR = {  # keys of `[data]` that do not apply to the other datasets
    key: tuple(kind.name for kind in _KNOWN if key in kind.keys) for kind in _KNOWN for key in kind.keys
}


def built_in(name: object) -> BuiltIn | None:
    """What is known of the built-in dataset of that name; None if there is none."""
    return next((kind.built_in for kind in _KNOWN if kind.name == name), None)


def kind_of(place: str | Path) -> str:
    """The name of the kind of dataset that a user's file or folder is, by its ending or by what is in it."""
    by_ending = next((kind.name for kind in _KNOWN if kind.suffix and str(place).lower().endswith(kind.suffix)), None)
    if by_ending or not Path(place).exists():
        return by_ending or "folder"
    inside = next((kind.name for kind in _KNOWN if kind.is_in(Path(place))), None)
    return inside or ("idx" if Path(place).is_file() and "-idx" in str(place) else "folder")
