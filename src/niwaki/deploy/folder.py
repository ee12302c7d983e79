"""The folder that an export writes: what its files were made from, and how they get there.

The forms have the names that `formats.FORMS` gives them; `export.json` says what each was made from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from niwaki.deploy.formats import FILES, INT8, C, Form
from niwaki.errors import ModelError
from niwaki.files import OtherFormat, flush_folder, json_with_checksum, load_checked, sha256_of, write_whole
from niwaki.folders import Change, check_names, inside, read_inside, staging
from niwaki.models.provenance import Provenance

NOTE = "export.json"
CHOSEN = "chosen"  # where a study's folder holds its export
_ANEW = "move the folder away and export again"  # without its note nobody knows which files belong to the export


MadeWith = str | bool | int | float | None
"""The value of a form's setting, such as its operator set."""


class FormNote(BaseModel):
    """One form: its files with their SHA-256, and the SHA-256 of its source (the origin; for C, the int8 ONNX)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    files: dict[str, str]
    made_of: str
    settings: dict[str, MadeWith] = {}

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        """Files of a form are read, and later removed: a note from elsewhere must not name any outside its folder."""
        check_names(files)
        return files


class FolderNote(BaseModel):
    """The content of `export.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1] = 1
    origin: str
    origin_sha256: str
    provenance: Provenance = Provenance()
    """The model's provenance; `data` and `data_name` are those that it was trained on, or else calibrated on."""
    data: str | None = None
    """A folder or file with those images, if the user named one."""
    versions: dict[str, str] = {}
    forms: dict[Form, FormNote]

    def to_json(self) -> bytes:
        """The file's content, with its own checksum."""
        return json_with_checksum(self.model_dump(mode="json"))


def read_note(folder: Path) -> FolderNote | None:
    """The export in `folder`; None if there is none. Raises ModelError if its note is damaged."""
    file = folder / NOTE
    try:
        return FolderNote.model_validate(load_checked(inside(folder, NOTE)))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}: {_ANEW}") from error
    except OtherFormat as error:
        raise ModelError(f"{file}: {error}: use the niwaki that wrote it, or {_ANEW}") from error
    except ValueError as error:  # pydantic's error is one
        raise ModelError(f"{file}: damaged: {_ANEW}") from error


def read_form(folder: Path, note: FolderNote, form: Form) -> dict[str, bytes]:
    """The files that the note lists for a form. Raises ModelError if one differs from the note.

    An export that was killed between two renames leaves such a folder; so does changing a file.
    """
    entry = note.forms.get(form)
    files: dict[str, bytes] = {}
    for path, digest in sorted(entry.files.items()) if entry else ():
        try:
            files[path] = read_inside(folder, path)
        except OSError as error:
            raise ModelError(f"{folder / path}: {error.strerror}, though {NOTE} lists it: export again") from error
        if sha256_of(files[path]) != digest:
            why = f"not the file that {NOTE} lists: the export was interrupted, or the file was changed"
            raise ModelError(f"{folder / path}: {why}")
    return files


def export_within(path: Path, name: str = NOTE) -> Path:
    """The folder of an export: `path`, or the chosen model's if `path` is a study's folder; `name` is in it."""
    chosen = path / CHOSEN
    return chosen if (chosen / name).is_file() and not (path / name).is_file() else path


def hashes_in(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file by its path in the folder, whoever wrote it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path.read_bytes()) for path in found}


def put(folder: Path, files: Mapping[str, bytes], note: FolderNote, notify: Callable[[str], None]) -> None:
    """Move an export's files into `folder`: all of them, or none after an error or Ctrl-C.

    Everything is written beside it first, then `c/` and every other file is moved into place by a rename, the note
    last: if the process is killed, each place holds the old or the new file, and the note either matches or does not
    (`read_form`). Forms of an earlier export stay if they belong to the same model, otherwise they are removed; files
    that no export wrote are not touched. Raises ModelError if one of the files exists but no export wrote it, and if
    the folder cannot be written.
    """
    before = read_note(folder)
    _check_own(folder, files, before)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staging(folder if folder.exists() else folder.parent) as work:
            fresh = work / "export"
            for path, data in files.items():
                write_whole(fresh / path, data)
            whole = _merged(note, before)
            write_whole(fresh / NOTE, whole.to_json())
            if folder.exists():
                left = _left_over(before, whole, files)
                _bring(fresh, folder, left, Change(work))
                if gone := {_top(path) for path in left} - {_top(path) for path in files}:
                    notify(
                        f"{folder}: removed {', '.join(sorted(gone))}, made from another model or with other settings"
                    )
            else:
                fresh.rename(folder)
            flush_folder(folder.parent)
    except OSError as error:
        raise ModelError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


def _bring(fresh: Path, folder: Path, left: Collection[str], change: Change) -> None:
    """Exchange what is in `folder` for the prepared `fresh` files, and remove what is `left` of an older export."""
    gone = {_top(path) for path in left}
    for top in sorted({*(entry.name for entry in fresh.iterdir()), *gone}):
        _carry(folder, fresh, top, left)
    try:
        for top in sorted(gone - {entry.name for entry in fresh.iterdir()}):
            if os.path.lexists(folder / top):
                change.take(folder / top)
        for entry in sorted(fresh.iterdir(), key=lambda entry: (entry.name == NOTE, entry.name)):  # the note last
            change.put(entry, folder / entry.name)
        flush_folder(folder)
    except BaseException:
        change.undo()
        raise


def _carry(folder: Path, fresh: Path, top: str, left: Collection[str]) -> None:
    """Keep what no export wrote into its folder, such as compiled programs."""
    for path in _walk(folder / top) if (folder / top).is_dir() else ():
        name, target = path.relative_to(folder).as_posix(), fresh / path.relative_to(folder)
        if name in left or os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            target.mkdir()
            continue
        try:
            os.link(path, target, follow_symlinks=False)
        except (OSError, NotImplementedError):
            shutil.copy2(path, target, follow_symlinks=False)


def _walk(folder: Path) -> Iterator[Path]:
    """Files, links and empty folders in a folder, at any depth."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        yield from (here / name for name in (*names, *(name for name in folders if (here / name).is_symlink())))
        if not folders and not names and here != folder:
            yield here


def _top(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


def _check_own(folder: Path, files: Mapping[str, bytes], before: FolderNote | None) -> None:
    own = {path for form in before.forms.values() for path in form.files} if before else set()
    for path, data in files.items():
        file = inside(folder, path)
        if path not in own and file.exists() and not (file.is_file() and file.read_bytes() == data):
            raise ModelError(f"{file}: exists, and no export wrote it: move it away or give another folder")


def _merged(note: FolderNote, before: FolderNote | None) -> FolderNote:
    """The note with the forms of an earlier export that are still valid: same origin, C from the same ONNX."""
    if before is None or before.origin_sha256 != note.origin_sha256:
        return note
    kept = {form: old for form, old in before.forms.items() if form not in note.forms}
    remade = note.forms.get(INT8)
    if C in kept and remade is not None and kept[C].made_of != remade.files[FILES[INT8]]:
        del kept[C]
    return note.model_copy(update={"forms": {**kept, **note.forms}})


def _left_over(before: FolderNote | None, whole: FolderNote, files: Iterable[str]) -> list[str]:
    """Files of an earlier export that no form lists any more."""
    current = {*files, *(path for form in whole.forms.values() for path in form.files)}
    old = [path for form in before.forms.values() for path in form.files] if before else []
    return [path for path in old if path not in current]
