"""A run as a progress bar, in a terminal or a notebook."""

from __future__ import annotations

from typing import Any, Literal

from niwaki.callbacks.events import Callback, Done, EpochEnd, StageEnd
from niwaki.errors import SpecError


class ProgressBar(Callback):
    """A bar over the epochs of each training, with the loss beside it, and a line for every finished stage.

    `kind` is rich, which niwaki installs, or tqdm. Raises SpecError for any other kind, or if tqdm is not installed.
    """

    def __init__(self, kind: Literal["rich", "tqdm"] = "rich") -> None:
        if kind not in ("rich", "tqdm"):
            raise SpecError(f"ProgressBar: kind = {kind!r}: expected rich or tqdm")
        self._bar: _Rich | _Tqdm = _Rich() if kind == "rich" else _Tqdm()
        self._name = ""

    def on_epoch(self, event: EpochEnd) -> None:
        """Advance the bar; a new name starts a new bar."""
        if event.name != self._name:
            self._name = event.name
            self._bar.begin(event.name, event.epochs)
        accuracy = event.validation_accuracy
        measured = "" if accuracy is None else f", validation {accuracy:.2f} %"
        self._bar.move(event.epoch, f"loss {event.loss:.4f}{measured}")

    def on_stage(self, event: StageEnd) -> None:
        """Print a line above the bar."""
        accuracy = event.metrics.get("validation_accuracy")
        said = event.reason or (f"validation {accuracy:.2f} %" if accuracy is not None else "done")
        self._bar.print(f"[{event.done}/{event.total}] {event.name}: {said}")

    def on_done(self, _event: Done) -> None:
        """Remove the bar."""
        self._bar.close()
        self._name = ""


class _Rich:
    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        text = TextColumn("{task.description}", markup=False)
        said = TextColumn("epochs, {task.fields[said]}", markup=False)
        self._progress = Progress(text, BarColumn(20), MofNCompleteColumn(), said, transient=True)
        self._task: Any = None

    def begin(self, name: str, epochs: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=epochs, said="")
        self._progress.start()

    def move(self, epoch: int, said: str) -> None:
        self._progress.update(self._task, completed=epoch, said=said)

    def print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


class _Tqdm:
    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise SpecError("ProgressBar('tqdm') needs tqdm: pip install tqdm") from error
        self._tqdm = tqdm
        self._bar: Any = None

    def begin(self, name: str, epochs: int) -> None:
        self.close()
        self._bar = self._tqdm(total=epochs, desc=name, unit="epoch", leave=False)

    def move(self, epoch: int, said: str) -> None:
        self._bar.update(epoch - self._bar.n)
        self._bar.set_postfix_str(said)

    def print(self, line: str) -> None:
        self._tqdm.write(line)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
