"""`niwaki export`, `niwaki verify` and `niwaki bench`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft

from niwaki.cli.outcome import complain
from niwaki.cli.output import beside, output, print_command, print_json, print_tabular
from niwaki.errors import ModelError, SpecError, Wording
from niwaki.reporting.terminal import Terminal
from niwaki.study.budget import parse_budget
from niwaki.study.new import arguments, listed_labels


@dataclass(frozen=True)
class Said:
    """What the command line says about a file that does not say it."""

    text: str
    file: Path | None

    @property
    def preprocessing(self) -> Mapping[str, object] | None:
        """Its settings. Raises SpecError if the text is not TOML."""
        return arguments(self.text, "preprocessing") or None

    @property
    def labels(self) -> list[str] | None:
        """The names of the classes. Raises SpecError if they cannot be read."""
        return None if self.file is None else listed_labels(self.file)

    @property
    def classes(self) -> tuple[str, ...]:
        """The same; nothing if no file is given."""
        return tuple(self.labels or ())


def export(
    file: Path,
    to: Sequence[str],
    out: Path,
    said: Said,
    *,
    as_json: bool,
    trust: bool,
    **settings: Any,
) -> int:
    """Export forms of a model and print their sizes; 1 if one of them cannot be made."""
    from niwaki import api

    check_file(file)
    allow(trust)
    with Lines() as lines:
        report = api.export(
            file,
            out,
            to=to,
            trust=trust,
            notify=lines.message,
            preprocessing=said.preprocessing,
            labels=said.labels,
            **settings,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_tabular(output(), report.table())
        print_command("Compare the forms with", "niwaki", "verify", report.folder)
    for form, reason in report.missing.items():
        complain(Wording(f"no {form}: ", reason))
    return 0 if report.ok else 1


@dataclass(frozen=True)
class Recipe:
    """The settings of bits and training from the command line."""

    kind: str
    layer_bits: Sequence[str] | None
    epochs: int | None
    lr: float | None
    teachers: Sequence[Path] | None

    @property
    def settings(self) -> dict[str, Any]:
        """As `niwaki.quantize` takes them. Raises SpecError for training settings without training."""
        train = {name: value for name, value in (("epochs", self.epochs), ("lr", self.lr)) if value is not None}
        if self.kind != "qat" and (train or self.teachers):
            raise SpecError(f"--epochs, --lr, --teacher: {self.kind} quantization does not train: use --kind qat")
        return {
            "kind": self.kind, "layer_bits": _layer_bits(self.layer_bits or ()), "train": train or None,
            "teacher": list(self.teachers or ()) or None,
        }  # fmt: skip


def quantize(file: Path, out: Path, recipe: Recipe, *, as_json: bool, trust: bool, **settings: Any) -> None:
    """Write an int8 ONNX and print its accuracy before and after."""
    from niwaki import api

    check_file(file)
    allow(trust)
    with Lines() as lines:
        report = api.quantize(
            file, out, trust=trust, notify=lines.message, callbacks=[_Epochs(lines)], **recipe.settings, **settings
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_tabular(output(), report.table())
        print_command("Generate C with", "niwaki", "export", report.file, "--to", "c", "--out", report.file.stem)


class _Epochs:
    """A line for every epoch."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def on_epoch(self, epoch: Any) -> None:
        """Print it."""
        self._lines.message(f"epoch {epoch.epoch}/{epoch.epochs}: loss {epoch.loss:.4f}")


def _layer_bits(given: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in given:
        layer, _, bits = text.rpartition("=")
        if not layer or not bits.isdigit():
            raise SpecError(f"--layer-bits {text}: expected LAYER=BITS, as in fc3=8")
        found[layer] = int(bits)
    return found


def verify(path: Path, said: Said, *, as_json: bool, trust: bool, **settings: Any) -> int:
    """Run the same images through every form; returns 1 if one disagrees, or there is nothing to compare."""
    from niwaki import api

    check_file(path)
    allow(trust)
    with Lines() as lines:
        report = api.verify(
            path,
            trust=trust,
            notify=lines.message,
            progress=lines.progress,
            preprocessing=said.preprocessing,
            labels=said.labels,
            **settings,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_tabular(output(), replace(report.table(), caption=f"{path}: {report.of}"))
    for form in report.forms:
        if form.ok is False:
            verdict = "disagrees" if form.images else "not compared"
            complain(Wording(f"{verdict}: {form.form} ({form.how}): ", form.reason))
    return 0 if report.ok else 1


def bench(files: Sequence[Path], *, serial: str | None, as_json: bool, trust: bool) -> int:
    """Time every form and runtime in one run, or a board; 1 if a file or one of its forms cannot be used."""
    from niwaki import api

    for file in files:
        check_file(file)
    allow(trust)
    with Lines() as lines:
        report = api.bench(list(files), serial=serial, trust=trust, notify=lines.message)
    if as_json:
        print_json(report.to_dict())
    else:
        for table in report.tables():
            print_tabular(output(), table)
    return 0 if report.ok else 1


class Lines:
    """Progress on standard error: a line for each step, and in a terminal a bar while one runs."""

    def __init__(self, console: Terminal | None = None) -> None:
        self.console = console or beside()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("images, left"),
            TimeLeft(), console=self.console, transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Lines:
        if self.console.is_interactive:
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self.console.is_interactive:
            self._bar.stop()

    def message(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False)

    def progress(self, form: str, done: int, of: int) -> None:
        """Advance the bar of a form, and remove it when the form is done."""
        if done == 0 or self._task is None:
            self._task = self._bar.add_task(escape(self.console.shown(form)), total=of)
        self._bar.update(self._task, completed=done)
        if done == of:
            self._bar.remove_task(self._task)
            self._task = None


def check_file(path: Path) -> None:
    """Raise ModelError if the file does not exist."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file")


def allow(trust: bool) -> None:
    """Make factories in the working directory importable, once the user trusts them."""
    if trust:
        sys.path.insert(0, str(Path.cwd()))


def bytes_of(text: str | None) -> int | None:
    """A number of bytes, as in 8KB. Raises SpecError for anything else."""
    if text is None:
        return None
    try:
        return int(parse_budget(f"ram<={text}").limit)
    except ValueError as error:
        raise SpecError(f"--ram-limit {text}: expected bytes, as in 8192 or 8KB") from error
