"""The folder of a study: stages under their keys, written whole, the record last. One driver writes.

study.json                      what is studied: the specification, the plan, the data, the machine
stages/<key>/weights.safetensors     of a quantized stage: model.onnx
stages/<key>/record.json        the commit mark: a stage without one is not there
timings.json                    measured after all stages; part of no key
choice.json                     what the selection chose, and why
chosen.safetensors              the model that the selection chose, in float
chosen/                         the same as ONNX, int8 ONNX and C
verify.json                     whether these forms agree
evidence.json                   answers of the base and the chosen model, with images: what a report shows
bench.json                      how long every form of both takes; part of no key
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from niwaki import folders
from niwaki.errors import NiwakiError, StoreError
from niwaki.files import JSON_LIMIT, read_at_most, sha256_of, sweep_files, write_whole
from niwaki.study import result_files
from niwaki.study.records import Record, from_bytes, to_bytes
from niwaki.study.result_files import Bench, Choice, Evidence, Study, Timings, Verification

STUDY, TIMINGS, CHOICE, CHOSEN = "study.json", "timings.json", "choice.json", "chosen.safetensors"
FORMS, VERIFY = "chosen", "verify.json"
EVIDENCE, BENCH = "evidence.json", "bench.json"
EVIDENCE_FORMAT = 1  # of both
_HOLDER = ".driver.json"
_SHAPES: dict[str, type[BaseModel]] = {
    STUDY: Study,
    CHOICE: Choice,
    TIMINGS: Timings,
    VERIFY: Verification,
    EVIDENCE: Evidence,
    BENCH: Bench,
}


def model_name(record: Record) -> str:
    """The name of the file that holds the model of a stage."""
    return "model.onnx" if record.kind == "quantize" else "weights.safetensors"


class DamagedStage(StoreError):
    """A stage whose files do not fit together. Running it again mends it."""


class DamagedFile(StoreError):
    """A file beside the stages that is not what it should be; `problem` says so without the way out."""

    def __init__(self, path: Path, problem: object) -> None:
        super().__init__(f"{path}: damaged: {problem}; remove it: it is made again")
        self.problem = f"{path.name} is damaged: {problem}"


class Store:
    """Reads and writes a study's folder. Readable while a study runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def driver(self) -> Iterator[None]:
        """Hold the study as its one driver. Raises StoreError that says who holds it."""
        lock = FileLock(self.folder / ".lock", timeout=0)
        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(
                    f"{self.folder}: {self._holder()} is running this study; wait for it, or use another `out=`"
                ) from error
        try:
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            self.write_json(_HOLDER, holder)
            for place in (self.folder, *self.folder.glob("stages/*")):  # by a driver that was killed while it wrote
                sweep_files(place)
            for place in (self.folder, self.folder / FORMS):
                folders.sweep(place)
            yield
        finally:
            with contextlib.suppress(OSError):
                (self.folder / _HOLDER).unlink(missing_ok=True)
            lock.release()

    def record(self, key: str) -> Record | None:
        """The record of a stage, None if the stage is not there. Raises DamagedStage if it cannot be trusted."""
        try:
            data = self._path(key, "record.json").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedStage(f"stage {key}: record.json cannot be read: {error.strerror}") from error
        try:
            record = from_bytes(data)
        except ValueError as error:
            raise DamagedStage(f"stage {key}: record.json is damaged: {error}") from error
        if record.key != key:
            raise DamagedStage(f"stage {key}: record.json belongs to stage {record.key}")
        return record

    def weights(self, key: str, record: Record) -> bytes:
        """The bytes of the model that a finished stage left, checked against its record."""
        path = self._path(key, model_name(record))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DamagedStage(f"stage {key}: {path.name} cannot be read: {error.strerror}") from error
        if sha256_of(data) != record.weights_sha256:
            raise DamagedStage(f"stage {key}: {path.name} is damaged: its SHA-256 is not the record's")
        return data

    def checked(self, key: str) -> Record | None:
        """`record`, with the weights checked too."""
        record = self.record(key)
        if record is not None and record.status == "done":
            self.weights(key, record)
        return record

    def put(self, record: Record, weights: bytes | None) -> None:
        """Store a stage: its weights first, its record last. Raises StoreError, leaving no part behind."""
        with self._explained():
            if weights is not None:
                write_whole(self._path(record.key, model_name(record)), weights)
            write_whole(self._path(record.key, "record.json"), to_bytes(record))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder, None if it is not there. Raises DamagedFile if it is not as it was written."""
        path = self.folder / name
        try:
            return result_files.from_bytes(read_at_most(path, JSON_LIMIT), _SHAPES.get(name))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedFile(path, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DamagedFile(path, error) from error

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON file of the folder, whole, with a checksum of itself."""
        self.write(name, result_files.to_bytes(value))

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the folder, whole."""
        with self._explained():
            write_whole(self.folder / name, data)

    def study(self) -> dict[str, Any]:
        """What `study.json` says. Raises StoreError if the folder is not a study's."""
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder}: is a file, not a study's folder")
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder}: there is no such folder")
        found = self.read_json(STUDY)
        if found is None:
            raise StoreError(f"{self.folder}: not a study's folder (no {STUDY}); make one with: niwaki study run")
        return found

    def _path(self, key: str, name: str) -> Path:
        return self.folder / "stages" / key / name

    def _holder(self) -> str:
        try:
            holder = self.read_json(_HOLDER)
        except NiwakiError:
            holder = None
        if not holder:
            return "another process"
        return f"process {holder.get('pid')} on {holder.get('host')} (since {holder.get('since')})"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            way = "free some space" if full else "check the folder's permissions"
            raise StoreError(
                f"{self.folder}: cannot be written: {error.strerror}; {way} and run the same command again: "
                "what is stored is kept"
            ) from error
