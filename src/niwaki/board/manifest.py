"""`manifest.json`: every file of a bundle with its size and SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from niwaki.errors import ModelError
from niwaki.files import OtherFormat, json_with_checksum, load_checked, sha256_of
from niwaki.folders import check_names, read_inside

NAME = "manifest.json"


class Entry(BaseModel):
    """One file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: str
    bytes: int


class Manifest(BaseModel):
    """The content of `manifest.json`: every file except itself, by its path with forward slashes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = 1
    files: dict[str, Entry]

    def to_json(self) -> bytes:
        """The file's content, with its own checksum."""
        return json_with_checksum(self.model_dump(mode="json"))

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, Entry]) -> dict[str, Entry]:
        """Files of an older bundle are removed: a manifest from elsewhere must not name any outside its folder."""
        check_names(files)
        return files


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """The manifest of a bundle's files."""
    return Manifest(
        files={path: Entry(sha256=sha256_of(files[path]), bytes=len(files[path])) for path in sorted(files)}
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a bundle's folder. Raises ModelError if there is none, or it is damaged."""
    file = folder / NAME
    try:
        return Manifest.model_validate(load_checked(file))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}: give a folder that niwaki bundle wrote") from error
    except OtherFormat as error:
        raise ModelError(f"{file}: {error}: build the bundle again") from error
    except ValueError as error:  # pydantic's error is one
        raise ModelError(f"{file}: damaged: build the bundle again") from error


def differences(folder: Path, manifest: Manifest) -> Iterator[str]:
    """A line for each file that is missing, changed, or not in the manifest (files compiled by Python do not count)."""
    for path, entry in manifest.files.items():
        try:
            data = read_inside(folder, path)
        except OSError as error:
            yield f"{path}: {error.strerror}"
            continue
        except ModelError as error:  # a link
            yield str(error)
            continue
        if len(data) != entry.bytes:
            yield f"{path}: {len(data):,} bytes, not {entry.bytes:,}"
        elif hashlib.sha256(data).hexdigest() != entry.sha256:
            yield f"{path}: its bytes were changed"
    for path in sorted(foreign(folder, manifest)):
        yield f"{path}: not in {NAME}"


def foreign(folder: Path, manifest: Manifest) -> set[str]:
    """Files in a bundle's folder that do not belong to the bundle, without files compiled by Python."""
    there = {
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir() or file.is_symlink()
    }
    return {path for path in there - {NAME, *manifest.files} if "__pycache__" not in path}
