"""How many candidates a time allows: the first ones are trained, and what they take is divided into it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from niwaki.search.exploring import Exploring
from niwaki.search.sampling import Asking
from niwaki.search.space import SearchSettings

END_S = 45.0  # for choosing, exporting and verifying
FINALS = 0.5  # share of the time for the finalists
_LEAST, _ENOUGH, _MOST = 5, 20, 120  # epochs of a finalist; below enough, fewer finalists train for longer
_COMPARED = 2  # finalists at least, if as many are asked for: the chosen one and the runner-up


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
    finalists, smaller = settings.finalists, 0 if exploring.minimized else len(settings.smaller)
    fitting = FINALS * left / epoch  # epochs of the finalists on each worker
    while finalists > _COMPARED and fitting < _ENOUGH * _at_once(finalists + smaller, seeds, slots):
        finalists -= 1
    finals = _at_once(finalists + smaller, seeds, slots)
    final_epochs = min(max(round(fitting / finals), _LEAST), _MOST)
    left -= final_epochs * epoch * finals
    batch = _epochs_of_batch(settings) * epoch / slots
    questions = 6 * settings.rungs[0] * epoch / slots if settings.questions else 0.0
    batches = max(1, int((left - questions) / batch))
    return TimePlan(batches * settings.batch, final_epochs, finalists, f"{epoch:.1f} s for an epoch of a candidate")


def _at_once(networks: int, seeds: int, slots: int) -> float:
    """How many trainings each worker has."""
    return max(networks * seeds / slots, 1.0)


def _epochs_of_batch(settings: SearchSettings) -> float:
    """Epochs of a batch over all rungs, with the smaller candidates that go through all of them."""
    total, left = 0.0, float(settings.batch)
    for epochs in settings.rungs:
        total += (left + 1) * epochs
        left = max(1.0, round(left * settings.keep))
    return total
