"""`niwaki export`, `niwaki verify` and `niwaki bench`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft

from niwaki.cli.outcome import complain
from niwaki.cli.output import beside, output, print_command, print_json
from niwaki.errors import ModelError, SpecError, Wording
from niwaki.reporting.terminal import Terminal, print_table
from niwaki.study.budget import parse_budget
from niwaki.tabular import Column

if TYPE_CHECKING:
    from niwaki.deploy.bench import BenchReport, BenchRow
    from niwaki.deploy.compare_forms import FormReport
    from niwaki.deploy.export import ExportReport
    from niwaki.deploy.verify import VerifyReport


def export(
    file: Path,
    to: Sequence[str],
    out: Path,
    *,
    ram_limit: str | None,
    as_json: bool,
    trust: bool,
    **settings: Any,
) -> int:
    """Write forms of a model and say what was written and what it needs; 1 if one of them cannot be made."""
    from niwaki import api

    check_file(file)
    allow(trust)
    limit = None if ram_limit is None else _bytes(ram_limit)
    with Lines() as lines:
        report = api.export(file, out, to=to, ram_limit=limit, trust=trust, notify=lines.message, **settings)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_export(report)
    for form, reason in report.missing.items():
        complain(Wording(f"no {form}: ", reason))
    return 0 if report.ok else 1


def verify(path: Path, *, data: str | None, images: int | None, steps: int, as_json: bool, trust: bool) -> int:
    """Send the same images through every form; the exit code is 1 if one disagrees, or is nothing to compare."""
    from niwaki import api

    check_file(path)
    allow(trust)
    with Lines() as lines:
        report = api.verify(
            path, data=data, images=images, steps=steps, trust=trust, notify=lines.message, progress=lines.progress
        )
    if as_json:
        print_json(report.to_dict())
    else:
        _print_verify(report, path)
    for form in report.forms:
        if form.ok is False:
            said = "disagrees" if form.images else "not compared"
            complain(Wording(f"{said}: {form.form} ({form.how}): ", form.reason))
    return 0 if report.ok else 1


def bench(files: Sequence[Path], *, as_json: bool, trust: bool) -> int:
    """Time every form and runtime in one run; 1 if a file or a form of it cannot be used."""
    from niwaki.deploy.bench import bench_files

    for file in files:
        check_file(file)
    allow(trust)
    with Lines() as lines:
        report = bench_files(files, trust=trust, notify=lines.message)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_bench(report)
    return 0 if report.ok else 1


_VERIFY: tuple[Column, ...] = (
    ("form", "left"), ("how", "left"), ("images", "right"), ("", "left"), ("compared with", "left"),
    ("same class", "right"), ("largest difference", "right"), ("accuracy % (95 % interval)", "right"),
)  # fmt: skip
_BENCH: tuple[Column, ...] = (
    ("form", "left"), ("runtime", "left"), ("median µs", "right"), ("p95 µs", "right"),
    ("times the fastest other", "right"), ("", "left"),
)  # fmt: skip


class Lines:
    """What is going on, on standard error: a line for each step, and in a terminal a bar while one runs."""

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
        """Move the bar of a form, and take it away when it is done."""
        if done == 0 or self._task is None:
            self._task = self._bar.add_task(escape(self.console.shown(form)), total=of)
        self._bar.update(self._task, completed=done)
        if done == of:
            self._bar.remove_task(self._task)
            self._task = None


def _print_export(report: ExportReport) -> None:
    console = output()
    console.print(f"{report.origin}: written to {report.folder}", highlight=False, markup=False)
    rows = [(form, path.name, f"{report.sizes[form]:,}") for form, path in report.paths.items()]
    print_table(console, (("form", "left"), ("file", "left"), ("bytes", "right")), rows)
    if report.calibration:
        console.print(f"int8 calibrated by {report.calibration}", highlight=False, markup=False)
    if report.footprint:
        needs = report.footprint
        console.print(
            f"C: flash {needs.constant_bytes:,} bytes of constants, and the code; RAM {needs.ram_bytes:,} bytes (arena "
            f"{needs.arena_bytes:,}, with the image; output {needs.output_bytes:,}), and the stack",
            highlight=False,
        )
    if report.board:
        board = report.board
        console.print(
            f"C on {board.cpu}, compiled with {board.optimization}: flash {board.flash:,} bytes (code "
            f"{board.all_code:,}, constants {board.constant_bytes:,}), RAM {board.ram:,}, stack {board.stack:,}",
            highlight=False,
        )
    for note in report.notes:
        console.print(note, highlight=False, markup=False)
    for form, reason in report.missing.items():
        console.print(Wording(f"MISSING {form}: ", reason), highlight=False, markup=False)
    print_command("Compare the forms with", "niwaki", "verify", report.folder)


def _print_verify(report: VerifyReport, path: Path) -> None:
    console = output()
    console.print(f"{path}: {report.of}", highlight=False, markup=False)
    print_table(console, _VERIFY, [_verify_cells(form) for form in report.forms])
    for form in report.forms:
        if form.ok is None and form.reason:
            console.print(Wording(f"  {form.form}, {form.how}: not run: ", form.reason), highlight=False, markup=False)
    for note in report.notes:
        console.print(note, highlight=False, markup=False)
    console.print(report.summary, highlight=False, markup=False)


def _verify_cells(form: FormReport) -> tuple[str, ...]:
    from niwaki.deploy.compare_forms import percent

    if not form.images:
        return form.form, form.how, "", "not run", "", "", "", ""
    verdict = {True: "agrees", False: "DISAGREES", None: ""}[form.ok]
    against = same = difference = accuracy = ""
    if form.agreement:
        found = form.agreement
        against, same = found.against, percent(found.same_class, form.images)
        if found.equal is not None:
            against += ", to the bit" if found.equal else ", not to the bit"
        if found.difference is not None:
            steps = f"{found.difference:.0f} {found.unit}{'' if found.difference == 1 else 's'}"
            difference = steps if found.unit == "int8 step" else f"{found.difference:.3g} in a {found.unit}"
    if form.right:
        low, high = form.right.interval
        accuracy = f"{form.right.percent:.2f} ({low:.2f} to {high:.2f})"
    return form.form, form.how, f"{form.images:,}", verdict, against, same, difference, accuracy


def _print_bench(report: BenchReport) -> None:
    console = output()
    for file in dict.fromkeys(row.file for row in report.rows):
        console.print(f"{file}: one image, one thread", highlight=False, markup=False)
        timed = sorted((row for row in report.rows if row.file == file), key=lambda row: row.median_us)
        print_table(console, _BENCH, [_bench_cells(row) for row in timed])
    for row in report.rows:
        if row.wrong:
            console.print(f"{row.file}: {row.form} in {row.runtime}: {row.wrong}", highlight=False, markup=False)
    for left in report.left_out:
        said = Wording(f"{left.file}: {left.form} not timed: ", left.reason)
        console.print(said, highlight=False, markup=False)
    for note in report.notes:
        console.print(note, highlight=False, markup=False)
    pinned = "" if report.pinned else "; not pinned to one processor, which the system does not allow"
    console.print(f"≈ within the noise of this run, {100 * report.noise_floor:.1f} %{pinned}", highlight=False)


def _bench_cells(row: BenchRow) -> tuple[str, ...]:
    wrong = "answers wrongly here" if row.wrong else ""
    return row.form, row.runtime, f"{row.median_us:.2f}", f"{row.p95_us:.2f}", _ratio(row), wrong


def _ratio(row: BenchRow) -> str:
    if row.ratio is None:
        return ""
    return f"{row.ratio:.2f}{' ≈' if row.noise else '  '}"


def check_file(path: Path) -> None:
    """Raise ModelError where there is no such file."""
    if not path.exists():
        raise ModelError(f"{path}: there is no such file")


def allow(trust: bool) -> None:
    """Find factories of the user's own in the working directory, once they are trusted."""
    if trust:
        sys.path.insert(0, str(Path.cwd()))


def _bytes(text: str) -> int:
    try:
        return int(parse_budget(f"ram<={text}").limit)
    except ValueError as error:
        raise SpecError(f"--ram-limit {text}: expected bytes, as in 8192 or 8KB") from error
