"""The tables of a study as data: every value with its spread, beside the published one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean, stdev
from typing import Any

from niwaki.measure.accuracy import wilson_interval
from niwaki.reporting import times
from niwaki.reporting.view import TrialView, View
from niwaki.reporting.words import Words, words_in
from niwaki.study.losses import NAMED, loss_of, quoted
from niwaki.study.metrics import METRICS, value_of
from niwaki.study.records import Results
from niwaki.study.spec import Experiment, Published

DONE = "done"  # the status of a complete row


@dataclass(frozen=True)
class Figure:
    """A number over the seeds: its mean, and its standard deviation (n − 1) if there are several."""

    mean: float
    std: float | None = None
    n: int = 1

    @staticmethod
    def of(values: Sequence[float]) -> Figure:
        """The figure of one value per seed."""
        return Figure(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Row:
    """One line of a table. `status` is done, partly (some seeds), running, or failed: with the reason."""

    value: Any
    step: int
    base: bool
    quantized: str | None  # static, dynamic; None: float
    status: str
    figures: dict[str, Figure]
    widths: dict[str, int] | None
    bytes_by_type: dict[str, int] | None
    per_class: tuple[float | None, ...] | None
    published: Published | None
    notes: tuple[str, ...]
    like_base: tuple[str, ...]  # latencies that differ from the base's by less than the noise floor


@dataclass(frozen=True)
class Table:
    """One experiment."""

    name: str
    title: str
    key: str | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    source: str
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        rows = []
        for row in self.rows:
            shown = asdict(row)
            shown["published"] = _only_stated(row.published)
            shown["difference"] = difference(row)
            rows.append(shown)
        return {"name": self.name, "title": self.title, "varied": self.key, "source": self.source, "rows": rows,
                "remarks": list(self.remarks)}  # fmt: skip


def make_tables(view: View, words: Words | None = None) -> list[Table]:
    """Every experiment of a study as a table, in the study's order; without published values if the data are synthetic.

    `words` is the language of the remarks; English by default.
    """
    words = words or words_in("en")
    return [_table(view, experiment, words) for experiment in view.spec.experiment]


def step_tables(view: View, words: Words) -> list[Table]:
    """`make_tables` with every pruning step of every trial, whether the experiment shows them or not."""
    every = [experiment.model_copy(update={"rows": "steps"}) for experiment in view.spec.experiment]
    return [_table(view, experiment, words) for experiment in every]


def difference(row: Row) -> dict[str, list[float]]:
    """Our value minus the published one, for each published value (points of accuracy, counts)."""
    if row.published is None:
        return {}
    found: dict[str, list[float]] = {}
    if row.published.accuracy and "accuracy" in row.figures:
        found["accuracy"] = [row.figures["accuracy"].mean - theirs for theirs in row.published.accuracy]
    for name in ("params", "macs_tp", "channels"):
        theirs = getattr(row.published, name)
        if theirs is not None and name in row.figures:
            found[name] = [row.figures[name].mean - theirs]
    return found


def _table(view: View, experiment: Experiment, words: Words) -> Table:
    rows: list[Row] = []
    trials = list(view.of(experiment))
    seen: set[tuple[str, ...]] = set()
    for value in _values(trials):
        seeds = [trial for trial in trials if trial.value == value]
        for index in _shown(experiment, seeds[0]):
            keys = tuple(trial.rows[index] for trial in seeds)
            may_be_shared = index == 0 or _only_quantization_varies(experiment)
            if may_be_shared and keys in seen:
                continue
            seen.add(keys)
            shared = may_be_shared and all(set(keys) & set(trial.rows) for trial in trials)
            rows.append(_row(view, experiment, None if shared else value, index, seeds, words))
    remarks = _remarks(view, experiment, rows, words)
    return Table(
        experiment.name, experiment.title or experiment.name, experiment.varied_key, experiment.columns, tuple(rows),
        "" if view.data.synthetic else experiment.source, remarks,
    )  # fmt: skip


def _shown(experiment: Experiment, trial: TrialView) -> list[int]:
    """The rows of a trial that a table shows: the base, every pruning step or the last, and int8."""
    last = len(trial.rows) - 1
    last_float = last - 1 if trial.quantize else last
    steps = list(range(1, last_float + 1))
    return [0, *(steps if experiment.rows == "steps" else steps[-1:]), *([last] if trial.quantize else [])]


def _only_quantization_varies(experiment: Experiment) -> bool:
    return (experiment.varied_key or "").startswith("quantize.")


def _row(view: View, experiment: Experiment, value: Any, index: int, seeds: list[TrialView], words: Words) -> Row:
    found = [(trial, view.results(trial.rows[index])) for trial in seeds]
    done = [results for _, results in found if results is not None]
    first = seeds[0]
    quantized = first.quantize if index == len(first.rows) - 1 else None
    base_results = [view.results(trial.rows[0]) for trial in seeds] if index else []
    return Row(
        value=value,
        step=_step(view, first, index),
        base=index == 0,
        quantized=quantized,
        status=_status(view, found, len(done), words),
        figures={**_figures(view, done), **_ratios(view, index, seeds)},
        widths=_common([results.widths for results in done]),
        bytes_by_type=_common([results.bytes for results in done]),
        per_class=done[0].test.per_class if len(done) == 1 else None,
        published=None if view.data.synthetic else _published(view, experiment, value, index, first),
        notes=tuple(dict.fromkeys(note for trial in seeds for note in _notes(view, experiment, trial, index, words))),
        like_base=times.like_base(view, done, [r for r in base_results if r is not None]),
    )


def _common(values: list[dict[str, int]]) -> dict[str, int] | None:
    """The value that all seeds share, otherwise None."""
    return values[0] if values and all(value == values[0] for value in values) else None


def _notes(view: View, experiment: Experiment, trial: TrialView, index: int, words: Words) -> tuple[str, ...]:
    """The notes of the stages between the previous row and this one, and remarks on its result."""
    path = trial.stages
    start = path.index(trial.rows[index - 1]) + 1 if index else 0
    found = [view.results(key) for key in path[start : path.index(trial.rows[index]) + 1]]
    notes = [note for results in found if results for note in results.notes]
    if found and found[-1]:
        notes += _warnings(view, found[-1], view.results(trial.rows[0]), words)
        before = view.results(trial.rows[index - 1]) if trial.quantize and index == len(trial.rows) - 1 else None
        if before and "latency_ort" in experiment.columns:
            notes += times.slower_than(view, found[-1], before, words)
    return tuple(notes)


def _warnings(view: View, results: Results, base: Results | None, words: Words) -> tuple[str, ...]:
    """What a reader must know to interpret an accuracy."""
    loss = loss_of(base or results, results, "test")
    if loss is None:
        return ()
    if loss.only is not None:
        return (words("note.dead"),)
    lost = quoted(loss.classes, [words.name(label) for label in view.data.labels])
    return (words("note.lost", labels=words.listed(lost, most=NAMED)),)


def _ratios(view: View, index: int, seeds: list[TrialView]) -> dict[str, Figure]:
    """The channels in scope that should be removed and those that are, in percent, by the last pruning before a row."""
    found = []
    for trial in seeds:
        path = trial.stages[: trial.stages.index(trial.rows[index]) + 1]
        pruned = [results for key in path if (results := view.results(key)) and results.ratio_reached is not None]
        found += pruned[-1:]
    ratios = [(r.ratio_asked, r.ratio_reached) for r in found]
    known = [(100 * asked, 100 * reached) for asked, reached in ratios if asked is not None and reached is not None]
    if not known or len(known) < len(seeds):
        return {}
    asked, reached = zip(*known, strict=True)
    return {"asked": Figure.of(asked), "reached": Figure.of(reached)}


def _figures(view: View, done: list[Results]) -> dict[str, Figure]:
    if not done:
        return {}
    read: dict[str, Callable[[Results], float | None]] = {name: partial(value_of, name) for name in METRICS}
    for name in times.COLUMNS:
        read[name] = partial(times.latency, view, column=name)
        read[f"{name}_p95"] = partial(times.latency, view, column=name, what="p95_us")
    figures = {}
    for name, of in read.items():
        values = [of(results) for results in done]
        if all(value is not None for value in values):
            figures[name] = Figure.of([float(value) for value in values if value is not None])
    return figures


def _status(view: View, found: list[tuple[TrialView, Results | None]], done: int, words: Words) -> str:
    """`done`, or what is missing, in words."""
    if done == len(found):
        return DONE
    some = words("status.partly", done=done, of=len(found))
    reasons = [view.failure(trial) for trial, results in found if results is None]
    reason = next((reason for reason in reasons if reason), None)
    if reason:
        failed = words("status.failed", reason=reason)
        return f"{some}; {failed}" if done else failed
    return some if done else words("status.not_yet")


def _step(view: View, trial: TrialView, index: int) -> int:
    """The pruning step that a row shows: rows count steps, but a control has only its base and its end."""
    if index == 0:
        return 0
    record = view.records.get(trial.rows[index])
    return record.position if record else index


def _published(view: View, experiment: Experiment, value: Any, index: int, trial: TrialView) -> Published | None:
    last = len(trial.rows) - 1
    quantized = trial.quantize is not None and index == last
    last_float = index > 0 and index == (last - 1 if trial.quantize else last)
    step = _step(view, trial, index)
    for entry in experiment.published:
        if entry.quantized != quantized or entry.value not in (None, value):
            continue
        if quantized or entry.step == step or (entry.step is None and last_float):
            return entry
    return None


def _remarks(view: View, experiment: Experiment, rows: list[Row], words: Words) -> tuple[str, ...]:
    remarks = []
    tested = view.data.images.test
    figure = next((row.figures["accuracy"] for row in rows if "accuracy" in row.figures), None)
    if figure is not None and figure.n == 1 and "accuracy" in experiment.columns:
        low, high = wilson_interval(round(figure.mean / 100 * tested), tested)
        remarks.append(words("remark.one_seed", tested=tested, reach=(high - low) / 2))
    remarks += [words(key) for columns, key in _EXPLAINED if columns & set(experiment.columns)]
    return (*remarks, *times.remarks(view, experiment.columns, words))


_EXPLAINED: tuple[tuple[set[str], str], ...] = (
    ({"flash", "ram"}, "remark.flash"),
    ({"agreement"}, "remark.agreement"),
    ({"bytes_by_type"}, "remark.bytes_by_type"),
    ({"file"}, "remark.file"),
)


def _values(trials: list[TrialView]) -> list[Any]:
    values: list[Any] = []
    for trial in trials:
        if trial.value not in values:
            values.append(trial.value)
    return values


def _only_stated(published: Published | None) -> dict[str, object] | None:
    if published is None:
        return None
    return published.model_dump(exclude_defaults=True, exclude={"value", "step", "quantized"})
