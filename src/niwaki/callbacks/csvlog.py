"""A run as lines of a CSV file that you can read while it grows."""

from __future__ import annotations

import csv
from pathlib import Path

from niwaki.callbacks.events import Callback, Done, EpochEnd, StageEnd
from niwaki.errors import SpecError, StoreError

COLUMNS = (
    "event", "name", "step", "epoch", "epochs", "loss", "validation_accuracy", "test_accuracy", "params", "macs",
    "bytes", "removed", "reason",
)  # fmt: skip


class CSVLogger(Callback):
    """Writes a line for every epoch (`event` is epoch) and every stage (stage), and one at the end (done).

    Raises SpecError if the file exists, unless `append` is true; StoreError if it cannot be written.
    """

    def __init__(self, file: str | Path, *, append: bool = False) -> None:
        if not isinstance(file, str | Path):
            raise SpecError(f"CSVLogger: file = {file!r}: expected a text or a path")
        self.file = Path(file)
        if self.file.exists() and not append:
            raise SpecError(f"{self.file} exists: give another name, or append=True to continue it")
        if not self.file.exists():
            self._write(dict(zip(COLUMNS, COLUMNS, strict=True)))

    def on_epoch(self, event: EpochEnd) -> None:
        """Write the epoch."""
        self._write({"event": "epoch", **vars(event)})

    def on_stage(self, event: StageEnd) -> None:
        """Write the stage."""
        known = {name: value for name, value in event.metrics.items() if name in COLUMNS}
        self._write({"event": "stage", "name": event.name, "step": event.step, "reason": event.reason, **known})

    def on_done(self, event: Done) -> None:
        """Write the end."""
        known = {name: value for name, value in event.metrics.items() if name in COLUMNS}
        self._write({"event": "done", "reason": None if event.ok else "not all went well", **known})

    def _write(self, cells: dict[str, object]) -> None:
        try:
            with self.file.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, COLUMNS).writerow(cells)
        except OSError as error:
            raise StoreError(f"{self.file}: cannot be written: {error.strerror}; give another name") from error
