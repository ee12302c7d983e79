"""The choice of a study's final model: a stated rule on validation accuracy and size. It never sees the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from niwaki.study.budget import Budget
from niwaki.study.plan import Plan, Trial
from niwaki.study.records import Record, Results
from niwaki.study.spec import SelectSpec


@dataclass(frozen=True)
class Candidate:
    """One value of the experiment, its figures averaged over the seeds that finished."""

    value: Any
    figures: dict[str, float | None]
    keys: tuple[str, ...]  # the final stage of each seed


@dataclass(frozen=True)
class Choice:
    """What was chosen and why, in words. `key` is None when nothing is within the budget."""

    key: str | None
    value: Any
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"key": self.key, "value": self.value, "reason": self.reason}


def choose(
    select: SelectSpec, plan: Plan, records: Mapping[str, Record], timings: Mapping[str, float] | None = None
) -> Choice:
    """The smallest candidate of the experiment within every limit of the budget.

    `accuracy_drop` is the base's validation accuracy minus the candidate's, in points, averaged over seeds;
    the file comes from the seed with the best validation accuracy. `timings` are microseconds at batch 1
    by structure. A quantized trial is measured against its float base. The test set plays no part.
    """
    trials = [trial for trial in plan.trials if trial.experiment == select.experiment]
    candidates = _candidates(trials, records, timings or {})
    known = [c for c in candidates if c.figures[select.minimize] is not None]
    fitting = [c for c in known if all(_within(c, limit) for limit in select.limits)]
    rule = f"fewest {select.minimize} within {' and '.join(select.budget)} on validation"
    if not fitting:
        seen = "; ".join(_describe(c, select) for c in candidates) or "no trial finished"
        return Choice(None, None, f"Nothing chosen: no candidate of {select.experiment} is within the budget ({seen}).")
    best = min(fitting, key=lambda c: (_figure(c, select.minimize), -_figure(c, "validation")))
    key = max(best.keys, key=lambda k: _validation(records[k]))
    out = [c for c in candidates if c not in fitting]
    beyond = f" Beyond it: {'; '.join(_describe(c, select) for c in out)}." if out else " Every candidate is within it."
    return Choice(key, best.value, f"Rule: {rule}. Chosen: {_describe(best, select)}.{beyond}")


def _candidates(
    trials: Sequence[Trial], records: Mapping[str, Record], timings: Mapping[str, float]
) -> list[Candidate]:
    values: list[Any] = []
    for trial in trials:
        if trial.value not in values:
            values.append(trial.value)
    found = []
    for value in values:
        pairs = [
            (records[trial.rows[0]].results, records[trial.rows[-1]].results, trial.rows[-1])
            for trial in trials
            if trial.value == value and all(row in records for row in (trial.rows[0], trial.rows[-1]))
        ]
        whole = [(base, final, key) for base, final, key in pairs if base is not None and final is not None]
        if whole:
            found.append(_candidate(value, whole, timings))
    return found


def _candidate(value: Any, whole: Sequence[tuple[Results, Results, str]], timings: Mapping[str, float]) -> Candidate:
    finals = [final for _, final, _ in whole]
    times = [timings.get(final.structure) for final in finals]
    figures: dict[str, float | None] = {
        "validation": fmean(f.accuracy("validation") for f in finals),
        "accuracy_drop": fmean(b.accuracy("validation") - f.accuracy("validation") for b, f, _ in whole),
        "params": fmean(f.params for f in finals),
        "macs": fmean(f.macs for f in finals),
        "bytes": fmean(sum(f.bytes.values()) for f in finals),
        "activations": _mean([f.activation_bytes for f in finals]),
        "flash": _mean([f.flash for f in finals]),
        "ram": _mean([f.ram for f in finals]),
        "latency": _mean(times),
    }
    return Candidate(value, figures, tuple(key for _, _, key in whole))


def _mean(values: Sequence[float | None]) -> float | None:
    """None where a value is not known: a time not measured, the flash of a network that has no C."""
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _within(candidate: Candidate, limit: Budget) -> bool:
    figure = candidate.figures[limit.quantity]
    return figure is not None and figure <= limit.limit + 1e-9  # accuracies are sums of fractions


def _figure(candidate: Candidate, name: str) -> float:
    figure = candidate.figures[name]
    return float("inf") if figure is None else figure


def _describe(candidate: Candidate, select: SelectSpec) -> str:
    figures = candidate.figures
    value = "" if candidate.value is None else f"{candidate.value}: "
    parts = [f"{figures['validation']:.2f} % (drop {figures['accuracy_drop']:.2f})"]
    parts.append(f"{_stated(candidate, select.minimize)} {select.minimize}")
    for limit in select.limits:
        if limit.quantity in ("flash", "ram") and limit.quantity != select.minimize:
            parts.append(f"{_stated(candidate, limit.quantity)} {limit.quantity}")
    return value + ", ".join(parts)


def _stated(candidate: Candidate, name: str) -> str:
    figure = candidate.figures[name]
    return "unknown" if figure is None else f"{figure:,.0f}"


def _validation(record: Record) -> float:
    return record.results.accuracy("validation") if record.results else float("-inf")
