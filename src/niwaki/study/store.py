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

from filelock import FileLock, Timeout

from niwaki import folders
from niwaki.errors import NiwakiError, Setting, StoreError
from niwaki.files import JSON_LIMIT, read_at_most, sha256_of, sweep_files, write_whole
from niwaki.study import checked_json, records
from niwaki.study.checked_json import File, ResultFile
from niwaki.study.records import Record
from niwaki.study.result_files import Driver, Study, Verification

CHOSEN, FORMS, VERIFY = "chosen.safetensors", "chosen", Verification.NAME


def model_name(record: Record) -> str:
    """The name of the file with the model of a stage."""
    return "model.onnx" if record.kind == "quantize" else "weights.safetensors"


class DamagedStage(StoreError):
    """A stage whose files do not match. Running it again repairs it."""


class DamagedFile(StoreError):
    """A file beside the stages that is not as written; `problem` says so without the advice."""

    def __init__(self, path: Path, problem: object) -> None:
        super().__init__(f"{path}: damaged: {problem}; remove it: it is made again")
        self.problem = f"{path.name} is damaged: {problem}"


class Store:
    """Reads and writes a study's folder. Readable while a study runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def driver(self) -> Iterator[None]:
        """Hold the study as its only driver. Raises StoreError naming the process that holds it."""
        lock = FileLock(self.folder / ".lock", timeout=0)
        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(
                    f"{self.folder}: {self._holder()} is running this study; wait for it, or use another ",
                    Setting("out"),
                ) from error
        try:
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            self.save(Driver(pid=os.getpid(), host=socket.gethostname(), since=since))
            for place in (self.folder, *self.folder.glob("stages/*")):  # by a driver that was killed while writing
                sweep_files(place)
            for place in (self.folder, self.folder / FORMS):
                folders.sweep(place)
            yield
        finally:
            with contextlib.suppress(OSError):
                self.forget(Driver)
            lock.release()

    def record(self, key: str) -> Record | None:
        """The record of a stage, None if the stage does not exist. Raises DamagedStage if it cannot be trusted."""
        try:
            data = self._path(key, "record.json").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedStage(f"stage {key}: record.json cannot be read: {error.strerror}") from error
        try:
            record = records.from_bytes(data)
        except ValueError as error:
            raise DamagedStage(f"stage {key}: record.json is damaged: {error}") from error
        if record.key != key:
            raise DamagedStage(f"stage {key}: record.json belongs to stage {record.key}")
        return record

    def weights(self, key: str, record: Record) -> bytes:
        """The bytes of the model of a finished stage, checked against its record."""
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
        """Store a stage: its weights first, its record last. Raises StoreError, leaving nothing partial behind."""
        with self._explained():
            if weights is not None:
                write_whole(self._path(record.key, model_name(record)), weights)
            write_whole(self._path(record.key, "record.json"), records.to_bytes(record))

    def load(self, kind: type[File]) -> File | None:
        """A file of the folder, None if it does not exist. Raises DamagedFile if it is not as written."""
        path = self.folder / kind.NAME
        try:
            return checked_json.from_bytes(read_at_most(path, JSON_LIMIT), kind)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedFile(path, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DamagedFile(path, error) from error

    def save(self, file: ResultFile) -> None:
        """Write a file of the folder, whole, with its own checksum."""
        self.write(file.NAME, checked_json.to_bytes(file))

    def forget(self, *kinds: type[ResultFile]) -> None:
        """Remove files from the folder if they exist."""
        for kind in kinds:
            (self.folder / kind.NAME).unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the folder, whole."""
        with self._explained():
            write_whole(self.folder / name, data)

    def study(self) -> Study:
        """The content of `study.json`. Raises StoreError if the folder is not a study's."""
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file, not a study's folder")
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder}: there is no such folder")
        found = self.load(Study)
        if found is None:
            raise StoreError(f"{self.folder}: not a study's folder (no {Study.NAME}); make one with: niwaki study run")
        return found

    def _path(self, key: str, name: str) -> Path:
        return self.folder / "stages" / key / name

    def _holder(self) -> str:
        try:
            holder = self.load(Driver)
        except NiwakiError:
            holder = None
        if holder is None:
            return "another process"
        return f"process {holder.pid} on {holder.host} (since {holder.since})"

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
