"""Files are written whole or not at all: to a temporary name, flushed, renamed, the folder flushed.

What others wrote is read with limits: `load_json`, `parse_json`, `parse_toml`.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from niwaki.device.outside import (
    CHECKSUM,
    DEPTH_LIMIT,
    JSON_LIMIT,
    canonical_json,
    check_depth,
    check_size,
    checksum_of,
    load_json,
    parse_json,
    read_at_most,
    without_checksum,
)  # fmt: skip

try:
    import fcntl as _fcntl
except ImportError:  # Windows
    _fcntl = None  # type: ignore[assignment]

__all__ = [
    "CACHE_VARIABLE", "CHECKSUM", "JSON_LIMIT", "TOML_LIMIT", "cache_folder", "canonical_json", "checksum_of",
    "flush_folder", "json_with_checksum", "load_checked", "load_json", "parse_json", "parse_toml",
    "read_at_most", "sha256_of", "sweep_files", "whole_file", "without_checksum", "write_whole",
]  # fmt: skip

CACHE_VARIABLE = "NIWAKI_CACHE_DIR"

TOML_LIMIT = 1 << 20
"""Bytes of a TOML file; the longest built-in study has 10,000."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends without an error.

    A reader sees the old file or the new one, never a part; after an error nothing is left behind, and what a process
    left that was killed here before is swept away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_files(path.parent, path.name)
    handle, temporary = _made(path)
    lock = os.dup(handle) if _fcntl else None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        if lock is not None:
            os.close(lock)
    flush_folder(path.parent)


def sweep_files(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files in `folder` (those of `name` alone, if given) that nobody writes any more.

    Whoever writes one holds its lock; the system lets go of it when the process ends, however it ends.
    """
    for left in folder.glob(f".{glob.escape(_stem(name)) if name else '*'}.*.tmp"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _lock(handle, wait=False):
                    left.unlink()
            finally:
                os.close(handle)


def _made(path: Path) -> tuple[int, Path]:
    """A temporary file beside `path`, locked if the system has locks."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{_stem(path.name)}.", suffix=".tmp", dir=path.parent)
        _lock(handle, wait=True)
        if Path(name).exists():  # else it was swept before it was locked
            return handle, Path(name)
        os.close(handle)


def _stem(name: str) -> str:
    return name[:60]  # a name may have 255 bytes, with all that is added to it


def _lock(handle: int, *, wait: bool) -> bool:
    """Whether this process has the lock of a file now."""
    if _fcntl is None:
        return False
    try:
        _fcntl.flock(handle, _fcntl.LOCK_EX if wait else _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(data)


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable (POSIX; elsewhere the file system sees to it)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(data: bytes) -> str:
    """The SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def json_with_checksum(values: Mapping[str, object]) -> bytes:
    """Values as readable JSON in UTF-8, with their checksum at the end: `load_checked` reads them."""
    body = {key: value for key, value in values.items() if key != CHECKSUM}
    body[CHECKSUM] = checksum_of(body)
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


class OtherFormat(ValueError):
    """A file of a format that this version does not read."""


def load_checked(path: Path, *, format: int = 1) -> Any:
    """What a file of JSON says, without its checksum. Raises as `load_json` does, and ValueError if that does not fit.

    Files of earlier versions have none. Raises OtherFormat if it states another format than the one that is read.
    """
    value = without_checksum(load_json(path))
    if isinstance(value, dict):
        check_format(value, format)
    return value


def check_format(values: Mapping[str, object], format: int = 1) -> None:
    """Raise OtherFormat if a file states another format than `format`; files of before may state none."""
    stated = values.get("format", format)
    if type(stated) is not int or stated != format:
        raise OtherFormat(f"of format {stated!r}, and this niwaki reads {format}")


def parse_toml(data: bytes | str, limit: int = TOML_LIMIT) -> dict[str, Any]:
    """The table that TOML in UTF-8 stands for.

    Raises ValueError, in one line, for what is larger than `limit` bytes, nests too deep or is no TOML.
    """
    check_size(data, limit)
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        _check_keys(text)
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start:,}") from None
    except RecursionError:
        raise ValueError("brackets nested too deeply") from None
    check_depth(values)
    return values


def _check_keys(text: str) -> None:
    """Refuse keys of thousands of parts: the time that tomllib takes for one grows with their square."""
    if _LONG_KEY.search(text):
        raise ValueError(f"a key of more than {DEPTH_LIMIT} parts")


_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY = re.compile(rf"""(?<![\w.\-"' \t])[ \t]*+(?>{_PART}){{{DEPTH_LIMIT}}}""")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """$NIWAKI_CACHE_DIR, else the user's cache folder as the operating system has it."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("niwaki"))
