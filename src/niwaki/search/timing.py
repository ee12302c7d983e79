"""How many candidates a time allows: the first ones are trained, and what they take is divided into it."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from niwaki.search.exploring import Exploring
from niwaki.search.sampling import Asking
from niwaki.search.space import SearchSettings
from niwaki.search.tried import Tried

END_S = 45.0  # for choosing, exporting and verifying
FINALS = 0.6  # share of the time for the finalists: small networks gain more from training than from further search
LATE = 0.05  # share of the time that questions about moved images may take
ROUNDING = 0.2  # share of a training's seconds that training with rounding takes
_LEAST, _ENOUGH, _MOST = 5, 20, 120  # epochs of a finalist; below enough, fewer finalists train for longer
_LEAST_FINALISTS = 2  # if as many are asked for: the chosen one and the runner-up


@dataclass(frozen=True)
class TimePlan:
    """What fits into a time. `said` is what was measured, in words."""

    trials: int
    final_epochs: int
    finalists: int
    said: str
    late: bool = True
    """Whether there is time to ask about moved images."""
    over: float = 0.0
    """Seconds by which even this plan, the least that there is, takes longer than was asked."""


@dataclass(frozen=True)
class Pace:
    """Seconds that the training of a candidate takes on each worker: for each epoch, and besides."""

    epoch: float
    besides: float = 0.0
    """For cutting, quantizing, measuring."""

    def of(self, trainings: float, epochs: float) -> float:
        """Seconds of so many trainings, one after the other, with so many epochs in all."""
        return trainings * self.besides + epochs * self.epoch


def plan_for(exploring: Exploring, asking: Asking, seconds: float, seeds: int) -> TimePlan:
    """The plan for `seconds`, by what as many candidates take as there are workers; their stages are kept.

    `asking` is a sampler of its own, which asks for the same candidates first as that of the search.
    """
    settings, begun = exploring.space.search, time.monotonic()
    slots = exploring.running.slots
    first = exploring.first(asking, min(slots, settings.batch))
    turns = max(1.0, len(first) / slots)
    taken = []
    exploring.prepare(first)  # starts the workers too
    for epochs in settings.rungs:  # one after the other: a rung goes on from the one before
        before = time.monotonic()
        exploring.evaluate(first, epochs)
        taken.append((time.monotonic() - before) / turns)
    left = max(seconds - (time.monotonic() - begun) - END_S, 0.0)
    smaller = 0 if exploring.minimized else len(settings.smaller)
    pace = pace_of(settings.steps, taken)
    late = pace.of(*exploring.cost_of_questions(late=True)) / slots <= LATE * left
    asked = smaller, seeds, exploring.cost_of_questions(late=None if late else False)
    return replace(divided(left, pace, slots, settings, asked), late=late)


def pace_of(steps: Sequence[int], taken: Sequence[float]) -> Pace:
    """The pace of trainings that took so many seconds for the epochs that each rung adds, on a line through the last
    two.

    >>> pace_of((3, 6), (60.0, 105.0))
    Pace(epoch=15.0, besides=15.0)
    >>> pace_of((4,), (60.0,))
    Pace(epoch=15.0, besides=0.0)
    """
    if len(steps) > 1 and steps[-1] > steps[-2] and taken[-1] > taken[-2]:
        epoch = min((taken[-1] - taken[-2]) / (steps[-1] - steps[-2]), taken[-1] / steps[-1])
        return Pace(epoch, taken[-1] - epoch * steps[-1])
    return Pace(taken[-1] / steps[-1])


def divided(
    left: float, pace: Pace, slots: int, settings: SearchSettings, asked: tuple[int, int, tuple[int, int]]
) -> TimePlan:  # fmt: skip
    """What fits into `left` seconds on so many workers.

    `asked` are the networks for smaller budgets, the seeds of a finalist, and the trainings that answer questions, with
    their epochs.

    >>> plan = divided(7200, Pace(5.0), 2, SearchSettings(), (3, 3, (8, 48)))
    >>> plan.trials, plan.final_epochs, plan.finalists
    (176, 102, 3)
    >>> plan = divided(3400, Pace(15.0, 20.0), 2, SearchSettings(), (3, 3, (8, 48)))
    >>> plan.trials, plan.final_epochs, plan.finalists
    (16, 19, 3)
    >>> divided(300, Pace(15.0, 20.0), 2, SearchSettings(), (3, 3, (8, 48))).over
    1517.5
    """
    smaller, seeds, questions = asked

    def trained(finalists: int, epochs: int) -> float:
        each = _at_once(finalists + smaller, seeds, slots)
        return pace.of(each, each * final_cost(epochs, settings))

    def tried(batches: int) -> float:
        return pace.of(*(each / slots for each in _trainings(batches, settings, smaller)))

    finalists = settings.finalists
    while finalists > _LEAST_FINALISTS and trained(finalists, _ENOUGH) > FINALS * left:
        finalists -= 1
    left -= pace.of(*(each / slots for each in questions))
    batches = 1
    while tried(batches + 1) <= (1 - FINALS) * left:
        batches += 1
    left -= tried(batches)
    able = [epochs for epochs in range(least_epochs(settings), _MOST + 1) if trained(finalists, epochs) <= left]
    final_epochs = able[-1] if able else least_epochs(settings)
    said = f"{pace.epoch:.1f} s for an epoch of a candidate, {pace.besides:.0f} s besides"
    over = max(trained(finalists, final_epochs) - left, 0.0)
    return TimePlan(batches * settings.batch, final_epochs, finalists, said, over=over)


def final_epochs(exploring: Exploring, finalists: Sequence[Tried], left: float, seeds: int) -> dict[str, int] | None:
    """The epochs of these finalists, by name, that fit into `left` seconds, by what each of them took on the rungs.

    None if that is not known: they were trained by an earlier run.
    """
    settings, taken = exploring.space.search, [exploring.seconds(one) for one in finalists]
    paces = [pace_of(settings.steps, each) for each in taken if each is not None]
    if len(paces) < len(taken):
        return None
    found = epochs_within(left - END_S, paces, (seeds, exploring.running.slots), settings)
    return {one.shape.id: epochs for one, epochs in zip(finalists, found, strict=True)}


def least_epochs(settings: SearchSettings) -> int:
    """The fewest epochs of a finalist, however little time there is: it goes on from the last rung for a third more."""
    return max(_LEAST, settings.rungs[-1] + math.ceil(settings.rungs[-1] / 3))


def final_cost(epochs: int, settings: SearchSettings) -> float:
    """The epochs, at the pace of the rungs, that a finalist with so many in all costs.

    It goes on from the last rung, but trains with rounding in proportion to all of them.
    """
    further = settings.further(epochs)
    return further + ROUNDING * (epochs - further)


def epochs_within(left: float, paces: Sequence[Pace], how: tuple[int, int], settings: SearchSettings) -> list[int]:
    """The epochs of each network with which all are trained within `left` seconds; `how`: seeds, and workers.

    One that takes a quarter of the time for an epoch gets twice the epochs: small networks gain the most from more.

    >>> epochs_within(1000.0, [Pace(20.0, 10.0), Pace(5.0, 5.0)], (3, 2), SearchSettings())
    [25, 50]
    >>> epochs_within(10.0, [Pace(20.0), Pace(5.0)], (3, 2), SearchSettings())
    [12, 12]
    """
    (seeds, slots), least = how, least_epochs(settings)
    slowest = max(pace.epoch for pace in paces)

    def given(epochs: int) -> list[int]:
        return [min(round(epochs * math.sqrt(slowest / pace.epoch)), _MOST) for pace in paces]

    def takes(each: Sequence[int]) -> float:
        free = [0.0] * slots
        for epochs, pace in sorted(zip(each, paces, strict=True), key=lambda one: -one[0]):  # as the scheduler does
            for _ in range(seeds):
                heapq.heapreplace(free, free[0] + pace.of(1, final_cost(epochs, settings)))
        return max(free)

    able = [each for epochs in range(least, _MOST + 1) if takes(each := given(epochs)) <= left]
    return able[-1] if able else [least] * len(paces)


def _at_once(networks: int, seeds: int, slots: int) -> float:
    """How many trainings each worker has."""
    return max(networks * seeds / slots, 1.0)


def _trainings(batches: int, settings: SearchSettings, smaller: int) -> tuple[float, float]:
    """Trainings of so many batches over all rungs, with the smaller candidates, which go through all of them; and their
    epochs.
    """
    total, left = [0.0, 0.0], float(settings.batch)
    for epochs in settings.steps:
        total = [total[0] + left, total[1] + left * epochs]
        left = max(1.0, round(left * settings.keep))
    more = max(batches - 1, smaller) if smaller else 0
    return batches * total[0] + more * len(settings.rungs), batches * total[1] + more * settings.rungs[-1]
