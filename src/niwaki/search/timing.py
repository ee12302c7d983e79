"""How many candidates a time allows: the first ones are trained, and what they take is divided into it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from niwaki.search.exploring import COMPARED, Exploring
from niwaki.search.sampling import Asking
from niwaki.search.space import SearchSettings

END_S = 45.0  # for choosing, exporting and verifying
FINALS = 0.5  # share of the time for the finalists
_LEAST, _ENOUGH, _MOST = 5, 20, 120  # epochs of a finalist; below enough, fewer finalists train for longer
_LEAST_FINALISTS = 2  # if as many are asked for: the chosen one and the runner-up


@dataclass(frozen=True)
class TimePlan:
    """What fits into a time. `said` is what was measured, in words."""

    trials: int
    final_epochs: int
    finalists: int
    said: str


def plan_for(exploring: Exploring, asking: Asking, seconds: float, seeds: int) -> TimePlan:
    """The plan for `seconds`, by what as many candidates take as there are workers; their stages are kept.

    `asking` is a sampler of its own, which asks for the same candidates first as that of the search.
    """
    settings, begun = exploring.space.search, time.monotonic()
    slots = exploring.running.slots
    first = exploring.first(asking, min(slots, settings.batch))
    exploring.evaluate(first, settings.rungs[0])  # starts the workers too
    measured = time.monotonic()
    longer = settings.rungs[-1]
    if len(settings.rungs) > 1:
        exploring.evaluate(first, longer)
    taken = time.monotonic() - (measured if len(settings.rungs) > 1 else begun)
    epoch = taken / longer / max(1.0, len(first) / slots)  # of one candidate on each worker
    left = max(seconds - (time.monotonic() - begun) - END_S, 0.0)
    smaller = 0 if exploring.minimized else len(settings.smaller)
    questions = COMPARED * len(exploring.questions()) if settings.questions else 0
    return divided(left, epoch, slots, settings, (smaller, seeds, questions))


def divided(
    left: float, epoch: float, slots: int, settings: SearchSettings, asked: tuple[int, int, int]
) -> TimePlan:  # fmt: skip
    """What fits into `left` seconds on so many workers, if an epoch of a candidate takes `epoch` seconds.

    `asked` are the networks for smaller budgets, the seeds of a finalist, and the trainings that answer questions.

    >>> plan = divided(7200, 5.0, 2, SearchSettings(), (3, 3, 8))
    >>> plan.trials, plan.final_epochs, plan.finalists
    (176, 82, 3)
    >>> plan = divided(3400, 19.0, 2, SearchSettings(), (3, 3, 8))
    >>> plan.trials, plan.final_epochs, plan.finalists
    (16, 13, 2)
    """
    smaller, seeds, questions = asked
    finalists, fitting = settings.finalists, FINALS * left / epoch  # epochs of the finalists on each worker
    while finalists > _LEAST_FINALISTS and fitting < _ENOUGH * _at_once(finalists + smaller, seeds, slots):
        finalists -= 1
    finals = _at_once(finalists + smaller, seeds, slots) * epoch
    left -= questions * settings.rungs[0] * epoch / slots
    batches = 1
    while (1 - FINALS) * left >= _epochs_of(batches + 1, settings, smaller) * epoch / slots:
        batches += 1
    left -= _epochs_of(batches, settings, smaller) * epoch / slots
    final_epochs = min(max(int(left / finals), _LEAST), _MOST)
    return TimePlan(batches * settings.batch, final_epochs, finalists, f"{epoch:.1f} s for an epoch of a candidate")


def _at_once(networks: int, seeds: int, slots: int) -> float:
    """How many trainings each worker has."""
    return max(networks * seeds / slots, 1.0)


def _epochs_of(batches: int, settings: SearchSettings, smaller: int) -> float:
    """Epochs of so many batches over all rungs, with the smaller candidates, which go through all of them."""
    total, left = 0.0, float(settings.batch)
    for epochs in settings.rungs:
        total += left * epochs
        left = max(1.0, round(left * settings.keep))
    return batches * total + (max(batches - 1, smaller) if smaller else 0) * sum(settings.rungs)
