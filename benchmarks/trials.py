"""What the source study makes a script train, taken from niwaki's own plan: epochs by structure.

Without the control that trains the unpruned network longer, whose epochs niwaki states separately too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from niwaki.study.plan import Plan, Trial
from niwaki.study.structure import Structures

Widths = tuple[int, ...]  # outputs of conv1, conv2, fc1, fc2

# Tables over the same networks as (f): a script prints them from those runs, and quantizes networks from them.
PRINTED_FROM_RATIO = ("memory", "channels")


def every_trial(plan: Plan) -> Counter[str]:
    """How often each stage runs if every trial runs by itself, without tables made from others' networks."""
    alone = (t for t in plan.own if t.experiment not in PRINTED_FROM_RATIO and t.quantized is None)
    return _stages(_own(trial, plan) for trial in alone)


def distinct_trials(plan: Plan) -> Counter[str]:
    """How often each stage runs if trials that two tables share run once."""
    return _stages({_own(trial, plan) for trial in plan.own})


def distinct_stages(plan: Plan) -> Counter[str]:
    """Each stage once, as niwaki runs it."""
    return _stages({(key,) for trial in plan.own for key in trial.stages})


def epochs(plan: Plan, stages: Counter[str]) -> int:
    """The total epochs of these stages."""
    return sum(times * plan.stages[key].epochs for key, times in stages.items())


def epochs_by_widths(plan: Plan, stages: Counter[str], widths: dict[str, Widths]) -> Counter[Widths]:
    """Epochs of these stages by the structure that they train."""
    found: Counter[Widths] = Counter()
    for key, times in stages.items():
        if plan.stages[key].epochs:
            found[widths[key]] += times * plan.stages[key].epochs
    return found


def widths_of_stages(plan: Plan, input_shape: tuple[int, int, int]) -> dict[str, Widths]:
    """The widths that each stage leaves (training does not change them)."""
    structures = Structures(input_shape, trust=False)
    found: dict[str, Widths] = {}
    for trial in plan.own:
        # A control trains the widths that pruning left; the others are on the way there.
        pruning = replace(trial, settings=trial.settings.model_copy(update={"from_scratch": False}))
        rows = structures.of(pruning)
        if rows is None:
            raise ValueError(f"experiment {trial.experiment!r}: its structures are not known before training")
        for key in trial.stages:
            found[key] = tuple(rows[plan.stages[key].position].widths.values())
    return found


def _own(trial: Trial, plan: Plan) -> tuple[str, ...]:
    """The stages that a script would train for this trial: a control starts at the widths that are already known."""
    trained = tuple(key for key in trial.stages if plan.stages[key].kind != "quantize")
    return trained[-1:] if trial.settings.from_scratch else trained


def _stages(paths: Iterable[tuple[str, ...]]) -> Counter[str]:
    return Counter(key for path in paths for key in path)
