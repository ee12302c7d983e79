"""Download files of known size and MD5 from several mirrors: resume if interrupted, put in place only when complete."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from niwaki.errors import DataError
from niwaki.files import flush_folder

CHUNK = 1 << 16
ATTEMPTS = 5  # per mirror, as long as each attempt gets further


@dataclass(frozen=True)
class RemoteFile:
    """A file that mirrors offer, with its size in bytes and its MD5."""

    name: str
    size: int
    md5: str


def download(
    files: Sequence[RemoteFile],
    folder: Path,
    mirrors: Sequence[str],
    *,
    patience: float = 10.0,
    notify: Callable[[str], None] | None = None,
) -> None:
    """Download those `files` that are missing in `folder`, from the first of `mirrors` that has them.

    `patience` is how long, in seconds, to wait for a connection and for each piece of the reply. Partial downloads stay
    in `NAME.part`; the next attempt resumes them, from this mirror or another. A mirror that fails is not tried again.
    Raises DataError naming each mirror and what went wrong there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    with FileLock(folder / ".lock"):
        for file in files:
            for mirror in mirrors:
                if (folder / file.name).exists():
                    break
                if mirror not in failed:
                    if notify:
                        notify(f"downloading {file.name} ({file.size / 1e6:.1f} MB) from {mirror}")
                    reason = _from_mirror(file, folder, mirror, patience)
                    failed |= {mirror: reason} if reason else {}
            if not (folder / file.name).exists():
                raise DataError(f"{file.name} cannot be downloaded ({_told(failed)})")


def _told(failed: Mapping[str, str]) -> str:
    """What was wrong at each mirror; what was wrong at all of them once."""
    reasons = set(failed.values())
    if len(failed) > 1 and len(reasons) == 1:
        return f"{', '.join(failed)}: {reasons.pop()}"
    return "; ".join(f"{mirror}: {reason}" for mirror, reason in failed.items()) or "no mirror is known"


def md5_of(path: Path) -> str:
    """The MD5 of a file as 32 hexadecimal digits: a check against damage, not against tampering."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _from_mirror(file: RemoteFile, folder: Path, mirror: str, patience: float) -> str | None:
    """Download one file from one mirror; None, or the reason for the failure in words."""
    part = folder / f"{file.name}.part"
    resumed = _size(part) > 0
    reason = _complete(file, part, f"{mirror.rstrip('/')}/{file.name}", patience)
    if reason is None and (found := md5_of(part)) != file.md5:
        part.unlink()
        if resumed:  # the earlier part may have been the wrong data
            return _from_mirror(file, folder, mirror, patience)
        reason = f"MD5 is {found}, expected {file.md5}"
    if reason is None:
        part.replace(folder / file.name)
        flush_folder(folder)
    return reason


def _complete(file: RemoteFile, part: Path, url: str, patience: float) -> str | None:
    """Ask until the part reaches the file's size or stops growing; None, or the reason in words."""
    reason = "nothing arrived"
    for _ in range(ATTEMPTS):
        before = _size(part)
        if before == file.size:
            return None
        try:
            _continue(file, part, url, patience)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = _in_words(error)
        else:
            reason = f"broke off after {_size(part)} of {file.size} bytes"
        if _size(part) <= before:
            break
    return None if _size(part) == file.size else reason


def _continue(file: RemoteFile, part: Path, url: str, patience: float) -> None:
    """Append the missing bytes to `part`, or start again if the server or the part requires it."""
    have = _size(part)
    if have > file.size:
        part.unlink()
        have = 0
    headers = {"User-Agent": "niwaki"} | ({"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=patience) as reply:
        resumes = reply.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumes and not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ValueError(f"sent {reply.headers.get('Content-Range')} when asked for bytes {have}-")
        missing = file.size - (have if resumes else 0)
        if reply.length is not None and reply.length != missing:
            raise ValueError(f"offers {reply.length} bytes, expected {missing}")
        with part.open("ab" if resumes else "wb") as out:
            while missing and (chunk := reply.read1(min(CHUNK, missing))):
                out.write(chunk)
                missing -= len(chunk)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _in_words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return str(error) or type(error).__name__
