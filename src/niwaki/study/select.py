"""The choice of a study's final model: a fixed rule on validation accuracy, size and time, never on the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

from niwaki.study.losses import Loss, loss_of, unknown
from niwaki.study.plan import Plan
from niwaki.study.records import Record, Results
from niwaki.study.result_files import Choice, Timings
from niwaki.study.spec import SelectSpec

MEMORY = ("flash", "ram")  # quantities for which the rule says "least", not "fewest"
OWN_RULE = "worst_class"  # a budget on it replaces the rule that refuses a network which lost a class
WAY_OUT = "change the recipe (a lower ratio, more steps or epochs), or allow it by worst_class>=0 in the budget"


class Path(Protocol):
    """A trial, from a plan or `study.json`."""

    @property
    def experiment(self) -> str:
        """Its experiment."""

    @property
    def value(self) -> Any:
        """The varied value."""

    @property
    def stages(self) -> tuple[str, ...]:
        """All stages that it consists of, each after its parent."""

    @property
    def rows(self) -> tuple[str, ...]:
        """The stages that it shows: the base first, the end last."""


@dataclass(frozen=True)
class Seed:
    """The final stage of one seed: the stage, its validation accuracy, and what makes it dead, if it is."""

    key: str
    validation: float
    loss: Loss | None


@dataclass(frozen=True)
class Candidate:
    """One value of the experiment, its metrics averaged over the seeds that finished."""

    value: Any
    figures: dict[str, float | None]
    seeds: tuple[Seed, ...]
    uncounted: tuple[str, ...] = ()
    """What its MACs leave out: if anything, they are unknown, and within no limit."""

    @property
    def dead(self) -> bool:
        """Whether no seed of it is alive."""
        return all(seed.loss for seed in self.seeds)


@dataclass(frozen=True)
class Judged:
    """The candidates of a study: within the budget and alive, within it but dead, beyond it, and without a result."""

    fitting: tuple[Candidate, ...]
    refused: tuple[Candidate, ...]
    beyond: tuple[Candidate, ...]
    absent: tuple[str, ...] = ()
    """Those of which no seed finished, in words."""


def judge(
    select: SelectSpec, trials: Sequence[Path], records: Mapping[str, Record], timings: Mapping[str, float]
) -> Judged:
    """Judge every candidate by the budget, in the order of the experiment.

    A network that predicts one class for every image, or lost a class compared with its base, is refused whatever its
    accuracy, unless the budget has its own `worst_class`. With several seeds it is enough if one is alive.
    """
    ours = [trial for trial in trials if trial.experiment == select.experiment]
    candidates = _candidates(ours, records, timings)
    within = [c for c in candidates if _is_within(c, select)]
    own_rule = any(limit.quantity == OWN_RULE for limit in select.limits)
    refused = [] if own_rule else [c for c in within if c.dead]
    return Judged(
        tuple(c for c in within if c not in refused), tuple(refused), tuple(c for c in candidates if c not in within),
        _absent(ours, [c.value for c in candidates], records),
    )  # fmt: skip


def choose(
    select: SelectSpec,
    plan: Plan,
    records: Mapping[str, Record],
    timings: Mapping[str, float] | None = None,
    labels: Sequence[str] = (),
) -> Choice:
    """The smallest candidate of the experiment that is alive and within every limit of the budget (see `judge`).

    `accuracy_drop` is the base's validation accuracy minus the candidate's, in points, averaged over seeds, as are
    `balanced_accuracy` and `worst_class`; the file comes from the living seed with the best validation accuracy.
    `timings` are microseconds at batch 1 by structure; `labels` name the classes. A quantized trial is compared with
    its float base. The test set is not used.
    """
    judged = judge(select, plan.trials, records, timings or {})
    if not judged.fitting:
        return Choice(key=None, value=None, reason=_nothing(select, judged, labels))
    best = min(judged.fitting, key=lambda c: (_figure(c, select.minimize), -_figure(c, "validation")))
    seed = max(best.seeds, key=lambda s: (s.loss is None, s.validation))
    aim = f"{'least' if select.minimize in MEMORY else 'fewest'} {select.minimize}"
    bounds = f" within {' and '.join(select.budget)} on validation" if select.budget else ", without a budget"
    said = [
        f"Rule: {aim}{bounds}.",
        f"Chosen: {_describe(best, select, labels)}.",
        *_unknown(seed, plan.trials, records, labels),
        *(
            [f"Refused as dead (worst_class>=0 would allow it): {_list(judged.refused, select, labels)}."]
            if judged.refused
            else []
        ),
    ]
    if judged.beyond:
        said.append(f"Beyond it: {_list(judged.beyond, select, labels)}.")
    elif not judged.refused:
        said.append(f"Every {'other ' if judged.absent else ''}candidate is within it.")
    if judged.absent:
        said.append(f"Not judged: {'; '.join(judged.absent)}.")
    return Choice(key=seed.key, value=best.value, reason=" ".join(said))


def latencies(timings: Timings | None) -> dict[str, float]:
    """Microseconds at batch 1 by structure, as the choice needs them."""
    measured = {**timings.onnxruntime, **timings.models} if timings else {}
    return {structure: rows["1"].median_us for structure, rows in measured.items()}


def _nothing(select: SelectSpec, judged: Judged, labels: Sequence[str]) -> str:
    beyond = "; ".join([*(_describe(c, select, labels) for c in judged.beyond), *judged.absent]) or "no trial finished"
    if not judged.refused:
        return f"Nothing chosen: no candidate of {select.experiment} is within the budget ({beyond})."
    dead = f"what is within the budget is dead ({_list(judged.refused, select, labels)})"
    rest = f" Beyond it: {_list(judged.beyond, select, labels)}." if judged.beyond else ""
    rest += f" Not judged: {'; '.join(judged.absent)}." if judged.absent else ""
    return f"Nothing chosen: of {select.experiment}, {dead}: {WAY_OUT}.{rest}"


def _unknown(
    seed: Seed, trials: Sequence[Path], records: Mapping[str, Record], labels: Sequence[str]
) -> tuple[str, ...]:
    """What the validation images cannot show about the chosen network."""
    base = next(records[trial.rows[0]].results for trial in trials if trial.rows[-1] == seed.key)
    final = records[seed.key].results
    if base is None or final is None:
        return ()
    text = unknown(base.answers("validation"), final.answers("validation"), labels)
    return (f"Note: {text}.",) if text else ()


def _candidates(trials: Sequence[Path], records: Mapping[str, Record], timings: Mapping[str, float]) -> list[Candidate]:
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


def _absent(trials: Sequence[Path], judged: Sequence[Any], records: Mapping[str, Record]) -> tuple[str, ...]:
    """The values without a result, and whether a stage failed or was lost with its worker."""
    failed: dict[str, tuple[Any, bool]] = {}
    for trial in trials:
        if trial.value not in judged:
            found = any(key in records and records[key].status == "failed" for key in trial.stages)
            failed[repr(trial.value)] = (trial.value, found or failed.get(repr(trial.value), (None, False))[1])
    return tuple(
        f"{'' if value is None else f'{value}: '}no result ({'failed' if found else 'lost'})"
        for value, found in failed.values()
    )


def _candidate(value: Any, whole: Sequence[tuple[Results, Results, str]], timings: Mapping[str, float]) -> Candidate:
    finals = [final for _, final, _ in whole]
    answers = [final.answers("validation") for final in finals]
    seeds = tuple(Seed(key, final.accuracy("validation"), loss_of(base, final)) for base, final, key in whole)
    figures: dict[str, float | None] = {
        "validation": fmean(seed.validation for seed in seeds),
        "accuracy_drop": fmean(b.accuracy("validation") - f.accuracy("validation") for b, f, _ in whole),
        "balanced_accuracy": _mean([a.balanced for a in answers]),
        "worst_class": _mean([a.worst for a in answers]),
        "params": fmean(f.params for f in finals),
        "macs": _mean([None if f.uncounted else f.macs for f in finals]),
        "bytes": fmean(sum(f.bytes.values()) for f in finals),
        "activations": _mean([f.activation_bytes for f in finals]),
        "flash": _mean([f.flash for f in finals]),
        "ram": _mean([f.ram for f in finals]),
        "latency": _mean([timings.get(final.structure) for final in finals]),
    }
    uncounted = tuple(dict.fromkeys(name for final in finals for name in final.uncounted))
    return Candidate(value, figures, seeds, uncounted)


def _mean(values: Sequence[float | None]) -> float | None:
    """None if a value is unknown: a time that was not measured, the flash of a network without C."""
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _is_within(candidate: Candidate, select: SelectSpec) -> bool:
    known = candidate.figures[select.minimize] is not None
    return known and all(limit.allows(candidate.figures[limit.quantity]) for limit in select.limits)


def _figure(candidate: Candidate, name: str) -> float:
    figure = candidate.figures[name]
    return float("inf") if figure is None else figure


def _list(candidates: Sequence[Candidate], select: SelectSpec, labels: Sequence[str]) -> str:
    return "; ".join(_describe(candidate, select, labels) for candidate in candidates)


def _describe(candidate: Candidate, select: SelectSpec, labels: Sequence[str]) -> str:
    figures = candidate.figures
    value = "" if candidate.value is None else f"{candidate.value}: "
    parts = [f"{figures['validation']:.2f} % (drop {figures['accuracy_drop']:.2f})"]
    parts.append(f"{_stated(candidate, select.minimize)} {select.minimize}")
    for limit in select.limits:
        if limit.quantity == "macs" and figures["macs"] is None and select.minimize != "macs":
            parts.append(f"{_stated(candidate, 'macs')} macs")
        elif limit.quantity in ("flash", "ram") and limit.quantity != select.minimize:
            parts.append(f"{_stated(candidate, limit.quantity)} {limit.quantity}")
        elif limit.at_least:
            parts.append(f"{limit.quantity} {_percent(figures[limit.quantity])}")
    return value + ", ".join([*parts, *_losses(candidate, labels)])


def _losses(candidate: Candidate, labels: Sequence[str]) -> list[str]:
    """Why a candidate is dead; with several seeds, how many of them are."""
    lost = [seed.loss.text(labels) for seed in candidate.seeds if seed.loss]
    if not lost or len(candidate.seeds) == 1:
        return lost
    return [f"{len(lost)} of {len(candidate.seeds)} seeds dead ({'; '.join(dict.fromkeys(lost))})"]


def _percent(figure: float | None) -> str:
    return "unknown (a class has no validation image)" if figure is None else f"{figure:.2f} %"


def _stated(candidate: Candidate, name: str) -> str:
    figure = candidate.figures[name]
    if figure is None and name == "macs":
        return f"unknown ({', '.join(candidate.uncounted)} is not counted)"
    return "unknown" if figure is None else f"{figure:,.0f}"
