"""What every kind of dataset offers: an identity without decoding, and its images on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class Raw:
    """A decoded dataset before anything is held out: images after the preprocessing's geometry, uint8 (N, C, H, W)."""

    labels: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names of the images in each split, if they are the user's own."""
    preprocessing: Preprocessing | None = None
    """The preprocessing with what was chosen by the images; None: the one that was given."""
    notes: tuple[str, ...] = ()
    """What was passed over, skipped or chosen, one line each."""


@dataclass(frozen=True)
class Places:
    """Where to look for images besides the study's path, and who receives messages about slow steps."""

    cache: Path
    """Downloaded files are stored in its folder."""
    notify: Callable[[str], None]
    mirrors: Sequence[str] | None = None
    """Where to download files from; None: the dataset's own mirrors."""


@dataclass(frozen=True)
class Source:
    """A dataset that was found. `identity` changes with its contents, `origin` says in words where it comes from.

    Without decoding it is known how many images it has for training (including those still to be held out), and whether
    it brings its own validation and test sets.
    """

    name: str
    identity: str
    origin: str
    decode: Callable[[Preprocessing], Raw]
    synthetic: bool = False
    train_images: int = 0
    has_validation: bool = False
    has_test: bool = False
    paths: tuple[Path, ...] = ()
    """The image files, if each image is one."""
