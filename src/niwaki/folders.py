"""Folders of files that belong together: reads stay inside the folder, writes appear whole.

A set of files is made in a staging folder beside its destination, then moved there by renames alone. If a process is
killed, the next one removes what it left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from niwaki.errors import ModelError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".niwaki-"
_KEPT, _MOVED = "kept", "moved"  # in a staging folder: what was taken away; what was moved aside, under its own name
_STRANGE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # no files, on Windows
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE, AT_FDCWD


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError for a name that leads out of its folder, or that some systems would take for another file."""
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        if _STRANGE.search(name) or not all(map(_is_plain, parts)):
            raise ValueError(f"{name!r} is not a plain name of a file inside the folder")
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are the same file if case does not count")


def _is_plain(part: str) -> bool:
    return part not in ("", ".", "..") and part[-1] not in " ." and not _DEVICES.fullmatch(part)


def inside(folder: Path, name: str) -> Path:
    """The path of `name` (with forward slashes) in `folder`, whether it exists or not.

    Raises ModelError if it leads out of the folder: through `..`, an absolute path or a link. The folder itself may be
    reached through links.
    """
    try:
        check_names((name,))
    except ValueError as error:
        raise ModelError(f"{folder}: {error}") from error
    place = folder
    for part in PurePosixPath(name).parts:
        place = place / part
        if os.path.islink(place):  # noqa: PTH114 (Path's raises where it may not look)
            raise ModelError(f"{place}: is a link, which may lead out of the folder: put the file itself there")
    return place


def read_inside(folder: Path, name: str) -> bytes:
    """The bytes of a file in `folder`. Raises ModelError as `inside` does, OSError if it is no readable file."""
    place = inside(folder, name)
    if place.exists() and not place.is_file() and not place.is_dir():  # reading a pipe would block
        raise OSError(0, "is not a file", str(place))
    return place.read_bytes()


@contextlib.contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """A fresh folder in `parent` to build something in; it is removed at the end, with everything left in it.

    It stays locked while this process lives, so `sweep` can tell it from the folder of a dead process.
    """
    sweep(parent)
    place, handle = _made(parent)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def sweep(parent: Path) -> None:
    """Remove the staging folders in `parent` whose processes ended without removing them.

    If such a process had moved something away without replacing it, `sweep` first moves it back.
    """
    for place in parent.glob(f"{PREFIX}*"):
        if not place.is_dir() or place.is_symlink():
            continue
        handle = _locked(place)
        if handle is not None:
            for moved in place.glob(f"{_MOVED}/*"):
                if not os.path.lexists(parent / moved.name):
                    moved.rename(parent / moved.name)
            shutil.rmtree(place, ignore_errors=True)
            os.close(handle)


@contextlib.contextmanager
def temporary(kind: str) -> Iterator[str]:
    """The path of a fresh temporary folder, removed at the end; those of dead processes are removed first."""
    parent, prefix = Path(tempfile.gettempdir()), f"niwaki-{kind}-"
    for left in parent.glob(f"{prefix}*"):
        if left.is_dir() and not left.is_symlink() and (handle := _locked(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)  # another user's folder stays
            os.close(handle)
    place, handle = _made(parent, prefix)
    try:
        yield str(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _made(parent: Path, prefix: str = PREFIX) -> tuple[Path, int | None]:
    """A fresh folder and the handle that locks it, if the system has locks."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = _locked(place, wait=True)
        if place.exists():  # otherwise another process removed it before it was locked
            return place, handle
        if handle is not None:
            os.close(handle)


def _locked(place: Path, *, wait: bool = False) -> int | None:
    """The handle of a folder that is now locked; None if another process holds it, or the system has no locks."""
    if fcntl is None:
        return None
    handle = -1
    try:
        handle = os.open(place, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if handle >= 0:
            os.close(handle)
        return None
    return handle


class Change:
    """Replace or remove entries of a folder, one rename each; until the end everything can be undone.

    Each entry, a file or a folder, is at every moment either the old one or the new one, if the system can exchange two
    names (Linux); elsewhere a folder is missing between two renames. The old entries are kept in `work`, a staging
    folder beside them.
    """

    def __init__(self, work: Path) -> None:
        self._kept, self._moved = work / _KEPT, work / _MOVED
        self._kept.mkdir()
        self._moved.mkdir()
        self._done: list[tuple[Path, Path | None]] = []

    def put(self, fresh: Path, place: Path) -> None:
        """Move `fresh` to `place`, replacing what is there. Raises OSError."""
        if not os.path.lexists(place):
            fresh.rename(place)
            self._done.append((place, None))
        elif exchange(fresh, place):
            self._done.append((place, fresh))
        else:
            self._replace(fresh, place)

    def take(self, place: Path) -> None:
        """Move away what is at `place`. Raises OSError."""
        kept = self._next()
        place.rename(kept)
        self._done.append((place, kept))

    def undo(self) -> None:
        """Move everything back, as far as the system allows."""
        while self._done:
            place, kept = self._done.pop()
            with contextlib.suppress(OSError):
                if kept is None:
                    place.rename(self._next())
                elif not os.path.lexists(place):
                    kept.rename(place)
                elif not exchange(kept, place):
                    place.rename(self._next())
                    kept.rename(place)

    def _replace(self, fresh: Path, place: Path) -> None:
        kept = self._moved / place.name
        if place.is_file():
            with contextlib.suppress(OSError):  # not every file system supports hard links
                os.link(place, kept)
        if not kept.exists():
            place.rename(kept)
        self._done.append((place, kept))
        fresh.replace(place)

    def _next(self) -> Path:
        return self._kept / str(len(list(self._kept.iterdir())))


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False if the system or the file system cannot."""
    call = _renameat2()
    return call is not None and call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def _renameat2() -> Any:
    if os.name != "posix":
        return None
    return getattr(ctypes.CDLL(None), "renameat2", None)
