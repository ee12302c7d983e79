"""Remember which bundles were built here: niwaki runs their programs without asking, and those of others only if
trusted.

A bundle's manifest proves that it is intact, not who made it: anybody can write one. So what is built here is
remembered here, by the hash of its manifest, which contains the hashes of all files.
"""

from __future__ import annotations

from pathlib import Path

from niwaki.board.manifest import NAME, differences, read_manifest
from niwaki.errors import ModelError, Setting, Wording
from niwaki.files import cache_folder, sha256_of
from niwaki.folders import read_inside


def remember(folder: Path) -> None:
    """Remember a bundle that was just built."""
    place = _note(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()


def is_built_here(folder: Path) -> bool:
    """Whether this user built the bundle here, and nothing in it has changed since.

    Raises ModelError if its manifest cannot be read.
    """
    return _note(folder).exists() and not any(differences(folder, read_manifest(folder)))


def check_trusted(folder: Path, trust: bool) -> None:
    """Raise ModelError, with what to do, for a bundle whose programs must not run."""
    if not trust and not is_built_here(folder):
        raise ModelError(f"{folder}: ", why_not())


def why_not() -> str:
    """Why the programs of a bundle do not run."""
    why = "was not built here, or was changed since: say "
    return Wording(why, Setting("trust", "True"), " to run the programs in it")


def _note(folder: Path) -> Path:
    try:
        return cache_folder() / "built" / sha256_of(read_inside(folder, NAME))
    except OSError as error:
        raise ModelError(f"{folder / NAME}: cannot be read: {error.strerror}") from error
