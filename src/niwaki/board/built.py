"""Which bundles were built here: their programs are run unasked, those of others are not.

A bundle's manifest tells whether it is whole, not whose it is: anybody can write one. So what is built here is
remembered here, by the hash of its manifest, which has those of all files.
"""

from __future__ import annotations

from pathlib import Path

from niwaki.board.manifest import NAME, differences, read_manifest
from niwaki.errors import ModelError, Setting, Wording
from niwaki.files import cache_folder, sha256_of
from niwaki.folders import read_inside


def remember(folder: Path) -> None:
    """Take note of a bundle that was built now."""
    place = _note(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()


def is_built_here(folder: Path) -> bool:
    """Whether a bundle is one that was built here, by this user, and nothing of it was changed since.

    Raises ModelError if its manifest cannot be read.
    """
    return _note(folder).exists() and not any(differences(folder, read_manifest(folder)))


def check_trusted(folder: Path, trust: bool) -> None:
    """Raise ModelError, with the way out, for a bundle whose programs are not to be run."""
    if not trust and not is_built_here(folder):
        raise ModelError(f"{folder}: ", why_not())


def why_not() -> str:
    """Why the programs of a bundle are not run."""
    why = "was not built here, or was changed since: say "
    return Wording(why, Setting("trust", "True"), " to run the programs in it")


def _note(folder: Path) -> Path:
    try:
        return cache_folder() / "built" / sha256_of(read_inside(folder, NAME))
    except OSError as error:
        raise ModelError(f"{folder / NAME}: cannot be read: {error.strerror}") from error
