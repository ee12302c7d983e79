"""Write files whole or not at all: write to a temporary name, flush, rename, flush the folder.

Files from outside are read with limits: `load_json`, `parse_json`, `parse_toml`.
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
"""Largest size of a TOML file, in bytes; the longest built-in study has 10,000."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that replaces it when the block ends without an error.

    A reader sees the old file or the new one, never a part of one. After an error nothing is left behind. It also
    removes what an earlier, killed process left here.
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
    """Remove the temporary files in `folder` (only those for `name`, if given) that no process is writing.

    A process that writes one holds a lock on it; the system releases the lock when the process ends, however it ends.
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
        if Path(name).exists():  # otherwise another process removed it before it was locked
            return handle, Path(name)
        os.close(handle)


def _stem(name: str) -> str:
    return name[:60]  # a name may have 255 bytes, including what is added to it


def _lock(handle: int, *, wait: bool) -> bool:
    """Whether this process now holds the lock of a file."""
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
    """Make the names in `folder` durable (POSIX; elsewhere the file system does it)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_in_the_way(folder: Path) -> Path | None:
    """The file that is where `folder` or one of its parents has to be; None if the folder exists or can be made."""
    return next((place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()), None)


def sha256_of(data: bytes) -> str:
    """The SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def json_with_checksum(values: Mapping[str, object]) -> bytes:
    """Values as readable JSON in UTF-8, ending with their checksum; `load_checked` reads them."""
    body = {key: value for key, value in values.items() if key != CHECKSUM}
    body[CHECKSUM] = checksum_of(body)
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


class OtherFormat(ValueError):
    """A file whose format this version cannot read."""


def load_checked(path: Path, *, format: int = 1) -> Any:
    """The content of a JSON file without its checksum. Raises as `load_json` does, and ValueError if the checksum is
    wrong.

    Files of earlier versions have no checksum. Raises OtherFormat if the file states a format other than the expected
    one.
    """
    value = without_checksum(load_json(path))
    if isinstance(value, dict):
        check_format(value, format)
    return value


def check_format(values: Mapping[str, object], format: int = 1) -> None:
    """Raise OtherFormat if a file states a format other than `format`; older files may state none."""
    stated = values.get("format", format)
    if type(stated) is not int or stated != format:
        raise OtherFormat(f"of format {stated!r}, and this niwaki reads {format}")


def parse_toml(data: bytes | str, limit: int = TOML_LIMIT) -> dict[str, Any]:
    """The table in a TOML document in UTF-8.

    Raises ValueError, in one line, if it is larger than `limit` bytes, is nested too deeply or is not TOML.
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
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{error}{_line_of(str(error), text)}") from None
    check_depth(values)
    return values


def _line_of(message: str, text: str) -> str:
    """The line of a TOML document that an error message gives the number of, as `: epochs = five`."""
    found = re.search(r"at line (\d+), column", message)
    line = text.split("\n")[int(found[1]) - 1].strip() if found else ""
    return f": {line[:_LINE_SHOWN]}" if line else ""


def _check_keys(text: str) -> None:
    """Refuse keys with thousands of parts: tomllib needs time quadratic in the number of parts."""
    if _LONG_KEY.search(text):
        raise ValueError(f"a key of more than {DEPTH_LIMIT} parts")


_LINE_SHOWN = 60  # characters
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY = re.compile(rf"""(?<![\w.\-"' \t])[ \t]*+(?>{_PART}){{{DEPTH_LIMIT}}}""")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """$NIWAKI_CACHE_DIR, or the operating system's cache folder for the user."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("niwaki"))
