"""Projects for microcontrollers, each in a folder of its own beside the int8 ONNX that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import numpy as np

from niwaki.deploy.exported import Export, open_export
from niwaki.deploy.formats import INT8, PROJECTS
from niwaki.deploy.images import random_images
from niwaki.deploy.pictures import Pictures, find_pictures
from niwaki.emit.generate import generate
from niwaki.errors import ModelError
from niwaki.files import flush_folder, json_with_checksum, load_checked, sha256_of, write_whole
from niwaki.firmware.content import MANY, Content, content_of
from niwaki.firmware.cost import too_large_for_an_uno
from niwaki.firmware.layouts import project_files
from niwaki.folders import Change, inside, staging
from niwaki.notify import Notify

NOTE = "project.json"
BUILT = (
    "build", "build-*", "cmake-build-*", ".pio", ".vscode", ".cache", "twister-out*", "managed_components", "sdkconfig",
    "sdkconfig.old", "dependencies.lock", "compile_commands.json",
)  # fmt: skip
"""What CMake, PlatformIO, ESP-IDF, Zephyr and editors make inside a project; they do not stand in the way."""


@dataclass(frozen=True)
class Written:
    """The folder of each kind of project, and notes on them."""

    places: Mapping[str, Path]
    notes: tuple[str, ...]


def write_projects(
    folder: Path, kinds: Sequence[str], *, prefix: str, ram_limit: int | None, data: str | None, notify: Notify
) -> Written:  # fmt: skip
    """Write projects of the given kinds into an exported folder that holds an int8 ONNX.

    The stored images are test images of `data`, or of the dataset that the export names, or random ones. An older
    project is replaced; what tools built in it stays. Raises ModelError if the network takes no images, if a project
    there was changed since, or if the folder cannot be written.
    """
    export = open_export(folder)
    pictures = find_pictures(export.needs, data, notify)
    content = _content(export, pictures, prefix, ram_limit)
    large = too_large_for_an_uno(content.generated) if {"arduino", "platformio"} & set(kinds) else ""
    places = {kind: folder / kind for kind in dict.fromkeys(kinds)}
    for place in places.values():
        _check_free(place)
    for kind, place in places.items():
        notify(f"writing {PROJECTS[kind]}")
        _put(place, project_files(content, kind))
    return Written(places, (large,) if large else ())


def _content(export: Export, pictures: Pictures, prefix: str, ram_limit: int | None) -> Content:
    if pictures.data is None:
        shape = export.input_shape
        images, of = random_images(shape if len(shape) == 3 else (1, 1, *shape), MANY), f"{MANY} random images"
    else:
        test = pictures.data.test
        places = np.sort(np.random.default_rng(0).permutation(len(test))[:MANY])
        images, of = np.asarray(test.images[places]), f"{len(places)} test images of {pictures.data.name}"
    title = Path(export.note.origin).stem if export.note else prefix
    generated = generate(export.integer, prefix=prefix, ram_limit=ram_limit, title=title)
    return content_of(export.integer, images, of, int8=export.files[INT8], generated=generated, title=title)


def _check_free(place: Path) -> None:
    """Raise ModelError if a place has contents that no export wrote, or that were changed since."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    try:
        written = load_checked(inside(place, NOTE))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{place}: exists, and no export wrote it: move it away or give another folder") from error
    built = built_in(place, written)
    found = {
        path: sha256_of((place / path).read_bytes())
        for path in _files(place)
        if path != NOTE and not _within(path, built)
    }
    if changed := sorted(path for path in {*found, *written} if found.get(path) != written.get(path)):
        raise ModelError(
            f"{place / changed[0]}: was changed since niwaki wrote the project: move {place} away, or give another "
            "folder"
        )


def built_in(place: Path, written: Iterable[str]) -> tuple[str, ...]:
    """The outermost files and folders of a project that tools made: named as theirs, and without a file of niwaki's."""
    ours = {parent.as_posix() for path in written for parent in (PurePosixPath(path), *PurePosixPath(path).parents)}
    found: list[str] = []
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if name not in ours and any(fnmatch(path.name, one) for one in BUILT) and not _within(name, found):
            found.append(name)
    return tuple(found)


def _files(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _move(names: Iterable[str], of: Path, to: Path) -> None:
    for name in names:
        if (of / name).exists() and not (to / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (of / name).rename(to / name)


def _put(place: Path, files: Mapping[str, bytes]) -> None:
    """Move the files into place: all or none. What tools built there moves along."""
    built = built_in(place, files)
    hashes = {path: sha256_of(data) for path, data in files.items()}
    try:
        with staging(place.parent) as work:
            fresh = work / "project"
            for path, data in files.items():
                write_whole(fresh / path, data)
            write_whole(fresh / NOTE, json_with_checksum({"format": 1, "files": hashes}))
            change = Change(work)
            try:
                _move(built, place, fresh)
                change.put(fresh, place)
                flush_folder(place.parent)
            except BaseException:
                change.undo()
                _move(built, fresh, place)
                raise
    except OSError as error:
        raise ModelError(f"{error.filename or place}: cannot be written: {error.strerror}") from error
