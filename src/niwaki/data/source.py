"""What every kind of dataset offers: an identity without decoding, and its images once they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class Raw:
    """A decoded dataset before anything is held out: images as the preprocessing arranges them, uint8 (N, C, H, W)."""

    labels: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What the images of each part are called, if they are the user's own."""


@dataclass(frozen=True)
class Places:
    """Where images are looked for besides the place that a study names, and who hears what takes long."""

    cache: Path
    """Its folder is where downloaded files are kept."""
    notify: Callable[[str], None]
    mirrors: Sequence[str] | None = None
    """Where files are downloaded from; None: the dataset's own."""


@dataclass(frozen=True)
class Source:
    """A dataset that was found. `identity` changes with its contents, `origin` says in words where it is from.

    How many images it has for training (and for what else is held out of them), and whether it brings parts of its
    own for validation and test, is known without decoding them.
    """

    name: str
    identity: str
    origin: str
    decode: Callable[[Preprocessing], Raw]
    synthetic: bool = False
    train_images: int = 0
    has_validation: bool = False
    has_test: bool = False
