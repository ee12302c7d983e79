"""What every kind of dataset offers: an identity without decoding, and its images once they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class Raw:
    """A decoded dataset before anything is held out: images as the preprocessing arranges them, uint8 (N, C, H, W)."""

    labels: tuple[str, ...]
    train: Split
    validation: Split | None = None
    test: Split | None = None


@dataclass(frozen=True)
class Source:
    """A dataset that was found. `identity` changes with its contents, `origin` says in words where it is from."""

    name: str
    identity: str
    origin: str
    decode: Callable[[Preprocessing], Raw]
    synthetic: bool = False
