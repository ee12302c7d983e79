"""The datasets, one entry each: what is known of it before any file is read, and the module that finds its images."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the table alone loads no NumPy: help texts list it
    from niwaki.data.source import Places, Source

GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
GARMENT_SIZE = (28, 28)


@dataclass(frozen=True)
class BuiltIn:
    """What a dataset has that is known by its name alone."""

    labels: tuple[str, ...]
    size: tuple[int, int]
    """Height and width of its images."""
    pad: int = 0
    """The usual padding, unless a study gives a size or a pad of its own."""


@dataclass(frozen=True)
class DatasetKind:
    """A dataset, or a kind of the user's own."""

    name: str
    module: str
    """Below niwaki.data. Its `find(spec, places)` gives the `Source`, or raises DataError."""
    built_in: BuiltIn | None = None
    """None: the user's own, which `path` names."""
    keys: tuple[str, ...] = ()
    """Keys of `[data]` that mean something to this one, and not to every dataset."""
    path_is: str = ""
    """What `path` must be; empty: it can do without."""
    given_as: str = ""
    """What of the user's own is taken for it if a name is expected."""
    suffix: str = ""
    """Of its file; empty: it is no single file."""
    in_folders: bool = False
    """Whether its files may lie in a folder of the user's: the module's `folder_within(folder)` is then not None."""

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
        "folder", "folder", keys=("path", "test"), given_as="a folder",
        path_is="the folder that holds one sub-folder of images per class",
    ),
    DatasetKind(
        "npz", "npz", keys=("path", "test"), given_as="an .npz file", path_is="the .npz file", suffix=".npz"
    ),
)  # fmt: skip
DATASETS = {kind.name: kind for kind in _KNOWN}
BUILT_IN = tuple(kind.name for kind in _KNOWN if kind.built_in is not None)
MEANT_FOR = {  # keys of `[data]` that mean nothing for the other datasets
    key: tuple(kind.name for kind in _KNOWN if key in kind.keys) for kind in _KNOWN for key in kind.keys
}


def built_in(name: object) -> BuiltIn | None:
    """What is known of the built-in dataset of that name; None if there is none."""
    return next((kind.built_in for kind in _KNOWN if kind.name == name), None)


def kind_of(place: str | Path) -> str:
    """The name of the dataset that a file or folder of the user's own is, by its ending."""
    return next((kind.name for kind in _KNOWN if kind.suffix and str(place).endswith(kind.suffix)), "folder")
