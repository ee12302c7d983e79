"""Bundles for this machine, kept so that the second start is instant."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from filelock import FileLock

from niwaki.deploy.folder import NOTE, export_within
from niwaki.deploy.formats import FILES, INT8
from niwaki.errors import ModelError
from niwaki.files import cache_folder, canonical_json

KEPT = 8  # bundles of one or two megabytes each
_PARTS = (  # the code that makes it
    "board", "codegen", "compiled", "data", "deploy", "device", "scenes", "toolchain", "vision",
)  # fmt: skip


def is_bundle(path: Path) -> bool:
    """Whether a folder claims to be a bundle."""
    return (path / "bundle.json").is_file() and (path / "manifest.json").is_file()


def cached_bundle(file: Path, settings: dict[str, object]) -> tuple[Path, FileLock]:
    """The folder of the cached bundle for a file with these settings, and the lock to hold while looking for it or
    making it.

    The folder depends on the contents of the file, the settings, and niwaki itself. Raises ModelError if the file
    cannot be read.
    """
    digest = hashlib.sha256(canonical_json({**settings, "zig": _version("ziglang")}))
    for data in (*_contents(file), *_own()):
        digest.update(hashlib.sha256(data).digest())
    home = cache_folder() / "bundles"
    home.mkdir(parents=True, exist_ok=True)
    return home / digest.hexdigest()[:32], FileLock(home / ".lock")


def tidy(keep: Path) -> None:
    """Remove the oldest bundles beyond `KEPT`; never `keep`."""
    others = [place for place in keep.parent.iterdir() if is_bundle(place) and place != keep]
    for place in sorted(others, key=lambda place: place.stat().st_mtime)[: max(0, len(others) + 1 - KEPT)]:
        shutil.rmtree(place, ignore_errors=True)


def _contents(file: Path) -> Iterator[bytes]:
    """The bytes of a model: the file, or the file that a folder was exported from."""
    folder = export_within(file, FILES[INT8])
    paths = [folder / name for name in (FILES[INT8], NOTE) if (folder / name).is_file()]
    if not file.is_dir():
        paths = [file]
    try:
        for path in paths:
            yield path.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error


def _own() -> Iterator[bytes]:
    """The files that make a bundle: another niwaki makes another bundle."""
    for part in _PARTS:
        root = Path(str(resources.files(f"niwaki.{part}")))
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path.read_bytes()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
