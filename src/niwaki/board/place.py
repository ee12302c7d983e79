"""How a bundle's folder is written: whole or not at all, and never over something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from niwaki.board.manifest import NAME, foreign, manifest_of, read_manifest
from niwaki.errors import ModelError
from niwaki.files import flush_folder, write_whole
from niwaki.folders import Change, staging

EXECUTABLE = ("start", "niwaki", "install.sh")


def put_bundle(folder: Path, files: Mapping[str, bytes]) -> None:
    """Move a bundle's files and their manifest into `folder`, replacing an older bundle if there is one.

    All appear at once; after an error before that, the folder is unchanged. Raises ModelError if the folder contains
    anything that no bundle wrote, and if it cannot be written.
    """
    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staging(folder.parent) as work:
            _write(work / "bundle", files)
            change = Change(work)
            try:
                change.put(work / "bundle", folder)
                flush_folder(folder.parent)
            except BaseException:
                change.undo()
                raise
    except OSError as error:
        raise ModelError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


def check_free(folder: Path) -> None:
    """Raise ModelError if `folder` has contents and is not a bundle, or is a bundle with other files in it."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / NAME).is_file() or not (folder / "bundle.json").is_file():
        raise ModelError(f"{folder}: exists, but is not a bundle: give another folder")
    others = sorted(foreign(folder, read_manifest(folder)))
    if others:
        raise ModelError(f"{folder / others[0]}: is not part of a bundle: move it away or give another folder")


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        write_whole(folder / path, data)
    for path in EXECUTABLE:
        file = folder / path
        if file.exists():
            mode = file.stat().st_mode
            file.chmod(mode | (mode & 0o444) >> 2)  # executable for those who may read it
    write_whole(folder / NAME, manifest_of(files).to_json())
