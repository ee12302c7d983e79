"""The time for one image in every form and runtime: measured in one interleaved run, all called from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from niwaki.deploy.bench_forms import ORT, Forms, LeftOut, Subject, form_of, forms_of
from niwaki.deploy.exported import Export
from niwaki.deploy.formats import DYNAMIC, INT8, ONNX
from niwaki.errors import NiwakiError, SpecError, Wording, step
from niwaki.measure.latency import Latency, LatencyTable, alone_on_one_cpu, measure_latency
from niwaki.notify import Notify, silent
from niwaki.tabular import Column, Tabular

BATCH = 1
_COLUMNS: tuple[Column, ...] = (
    ("form", "left"), ("runtime", "left"), ("median µs", "right"), ("p95 µs", "right"),
    ("times the fastest other", "right"), ("", "left"),
)  # fmt: skip


@dataclass(frozen=True)
class BenchRow:
    """The latency of one form of one file in one runtime, in microseconds per image."""

    file: str
    form: str
    """torch, or a form that can be exported."""
    runtime: str
    """torch, ONNX Runtime, C; `C, in a loop` is the C alone, without the call from Python."""
    batch: int
    median_us: float
    """0 if a board's clock does not run."""
    p95_us: float
    """95th percentile of the samples, each the mean of `block` images."""
    runs: int
    block: int
    ratio: float | None
    """Median, relative to the fastest other row of the file that is called from Python; None if there is no other."""
    noise: bool
    """Whether the difference from that row is within the noise of this measurement."""
    wrong: str = ""
    """What is wrong on this processor with the scores of ONNX Runtime's default session, which is the one timed."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row in a table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}{' ≈' if self.noise else '  '}"
        wrong = "wrong here" if self.wrong else ""
        times = (f"{self.median_us:.2f}", f"{self.p95_us:.2f}") if self.median_us else ("none", "none")
        return self.form, self.runtime, *times, ratio, wrong


@dataclass(frozen=True)
class BenchReport:
    """All rows, measured together; `noise_floor` is relative, as in `measure.latency`."""

    rows: tuple[BenchRow, ...]
    noise_floor: float
    pinned: bool
    """Whether the process was pinned to one processor."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """Notes on these times: which int8 is no faster, what was calibrated on what."""

    def __repr__(self) -> str:
        return f"<BenchReport: {len(self.rows)} rows, {len(self.left_out)} left out>"

    @property
    def ok(self) -> bool:
        """Whether everything in the files was timed; what this machine cannot run is no failure."""
        return not any(left.failed for left in self.left_out)

    def _repr_html_(self) -> str:
        return "".join(table.to_html() for table in self.tables())

    def tables(self) -> tuple[Tabular, ...]:
        """A table for each file, the fastest first; notes on all of them are below the last."""
        files = tuple(dict.fromkeys(row.file for row in self.rows))
        wrong = (f"{row.file}: {row.form} in {row.runtime}: {row.wrong}" for row in self.rows if row.wrong)
        left_out = (Wording(f"{left.file}: {left.form} not timed: ", left.reason) for left in self.left_out)
        pinned = "" if self.pinned else "; not pinned to one processor, because the system does not allow it"
        noise = f"≈ within the noise of this run, {100 * self.noise_floor:.1f} %{pinned}"
        notes = (*wrong, *left_out, *self.notes, noise)
        return tuple(self._table(file, notes if file == files[-1] else ()) for file in files)

    def _table(self, file: str, notes: tuple[str, ...]) -> Tabular:
        timed = sorted((row for row in self.rows if row.file == file), key=lambda row: row.median_us)
        return Tabular(_COLUMNS, tuple(row.cells for row in timed), f"{file}: one image, one thread", notes)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


@step("timing the forms")
def bench_files(
    files: Sequence[Path | Export],
    *,
    rounds: int = 100,
    budget_s: float = 60.0,
    trust: bool = False,
    notify: Notify = silent,
) -> BenchReport:
    """Time every form of `files` (see `forms_of`) on one image, in one thread, all in one interleaved run.

    Runtimes that take float get a prepared image, the C gets raw pixels and quantizes them itself. The C is compiled
    for this machine. The run stops after `rounds` or `budget_s` seconds. `notify` receives lines about the progress.
    `trust` allows foreign factories.

    A file or a form that cannot be used is left out. Raises SpecError if there is nothing to time, ModelError if the
    only file is damaged or of an unknown kind.
    """
    if not files:
        raise SpecError("nothing to time: give a model file, an ONNX file or an exported folder")
    found: list[Forms] = []
    for file in files:
        found.append(_prepared(file, trust, notify, alone=len(files) == 1))
    subjects = [subject for forms in found for subject in forms.subjects]
    if not subjects:
        reasons = sorted({left.reason for forms in found for left in forms.left_out})
        raise SpecError("nothing to time: ", Wording("; ").join(reasons))
    notify(f"timing {len(subjects)} calls in turn on one processor")
    with alone_on_one_cpu() as pinned, torch.inference_mode():
        calls = {str(number): subject.call for number, subject in enumerate(subjects)}
        table = measure_latency(calls, batch=BATCH, rounds=rounds, budget_s=budget_s)
    rows = tuple(_rows(subjects, table))
    notes = (*(note for forms in found for note in forms.notes), *int8_notes(rows, table.noise_floor))
    return BenchReport(rows, table.noise_floor, pinned, tuple(out for forms in found for out in forms.left_out), notes)


def _prepared(file: Path | Export, trust: bool, notify: Notify, *, alone: bool) -> Forms:
    """The forms of a file; one that cannot be used does not affect the others."""
    path = file.folder if isinstance(file, Export) else file
    try:
        return forms_of(file, trust=trust, notify=notify)
    except NiwakiError as error:
        if alone:
            raise
        return Forms(str(path), left_out=[LeftOut(str(path), form_of(path), str(error), failed=True)])


def _rows(subjects: Sequence[Subject], table: LatencyTable) -> Iterator[BenchRow]:
    timed = [_per_image(table.rows[str(number)], subject.images) for number, subject in enumerate(subjects)]
    for number, (subject, latency) in enumerate(zip(subjects, timed, strict=True)):
        others = [
            other.median_us
            for index, (rival, other) in enumerate(zip(subjects, timed, strict=True))
            if index != number and rival.file == subject.file and rival.form != subject.form and rival.images == 1
        ]
        fastest = min(others, default=None)
        yield BenchRow(
            subject.file,
            subject.form,
            subject.runtime,
            BATCH,
            latency.median_us,
            latency.p95_us,
            latency.runs,
            latency.block,
            ratio=None if fastest is None else latency.median_us / fastest,
            noise=fastest is not None and not apart(latency.median_us, fastest, table.noise_floor),
            wrong=subject.wrong,
        )


def _per_image(latency: Latency, images: int) -> Latency:
    """The latency of one image in a loop over images."""
    return Latency(
        latency.median_us / images, latency.p95_us / images, latency.min_us / images,
        runs=latency.runs * images, batch=BATCH, block=latency.block * images,
    )  # fmt: skip


def apart(a: float, b: float, noise_floor: float) -> bool:
    """Whether two medians differ by more than the noise, relative to their mean."""
    return 2 * abs(a - b) / (a + b) > noise_floor


def int8_notes(rows: Sequence[BenchRow], noise_floor: float) -> Iterator[str]:
    """Notes on int8 that is no faster than float in the same runtime."""
    floats = {(row.file, row.runtime): row for row in rows if row.form == ONNX}
    for row in rows:
        other = floats.get((row.file, row.runtime))
        if row.form not in (INT8, DYNAMIC) or other is None:
            continue
        figures = f"{row.median_us:.1f} µs against {other.median_us:.1f} in float"
        if not apart(row.median_us, other.median_us, noise_floor):
            yield f"{row.file}: {row.form} is as fast as float in {ORT}, within the noise ({figures})"
        elif row.median_us > other.median_us:
            yield f"{row.file}: {row.form} is slower than float in {ORT}: {figures}"
