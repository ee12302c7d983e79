"""The folder that an export leaves: the names of its files, what they were made of, and how they get there.

model.safetensors      the model itself, where it came as a model file
model.onnx             float
model-int8.onnx        int8 throughout (QDQ)
model-dynamic.onnx     int8 weights in the linear layers
c/                     what is generated from model-int8.onnx
export.json            what each was made of
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from niwaki.errors import ModelError
from niwaki.files import flush_folder, load_json, write_whole

Form = Literal["model", "onnx", "onnx-int8", "onnx-dynamic", "c"]
FILES: dict[Form, str] = {
    "model": "model.safetensors",
    "onnx": "model.onnx",
    "onnx-int8": "model-int8.onnx",
    "onnx-dynamic": "model-dynamic.onnx",
    "c": "c",
}
NOTE = "export.json"


class FormNote(BaseModel):
    """One form: its files with their SHA-256, and that of what it was made of (the origin; for C, the int8 ONNX)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, str]
    made_of: str
    settings: dict[str, Any] = {}

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        """Files of a form may be removed one day: a note from elsewhere must not name any outside its folder."""
        if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in files):
            raise ValueError("a file outside the folder")
        return files


class FolderNote(BaseModel):
    """What `export.json` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    origin: str
    origin_sha256: str
    provenance: dict[str, Any] = {}
    """Of the model; `data` and `data_name` are those it was trained on, or else calibrated on."""
    data: str | None = None
    """A folder or file with those images, if the user named one."""
    versions: dict[str, str] = {}
    forms: dict[Form, FormNote]


def read_note(folder: Path) -> FolderNote | None:
    """What an export left in `folder`; None where there is no export. Raises ModelError where that is damaged."""
    file = folder / NOTE
    try:
        return FolderNote.model_validate(load_json(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # pydantic's is one
        raise ModelError(f"{file}: damaged or of another version: export into another folder") from error


def put(folder: Path, files: Mapping[str, bytes], note: FolderNote, notify: Callable[[str], None]) -> None:
    """Bring an export's files into `folder`: all of them, or after an error or Ctrl-C before that, none.

    Forms of an earlier export stay where they still belong to the same model, else they are removed; nothing that no
    export wrote is touched. Raises ModelError where one of the files is there already but from no export, and where
    the folder cannot be written.
    """
    before = read_note(folder)
    _check_own(folder, files, before)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".niwaki-", dir=folder if folder.exists() else folder.parent) as name:
            stage = Path(name) / "export"
            for path, data in files.items():
                write_whole(stage / path, data)
            whole = _merged(note, before)
            write_whole(stage / NOTE, whole.model_dump_json(indent=1).encode())
            if not folder.exists():
                stage.rename(folder)
                flush_folder(folder.parent)
                return
            left = _left_over(before, whole, files)
            _remove(folder, left)
            gone = {path.split("/")[0] for path in left} - {path.split("/")[0] for path in files}
            if gone:
                notify(f"{folder}: removed {', '.join(sorted(gone))}, made of another model or with other settings")
            for path in (*files, NOTE):  # only renames from here on; the note last
                (folder / path).parent.mkdir(exist_ok=True)
                (stage / path).replace(folder / path)
    except OSError as error:
        raise ModelError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


def _check_own(folder: Path, files: Mapping[str, bytes], before: FolderNote | None) -> None:
    own = {path for form in before.forms.values() for path in form.files} if before else set()
    for path, data in files.items():
        file = folder / path
        if path not in own and file.exists() and not (file.is_file() and file.read_bytes() == data):
            raise ModelError(f"{file}: exists, and no export wrote it: move it away or give another folder")


def _merged(note: FolderNote, before: FolderNote | None) -> FolderNote:
    """The note with the forms of an earlier export that are still true: of the same origin, C of the same ONNX."""
    if before is None or before.origin_sha256 != note.origin_sha256:
        return note
    kept = {form: old for form, old in before.forms.items() if form not in note.forms}
    remade = note.forms.get("onnx-int8")
    if "c" in kept and remade is not None and kept["c"].made_of != remade.files[FILES["onnx-int8"]]:
        del kept["c"]
    return note.model_copy(update={"forms": {**kept, **note.forms}})


def _left_over(before: FolderNote | None, whole: FolderNote, files: Mapping[str, bytes]) -> list[str]:
    """Files of an earlier export that no form has any more."""
    current = {*files, *(path for form in whole.forms.values() for path in form.files)}
    old = [path for form in before.forms.values() for path in form.files] if before else []
    return [path for path in old if path not in current]


def _remove(folder: Path, paths: list[str]) -> None:
    for path in paths:
        (folder / path).unlink(missing_ok=True)
        parent = (folder / path).parent
        if parent != folder and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
